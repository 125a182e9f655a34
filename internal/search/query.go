package search

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The limits of a query.
const (
	MaxQuery  = 200 // characters
	maxTokens = 10  // words; what follows is part of the last one
)

// Query is what somebody typed: every token has to be found.
type Query struct {
	Tokens []Token

	// Names are the lines of Row.Names that the whole text equals, with or without a legal form, and their terms.
	Names []string
	Exact []int64
}

// Token is one word of a query. It is found where one of its clauses holds, or where it is an identifier.
type Token struct {
	Text    string // as typed
	Clauses []Clause
	// Digits are those of a telephone number or its tail, empty when the token cannot be one.
	Digits string
}

// Clause is one way of finding a token: the terms nominate rows and are all necessary, the texts decide.
type Clause struct {
	All    []int64 // the row has all of these terms
	Any    []int64 // and one of these
	Like   string  // and Row.Names has this as a pattern of LIKE; empty when it need not
	Pinyin string  // and Row.Pinyin this as a regular expression; empty when it need not
}

// Parse reads a query of one tenant. A text with nothing to be found in it has no tokens.
func Parse(tenant int32, text string) Query {
	var q Query
	words := split(text)
	folded := Fold(text)
	if folded != "" {
		q.Names = []string{" " + folded}
		q.Exact = []int64{term(tenant, kindName, folded)}
		if core := Core(folded); core != folded {
			q.Names = append(q.Names, " "+core)
			q.Exact = append(q.Exact, term(tenant, kindName, core))
		}
	}
	for len(words) > 1 && isLegalForm(Fold(words[len(words)-1])) { // Acme Limited is found as Acme Ltd.
		words = words[:len(words)-1]
	}
	for _, w := range words {
		t := Token{Text: w, Digits: phone(w)}
		t.Clauses = clauses(tenant, Fold(w))
		q.Tokens = append(q.Tokens, t)
	}
	return q
}

func isLegalForm(word string) bool {
	return slices.Contains(latinForms, word) || slices.Contains(legalForms, word) || slices.Contains(endings, word)
}

// split takes a text apart at white space. Parts of a telephone number that was typed with spaces stay one word; words
// without a letter, digit or sign are left out unless there are no others.
func split(text string) []string {
	var all, odd []string
	for _, w := range strings.Fields(text) {
		if !strings.ContainsFunc(w, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }) {
			odd = append(odd, w)
			continue
		}
		if n := len(all); n > 0 && isPhonePart(w) && isPhonePart(all[n-1]) && digits(all[n-1]+w) > 6 {
			all[n-1] += " " + w
			continue
		}
		all = append(all, w)
	}
	if len(all) == 0 {
		all = odd
	}
	if len(all) > maxTokens {
		all = append(all[:maxTokens-1], strings.Join(all[maxTokens-1:], " "))
	}
	return all
}

var phonePart = regexp.MustCompile(`^[+(]*[0-9][0-9()./ -]*$`)

func isPhonePart(w string) bool { return phonePart.MatchString(w) }

func digits(s string) int {
	n := 0
	for _, r := range s {
		if r >= '0' && r <= '9' {
			n++
		}
	}
	return n
}

// phone is the digits of a token that can be a telephone number or its tail of four and more.
func phone(w string) string {
	if !isPhonePart(w) || digits(w) < 4 || digits(w) > 15 {
		return ""
	}
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, w)
}

// clauses are the ways to find a folded token.
func clauses(tenant int32, folded string) []Clause {
	if folded == "" {
		return nil
	}
	all := []Clause{named(tenant, folded)}
	if core := Core(folded); core != folded && !isWord(core) {
		all = append(all, named(tenant, core))
	}
	if strings.Trim(folded, "abcdefghijklmnopqrstuvwxyz") != "" {
		return all
	}
	if len(folded) == 1 {
		return append(all, Clause{All: []int64{term(tenant, kindFirst, folded)}, Pinyin: `\n ` + folded})
	}
	for _, s := range segmentations(folded) {
		all = append(all, sounding(tenant, s))
	}
	return all
}

// named finds a folded text as a part of a name. Its words lie next to each other there.
func named(tenant int32, folded string) Clause {
	x := indexer{tenant: tenant, seen: map[int64]bool{}}
	words := strings.Fields(folded)
	for _, w := range words {
		letters := utf8.RuneCountInString(w)
		switch {
		case !isWord(w) && letters == 1:
			x.add(kindGram, w)
		case !isWord(w):
			signs := []rune(w)
			for j := 1; j < len(signs); j++ {
				x.add(kindGram, string(signs[j-1:j+1]))
			}
		case letters > 2:
			r := []rune(w)
			for j := 3; j <= letters; j++ {
				x.add(kindGram, string(r[j-3:j]))
			}
		default:
			x.add(kindWord, w)
		}
	}
	lead := ""
	if len(words) > 0 && isWord(words[0]) && utf8.RuneCountInString(words[0]) < 3 {
		lead = " " // one or two letters begin a word
	}
	return Clause{All: x.terms, Like: "%" + lead + escape.Replace(folded) + "%"}
}

// sounding finds a needle by how names are read.
func sounding(tenant int32, segments []segment) Clause {
	x := indexer{tenant: tenant, seen: map[int64]bool{}}
	var c Clause
	var b strings.Builder
	for i, s := range segments {
		b.WriteString(" " + s.text)
		switch s.kind {
		case whole:
			x.add(kindSyllable, s.text)
		case initial:
			if i+1 < len(segments) {
				b.WriteString("[a-z]*")
			}
		case open:
			if isSyllable(s.text) && len(completions(s.text)) == 1 {
				x.add(kindSyllable, s.text)
			} else if i == 0 {
				for _, full := range completions(s.text) {
					c.Any = append(c.Any, term(tenant, kindSyllable, full))
				}
			}
		}
		if i > 0 {
			x.add(kindInitials, segments[i-1].text[:1]+s.text[:1])
		}
	}
	c.All, c.Pinyin = x.terms, b.String()
	return c
}

var escape = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)
