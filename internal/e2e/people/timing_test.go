package people_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
)

// statements counts what is asked of the database, by kind.
type statements struct {
	mu    sync.Mutex
	seen  []string
	whole []string
}

// BeforeQuery implements [bun.QueryHook].
func (s *statements) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context { return ctx }

// AfterQuery implements [bun.QueryHook].
func (s *statements) AfterQuery(_ context.Context, e *bun.QueryEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	words := strings.Fields(e.Query)
	begin, _, _ := strings.Cut(strings.Join(words[:min(3, len(words))], " "), " SP_") // the name of a savepoint is random
	s.seen, s.whole = append(s.seen, begin), append(s.whole, e.Query)
}

// take returns the statements since it was asked last.
func (s *statements) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := strings.Join(s.seen, "\n")
	s.seen, s.whole = nil, nil
	return all
}

// aboutPeople returns the statements since it was asked last that are about people, logins
// and their limits, in an order that does not tell when a worker came by.
func (s *statements) aboutPeople() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, q := range s.whole {
		if subjects.MatchString(q) {
			all = append(all, literals.ReplaceAllString(strings.Join(strings.Fields(q), " "), "?"))
		}
	}
	s.seen, s.whole = nil, nil
	slices.Sort(all)
	return all
}

var (
	subjects = regexp.MustCompile(`levqor_(identity|login|sso|factor|guard_rate)`)
	literals = regexp.MustCompile(`'(?:[^']|'')*'(?:::\w+)?|\b\d+\b`) // what a statement is about
)

// rows returns how many rows each table has.
func (s *service) rows() map[string]int {
	s.Helper()
	var tables []string
	if err := s.db.NewRaw(`SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'levqor_%'`).Scan(s.Context(), &tables); err != nil {
		s.Fatal(err)
	}
	all := map[string]int{}
	for _, table := range tables {
		var n int
		if err := s.db.NewRaw("SELECT count(*) FROM ?", bun.Ident(table)).Scan(s.Context(), &n); err != nil {
			s.Fatal(err)
		}
		all[table] = n
	}
	return all
}

var nonces = regexp.MustCompile(`nonce="[^"]+"`)

// post sends a form as a browser without cookies does. It returns all of the answer that may
// differ between addresses, with secrets and times replaced by their lengths, and how long it took.
func (s *service) post(client *http.Client, path string, form url.Values, cookies ...*http.Cookie) (answer string, sent []*http.Cookie, took time.Duration) {
	s.Helper()
	r, err := http.NewRequestWithContext(s.Context(), http.MethodPost, s.server.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		s.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, c := range cookies {
		r.AddCookie(c)
	}
	begin := time.Now()
	resp, err := client.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	took = time.Since(begin)
	resp.Body.Close()
	if err != nil {
		s.Fatal(err)
	}
	h := resp.Header.Clone()
	text := nonces.ReplaceAllString(string(body), "nonce")
	if text != string(body) {
		h.Del("Content-Length") // a nonce may hold what is escaped in HTML
	}
	for _, c := range resp.Cookies() {
		if _, match, ok := strings.Cut(c.Value[max(0, len(c.Value)-3):], "."); ok {
			text = strings.ReplaceAll(text, ">"+match+"<", ">match<")
		}
		h.Set("Set-Cookie", fmt.Sprintf("%s %d %s %v", c.Name, len(c.Value), c.Path, c.SameSite))
	}
	h.Set("Content-Security-Policy", strconv.Itoa(len(h.Get("Content-Security-Policy"))))
	h.Del("Date")
	var all strings.Builder
	_ = h.Write(&all)
	return fmt.Sprintf("%d\n%s\n%s", resp.StatusCode, all.String(), text), resp.Cookies(), took
}

// newClient returns a client that goes where it is told and nowhere else.
func newClient(t *testing.T) *http.Client {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Whoever asks for a mail to an address, and guesses at the code, is answered alike and with
// the same work whether the address is known, unknown or that of somebody who is locked.
func TestKnownAndUnknownAddressesAreTheSameWork(t *testing.T) {
	work := &statements{}
	s := newService(t, work) // whose jobs wait: what they do comes after the answer
	known, locked := "known@example.com", "shut@example.com"
	s.user(known)
	if _, err := s.app.Directory.DisableUser(t.Context(), s.user(locked).ID); err != nil {
		t.Fatal(err)
	}
	client := newClient(t)
	s.post(client, "/login", url.Values{"email": {"first@example.com"}}) // prepares what is prepared once
	first, firstAddress := "", ""
	for _, address := range []string{known, "other@example.com", locked, "known@example.org"} {
		before := s.rows()
		work.take()
		answer, cookies, _ := s.post(client, "/login", url.Values{"email": {address}})
		asked := work.take()
		guess, _, _ := s.post(client, "/login/code", url.Values{"code": {"0000-0000"}}, cookies...)
		guessed := work.take()
		written := s.rows()
		maps.DeleteFunc(written, func(table string, n int) bool { return n == before[table] })
		for table := range written {
			written[table] -= before[table]
		}
		if asked == "" || guessed == "" || len(written) == 0 {
			t.Fatalf("%s: nothing was counted", address)
		}
		match := cookies[0].Value[len(cookies[0].Value)-2:]
		guess = strings.ReplaceAll(guess, ">"+match+"<", ">match<")
		all := fmt.Sprintf("%s\n%s\n%s\n%s\nrows: %v", answer, asked, guess, guessed, written)
		if first == "" {
			first, firstAddress = all, address
			t.Logf("each: %d and %d statements, rows %v", strings.Count(asked, "\n")+1, strings.Count(guessed, "\n")+1, written)
		}
		if all != first {
			t.Errorf("%s differs from %s:\n%s", address, firstAddress, difference(all, first))
		}
	}
}

// difference returns the lines of two texts that differ.
func difference(a, b string) string {
	var all []string
	other := strings.Split(b, "\n")
	for i, line := range strings.Split(a, "\n") {
		if i >= len(other) || line != other[i] {
			all = append(all, "- "+line)
			if i < len(other) {
				all = append(all, "+ "+other[i])
			}
		}
	}
	return strings.Join(all, "\n")
}

// The job that mails does as much for nobody as for somebody, up to the sending: also where a
// domain signs in elsewhere, and owners alone get mail. That the mail is written for all
// shows levqor.TestAMailIsWrittenAlsoForNobody.
func TestTheJobBehindAnAnswerIsTheSameWork(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		work := &statements{}
		s := newServiceOn(t, fresh(t), work)
		for _, address := range []string{"known@example.com", "member@required.example"} {
			s.user(address)
		}
		for _, address := range []string{"shut@example.com", "shut@required.example"} {
			if _, err := s.app.Directory.DisableUser(t.Context(), s.user(address).ID); err != nil {
				t.Fatal(err)
			}
		}
		s.require("required.example", s.user("owner@required.example"), s.user("member@required.example"))
		s.run()
		client := newClient(t)
		for _, group := range []struct {
			form, mailed string
			others       []string
		}{
			{"/login", "known@example.com", []string{"other@example.com", "shut@example.com"}},
			{"/login/mail", "owner@required.example", []string{"member@required.example", "other@required.example", "shut@required.example"}},
		} {
			s.jobFor(client, group.form, "first@"+group.mailed[strings.Index(group.mailed, "@")+1:]) // prepares what is prepared once
			work.aboutPeople()
			var first []string
			for _, address := range append([]string{group.mailed}, group.others...) {
				s.jobFor(client, group.form, address)
				asked := work.aboutPeople()
				if mails := len(s.box); (mails == 1) != (address == group.mailed) {
					t.Errorf("%s got %d mails", address, mails)
				}
				for len(s.box) > 0 {
					<-s.box
				}
				if first == nil {
					first = asked
					t.Logf("%s: each job and its request: %d statements about people", group.form, len(asked))
				}
				if len(asked) < 5 || !slices.Equal(asked, first) {
					t.Errorf("%s differs from %s:\n%s", address, group.mailed, difference(strings.Join(asked, "\n"), strings.Join(first, "\n")))
				}
			}
		}
	})
}

