package attribute

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// read makes of the texts in a patch, which are cells of a file, what the types ask for. What can't be made so stays, and
// is refused as the type refuses it.
func (s set) read(patch Values, base string) {
	for key, raw := range patch {
		var text string
		if d := s.byKey[key]; d != nil && json.Unmarshal(raw, &text) == nil && !null(raw) {
			patch[key] = d.read(strings.TrimSpace(text), raw, base)
		}
	}
}

// How people write yes and no in a table.
var (
	yes = []string{"true", "1", "yes", "y", "是", "有", "√"}
	no  = []string{"false", "0", "no", "n", "否", "无", "×"}
)

// days are the forms of a day in files.
var days = []string{time.DateOnly, "2006-1-2", "2006/1/2", "2006.1.2", "20060102", "2006年1月2日"}

func (d *Definition) read(text string, raw json.RawMessage, base string) json.RawMessage {
	switch d.Type {
	case Boolean:
		switch word := strings.ToLower(text); {
		case slices.Contains(yes, word):
			return json.RawMessage("true")
		case slices.Contains(no, word):
			return json.RawMessage("false")
		}
	case Date:
		for _, form := range days {
			if at, err := time.Parse(form, text); err == nil {
				return quote(at.Format(time.DateOnly))
			}
		}
	case Money:
		value, currency, given := strings.Cut(text, " ")
		if !given {
			currency = base
			if d.Unit != "" {
				currency = d.Unit
			}
		}
		out, _ := json.Marshal(map[string]string{"amount": value, "currency": strings.TrimSpace(currency)}) // strings always marshal
		return out
	case Choice:
		return quote(d.key(text))
	case MultiChoice:
		keys := []string{}
		for _, item := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(";；、", r) }) {
			keys = append(keys, d.key(strings.TrimSpace(item)))
		}
		out, _ := json.Marshal(keys) // strings always marshal
		return out
	}
	return raw
}

// key is the key of the choice that a file names by it or by its label.
func (d *Definition) key(text string) string {
	if d.option(text) != nil {
		return text
	}
	for _, o := range d.Choices {
		if strings.EqualFold(o.Label, text) {
			return o.Key
		}
	}
	return text
}
