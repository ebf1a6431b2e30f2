// Package fuzz holds a test that draws requests from openapi.yaml, sends them to the
// service on both databases, and holds each answer against the contract: with
// kin-openapi, which the service itself uses, and with libopenapi-validator, which
// knows nothing of it.
//
// LEVQOR_FUZZ says how many requests to send to the service on each database; without
// it a small sample is sent, and more until all has been seen that the contract lists:
//
//	LEVQOR_FUZZ=100000 go test -C internal/e2e ./fuzz -v -timeout 2h
//
// LEVQOR_FUZZ_SEED takes the place of the fixed seed. Later requests use IDs from earlier
// answers, so that two runs of a seed differ in these and in what workers have done
// meanwhile.
//
// Requests make, change, rotate and revoke API keys, but never those that they are sent
// with. A second service on the same database has limits so low that whoever asks it is
// beyond them, while the first has limits that nobody reaches.
package fuzz
