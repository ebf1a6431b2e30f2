package httpjobs

import (
	"encoding/json"
	"slices"
	"strings"
)

const (
	hidden    = "[secret]"         // as in a job's arguments
	minMasked = 4                  // anything shorter turns up by chance
	maxMasked = 6 * maxHeaderValue // the longest value, with each byte written as an escape of six
)

// mask replaces secrets in what a server has sent: debugging endpoints and error
// pages repeat the request.
type mask struct{ replacer *strings.Replacer }

// newMask looks for the values as they are, for the credentials alone that
// follow a scheme such as Bearer, and for both as JSON writes them.
func newMask(secrets []*string) mask {
	var all []string
	add := func(text string) {
		if text = strings.TrimSpace(text); len(text) >= minMasked {
			all = append(all, text)
			if quoted, err := json.Marshal(text); err == nil {
				all = append(all, string(quoted[1:len(quoted)-1]))
			}
		}
	}
	for _, s := range secrets {
		add(*s)
		if _, credentials, ok := strings.Cut(*s, " "); ok {
			add(credentials)
		}
	}
	if len(all) == 0 {
		return mask{}
	}
	// Of two that begin alike the longer is to win.
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, text := range slices.Compact(all) {
		pairs = append(pairs, text, hidden)
	}
	return mask{strings.NewReplacer(pairs...)}
}

func (m mask) replace(text string) string {
	if m.replacer == nil {
		return text
	}
	return m.replacer.Replace(text)
}
