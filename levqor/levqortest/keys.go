package levqortest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/identity"
)

func key(id string) identity.Key {
	return identity.Key{
		ID: id, Tenant: "a", Name: "it's ?", Environment: identity.Test, LastFour: "x?'y", Creator: "key_0", Hash: []byte{0, 1, 0xff},
		Scopes:          []string{"jobs:read", "jobs:write"},
		AllowedNetworks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")},
	}
}

var rotation = identity.KeyRotation{Hash: []byte{7, 0}, LastFour: "new!", Overlap: time.Hour}

var keyCases = map[string]func(*env){
	"everything about a key is kept": func(e *env) {
		want := key("key_1")
		want.ExpiresAt = t0.Add(time.Hour)
		if got, err := e.Keys.InsertKey(e.ctx, want, t0); err != nil || !got.CreatedAt.Equal(t0) {
			e.Fatalf("InsertKey = %+v, %v; want CreatedAt set", got, err)
		}
		want.CreatedAt = t0
		if got := e.findKey("key_1"); fmt.Sprint(got) != fmt.Sprint(want) {
			e.Errorf("FindKey = %v, want %v", got, want)
		}
	},
	"an unknown key is not found": func(e *env) {
		_, _, err := e.Keys.FindKey(e.ctx, "key_nope", t0)
		e.wantErr(err, identity.ErrNotFound, "there is none")
	},
	"finding a key tells the instant, of the store's clock if none is given": func(e *env) {
		e.insertKey("key_1")
		if _, at, err := e.Keys.FindKey(e.ctx, "key_1", t0); err != nil || !at.Equal(t0) {
			e.Errorf("FindKey = %v, %v; want %v", at, err, t0)
		}
		_, first, err := e.Keys.FindKey(e.ctx, "key_1", time.Time{})
		_, second, alsoErr := e.Keys.FindKey(e.ctx, "key_1", time.Time{})
		if err := errors.Join(err, alsoErr); err != nil || first.IsZero() || second.Before(first) || second.Sub(first) > time.Minute {
			e.Errorf("FindKey = %v and then %v, %v; want a clock", first, second, err)
		}
	},
	"a taken ID is a conflict": func(e *env) {
		e.insertKey("key_1")
		_, err := e.Keys.InsertKey(e.ctx, key("key_1"), t0)
		e.wantErr(err, identity.ErrConflict, "the ID is taken")
	},
	"of a revoked key the first time counts": func(e *env) {
		e.insertKey("key_1")
		for i := range 2 {
			got, err := e.Keys.RevokeKey(e.ctx, "a", "key_1", t0.Add(time.Duration(i)*time.Hour))
			if err != nil || !got.RevokedAt.Equal(t0) {
				e.Errorf("RevokeKey = %v, %v; want %v", got.RevokedAt, err, t0)
			}
		}
		if got := e.findKey("key_1"); !got.RevokedAt.Equal(t0) {
			e.Errorf("the key was revoked at %v, want %v", got.RevokedAt, t0)
		}
	},
	"another tenant's key looks absent and is left alone": func(e *env) {
		e.insertKey("key_1")
		before := e.findKey("key_1")
		_, err := e.Keys.RevokeKey(e.ctx, "b", "key_1", t0)
		_, updateErr := e.Keys.UpdateKey(e.ctx, "b", "key_1", identity.KeyChange{Name: new("mine")})
		_, rotateErr := e.Keys.RotateKey(e.ctx, "b", "key_1", rotation, t0)
		for _, err := range []error{err, updateErr, rotateErr} {
			e.wantErr(err, identity.ErrNotFound, "the key belongs to tenant a")
		}
		if keys, err := e.Keys.ListKeys(e.ctx, "b", identity.KeyQuery{Limit: 9, WithRevoked: true}); err != nil || len(keys) > 0 {
			e.Errorf("ListKeys = %v, %v; want none", keys, err)
		}
		if got := e.findKey("key_1"); fmt.Sprint(got) != fmt.Sprint(before) {
			e.Errorf("the key is %v, want %v", got, before)
		}
	},
	"another tenant's key that is retiring or revoked looks absent too": func(e *env) {
		e.insertKey("key_1")
		e.rotate(rotation, t0)
		_, err := e.Keys.RotateKey(e.ctx, "b", "key_1", rotation, t0)
		e.wantErr(err, identity.ErrNotFound, "the key belongs to tenant a")
		e.revoke()
		_, err = e.Keys.UpdateKey(e.ctx, "b", "key_1", identity.KeyChange{Name: new("mine")})
		e.wantErr(err, identity.ErrNotFound, "the key belongs to tenant a")
	},
	"a change of nothing keeps others from changing a key until the transaction ends": func(e *env) {
		for i, change := range []func(ctx context.Context, tx levqor.Stores, id string) error{
			func(ctx context.Context, tx levqor.Stores, id string) error {
				_, err := tx.Keys.UpdateKey(ctx, "a", id, identity.KeyChange{Name: new("later")})
				return err
			},
			func(ctx context.Context, tx levqor.Stores, id string) error {
				_, err := tx.Keys.RotateKey(ctx, "a", id, rotation, t0)
				return err
			},
			func(ctx context.Context, tx levqor.Stores, id string) error {
				_, err := tx.Keys.RevokeKey(ctx, "a", id, t0)
				return err
			},
			func(ctx context.Context, tx levqor.Stores, _ string) error { // who has made it
				_, err := tx.Directory.DisableUser(ctx, 8, t0)
				return err
			},
		} {
			e.changeWhileHeld(fmt.Sprint("key_", i), change)
		}
	},
	"what there is none of is not found": func(e *env) {
		_, err := e.Keys.RevokeKey(e.ctx, "a", "key_nope", t0)
		_, updateErr := e.Keys.UpdateKey(e.ctx, "a", "key_nope", identity.KeyChange{Name: new("x")})
		_, rotateErr := e.Keys.RotateKey(e.ctx, "a", "key_nope", rotation, t0)
		for _, err := range []error{err, updateErr, rotateErr} {
			e.wantErr(err, identity.ErrNotFound, "there is none")
		}
	},
	"one owner's key is stored, whoever tries at once": func(e *env) {
		var winners atomic.Int32
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				won, err := e.Keys.InsertOwnerKey(e.ctx, key(fmt.Sprint("key_", i)), time.Time{})
				if err != nil {
					e.Errorf("InsertOwnerKey = %v", err)
				}
				if won {
					winners.Add(1)
				}
			})
		}
		wg.Wait()
		if n := winners.Load(); n != 1 {
			e.Errorf("%d callers stored an owner's key, want 1", n)
		}
	},
	"keys are listed newest first, page by page": func(e *env) {
		const us = time.Microsecond
		for i, at := range []time.Duration{0, 2 * us, us, us, us} { // three of one instant
			if _, err := e.Keys.InsertKey(e.ctx, key(fmt.Sprint("key_", i)), t0.Add(at)); err != nil {
				e.Fatal(err)
			}
		}
		whole := e.listKeys(identity.KeyQuery{Limit: 9})
		var paged []string
		for q := (identity.KeyQuery{Limit: 2}); ; {
			keys, err := e.Keys.ListKeys(e.ctx, "a", q)
			if err != nil {
				e.Fatalf("ListKeys = %v", err)
			}
			for _, k := range keys {
				paged = append(paged, k.ID)
			}
			if len(keys) < q.Limit {
				break
			}
			q.Before = keys[len(keys)-1]
		}
		if fmt.Sprint(paged) != fmt.Sprint(whole) || len(whole) != 5 || whole[0] != "key_1" || whole[4] != "key_0" {
			e.Errorf("pages gave %v, the whole list is %v", paged, whole)
		}
	},
	"revoked keys are listed if asked for": func(e *env) {
		e.insertKey("key_1")
		e.insertKey("key_2")
		e.revoke()
		if got := e.listKeys(identity.KeyQuery{Limit: 9}); fmt.Sprint(got) != "[key_2]" {
			e.Errorf("ListKeys gave %v, want key_2", got)
		}
		if got := e.listKeys(identity.KeyQuery{Limit: 9, WithRevoked: true}); len(got) != 2 {
			e.Errorf("ListKeys gave %v, want both", got)
		}
	},
	"a key is changed as far as is said": func(e *env) {
		e.insertKey("key_1")
		want := e.findKey("key_1")
		for _, c := range []identity.KeyChange{
			{}, {Name: new("?0 it's")}, {AllowedNetworks: new([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})}, {AllowedNetworks: new([]netip.Prefix(nil))},
		} {
			if c.Name != nil {
				want.Name = *c.Name
			}
			if c.AllowedNetworks != nil {
				want.AllowedNetworks = *c.AllowedNetworks
			}
			got, err := e.Keys.UpdateKey(e.ctx, "a", "key_1", c)
			if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				e.Errorf("UpdateKey = %v, %v; want %v", got, err, want)
			}
		}
		if got := e.findKey("key_1"); fmt.Sprint(got) != fmt.Sprint(want) {
			e.Errorf("FindKey = %v, want %v", got, want)
		}
	},
	"a revoked key stays as it is": func(e *env) {
		e.insertKey("key_1")
		e.revoke()
		_, err := e.Keys.UpdateKey(e.ctx, "a", "key_1", identity.KeyChange{Name: new("x")})
		_, rotateErr := e.Keys.RotateKey(e.ctx, "a", "key_1", rotation, t0)
		for _, err := range []error{err, rotateErr} {
			e.wantErr(err, identity.ErrConflict, "the key is revoked")
		}
		if errors.Is(rotateErr, identity.ErrRotating) {
			e.Errorf("RotateKey = %v, but no secret works", rotateErr)
		}
	},
	"an expired key is not rotated": func(e *env) {
		k := key("key_1")
		k.ExpiresAt = t0.Add(time.Hour)
		if _, err := e.Keys.InsertKey(e.ctx, k, t0); err != nil {
			e.Fatal(err)
		}
		_, err := e.Keys.RotateKey(e.ctx, "a", "key_1", rotation, k.ExpiresAt)
		e.wantErr(err, identity.ErrConflict, "the key is expired")
		e.rotate(rotation, k.ExpiresAt.Add(-time.Microsecond))
	},
	"a rotation keeps the old secret for the overlap and changes nothing else": func(e *env) {
		e.insertKey("key_1")
		want := e.findKey("key_1")
		want.OldHash, want.Hash, want.LastFour = want.Hash, rotation.Hash, rotation.LastFour
		want.RotatedAt, want.RetiringUntil = t0.Add(time.Minute), t0.Add(time.Hour+time.Minute)
		got := e.rotate(rotation, t0.Add(time.Minute))
		if found := e.findKey("key_1"); fmt.Sprint(got) != fmt.Sprint(want) || fmt.Sprint(found) != fmt.Sprint(want) {
			e.Errorf("RotateKey = %v and FindKey = %v, want %v", got, found, want)
		}
	},
	"a rotation without an overlap leaves no old secret": func(e *env) {
		e.insertKey("key_1")
		e.rotate(rotation, t0)
		got := e.rotate(identity.KeyRotation{Hash: []byte{9}, LastFour: "last"}, t0.Add(time.Hour))
		if len(got.OldHash) > 0 || !got.RetiringUntil.IsZero() || !got.RotatedAt.Equal(t0.Add(time.Hour)) {
			e.Errorf("RotateKey = %v, want no old secret", got)
		}
	},
	"a key is not rotated again while an old secret works": func(e *env) {
		e.insertKey("key_1")
		e.rotate(rotation, t0)
		_, err := e.Keys.RotateKey(e.ctx, "a", "key_1", rotation, t0.Add(time.Hour-time.Microsecond))
		e.wantErr(err, identity.ErrRotating, "the old secret works for another microsecond")
		e.rotate(rotation, t0.Add(time.Hour))
	},
	"of a hundred rotations at once one counts": func(e *env) {
		e.insertKey("key_1")
		var winner atomic.Pointer[identity.Key]
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				got, err := e.Keys.RotateKey(e.ctx, "a", "key_1", identity.KeyRotation{Hash: []byte{byte(i)}, Overlap: time.Hour}, time.Time{})
				if err == nil && !winner.CompareAndSwap(nil, &got) {
					e.Error("two rotations succeeded")
				} else if err != nil && !errors.Is(err, identity.ErrRotating) {
					e.Errorf("RotateKey = %v, want ErrRotating", err)
				}
			})
		}
		wg.Wait()
		if got := e.findKey("key_1"); winner.Load() == nil || fmt.Sprint(got) != fmt.Sprint(*winner.Load()) || !bytes.Equal(got.OldHash, key("key_1").Hash) {
			e.Errorf("the key is %v", got)
		}
	},
	"a hash is replaced where it is, and nothing else": func(e *env) {
		e.insertKey("key_1")
		before := e.findKey("key_1")
		rehash := func(id string, from, to []byte) {
			e.Helper()
			all := []identity.Rehash{{ID: id, From: from, To: to}, {ID: "key_nope", From: from, To: to}}
			if err := e.Keys.RehashKeys(e.ctx, all); err != nil {
				e.Fatalf("RehashKeys = %v", err)
			}
		}
		want := func(want identity.Key, promise string) {
			e.Helper()
			if got := e.findKey("key_1"); fmt.Sprint(got) != fmt.Sprint(want) {
				e.Errorf("the key is %v, want %v: %s", got, want, promise)
			}
		}
		rehash("key_1", []byte{9}, []byte{8})
		rehash("key_2", before.Hash, []byte{8})
		want(before, "the hash is another, or of another key")
		after := before
		after.Hash = []byte{0, 4}
		rehash("key_1", before.Hash, after.Hash)
		want(after, "the hash is replaced")
		after = e.rotate(rotation, t0)
		after.OldHash = []byte{5, 0}
		rehash("key_1", []byte{0, 4}, after.OldHash)
		want(after, "the hash has become the old one")
		if err := e.Keys.RehashKeys(e.ctx, nil); err != nil {
			e.Errorf("RehashKeys of none = %v", err)
		}
	},
	"a use is recorded once a minute": func(e *env) {
		e.insertKey("key_1")
		other := key("key_2")
		other.Tenant = "b"
		if _, err := e.Keys.InsertKey(e.ctx, other, t0); err != nil {
			e.Fatal(err)
		}
		const us = time.Microsecond
		for _, step := range []struct{ at, want time.Duration }{{us, us}, {time.Minute, us}, {time.Minute + us, time.Minute + us}} {
			at, want := t0.Add(step.at), t0.Add(step.want)
			if err := e.Keys.TouchKeys(e.ctx, []string{"key_1", "key_nope", "key_2"}, at); err != nil {
				e.Fatalf("TouchKeys = %v", err)
			}
			for _, id := range []string{"key_1", "key_2"} {
				if got := e.findKey(id).LastUsedAt; !got.Equal(want) {
					e.Errorf("LastUsedAt at %v is %v, want %v", at, got, want)
				}
			}
		}
		if err := e.Keys.TouchKeys(e.ctx, nil, t0); err != nil {
			e.Errorf("TouchKeys of none = %v", err)
		}
	},
}

