package bunjobs

import (
	"encoding/json"
	"time"
	"unsafe"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/jobs"
)

// columns are those of both tables of jobs, in the order of the migrations.
const columns = "id, tenant, kind, queue, state, priority, args, result, fraction, note, attempt, max_attempts, " +
	"attempts, timeout, created_at, run_at, started_at, finished_at, limit_key, unique_key, metadata, epoch, node"

// Tables of jobs, with the same columns.
const (
	live = bun.Ident("levqor_jobs_live")
	done = bun.Ident("levqor_jobs_done")
)

// row is a job in either table.
type row struct {
	bun.BaseModel `bun:"table:levqor_jobs_live,alias:j"`

	ID          int64      `bun:"id,pk"`
	Tenant      string     `bun:"tenant"`
	Kind        string     `bun:"kind"`
	Queue       string     `bun:"queue"`
	State       uint8      `bun:"state"`
	Priority    int        `bun:"priority"`
	Args        string     `bun:"args"`
	Result      *string    `bun:"result"`
	Fraction    float64    `bun:"fraction"`
	Note        string     `bun:"note"`
	Attempt     int        `bun:"attempt"`
	MaxAttempts int        `bun:"max_attempts"`
	Attempts    *string    `bun:"attempts"`
	Timeout     int64      `bun:"timeout"`
	CreatedAt   bundb.Time `bun:"created_at"`
	RunAt       bundb.Time `bun:"run_at"`
	StartedAt   bundb.Time `bun:"started_at"`
	FinishedAt  bundb.Time `bun:"finished_at"`
	LimitKey    string     `bun:"limit_key,nullzero"`
	UniqueKey   string     `bun:"unique_key,nullzero"`
	Metadata    *string    `bun:"metadata"`
	Epoch       int64      `bun:"epoch"`
	Node        int64      `bun:"node,nullzero"`
}

// waitingRow is a row of the live table, which alone has turns.
type waitingRow struct {
	bun.BaseModel `bun:"table:levqor_jobs_live,alias:j"`
	row
	Turn bundb.Time `bun:"turn"`
}

// attempt is an element of the JSON text in the column attempts.
type attempt struct {
	Number     int       `json:"number"`
	StartedAt  time.Time `json:"started_at"`
	FinishedAt time.Time `json:"finished_at"`
	Error      string    `json:"error"`
}

// rowOf returns the row of a job that no node runs.
func rowOf(j jobs.Info) row {
	return row{
		ID: int64(j.ID), Tenant: j.Tenant, Kind: j.Kind, Queue: j.Queue, State: uint8(j.State), Priority: j.Priority,
		Args: string(j.Args), Result: text(j.Result), Fraction: j.Progress.Fraction, Note: j.Progress.Note,
		Attempt: j.Attempt, MaxAttempts: j.MaxAttempts, Attempts: attemptsText(j.Attempts), Timeout: microseconds(j.Timeout),
		CreatedAt: bundb.Time{Time: j.CreatedAt}, RunAt: bundb.Time{Time: j.RunAt},
		StartedAt: bundb.Time{Time: j.StartedAt}, FinishedAt: bundb.Time{Time: j.FinishedAt}, LimitKey: j.LimitKey, UniqueKey: j.UniqueKey,
		Metadata: metadataText(j.Metadata), Epoch: j.Epoch,
	}
}

func (r *row) info() jobs.Info {
	return jobs.Info{
		ID: jobs.ID(r.ID), Tenant: r.Tenant, Kind: r.Kind, Queue: r.Queue, State: jobs.State(r.State), Priority: r.Priority,
		Args: []byte(r.Args), Result: bytesOf(r.Result), Progress: jobs.Progress{Fraction: r.Fraction, Note: r.Note},
		Attempt: r.Attempt, MaxAttempts: r.MaxAttempts, Attempts: attemptsOf(r.Attempts), Timeout: duration(r.Timeout),
		CreatedAt: r.CreatedAt.Time, RunAt: r.RunAt.Time,
		StartedAt: r.StartedAt.Time, FinishedAt: r.FinishedAt.Time, LimitKey: r.LimitKey, UniqueKey: r.UniqueKey,
		Metadata: metadataOf(r.Metadata), Epoch: r.Epoch,
	}
}

func infos(rows []row) []jobs.Info {
	all := make([]jobs.Info, len(rows))
	for i := range rows {
		all[i] = rows[i].info()
	}
	return all
}

// Timeouts are stored in microseconds; what is negative is NoTimeout.
func microseconds(d time.Duration) int64 {
	if d < 0 {
		return -1
	}
	return d.Microseconds()
}

func duration(us int64) time.Duration {
	if us < 0 {
		return jobs.NoTimeout
	}
	return time.Duration(us) * time.Microsecond
}

// text returns the JSON text as a column: NULL for nil.
func text(raw []byte) *string {
	if raw == nil {
		return nil
	}
	s := string(raw)
	return &s
}

// readOnly returns the bytes as a string without copying them, for the time of a
// statement.
func readOnly(raw []byte) string {
	return unsafe.String(unsafe.SliceData(raw), len(raw)) //nolint:gosec // nobody writes to raw while the statement is written
}

func bytesOf(s *string) []byte {
	if s == nil {
		return nil
	}
	return []byte(*s)
}

func attemptsText(all []jobs.Attempt) *string {
	if len(all) == 0 {
		return nil
	}
	list := make([]attempt, len(all))
	for i, a := range all {
		list[i] = attempt(a)
	}
	raw, err := json.Marshal(list)
	if err != nil {
		panic(err) // texts and times in the years 0 to 9999 only
	}
	return text(raw)
}

func attemptsOf(s *string) []jobs.Attempt {
	if s == nil {
		return nil
	}
	var list []attempt
	if err := json.Unmarshal([]byte(*s), &list); err != nil {
		return []jobs.Attempt{{Error: "unreadable record of attempts"}}
	}
	all := make([]jobs.Attempt, len(list))
	for i, a := range list {
		all[i] = jobs.Attempt(a)
	}
	return all
}
