package bunjobs_test

import (
	"testing"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
	"github.com/levqor/sdk/jobs/jobstest"
)

// A pooler in transaction mode gives each transaction another connection, so nothing
// may count on what a connection remembers.
func TestBehindPgBouncerInTransactionMode(t *testing.T) {
	store := func(t *testing.T) *bunjobs.Store {
		return bunjobs.New(open(t, dbtest.PgBouncer(t, dbtest.Postgres(t))))
	}
	t.Run("Store", func(t *testing.T) {
		jobstest.TestStore(t, func(t *testing.T) jobs.Store { return store(t) })
	})
	t.Run("ScheduleStore", func(t *testing.T) {
		jobstest.TestScheduleStore(t, func(t *testing.T) jobstest.ScheduleStore { return store(t) })
	})
	t.Run("LimitStore", func(t *testing.T) {
		jobstest.TestLimitStore(t, func(t *testing.T) jobstest.LimitStore { return store(t) })
	})
	t.Run("CountStore", func(t *testing.T) {
		jobstest.TestCountStore(t, func(t *testing.T) jobstest.CountStore { return store(t) })
	})
	t.Run("DeadLetterStore", func(t *testing.T) {
		jobstest.TestDeadLetterStore(t, func(t *testing.T) jobstest.DeadLetterStore { return store(t) })
	})
	t.Run("SealedStore", func(t *testing.T) {
		jobstest.TestSealedStore(t, func(t *testing.T) jobstest.SealedStore { return store(t) })
	})
	t.Run("HistoryStore", func(t *testing.T) {
		jobstest.TestHistoryStore(t, func(t *testing.T) jobstest.HistoryStore { return store(t) })
	})
	t.Run("HealthStore", func(t *testing.T) {
		jobstest.TestHealthStore(t, func(t *testing.T) jobstest.HealthStore { return store(t) })
	})
	t.Run("LogStore", func(t *testing.T) {
		jobstest.TestLogStore(t, func(t *testing.T) jobstest.LogStore { return store(t) })
	})
}
