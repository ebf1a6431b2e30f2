// Package faults holds tests that kill what they test: real worker, enqueuing and
// scheduling processes, and PostgreSQL servers of their own. What can be shown within
// one process is tested where it belongs.
//
// LEVQOR_FAULTS says how much of each test to run, in the test's own unit; without it
// a small sample runs:
//
//	LEVQOR_FAULTS=200 go test ./internal/faults -run Killed -v -timeout 1h
//
// With it, figures are held to their limits too: a sample on a busy machine proves
// that nothing is lost, but not how long it takes.
package faults
