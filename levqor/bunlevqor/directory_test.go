package bunlevqor_test

import (
	"testing"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/bunlevqor"
	"github.com/levqor/sdk/levqor/levqortest"
)

func TestManyProcesses(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		levqortest.TestManyProcesses(t, func(t *testing.T) func() levqor.Stores {
			url := fresh(t)
			return func() levqor.Stores {
				db := dbtest.Open(t, url)
				if err := bunlevqor.Migrate(t.Context(), db); err != nil {
					t.Fatal(err)
				}
				return bunlevqor.Stores(db)
			}
		})
	})
}
