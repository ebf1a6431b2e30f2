package levqor_test

import (
	"testing"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/levqortest"
)

func TestMemStores(t *testing.T) {
	levqortest.TestStores(t, func(*testing.T) levqor.Stores { return levqor.MemStores() })
}
