// Package qrfactor draws the URI of an authenticator app's secret as a QR code for a page.
//
//	enrolment, err := factors.BeginTOTP(ctx, user, "ada@example.com", "Engines")
//	svg, err := qrfactor.SVG(enrolment.URI)
//
// The picture holds the secret: it belongs into the page itself, and into no cache.
package qrfactor

import (
	"fmt"
	"strings"

	goqr "github.com/piglig/go-qr"

	"github.com/levqor/sdk/internal/fault"
)

// quiet is the width of the margin that readers need, in modules (ISO/IEC 18004, section 6.3.8).
const quiet = 4

// SVG returns a QR code of a text as an SVG element for a page: dark on light whatever
// the page's colours are, as large as its box, without styles, so that a strict content
// security policy allows it. Readers restore at least 15 percent
// of its area (level M). It returns an
// ErrInvalid about "/text" for one that is empty or too long, about 2,300 bytes.
func SVG(text string) (string, error) {
	if text == "" {
		return "", fmt.Errorf("qrfactor: SVG: %w", fault.Invalid("/text", "required", "must be given"))
	}
	code, err := goqr.EncodeText(text, goqr.Medium)
	if err != nil {
		return "", fmt.Errorf("qrfactor: SVG: %w", fault.Opaque(fault.Invalid("/text", "too_long", "must fit into a QR code"), err))
	}
	size := code.Size() + 2*quiet
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" shape-rendering="crispEdges" role="img" aria-label="QR code">`, size, size)
	fmt.Fprintf(&b, `<path fill="#fff" d="M0 0h%dv%dH0z"/><path d="`, size, size)
	for y := range code.Size() {
		for x := range code.Size() {
			if code.Module(x, y) {
				fmt.Fprintf(&b, "M%d %dh1v1h-1z", x+quiet, y+quiet)
			}
		}
	}
	b.WriteString(`"/></svg>`)
	return b.String(), nil
}
