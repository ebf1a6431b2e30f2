package fuzz_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/levqor/sdk/levqor/identity"
)

// request is one that was drawn, in parts that can still be changed.
type request struct {
	op          *operation
	role        *role
	aim         string // the code that it was drawn for, success or anything
	method      string
	path        map[string]string
	rawPath     string // takes the place of the path if it is set
	query       []param
	header      http.Header
	idempotency string  // the key, as long as it is what the contract asks for
	body        any     // nil for none
	raw         []byte  // what is sent, made of body unless it is set
	foreign     string  // the path parameter that is another tenant's, if one is
	before      *answer // to the same request, if it was sent before
}

// param is a query parameter, encoded.
type param struct{ name, value string }

// clone returns a copy that shares nothing that changes.
func (q *request) clone() *request {
	c := *q
	c.path, c.query, c.header = maps.Clone(q.path), slices.Clone(q.query), q.header.Clone()
	if q.body != nil {
		c.body, _ = parse(encode(q.body))
	}
	return &c
}

// target returns the path and query as a client writes them.
func (q *request) target() string {
	target := q.rawPath
	if target == "" {
		target = q.op.path
		for name, value := range q.path {
			target = strings.ReplaceAll(target, "{"+name+"}", url.PathEscape(value))
		}
	}
	for i, p := range q.query {
		target += string("?&"[min(i, 1)]) + p.name + "=" + p.value
	}
	return target
}

func (q *request) bytes() []byte {
	if q.raw == nil && q.body != nil {
		return encode(q.body)
	}
	return q.raw
}

// http returns the request as a server hands it on, or an error for one that net/http
// refuses by itself.
func (q *request) http(ctx context.Context) (*http.Request, error) {
	raw := q.bytes()
	target := q.target()
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil, err
	}
	if strings.ContainsAny(target, " \r\n\t\x00") {
		return nil, fmt.Errorf("a request line with %q", target)
	}
	r, err := http.NewRequestWithContext(ctx, q.method, "http://levqor.test", bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	r.URL, r.RequestURI, r.RemoteAddr = u, target, address
	r.Header = q.header
	for name, values := range q.header {
		if slices.ContainsFunc(values, func(v string) bool { return strings.ContainsFunc(v, control) }) {
			return nil, fmt.Errorf("a header %s: %q", name, values)
		}
	}
	return r, nil
}

// address is where all requests come from.
const address = "192.0.2.1:49152"

func control(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }

func (q *request) String() string {
	return fmt.Sprintf("%s %s as %s for %q\n%v\n%s", q.method, cut([]byte(q.target()), 2000), q.role.name, q.aim, q.header, cut(q.bytes(), 2000))
}

// The aims beside the contract's codes.
const (
	success  = "success"
	anything = "anything"
)

// drawer draws requests of all operations.
type drawer struct {
	*source
	ops     []*operation
	service *service
	memory  *memory
	tally   tally
	scopes  []string // that the contract asks for
	keys    int
	turns   map[*operation]int
}

// draw returns the next request.
func (d *drawer) draw() *request {
	op := pick(d.source, d.ops)
	aim := success
	switch n := d.IntN(100); {
	case n < 30:
		aim = d.turn(op)
	case n < 60:
		aim = anything
	}
	q := d.valid(op, d.roleFor(op, aim))
	q.aim = aim
	if steer := d.steers()[aim]; steer != nil {
		q = steer(q)
		q.op, q.aim = op, aim
	}
	if aim == success && d.likely(20) {
		q = d.again(q)
	}
	if d.likely(10) {
		d.dress(q)
	}
	return q
}

// turn returns the code whose turn it is, of those that were not seen yet if there are
// any. Something is not found only once it was another tenant's.
func (d *drawer) turn(op *operation) string {
	codes := slices.DeleteFunc(slices.Clone(op.problems), func(code string) bool { return unreachable(op, code) })
	missing := slices.DeleteFunc(slices.Clone(codes), func(code string) bool {
		return d.tally.saw(op, code) && (code != "not_found" || !op.strangers() || d.tally[op.OperationID][compared] > 0)
	})
	if len(missing) > 0 {
		codes = missing
	}
	d.turns[op]++
	return codes[d.turns[op]%len(codes)]
}

