package factor_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/factor"
	"github.com/levqor/sdk/levqor/identity"
)

func ExampleNew() {
	ctx := context.Background()
	directory := identity.NewMemDirectory(identity.NewMemKeyStore())
	email, _ := identity.ParseEmail("ada@example.com")
	ada, _, _ := identity.NewDirectory(directory, nil).EnsureUser(ctx, email, "Ada")
	ring, _ := levqor.NewKeyRing([]byte(strings.Repeat("from a random source ", 2)))
	factors := factor.New(factor.NewMemStore(directory), ring, ring.Sealer(), nil)

	enrolment, _ := factors.BeginTOTP(ctx, ada.ID, "ada@example.com", "Engines")
	fmt.Println(strings.Replace(enrolment.URI, enrolment.Secret, "…", 1))
	code, _ := factor.TOTPCode(enrolment.Secret, time.Now()) // what Ada's app shows
	fmt.Println(factors.ConfirmTOTP(ctx, ada.ID, code))
	fmt.Println(factors.VerifyTOTP(ctx, ada.ID, code)) // each code counts once
	// Output:
	// otpauth://totp/Engines:ada%40example.com?secret=…&issuer=Engines&algorithm=SHA1&digits=6&period=30
	// <nil>
	// factor: verify TOTP: code used before: /code: is wrong or has been used: invalid
}

func ExampleFactors_UseRecoveryCode() {
	ctx := context.Background()
	stores := levqor.MemStores()
	app, _ := levqor.New(stores, &levqor.Options{Secret: []byte(strings.Repeat("from a random source ", 2))})
	email, _ := identity.ParseEmail("ada@example.com")
	ada, _, _ := app.Directory.EnsureUser(ctx, email, "Ada")

	codes, _ := app.Factors.ReplaceRecoveryCodes(ctx, ada.ID)
	for range 2 {
		left, err := app.Factors.UseRecoveryCode(ctx, ada.ID, codes[0])
		fmt.Println(left, err)
	}
	// Output:
	// 9 <nil>
	// 0 factor: use recovery code: /code: is wrong or has been used: invalid
}
