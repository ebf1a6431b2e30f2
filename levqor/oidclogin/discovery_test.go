package oidclogin_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/levqor/sdk/levqor/oidclogin"
)

const metadataPath = "/.well-known/openid-configuration"

func (w *world) beginning() error {
	_, _, err := w.party.Begin(w.Context(), w.conn.ID, "/")
	return err
}

func TestOfCallersAtOnceOneAsksTheProvider(t *testing.T) {
	w := newWorld(t, oidclogin.Options{})
	arrived, release := make(chan struct{}), make(chan struct{})
	var asked atomic.Int32
	oidclogin.Reach(w.party, within{http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			close(arrived)
		}
		<-release
		w.fake.ServeHTTP(rw, r)
	})})
	ctx, leave := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, _, err := w.party.Begin(ctx, w.conn.ID, "/"); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("Begin of who asks = %v", err)
		}
	})
	<-arrived
	leave() // which is no reason for the others to fail
	for range 20 {
		wg.Go(func() {
			if err := w.beginning(); err != nil {
				t.Errorf("Begin = %v", err)
			}
		})
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := w.party.Begin(gone, w.conn.ID, "/"); !errors.Is(err, context.Canceled) {
		t.Errorf("Begin of who has left = %v, want that nobody waits any more", err)
	}
	close(release)
	wg.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("the provider was asked %d times, want once", n)
	}
}

func TestAProviderThatDoesNotAnswerIsLeftAloneForAMoment(t *testing.T) {
	w := newWorld(t, oidclogin.Options{})
	w.now = time.Now()
	w.fake.answer[metadataPath] = func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusBadGateway) }
	for range 3 {
		w.wantRefused(w.beginning(), oidclogin.ErrProviderUnavailable)
	}
	if n := w.fake.asked[metadataPath]; n != 1 {
		t.Errorf("the provider was asked %d times, want once", n)
	}
	delete(w.fake.answer, metadataPath)
	w.now = w.now.Add(10 * time.Second)
	if err := w.beginning(); err != nil {
		t.Errorf("Begin = %v, want the provider to be asked again", err)
	}
}

func TestWhatAProviderSaidCountsForADayWhileItDoesNotAnswer(t *testing.T) {
	w := newWorld(t, oidclogin.Options{})
	start := time.Now()
	w.now = start
	if err := w.beginning(); err != nil {
		t.Fatal(err)
	}
	w.fake.answer[metadataPath] = func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusBadGateway) }
	w.now = start.Add(23 * time.Hour)
	for range 2 {
		if err := w.beginning(); err != nil {
			t.Errorf("Begin = %v, want what is known to be used", err)
		}
	}
	if n := strings.Count(w.log.String(), "what it said before is used"); n != 1 || w.fake.asked[metadataPath] != 2 {
		t.Errorf("the provider was asked %d times and the log has %s; want one failure", w.fake.asked[metadataPath], w.log.String())
	}
	w.now = start.Add(24 * time.Hour)
	w.wantRefused(w.beginning(), oidclogin.ErrProviderUnavailable)
}

func TestNewProvidersMakeNoOtherForgotten(t *testing.T) {
	w := newWorld(t, oidclogin.Options{})
	w.now = time.Now()
	if err := w.beginning(); err != nil {
		t.Fatal(err)
	}
	oidclogin.Reach(w.party, within{http.NotFoundHandler()})
	for i := range oidclogin.MaxProviders + 5 {
		oidclogin.Discover(t.Context(), w.party, fmt.Sprintf("http://%d.strange.example", i)) // none of which answers
	}
	if err := w.beginning(); err != nil || w.fake.asked[metadataPath] != 1 || oidclogin.Known(w.party) > oidclogin.MaxProviders {
		t.Errorf("Begin = %v, the provider was asked %d times and %d are known; want it remembered", err, w.fake.asked[metadataPath], oidclogin.Known(w.party))
	}
}
