package httpguard_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/levqor/sdk/levqor/httpguard"
)

func ExampleNew() {
	guard, err := httpguard.New(&httpguard.Options{Origins: []string{"https://app.example.com"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })
	mux.Handle("GET /hello", guard.Handler(httpguard.Page, hello))
	mux.Handle("POST /hello", hello)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/hello", http.NoBody))
	fmt.Println(w.Body, w.Header().Get("Cache-Control"))
	fmt.Println("unguarded:", httpguard.Unguarded(mux, "GET /hello", "POST /hello"))
	// Output:
	// hello no-store
	// unguarded: [POST /hello]
}
