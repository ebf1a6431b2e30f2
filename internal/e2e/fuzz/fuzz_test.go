package fuzz_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/levqor/httpapi"
)

// sample is how many requests are sent unless LEVQOR_FUZZ says so.
const sample = 7000

// unseen are codes that requests by themselves do not bring about, of all operations or
// of one.
var unseen = map[string]string{
	"internal":                               "is a fault wherever it is seen",
	"unavailable":                            "the database is there, and the service does not drain",
	"timeout":                                "nothing takes 30 seconds",
	"changeJobs conflict":                    "many others must change the same jobs meanwhile",
	"putQueue conflict":                      "others must change the queue a hundred times meanwhile, and back",
	"putSchedule conflict":                   "a hundred others must change the schedule meanwhile",
	"pauseSchedule conflict":                 "a hundred others must change the schedule meanwhile",
	"resumeSchedule conflict":                "a hundred others must change the schedule meanwhile",
	"getTenant not_found":                    "the tenants of all roles are there",
	"updateTenant not_found":                 "the tenants of all roles are there",
	"deleteTenant not_found":                 "the tenants of all roles are there",
	"createTenant conflict":                  "no deletion of a user takes long enough",
	"createInvitation not_found":             "the tenants of all roles are there",
	"createSSOConnection not_found":          "the tenants of all roles are there",
	"createInvitation limit_reached":         "a tenant may have a thousand",
	"createOwnerLink conflict":               "nobody need become an owner",
	"createOwnerLink idempotency_key_reused": "it has nothing that requests could differ in",
	"updateMember conflict":                  "the last owner may never be changed",
	"removeMember conflict":                  "the last owner may never be removed",
	"deleteUser conflict":                    "the last owner may never be deleted",
	"no_mailer":                              "there is one",
	"proof_required":                         "the callers are programs, which are not asked for a proof",
	"createSSOConnection conflict":           "a team must have as many as it may, which happens to few seeds",
	"beginEmailChange forbidden":             "no tenant has a provider",
	"beginEmailChange not_found":             "the person is there",
	"confirmEmailChange forbidden":           "no tenant has a provider",
	"confirmEmailChange not_found":           "the person is there",
	"confirmEmailChange conflict":            "the code is in a mail that nobody here reads",
	"confirmEmailChange limit_reached":       "the code is in a mail that nobody here reads",
	"runSchedule conflict":                   "a hundred others must change the schedule meanwhile",
}

// unsuccessful are operations that nobody here can succeed with.
var unsuccessful = map[string]string{
	"confirmEmailChange": "the code is in a mail that nobody here reads; package httpapi does so",
	"unlinkMember":       "nobody has come by a provider, which would have to be there",
	"deleteTenant":       "it would end a role; package httpapi does so",
}

// compared counts what was asked about another tenant's thing and about none.
const compared = "compared"

// replayed stands for an answer that repeats an earlier one.
const replayed = "replayed"

// strangers reports whether an operation must be asked about another tenant's things. For
// the operator nothing is.
func (o *operation) strangers() bool {
	return strings.Contains(o.path, "{") && o.lists("not_found") && !strings.HasPrefix(o.scope, "operator:")
}

func unreachable(op *operation, code string) bool {
	return unseen[code] != "" || unseen[op.OperationID+" "+code] != ""
}

// tally counts answers by operation and outcome: the code of a problem, else the status.
type tally map[string]map[string]int

func (c tally) add(op *operation, a *answer) {
	name, outcome := "no operation", a.code()
	if op != nil {
		name = op.OperationID
	}
	switch {
	case outcome != "":
	case a.header.Get("Idempotent-Replayed") != "":
		outcome = replayed
	default:
		outcome = strconv.Itoa(a.status)
	}
	if c[name] == nil {
		c[name] = map[string]int{}
	}
	c[name][fmt.Sprintf("%d %s", a.status, strings.TrimPrefix(outcome, strconv.Itoa(a.status)))]++
}

// saw reports whether an operation was ever answered with a code, or replayed.
func (c tally) saw(op *operation, code string) bool {
	for outcome := range c[op.OperationID] {
		if strings.HasSuffix(outcome, " "+code) {
			return true
		}
	}
	return false
}

func TestEveryAnswerIsOneThatTheContractKnows(t *testing.T) {
	registerTexts()
	spec := loadContract(t)
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		f := newFuzzer(t, spec, fresh(t))
		size := setting(t, "LEVQOR_FUZZ", sample)
		most := max(size, 4*sample) // what is rare is missing from a few samples
		for sent := 0; sent < most && f.faults < 10; {
			if sent >= size && sent%500 == 0 && len(f.unseen()) == 0 {
				break
			}
			if f.round(t) {
				sent++
			}
		}
		f.report(t)
	})
}

// setting returns the number of a variable of the environment.
func setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	given := os.Getenv(name)
	if given == "" {
		return otherwise
	}
	n, err := strconv.Atoi(given)
	if err != nil || n < 1 {
		t.Fatalf("%s must be a number above 0", name)
	}
	return n
}

