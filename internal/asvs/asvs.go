// Package asvs holds docs/asvs.md by tests: it has a line for each requirement of levels
// 1 and 2 of OWASP ASVS 5.0.0, each line says what shows it, and what it names is there
// and ran.
package asvs
