package levqortest

import (
	"context"
	"errors"
	"fmt"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/identity"
)

// invited is the ID of an invitation of a maker, or of a key of theirs.
func invited(tenant identity.TenantID, maker, by int) identity.InvitationID {
	return identity.InvitationID(int64(tenant)*100 + int64(maker)*10 + int64(by))
}

// made stores a key and an invitation that user 8 has made in each of the tenants 20 and
// 21, where they are a member, and the same by somebody else. Each key has made one that is
// revoked, and that has made another one with an invitation. It returns what looks whether
// those of the user are good.
func (e *env) made() (want func(tenant identity.TenantID, good bool)) {
	e.Helper()
	makers := []identity.UserID{8, 9}
	for _, tenant := range []identity.TenantID{20, 21} {
		e.tenant(tenant, 7)
		e.member(tenant, 8, identity.RoleAdmin)
		for i, maker := range makers {
			k := key(fmt.Sprint("key_", tenant, i))
			k.Tenant, k.Creator = tenant.String(), maker.String()
			_, keyErr := e.Keys.InsertKey(e.ctx, k, t0)
			child, grandchild := k, k
			child.ID, child.Creator = k.ID+"child", k.ID
			grandchild.ID, grandchild.Creator = k.ID+"grandchild", child.ID
			_, childErr := e.Keys.InsertKey(e.ctx, child, t0)
			_, grandchildErr := e.Keys.InsertKey(e.ctx, grandchild, t0)
			_, revokeErr := e.Keys.RevokeKey(e.ctx, k.Tenant, child.ID, t0)
			if err := errors.Join(keyErr, childErr, grandchildErr, revokeErr); err != nil {
				e.Fatal(err)
			}
			for j, inviter := range []string{k.Creator, grandchild.ID} {
				_, err := e.Invitations.PutInvitation(e.ctx, identity.Invitation{
					ID: invited(tenant, i, j), Tenant: tenant, Email: e.email(fmt.Sprintf("x%d%d@example.com", i, j)),
					Inviter: inviter, Hash: []byte("h"), Grant: identity.Grant{Role: identity.RoleViewer},
				}, week, 10, t0)
				if err != nil {
					e.Fatal(err)
				}
			}
		}
	}
	return func(tenant identity.TenantID, good bool) {
		e.Helper()
		for i := range makers {
			good := good || i > 0
			for j, generation := range []string{"", "grandchild"} {
				if k := e.findKey(fmt.Sprint("key_", tenant, i) + generation); k.RevokedAt.IsZero() != good {
					e.Errorf("%s in %v is revoked at %v; want it current: %v", k.ID, tenant, k.RevokedAt, good)
				}
				if _, err := e.Invitations.FindInvitation(e.ctx, invited(tenant, i, j), t0); (err == nil) != good {
					e.Errorf("FindInvitation = %v; want %d of %v there: %v", err, i, tenant, good)
				}
			}
		}
	}
}

// makeWhile makes a key, by a key that user 8 has made, in a transaction that holds their
// tenant 20, lets another transaction end what the user may do meanwhile, and looks whether
// both keys ended.
func (e *env) makeWhile(end func(ctx context.Context, tx levqor.Stores) error) {
	e.Helper()
	e.tenant(20, 7)
	e.member(20, 8, identity.RoleAdmin)
	mother, child := key("key_mother"), key("key_child")
	mother.Tenant, mother.Creator = identity.TenantID(20).String(), identity.UserID(8).String()
	child.Tenant, child.Creator = mother.Tenant, mother.ID
	if _, err := e.Keys.InsertKey(e.ctx, mother, t0); err != nil {
		e.Fatal(err)
	}
	e.meanwhile(func(ctx context.Context, tx levqor.Stores) error {
		err := tx.Directory.HoldTenant(ctx, 20)
		_, insertErr := tx.Keys.InsertKey(ctx, child, t0)
		return errors.Join(err, insertErr)
	}, end)
	for _, id := range []string{mother.ID, child.ID} {
		if k := e.findKey(id); k.RevokedAt.IsZero() {
			e.Errorf("%s is current after its maker has lost what they may do", id)
		}
	}
}
