// Package search makes names findable: it folds them to one spelling, takes them apart into the terms that an index
// keeps, and turns what somebody typed into conditions over those terms. It knows no database.
//
// A name is found by any of its Chinese characters, by the beginning of its words, by three or more letters anywhere
// in them, by pinyin in full (zhangjianguo, zhangj), by initials (zjg), and for companies without their legal form.
package search

import (
	_ "embed"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Version is raised when folding or terms change: rows made by an older one are made again.
const Version = 1

// tsCharacters maps traditional characters to simplified ones, the usual one first.
//
// Source: OpenCC, data/dictionary/TSCharacters.txt, https://github.com/BYVoid/OpenCC (Apache-2.0, TSCharacters.LICENSE).
//
//go:embed TSCharacters.txt
var tsCharacters string

var simplified = sync.OnceValue(func() map[rune]rune {
	m := make(map[rune]rune, 4200)
	for line := range strings.Lines(tsCharacters) {
		from, to, ok := strings.Cut(strings.TrimSpace(line), "\t")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		to, _, _ = strings.Cut(to, " ")
		f, t := []rune(from), []rune(to)
		if len(f) == 1 && len(t) == 1 && f[0] != t[0] {
			m[f[0]] = t[0]
		}
	}
	return m
})

// undecomposed are Latin letters that Unicode does not take apart into a letter and its mark.
var undecomposed = map[rune]string{'ß': "ss", 'æ': "ae", 'œ': "oe", 'ø': "o", 'ł': "l", 'đ': "d", 'ð': "d", 'þ': "th", 'ħ': "h",
	'ı': "i", 'ŧ': "t", 'ς': "σ"}

// class is how a character takes part in search.
type class int

const (
	apart  class = iota // punctuation and symbols: separates words
	joint               // punctuation within a word: O'Brien, J.P., AT&T
	letter              // letters and digits that make words
	sign                // characters that are words by themselves: Chinese, Japanese, Korean
	mark
)

func classOf(r rune) class {
	switch {
	case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
		return letter
	case r == '\'' || r == '.' || r == '&' || r == '’' || r == '‘' || r == '`':
		return joint
	case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul):
		return sign
	case unicode.IsLetter(r) || unicode.IsNumber(r):
		return letter
	case unicode.IsMark(r):
		return mark
	}
	return apart
}

// Fold is s in the one spelling that all of its writings share: compatibility forms joined (Ａ, ①), lower case,
// simplified characters, Latin without accents, nothing but letters, digits and signs, and one space between words and
// where words meet signs. Punctuation between signs is dropped, so that 阿里巴巴（中国） is 阿里巴巴中国. A text of symbols
// alone keeps them.
//
// Folding what is folded changes nothing.
func Fold(s string) string {
	// Lower case can make what compatibility forms join, and the other way round.
	s = norm.NFKC.String(strings.ToLower(norm.NFKC.String(s)))
	var b strings.Builder
	var last class // of what was written last; apart at the beginning
	gap, latin := false, false
	for _, r := range norm.NFD.String(s) {
		c := classOf(r)
		switch c {
		case apart:
			gap = true
			continue
		case joint:
			continue
		case mark:
			if latin || b.Len() == 0 || gap {
				continue
			}
			b.WriteRune(r)
			continue
		}
		if t, ok := simplified()[r]; ok {
			r = t
		}
		if last != apart && (c != last || gap && c == letter) {
			b.WriteByte(' ')
		}
		gap, last, latin = false, c, unicode.Is(unicode.Latin, r)
		if plain, ok := undecomposed[r]; ok {
			b.WriteString(plain)
			continue
		}
		b.WriteRune(r)
	}
	if b.Len() == 0 {
		return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) }), "")
	}
	return norm.NFC.String(b.String())
}
