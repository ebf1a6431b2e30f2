package oidclogin_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/oidclogin"
)

func ExampleNew() {
	app, err := levqor.New(levqor.MemStores(), &levqor.Options{Secret: bytes.Repeat([]byte("x"), 32)}) // from a random source
	if err != nil {
		panic(err)
	}
	party, err := oidclogin.New(app, "https://app.example.com/login/sso/done", nil)
	if err != nil {
		panic(err)
	}
	_, err = party.Finish(context.Background(), "of no browser", oidclogin.Callback{Code: "x", State: "x"})
	fmt.Println(errors.Is(err, oidclogin.ErrSignInFailed))
	// Output: true
}
