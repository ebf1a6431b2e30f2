package bunjobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/jobs"
)

// poison is a row that somebody has spoilt by hand.
type poison struct {
	set    string // what was written into the row
	state  jobs.State
	errors []string // the texts of Attempts
}

const (
	noArgs     = "/args: cannot be decoded as the arguments of the kind"
	unreadable = "unreadable record of attempts"
)

var poisons = []poison{
	{`args = 'not json'`, jobs.Discarded, []string{noArgs}},
	{`args = ''`, jobs.Discarded, []string{noArgs}},
	{`args = 'null'`, jobs.Discarded, []string{noArgs}},
	{`args = '["x"]'`, jobs.Discarded, []string{noArgs}},
	{`args = '{"text":5}'`, jobs.Discarded, []string{noArgs}},
	{`args = '{"text":"boom"}', attempts = 'rubbish'`, jobs.Discarded, []string{unreadable, "boom"}},
	{`attempts = 'rubbish'`, jobs.Completed, []string{unreadable}},
	{`attempts = '{"number":1}'`, jobs.Completed, []string{unreadable}},
	{`attempts = '[{"number":"first"}]'`, jobs.Completed, []string{unreadable}},
	{`attempts = '[{"started_at":"yesterday"}]'`, jobs.Completed, []string{unreadable}},
	{`attempts = '[]'`, jobs.Completed, nil},
	{`kind = 'stranger'`, jobs.Ready, nil},
	{`run_at = BEYOND`, jobs.Completed, nil},
	{`priority = 99, timeout = -7, fraction = 12`, jobs.Completed, nil},
	{`attempt = 500, epoch = 500`, jobs.Completed, nil},
	{`max_attempts = 0`, jobs.Completed, nil},
}

// Rows that nobody should have written fail for themselves. The rest of their batch
// completes, and they can be looked at, retried and cancelled like others.
func TestASpoiltRowFailsAlone(t *testing.T) {
	onRigs(t, func(r *rig) {
		r.handle(func(_ context.Context, job *jobs.Job[note]) (string, error) {
			if job.Args.Text == "boom" {
				return "", errors.New("boom")
			}
			return "ok", nil
		}, &jobs.KindOptions{MaxAttempts: 1})
		good := r.enqueue(20, nil)
		bad := r.enqueue(len(poisons), nil)
		good = append(good, r.enqueue(20, nil)...)
		beyond := map[string]string{"postgres": "'-infinity', created_at = 'infinity', fraction = 'NaN'", "sqlite": "-1 << 62, created_at = 1 << 62"}
		for i, p := range poisons {
			r.exec("UPDATE levqor_jobs_live SET "+strings.ReplaceAll(p.set, "BEYOND", beyond[r.scheme()])+" WHERE id = ?", int64(bad[i]))
		}
		defer r.work(r.store, nil)()
		r.await("all jobs end that can", 10*time.Second, func() bool {
			return r.count(jobs.Ready, jobs.Running) == 1 // the one of an unknown kind
		})
		for _, id := range good {
			if job := r.get(id); job.State != jobs.Completed || job.Attempt != 1 {
				r.Errorf("a good job is %s after %d attempts", job.State, job.Attempt)
			}
		}
		for i, p := range poisons {
			job := r.get(bad[i])
			var texts []string
			for _, a := range job.Attempts {
				texts = append(texts, a.Error)
			}
			if got, want := strings.Join(texts, ", "), strings.Join(p.errors, ", "); job.State != p.state || !strings.Contains(got, want) {
				r.Errorf("%s: the job is %s, %q; want %s, %q", p.set, job.State, got, p.state, want)
			}
		}
		all, err := r.queue.List(r.Context(), jobs.ListQuery{Limit: 1000})
		if err != nil || len(all) != len(good)+len(bad) {
			r.Errorf("List returned %d jobs, %v", len(all), err)
		}
		if _, err := json.Marshal(all); err != nil {
			r.Errorf("the list has no JSON: %v", err)
		}
		if job, err := r.queue.Retry(r.Context(), bad[0]); err != nil || job.State != jobs.Ready {
			r.Errorf("Retry = %s, %v", job.State, err)
		}
	})
}

