package sso

import "context"

// Reseal calls seal with the sealed client secrets of up to limit connections, those whose
// IDs come after a given one, and with what each is bound to; it stores what seal returns
// in the place of the one given. A secret that somebody replaces meanwhile stays as it is
// then. It returns the last connection it looked at, 0 if there was none. The App of
// package levqor calls it, to replace the service's secret.
func (c *Connections) Reseal(
	ctx context.Context, after ConnectionID, limit int, seal func(sealed string, aad []byte) (string, error),
) (last ConnectionID, err error) {
	found, err := c.store.ListSealed(ctx, after, limit)
	if err != nil {
		return 0, wrap("reseal", err)
	}
	for _, s := range found {
		last = s.ID
		anew, err := seal(s.Sealed, aad(s.ID))
		if err == nil && anew != s.Sealed {
			err = c.store.ReplaceSealed(ctx, s, anew)
		}
		if err != nil {
			return 0, wrap("reseal", err)
		}
	}
	return last, nil
}
