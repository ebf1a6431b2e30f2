package factor

import (
	"context"

	"github.com/levqor/sdk/levqor/identity"
)

// Reseal calls seal with the sealed secrets of the apps of up to limit users, those whose
// IDs come after a given one, and with what each is bound to; it stores what seal returns
// in the place of the one given. A secret that somebody replaces meanwhile stays as it
// is then. It returns the last user it looked at, 0 if there was none. The App of package
// levqor calls it, to replace the service's secret. A code that is checked at the same
// moment can be refused as used; the next one counts.
func (f *Factors) Reseal(
	ctx context.Context, after identity.UserID, limit int, seal func(sealed string, aad []byte) (string, error),
) (last identity.UserID, err error) {
	found, err := f.store.ListSealedTOTP(ctx, after, limit)
	if err != nil {
		return 0, wrap("reseal", err)
	}
	for _, s := range found {
		last = s.User
		anew, err := seal(s.Sealed, totpPlace(s.User))
		if err == nil && anew != s.Sealed {
			err = f.store.ReplaceSealedTOTP(ctx, s, anew)
		}
		if err != nil {
			return 0, wrap("reseal", err)
		}
	}
	return last, nil
}
