package web

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/httpguard"
)

//go:embed templates assets
var files embed.FS

// parsePages reads every page with the layout around it. A page is named for its file.
func parsePages() (map[string]*template.Template, error) {
	layout, err := template.New("layout.html").Funcs(funcs).ParseFS(files, "templates/layout.html")
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		return nil, err
	}
	pages := map[string]*template.Template{}
	for _, name := range names {
		page, err := template.Must(layout.Clone()).ParseFS(files, name)
		if err != nil {
			return nil, err
		}
		pages[strings.TrimSuffix(path.Base(name), ".html")] = page
	}
	return pages, nil
}

// view is what a page is made from.
type view struct {
	// Title is the page's heading.
	Title string
	// Notice tells what was done.
	Notice string
	// Wrong tells what the visitor has to mend.
	Wrong string
	// Data is the page's own.
	Data any

	// What follows is filled in by render.

	Brand, Base, Nonce string
	// Signed is who is signed in, nil if nobody is.
	Signed *visitor
}

// render answers with a page. It is made whole before any of it is sent, so a mistake in
// a template is an error page rather than half a page.
func (s *site) render(w http.ResponseWriter, r *http.Request, status int, name string, v view) {
	v.Brand, v.Base, v.Nonce, v.Signed = s.opts.Brand, s.opts.Base, httpguard.Nonce(r.Context()), s.visitor(r)
	var page bytes.Buffer
	if err := s.pages[name].ExecuteTemplate(&page, "layout", v); err != nil {
		s.opts.Logger.ErrorContext(r.Context(), "web: page not made", slog.String("page", name), slog.Any("error", err))
		http.Error(w, "This page could not be made.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w) // nobody is left to tell
}

// renderForm answers with the page of a form, and what was wrong with the form if anything
// was.
func (s *site) renderForm(w http.ResponseWriter, r *http.Request, wrong error, name string, v view) {
	status := http.StatusOK
	if wrong != nil {
		status, _ = statusOf(wrong)
		v.Wrong = explain(wrong)
	}
	s.render(w, r, status, name, v)
}

// fail answers with the error page of an error, which says no more than its caller may
// know.
func (s *site) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, title := statusOf(err)
	if status >= http.StatusInternalServerError {
		s.opts.Logger.ErrorContext(r.Context(), "web: request failed", slog.String("path", r.URL.Path),
			slog.Any("error", err), slog.String("cause", fault.Cause(err)))
	}
	if refused, ok := errors.AsType[*guard.LimitError](err); ok {
		httpguard.SetRateLimit(w.Header(), nil, refused)
	}
	s.render(w, r, status, "message", view{Title: title, Data: message{Text: explain(err), Link: "/account", LinkText: "Back to your account"}})
}

// message is the data of a page that only says something.
type message struct{ Text, Link, LinkText string }

// gone answers that a link opens nothing, whatever the reason, if that is what err tells,
// and returns any other err.
func (s *site) gone(w http.ResponseWriter, r *http.Request, err error, title string, m message) error {
	if !errors.Is(err, fault.ErrNotFound) {
		return err
	}
	s.render(w, r, http.StatusGone, "message", view{Title: title, Data: m})
	return nil
}

// statusOf returns the status and the heading of the page for an error.
func statusOf(err error) (status int, title string) {
	switch {
	case errors.Is(err, fault.ErrInvalid):
		return http.StatusBadRequest, "That was not understood"
	case errors.Is(err, fault.ErrUnauthenticated):
		return http.StatusUnauthorized, "That did not work"
	case errors.Is(err, fault.ErrForbidden):
		return http.StatusForbidden, "That is not allowed"
	case errors.Is(err, fault.ErrNotFound):
		return http.StatusNotFound, "There is no such page"
	case errors.Is(err, fault.ErrConflict):
		return http.StatusConflict, "That is not possible now"
	case errors.Is(err, fault.ErrLimit):
		return http.StatusTooManyRequests, "Please wait a moment"
	case errors.Is(err, fault.ErrUnavailable):
		return http.StatusServiceUnavailable, "The service is not available"
	default:
		return http.StatusInternalServerError, "Something went wrong"
	}
}

// explain returns what a visitor may know of an error, as sentences.
func explain(err error) string {
	var all []string
	for _, e := range fault.All(err) {
		if e.Detail == "" {
			continue
		}
		text := e.Detail
		if field := strings.ReplaceAll(strings.Trim(e.Field, "/"), "_", " "); field != "" {
			text = field + " " + text
		}
		all = append(all, strings.ToUpper(text[:1])+text[1:]+".")
	}
	if len(all) > 0 {
		return strings.Join(all, " ")
	}
	switch status, _ := statusOf(err); status {
	case http.StatusUnauthorized:
		return "It is wrong, has been used or is too old. Begin anew."
	case http.StatusForbidden:
		return "Your role in this team does not allow it."
	case http.StatusTooManyRequests:
		return "There have been too many tries. Wait a moment and try again."
	case http.StatusServiceUnavailable:
		return "Try again in a moment. Nothing was changed."
	case http.StatusInternalServerError:
		return "It has been recorded. Try again in a moment."
	default:
		return "It may have been changed or removed meanwhile."
	}
}

// funcs are what templates may call.
var funcs = template.FuncMap{
	"when": func(t time.Time) string {
		if t.IsZero() {
			return "never"
		}
		return t.UTC().Format("2006-01-02 15:04 UTC")
	},
	"join": func(words []string) string { return strings.Join(words, " ") },
	"list": func(words []string) string { return strings.Join(words, ", ") },
	"plural": func(n int, one, many string) string {
		if n == 1 {
			return fmt.Sprintf("%d %s", n, one)
		}
		return fmt.Sprintf("%d %s", n, many)
	},
}
