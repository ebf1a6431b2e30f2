package httpapi

import (
	"context"
	"net/http"
)

// A foreignHandler serves a protocol that somebody else has written. It bounds what it
// reads, proves who sent it, and returns an error if it has not begun to answer.
type foreignHandler func(w http.ResponseWriter, r *http.Request) error

// foreignRoutes are the routes outside the contract and its validator.
func (s *server) foreignRoutes() map[string]foreignHandler {
	routes := map[string]foreignHandler{}
	if len(s.scanningKeys) > 0 {
		routes["POST /api/v1/secret-scanning/github"] = s.scanGitHub
	}
	return routes
}

// handleForeign registers a route outside the contract.
func (rt *router) handleForeign(pattern string, serve foreignHandler) {
	rt.mux.Handle(pattern, endpoint(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		r = r.WithContext(ctx)
		if err := serve(w, r); err != nil {
			rt.server.fail(w, r, err)
		}
	}))
}
