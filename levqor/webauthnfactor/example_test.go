package webauthnfactor_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/webauthnfactor"
)

func ExampleNew() {
	app, _ := levqor.New(levqor.MemStores(), &levqor.Options{Secret: []byte(strings.Repeat("from a random source ", 2))})
	rp, err := webauthnfactor.New(app.Factors, &webauthnfactor.Options{
		RPID: "example.com", Origins: []string{"https://app.example.com"}, DisplayName: "Engines",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	token, options, err := rp.BeginLogin(context.Background())
	fmt.Println(len(token), strings.Contains(string(options), `"userVerification":"required"`), err)
	_, err = rp.FinishLogin(context.Background(), token, []byte("{}"))
	fmt.Println(err)
	// Output:
	// 26 true <nil>
	// webauthnfactor: finish login: the passkey could not be verified: unauthenticated
}
