// Package oas is the server's side of openapi.yaml, as generated: one method per
// operation. Nothing in it is written by hand.
package oas

//go:generate go tool -modfile=../../../../internal/tools/go.mod oapi-codegen -config oapi.yaml ../../../../openapi.yaml
