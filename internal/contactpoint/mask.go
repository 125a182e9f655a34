package contactpoint

import (
	"strings"
	"unicode/utf8"
)

// hidden stands for what is left away: always as long, whatever it hides.
const hidden = "****"

// tailShown is how many digits of a phone stay readable at its end: enough to tell two apart, and what may be searched
// for by somebody who is not shown more.
const tailShown = 4

// Masked is a value as it is shown to those who may not see it: +86138****1234, z***@example.com, a***z.
func Masked(kind Kind, value string) string {
	switch kind {
	case Phone, Fax:
		return maskedPhone(value)
	case Email:
		at := strings.LastIndexByte(value, '@')
		if at < 0 {
			return hidden
		}
		first, size := utf8.DecodeRuneInString(value)
		if size >= at { // the one letter there is
			return "***" + value[at:]
		}
		return string(first) + "***" + value[at:]
	}
	r := []rune(value)
	switch {
	case len(r) < 2:
		return "***"
	case len(r) < 4:
		return string(r[0]) + "***"
	}
	return string(r[0]) + "***" + string(r[len(r)-1])
}

// maskedPhone keeps the country code with up to three digits behind it, and the last four.
func maskedPhone(value string) string {
	number, _, _ := strings.Cut(value, extensionMark)
	code := countryCode(number)
	national := strings.TrimPrefix(number, code)
	tail := tailShown
	if len(national) < 8 {
		tail = 2
	}
	// At least three digits are hidden, or a short number would be there in full.
	head := max(min(3, len(national)-tail-3), 0)
	if len(national) < tail+head {
		return code + hidden
	}
	return code + national[:head] + hidden + national[len(national)-tail:]
}
