package login

import "strings"

// codeDigits are those of Crockford's base32 without its vowels, so that no code is a word.
const codeDigits = "0123456789BCDFGHJKMNPQRSTVWXYZ"

// codeLength makes 39 bits, which five tries do not get anywhere near.
const codeLength = 8

// maxTyped bounds what somebody types as a code, in bytes.
const maxTyped = 64

// newCode returns a code in the form in which people see it.
func newCode() string {
	code := randomText(codeDigits, codeLength)
	return code[:codeLength/2] + "-" + code[codeLength/2:]
}

// typos turns what is typed into what is meant: letters that look like digits are no digits
// of codes.
var typos = strings.NewReplacer("-", "", " ", "", "O", "0", "I", "1", "L", "1")

// readCode returns the digits of a code that somebody has typed.
func readCode(typed string) (digits string, ok bool) {
	if len(typed) > maxTyped {
		return "", false
	}
	digits = typos.Replace(strings.ToUpper(typed))
	return digits, consists(digits, codeDigits, codeLength)
}
