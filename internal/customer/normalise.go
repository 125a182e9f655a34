package customer

import (
	"strings"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/industry"
	"github.com/kezi-io/kezi/internal/region"
)

// normal are the fields that are brought into a standard form, by their names in the contract.
func (c *Customer) normal() map[string]*string {
	return map[string]*string{"country": &c.Country, "province": &c.Province, "city": &c.City, "district": &c.District,
		"industry_code": &c.Industry.Code, "company.registration_number": &c.Company.RegistrationNumber}
}

// normalise brings fields that changed into their standard form, and keeps in Given what was said where that is
// something else. A field that stays as it was keeps what it was made of: who says the same in other words changes
// nothing.
func (c *Customer) normalise(v *fault.Validator, before Customer, lenient bool) {
	fields, was := c.normal(), before.normal()
	said := make(map[string]string, len(fields))
	for name, value := range fields {
		said[name] = *value
	}
	v.Check(c.Country == before.Country || c.Country == "" || region.IsCountry(c.Country), "/country", "country_unknown", region.NoCountry)
	c.place(before)
	c.classify(v, before.Industry)
	c.registration(v, before.Company, lenient)
	for name, value := range fields {
		switch {
		case *value == *was[name]:
		case *value == said[name] || said[name] == "" || said[name] == *was[name]: // or it follows from another field
			delete(c.Given, name)
		default:
			if c.Given == nil {
				c.Given = map[string]string{}
			}
			c.Given[name] = said[name]
		}
	}
	if len(c.Given) == 0 {
		c.Given = nil
	}
}

func (c *Customer) region() region.Place {
	return region.Place{Country: c.Country, Province: c.Province, City: c.City, District: c.District}
}

// place brings the names of regions into one form. Province and district follow a city that moves.
func (c *Customer) place(before Customer) {
	now, was := c.region(), before.region()
	if now == was {
		return
	}
	now, _ = region.Normalize(region.Moved(was, now))
	for _, f := range []struct {
		of       *string
		was, now string
	}{{&c.Country, was.Country, now.Country}, {&c.Province, was.Province, now.Province}, {&c.City, was.City, now.City},
		{&c.District, was.District, now.District}} {
		// What somebody has cleared does not come back from what is beside it.
		if *f.of != "" || f.was == "" {
			*f.of = f.now
		}
	}
	if other := region.Elsewhere(c.region()); other != "" {
		c.Warnings = append(c.Warnings, fault.Field{Pointer: "/city", Code: "city_elsewhere", Detail: fault.T(
			"this city is in "+other+", which is not the province given", "该城市属于"+other+"，与所填省份不符")})
	}
}

// The classifications of industries.
const (
	GBT4754 = "gbt4754"
	ISIC    = "isic"
)

// IndustrySchemes are all there are.
var IndustrySchemes = []string{GBT4754, ISIC}

// classifications are those by the names that the contract has for them; an industry's label is in the language of its
// classification.
var classifications = map[string]struct {
	scheme industry.Scheme
	label  func(industry.Entry) string
}{
	GBT4754: {industry.GBT4754, func(e industry.Entry) string { return e.Chinese }},
	ISIC:    {industry.ISIC4, func(e industry.Entry) string { return e.English }},
}

// classify checks the code of an industry, and gives a label to one without.
func (c *Customer) classify(v *fault.Validator, before Industry) {
	i := &c.Industry
	if i.Code == "" {
		v.Check(i.Scheme == "" || i.Scheme == before.Scheme, "/industry_code", "required",
			fault.T("an industry_scheme needs its industry_code", "industry_scheme 须与 industry_code 一起提供"))
		i.Scheme = ""
		return
	}
	if i.Scheme == "" {
		i.Scheme = ISIC
		if c.Country == "" || c.Country == "CN" {
			i.Scheme = GBT4754
		}
	}
	if i.Code == before.Code && i.Scheme == before.Scheme && i.Label != "" {
		return
	}
	of := classifications[i.Scheme]
	found, ok := industry.Lookup(of.scheme, i.Code)
	if !ok {
		var codes, named []string
		for _, e := range industry.Suggest(of.scheme, i.Code) {
			codes, named = append(codes, e.Code), append(named, e.Code+" "+of.label(e))
		}
		near, nearZh := "", ""
		if len(named) > 0 {
			near, nearZh = "; the nearest are "+strings.Join(named, ", "), "；最接近的有 "+strings.Join(named, "、")
		}
		v.Check(false, "/industry_code", "unknown_value", fault.T("there is no such code in "+i.Scheme+near, i.Scheme+" 中没有此代码"+nearZh), codes...)
		return
	}
	i.Code = found.Code
	if i.Label == "" && i.Code == before.Code && i.Scheme == before.Scheme {
		i.Label = before.Label // the same code in other words
	}
	if i.Label == "" {
		i.Label = of.label(found)
	}
}
