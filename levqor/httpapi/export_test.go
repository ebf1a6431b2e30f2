package httpapi

import (
	"net/http"

	"github.com/levqor/sdk/levqor"
)

// NewFrom is New with another contract.
func NewFrom(app *levqor.App, contract []byte) (http.Handler, error) {
	return newHandler(app, nil, contract)
}
