package httpapi_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/levqor/sdk/client"
	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/levqor/bunlevqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/identity"
)

// recorded is how many rows two exports write: an event each, and the end of the log. Who
// has read all of it is to be seen in it.
const recorded = 2 * 2

// Whoever follows a link, or fetches what it leads to, changes nothing.
func TestOperationsOfGETRead(t *testing.T) {
	db, err := bunlevqor.Open(dbtest.SQLite(t))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := bunlevqor.Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	uncounted := guard.Policy{Limit: -1}
	s := newServiceWith(t, bunlevqor.Stores(db), guard.Limits{Reads: uncounted, Writes: uncounted, Bulk: uncounted, Protected: uncounted, Failures: uncounted})
	token := s.key(identity.OwnerTenant, "*")
	job := decode[client.Job](t, s.create(token, "k", mail))
	s.do(request{"POST", "/api/v1/jobs/" + job.ID + "/cancel", token, "", "", ""})
	s.do(request{"PUT", "/api/v1/schedules/s", token, "", "application/json", `{"spec":"@daily","kind":"mail","args":{"to":[{"email":"a@b.cd"}]}}`})
	key := decode[struct{ ID string }](t, s.createKey(token, "k", `{"name":"n","scopes":["jobs:read"]}`))
	connection := decode[client.SSOConnection](t, s.do(request{"POST", "/api/v1/sso-connections", token, "k", "application/json", provider}))
	owner := identity.Tenant{ID: identity.OwnerTenantID}
	names := strings.NewReplacer("{name}", "s", "{queue}", "default", "{tenant_id}", owner.ID.String(),
		"{user_id}", s.member(owner, "eve@example.com", identity.RoleViewer).ID.String())
	s.do(request{method: "GET", path: "/api/v1/jobs", token: token}) // the key is believed from now on

	changes := func() (n int64) {
		if err := db.QueryRowContext(t.Context(), "SELECT total_changes()").Scan(&n); err != nil { // of the one connection
			t.Fatal(err)
		}
		return n
	}
	before := changes()
	for path, item := range loadContract(t).doc.Paths.Map() {
		if item.Get == nil {
			continue
		}
		id := job.ID
		if strings.Contains(path, "api-keys") {
			id = key.ID
		}
		if strings.Contains(path, "sso-connections") {
			id = connection.ID
		}
		target := names.Replace(strings.ReplaceAll(path, "{id}", id))
		if path == "/api/v1/users" {
			target += "?email=eve@example.com"
		}
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond) // for the stream without end
			r := httptest.NewRequest(method, target, http.NoBody).WithContext(ctx)
			r.Header.Set("Authorization", "Bearer "+token)
			rec := httptest.NewRecorder()
			s.handler.ServeHTTP(rec, r)
			cancel()
			if rec.Code >= 400 {
				t.Errorf("%s %s gives %d %s", method, target, rec.Code, rec.Body)
			}
		}
		var want int64
		if path == "/api/v1/security-events/export" {
			want = recorded
		}
		after := changes()
		if after-before != want {
			t.Errorf("GET and HEAD of %s changed %d rows, want %d", path, after-before, want)
		}
		before = after
	}
	s.create(token, "another", mail)
	if changes() == before {
		t.Error("a request that writes changed nothing: the count is no proof")
	}
}
