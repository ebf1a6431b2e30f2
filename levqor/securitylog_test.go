package levqor_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/identity"
)

func securityEvents(t *testing.T, app *levqor.App, tenant string) []guard.Entry {
	t.Helper()
	all, err := app.SecurityLog.Entries(context.Background(), tenant, guard.LogQuery{FirstFirst: true, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// An attack does not stop because a node does.
func TestWhatHappensDuringTheDrainIsRecordedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newApp(t, levqor.MemStores(), levqor.Options{})
		started, release := make(chan struct{}), make(chan struct{})
		err := jobs.Handle(app.Registry, func(context.Context, *jobs.Job[Shout]) (string, error) {
			close(started)
			<-release
			return "", nil
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- app.Run(ctx) }()
		if _, err := app.Jobs.Enqueue(ctx, Shout{}, nil); err != nil {
			t.Fatal(err)
		}
		<-started
		stop()
		<-app.Draining()
		time.Sleep(time.Second)
		denied := guard.Event{Tenant: "a", Action: guard.ActionAccessDenied, Outcome: guard.OutcomeDenied}
		if err := app.SecurityLog.Note(denied); err != nil {
			t.Fatal(err)
		}
		close(release)
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
		if all := securityEvents(t, app, "a"); len(all) != 1 {
			t.Errorf("the log is %+v", all)
		}
	})
}

func TestADeletedTenantTakesItsSecurityLogAlong(t *testing.T) {
	app := newApp(t, levqor.MemStores(), levqor.Options{})
	email, err := identity.ParseEmail("ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	ada, _, err := app.Directory.EnsureUser(t.Context(), email, "Ada")
	if err != nil {
		t.Fatal(err)
	}
	tenant, err := app.Directory.CreateTenant(t.Context(), "Engines", ada.ID)
	if err != nil {
		t.Fatal(err)
	}
	id := tenant.ID.String()
	denied := guard.Event{Tenant: id, Action: guard.ActionAccessDenied, Outcome: guard.OutcomeDenied}
	if err := errors.Join(app.SecurityLog.Record(t.Context(), denied), app.Directory.DeleteTenant(t.Context(), tenant.ID)); err != nil {
		t.Fatal(err)
	}
	if all := securityEvents(t, app, id); len(all) > 0 {
		t.Errorf("the log is %+v", all)
	}
	all := securityEvents(t, app, identity.OwnerTenant)
	if len(all) != 1 || all[0].Action != guard.ActionTenantDeleted || all[0].Target != id {
		t.Errorf("the owner's log is %+v", all)
	}
}

func TestTheSecurityLogIsKeptForAsLongAsTheOptionsSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newApp(t, levqor.MemStores(), levqor.Options{SecurityLogRetention: time.Hour})
		denied := guard.Event{Tenant: "a", Action: guard.ActionAccessDenied, Outcome: guard.OutcomeDenied}
		if err := app.SecurityLog.Record(t.Context(), denied); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- app.Run(ctx) }()
		time.Sleep(55 * time.Minute)
		synctest.Wait()
		if all := securityEvents(t, app, "a"); len(all) != 1 {
			t.Errorf("before its time the log is %+v", all)
		}
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		if all := securityEvents(t, app, "a"); len(all) > 0 {
			t.Errorf("after its time the log is %+v", all)
		}
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}
