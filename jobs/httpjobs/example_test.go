package httpjobs_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/httpjobs"
)

func ExampleRegister() {
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "thank you") }))
	defer target.Close()

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	registry := jobs.NewRegistry(nil)
	// The target of this example is on loopback; leave the option out elsewhere.
	if err := httpjobs.Register(registry, &httpjobs.Options{AllowPrivateNetworks: true}); err != nil {
		fmt.Println(err)
		return
	}
	store := jobs.NewMemStore()
	queue := jobs.New(store, registry, nil)
	worker, err := jobs.NewWorker(store, registry, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	done := make(chan error)
	go func() { done <- worker.Run(ctx) }()

	info, err := queue.Enqueue(ctx, httpjobs.Request{Method: "POST", URL: target.URL, Body: "{}"}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := jobs.Await[httpjobs.Result](ctx, queue, info.ID)
	fmt.Println(result.Status, result.Body, err)
	stop()
	<-done
	// Output: 200 thank you <nil>
}
