package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/levqor/sdk/client"
	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor/bunlevqor"
)

// build returns the path of the program.
var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "levqor-server")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "server")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := build(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// process is a running server.
type process struct {
	*testing.T
	cmd     *exec.Cmd
	url     string
	metrics chan string // their URL, if they are served
	mail    chan string // what is said about mail, if something is
	key     string      // of the owner, if this process printed it
	link    string      // of the owner, if this process printed it
	log     *lockedLog
}

type lockedLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *lockedLog) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

// start runs a server until the test ends, and returns when it is ready.
func start(t *testing.T, env ...string) *process {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{T: t, cmd: exec.Command(path), log: &lockedLog{}, metrics: make(chan string, 1), mail: make(chan string, 1)}
	p.cmd.Dir = t.TempDir()
	p.cmd.Env = append(os.Environ(), append([]string{"LEVQOR_ADDR=127.0.0.1:0", "LEVQOR_LINGER=0s", "LEVQOR_ALLOW_PRIVATE_NETWORKS=true"}, env...)...)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); _ = p.cmd.Wait() })
	urls, keys, links := make(chan string, 1), make(chan string, 1), make(chan string, 1)
	go func() {
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			if u, ok := strings.CutPrefix(lines.Text(), "url: "); ok {
				urls <- u
			}
			if u, ok := strings.CutPrefix(lines.Text(), "metrics: "); ok {
				p.metrics <- u
			}
			if m, ok := strings.CutPrefix(lines.Text(), "mail: "); ok {
				p.mail <- m
			}
			if k, ok := strings.CutPrefix(lines.Text(), "owner key: "); ok {
				keys <- k
				continue
			}
			if l, ok := strings.CutPrefix(lines.Text(), "owner link: "); ok {
				links <- l
				continue
			}
			p.log.add(lines.Text())
		}
		close(urls)
	}()
	select {
	case p.url = <-urls:
	case <-time.After(30 * time.Second):
	}
	if p.url == "" {
		t.Fatalf("the server did not start:\n%s", p.log)
	}
	p.waitReady()
	select {
	case p.key = <-keys:
	case <-time.After(time.Second): // what was printed before the first answer may still be on its way
	}
	select {
	case p.link = <-links:
	case <-time.After(time.Second):
	}
	return p
}

func (p *process) waitReady() {
	p.Helper()
	for range 300 {
		resp, err := http.Get(p.url + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	p.Fatalf("the server is not ready:\n%s", p.log)
}

func (p *process) client(key string) *client.Service {
	p.Helper()
	c, err := client.New(p.url, &client.Options{Key: key})
	if err != nil {
		p.Fatal(err)
	}
	return c
}

const secretEnv = "LEVQOR_SECRET=32 bytes from a random source ..."

// Two servers share a thousand jobs and one of them is killed: each job ends
// once, completed, with its result readable from the other.
func TestTwoServersShareTheWorkAndOneIsKilled(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		const n, held = 1000, 50
		var calls atomic.Int32
		holding, half, killed := make(chan struct{}), make(chan struct{}), make(chan struct{})
		target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch i := calls.Add(1); {
			case i <= held: // the first server has these in hand until it is killed
				if i == held {
					close(holding)
				}
				<-killed
			case i == n/2:
				close(half)
			}
			fmt.Fprint(w, "answer to ", r.URL.Query().Get("n"))
		}))
		defer target.Close()

		env := []string{secretEnv, "LEVQOR_DATABASE_URL=" + fresh(t)}
		one := start(t, env...)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		ids := createJobs(ctx, t, one.client(one.key), target.URL, n)
		wait(ctx, t, holding)
		two := start(t, env...)
		if one.key == "" || two.key != "" {
			t.Fatalf("the owner's keys are %q and %q, want the first alone", one.key, two.key)
		}
		if !strings.HasPrefix(one.link, one.url+"/join#lvi_") || two.link != "" {
			t.Fatalf("the owner's links are %q and %q, want the first alone", one.link, two.link)
		}
		survivor := two.client(one.key)
		wait(ctx, t, half)
		if err := one.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = one.cmd.Wait()
		close(killed)
		for i, id := range ids {
			job, err := survivor.WaitJob(ctx, id)
			if err != nil {
				t.Fatalf("job %d: %v\n%s", i, err, two.log)
			}
			var result struct {
				Status int    `json:"status"`
				Body   string `json:"body"`
			}
			if err := json.Unmarshal(job.Result, &result); err != nil || job.State != client.JobStateCompleted || result.Status != 200 || result.Body != fmt.Sprint("answer to ", i) {
				t.Errorf("job %d is %s with %s, %v", i, job.State, job.Result, err)
			}
		}
		seen := map[string]int{}
		for job, err := range survivor.Jobs(ctx, nil) {
			if err != nil {
				t.Fatal(err)
			}
			seen[job.ID]++
		}
		if len(seen) != n {
			t.Errorf("the list has %d jobs, want %d", len(seen), n)
		}
		if calls.Load() < n+held {
			t.Errorf("the target was called %d times, want what the kill cut off called again", calls.Load())
		}
		t.Logf("%d jobs, %d calls of the target", n, calls.Load())
	})
}