// roleFor returns who sends a request so that the aim can be reached.
func (d *drawer) roleFor(op *operation, aim string) *role {
	fits := func(r *role) bool { return r.tenant != "" && r.allows(op.scope) && (r.person || !op.person) }
	switch aim {
	case "person_required":
		fits = func(r *role) bool { return r.tenant != "" && !r.person }
	case "invalid_api_key":
		fits = func(r *role) bool { return r.tenant == "" }
	case "insufficient_scope":
		fits = func(r *role) bool { return r.tenant != "" && !r.allows(op.scope) }
	case "scope_not_held":
		fits = func(r *role) bool { return r.tenant != "" && r.allows(op.scope) && !r.allows(identity.AllScopes) }
	case "limit_reached":
		return d.service.busy
	case "rate_limited":
		return pick(d.source, d.service.limited)
	case "api_key_in_query":
		fits = func(*role) bool { return true }
	case anything:
		if d.likely(15) || op.scope == "" {
			fits = func(*role) bool { return true }
		}
	}
	all := slices.DeleteFunc(slices.Clone(d.service.roles), func(r *role) bool { return !fits(r) })
	return pick(d.source, all)
}

// valid draws a request that the contract allows.
func (d *drawer) valid(op *operation, r *role) *request {
	d.marker, d.held = r.marker(), r.scopes
	if r.allows(identity.AllScopes) {
		d.held = append(slices.Clone(d.scopes), identity.AllScopes)
	}
	q := &request{op: op, role: r, method: op.method, path: map[string]string{}, header: http.Header{}}
	if r.token != "" {
		q.header.Set("Authorization", "Bearer "+r.token)
	}
	for _, ref := range op.Parameters {
		p := ref.Value
		if !p.Required && d.likely(60) {
			continue
		}
		switch {
		case p.In == openapi3.ParameterInPath:
			q.path[p.Name] = d.name(q, p)
		case p.Name == "cursor": // nobody can make one up; see turned
		case p.Name == "Idempotency-Key":
			d.keys++
			q.idempotency = fmt.Sprintf("%s-%d", d.marker, d.keys)
			q.header.Set(p.Name, q.idempotency)
		case p.In == openapi3.ParameterInHeader:
			q.header.Set(p.Name, fmt.Sprint(d.value(p.Name, p.Schema.Value)))
		default:
			d.ask(q, p)
		}
	}
	if op.body != nil {
		q.body = d.value("", op.body)
		if body, ok := q.body.(map[string]any); ok {
			delete(body, "cursor")
		}
		q.header.Set("Content-Type", pick(d.source, []string{"application/json", "application/json; charset=utf-8", "Application/JSON"}))
	}
	if pages := d.memory.cursors[op.OperationID]; len(pages) > 0 && d.likely(25) {
		if p := pick(d.source, pages); p.tenant == r.tenant && p.request.role == r {
			return p.turned()
		}
	}
	return q
}

// name draws the value of a path parameter: mostly that of a thing that is there.
func (d *drawer) name(q *request, p *openapi3.Parameter) string {
	own := d.memory.names[shelf{q.op.collection, q.role.tenant}]
	if len(own) > 0 && (q.op.lists("not_found") || d.likely(2*len(own))) {
		return pick(d.source, own)
	}
	return d.fresh(q.op, p)
}

// fresh draws a name that nothing has.
func (d *drawer) fresh(op *operation, p *openapi3.Parameter) string {
	if op.collection == "/api/v1/jobs" || p.Schema.Value.Pattern == "" && d.likely(30) {
		return d.unlike(p.Example)
	}
	if all := known[p.Name]; all != nil && d.likely(80) {
		return fmt.Sprint(pick(d.source, all))
	}
	return d.text(p.Schema.Value)
}

// unlike draws a text in the form of another: digits and letters are replaced behind the
// first underscore.
func (d *drawer) unlike(example any) string {
	b := []byte(fmt.Sprint(example))
	for i := strings.IndexByte(string(b), '_') + 1; i < len(b); i++ {
		b[i] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"[d.IntN(10+26+26)]
	}
	return string(b)
}

// ask adds a query parameter.
func (d *drawer) ask(q *request, p *openapi3.Parameter) {
	value := d.value(p.Name, p.Schema.Value)
	all, ok := value.([]any)
	if !ok {
		all = []any{value}
	}
	for _, v := range all {
		q.query = append(q.query, param{p.Name, url.QueryEscape(fmt.Sprint(v))})
	}
}

// again repeats a request with an idempotency key, if there is one of the role.
func (d *drawer) again(q *request) *request {
	if before := d.memory.keyed[q.op.OperationID+" "+q.role.name]; len(before) > 0 {
		old := pick(d.source, before)
		q = old.request.clone()
		q.aim, q.before = success, old.answer
	}
	return q
}
