package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/levqor/sdk/jobs"
)

func TestAUniqueJobIsThereOnce(t *testing.T) {
	clock := morning
	registry := jobs.NewRegistry(&jobs.RegistryOptions{Sealer: reverser{}})
	queue := jobs.New(jobs.NewMemStore(), registry, &jobs.Options{Now: func() time.Time { return clock }})
	enqueue := func(args jobs.Args, unique *jobs.Unique) jobs.Info {
		t.Helper()
		info, err := queue.Enqueue(t.Context(), args, &jobs.EnqueueOptions{Unique: unique})
		if err != nil {
			t.Fatal(err)
		}
		if stored, err := queue.Get(t.Context(), info.ID); err != nil || stored.Duplicate || string(stored.Args) != string(info.Args) {
			t.Errorf("Get = %+v, %v", stored, err)
		}
		return info
	}
	byArgs, daily := &jobs.Unique{}, &jobs.Unique{Key: "ada@example.com", Period: 24 * time.Hour}
	first := enqueue(Greet{Name: "Ada"}, byArgs)
	if strings.Contains(enqueue(Greet{}, daily).UniqueKey, "ada") {
		t.Error("the key is stored as it was given")
	}
	for _, tt := range []struct {
		name      string
		args      jobs.Args
		unique    *jobs.Unique
		after     time.Duration
		duplicate bool
	}{
		{"the same arguments", Greet{Name: "Ada"}, byArgs, 0, true},
		{"other arguments", Greet{Name: "Bea"}, byArgs, 0, false},
		{"the same without being unique", Greet{Name: "Ada"}, nil, 0, false},
		{"the same arguments of another kind", note{Text: "Ada"}, byArgs, 0, false},
		{"the same key", Greet{Name: "Cleo"}, daily, 14 * time.Hour, true},
		{"the same key the next day", Greet{Name: "Cleo"}, daily, time.Hour, false},
		{"the text of arguments as a key", Greet{}, &jobs.Unique{Key: `{"name":"Ada"}`}, 0, false},
		{"keys that look like paths", keyed{"user.id": "1", "": "2"}, byArgs, 0, false},
		{"the same keys in another order", keyed{"": "2", "user.id": "1"}, byArgs, 0, true},
		{"another value under such a key", keyed{"user.id": "3", "": "2"}, byArgs, 0, false},
		{"another value under no name", keyed{"user.id": "1", "": "4"}, byArgs, 0, false},
		{"a first secret", secretArgs{Tokens: []string{"alpha"}}, byArgs, 0, false},
		{"another secret beside the same", secretArgs{Tokens: []string{"beta"}}, byArgs, 0, true},
	} {
		clock = clock.Add(tt.after)
		if got := enqueue(tt.args, tt.unique); got.Duplicate != tt.duplicate {
			t.Errorf("%s: Duplicate = %t, want %t", tt.name, got.Duplicate, tt.duplicate)
		}
	}
	infos, err := queue.EnqueueMany(t.Context(), []jobs.Entry{
		{Args: Greet{Name: "Ada"}, Options: &jobs.EnqueueOptions{Unique: byArgs}},
		{Args: Greet{Name: "Dora"}, Options: &jobs.EnqueueOptions{Unique: byArgs}},
		{Args: Greet{Name: "Dora"}, Options: &jobs.EnqueueOptions{Unique: byArgs}},
	})
	if err != nil || !infos[0].Duplicate || infos[0].ID != first.ID || infos[1].Duplicate || !infos[2].Duplicate || infos[2].ID != infos[1].ID {
		t.Errorf("EnqueueMany = %+v, %v", infos, err)
	}
}

type note struct {
	Text string `json:"name"`
}

func (note) Kind() string { return "note" }

// keyed are arguments with names of their own.
type keyed map[string]string

func (keyed) Kind() string { return "keyed" }

func TestBadUniquenessIsRefused(t *testing.T) {
	queue := jobs.New(jobs.NewMemStore(), jobs.NewRegistry(nil), nil)
	for field, unique := range map[string]jobs.Unique{
		"/unique/key":            {Key: strings.Repeat("x", 257)},
		"/unique/period_seconds": {Period: time.Millisecond},
		"/unique/over":           {Over: []jobs.State{jobs.Ready}},
	} {
		_, err := queue.Enqueue(t.Context(), Greet{}, &jobs.EnqueueOptions{Unique: &unique})
		if got, ok := errors.AsType[*jobs.Error](err); !ok || got.Field != field {
			t.Errorf("Enqueue = %v, want it to name %s", err, field)
		}
	}
}

func ExampleUnique() {
	queue := jobs.New(jobs.NewMemStore(), jobs.NewRegistry(nil), nil)
	once := &jobs.EnqueueOptions{Unique: &jobs.Unique{Period: 24 * time.Hour}} // a day
	for range 2 {
		info, err := queue.Enqueue(context.Background(), Greet{Name: "Ada"}, once)
		fmt.Println(info.Duplicate, err)
	}
	// Output:
	// false <nil>
	// true <nil>
}

// unreadable is a store that forgets jobs before they are read.
type unreadable struct{ *jobs.MemStore }

func (unreadable) Get(context.Context, string, jobs.ID) (jobs.Info, error) {
	return jobs.Info{}, jobs.ErrNotFound
}

func TestADuplicateThatCannotBeReadDoesNotHideWhatIsStored(t *testing.T) {
	store := jobs.NewMemStore()
	queue := jobs.New(store, jobs.NewRegistry(nil), nil)
	once := &jobs.EnqueueOptions{Unique: &jobs.Unique{}}
	first, err := queue.Enqueue(t.Context(), Greet{Name: "Ada"}, once)
	if err != nil {
		t.Fatal(err)
	}
	infos, err := queue.With(unreadable{store}).EnqueueMany(t.Context(), []jobs.Entry{{Greet{Name: "Ada"}, once}, {Greet{Name: "Alan"}, nil}})
	if err != nil || len(infos) != 2 {
		t.Fatalf("EnqueueMany = %v, %v; want both jobs", infos, err)
	}
	if got := infos[0]; got.ID != first.ID || !got.Duplicate || got.Kind != first.Kind {
		t.Errorf("the duplicate is %+v, want ID %s", got, first.ID)
	}
	if _, err := queue.Get(t.Context(), infos[1].ID); err != nil {
		t.Errorf("Get of the other = %v", err)
	}
	if _, err := queue.With(unreadable{store}).Enqueue(t.Context(), Greet{Name: "Ada"}, once); !errors.Is(err, jobs.ErrNotFound) {
		t.Errorf("Enqueue of the duplicate alone = %v, want the store's error", err)
	}
}
