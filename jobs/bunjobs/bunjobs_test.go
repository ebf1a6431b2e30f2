package bunjobs_test

import (
	"testing"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
	"github.com/levqor/sdk/jobs/jobstest"
)

// open returns a migrated database.
func open(tb testing.TB, url string) *bun.DB {
	tb.Helper()
	db := dbtest.Open(tb, url)
	if err := bunjobs.Migrate(tb.Context(), db); err != nil {
		tb.Fatalf("Migrate: %v", err)
	}
	return db
}

func TestStore(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		jobstest.TestStore(t, func(t *testing.T) jobs.Store { return bunjobs.New(open(t, fresh(t))) })
	})
}
