package jobs

import (
	"context"
	"time"
)

// ScheduleID identifies a schedule within its store; its tenant and name do so for
// people.
type ScheduleID int64

// Schedule is work that recurs, as its store knows it.
type Schedule struct {
	// ID identifies the schedule.
	ID ScheduleID
	// Tenant owns the schedule and its jobs; empty in a program with a single
	// tenant.
	Tenant string
	// Name is unique within the tenant.
	Name string
	// Spec and TimeZone say when it fires; see [Plan].
	Spec, TimeZone string
	// CatchUp and MaxCatchUp say what becomes of missed times; see [Plan].
	CatchUp    CatchUp
	MaxCatchUp int
	// Kind, Queue, Priority, MaxAttempts, Timeout, LimitKey and Metadata are those of
	// its jobs.
	Kind        string
	Queue       string
	Priority    int
	MaxAttempts int
	Timeout     time.Duration
	LimitKey    string
	Metadata    map[string]string
	// Args is the JSON text of its jobs' arguments. Secrets in it read "[secret]"
	// wherever [Schedules] return it.
	Args []byte
	// Seal changes whenever secrets in Args are put anew, also the same ones, or sealed
	// by another key; it tells nothing of them. Empty where there are none. [Schedules] set
	// it, stores do not keep it.
	Seal string
	// Paused schedules do not fire.
	Paused bool
	// NextAt is when it fires next; zero for one that never fires again.
	NextAt time.Time
	// LastAt is the latest time that it fired for; zero before the first.
	LastAt time.Time
	// CreatedAt is when the schedule was first stored.
	CreatedAt time.Time
	// Version grows with each change.
	Version int64
}

// Fire is one time of a schedule that was kept.
type Fire struct {
	// At is the time that it fired for.
	At time.Time
	// Job is the job that was stored for it.
	Job ID
}

// KeptFires is how many fires of a schedule a store remembers at least.
const KeptFires = 1000

// ScheduleStore keeps schedules. What holds for every method of a [Store] holds
// here too.
type ScheduleStore interface {
	// Instant returns the instant that now stands for.
	Instant(ctx context.Context, now time.Time) (time.Time, error)

	// PutSchedule stores a schedule: a new one if its Version is 0, which gets
	// CreatedAt, and else in the place of the one with its ID. The Version grows
	// by one, and the schedule is returned as stored. It returns ErrConflict if
	// the tenant has a schedule of that name and Version 0 was given, or the
	// stored Version is another.
	PutSchedule(ctx context.Context, schedule Schedule, now time.Time) (Schedule, error)

	// GetSchedule returns a tenant's schedule, or ErrNotFound.
	GetSchedule(ctx context.Context, tenant, name string) (Schedule, error)

	// ListSchedules returns a tenant's schedules whose names come after a given
	// one, in the order of their names by bytes, and at most limit of them.
	ListSchedules(ctx context.Context, tenant, after string, limit int) ([]Schedule, error)

	// DeleteSchedule removes a schedule and its fires; its jobs stay. It returns
	// ErrNotFound if there is none.
	DeleteSchedule(ctx context.Context, tenant, name string) error

	// DueSchedules returns schedules of all tenants that are not paused, whose
	// NextAt has come and whose jobs are of one of the kinds: those whose IDs come
	// after a given one, in the order of their IDs, and at most limit of them.
	DueSchedules(ctx context.Context, kinds []string, after ScheduleID, limit int, now time.Time) ([]Schedule, error)

	// Fire stores the jobs of a firing whose RunAt the schedule has not fired for
	// yet, remembers these fires, and sets NextAt and LastAt, all or nothing. It
	// sets State, CreatedAt and RunAt of each element. It returns ErrConflict if
	// the schedule is gone or has another Version than the firing, which grows by
	// one, and if an ID is taken.
	Fire(ctx context.Context, firing Firing, now time.Time) error

	// ListFires returns fires of a tenant's schedule before an instant, the latest
	// first, and at most limit of them. The zero instant means the end of time. It
	// returns ErrNotFound if there is no such schedule.
	ListFires(ctx context.Context, tenant, name string, before time.Time, limit int) ([]Fire, error)
}

// Firing is what happens when a schedule's time has come.
type Firing struct {
	// Schedule is which, and Version what was known of it.
	Schedule ScheduleID
	Version  int64
	// NextAt is when it fires next.
	NextAt time.Time
	// LastAt is the latest time that it has fired for by then.
	LastAt time.Time
	// Jobs are stored, one for each time; RunAt is the time.
	Jobs []Insertion
}

// Plan says when a schedule fires and how.
type Plan struct {
	// Spec is "every" and a duration, such as "every 15m", whose instants count
	// from 1970; or "at" and a time, such as "at 2027-01-02T15:04:05Z", for a
	// schedule that fires once; or what [SchedulesOptions.Parse] reads.
	Spec string
	// TimeZone is the name of the IANA time zone that Spec is read in.
	// Default: UTC.
	TimeZone string
	// CatchUp says what becomes of missed times. Default: [CatchUpLatest].
	CatchUp CatchUp
	// MaxCatchUp bounds the jobs that are stored at once, 1 to 1000. Default: 100.
	MaxCatchUp int
	// Options are those of the jobs; RunAt, Delay and Unique are the schedule's
	// business and refused. May be nil.
	Options *EnqueueOptions
}
