// Package levqortest checks that stores keep every promise of package levqor and
// its rooms: API keys, people and their addresses, invitations, logins, second factors,
// identity providers, rate limits, security logs, idempotency records, and transactions
// across stores.
//
//	func TestStores(t *testing.T) {
//		levqortest.TestStores(t, func(t *testing.T) levqor.Stores { return open(t) })
//	}
//
// The jobs among the stores have a kit of their own, package jobstest.
package levqortest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/guard"
)

// TestStores runs every case, each as a subtest on stores of its own. Each call
// of open must return empty stores that live until its test ends.
func TestStores(t *testing.T, open func(*testing.T) levqor.Stores) {
	for _, group := range []struct {
		name  string
		cases map[string]func(*env)
	}{
		{"Keys", keyCases},
		{"Users", userCases},
		{"Addresses", addressCases},
		{"Undos", undoCases},
		{"Tenants", tenantCases},
		{"Members", memberCases},
		{"Deletion", deletionCases},
		{"Invitations", invitationCases},
		{"Links", linkCases},
		{"UserLinks", userLinkCases},
		{"Sessions", sessionCases},
		{"Rotations", rotationCases},
		{"SessionEnds", sessionEndCases},
		{"Vouches", vouchCases},
		{"TOTP", totpCases},
		{"Recovery", recoveryCases},
		{"Passkeys", passkeyCases},
		{"Ceremonies", ceremonyCases},
		{"Held", heldCases},
		{"Connections", connectionCases},
		{"Sealed", sealedCases},
		{"Domains", domainCases},
		{"Subjects", subjectCases},
		{"Flows", flowCases},
		{"Rates", rateCases},
		{"SecurityLog", logCases},
		{"Idempotency", idempotencyCases},
		{"InTx", txCases},
	} {
		t.Run(group.name, func(t *testing.T) {
			for name, run := range group.cases {
				t.Run(name, func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), caseTimeout)
					defer cancel()
					run(&env{T: t, Stores: open(t), ctx: ctx})
				})
			}
		})
	}
}

// TestManyProcesses checks what must hold when four processes use one database at once.
// Each call of open must return a function on an empty database of its own, whose calls
// return stores as a process of its own has them.
func TestManyProcesses(t *testing.T, open func(*testing.T) func() levqor.Stores) {
	for name, run := range map[string]func(*env, ...levqor.Stores){
		"200 callers with eight spellings make one user":                        (*env).ensureOneUser,
		"of two owners one stays when 100 callers take them away":               (*env).leaveOneOwner,
		"an invitation is accepted once by 100 callers":                         (*env).acceptOnce,
		"one of 40 callers makes the first invitation":                          (*env).inviteOneOwner,
		"whoever is added while a user is deleted is no member of what is gone": (*env).addWhileDeleting,
		"whoever joins a tenant is waited for when its user is deleted":         (*env).joinWhileDeleting,
		"of 100 tries of a link at once five are looked at":                     (*env).tryFive,
		"of 100 callers one uses a link":                                        (*env).useOnce,
		"of links stored at once three have mail":                               (*env).mailThree,
		"of callers at once for one address one gets it":                        (*env).moveOne,
		"an address that is left is nobody's in any moment":                     (*env).leaveAndCome,
		"of callers at once one undoes, and no later change outlives":           (*env).undoOnce,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), caseTimeout)
			defer cancel()
			process := open(t)
			e := &env{T: t, Stores: process(), ctx: ctx}
			run(e, e.Stores, process(), process(), process())
		})
	}
}

// caseTimeout ends a case whose store never answers.
const caseTimeout = 60 * time.Second

// t0 is when the cases play, in the precision of the databases.
var t0 = time.Date(2031, 5, 6, 7, 8, 9, 123456000, time.UTC)

// errBoom rolls transactions back.
var errBoom = errors.New("boom")

type env struct {
	*testing.T
	levqor.Stores
	ctx context.Context //nolint:containedctx // lives as long as one case
}

func (e *env) wantErr(err, want error, promise string) {
	e.Helper()
	if !errors.Is(err, want) {
		e.Errorf("the error is %v, want %v: %s", err, want, promise)
	}
}

var scope = levqor.IdempotencyScope{Tenant: "a", Caller: "key_1", Operation: "POST /x", Key: "it's ?"}

