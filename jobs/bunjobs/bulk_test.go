package bunjobs_test

import (
	"testing"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs/bunjobs"
)

func TestOnlySQLiteIsHeldByOneCallAtATime(t *testing.T) {
	if !bunjobs.New(open(t, dbtest.SQLite(t))).Serial() {
		t.Error("Serial on SQLite is false")
	}
	if bunjobs.New(open(t, dbtest.Postgres(t))).Serial() {
		t.Error("Serial on PostgreSQL is true")
	}
}
