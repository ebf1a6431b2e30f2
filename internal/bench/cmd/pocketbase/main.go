// Command pocketbase serves PocketBase with one collection that anybody may write to, for
// the measure http.create. It is a module of its own because PocketBase chooses versions
// of the SQLite driver, and because nothing else here needs its dependencies.
//
//	go run . FOLDER ADDRESS
package main

import (
	"fmt"
	"os"

	"github.com/pocketbase/pocketbase"
	"github.com/pocketbase/pocketbase/apis"
	"github.com/pocketbase/pocketbase/core"
	"github.com/pocketbase/pocketbase/tools/types"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: pocketbase FOLDER ADDRESS")
		os.Exit(2)
	}
	if err := serve(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "pocketbase:", err)
		os.Exit(1)
	}
}

func serve(folder, address string) error {
	app := pocketbase.NewWithConfig(pocketbase.Config{DefaultDataDir: folder, HideStartBanner: true})
	if err := app.Bootstrap(); err != nil {
		return err
	}
	if err := app.RunAllMigrations(); err != nil {
		return err
	}
	items := core.NewBaseCollection("items")
	items.Fields.Add(&core.TextField{Name: "title"}, &core.BoolField{Name: "done"})
	items.CreateRule = types.Pointer("") // anybody
	if err := app.Save(items); err != nil {
		return err
	}
	return apis.Serve(app, apis.ServeConfig{HttpAddr: address})
}
