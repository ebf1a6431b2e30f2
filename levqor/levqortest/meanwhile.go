package levqortest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/identity"
)

// meanwhile runs first in a transaction and then in another, which comes as far as it can
// before the one of first ends.
func (e *env) meanwhile(first, then func(ctx context.Context, tx levqor.Stores) error) {
	e.Helper()
	var late arrival
	e.inTx(func(ctx context.Context, tx levqor.Stores) error {
		err := first(ctx, tx)
		late.comes(e, then)
		return err
	})
	late.ended()
}

// arrival is a transaction that comes while another one is open. The other may be run again;
// this comes once.
type arrival struct{ done chan struct{} }

// comes runs fn in a transaction beside that of its caller, and returns when it has had the
// time to come as far as it can. It is undone if fn returns errBoom.
func (a *arrival) comes(e *env, fn func(ctx context.Context, tx levqor.Stores) error) {
	if a.done != nil {
		return
	}
	begun, done := make(chan struct{}), make(chan struct{})
	a.done = done
	e.Cleanup(func() { <-done })
	go func() {
		defer close(done)
		first := true
		err := e.InTx(e.ctx, func(ctx context.Context, tx levqor.Stores) error {
			if first {
				close(begun)
			}
			first = false
			return fn(ctx, tx)
		})
		if err != nil && !errors.Is(err, errBoom) {
			e.Errorf("the transaction that came meanwhile: %v", err)
		}
	}()
	select {
	case <-begun:
		time.Sleep(100 * time.Millisecond) // it runs until it has to wait, if it has to
	case <-time.After(100 * time.Millisecond): // it waits for the one writer that there may be
	}
}

// ended waits for its end.
func (a *arrival) ended() { <-a.done }

// changeWhileHeld holds a key that user 8 has made, lets another transaction change it
// meanwhile, and looks whether that waited and lost nothing.
func (e *env) changeWhileHeld(id string, change func(ctx context.Context, tx levqor.Stores, id string) error) {
	e.Helper()
	e.user(8)
	k := key(id)
	k.Creator = identity.UserID(8).String()
	before, err := e.Keys.InsertKey(e.ctx, k, t0)
	if err != nil {
		e.Fatalf("InsertKey = %v", err)
	}
	var late arrival
	e.inTx(func(ctx context.Context, tx levqor.Stores) error {
		held, err := tx.Keys.UpdateKey(ctx, "a", id, identity.KeyChange{})
		if err != nil || fmt.Sprint(held) != fmt.Sprint(before) {
			e.Errorf("UpdateKey = %v, %v; want %v", held, err, before)
		}
		late.comes(e, func(ctx context.Context, tx levqor.Stores) error { return change(ctx, tx, id) })
		if got, _, err := tx.Keys.FindKey(ctx, id, t0); err != nil || fmt.Sprint(got) != fmt.Sprint(before) {
			e.Errorf("FindKey = %v, %v; want the key unchanged while it is held", got, err)
		}
		if _, err := tx.Keys.UpdateKey(ctx, "a", id, identity.KeyChange{AllowedNetworks: &[]netip.Prefix{}}); err != nil {
			e.Errorf("UpdateKey = %v", err)
		}
		return nil
	})
	late.ended()
	got := e.findKey(id)
	changed := got.Name != before.Name || !got.RotatedAt.IsZero() || !got.RevokedAt.IsZero()
	if !changed || len(got.AllowedNetworks) > 0 {
		e.Errorf("the key is %v, want both changes", got)
	}
}

