package main

import (
	"path/filepath"
	"testing"
)

func TestAnOrderGetsItsReceipt(t *testing.T) {
	path := filepath.ToSlash(filepath.Join(t.TempDir(), "orders.db"))
	for range 2 { // the second run finds the tables in place
		err := run(t.Context(), "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(15000)&_pragma=journal_mode(WAL)")
		if err != nil {
			t.Fatalf("run = %v", err)
		}
	}
}
