// Package e2e holds tests that need what users of the SDK must not download: drivers and
// programs of others. It is a module of its own.
package e2e
