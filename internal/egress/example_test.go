package egress_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/levqor/sdk/internal/egress"
)

func ExampleClient() {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "thank you")
	}))
	defer srv.Close()

	for _, opts := range []*egress.Options{nil, {AllowPrivate: true}} {
		req, err := http.NewRequestWithContext(context.Background(), "POST", srv.URL, strings.NewReader("{}"))
		if err != nil {
			fmt.Println(err)
			return
		}
		resp, err := egress.Client(opts).Do(req)
		if err != nil {
			fmt.Println(errors.Is(err, egress.ErrBlocked), egress.Public(err))
			continue
		}
		body, truncated, err := egress.ReadBody(resp.Body, 5)
		_ = resp.Body.Close()
		fmt.Printf("%q %v %v\n", body, truncated, err)
	}
	// Output:
	// true the host's address is not public
	// "thank" true <nil>
}

func ExampleCheckURL() {
	fmt.Println(egress.CheckURL("https://example.com/hook", nil))
	fmt.Println(egress.CheckURL("https://secret@example.com/", nil))
	fmt.Println(egress.CheckURL("http://169.254.169.254/latest/", nil))
	// Output:
	// <nil>
	// egress: the URL has user information
	// egress: target is in a private or special network (link local)
}