var idempotencyCases = map[string]func(*env){
	"a record is begun, finished and found": func(e *env) {
		record := levqor.IdempotencyRecord{Scope: scope, Fingerprint: []byte{0, 1, 0xff}}
		want := levqor.Answer{Status: 201, Header: map[string]string{"Location": "/x/1"}, Body: []byte(`{"a":"it's ?"}`)}
		e.inTx(func(ctx context.Context, tx levqor.Stores) error {
			if _, found, err := tx.Idempotency.Begin(ctx, record, time.Hour, t0); err != nil || found {
				e.Errorf("Begin = %v, %v; want a new record", found, err)
			}
			return tx.Idempotency.Finish(ctx, scope, want)
		})
		e.inTx(func(ctx context.Context, tx levqor.Stores) error {
			got, found, err := tx.Idempotency.Begin(ctx, record, time.Hour, t0.Add(time.Hour-time.Microsecond))
			if err != nil || !found || string(got.Fingerprint) != string(record.Fingerprint) || fmt.Sprint(got.Answer) != fmt.Sprint(want) {
				e.Errorf("Begin = %v, %v, %v; want the record with %v", got, found, err, want)
			}
			return nil
		})
	},
	"an expired record makes way": func(e *env) {
		e.wantBegun(scope, t0, true)
		e.wantBegun(scope, t0.Add(time.Hour-time.Microsecond), false)
		e.wantBegun(scope, t0.Add(time.Hour), true)
	},
	"each part of the scope counts": func(e *env) {
		e.wantBegun(scope, t0, true)
		for _, change := range []func(*levqor.IdempotencyScope){
			func(s *levqor.IdempotencyScope) { s.Tenant = "b" },
			func(s *levqor.IdempotencyScope) { s.Caller = "b" },
			func(s *levqor.IdempotencyScope) { s.Operation = "b" },
			func(s *levqor.IdempotencyScope) { s.Key = "b" },
		} {
			other := scope
			change(&other)
			e.wantBegun(other, t0, true)
		}
	},
	"an answer without a record is not found": func(e *env) {
		e.inTx(func(ctx context.Context, tx levqor.Stores) error {
			e.wantErr(tx.Idempotency.Finish(ctx, scope, levqor.Answer{}), levqor.ErrNotFound, "nothing was begun")
			return nil
		})
	},
	"expired records are deleted up to the limit": func(e *env) {
		for i := range 3 {
			s := scope
			s.Key = fmt.Sprint(i)
			e.wantBegun(s, t0, true)
		}
		late := scope
		e.wantBegun(late, t0.Add(time.Minute), true)
		for _, want := range []int{2, 1, 0} {
			if n, err := e.Idempotency.DeleteExpired(e.ctx, 2, t0.Add(time.Hour)); err != nil || n != want {
				e.Errorf("DeleteExpired = %d, %v; want %d", n, err, want)
			}
		}
		e.wantBegun(late, t0.Add(time.Hour), false)
	},
	"a tenant's records are deleted up to the limit, and nobody else's": func(e *env) {
		for i := range 3 {
			s := scope
			s.Caller, s.Key = fmt.Sprint("key_", i), fmt.Sprint(i)
			e.wantBegun(s, t0.Add(time.Duration(i)*time.Minute), true)
		}
		other := scope
		other.Tenant, other.Caller, other.Key = "b", "key_0", "0"
		e.wantBegun(other, t0, true)
		for _, want := range []int{2, 1, 0} {
			if n, err := e.Idempotency.DeleteTenant(e.ctx, "a", 2); err != nil || n != want {
				e.Errorf("DeleteTenant = %d, %v; want %d", n, err, want)
			}
		}
		e.wantBegun(other, t0, false)
	},
	"of callers at once one begins and the others wait for its answer": func(e *env) {
		var begun atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				err := e.InTx(e.ctx, func(ctx context.Context, tx levqor.Stores) error {
					got, found, err := tx.Idempotency.Begin(ctx, levqor.IdempotencyRecord{Scope: scope, Fingerprint: []byte("f")}, time.Hour, time.Time{})
					if err != nil {
						return err
					}
					if found {
						if got.Answer.Status != 201 {
							e.Errorf("Begin = %+v, want the answer of the first caller", got)
						}
						return nil
					}
					begun.Add(1)
					time.Sleep(10 * time.Millisecond) // others come meanwhile
					return tx.Idempotency.Finish(ctx, scope, levqor.Answer{Status: 201})
				})
				if err != nil {
					e.Errorf("InTx = %v", err)
				}
			})
		}
		wg.Wait()
		if n := begun.Load(); n != 1 {
			e.Errorf("%d callers began, want 1", n)
		}
	},
}