// fuzzer sends requests and keeps what their answers told.
type fuzzer struct {
	*drawer
	spec  *contract
	total int
	// How many answers were wrong: after a few it is enough.
	faults int
}

func newFuzzer(t *testing.T, spec *contract, url string) *fuzzer {
	t.Helper()
	args, err := argsOf()
	if err != nil {
		t.Fatal(err)
	}
	scopes, err := httpapi.Scopes()
	if err != nil {
		t.Fatal(err)
	}
	seed := uint64(setting(t, "LEVQOR_FUZZ_SEED", 7))
	service := newService(t, url)
	return &fuzzer{spec: spec, drawer: &drawer{
		source: &source{Rand: rand.New(rand.NewPCG(seed, 5)), args: args},
		ops:    spec.ops, service: service, memory: newMemory(spec.ops, service.spared), tally: tally{}, scopes: scopes, turns: map[*operation]int{},
	}}
}

// round draws a request, sends it and checks the answer. It reports whether the request
// could be sent.
func (f *fuzzer) round(t *testing.T) bool {
	t.Helper()
	q := f.draw()
	r, a, err := f.service.send(q)
	if err != nil {
		return false
	}
	f.total++
	f.check(t, r, q, a)
	op := f.spec.find(r)
	if op != nil && q.foreign != "" && op == q.op && op.strangers() {
		f.compare(t, q, a)
	}
	if op != nil && a.status < http.StatusBadRequest && r.Method != http.MethodHead {
		f.memory.learn(q, op, a)
	}
	for _, name := range q.path {
		if a.code() == "not_found" && q.op.OperationID != "verifySSODomain" || // which may not find the domain
			q.method == http.MethodDelete && a.status == http.StatusNoContent {
			f.memory.forget(shelf{q.op.collection, q.role.tenant}, name)
		}
	}
	return true
}

func (f *fuzzer) check(t *testing.T, r *http.Request, q *request, a *answer) {
	t.Helper()
	f.tally.add(f.spec.find(r), a)
	if err := f.spec.judge(r, q, a, f.service.tenants); err != nil {
		f.faults++
		t.Errorf("request %d: %v\n%s\ngave %d %v\n%s", f.total, err, q, a.status, a.header, cut(a.body, 4000))
	}
	for _, line := range f.service.log.take() {
		t.Errorf("request %d was logged: %s\n%s", f.total, line, q)
	}
}

// compare asks the same about what does not exist.
func (f *fuzzer) compare(t *testing.T, q *request, a *answer) {
	t.Helper()
	absent := q.clone()
	absent.raw, absent.rawPath = q.raw, q.rawPath
	absent.path[q.foreign] = f.unlike(q.path[q.foreign])
	r, b, err := f.service.send(absent)
	if err != nil {
		t.Fatal(err)
	}
	f.total++
	f.check(t, r, absent, b)
	if err := alike(a, b); err != nil {
		f.faults++
		t.Errorf("request %d: %v\n%s\ngave %d %v\n%s", f.total, err, q, a.status, a.header, cut(a.body, 4000))
	}
	f.tally[q.op.OperationID][compared]++
}

// report logs the counts, and fails for what was not reached: it was not tested.
func (f *fuzzer) report(t *testing.T) {
	t.Helper()
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(f.tally)) {
		counts := f.tally[name]
		var all []string
		for _, outcome := range slices.Sorted(maps.Keys(counts)) {
			all = append(all, fmt.Sprintf("%s: %d", strings.TrimSpace(outcome), counts[outcome]))
		}
		lines = append(lines, fmt.Sprintf("%-16s %s", name, strings.Join(all, ", ")))
	}
	t.Logf("%d requests\n%s", f.total, strings.Join(lines, "\n"))
	for _, what := range f.unseen() {
		t.Error(what)
	}
}

// unseen says what was never answered with success or with a code that it lists.
func (f *fuzzer) unseen() []string {
	var all []string
	missing := func(op *operation, format string, args ...any) {
		all = append(all, op.OperationID+" was never "+fmt.Sprintf(format, args...))
	}
	for _, op := range f.spec.ops {
		counts, succeeded := f.tally[op.OperationID], false
		for outcome := range counts {
			succeeded = succeeded || strings.HasPrefix(outcome, "2")
		}
		if !succeeded && unsuccessful[op.OperationID] == "" {
			missing(op, "answered with success")
		}
		if op.strangers() && counts[compared] == 0 {
			missing(op, "asked about another tenant's thing")
		}
		if op.lists("idempotency_key_reused") && !f.tally.saw(op, replayed) {
			missing(op, "asked for the same twice")
		}
		for _, code := range op.problems {
			if !unreachable(op, code) && !f.tally.saw(op, code) {
				missing(op, "answered with %s", code)
			}
		}
	}
	return all
}
