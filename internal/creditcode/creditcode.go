// Package creditcode checks the unified social credit code (统一社会信用代码), the registration number of every Chinese
// company and organisation.
//
// It is 18 characters: registration authority (1), category there (1), administrative region of the authority
// (6 digits, GB/T 2260), organisation code (9, the last of which checks the other eight) and a character that checks
// everything before it.
//
// Sources: GB 32100-2015 (the code and its check character), GB 11714-1997 (the organisation code and its own).
package creditcode

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Code is a unified social credit code as the register writes it: 18 characters, upper case.
type Code string

// Length is how many characters a code has.
const Length = 18

// alphabet is what GB 32100 writes codes with; a character's place is its value in the sum. I, O, S, V and Z are left
// out, being easily taken for digits or for each other.
const alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"

const (
	organisationStart = 8  // the organisation code is text[8:17]
	organisationCheck = 16 // its last character checks it
	digitsStart       = 2  // the region is text[2:8]
	check             = 17
)

// maxInput bounds in bytes what is worth normalising: 18 full-width characters with a space between any two fit easily.
const maxInput = 256

// Parse reads a code as people write it: full-width, in lower case, with spaces or hyphens in it.
//
// An error is always an *Error. Where only a check character is wrong (Error.Checked), the code comes back beside it
// all the same: real registers hold a few such codes, and a caller may keep them with a warning.
func Parse(s string) (Code, error) {
	if len(s) > maxInput {
		return "", &Error{Reason: Len, Found: utf8.RuneCountInString(s)}
	}
	text := normalise(s)
	if n := utf8.RuneCountInString(text); n != Length {
		return "", &Error{Reason: Len, Found: n}
	}
	at := 0
	for _, r := range text { // by runes: the position is counted in characters
		at++
		if err := permitted(r, at-1); err != nil {
			return "", err
		}
	}
	code := Code(text)
	if want := checkCharacter(text[:check]); text[check] != want {
		return code, &Error{Reason: Check, Position: check + 1, Character: rune(text[check]), Expected: string(want)}
	}
	organisation := text[organisationStart:organisationCheck]
	if want := organisationCharacter(organisation); text[organisationCheck] != want {
		return code, &Error{
			Reason: OrganisationCheck, Position: organisationCheck + 1,
			Character: rune(text[organisationCheck]), Expected: string(want),
		}
	}
	return code, nil
}

// separators are what people put between the parts of a code, after NFKC: a space, hyphens, dashes, and what comes along
// when copying from a page.
var separators = strings.NewReplacer(" ", "", "\t", "", "\r", "", "\n", "", "-", "", "\u2010", "", "\u2011", "", "\u2012", "",
	"\u2013", "", "\u2014", "", "\u2212", "", "\u200b", "", "\ufeff", "")

func normalise(s string) string { return separators.Replace(strings.ToUpper(norm.NFKC.String(s))) }

func permitted(r rune, at int) error {
	if at >= digitsStart && at < organisationStart {
		if r < '0' || r > '9' {
			return &Error{Reason: Character, Position: at + 1, Character: r, Expected: "0123456789"}
		}
		return nil
	}
	if !strings.ContainsRune(alphabet, r) {
		return &Error{Reason: Character, Position: at + 1, Character: r, Expected: alphabet}
	}
	return nil
}

// checkCharacter is character 18: the weights are the powers of 3 modulo 31. Source: GB 32100-2015, 5.5 (the method of
// ISO/IEC 7064 as in GB/T 17710).
func checkCharacter(first17 string) byte {
	sum, weight := 0, 1
	for i := range len(first17) {
		sum += strings.IndexByte(alphabet, first17[i]) * weight
		weight = weight * 3 % 31
	}
	return alphabet[(31-sum%31)%31]
}

// organisationCharacter is the last character of the organisation code. Source: GB 11714-1997, 3.3.
func organisationCharacter(first8 string) byte {
	weights := [8]int{3, 7, 9, 10, 5, 8, 4, 2}
	sum := 0
	for i, w := range weights {
		c := first8[i]
		value := int(c - '0')
		if c >= 'A' {
			value = int(c-'A') + 10 // GB 11714 counts every letter, those that GB 32100 leaves out too
		}
		sum += value * w
	}
	switch rest := (11 - sum%11) % 11; rest {
	case 10:
		return 'X'
	default:
		return "0123456789"[rest]
	}
}

// Region is the six-digit GB/T 2260 code of where the authority sits: 440300 is Shenzhen, 100000 the state itself.
func (c Code) Region() string { return string(c[digitsStart:organisationStart]) }
