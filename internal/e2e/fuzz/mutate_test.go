package fuzz_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/levqor/sdk/levqor/identity"
)

// steers change a valid request so that it ends with the code that it is drawn for, or
// with anything.
func (d *drawer) steers() map[string]func(*request) *request {
	return map[string]func(*request) *request{
		"validation_failed":        d.spoil,
		anything:                   d.spoil,
		"api_key_in_query":         d.leak,
		"invalid_cursor":           d.forgeCursor,
		"body_too_large":           d.swell,
		"unsupported_media_type":   d.relabel,
		"not_found":                d.misname,
		"conflict":                 d.late,
		"rotation_in_progress":     d.rotateAgain,
		"scope_not_held":           d.overreach,
		"idempotency_key_required": func(q *request) *request { q.header.Del("Idempotency-Key"); return q },
		"idempotency_key_reused":   d.reuse,
	}
}

// leak puts an API key into the query.
func (d *drawer) leak(q *request) *request {
	name := pick(d.source, []string{"key", "api_key", "limit", "lvq_live_x"})
	q.query = append(q.query, param{name, pick(d.source, []string{"lvq_live_abc", "x%6Cvq_test", "%6c%76%71%5flive"})})
	return q
}

// forgeCursor gives a cursor that is none, or is one of another tenant, page or filter.
func (d *drawer) forgeCursor(q *request) *request {
	cursor := pick(d.source, []string{"", "AAAA", "-", "?", "null", strings.Repeat("A", 512), strings.Repeat("_", 44)})
	if pages := d.memory.cursors[q.op.OperationID]; len(pages) > 0 && d.likely(60) {
		p := pick(d.source, pages)
		cursor = p.cursor
		if p.tenant == q.role.tenant {
			b := []byte(cursor)
			b[d.IntN(len(b)-1)] ^= 1 + byte(d.IntN(2)) // the last digit may say nothing
			cursor = string(b)
		}
	}
	return page{request: q, cursor: cursor}.turned()
}

// swell sends more than a request may hold, or nearly that.
func (d *drawer) swell(q *request) *request {
	n := 1<<20 + 1 - d.IntN(2)*2
	raw := q.bytes()
	q.raw = append(slices.Clip(raw), bytes.Repeat([]byte{" \n0"[d.IntN(3)]}, max(0, n-len(raw)))...)
	return q
}

// relabel sends another content type.
func (d *drawer) relabel(q *request) *request {
	types := []string{
		"", "text/plain", "application/json; charset=utf-16", "application/xml", "multipart/form-data", "application/x-www-form-urlencoded", "*/*",
		"application/jsonx", "application/problem+json", "application/json; charset", ";", "\xff", strings.Repeat("a", 5000),
	}
	q.header["Content-Type"] = []string{pick(d.source, types)}
	return q
}

// misname asks for what is not there: it never was, has no such form, or is another
// tenant's.
func (d *drawer) misname(q *request) *request {
	for _, ref := range q.op.Parameters {
		p := ref.Value
		if p.In != openapi3.ParameterInPath {
			continue
		}
		q.path[p.Name] = d.fresh(q.op, p)
		switch n := d.IntN(100); {
		case n < 60:
			d.trespass(q, p.Name)
		case n < 75:
			q.path[p.Name] = pick(d.source, hostile)
		}
	}
	return q
}

// trespass asks for what is another tenant's, if there is anything.
func (d *drawer) trespass(q *request, name string) {
	mine := d.memory.owned[shelf{q.op.collection, q.role.tenant}]
	for _, tenant := range d.service.tenants {
		theirs := d.memory.names[shelf{q.op.collection, tenant}]
		if tenant == q.role.tenant || len(theirs) == 0 {
			continue
		}
		if found := pick(d.source, theirs); !mine[found] {
			q.path[name], q.foreign = found, name
		}
	}
}

// late asks for a change of what is over.
func (d *drawer) late(q *request) *request {
	for name := range q.path {
		if ended := d.memory.ended[shelf{q.op.collection, q.role.tenant}]; len(ended) > 0 {
			q.path[name] = pick(d.source, ended)
		}
	}
	return q
}

// rotateAgain rotates an API key whose token from before still works.
func (d *drawer) rotateAgain(q *request) *request {
	for name := range q.path {
		if retiring := d.memory.retiring[shelf{q.op.collection, q.role.tenant}]; len(retiring) > 0 {
			q.path[name] = pick(d.source, retiring)
		}
	}
	return q
}

// overreach asks for an API key with a scope that the role does not hold, or for a change
// of one that has such a scope.
func (d *drawer) overreach(q *request) *request {
	foreign := func(scope string) bool { return !q.role.allows(scope) }
	if body, ok := q.body.(map[string]any); ok && body["scopes"] != nil {
		scopes := slices.DeleteFunc(append(slices.Clone(d.scopes), identity.AllScopes), q.role.allows)
		body["scopes"] = []any{pick(d.source, q.role.scopes), pick(d.source, scopes)}
	}
	for name := range q.path {
		var strong []string
		for _, id := range d.memory.names[shelf{q.op.collection, q.role.tenant}] {
			if slices.ContainsFunc(d.memory.scopes[id], foreign) {
				strong = append(strong, id)
			}
		}
		if len(strong) > 0 {
			q.path[name] = pick(d.source, strong)
		}
	}
	return q
}

