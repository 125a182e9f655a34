package customer

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"

	"github.com/kezi-io/kezi/internal/birthday"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/tenant"
)

// PersonDetails is what is known of a person beyond the name.
type PersonDetails struct {
	Gender      string // one of Genders
	Birthday    birthday.Birthday
	IncomeBand  string // one of IncomeBands
	Education   string // one of Educations
	Occupation  string
	Interests   []string
	Preferences Preferences
}

// What a person's details are chosen from, in the order in which people expect them.
var (
	// Genders: unknown was asked and not told; who was never asked has none.
	Genders = []string{"male", "female", "other", "unknown"}

	// IncomeBands are the five equal groups of households that the National Bureau of Statistics of China reports
	// (低收入, 中间偏下, 中间, 中间偏上, 高收入). Each tenant decides where its limits are.
	IncomeBands = []string{"low", "lower_middle", "middle", "upper_middle", "high"}

	// Educations are the levels of GB/T 4658-2006: 小学, 初中, 高中, 中职 (中专, 技校), 大专, 本科, 硕士, 博士, 其他.
	Educations = []string{"primary", "junior_high", "senior_high", "vocational", "associate", "bachelor", "master", "doctorate", "other"}
)

// Preferences are what somebody likes to be served, by short keys: style, colour, size, channel.
type Preferences map[string]Preference

// Preference is one text, or a list of them.
type Preference struct {
	Texts []string
	List  bool
}

// MarshalJSON implements json.Marshaler: a text alone, or a list.
func (p Preference) MarshalJSON() ([]byte, error) {
	if p.List || len(p.Texts) != 1 {
		return json.Marshal(p.Texts)
	}
	return json.Marshal(p.Texts[0])
}

// UnmarshalJSON implements json.Unmarshaler.
func (p *Preference) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*p = Preference{Texts: []string{one}}
		return nil
	}
	*p = Preference{List: true}
	return json.Unmarshal(raw, &p.Texts)
}

// merge is p with the members of change; those without a text are taken away.
func (p Preferences) merge(change map[string]*Preference) Preferences {
	merged := Preferences{}
	maps.Copy(merged, p)
	for key, value := range change {
		if value == nil || len(value.Texts) == 0 {
			delete(merged, key)
		} else {
			merged[key] = *value
		}
	}
	if len(merged) == 0 {
		return nil
	}
	return merged
}

// PersonChange is a merge patch of a person's details.
type PersonChange struct {
	Gender, IncomeBand, Education, Occupation patch.Field[string]
	Birthday                                  patch.Field[birthday.Birthday] // a birthday is given as a whole
	Interests                                 patch.Field[[]string]
	Preferences                               patch.Field[map[string]*Preference] // merged key by key; nil takes one away
}

func (c PersonChange) apply(to *PersonDetails) {
	c.Gender.Into(&to.Gender)
	c.Birthday.Into(&to.Birthday)
	c.IncomeBand.Into(&to.IncomeBand)
	c.Education.Into(&to.Education)
	c.Occupation.Into(&to.Occupation)
	c.Interests.Into(&to.Interests)
	switch {
	case !c.Preferences.Given:
	case c.Preferences.Value == nil:
		to.Preferences = nil
	default:
		to.Preferences = to.Preferences.merge(*c.Preferences.Value)
	}
}

// Details are those of a person of whom nothing else is known.
func (c PersonChange) Details() (d PersonDetails) {
	c.apply(&d)
	return d
}

// IsZero reports whether nothing is known.
func (p PersonDetails) IsZero() bool { return reflect.DeepEqual(p, PersonDetails{}) }

func (p *PersonDetails) tidy() {
	trim(&p.Occupation)
	p.Interests = tidyList(p.Interests)
	for key, value := range p.Preferences {
		if value.Texts = tidyList(value.Texts); len(value.Texts) == 0 {
			delete(p.Preferences, key)
		} else {
			p.Preferences[key] = value
		}
	}
	if len(p.Interests) == 0 {
		p.Interests = nil
	}
	if len(p.Preferences) == 0 {
		p.Preferences = nil
	}
}

// maxPreferences bounds how many keys a person's preferences have: a patch could add some for ever.
const maxPreferences = 100

func (p PersonDetails) check(v *fault.Validator, before PersonDetails, today tenant.Day) error {
	v.Check(len(p.Preferences) <= maxPreferences, "/person/preferences", "too_many",
		fault.T("at most 100 preferences", "偏好最多 100 项"))
	if p.Birthday.IsZero() || p.Birthday == before.Birthday {
		return nil
	}
	return v.Merge("/person/birthday", p.Birthday.Check(today))
}

// note tells what differs from before.
func (p PersonDetails) note(note func(name string, changed bool, value any), before PersonDetails) {
	note("person.gender", before.Gender != p.Gender, before.Gender)
	note("person.birthday", before.Birthday != p.Birthday, birthdayDocument(before.Birthday))
	note("person.income_band", before.IncomeBand != p.IncomeBand, before.IncomeBand)
	note("person.education", before.Education != p.Education, before.Education)
	note("person.occupation", before.Occupation != p.Occupation, before.Occupation)
	note("person.interests", !slices.Equal(before.Interests, p.Interests), before.Interests)
	for key := range allKeys(before.Preferences, p.Preferences) {
		had, has := before.Preferences[key], p.Preferences[key]
		var was any
		if len(had.Texts) > 0 {
			was = had
		}
		note("person.preferences."+key, !reflect.DeepEqual(had, has), was)
	}
}

// birthdayDoc is a birthday as the contract and the database have it.
type birthdayDoc struct {
	Calendar  birthday.Calendar `json:"calendar"`
	Year      int               `json:"year,omitempty"`
	Month     int               `json:"month"`
	Day       int               `json:"day"`
	LeapMonth bool              `json:"leap_month,omitempty"`
}

func birthdayDocument(b birthday.Birthday) *birthdayDoc {
	if b.IsZero() {
		return nil
	}
	d := birthdayDoc(b)
	return &d
}

func (d *birthdayDoc) birthday() birthday.Birthday {
	if d == nil {
		return birthday.Birthday{}
	}
	return birthday.Birthday(*d)
}
