package bunlevqor_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/bunlevqor"
)

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "levqor")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()

	db, err := bunlevqor.Open("sqlite://" + filepath.Join(dir, "levqor.db"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = db.Close() }()
	if err := bunlevqor.Migrate(ctx, db); err != nil {
		fmt.Println(err)
		return
	}
	app, err := levqor.New(bunlevqor.Stores(db), &levqor.Options{Secret: []byte("32 bytes from a random source ...")})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ready:", app.Ready(ctx) == nil)
	// Output: ready: true
}
