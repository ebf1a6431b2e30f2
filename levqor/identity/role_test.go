package identity_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/levqor/sdk"
	"github.com/levqor/sdk/levqor/identity"
)

// A new room's scopes belong in the table of roles, or nobody could use it but keys.
func TestOwnersHaveEveryScopeOfATenantThatAnOperationNeeds(t *testing.T) {
	scopes := regexp.MustCompile(`(?m)^\s+x-scope: *"?([a-z0-9_.:-]+)"?$`).FindAllStringSubmatch(string(sdk.OpenAPI), -1)
	if len(scopes) == 0 {
		t.Fatal("no operation has a scope")
	}
	for _, m := range scopes {
		scope := m[1]
		if operators := strings.HasPrefix(scope, "operator:"); identity.RoleOwner.Allows(scope) == operators {
			t.Errorf("an owner has %s: %v", scope, operators)
		}
	}
}
