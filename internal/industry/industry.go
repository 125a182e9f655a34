// Package industry knows two industrial classifications: the Chinese GB/T 4754-2017 and the United Nations' ISIC Rev. 4.
//
// Both have sections (a letter), divisions (two digits), groups (three) and classes (four). Sections and divisions are
// listed with their labels; a group or class is accepted below a division that exists and carries the label of that
// division, because the labels of the finer levels are not kept here: what a caller calls them is the caller's to keep.
package industry

import (
	_ "embed"
	"slices"
	"strings"
	"sync"

	"golang.org/x/text/unicode/norm"

	"github.com/kezi-io/kezi/internal/nearest"
)

// Scheme is a classification.
type Scheme string

// The schemes.
const (
	GBT4754 Scheme = "gbt4754" // GB/T 4754-2017 国民经济行业分类
	ISIC4   Scheme = "isic4"   // International Standard Industrial Classification, Rev. 4
)

// Entry is a place in a classification.
type Entry struct {
	Scheme  Scheme
	Code    string // a capital letter, or two to four digits
	Section string // the letter of the section that the code lies in
	Named   string // whose labels these are: Code itself, or the division of a group or class
	Chinese string
	English string
}

// Lookup finds a code as people write it: i, I65, 6510, 65.10, C 34. A letter before digits must be that of their
// section. False for an unknown scheme or code.
func Lookup(scheme Scheme, code string) (Entry, bool) {
	t, ok := tables()[scheme]
	if !ok {
		return Entry{}, false
	}
	section, digits, ok := parts(code)
	if !ok {
		return Entry{}, false
	}
	if digits == "" {
		e, known := t.byCode[section]
		return e, known
	}
	e, known := t.byCode[digits[:2]]
	if !known || (section != "" && section != e.Section) {
		return Entry{}, false
	}
	e.Code = digits
	return e, true
}

// parts are the letter and the digits of a code; either may be empty, not both.
func parts(code string) (section, digits string, ok bool) {
	s := normalise(code)
	if s == "" {
		return "", "", false
	}
	if s[0] >= 'A' && s[0] <= 'Z' {
		section, s = s[:1], s[1:]
	}
	if strings.Trim(s, "0123456789") != "" || len(s) == 1 || len(s) > 4 {
		return "", "", false
	}
	return section, s, true
}

// maxBytes bounds what is read as a code or a label.
const maxBytes = 200

func normalise(code string) string {
	if len(code) > maxBytes {
		return ""
	}
	return separators.Replace(strings.ToUpper(norm.NFKC.String(code)))
}

var separators = strings.NewReplacer(" ", "", ".", "", "-", "", "_", "", "\t", "")

// Suggest are up to three entries that may have been meant by a code that is not known: where a label was given, those
// with it; for a wrong letter, the code without it; else the closest codes. Best first; empty for an unknown scheme.
func Suggest(scheme Scheme, code string) []Entry {
	t, ok := tables()[scheme]
	if !ok {
		return nil
	}
	s := normalise(code)
	if s == "" {
		return nil
	}
	digits := strings.TrimLeft(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	switch {
	case digits == "" && len(s) == 1: // a letter that is no section
		return nil
	case digits == "" || strings.Trim(digits, "0123456789") != "":
		return t.labelled(code)
	case len(digits) == 1:
		digits = "0" + digits // a leading zero that a spreadsheet took away
	case len(digits) == 3 && t.byCode["0"+digits[:1]].Code != "" && t.byCode[digits[:2]].Code == "":
		digits = "0" + digits
	case len(digits) > 4:
		digits = digits[:4]
	}
	var found []Entry
	if e, known := Lookup(scheme, digits); known {
		found = append(found, e)
	}
	return t.closest(digits[:2], found)
}

const suggestions = 3

// labelled are the entries whose labels hold the text, or the one whose label is closest to it.
func (t *table) labelled(text string) []Entry {
	text = strings.ToLower(strings.TrimSpace(norm.NFKC.String(text)))
	var found []Entry
	for _, e := range t.entries {
		if strings.Contains(norm.NFKC.String(e.Chinese), text) || strings.Contains(strings.ToLower(e.English), text) {
			found = append(found, e)
			if len(found) == suggestions {
				return found
			}
		}
	}
	if len(found) > 0 {
		return found
	}
	labels := make([]string, 0, 2*len(t.entries))
	of := map[string]Entry{}
	for _, e := range slices.Backward(t.entries) { // of a section and a division of one name, the section stands first
		labels = append(labels, e.Chinese, e.English)
		of[e.Chinese], of[e.English] = e, e
	}
	if best := nearest.Of(text, labels); best != "" {
		found = append(found, of[best])
	}
	return found
}

// closest adds the divisions before and after the number, until there are enough.
func (t *table) closest(division string, found []Entry) []Entry {
	if len(found) > 0 {
		return found
	}
	number := func(code string) int { return int(code[0]-'0')*10 + int(code[1]-'0') }
	for distance := 1; distance < 100 && len(found) < suggestions; distance++ {
		for _, e := range t.entries {
			if len(e.Code) != 2 {
				continue
			}
			if d := number(e.Code) - number(division); (d == distance || d == -distance) && len(found) < suggestions {
				found = append(found, e)
			}
		}
	}
	return found
}

//go:embed gbt4754.tsv
var gbt4754 string

//go:embed isic4.tsv
var isic4 string

type table struct {
	entries []Entry // in the order of the standard
	byCode  map[string]Entry
}

var tables = sync.OnceValue(func() map[Scheme]*table {
	return map[Scheme]*table{GBT4754: read(GBT4754, gbt4754), ISIC4: read(ISIC4, isic4)}
})

func read(scheme Scheme, text string) *table {
	t := &table{byCode: map[string]Entry{}}
	section := ""
	for line := range strings.Lines(text) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(fields) != 3 {
			continue // the first line, which says where the list is from
		}
		if len(fields[0]) == 1 {
			section = fields[0]
		}
		e := Entry{Scheme: scheme, Code: fields[0], Section: section, Named: fields[0], Chinese: fields[1], English: fields[2]}
		t.entries, t.byCode[e.Code] = append(t.entries, e), e
	}
	return t
}

// Sections are the sections of a scheme in the order of the standard; none of an unknown one.
func Sections(scheme Scheme) []Entry {
	return within(scheme, func(e Entry) bool { return len(e.Code) == 1 })
}

// Divisions are the divisions of a section in the order of the standard.
func Divisions(scheme Scheme, section string) []Entry {
	return within(scheme, func(e Entry) bool { return len(e.Code) == 2 && e.Section == section })
}

func within(scheme Scheme, fits func(Entry) bool) []Entry {
	t, ok := tables()[scheme]
	if !ok {
		return nil
	}
	var found []Entry
	for _, e := range t.entries {
		if fits(e) {
			found = append(found, e)
		}
	}
	return found
}
