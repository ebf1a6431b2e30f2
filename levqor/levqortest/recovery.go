package levqortest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/levqor/sdk/levqor/factor"
	"github.com/levqor/sdk/levqor/identity"
)

var recoveryCases = map[string]func(*env){
	"codes are kept, used once and counted": func(e *env) {
		e.codes(7, "a", "it's ?", "\x00\xff")
		e.wantCodes(7, "\x00\xff", "a", "it's ?")
		for i, hash := range []string{"it's ?", "\x00\xff", "a"} {
			if left, err := e.Factors.UseRecoveryCode(e.ctx, 7, []byte(hash)); err != nil || left != 2-i {
				e.Errorf("UseRecoveryCode = %d, %v; want %d left", left, err, 2-i)
			}
			_, err := e.Factors.UseRecoveryCode(e.ctx, 7, []byte(hash))
			e.wantErr(err, factor.ErrNotFound, "it has been used")
		}
		e.wantCodes(7)
	},
	"new codes take the place of all that there were": func(e *env) {
		e.codes(7, "a", "b")
		e.codes(8, "a", "c")
		e.codes(7, "b", "d")
		e.wantCodes(7, "b", "d")
		e.wantCodes(8, "a", "c")
		e.wantHeld(7, factor.Held{RecoveryCodes: 2})
		_, err := e.Factors.UseRecoveryCode(e.ctx, 7, []byte("c"))
		e.wantErr(err, factor.ErrNotFound, "it is user 8's")
		e.wantCodes(8, "a", "c")
	},
	"of callers at once one uses a code": func(e *env) {
		e.codes(7, "a", "b")
		e.wantOne(20, factor.ErrNotFound, func(int) error {
			_, err := e.Factors.UseRecoveryCode(e.ctx, 7, []byte("a"))
			return err
		})
		e.wantCodes(7, "b")
	},
	"of replacements at once the codes of one remain": func(e *env) {
		e.user(7)
		for range factorRounds {
			e.atOnce(10, func(i int) {
				hashes := [][]byte{fmt.Append(nil, i, "a"), fmt.Append(nil, i, "b")}
				if err := e.Factors.ReplaceRecoveryCodes(e.ctx, 7, hashes, time.Time{}); err != nil {
					e.Errorf("ReplaceRecoveryCodes = %v", err)
				}
			})
			hashes, err := e.Factors.RecoveryCodes(e.ctx, 7)
			if err != nil || len(hashes) != 2 || strings.Trim(string(hashes[0]), "ab") != strings.Trim(string(hashes[1]), "ab") {
				e.Fatalf("RecoveryCodes = %q, %v; want two of one call", hashes, err)
			}
		}
	},
}

func (e *env) codes(user identity.UserID, hashes ...string) {
	e.Helper()
	e.user(user)
	var all [][]byte
	for _, h := range hashes {
		all = append(all, []byte(h))
	}
	if err := e.Factors.ReplaceRecoveryCodes(e.ctx, user, all, t0); err != nil {
		e.Fatalf("ReplaceRecoveryCodes = %v", err)
	}
}

func (e *env) wantCodes(user identity.UserID, want ...string) {
	e.Helper()
	hashes, err := e.Factors.RecoveryCodes(e.ctx, user)
	var got []string
	for _, h := range hashes {
		got = append(got, string(h))
	}
	slices.Sort(got)
	if err != nil || !slices.Equal(got, want) {
		e.Errorf("RecoveryCodes = %q, %v; want %q", got, err, want)
	}
}
