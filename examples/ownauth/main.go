// Command ownauth is a service with users of its own that serves Levqor's API to them.
//
//	go run ./examples/ownauth
//
// Its table of users and its sessions know nothing of Levqor, and Levqor nothing of them:
// an [httpapi.Authenticator] tells for each request whose data it may touch. The directory
// and the API keys of package identity stay empty.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/bunlevqor"
	"github.com/levqor/sdk/levqor/httpapi"
)

// Greet is the only work of this service.
type Greet struct {
	Name string `json:"name" validate:"max=100"`
}

// Kind implements [jobs.Args].
func (Greet) Kind() string { return "greet" }

func greet(_ context.Context, job *jobs.Job[Greet]) (string, error) {
	return "Hello, " + job.Args.Name, nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context) error {
	db, err := bunlevqor.Open("sqlite://ownauth.db")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if err := bunlevqor.Migrate(ctx, db); err != nil {
		return err
	}
	secret, err := levqor.SecretFile("ownauth.db.secret")
	if err != nil {
		return err
	}
	app, handler, err := compose(bunlevqor.Stores(db), secret, newUsers())
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:8080")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s/login takes name and password, such as ada and correct horse\n", listener.Addr())
	return levqor.RunAll(ctx, app.Run, func(ctx context.Context) error { return httpapi.Serve(ctx, listener, handler, nil) })
}

// compose puts the host's own pages and Levqor's API beside each other.
func compose(stores levqor.Stores, secret []byte, users *users) (*levqor.App, http.Handler, error) {
	app, err := levqor.New(stores, &levqor.Options{Secret: secret, Validator: httpapi.NewValidator()})
	if err != nil {
		return nil, nil, err
	}
	if err := jobs.Handle(app.Registry, greet, nil); err != nil {
		return nil, nil, err
	}
	// Browsers come with a cookie, programs with a token. A browser also sends the cookie
	// with requests that other sites make, so it counts on the host's own pages alone.
	auth := httpapi.FirstOf(httpapi.SameOrigin(httpapi.AuthenticatorFunc(users.byCookie)), httpapi.AuthenticatorFunc(users.byToken))
	api, err := httpapi.New(app, &httpapi.Options{Authenticator: auth})
	if err != nil {
		return nil, nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", users.login)
	mux.Handle("/api/v1/", api)
	// The host's own forms are guarded by the same rule of browsers.
	return app, http.NewCrossOriginProtection().Handler(mux), nil
}