// addWhileDeleting lets callers at once delete a user who is alone in some tenants and
// add members there, and the user elsewhere, by stores on one database. Whoever was added
// to one of those tenants came before the deletion, which is then refused.
func (e *env) addWhileDeleting(stores ...levqor.Stores) {
	e.Helper()
	const rounds, alone, adders, others = 20, 4, 4, 8
	for k := range adders * others {
		e.tenant(identity.TenantID(20+k), 7)
	}
	e.user(8)
	for round := range rounds {
		user, first := identity.UserID(100+round), identity.TenantID(1000+10*round)
		for k := range alone {
			e.tenant(first+identity.TenantID(k), user)
		}
		var joined atomic.Bool
		add := func(store identity.DirectoryStore, tenant identity.TenantID, user identity.UserID) bool {
			_, err := store.AddMember(e.ctx, identity.Member{Tenant: tenant, User: user, Grant: identity.Grant{Role: identity.RoleViewer}}, time.Time{})
			if err != nil && !errors.Is(err, identity.ErrNotFound) {
				e.Errorf("AddMember = %v", err)
			}
			if err == nil && tenant >= first {
				joined.Store(true)
			}
			return err == nil
		}
		var wg sync.WaitGroup
		for a := range adders { // one place after the other, so that some are added in each moment of the deletion
			wg.Go(func() {
				for k := 0; k < others && add(stores[a%len(stores)].Directory, identity.TenantID(20+a*others+k), user); k++ {
				}
			})
		}
		wg.Go(func() {
			if _, _, err := stores[0].Directory.DeleteUser(e.ctx, user, time.Time{}); err != nil && !errors.Is(err, identity.ErrLastOwner) {
				e.Errorf("DeleteUser = %v", err)
			}
		})
		for k := range alone {
			wg.Go(func() { add(stores[k%len(stores)].Directory, first+identity.TenantID(k), 8) })
		}
		wg.Wait()
		_, err := e.Directory.FindUser(e.ctx, user)
		if joined.Load() != (err == nil) {
			e.Errorf("somebody joined a tenant of the user: %v, and the user: %v", joined.Load(), err)
		}
		tenants := []identity.TenantID{first, first + 1, first + 2, first + 3}
		for k := range adders * others {
			tenants = append(tenants, identity.TenantID(20+k))
		}
		for _, tenant := range tenants {
			members, listErr := e.Directory.Members(e.ctx, tenant, 0, 100)
			isMember := slices.ContainsFunc(members, func(m identity.Member) bool { return m.User == user })
			_, tenantErr := e.Directory.FindTenant(e.ctx, tenant)
			if listErr != nil || isMember != (err == nil) || tenantErr != nil && len(members) > 0 {
				e.Errorf("the members of %v are %v, %v; its user: %v, itself: %v", tenant, members, listErr, err, tenantErr)
			}
		}
	}
}

// joinWhileDeleting lets somebody join a tenant while the user who is alone there is deleted,
// by stores on one database. They join in a transaction that is open for longer in each round,
// so that it ends in each moment of the deletion, which waits for it and is refused then.
func (e *env) joinWhileDeleting(stores ...levqor.Stores) {
	e.Helper()
	const rounds = 20
	e.user(8)
	for round := range rounds {
		user, tenant := identity.UserID(100+round), identity.TenantID(1000+round)
		e.tenant(tenant, user)
		here, there := stores[round%len(stores)], stores[(round+1)%len(stores)]
		var wg sync.WaitGroup
		err := here.InTx(e.ctx, func(ctx context.Context, tx levqor.Stores) error {
			_, err := tx.Directory.AddMember(ctx, identity.Member{Tenant: tenant, User: 8, Grant: identity.Grant{Role: identity.RoleViewer}}, time.Time{})
			wg.Go(func() {
				_, _, err := there.Directory.DeleteUser(e.ctx, user, time.Time{})
				e.wantErr(err, identity.ErrLastOwner, "somebody has joined the tenant of the user meanwhile")
			})
			time.Sleep(time.Duration(round) * time.Millisecond)
			return err
		})
		if err != nil {
			e.Errorf("InTx = %v", err)
		}
		wg.Wait()
		e.wantMembers(tenant, 8, user)
	}
	e.wantDeleted(nil, nil)
}