func wait(ctx context.Context, t *testing.T, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
	case <-ctx.Done():
		t.Fatal("it did not happen in time")
	}
}

func createJobs(ctx context.Context, t *testing.T, c *client.Service, target string, n int) []string {
	t.Helper()
	ids := make([]string, n)
	var wg sync.WaitGroup
	next := make(chan int)
	for range 8 {
		wg.Go(func() {
			for i := range next {
				args := fmt.Sprintf(`{"url":"%s/?n=%d"}`, target, i)
				job, err := c.CreateJob(ctx, client.NewJob{Kind: "http.request", Args: []byte(args)}, fmt.Sprint("job-", i))
				if err != nil {
					t.Errorf("CreateJob = %v", err)
					continue
				}
				ids[i] = job.ID
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return ids
}

// One node takes jobs in and tells another one, which works them off.
func TestNodesTellEachOtherOfJobs(t *testing.T) {
	address := dbtest.Postgres(t)
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	name := u.Query().Get("search_path")
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "here") }))
	defer target.Close()
	env := []string{secretEnv, "LEVQOR_DATABASE_URL=" + address, "LEVQOR_SIGNALS=" + address + "&application_name=" + name}
	intake := start(t, append(env, "LEVQOR_WORKER=off")...)
	node := start(t, env...)
	ids := createJobs(t.Context(), t, intake.client(intake.key), target.URL, 20)
	for _, id := range ids {
		if job, err := node.client(intake.key).WaitJob(t.Context(), id); err != nil || job.State != client.JobStateCompleted {
			t.Errorf("job %s is %s, %v", id, job.State, err)
		}
	}
	var tell, listen int
	err = dbtest.Open(t, address).NewRaw(`
		SELECT count(*) FILTER (WHERE query LIKE '%pg_notify%'), count(*) FILTER (WHERE query LIKE 'LISTEN%' OR query LIKE '-- ping%')
		FROM pg_stat_activity WHERE application_name = ?`, name).Scan(t.Context(), &tell, &listen)
	if err != nil || tell != 2 || listen != 1 {
		t.Errorf("%d nodes tell and %d listen, %v; want 2 and 1", tell, listen, err)
	}
	for _, p := range []*process{intake, node} {
		if log := p.log.String(); strings.Contains(log, "jobs: signals") {
			t.Errorf("the server complains:\n%s", log)
		}
	}
}

func TestFourServersThatStartAtOncePrintOneOwnersKey(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		url := fresh(t)
		keys := make(chan string, 4)
		t.Run("start", func(t *testing.T) {
			for i := range 4 {
				t.Run(fmt.Sprint(i), func(t *testing.T) {
					t.Parallel()
					keys <- start(t, secretEnv, "LEVQOR_DATABASE_URL="+url).key
				})
			}
		})
		close(keys)
		printed := 0
		for k := range keys {
			if k != "" {
				printed++
			}
		}
		if printed != 1 {
			t.Errorf("%d servers printed an owner's key, want 1", printed)
		}
	})
}

// Figures of all tenants are for the operator, on a listener of their own.
func TestMetricsAreServedApart(t *testing.T) {
	p := start(t, "LEVQOR_DATABASE_URL="+dbtest.SQLite(t), "LEVQOR_METRICS_ADDR=127.0.0.1:0")
	var metrics string
	select {
	case metrics = <-p.metrics:
	case <-time.After(30 * time.Second):
		t.Fatalf("the server does not say where its metrics are:\n%s", p.log)
	}
	for url, want := range map[string]int{metrics: http.StatusOK, p.url + "/metrics": http.StatusNotFound} {
		resp, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != want || (want == http.StatusOK) != strings.Contains(string(text), "levqor_jobs_nodes") {
			t.Errorf("GET %s gave %d, %v, want %d:\n%s", url, resp.StatusCode, err, want, text)
		}
	}
}