// Settings of a queue that cannot be read harm neither it nor others: what cannot be
// read counts as not set, the limits beside it hold.
func TestUnreadableSettingsOfAQueueHarmNothing(t *testing.T) {
	onRigs(t, func(r *rig) {
		r.join(1)
		queues := jobs.NewQueues(r.store)
		for _, name := range []string{"default", "other"} {
			if err := queues.Put(r.Context(), jobs.QueueSettings{Queue: name, MaxRunning: 3, Weights: map[string]int{"a": 2}}); err != nil {
				r.Fatal(err)
			}
		}
		for _, text := range []string{"rubbish", "", `[1]`, `{"a":"heavy"}`, `{"a":0,"":-5}`, `null`} {
			r.exec("UPDATE levqor_jobs_queue SET weights = ? WHERE name = 'default'", text)
			all, err := queues.List(r.Context())
			if err != nil || len(all) != 2 || all[0].MaxRunning != 3 || all[1].Weights["a"] != 2 {
				r.Errorf("%q: List = %+v, %v", text, all, err)
			}
			r.enqueue(2, &jobs.EnqueueOptions{Tenant: "a"})
			r.enqueue(2, nil)
			got := r.claim(1, 10)
			if len(got) != 3 {
				r.Errorf("%q: Claim returned %d jobs, want the 3 of the limit", text, len(got))
			}
			for _, job := range got {
				out := jobs.Outcome{Lease: jobs.Lease{ID: job.ID, Epoch: job.Epoch}, State: jobs.Completed}
				if err := settleOne(r.Context(), r.store, out, time.Time{}); err != nil {
					r.Error(err)
				}
			}
			if err := errors.Join(queues.Pause(r.Context(), "default"), queues.Resume(r.Context(), "default")); err != nil {
				r.Errorf("%q: Pause and Resume = %v", text, err)
			}
		}
	})
}

// What is too large, or holds what no store can keep, is refused with the field that
// holds it, and nothing is stored.
func TestWhatCannotBeStoredIsRefusedWithItsField(t *testing.T) {
	huge := strings.Repeat("x", 50<<20)
	onRigs(t, func(r *rig) {
		r.handle(func(context.Context, *jobs.Job[note]) (string, error) { return huge, nil }, nil)
		for _, tt := range []struct {
			name, want string
			enqueue    func() error
		}{
			{"a payload of 50 MB", "/args too_long", func() error { return r.offer(note{huge}, nil) }},
			{"one among others", "/1/args too_long", func() error {
				_, err := r.queue.EnqueueMany(r.Context(), []jobs.Entry{{Args: note{"x"}}, {Args: note{huge}}})
				return err
			}},
			{"a NUL in JSON", "/args invalid_json", func() error {
				_, err := r.queue.EnqueueJSON(r.Context(), "note", []byte("{\"text\":\"a\x00b\"}"), nil)
				return err
			}},
			{"a NUL in a queue's name", "/queue invalid_character", func() error { return r.offer(note{}, &jobs.EnqueueOptions{Queue: "a\x00b"}) }},
			{"a NUL in a tenant", "/tenant invalid_character", func() error { return r.offer(note{}, &jobs.EnqueueOptions{Tenant: "a\x00b"}) }},
			{"a NUL in a limit key", "/limit_key invalid", func() error { return r.offer(note{}, &jobs.EnqueueOptions{LimitKey: "a\x00b"}) }},
		} {
			var got []string
			err := tt.enqueue()
			for _, f := range fault.All(err) {
				got = append(got, f.Field+" "+f.Code)
			}
			if !errors.Is(err, jobs.ErrInvalid) || strings.Join(got, ", ") != tt.want {
				r.Errorf("%s: %v, want %s", tt.name, got, tt.want)
			}
		}
		if all, err := r.queue.List(r.Context(), jobs.ListQuery{Limit: 10}); err != nil || len(all) > 0 {
			r.Errorf("%d jobs were stored, %v", len(all), err)
		}
		escaped, err := r.queue.Enqueue(r.Context(), note{"a\x00b"}, &jobs.EnqueueOptions{Unique: &jobs.Unique{Key: "a\x00b"}})
		if err != nil || string(escaped.Args) != `{"text":"a\u0000b"}` {
			r.Errorf("Enqueue = %s, %v; want the NUL written as JSON does", escaped.Args, err)
		}
		defer r.work(r.store, nil)()
		if _, err := jobs.Await[string](r.Context(), r.queue, escaped.ID); !errors.Is(err, jobs.ErrDiscarded) || !strings.Contains(err.Error(), "result is larger") {
			r.Errorf("Await = %v, want that the result of 50 MB is refused", err)
		}
	})
}

func (r *rig) offer(args note, opts *jobs.EnqueueOptions) error {
	_, err := r.queue.Enqueue(r.Context(), args, opts)
	return err
}
