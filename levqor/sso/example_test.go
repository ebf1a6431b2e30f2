package sso_test

import (
	"bytes"
	"context"
	"fmt"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/sso"
)

func ExampleNew() {
	ring, err := levqor.NewKeyRing(bytes.Repeat([]byte("x"), 32)) // from a random source
	if err != nil {
		panic(err)
	}
	connections := sso.New(levqor.MemStores().SSO, ring.Sealer(), nil)
	c, err := connections.Create(context.Background(), identity.OwnerTenantID, sso.NewConnection{
		Issuer: "https://login.acme.example", ClientID: "levqor", ClientSecret: "from the provider",
		Domains: []string{"Acme.example"}, Role: identity.RoleMember,
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(c.Domains[0].RecordName(), c.Speaks("acme.example"))
	// Output: _levqor.acme.example false
}
