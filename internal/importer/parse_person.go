package importer

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/kezi-io/kezi/internal/address"
	"github.com/kezi-io/kezi/internal/birthday"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/tenant"
)

// person is a row of a file of customers: a change, since empty cells say nothing.
type person struct {
	identity
	change customer.Change
	parts
}

// most is how many characters a text or an item of a list may have, as the contract says.
var most = map[string]int{"external_id": 200, "name": 200, "source_detail": 200, "source_campaign": 200, "owner": 100,
	"province": 100, "city": 100, "district": 100, "industry": 100, "industry_code": 10, "person.occupation": 100,
	"company.registration_number": 50, "company.legal_name": 200, "company.business_scope": 5000}

var schemePattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,19}$`)

// person reads a row; what is wrong with it is left in p.errs.
func (p *parser) person(values [][]byte) person {
	var r person
	var about customer.PersonChange
	var card customer.CompanyChange
	var source customer.SourceChange
	var draft address.Draft
	for i, c := range p.file.columns {
		v := values[i]
		if p.part(&r.parts, &draft, c.field, v) {
			continue
		}
		if len(v) == 0 {
			if c.field == "external_id" {
				p.refuse(c.field, valueMissing)
			}
			continue
		}
		change := &r.change
		switch c.field {
		case "external_id":
			r.id = p.text(c.field, v, most[c.field])
		case "name":
			name := p.text(c.field, v, most[c.field])
			change.Name = &name
		case "kind":
			kind := customer.Kind(p.choice(c.field, v, customer.Kinds))
			change.Kind = &kind
		case "stage":
			stage := customer.Stage(p.choice(c.field, v, customer.Stages))
			change.Stage = &stage
		case "source_channel":
			channel := p.choice(c.field, v, customer.Channels)
			source.Channel, change.Source = &channel, patch.Field[customer.SourceChange]{Given: true}
		case "source_detail":
			source.Detail, change.Source = p.patch(c.field, v), patch.Field[customer.SourceChange]{Given: true}
		case "source_campaign":
			source.Campaign, change.Source = p.patch(c.field, v), patch.Field[customer.SourceChange]{Given: true}
		case "aliases":
			change.Aliases = p.list(c.field, v, 20, 200)
		case "departments":
			change.Departments = p.list(c.field, v, 20, 100)
		case "owner":
			change.Owner = p.patch(c.field, v)
		case "country":
			if !isCountry(v) {
				p.refuse(c.field, badCountry)
				continue
			}
			change.Country = patch.Set(p.common(c.field, v, 2))
		case "province":
			change.Province = patch.Set(p.common(c.field, v, most[c.field]))
		case "city":
			change.City = patch.Set(p.common(c.field, v, most[c.field]))
		case "district":
			change.District = patch.Set(p.common(c.field, v, most[c.field]))
		case "industry":
			change.Industry = patch.Set(p.common(c.field, v, most[c.field]))
		case "industry_scheme":
			change.IndustryScheme = patch.Set(p.choice(c.field, v, customer.IndustrySchemes))
		case "industry_code":
			change.IndustryCode = p.patch(c.field, v)
		default:
			if name, ok := strings.CutPrefix(c.field, "person."); ok {
				p.about(&about, c.field, name, v)
				change.Person = patch.Field[customer.PersonChange]{Given: true, Value: &about}
			} else if name, ok := strings.CutPrefix(c.field, "company."); ok {
				p.card(&card, c.field, name, v)
				change.Company = patch.Field[customer.CompanyChange]{Given: true, Value: &card}
			} else if key, ok := strings.CutPrefix(c.field, attributePrefix); ok {
				if !change.Attributes.Given {
					change.Attributes = patch.Set(customer.Attributes{})
				}
				(*change.Attributes.Value)[key] = p.text(c.field, v, maxAttribute)
			}
		}
	}
	if r.change.Source.Given {
		r.change.Source.Value = &source
	}
	p.settle(&r, draft)
	return r
}

func (p *parser) patch(field string, value []byte) patch.Field[string] {
	return patch.Set(p.text(field, value, most[field]))
}

// list reads what semicolons or 、 separate.
func (p *parser) list(field string, value []byte, items, each int) patch.Field[[]string] {
	all := strings.FieldsFunc(p.text(field, value, items*(each+1)), func(r rune) bool { return strings.ContainsRune(";；、", r) })
	if len(all) > items {
		p.refuse(field, tooMany(items))
	}
	for _, s := range all {
		if utf8.RuneCountInString(s) > each {
			p.refuse(field, tooLong(each))
			break
		}
	}
	return patch.Set(all)
}

func (p *parser) about(to *customer.PersonChange, field, name string, v []byte) {
	switch name {
	case "gender":
		to.Gender = patch.Set(p.choice(field, v, customer.Genders))
	case "birthday":
		b, ok := parseBirthday(string(v))
		if !ok {
			p.refuse(field, badBirthday)
		}
		to.Birthday = patch.Set(b)
	case "income_band":
		to.IncomeBand = patch.Set(p.choice(field, v, customer.IncomeBands))
	case "education":
		to.Education = patch.Set(p.choice(field, v, customer.Educations))
	case "occupation":
		to.Occupation = p.patch(field, v)
	case "interests":
		to.Interests = p.list(field, v, 50, 100)
	default: // preferences.<key>
		key := strings.TrimPrefix(name, "preferences.")
		if !to.Preferences.Given {
			to.Preferences = patch.Set(map[string]*customer.Preference{})
		}
		texts := *p.list(field, v, 50, 100).Value
		(*to.Preferences.Value)[key] = &customer.Preference{Texts: texts, List: len(texts) > 1}
	}
}

func (p *parser) card(to *customer.CompanyChange, field, name string, v []byte) {
	switch name {
	case "registration_scheme":
		if !schemePattern.Match(v) {
			p.refuse(field, badScheme)
		}
		to.RegistrationScheme = patch.Set(string(v))
	case "registration_number":
		to.RegistrationNumber = p.patch(field, v)
	case "legal_name":
		to.LegalName = p.patch(field, v)
	case "business_scope":
		to.BusinessScope = p.patch(field, v)
	case "employees":
		n, err := strconv.ParseInt(string(v), 10, 32)
		if err != nil || n < 0 || n > maxUnits || v[0] == '+' {
			p.refuse(field, badUnits)
		}
		to.Employees = patch.Set(int32(n))
	case "annual_revenue":
		currency := p.im.Currency
		if currency == "" {
			currency = p.tenant.Currency
		}
		m, wrong, detail := money.Parse(string(v), currency)
		if wrong != "" {
			p.refuse(field, Problem{wrong, detail})
		}
		to.AnnualRevenue = patch.Set(m)
	case "registered_on":
		day, err := tenant.ParseDay(string(v))
		if err != nil {
			p.refuse(field, badDate)
		}
		to.RegisteredOn = patch.Set(day)
	}
}

// birthdays are written 1990-05-20 or 05-20, and by the Chinese calendar with lunar or 农历 before them and leap or 闰
// before a leap month: 农历 2020-闰4-03.
var birthdays = regexp.MustCompile(`^(?i)(lunar|农历)?\s*(?:(\d{4})[-/.])?(leap|闰)?\s*(\d{1,2})[-/.](\d{1,2})$`)

func parseBirthday(s string) (birthday.Birthday, bool) {
	m := birthdays.FindStringSubmatch(s)
	if m == nil {
		return birthday.Birthday{}, false
	}
	b := birthday.Birthday{Calendar: birthday.Solar, LeapMonth: m[3] != ""}
	if m[1] != "" {
		b.Calendar = birthday.Lunar
	}
	b.Year, _ = strconv.Atoi("0" + m[2])
	b.Month, _ = strconv.Atoi(m[4])
	b.Day, _ = strconv.Atoi(m[5])
	return b, true
}

var (
	badBirthday = Problem{"bad_birthday", fault.T(
		"not a birthday: send 1990-05-20 or 05-20, with lunar before one of the Chinese calendar and leap before a leap month, such as lunar 2020-leap4-03",
		"不是生日：请使用 1990-05-20 或 05-20；农历生日前加“农历”，闰月前加“闰”，例如 农历 2020-闰4-03")}
	badScheme = Problem{"bad_scheme", fault.T("not a short name of a register, such as uscc, duns or ein",
		"不是登记号类别的短名，例如 uscc、duns 或 ein")}
)

func tooMany(most int) Problem {
	return Problem{"too_many", fault.T("more than "+strconv.Itoa(most)+" items", "超过 "+strconv.Itoa(most)+" 项")}
}
