package bunlevqor_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/bunlevqor"
)

// call is a kind of job with two secrets, which stand in its JSON in another order than
// that of Secrets.
type call struct { //nolint:recvcheck // a kind is of values, secrets are changed in place
	First  string `json:"z_first"`
	Second string `json:"a_second"`
	Text   string `json:"text"`
}

func (call) Kind() string          { return "call" }
func (c *call) Secrets() []*string { return []*string{&c.First, &c.Second} }

// rig is an app whose calls wait until they are let go.
type rig struct {
	*levqor.App
	begun, let chan struct{}
	stop       func()
}

// appWith returns an app with the secrets; stop ends it if it runs.
func appWith(t *testing.T, stores levqor.Stores, run bool, secrets ...string) *rig {
	t.Helper()
	opts := &levqor.Options{Worker: &jobs.WorkerOptions{Poll: 20 * time.Millisecond}}
	for i, s := range secrets {
		secret := []byte(s + ", 32 bytes or more from a random source")
		if i == 0 {
			opts.Secret = secret
		} else {
			opts.OldSecrets = append(opts.OldSecrets, secret)
		}
	}
	app, err := levqor.New(stores, opts)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{App: app, begun: make(chan struct{}, 9), let: make(chan struct{}), stop: func() {}}
	err = jobs.Handle(app.Registry, func(ctx context.Context, job *jobs.Job[call]) (string, error) {
		r.begun <- struct{}{}
		select {
		case <-r.let:
		case <-ctx.Done():
			return "", ctx.Err()
		}
		return job.Args.First + " " + job.Args.Second + " " + job.Args.Text, nil
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if run {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- app.Run(ctx) }()
		r.stop = func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run = %v", err)
			}
		}
	}
	return r
}

func (r *rig) enqueue(t *testing.T, tenant, text string, opts *jobs.EnqueueOptions) jobs.ID {
	t.Helper()
	info, err := r.Jobs.ForTenant(tenant).Enqueue(t.Context(), &call{"one", "two", text}, opts)
	if err != nil {
		t.Fatal(err)
	}
	return info.ID
}

func (r *rig) wantResult(t *testing.T, tenant string, id jobs.ID, text string) {
	t.Helper()
	got, err := jobs.Await[string](t.Context(), r.Jobs.ForTenant(tenant), id)
	if err != nil || got != "one two "+text {
		t.Errorf("the job of %s gave %q, %v; want its secrets", tenant, got, err)
	}
}

func eachStores(t *testing.T, run func(t *testing.T, stores levqor.Stores)) {
	t.Run("memory", func(t *testing.T) { run(t, levqor.MemStores()) })
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		db := dbtest.Open(t, fresh(t))
		if err := bunlevqor.Migrate(t.Context(), db); err != nil {
			t.Fatal(err)
		}
		run(t, bunlevqor.Stores(db))
	})
}