// jobFor asks for a mail and waits for the end of its job.
func (s *service) jobFor(client *http.Client, form, address string) {
	s.Helper()
	s.post(client, form, url.Values{"email": {address}})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 3000 {
		<-tick.C
		waiting, err := s.app.Jobs.List(s.Context(), jobs.ListQuery{States: []jobs.State{jobs.Scheduled, jobs.Ready, jobs.Running, jobs.Retryable}, Limit: 1})
		if err != nil {
			s.Fatal(err)
		}
		if len(waiting) == 0 {
			return
		}
	}
	s.Fatalf("the job for %s does not end", address)
}

// Times are told and not judged, beyond what no noise of a shared machine explains.
func TestKnownAndUnknownAddressesTakeEqualTime(t *testing.T) {
	n := 200
	if text := os.Getenv("LEVQOR_TIMING"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 100 {
			t.Fatalf("LEVQOR_TIMING is %q, want at least 100", text)
		}
	}
	s := newService(t)
	for i := range n {
		s.user(fmt.Sprintf("known%06d@example.com", i))
	}
	s.run()
	random := rand.New(rand.NewPCG(4, 2))
	order := make([]bool, 2*n)
	for i := range n {
		order[i] = true
	}
	random.Shuffle(2*n, func(i, j int) { order[i], order[j] = order[j], order[i] })
	client := newClient(t)
	for i := range 50 {
		s.post(client, "/login", url.Values{"email": {fmt.Sprintf("warmup%d@example.com", i)}})
	}
	answers, times, asked := map[string]int{}, map[bool][]float64{}, map[bool]int{}
	for _, known := range order {
		address := fmt.Sprintf("other%06d@example.com", asked[known])
		if known {
			address = fmt.Sprintf("known%06d@example.com", asked[known])
		}
		asked[known]++
		answer, _, took := s.post(client, "/login", url.Values{"email": {address}})
		answers[answer]++
		times[known] = append(times[known], float64(took.Microseconds()))
	}
	if len(answers) != 1 {
		t.Errorf("the answers are %v, want one", answers)
	}
	slices.Sort(times[true])
	slices.Sort(times[false])
	d, p := kolmogorovSmirnov(times[true], times[false])
	known, unknown := quantile(times[true], 0.5), quantile(times[false], 0.5)
	t.Logf("%d of each: known median %.0f µs, p95 %.0f µs; unknown median %.0f µs, p95 %.0f µs; medians differ by %.1f %%; Kolmogorov-Smirnov D = %.4f, p = %.3f",
		n, known, quantile(times[true], 0.95), unknown, quantile(times[false], 0.95), 100*math.Abs(known-unknown)/unknown, d, p)
	if known > 2*unknown || unknown > 2*known {
		t.Errorf("the medians are %.0f and %.0f µs", known, unknown)
	}
}