// reuse gives the key of another request.
func (d *drawer) reuse(q *request) *request {
	if before := d.memory.keyed[q.op.OperationID+" "+q.role.name]; len(before) > 0 {
		q.idempotency = pick(d.source, before).request.idempotency
		q.header.Set("Idempotency-Key", q.idempotency)
	}
	return q
}

// spoil changes one or two things of a request.
func (d *drawer) spoil(q *request) *request {
	for range 1 + d.IntN(2) {
		switch n := d.IntN(100); {
		case n < 60 && q.op.body != nil:
			d.spoilBody(q)
		case n < 85:
			d.spoilParameter(q)
		case n < 97 || q.aim != anything:
			d.spoilQuery(q)
		default:
			d.spoilRoute(q)
		}
	}
	return q
}

// spoilParameter changes a parameter, wherever it is.
func (d *drawer) spoilParameter(q *request) {
	if len(q.op.Parameters) == 0 {
		d.spoilQuery(q)
		return
	}
	p := pick(d.source, q.op.Parameters).Value
	value := pick(d.source, append(numbers, hostile...))
	if beside := d.beside(p.Schema.Value); beside != nil && d.likely(40) {
		value = fmt.Sprint(beside)
	}
	switch p.In {
	case openapi3.ParameterInPath:
		q.path[p.Name] = value
	case openapi3.ParameterInHeader:
		q.idempotency = ""
		q.header[p.Name] = slices.Repeat([]string{value}, 1+d.IntN(2))
	default:
		encoded := url.QueryEscape(value)
		if d.likely(10) {
			encoded = pick(d.source, []string{"%zz", "%", "%ff%fe", "%00", "1%2C2", "a;b"})
		}
		q.query = append(q.query, param{p.Name, encoded}) // beside the one that may be there
	}
}

// spoilQuery adds what no operation has.
func (d *drawer) spoilQuery(q *request) {
	text := pick(d.source, []string{
		"zzz=1", "=", "limit[]=1", "Limit=1", "%00=1", "a%zz=1", "limit;state=ready", "tenant=default", "__proto__=1", "%F0%9F%98%80=%F0%9F%98%80",
		"a=" + strings.Repeat("b", 9000), "-1=--", "$1=?", "id=job_00000000001",
	})
	name, value, _ := strings.Cut(text, "=")
	q.query = append(q.query, param{name, value})
}

// spoilRoute asks in another way, or for another path.
func (d *drawer) spoilRoute(q *request) {
	if d.likely(50) {
		q.method = pick(d.source, []string{"HEAD", "OPTIONS", "PATCH", "TRACE", "PUT", "POST", "DELETE", "GET", "get", "QUERY"})
		return
	}
	path := q.target()
	path, _, _ = strings.Cut(path, "?")
	q.rawPath = pick(d.source, []string{path + "/", "/" + path, path + "/..", path + "/./", strings.ToUpper(path), path + "%2F", path + "%00", path + ";x", "/", "/api/v1/", path + "/events"})
}

// dress adds headers that must change nothing: the tenant is that of the key, and
// nobody asks for anything in this way.
func (d *drawer) dress(q *request) {
	name := pick(d.source, []string{
		"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "X-Real-Ip", "X-Original-Url", "X-Rewrite-Url", "X-Http-Method-Override",
		"X-Tenant", "Tenant", "Cookie", "Origin", "Referer", "User-Agent", "Accept", "Accept-Encoding", "Accept-Language", "Range", "If-None-Match",
		"If-Match", "If-Modified-Since", "Content-Encoding", "Content-Language", "Content-Md5", "Traceparent", "Request-Id", "X-Request-Id", "Te", "Upgrade", "Expect",
		"Sec-Fetch-Site", "Via", "Max-Forwards", "Host",
	})
	q.header[name] = slices.Repeat([]string{pick(d.source, []string{
		"", "127.0.0.1", "for=127.0.0.1;host=evil.example", "evil.example", "default", "rival", "DELETE", "gzip", "bytes=0-1", "*", "null", "cross-site",
		"../..", "/api/v1/queues", "'; --", "\"", "\xff\xfe", "é", "00-00000000000000000000000000000000-0000000000000000-00", "100-continue", strings.Repeat("a=b; ", 4000),
		"req_\t", "text/html;q=0.9", "-1", "{{.}}",
	})}, 1+d.IntN(2))
}

// spot is a value within a body, where it can be changed.
type spot struct {
	schema *openapi3.Schema
	value  any
	set    func(any)
	remove func()
}

