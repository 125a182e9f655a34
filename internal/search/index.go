package search

import (
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Name is one of the names of a customer.
type Name struct {
	Text   string
	Person bool // a person's: its first characters are read as a surname
}

// Row is what an index keeps of a customer's names.
type Row struct {
	// Terms are hashes that carry the tenant, so that one index serves all tenants; sorted, each once. They nominate
	// rows, the texts decide.
	Terms []int64

	// Names has a line for each name and each company's core: "\n 张建国\n", words separated by a space.
	Names string

	// Pinyin has a line for each way to read each name: "\n zhang jian guo\n".
	Pinyin string
}

// The kinds of terms. A gram is a sign, two neighbouring signs, or three neighbouring letters of a word.
const (
	kindGram     = 'g'
	kindWord     = 'w' // the first letter of a word, or its first two
	kindName     = 'n' // a whole line of Names
	kindSyllable = 's'
	kindInitials = 'i' // the first letters of two neighbouring syllables
	kindFirst    = 'f' // the first letter of the first syllable
)

// term is FNV-1a over the tenant, the kind and the gram, mixed so that all bits differ.
func term(tenant int32, kind byte, gram string) int64 {
	h := fnv.New64a()
	h.Write([]byte{byte(tenant), byte(tenant >> 8), byte(tenant >> 16), byte(tenant >> 24), kind}) //nolint:errcheck,gosec // a hash never fails; bytes are meant
	h.Write([]byte(gram))                                                                          //nolint:errcheck // a hash never fails
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return int64(x) //nolint:gosec // any 64 bits
}

// Index takes the names of one customer apart.
func Index(tenant int32, names []Name) Row {
	x := indexer{tenant: tenant, seen: map[int64]bool{}}
	var texts, sounds []string
	for _, n := range names {
		folded := Fold(n.Text)
		if folded == "" {
			continue
		}
		texts = append(texts, folded)
		read := folded
		if !n.Person {
			if core := Core(folded); core != folded {
				texts = append(texts, core)
				read = core // nobody types youxiangongsi
			}
		}
		of := readings(read, n.Person)
		if len(of) == 0 {
			continue
		}
		x.syllables(of)
		sounds = append(sounds, lines(of)...)
	}
	texts = unique(texts)
	for _, t := range texts {
		x.add(kindName, t)
		for word := range strings.FieldsSeq(t) {
			x.word(word)
		}
	}
	slices.Sort(x.terms)
	return Row{Terms: x.terms, Names: joined(texts, " "), Pinyin: joined(unique(sounds), "")}
}

func unique(s []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(s, func(t string) bool {
		twice := seen[t]
		seen[t] = true
		return twice
	})
}

func joined(texts []string, lead string) string {
	if len(texts) == 0 {
		return ""
	}
	return "\n" + lead + strings.Join(texts, "\n"+lead) + "\n"
}

// Within are terms that a row has whenever one of its names contains needle, in any case but otherwise as it stands. None
// are answered for a needle without Chinese characters or three plain letters in a row: it can be anywhere.
func Within(tenant int32, needle string) []int64 {
	x := indexer{tenant: tenant, seen: map[int64]bool{}}
	needle = strings.ToLower(needle)
	for run := range strings.FieldsFuncSeq(needle, func(r rune) bool { return !unicode.Is(unicode.Han, r) }) {
		signs := []rune(Fold(run))
		if len(signs) == 1 {
			x.add(kindGram, string(signs))
		}
		for i := 2; i <= len(signs); i++ {
			x.add(kindGram, string(signs[i-2:i]))
		}
	}
	for run := range strings.FieldsFuncSeq(needle, func(r rune) bool { return r > unicode.MaxASCII || classOf(r) != letter }) {
		for i := 3; i <= len(run); i++ {
			x.add(kindGram, run[i-3:i])
		}
	}
	return x.terms
}

type indexer struct {
	tenant int32
	terms  []int64
	seen   map[int64]bool
}

func (x *indexer) add(kind byte, gram string) {
	if t := term(x.tenant, kind, gram); !x.seen[t] {
		x.seen[t] = true
		x.terms = append(x.terms, t)
	}
}

func (x *indexer) word(word string) {
	if !isWord(word) {
		signs := []rune(word)
		for i := range signs {
			x.add(kindGram, string(signs[i]))
			if i > 0 {
				x.add(kindGram, string(signs[i-1:i+1]))
			}
		}
		return
	}
	letters := []rune(word)
	for n := 1; n <= min(2, len(letters)); n++ {
		x.add(kindWord, string(letters[:n]))
	}
	for i := 3; i <= len(letters); i++ {
		x.add(kindGram, string(letters[i-3:i]))
	}
}

// isWord tells whether a word of a folded text is made of letters and digits, and not of signs.
func isWord(word string) bool {
	r, _ := utf8.DecodeRuneInString(word)
	return classOf(r) == letter || unicode.IsLetter(r) && classOf(r) != sign
}

func (x *indexer) syllables(of [][]string) {
	for i, choices := range of {
		for _, s := range choices {
			x.add(kindSyllable, s)
			if i == 0 {
				x.add(kindFirst, s[:1])
				continue
			}
			for _, before := range of[i-1] {
				x.add(kindInitials, before[:1]+s[:1])
			}
		}
	}
}

// Array is terms as the text of a bigint[], the type of the column that holds them.
func Array(terms []int64) string {
	b := make([]byte, 0, 21*len(terms)+2)
	b = append(b, '{')
	for i, t := range terms {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, t, 10)
	}
	return string(append(b, '}'))
}
