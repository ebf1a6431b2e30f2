package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/levqor/sdk"
	"github.com/levqor/sdk/client"
	"github.com/levqor/sdk/levqor/httpapi"
)

// deprecated returns the contract with lines added to the operation that lists jobs.
func deprecated(t *testing.T, lines ...string) []byte {
	t.Helper()
	const at = "      operationId: listJobs\n"
	text := string(sdk.OpenAPI)
	if !strings.Contains(text, at) {
		t.Fatal("the contract has no listJobs")
	}
	return []byte(strings.Replace(text, at, at+"      "+strings.Join(lines, "\n      ")+"\n", 1))
}

func TestADeprecatedOperationSaysSoInEachAnswer(t *testing.T) {
	s := newService(t)
	handler, err := httpapi.NewFrom(s.app, deprecated(t,
		"deprecated: true", "x-deprecated-at: '2027-01-02T03:04:05Z'", "x-sunset: '2027-12-31T23:59:59+01:00'", "x-successor: /api/v2/jobs"))
	if err != nil {
		t.Fatal(err)
	}
	s.handler = handler
	for token, status := range map[string]int{s.key("acme", "*"): 200, "": 401} {
		resp := s.do(request{method: "GET", path: "/api/v1/jobs", token: token})
		links := []string{`</api/v1/openapi.yaml>; rel="deprecation"; type="application/openapi+yaml"`, `</api/v2/jobs>; rel="successor-version"`}
		h := resp.Header
		if resp.StatusCode != status || h.Get("Deprecation") != "@1798859045" || h.Get("Sunset") != "Fri, 31 Dec 2027 22:59:59 GMT" || !slices.Equal(h["Link"], links) {
			t.Errorf("the answer is %d %v, want the date, the end and %q", resp.StatusCode, h, links)
		}
	}
	resp := s.do(request{method: "GET", path: "/api/v1/schedules", token: s.key("acme", "*")})
	if h := resp.Header; h.Get("Deprecation")+h.Get("Sunset")+h.Get("Link") != "" {
		t.Errorf("another operation has %v", h)
	}
}

func TestADeprecatedOperationNeedsItsDates(t *testing.T) {
	s := newService(t)
	since, sunset := "x-deprecated-at: '2027-01-02T03:04:05Z'", "x-sunset: '2027-12-31T23:59:59Z'"
	for name, lines := range map[string][]string{
		"no dates":       {"deprecated: true"},
		"no end":         {"deprecated: true", since},
		"no beginning":   {"deprecated: true", sunset},
		"no date":        {"deprecated: true", since, "x-sunset: soon"},
		"ends before":    {"deprecated: true", since, "x-sunset: '2026-12-31T23:59:59Z'"},
		"not deprecated": {since, sunset},
	} {
		if _, err := httpapi.NewFrom(s.app, deprecated(t, lines...)); err == nil || !strings.Contains(err.Error(), "listJobs") {
			t.Errorf("%s: %v, want an error that names the operation", name, err)
		}
	}
}

// Whatever has a next cursor is a list as all others are.
func TestEveryListHasPagesOfOneForm(t *testing.T) {
	lists := 0
	for path, item := range loadContract(t).doc.Paths.Map() {
		op := item.Get
		if op == nil || op.Responses.Status(200) == nil {
			continue
		}
		answer := op.Responses.Status(200).Value
		media := answer.Content.Get("application/json")
		if media == nil || media.Schema.Value.Properties["next_cursor"] == nil {
			continue
		}
		lists++
		schema := media.Schema.Value
		if !slices.Contains(schema.Required, "data") || !slices.Contains(schema.Required, "has_more") || slices.Contains(schema.Required, "next_cursor") {
			t.Errorf("GET %s: the page must have data and has_more, and next_cursor unless it is the last", path)
		}
		if answer.Headers["Link"] == nil {
			t.Errorf("GET %s: the page has no header Link", path)
		}
		limit := parameter(op, "limit")
		if limit == nil || *limit.Schema.Value.Min != 1 || *limit.Schema.Value.Max != 100 || limit.Schema.Value.Default != 20.0 {
			t.Errorf("GET %s: limit must be 1 to 100, and 20 by default", path)
		}
		if parameter(op, "cursor") == nil {
			t.Errorf("GET %s: there is no parameter cursor", path)
		}
		if listed, _ := op.Extensions["x-problems"].([]any); !slices.Contains(listed, any("invalid_cursor")) {
			t.Errorf("GET %s: invalid_cursor is not among its problems", path)
		}
	}
	if lists < 3 {
		t.Errorf("%d lists were found", lists)
	}
}

func parameter(op *openapi3.Operation, name string) *openapi3.Parameter {
	for _, p := range op.Parameters {
		if p.Value.Name == name {
			return p.Value
		}
	}
	return nil
}

func TestALinkLeadsToTheNextPage(t *testing.T) {
	s := newService(t)
	token := s.key("acme", "*")
	for _, key := range []string{"a", "b", "c"} {
		s.create(token, key, mail)
	}
	path, seen := "/api/v1/jobs?kind=mail&limit=2&state=ready&state=running", 0
	for pages := 0; path != "" && pages < 3; pages++ {
		resp := s.do(request{method: "GET", path: path, token: token})
		page := decode[client.JobPage](t, resp)
		seen += len(page.Data)
		link := resp.Header.Get("Link")
		if (link != "") != page.HasMore {
			t.Errorf("the link is %q and has_more %v", link, page.HasMore)
		}
		path = strings.TrimPrefix(strings.TrimSuffix(link, `>; rel="next"`), "<")
		if next, err := url.Parse(path); path != "" && (err != nil || next.Path != "/api/v1/jobs" || next.Query().Get("limit") != "2" || len(next.Query()["state"]) != 2) {
			t.Errorf("the link is %q, %v; want the same list", link, err)
		}
	}
	if seen != 3 {
		t.Errorf("the links led to %d jobs, want 3", seen)
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/version", nil))
	if got := w.Header().Get("Link"); got != "" {
		t.Errorf("what is no list has the link %q", got)
	}
}
