package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/levqor/sdk/client"
	"github.com/levqor/sdk/internal/dbtest"
)

// The secret is replaced as docs/operations.md says; a job with a secret in it and the owner's key
// live through it.
func TestTheSecretOfTheServiceIsReplaced(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no SIGINT to send on Windows")
	}
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		got := make(chan string, 1)
		target := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header.Get("X-Token") }))
		defer target.Close()
		const before, after = "the secret from before: 32 bytes.", "the secret that is to come: 32 bytes"
		db := "LEVQOR_DATABASE_URL=" + fresh(t)
		env := func(secret, old string) []string {
			return []string{db, "LEVQOR_SECRET=" + secret, "LEVQOR_OLD_SECRETS=" + old, "LEVQOR_ALLOW_PRIVATE_NETWORKS=true"}
		}
		first := start(t, env(before, after)...)
		later := time.Now().Add(time.Hour)
		job, err := first.client(first.key).CreateJob(t.Context(), client.NewJob{
			Kind: "http.request", RunAt: &later,
			Args: []byte(`{"url":"` + target.URL + `","headers":[{"name":"X-Token","value":"hunter2","secret":true}]}`),
		}, "")
		if err != nil {
			t.Fatal(err)
		}
		key := first.key
		first.end()

		second := start(t, env(after, before)...)
		c := second.client(key)
		reseal, err := c.ResealSecrets(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if reseal, err = c.WaitJob(t.Context(), reseal.ID); err != nil || string(reseal.Result) != `{"resealed":1,"unreadable":0}` {
			t.Fatalf("the job is %+v, %v", reseal, err)
		}
		second.end() // records the use of the key

		third := start(t, env(after, "")...)
		c = third.client(key)
		if _, err := c.RetryJob(t.Context(), job.ID); err != nil {
			t.Fatalf("RetryJob = %v: the owner's key was used and must live on", err)
		}
		if token := <-got; token != "hunter2" {
			t.Errorf("the request had the token %q", token)
		}
	})
}

// end stops a server in order.
func (p *process) end() {
	p.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		p.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		p.Errorf("the server ended with %v:\n%s", err, p.log)
	}
}
