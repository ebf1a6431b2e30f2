package web

import "github.com/levqor/sdk/levqor/httpguard"

// Route is a route as tests see it.
type Route struct {
	Pattern string
	Class   httpguard.Class
	Access  string
}

// Routes returns all routes but those of assets.
func Routes() []Route {
	names := map[access]string{open: "open", known: "known", signed: "signed", proven: "proven", own: "own"}
	var all []Route
	for _, rt := range (&site{}).routes() {
		all = append(all, Route{rt.pattern, rt.class, names[rt.access]})
	}
	return all
}
