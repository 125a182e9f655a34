// Package address is where customers are: places by their standard names, street lines sealed at rest.
package address

import (
	"regexp"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/owned"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/region"
)

var (
	ErrNotFound = fault.New(fault.NotFound, "address_not_found", "the customer has no such address", "该客户没有这个地址")
	ErrTaken    = fault.New(fault.Conflict, "address_exists", "the customer has this address already", "该客户已有这个地址")
)

// AreaType is what an area is mostly.
type AreaType string

// AreaTypes are all there are.
var AreaTypes = []string{"business", "residential", "tourist", "industrial", "rural", "education", "other"}

// Place is what is coarser than a street. Empty names are not known.
type Place struct{ Country, Province, City, District string }

// Address is one place of a customer.
type Address struct {
	owned.Base
	Place             // by standard names
	Given      Place  // what was written for those names, where it differs; never a country
	Street     string // and number, building, room
	PostalCode string
	AreaType   AreaType // empty where nobody said
	Label      string
	Recipient  string
	Primary    bool // at most one of a customer

	rewritten bool // given a street by somebody who must not learn whether it is another one
}

// Draft is what a caller may say about a new address.
type Draft struct {
	Place                                Place // the country is the tenant's region unless told
	Street, PostalCode, Label, Recipient string
	AreaType                             AreaType
	Primary                              *bool // the first one is, unless told
}

// Change is a merge patch of an address.
type Change struct {
	Country                              *string
	Province, City, District             patch.Field[string]
	Street, PostalCode, Label, Recipient patch.Field[string]
	AreaType                             patch.Field[AreaType]
	Primary                              *bool
}

func (c Change) apply(to *Address) {
	written := to.written()
	patch.Keep(&written.Country, c.Country)
	c.Province.Into(&written.Province)
	c.City.Into(&written.City)
	c.District.Into(&written.District)
	if before := to.written(); written != before {
		to.settle(Place(region.Moved(region.Place(before), region.Place(written))))
	}
	c.Street.Into(&to.Street)
	c.PostalCode.Into(&to.PostalCode)
	c.Label.Into(&to.Label)
	c.Recipient.Into(&to.Recipient)
	c.AreaType.Into(&to.AreaType)
	patch.Keep(&to.Primary, c.Primary)
}

// written is the place as callers wrote it.
func (a *Address) written() Place {
	p := a.Place
	for _, n := range []struct{ to, from *string }{{&p.Province, &a.Given.Province}, {&p.City, &a.Given.City}, {&p.District, &a.Given.District}} {
		if *n.from != "" {
			*n.to = *n.from
		}
	}
	return p
}

// settle gives the address a place by standard names, and keeps what was written where it differs.
func (a *Address) settle(p Place) {
	p = Place{p.Country, strings.TrimSpace(p.Province), strings.TrimSpace(p.City), strings.TrimSpace(p.District)}
	a.Place, a.Given = standard(p), Place{}
	for _, n := range []struct{ to, from, is *string }{{&a.Given.Province, &p.Province, &a.Province}, {&a.Given.City, &p.City, &a.City},
		{&a.Given.District, &p.District, &a.District}} {
		if *n.from != *n.is {
			*n.to = *n.from
		}
	}
}

// postal is how postal codes are written in countries where nothing else is known of them.
var (
	postal   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 -]{1,11}$`)
	postalCN = regexp.MustCompile(`^[0-9]{6}$`)
)

// check tidies the address and refuses one that leads nowhere.
func (a *Address) check() error {
	a.Street = strings.Join(strings.Fields(a.Street), " ")
	a.Label, a.Recipient = strings.TrimSpace(a.Label), strings.TrimSpace(a.Recipient)
	a.PostalCode = strings.ToUpper(strings.TrimSpace(norm.NFKC.String(a.PostalCode)))
	var v fault.Validator
	v.Check(a.Country == "" || region.IsCountry(a.Country), "/country", "country_unknown", region.NoCountry)
	v.Check(a.Province != "" || a.City != "" || a.District != "" || customer.Visible(a.Street), "/street", "required",
		fault.T("an address needs a province, city, district or street", "地址至少需要省、市、区县或街道之一"))
	v.Check(!strings.Contains(a.Street, "***"), "/street", "masked_value",
		fault.T("this is a masked value; send it in full, or leave it away to keep it", "这是打码后的值；请填写完整，或不传以保留原值"))
	switch {
	case a.PostalCode == "":
	case a.Country == "CN":
		v.Check(postalCN.MatchString(a.PostalCode), "/postal_code", "bad_postal_code",
			fault.T("postal codes of China have 6 digits", "中国邮政编码为 6 位数字"))
	default:
		v.Check(postal.MatchString(a.PostalCode), "/postal_code", "bad_postal_code",
			fault.T("a postal code has 2 to 12 letters, digits, spaces and -", "邮政编码为 2 到 12 位字母、数字、空格或减号"))
	}
	return v.Err()
}

// Masked is a street line as it is shown to those who may not see it: where it begins, if there is enough more of it.
func Masked(street string) string {
	const shown = 2
	if r := []rune(street); len(r) >= 4*shown {
		return string(r[:shown]) + "***"
	}
	if street == "" {
		return ""
	}
	return "***"
}

// difference hides street, recipient and what was written: events tell that they changed, never what they are.
func difference(before, after Address) map[string]any {
	previous := map[string]any{}
	note := func(name string, changed bool, value any) {
		if changed {
			previous[name] = value
		}
	}
	note("country", before.Country != after.Country, before.Country)
	note("province", before.Province != after.Province, before.Province)
	note("city", before.City != after.City, before.City)
	note("district", before.District != after.District, before.District)
	note("given", before.Given != after.Given, owned.Hidden)
	note("street", before.Street != after.Street || after.rewritten, owned.Hidden)
	note("recipient", before.Recipient != after.Recipient, owned.Hidden)
	note("postal_code", before.PostalCode != after.PostalCode, before.PostalCode)
	note("area_type", before.AreaType != after.AreaType, before.AreaType)
	note("label", before.Label != after.Label, before.Label)
	note("primary", before.Primary != after.Primary, before.Primary)
	return previous
}

// standard gives province, city and district their standard names, and the country that they lie in where none is said.
func standard(p Place) Place {
	normal, _ := region.Normalize(region.Place(p))
	return Place(normal)
}