// spots lists all values of a body, itself first.
func (d *drawer) spots(s spot) []spot {
	all := []spot{s}
	switch value := s.value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			schema := &openapi3.Schema{}
			if ref := s.schema.Properties[name]; ref != nil {
				schema = ref.Value
			} else if s.schema.AdditionalProperties.Schema != nil {
				schema = s.schema.AdditionalProperties.Schema.Value
			}
			if name == "args" {
				schema = d.args
			}
			all = append(all, d.spots(spot{schema, value[name], func(v any) { value[name] = v }, func() { delete(value, name) }})...)
		}
	case []any:
		for i := range value {
			schema := &openapi3.Schema{}
			if s.schema.Items != nil {
				schema = s.schema.Items.Value
			}
			all = append(all, d.spots(spot{schema, value[i], func(v any) { value[i] = v }, func() { value[i] = nil }})...)
		}
	}
	return all
}

// spoilBody changes a value of the body, or the text of it.
func (d *drawer) spoilBody(q *request) {
	if q.body == nil || q.raw != nil || d.likely(25) {
		d.spoilText(q)
		return
	}
	s := pick(d.source, d.spots(spot{q.op.body, q.body, func(v any) { q.body = v }, func() { q.raw = []byte{} }}))
	switch n := d.IntN(100); {
	case n < 10:
		s.remove()
	case n < 20:
		s.set(nil)
	case n < 35:
		s.set(pick(d.source, []any{"x", 7, true, []any{}, map[string]any{}, 1.5, []any{nil}, map[string]any{"": nil}}))
	case n < 50:
		if beside := d.beside(s.schema); beside != nil {
			s.set(beside)
		}
	case n < 65:
		s.set(json.RawMessage(pick(d.source, numbers)))
	case n < 85:
		s.set(pick(d.source, hostile))
	default:
		if object, ok := s.value.(map[string]any); ok {
			object[pick(d.source, append([]string{"zzz", "__proto__", "a/b~c"}, hostile...))] = pick(d.source, []any{1, "x", nil, d.word()})
		} else {
			s.set(json.RawMessage(pick(d.source, []string{`"\ud800"`, `"\ud83d\ude00"`, `"\u0000"`, `"\/"`, `"\u202e"`, `[[[[[[1]]]]]]`, `{"a":{"a":{"a":1}}}`})))
		}
	}
}

// spoilText changes the text of a body.
func (d *drawer) spoilText(q *request) {
	raw := q.bytes()
	object := bytes.HasPrefix(raw, []byte("{")) && len(raw) > 2
	field := func(name string) []byte { // once more, in front of the others
		return append([]byte(`{"`+name+`":"x",`), raw[1:]...)
	}
	depth := pick(d.source, []int{63, 64, 65, 1000, 20_000})
	switch n := d.IntN(14); {
	case n == 0 && object:
		var fields map[string]json.RawMessage
		if json.Unmarshal(raw, &fields) == nil && len(fields) > 0 {
			q.raw = field(pick(d.source, slices.Sorted(maps.Keys(fields))))
		}
	case n == 1 && object:
		q.raw = bytes.Replace(raw, []byte(`"args":{`), []byte(`"args":{"text":"a","text":"b",`), 1)
	case n == 2:
		q.raw = append(slices.Clip(raw), pick(d.source, []string{" x", "{}", ",", "]", "\x00", "//", " 1", "\n\n{\"a\":1}"})...)
	case n == 3:
		q.raw = raw[:d.IntN(len(raw)+1)]
	case n == 4:
		q.raw = append([]byte("\ufeff"), raw...)
	case n == 5 && len(raw) > 0:
		q.raw = slices.Clone(raw)
		q.raw[d.IntN(len(raw))] = byte(d.IntN(256))
	case n == 6:
		q.raw = []byte(strings.Repeat("[", depth) + strings.Repeat("]", depth))
	case n == 7 && object:
		q.raw = field(strings.Repeat("k", 300))
	case n == 8 && object:
		q.raw = append([]byte(`{"metadata":{"a":`+strings.Repeat(`{"a":`, depth)+"1"+strings.Repeat("}", depth)+`},`), raw[1:]...)
	case n == 9 && object:
		q.raw = bytes.ReplaceAll(raw, []byte(`":"`), []byte(`":"\u0000`))
	case n == 10:
		q.raw = []byte(pick(d.source, []string{"", " ", "null", "true", "0", `""`, "[]", "{}", "[{}]", "nul", "{", "\x00", "NaN", `{"a"}`, `{"a":}`, "{'a':1}", "<x/>", "a=b"}))
	case n == 11:
		q.raw = []byte("[" + string(raw) + "]")
	case n == 12 && object:
		q.raw = bytes.ReplaceAll(raw, []byte(`":`), []byte(`" : `))
	default:
		q.raw = append(bytes.Repeat([]byte(" \n\t\r"), 2000), raw...)
	}
	if q.raw == nil {
		q.raw = raw
	}
}
