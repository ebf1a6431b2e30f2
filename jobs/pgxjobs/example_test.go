package pgxjobs_test

import (
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/pgxjobs"
)

func ExampleOpen() {
	signals, err := pgxjobs.Open("postgres://app@db.example.com/app", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer signals.Close()
	registry := jobs.NewRegistry(&jobs.RegistryOptions{Signals: signals})
	fmt.Println("kinds:", len(registry.Kinds()))

	_, err = pgxjobs.Open("sqlite://app.db", nil)
	fmt.Println(err)
	// Output:
	// kinds: 0
	// pgxjobs: open: /signals_url: must begin with postgres://: only PostgreSQL carries signals, and other databases need none: invalid
}

// A host with certificates of its own gives pgx's configuration.
func ExampleNew() {
	config, err := pgx.ParseConfig("postgres://app@db.example.com/app?sslmode=require")
	if err != nil {
		fmt.Println(err)
		return
	}
	config.TLSConfig.ServerName = "db.internal"
	signals := pgxjobs.New(config, nil)
	defer signals.Close()
	fmt.Println("nothing is connected yet")
	// Output: nothing is connected yet
}
