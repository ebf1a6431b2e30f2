package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/bunlevqor"
	"github.com/levqor/sdk/levqor/identity"
)

// httpCreate is how many jobs a second a server on SQLite takes in over HTTP, with all that
// it does to a request, beside the records that PocketBase takes in without asking for a
// key or counting calls. Both are programs of their own, and 16 connections send
// requests as fast as they are answered.
func httpCreate(s *sqlite, window time.Duration) measure {
	var built programs
	return measure{
		name: "http.create",
		ours: func(ctx context.Context) (figures, error) {
			if err := built.build(ctx, s.dir); err != nil {
				return nil, err
			}
			return createJobs(ctx, built.server, s.next(), window)
		},
		rivals: map[string]sample{"pocketbase": func(ctx context.Context) (figures, error) {
			if err := built.build(ctx, s.dir); err != nil {
				return nil, err
			}
			return createRecords(ctx, built.pocketbase, s.next()+".folder", window)
		}},
	}
}

// programs are what is measured.
type programs struct{ server, pocketbase string }

// build builds them, once.
func (b *programs) build(ctx context.Context, dir string) error {
	if b.server != "" {
		return nil
	}
	server, pocketbase := filepath.Join(dir, "server"), filepath.Join(dir, "pocketbase")
	for _, args := range [][]string{
		{"build", "-C", "../..", "-o", server, "./examples/server"},
		{"build", "-C", "cmd/pocketbase", "-o", pocketbase, "."},
	} {
		if out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("go %v: %w: %s", args, err, out)
		}
	}
	b.server, b.pocketbase = server, pocketbase
	return nil
}

// createJobs measures our server. A key may make 3,000 calls a minute that write, so there
// are as many as a server of 18,000 calls a second would use up.
func createJobs(ctx context.Context, program, file string, window time.Duration) (figures, error) {
	secret, database := strings.Repeat("s", levqor.MinSecret), "sqlite://"+file
	tokens, err := makeKeys(ctx, database, secret, int(warmUp/time.Second+window/time.Second)*6)
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p, err := launch(ctx, address, "/readyz", program, "LEVQOR_ADDR="+address, "LEVQOR_DATABASE_URL="+database, "LEVQOR_SECRET="+secret, "LEVQOR_WORKER=off")
	if err != nil {
		return nil, err
	}
	defer p.end()
	requests := make([]string, len(tokens))
	for i, token := range tokens { // %d stands for the idempotency key
		headers := "Authorization: Bearer " + token + "\r\nIdempotency-Key: bench-%d\r\n"
		requests[i] = string(post(address, "/api/v1/jobs", headers, `{"kind":"http.request","args":{"url":"https://example.com/"}}`))
	}
	var turn atomic.Int64
	return p.flood(ctx, address, window, "201 Created", func() []byte {
		n := turn.Add(1)
		return fmt.Appendf(nil, requests[n%int64(len(requests))], n)
	})
}

// makeKeys makes a database and n keys that may create jobs, beside the server, which makes
// 20 a minute.
func makeKeys(ctx context.Context, database, secret string, n int) ([]string, error) {
	db, err := bunlevqor.Open(database)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	if err := bunlevqor.Migrate(ctx, db); err != nil {
		return nil, err
	}
	app, err := levqor.New(bunlevqor.Stores(db), &levqor.Options{Secret: []byte(secret)})
	if err != nil {
		return nil, err
	}
	tokens := make([]string, n)
	for i := range tokens {
		if _, tokens[i], err = app.Keys.Create(ctx, identity.NewKey{Tenant: identity.OwnerTenant, Name: "bench", Scopes: []string{"jobs:write"}}); err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

// createRecords measures PocketBase.
func createRecords(ctx context.Context, program, folder string, window time.Duration) (figures, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p, err := launch(ctx, address, "/api/health", program+" "+folder+" "+address)
	if err != nil {
		return nil, err
	}
	defer p.end()
	request := post(address, "/api/collections/items/records", "", `{"title":"hello world","done":true}`)
	return p.flood(ctx, address, window, "200 OK", func() []byte { return request })
}
