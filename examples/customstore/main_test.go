package main

import (
	"path/filepath"
	"testing"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/jobstest"
)

func TestFileStore(t *testing.T) {
	jobstest.TestStore(t, func(t *testing.T) jobs.Store {
		return NewFileStore(filepath.Join(t.TempDir(), "jobs.json"))
	})
}

func TestRun(t *testing.T) {
	if err := run(t.Context(), filepath.Join(t.TempDir(), "jobs.json")); err != nil {
		t.Errorf("run = %v", err)
	}
}