func (e *env) insertKey(id string) {
	e.Helper()
	if _, err := e.Keys.InsertKey(e.ctx, key(id), t0); err != nil {
		e.Fatalf("InsertKey = %v", err)
	}
}

func (e *env) findKey(id string) identity.Key {
	e.Helper()
	got, _, err := e.Keys.FindKey(e.ctx, id, t0)
	if err != nil {
		e.Fatalf("FindKey = %v", err)
	}
	return got
}

func (e *env) listKeys(q identity.KeyQuery) []string {
	e.Helper()
	keys, err := e.Keys.ListKeys(e.ctx, "a", q)
	if err != nil {
		e.Fatalf("ListKeys = %v", err)
	}
	var ids []string
	for _, k := range keys {
		ids = append(ids, k.ID)
	}
	return ids
}

// rotate gives key_1 another secret.
func (e *env) rotate(r identity.KeyRotation, now time.Time) identity.Key {
	e.Helper()
	got, err := e.Keys.RotateKey(e.ctx, "a", "key_1", r, now)
	if err != nil {
		e.Fatalf("RotateKey = %v", err)
	}
	return got
}

// revoke ends key_1.
func (e *env) revoke() {
	e.Helper()
	if _, err := e.Keys.RevokeKey(e.ctx, "a", "key_1", t0); err != nil {
		e.Fatalf("RevokeKey = %v", err)
	}
}
