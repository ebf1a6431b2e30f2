// Package archtest holds the architecture by tests: who may reach whom, one
// package comment each, unique names, a lean go.mod. Linters see a package's own
// imports; these tests see all that it brings along.
package archtest