func TestAnOldSecretCanBeRemovedAfterReseal(t *testing.T) {
	eachStores(t, func(t *testing.T, stores levqor.Stores) {
		ctx, later := t.Context(), &jobs.EnqueueOptions{Delay: time.Hour}
		before := appWith(t, stores, false, "a")
		waits := before.enqueue(t, "acme", "waits", later)
		dead := before.enqueue(t, "other", "dead", nil)
		if _, err := before.Jobs.ForTenant("other").Cancel(ctx, dead); err != nil {
			t.Fatal(err)
		}
		_, err := before.Schedules.ForTenant("acme").Put(ctx, "hourly", jobs.Plan{Spec: "every 1h"}, &call{"one", "two", "hourly"})
		if err != nil {
			t.Fatal(err)
		}
		runs := before.enqueue(t, "acme", "runs", nil)

		between := appWith(t, stores, true, "b", "a")
		<-between.begun // under the old secret, and goes on under the new one
		fresh := between.enqueue(t, "acme", `fresh "levqor-sealed:x"`, later)
		report, err := between.Reseal(ctx)
		if err != nil || report != (levqor.ResealReport{Resealed: 4}) {
			t.Errorf("Reseal = %+v, %v; want three jobs and a schedule", report, err)
		}
		if report, err = between.Reseal(ctx); err != nil || report != (levqor.ResealReport{}) {
			t.Errorf("Reseal again = %+v, %v; want nothing left", report, err)
		}
		between.let <- struct{}{}
		between.wantResult(t, "acme", runs, "runs")
		between.stop()

		after := appWith(t, stores, true, "b")
		defer after.stop()
		close(after.let)
		for _, id := range []jobs.ID{waits, fresh} {
			if _, err := after.Jobs.ForTenant("acme").Retry(ctx, id); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := after.Jobs.ForTenant("other").Retry(ctx, dead); err != nil {
			t.Fatal(err)
		}
		fire, err := after.Schedules.ForTenant("acme").RunNow(ctx, "hourly")
		if err != nil {
			t.Fatal(err)
		}
		after.wantResult(t, "acme", waits, "waits")
		after.wantResult(t, "acme", fresh, `fresh "levqor-sealed:x"`)
		after.wantResult(t, "other", dead, "dead")
		after.wantResult(t, "acme", fire.Job, "hourly")
	})
}

func TestResealLeavesAloneWhatNoSecretOpens(t *testing.T) {
	eachStores(t, func(t *testing.T, stores levqor.Stores) {
		gone := appWith(t, stores, false, "gone").enqueue(t, "acme", "levqor-sealed:", nil)
		fake := appWith(t, stores, false, "a")
		faked := fake.enqueue(t, "acme", "levqor-sealed:AAAA", nil)
		report, err := appWith(t, stores, false, "b", "a").Reseal(t.Context())
		if err != nil || report != (levqor.ResealReport{Resealed: 1, Unreadable: 2}) {
			t.Errorf("Reseal = %+v, %v; want one job resealed and two with what cannot be read", report, err)
		}
		after := appWith(t, stores, true, "b", "gone")
		defer after.stop()
		close(after.let)
		after.wantResult(t, "acme", gone, "levqor-sealed:")
		after.wantResult(t, "acme", faked, "levqor-sealed:AAAA")
	})
}

// Far more than a batch, while workers finish jobs and others cancel and retry them.
func TestResealWhileJobsMove(t *testing.T) {
	eachStores(t, func(t *testing.T, stores levqor.Stores) {
		before := appWith(t, stores, false, "a")
		var entries []jobs.Entry
		for range 450 {
			entries = append(entries, jobs.Entry{Args: &call{"one", "two", "x"}})
		}
		infos, err := before.Jobs.ForTenant("acme").EnqueueMany(t.Context(), entries)
		if err != nil {
			t.Fatal(err)
		}
		between := appWith(t, stores, false, "b", "a")
		queue := between.Jobs.ForTenant("acme")
		done := make(chan error, 1)
		go func() {
			var errs []error
			for i := range infos {
				if i%3 > 0 {
					_, err := queue.Cancel(t.Context(), infos[i].ID)
					errs = append(errs, err)
				}
				if i%3 > 1 {
					_, err := queue.Retry(t.Context(), infos[i].ID)
					errs = append(errs, err)
				}
			}
			done <- errors.Join(errs...)
		}()
		report, err := between.Reseal(t.Context())
		if err := errors.Join(err, <-done); err != nil || report.Resealed != 450 || report.Unreadable != 0 {
			t.Errorf("Reseal = %+v, %v; want all of 450", report, err)
		}
		after := appWith(t, stores, true, "b")
		defer after.stop()
		close(after.let)
		go func() {
			for range after.begun {
			}
		}()
		for i, info := range infos {
			if i%3 == 1 {
				if _, err := after.Jobs.ForTenant("acme").Retry(t.Context(), info.ID); err != nil {
					t.Fatal(err)
				}
			}
			after.wantResult(t, "acme", info.ID, "x")
		}
	})
}

func TestTheJobThatResealsRunsOnce(t *testing.T) {
	eachStores(t, func(t *testing.T, stores levqor.Stores) {
		appWith(t, stores, false, "a").enqueue(t, "acme", "x", &jobs.EnqueueOptions{Delay: time.Hour})
		app := appWith(t, stores, false, "b", "a")
		first, err := app.StartReseal(t.Context(), "default")
		again, alsoErr := app.StartReseal(t.Context(), "default")
		if err := errors.Join(err, alsoErr); err != nil || again.ID != first.ID || !again.Duplicate {
			t.Fatalf("StartReseal = %+v and %+v, %v; want one job", first, again, err)
		}
		worker := appWith(t, stores, true, "b", "a")
		defer worker.stop()
		report, err := jobs.Await[levqor.ResealReport](t.Context(), app.Jobs.ForTenant("default"), first.ID)
		if err != nil || report.Resealed != 1 {
			t.Errorf("the job gave %+v, %v", report, err)
		}
		if info, err := app.Jobs.ForTenant("default").Get(t.Context(), first.ID); err != nil || info.Progress.Note != "1 sealed anew, 0 unreadable" {
			t.Errorf("the job says %q, %v", info.Progress.Note, err)
		}
	})
}

func TestStepsOfAHostRunToo(t *testing.T) {
	boom := errors.New("boom")
	var sealed string
	step := func(fails error) levqor.ResealStep {
		return levqor.ResealStep{Name: "webhooks", Run: func(_ context.Context, sealer jobs.KeyedSealer, tell func(levqor.ResealReport)) (levqor.ResealReport, error) {
			known, current := sealer.Sealed(sealed)
			if !known || current {
				t.Errorf("Sealed = %v, %v; want a value of the old secret", known, current)
			}
			tell(levqor.ResealReport{Resealed: 2})
			return levqor.ResealReport{Resealed: 2, Unreadable: 1}, fails
		}}
	}
	old := []byte("a, 32 bytes or more from a random source")
	ring, err := levqor.NewKeyRing(old)
	if err != nil {
		t.Fatal(err)
	}
	if sealed, err = ring.Sealer().Seal([]byte("x"), nil); err != nil {
		t.Fatal(err)
	}
	for _, fails := range []error{nil, boom} {
		app, err := levqor.New(levqor.MemStores(), &levqor.Options{
			Secret: []byte("b, 32 bytes or more from a random source"), OldSecrets: [][]byte{old}, ResealSteps: []levqor.ResealStep{step(fails)},
		})
		if err != nil {
			t.Fatal(err)
		}
		report, err := app.Reseal(t.Context())
		if !errors.Is(err, fails) || report != (levqor.ResealReport{Resealed: 2, Unreadable: 1}) {
			t.Errorf("Reseal = %+v, %v; want %v", report, err, fails)
		}
	}
}
