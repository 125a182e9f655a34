package customer

import (
	"iter"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/tenant"
)

// SourceChange is a merge patch of a source; null clears the source as a whole.
type SourceChange struct {
	Channel          *string
	Detail, Campaign patch.Field[string]
}

// Change is a merge patch of a customer.
type Change struct {
	Kind                                     *Kind
	Name                                     *string
	Aliases                                  patch.Field[[]string] // replaced as a whole
	AddAliases                               []string              // beside those there are
	Stage                                    *Stage
	StageReason                              string // why the stage moves; nothing without a move
	Source                                   patch.Field[SourceChange]
	Owner, Country, Province, City, District patch.Field[string]
	Departments                              patch.Field[[]string]
	Industry, IndustryScheme, IndustryCode   patch.Field[string]
	Person                                   patch.Field[PersonChange]  // null clears all of it
	Company                                  patch.Field[CompanyChange] // null clears all of it
	Attributes                               patch.Field[Attributes]    // merged key by key
}

// apply merges the change into a customer.
func (c Change) apply(to *Customer) {
	patch.Keep(&to.Kind, c.Kind)
	patch.Keep(&to.Name, c.Name)
	c.Aliases.Into(&to.Aliases)
	to.Aliases = slices.Concat(to.Aliases, c.AddAliases)
	patch.Keep(&to.Stage, c.Stage)
	c.mergeSource(&to.Source)
	c.Owner.Into(&to.Owner)
	c.Departments.Into(&to.Departments)
	c.Country.Into(&to.Country)
	c.Province.Into(&to.Province)
	c.City.Into(&to.City)
	c.District.Into(&to.District)
	c.mergeIndustry(&to.Industry)
	switch {
	case c.Person.Value != nil:
		c.Person.Value.apply(&to.Person)
	case c.Person.Given:
		to.Person = PersonDetails{}
	}
	switch {
	case c.Company.Value != nil:
		c.Company.Value.apply(&to.Company)
	case c.Company.Given:
		to.Company = CompanyDetails{}
	}
	switch {
	case c.Attributes.Value != nil:
		to.Attributes = to.Attributes.merge(*c.Attributes.Value)
	case c.Attributes.Given:
		to.Attributes = Attributes{}
	}
}

func (c Change) mergeSource(to *Source) {
	switch {
	case !c.Source.Given:
	case c.Source.Value == nil:
		*to = Source{}
	default:
		patch.Keep(&to.Channel, c.Source.Value.Channel)
		c.Source.Value.Detail.Into(&to.Detail)
		c.Source.Value.Campaign.Into(&to.Campaign)
	}
}

// mergeIndustry lets a new code bring its own label, unless one is given with it.
func (c Change) mergeIndustry(to *Industry) {
	before := *to
	c.IndustryScheme.Into(&to.Scheme)
	c.IndustryCode.Into(&to.Code)
	if (to.Scheme != before.Scheme || to.Code != before.Code) && to.Code != "" {
		to.Label = ""
	}
	c.Industry.Into(&to.Label)
}

// changed is the names of the fields that differ between two states of a customer, with their values before.
func changed(before, to *Customer) (previous map[string]any) {
	previous = map[string]any{}
	note := func(name string, changed bool, value any) {
		if changed {
			previous[name] = value
		}
	}
	note("kind", before.Kind != to.Kind, before.Kind)
	note("name", before.Name != to.Name, before.Name)
	note("aliases", !slices.Equal(before.Aliases, to.Aliases), before.Aliases)
	note("stage", before.Stage != to.Stage, before.Stage)
	note("source", before.Source != to.Source, before.Source.document())
	note("owner", before.Owner != to.Owner, before.Owner)
	note("departments", !slices.Equal(before.Departments, to.Departments), before.Departments)
	note("country", before.Country != to.Country, before.Country)
	note("province", before.Province != to.Province, before.Province)
	note("city", before.City != to.City, before.City)
	note("district", before.District != to.District, before.District)
	note("industry", before.Industry.Label != to.Industry.Label, before.Industry.Label)
	note("industry_scheme", before.Industry.Scheme != to.Industry.Scheme, before.Industry.Scheme)
	note("industry_code", before.Industry.Code != to.Industry.Code, before.Industry.Code)
	to.Person.note(note, before.Person)
	to.Company.note(note, before.Company)
	for key := range allKeys(before.Attributes, to.Attributes) {
		note("attributes."+key, !reflect.DeepEqual(before.Attributes[key], to.Attributes[key]), before.Attributes[key])
	}
	return previous
}

// changes are the fields that the write changes, with their values before.
func (w *Write) changes() map[string]any {
	previous := changed(w.Before, w.After)
	for _, name := range w.Again {
		if _, told := previous[name]; !told {
			previous[name] = nil
		}
	}
	return previous
}

