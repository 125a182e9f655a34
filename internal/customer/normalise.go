package customer

import (
	"github.com/kezi-io/kezi/internal/fault"
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
	c.place(before)
	c.registration(v, before.Company, lenient)
	for name, value := range fields {
		switch {
		case *value == *was[name]:
		case *value == said[name] || said[name] == "": // or it follows from another field
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

// place brings the names of regions into one form. The province follows a city that moves: it may have been filled in
// from the one before.
func (c *Customer) place(before Customer) {
	now, was := c.region(), before.region()
	if now == was {
		return
	}
	if now.City != was.City && now.City != "" && now.Province == was.Province {
		alone := now
		alone.Province = ""
		if found, _ := region.Normalize(alone); found.Province != "" {
			now = alone
		}
	}
	now, _ = region.Normalize(now)
	c.Country, c.Province, c.City, c.District = now.Country, now.Province, now.City, now.District
}
