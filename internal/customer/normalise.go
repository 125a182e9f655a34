package customer

import (
	"github.com/kezi-io/kezi/internal/fault"
)

// normal are the fields that are brought into a standard form, by their names in the contract.
func (c *Customer) normal() map[string]*string {
	return map[string]*string{"company.registration_number": &c.Company.RegistrationNumber}
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
	c.registration(v, before.Company, lenient)
	for name, value := range fields {
		switch {
		case *value == *was[name]:
		case *value == said[name]:
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
