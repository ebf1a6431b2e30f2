// Package sdk is the root of the Levqor SDK: the back office of a Go product, on
// the database that the product already has. It holds the HTTP contract; what
// does the work is in the rooms below.
//
//	jobs             durable jobs: typed, retried, fenced by leases
//	jobs/bunjobs     their store on PostgreSQL and SQLite
//	jobs/jobstest    what every store of jobs must do, as a test
//	jobs/httpjobs    the ready-made kind "http.request"
//	levqor           composes the rooms into a service
//	levqor/guard     how often a caller may: rate limits
//	levqor/identity  who is calling: API keys, people and their tenants
//	levqor/login     how people sign in: mailed links and codes, sessions
//	levqor/bunlevqor every store on one database, in one call
//	levqor/httpapi   the service as an http.Handler for openapi.yaml
//	levqor/httpguard headers, CORS and CSRF of routes that browsers reach
//	client           calls that service
package sdk

import _ "embed" // for OpenAPI

// OpenAPI is the HTTP contract, openapi.yaml, an OpenAPI 3.0.3 document.
//
//go:embed openapi.yaml
var OpenAPI []byte
