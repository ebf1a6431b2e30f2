package bunjobs_test

import (
	"testing"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs/bunjobs"
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