func (e *env) inTx(fn func(context.Context, levqor.Stores) error) {
	e.Helper()
	if err := e.InTx(e.ctx, fn); err != nil {
		e.Fatalf("InTx = %v", err)
	}
}

func (e *env) wantBegun(s levqor.IdempotencyScope, now time.Time, want bool) {
	e.Helper()
	e.inTx(func(ctx context.Context, tx levqor.Stores) error {
		_, found, err := tx.Idempotency.Begin(ctx, levqor.IdempotencyRecord{Scope: s, Fingerprint: []byte("f")}, time.Hour, now)
		if err != nil || found == want {
			e.Errorf("Begin(%v) at %v = %v, %v; want a new record: %v", s, now, found, err, want)
		}
		return err
	})
}

var txCases = map[string]func(*env){
	"what it did is kept as a whole": func(e *env) {
		e.inTx(e.touchAll)
		e.wantTouched(true)
	},
	"an error undoes all of it and is returned": func(e *env) {
		err := e.InTx(e.ctx, func(ctx context.Context, tx levqor.Stores) error {
			return errors.Join(e.touchAll(ctx, tx), errBoom)
		})
		e.wantErr(err, errBoom, "it is the caller's")
		e.wantTouched(false)
	},
	"a transaction within one belongs to it": func(e *env) {
		err := e.InTx(e.ctx, func(ctx context.Context, tx levqor.Stores) error {
			if err := tx.InTx(ctx, e.touchAll); err != nil {
				e.Errorf("InTx = %v", err)
			}
			return errBoom
		})
		e.wantErr(err, errBoom, "it is the caller's")
		e.wantTouched(false)
	},
	"the stores say that they are ready": func(e *env) {
		if err := e.Check(e.ctx); err != nil {
			e.Errorf("Check = %v", err)
		}
	},
}

// touchAll changes something in every store.
func (e *env) touchAll(ctx context.Context, tx levqor.Stores) error {
	job := jobs.Insertion{Info: &jobs.Info{ID: 7, Kind: "k", Queue: "q", Priority: 5, MaxAttempts: 1, Args: []byte(`{}`)}}
	_, err := tx.Jobs.Insert(ctx, []jobs.Insertion{job}, t0)
	_, keyErr := tx.Keys.InsertKey(ctx, key("key_7"), t0)
	_, linkErr := tx.SSO.InsertLink(ctx, e.newLink("s", 7, 20), t0)
	_, rateErr := tx.Rates.Take(ctx, []guard.Draw{{Key: "r", Advance: time.Hour, Depth: time.Hour}}, t0)
	_, _, beginErr := tx.Idempotency.Begin(ctx, levqor.IdempotencyRecord{Scope: scope, Fingerprint: []byte("f")}, time.Hour, t0)
	logErr := tx.SecurityLog.Change(ctx, "a", adding(entry(1)), t0)
	return errors.Join(err, keyErr, rateErr, beginErr, logErr, linkErr)
}

func (e *env) wantTouched(want bool) {
	e.Helper()
	_, jobErr := e.Jobs.Get(e.ctx, "", 7)
	_, _, keyErr := e.Keys.FindKey(e.ctx, "key_7", t0)
	_, linkErr := e.SSO.FindLink(e.ctx, 20, "https://login.example", "s")
	for what, err := range map[string]error{"job": jobErr, "key": keyErr, "link": linkErr} {
		if (err == nil) != want || err != nil && !errors.Is(err, levqor.ErrNotFound) {
			e.Errorf("the %s: %v, want it kept: %v", what, err, want)
		}
	}
	e.wantSeqs("a", guard.LogQuery{}, map[bool][]int64{true: {1}}[want]...)
	e.wantBegun(scope, t0, !want)
	e.wantLevel(t0, guard.Draw{Key: "r", Advance: time.Hour, Depth: time.Hour}, guard.Level{Fits: !want, Ahead: map[bool]time.Duration{true: time.Hour}[want]})
}
