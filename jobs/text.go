package jobs

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// replacement stands for what cannot be stored, as in encoding/json.
const replacement = "\uFFFD"

// storable returns text as every store can keep it: at most limit bytes of valid
// UTF-8 without NUL characters.
func storable(text string, limit int) string {
	text = strings.ToValidUTF8(cut(text, limit), replacement)
	return cut(strings.ReplaceAll(text, "\x00", replacement), limit)
}

// cut shortens text to at most limit bytes and splits no character.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for end := limit; end > max(0, limit-utf8.UTFMax); end-- {
		if utf8.RuneStart(text[end]) {
			return text[:end]
		}
	}
	return text[:limit]
}

// marshal returns the JSON text of v in valid UTF-8. What encoding/json does with
// strings it leaves undone in values that write their own JSON.
func marshal(v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil || utf8.Valid(raw) {
		return raw, err
	}
	return bytes.ToValidUTF8(raw, []byte(replacement)), nil
}
