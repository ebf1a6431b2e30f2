//go:build unix

package faults_test

import (
	"encoding/json"
	"time"

	"github.com/uptrace/bun"
)

type database = bun.DB

// task says what a child process does.
type task struct {
	// Role is work, enqueue, schedule, take or serve.
	Role string
	URL  string
	// Quiet children tell their sums each Period and nothing about single jobs.
	Quiet  bool
	Period time.Duration

	// Places, Lease, Heartbeat and Drain are those of a worker.
	Places                  int
	Lease, Heartbeat, Drain time.Duration

	// Linger is how long a node takes requests after SIGTERM. Places below 0 make one
	// without a worker.
	Linger time.Duration

	// Calls is how many calls to make at the same time once the file Gate is there.
	Calls int
	Gate  string

	// Rate is how many jobs to enqueue in a second, Batch at once.
	Rate, Batch int
	Paid        bool
	Job         step
}

// step are the arguments of the jobs that the tests work with.
type step struct {
	// Lasts is how long a run takes.
	Lasts time.Duration `json:"lasts,omitempty"`
	// Obeys lets the end of the context end the run.
	Obeys bool `json:"obeys,omitempty"`
	// Gates names a directory: the run under epoch 3 waits there for a file "3".
	Gates string `json:"gates,omitempty"`
	// Completes lets the run complete the job together with a row of the table
	// effect. Early transactions have begun before the run waits.
	Completes bool `json:"completes,omitempty"`
	Early     bool `json:"early,omitempty"`
	// Name tells schedules apart.
	Name string `json:"name,omitempty"`
}

// Kind names the jobs.
func (step) Kind() string { return "step" }

// paid is a step of a kind that is paid for.
type paid struct{ step }

// Kind names the jobs.
func (paid) Kind() string { return "paid" }

// end is the result of a job.
type end struct {
	PID   int   `json:"pid"`
	Epoch int64 `json:"epoch"`
}

func decode(raw string) (e end, err error) {
	err = json.Unmarshal([]byte(raw), &e)
	return e, err
}