func TestTheServerEndsInOrder(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no SIGINT to send on Windows")
	}
	p := start(t, "LEVQOR_DATABASE_URL="+dbtest.SQLite(t))
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the server ended with %v:\n%s", err, p.log)
		}
	case <-time.After(30 * time.Second):
		t.Error("the server did not end")
	}
}

func TestReadConfigNamesWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	lite := "sqlite://" + filepath.Join(dir, "x.db")
	for name, tt := range map[string]struct {
		env  map[string]string
		want string
	}{
		"a worker that is neither":       {map[string]string{"LEVQOR_WORKER": "maybe"}, "LEVQOR_WORKER must be off or on"},
		"jobs that would not stay":       {map[string]string{"LEVQOR_KEEP_JOBS": "1m"}, "LEVQOR_KEEP_JOBS must be a duration of at least 1h"},
		"private networks, neither":      {map[string]string{"LEVQOR_ALLOW_PRIVATE_NETWORKS": "1"}, "LEVQOR_ALLOW_PRIVATE_NETWORKS must be true or false"},
		"signals on SQLite":              {map[string]string{"LEVQOR_DATABASE_URL": lite, "LEVQOR_SIGNALS": "on"}, "LEVQOR_SIGNALS needs PostgreSQL"},
		"a pattern of origins":           {map[string]string{"LEVQOR_ORIGINS": "https://*.example.com"}, "LEVQOR_ORIGINS must hold origins alone"},
		"signals, neither":               {map[string]string{"LEVQOR_SIGNALS": "yes"}, "LEVQOR_SIGNALS must be off, on"},
		"mail by what is no server":      {map[string]string{"LEVQOR_MAIL": "on"}, "LEVQOR_MAIL, if it is not off or log, must be smtp://"},
		"mail from nobody":               {map[string]string{"LEVQOR_MAIL": "smtp://mail.example.com"}, "LEVQOR_MAIL_FROM must be an address"},
		"a wait that is none":            {map[string]string{"LEVQOR_LINGER": "-1s"}, "LEVQOR_LINGER must be a duration"},
		"a proxy that is no prefix":      {map[string]string{"LEVQOR_TRUSTED_PROXIES": "10.0.0.0/8, proxy"}, "/trusted_proxies/1"},
		"a certificate without a key":    {map[string]string{"LEVQOR_TLS_CERT_FILE": "x"}, "go together"},
		"PostgreSQL without a secret":    {map[string]string{"LEVQOR_DATABASE_URL": "postgres://db/x"}, "openssl rand -hex 32"},
		"SQLite, which keeps its secret": {map[string]string{"LEVQOR_DATABASE_URL": lite}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := readConfig(func(name string) string { return tt.env[name] })
			if tt.want == "" {
				if err != nil || len(cfg.secret) < 32 || cfg.keepJobs != 168*time.Hour {
					t.Errorf("readConfig = %d bytes of secret, jobs for %v, %v", len(cfg.secret), cfg.keepJobs, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("readConfig = %v, want %q", err, tt.want)
			}
		})
	}
	old := map[string]string{"LEVQOR_DATABASE_URL": lite, "LEVQOR_OLD_SECRETS": " one two, three,"}
	if cfg, err := readConfig(func(name string) string { return old[name] }); err != nil || len(cfg.oldSecrets) != 2 || fmt.Sprintf("%s", cfg.oldSecrets) != "[one two three]" {
		t.Errorf("readConfig = the old secrets %s, %v; want two", cfg.oldSecrets, err)
	}
	if keep, err := readKeep("forever"); err != nil || keep != jobs.Forever {
		t.Errorf("readKeep = %v, %v; want forever", keep, err)
	}
	info, err := os.Stat(filepath.Join(dir, "x.db.secret"))
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the file of the secret: %v, %v; want it readable by its owner alone", info, err)
	}
	first, err := bunlevqor.Secret("", lite)
	again, err2 := bunlevqor.Secret("", lite)
	if errors.Join(err, err2) != nil || string(first) != string(again) {
		t.Error("the secret changes from start to start")
	}
}

func TestTheServerSaysThatNobodySignsInAgainWithoutMail(t *testing.T) {
	select {
	case said := <-start(t).mail:
		if !strings.Contains(said, "cannot sign in again") {
			t.Errorf("the server says %q", said)
		}
	case <-time.After(30 * time.Second):
		t.Error("the server says nothing")
	}
	select {
	case said := <-start(t, "LEVQOR_MAIL=log").mail:
		t.Errorf("a server with mail says %q", said)
	default:
	}
}