// allKeys are those of both maps, some of them twice.
func allKeys[V any, M ~map[string]V](a, b M) iter.Seq[string] {
	return func(yield func(string) bool) {
		for key := range maps.Keys(a) {
			if !yield(key) {
				return
			}
		}
		for key := range maps.Keys(b) {
			if !yield(key) {
				return
			}
		}
	}
}

// document is the source as the contract shows it.
func (s Source) document() any {
	if s == (Source{}) {
		return nil
	}
	d := map[string]string{"channel": s.Channel}
	if s.Detail != "" {
		d["detail"] = s.Detail
	}
	if s.Campaign != "" {
		d["campaign"] = s.Campaign
	}
	return d
}

// tidy takes away what nobody means and no search finds: spaces around texts, and items of lists that say nothing or
// say it again.
func (c *Customer) tidy() {
	for _, s := range []*string{&c.Name, &c.Source.Detail, &c.Source.Campaign, &c.Owner, &c.Province, &c.City, &c.District,
		&c.Industry.Label, &c.Industry.Scheme, &c.Industry.Code} {
		trim(s)
	}
	c.Aliases, c.Departments = tidyList(c.Aliases), tidyList(c.Departments)
	c.Person.tidy()
	c.Company.tidy()
}

func trim(s *string) { *s = plain(*s) }

// plain is a text without white space around it, and without what turns or hides the text beside it: a name with an
// override of direction would show another one in lists.
func plain(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Bidi_Control, r), r == '\u200b', r == '\ufeff':
			return -1
		}
		return r
	}, s))
}

// tidyList is never nil.
func tidyList(all []string) []string {
	kept := make([]string, 0, len(all))
	for _, s := range all {
		if s = plain(s); Visible(s) && !slices.Contains(kept, s) {
			kept = append(kept, s)
		}
	}
	return kept
}

// The most that lists may have. The contract bounds what one request gives; AddAliases adds to what is there.
const (
	maxAliases    = 20
	maxAttributes = 500
)

// check is what a customer must fulfil beyond the contract's types and lengths. before is what is stored, and zero for
// a new one: what was accepted once does not stand in the way of other changes.
func (c *Customer) check(v *fault.Validator, before Customer, today tenant.Day) error {
	v.Check(Visible(c.Name), "/name", "required", fault.T("a customer needs a name that can be seen", "客户必须有可见的名称"))
	v.Check(len(c.Aliases) <= maxAliases, "/aliases", "too_many", fault.T("at most 20 other names", "别名最多 20 个"))
	v.Check(len(c.Attributes) <= maxAttributes, "/attributes", "too_many", fault.T("at most 500 attributes", "自定义字段最多 500 个"))
	v.Check(c.Source == (Source{}) || c.Source.Channel != "", "/source/channel", "required",
		fault.T("a source needs a channel", "来源必须有渠道"), Channels...)
	if len(before.ExternalIDs) == 0 {
		c.checkExternalIDs(v)
	}
	v.Check(c.Kind == Person || c.Person.IsZero(), "/person", "not_applicable",
		fault.T("a company has no details of a person; person: null clears those there are", "企业客户没有个人信息；可用 person: null 清除已有内容"))
	v.Check(c.Kind == Company || c.Company.IsZero(), "/company", "not_applicable",
		fault.T("a person has no details of a company; company: null clears those there are", "个人客户没有企业信息；可用 company: null 清除已有内容"))
	c.Company.check(v, today)
	return c.Person.check(v, before.Person, today)
}

func (c *Customer) checkExternalIDs(v *fault.Validator) {
	seen := map[ExternalID]bool{}
	for i, id := range c.ExternalIDs {
		pointer := "/external_ids/" + strconv.Itoa(i)
		v.Check(!seen[id], pointer, "repeated", fault.T("an external id is given twice", "外部编号重复"))
		v.Check(id.tidy(), pointer+"/external_id", "bad_external_id", badExternalID)
		seen[id] = true
	}
}

// Visible reports whether a text shows anything at all: white space and marks of direction or width alone don't.
func Visible(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return unicode.IsGraphic(r) && !unicode.IsSpace(r) })
}

// badExternalID says why: files and other systems lose such characters, and would then make a second customer.
var badExternalID = fault.T("must not begin or end with white space, nor hold control characters", "首尾不能有空白，也不能含控制字符")

func (id ExternalID) tidy() bool {
	return id.ID == strings.TrimSpace(id.ID) && !strings.ContainsFunc(id.ID, unicode.IsControl)
}

func equal[T comparable](a, b *T) bool { return a == b || (a != nil && b != nil && *a == *b) }
