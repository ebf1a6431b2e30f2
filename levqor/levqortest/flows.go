package levqortest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/levqor/sdk/levqor/sso"
)

var flowCases = map[string]func(*env){
	"a flow is taken once": func(e *env) {
		want := sso.Flow{Hash: []byte{0, 1, 0xff}, Connection: 30, ReturnPath: "/it's ?", MaxAge: 5 * time.Minute}
		if err := e.SSO.BeginFlow(e.ctx, want, time.Hour, t0); err != nil {
			e.Fatalf("BeginFlow = %v", err)
		}
		e.wantErr(e.SSO.BeginFlow(e.ctx, want, time.Hour, t0), sso.ErrConflict, "the hash is taken")
		_, err := e.SSO.TakeFlow(e.ctx, []byte{0, 1}, t0)
		e.wantErr(err, sso.ErrNotFound, "there is none with that hash")
		if got, err := e.SSO.TakeFlow(e.ctx, want.Hash, t0.Add(time.Hour-time.Microsecond)); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			e.Errorf("TakeFlow = %+v, %v; want %+v", got, err, want)
		}
		_, err = e.SSO.TakeFlow(e.ctx, want.Hash, t0)
		e.wantErr(err, sso.ErrNotFound, "it was taken")
	},
	"a flow whose time is over is not found": func(e *env) {
		if err := e.SSO.BeginFlow(e.ctx, sso.Flow{Hash: []byte("h"), Connection: 30}, time.Hour, t0); err != nil {
			e.Fatalf("BeginFlow = %v", err)
		}
		_, err := e.SSO.TakeFlow(e.ctx, []byte("h"), t0.Add(time.Hour))
		e.wantErr(err, sso.ErrNotFound, "its time is over")
	},
	"of callers at once one takes a flow": func(e *env) {
		if err := e.SSO.BeginFlow(e.ctx, sso.Flow{Hash: []byte("h"), Connection: 30}, time.Hour, time.Time{}); err != nil {
			e.Fatalf("BeginFlow = %v", err)
		}
		var taken atomic.Int32
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if _, err := e.SSO.TakeFlow(e.ctx, []byte("h"), time.Time{}); err == nil {
					taken.Add(1)
				} else if !errors.Is(err, sso.ErrNotFound) {
					e.Errorf("TakeFlow = %v, want ErrNotFound", err)
				}
			})
		}
		wg.Wait()
		if n := taken.Load(); n != 1 {
			e.Errorf("%d callers took the flow, want 1", n)
		}
	},
	"flows whose time is over are deleted up to the limit": func(e *env) {
		for i := range 3 {
			if err := e.SSO.BeginFlow(e.ctx, sso.Flow{Hash: []byte{byte(i)}, Connection: 30}, time.Hour, t0); err != nil {
				e.Fatalf("BeginFlow = %v", err)
			}
		}
		if err := e.SSO.BeginFlow(e.ctx, sso.Flow{Hash: []byte("late"), Connection: 30}, time.Hour, t0.Add(time.Minute)); err != nil {
			e.Fatalf("BeginFlow = %v", err)
		}
		for _, want := range []int{2, 1, 0} {
			if n, err := e.SSO.DeleteExpiredFlows(e.ctx, 2, t0.Add(time.Hour)); err != nil || n != want {
				e.Errorf("DeleteExpiredFlows = %d, %v; want %d", n, err, want)
			}
		}
		if _, err := e.SSO.TakeFlow(e.ctx, []byte("late"), t0.Add(time.Hour)); err != nil {
			e.Errorf("TakeFlow = %v, want the one that is left", err)
		}
	},
}
