package fuzz_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// memory is what answers have told, so that later requests can be about it.
type memory struct {
	names    map[shelf][]string
	ended    map[shelf][]string        // of what is completed or revoked
	retiring map[shelf][]string        // of API keys whose token from before still works
	owned    map[shelf]map[string]bool // all that there ever were
	cursors  map[string][]page         // by operation
	keyed    map[string][]*exchange
	params   map[string]string   // of each collection, what its things are named by
	scopes   map[string][]string // of API keys, by ID
	spared   map[string]bool     // what no request may be about
}

// shelf is where names of things are kept.
type shelf struct{ collection, tenant string }

// page is a request with the cursor that its answer gave.
type page struct {
	request *request
	tenant  string
	cursor  string
}

// exchange is a request with an idempotency key, and its answer.
type exchange struct {
	request *request
	answer  *answer
}

// kept bounds each list: old things are gone or over.
const kept = 48

func newMemory(ops []*operation, spared map[string]bool) *memory {
	m := &memory{
		names: map[shelf][]string{}, ended: map[shelf][]string{}, retiring: map[shelf][]string{}, owned: map[shelf]map[string]bool{},
		cursors: map[string][]page{}, keyed: map[string][]*exchange{}, params: map[string]string{}, scopes: map[string][]string{}, spared: spared,
	}
	for _, op := range ops {
		if _, rest, ok := strings.Cut(op.path, "{"); ok {
			m.params[op.collection], _, _ = strings.Cut(rest, "}")
		}
	}
	return m
}

func push[K comparable, V any](lists map[K][]V, key K, v V) {
	lists[key] = append(lists[key], v)
	if n := len(lists[key]); n > kept {
		lists[key] = slices.Clone(lists[key][n-kept:])
	}
}

// learn remembers what a successful answer tells.
func (m *memory) learn(q *request, op *operation, a *answer) {
	tenant := q.role.tenant
	if tenant == "" || op != q.op {
		return
	}
	if q.idempotency != "" {
		push(m.keyed, op.OperationID+" "+q.role.name, &exchange{q, a})
	}
	body, err := parse(a.body)
	if err != nil {
		return // no JSON, and checked elsewhere
	}
	m.walk(op.collection, tenant, body)
	if object, ok := body.(map[string]any); ok {
		if cursor, ok := object["next_cursor"].(string); ok {
			push(m.cursors, op.OperationID, page{q, tenant, cursor})
		}
	}
}

// walk finds names of things: the field that a path parameter is called like, in answers
// of its collection, and everywhere fields such as job_id for what is under jobs.
func (m *memory) walk(collection, tenant string, value any) {
	switch value := value.(type) {
	case []any:
		for _, v := range value {
			m.walk(collection, tenant, v)
		}
	case map[string]any:
		name, ok := value[m.params[collection]].(string)
		if !ok {
			name, ok = value["id"].(string)
		}
		if ok && !m.spared[name] {
			m.note(shelf{collection, tenant}, name, value)
		}
		for field, v := range value {
			if id, ok := v.(string); ok && strings.HasSuffix(field, "_id") && !m.spared[id] {
				m.keepForeign(field, tenant, id)
			}
		}
		m.walk(collection, tenant, value["data"])
	}
}

// note keeps the name of a thing by what can be done with it.
func (m *memory) note(s shelf, name string, thing map[string]any) {
	if scopes, ok := thing["scopes"].([]any); ok {
		m.scopes[name] = nil
		for _, scope := range scopes {
			m.scopes[name] = append(m.scopes[name], fmt.Sprint(scope))
		}
	}
	switch {
	case thing["revoked_at"] != nil:
		m.forget(s, name)
		push(m.ended, s, name)
		return
	case thing["state"] == "completed":
		push(m.ended, s, name)
	case thing["retiring_until"] != nil:
		push(m.retiring, s, name)
	}
	m.keep(s, name)
}

func (m *memory) keepForeign(field, tenant, id string) {
	for collection, param := range m.params {
		singular := strings.TrimSuffix(collection[strings.LastIndex(collection, "/")+1:], "s")
		if param == "id" && strings.HasSuffix(field, singular+"_id") {
			m.keep(shelf{collection, tenant}, id)
		}
	}
}

func (m *memory) keep(s shelf, name string) {
	if m.owned[s] == nil {
		m.owned[s] = map[string]bool{}
	}
	m.owned[s][name] = true
	if !slices.Contains(m.names[s], name) {
		push(m.names, s, name)
	}
}

// forget drops a name that is no longer anything's, or of what is over.
func (m *memory) forget(s shelf, name string) {
	for _, names := range []map[shelf][]string{m.names, m.retiring} {
		names[s] = slices.DeleteFunc(names[s], func(n string) bool { return n == name })
	}
}

// turned returns the request for the page after a remembered one.
func (p page) turned() *request {
	q := p.request.clone()
	q.foreign = ""
	if body, ok := q.body.(map[string]any); ok {
		body["cursor"] = p.cursor
		return q
	}
	q.query = slices.DeleteFunc(q.query, func(p param) bool { return p.name == "cursor" })
	q.query = append(q.query, param{"cursor", url.QueryEscape(p.cursor)})
	return q
}
