package customer

import (
	"errors"
	"reflect"
	"strings"

	"github.com/kezi-io/kezi/internal/creditcode"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/tenant"
)

// CompanyDetails is what a company's card says.
type CompanyDetails struct {
	RegistrationScheme  string // what the number is: uscc, duns, ein, ...; empty without a number
	RegistrationNumber  string
	RegistrationInvalid bool // kept although it fails the check of its scheme: registers hold a few such numbers
	LegalName           string
	BusinessScope       string
	Employees           *int32
	AnnualRevenue       *money.Money
	RegisteredOn        *tenant.Day

	// baseRevenue is AnnualRevenue in minor units of the base currency, by the rate of the day it was written; nil where
	// there was none.
	baseRevenue *int64
}

// USCC is the scheme of China's unified social credit codes, the one whose numbers are checked.
const USCC = "uscc"

// CompanyChange is a merge patch of a company's details.
type CompanyChange struct {
	RegistrationScheme, RegistrationNumber, LegalName, BusinessScope patch.Field[string]
	Employees                                                        patch.Field[int32]
	AnnualRevenue                                                    patch.Field[money.Money]
	RegisteredOn                                                     patch.Field[tenant.Day]
}

func (c CompanyChange) apply(to *CompanyDetails) {
	c.RegistrationScheme.Into(&to.RegistrationScheme)
	c.RegistrationNumber.Into(&to.RegistrationNumber)
	c.LegalName.Into(&to.LegalName)
	c.BusinessScope.Into(&to.BusinessScope)
	if c.Employees.Given {
		to.Employees = c.Employees.Value
	}
	if c.AnnualRevenue.Given {
		to.AnnualRevenue = c.AnnualRevenue.Value
	}
	if c.RegisteredOn.Given {
		to.RegisteredOn = c.RegisteredOn.Value
	}
}

// Details are those of a company of which nothing else is known.
func (c CompanyChange) Details() (d CompanyDetails) {
	c.apply(&d)
	return d
}

// IsZero reports whether nothing is known.
func (d CompanyDetails) IsZero() bool { return reflect.DeepEqual(d, CompanyDetails{}) }

func (d *CompanyDetails) tidy() {
	for _, s := range []*string{&d.RegistrationScheme, &d.RegistrationNumber, &d.LegalName, &d.BusinessScope} {
		trim(s)
	}
}

// registration brings a number that is new or changed into the form of its scheme. With lenient, a credit code that
// is well formed but for its check characters passes with a warning.
func (c *Customer) registration(v *fault.Validator, before CompanyDetails, lenient bool) {
	d := &c.Company
	if d.RegistrationNumber == "" {
		// Who clears the number need not clear its scheme as well; a scheme alone says nothing.
		v.Check(d.RegistrationScheme == "" || d.RegistrationScheme == before.RegistrationScheme, "/company/registration_number", "required",
			fault.T("a registration_scheme needs its registration_number", "registration_scheme 须与 registration_number 一起提供"))
		d.RegistrationScheme, d.RegistrationInvalid = "", false
		return
	}
	if d.RegistrationScheme == "" {
		d.RegistrationScheme = "other"
		if c.Country == "" || c.Country == "CN" {
			d.RegistrationScheme = USCC
		}
	}
	if d.RegistrationNumber == before.RegistrationNumber && d.RegistrationScheme == before.RegistrationScheme {
		return
	}
	d.RegistrationInvalid = false
	if d.RegistrationScheme != USCC {
		d.RegistrationNumber = strings.ToUpper(d.RegistrationNumber)
		return
	}
	code, err := creditcode.Parse(d.RegistrationNumber)
	var wrong *creditcode.Error
	switch {
	case err == nil:
		d.RegistrationNumber = string(code)
	case !errors.As(err, &wrong):
		v.Check(false, "/company/registration_number", "bad_registration_number", fault.T("not a unified social credit code", "不是统一社会信用代码"))
	case lenient && wrong.Checked():
		d.RegistrationNumber, d.RegistrationInvalid = string(code), true
		c.Warnings = append(c.Warnings, fault.Field{Pointer: "/company/registration_number", Code: string(wrong.Reason), Detail: wrong.Detail()})
	default:
		v.Check(false, "/company/registration_number", string(wrong.Reason), wrong.Detail())
	}
}

// RegistrationValid is whether the number fits its scheme; nil where the scheme has no check.
func (d CompanyDetails) RegistrationValid() *bool {
	if d.RegistrationScheme != USCC {
		return nil
	}
	valid := !d.RegistrationInvalid
	return &valid
}

// firstRegistration is the earliest year that a company may be registered in: the oldest ones are from the eighth
// century.
const firstRegistration = 500

func (d CompanyDetails) check(v *fault.Validator, today tenant.Day) {
	v.Check(d.Employees == nil || *d.Employees >= 0, "/company/employees", "negative", fault.T("can't be negative", "不能为负数"))
	v.Check(d.AnnualRevenue == nil || d.AnnualRevenue.Minor >= 0, "/company/annual_revenue/amount", "negative",
		fault.T("can't be negative", "不能为负数"))
	if d.RegisteredOn != nil {
		v.Check(d.RegisteredOn.Year() >= firstRegistration, "/company/registered_on", "out_of_range",
			fault.T("must be after the year 500", "不能早于公元 500 年"))
		v.Check(!d.RegisteredOn.After(today.Time), "/company/registered_on", "in_future",
			fault.T("must not be in the future", "不能晚于今天"))
	}
}

// note tells what differs from before.
func (d CompanyDetails) note(note func(name string, changed bool, value any), before CompanyDetails) {
	note("company.registration_scheme", before.RegistrationScheme != d.RegistrationScheme, before.RegistrationScheme)
	note("company.registration_number", before.RegistrationNumber != d.RegistrationNumber, before.RegistrationNumber)
	note("company.registration_valid", !reflect.DeepEqual(before.RegistrationValid(), d.RegistrationValid()), before.RegistrationValid())
	note("company.legal_name", before.LegalName != d.LegalName, before.LegalName)
	note("company.business_scope", before.BusinessScope != d.BusinessScope, before.BusinessScope)
	note("company.employees", !equal(before.Employees, d.Employees), before.Employees)
	note("company.annual_revenue", !equal(before.AnnualRevenue, d.AnnualRevenue), moneyDocument(before.AnnualRevenue))
	var on any
	if before.RegisteredOn != nil {
		on = before.RegisteredOn.String()
	}
	note("company.registered_on", !equal(before.RegisteredOn, d.RegisteredOn), on)
}

func moneyDocument(m *money.Money) any {
	if m == nil {
		return nil
	}
	return map[string]string{"amount": m.Decimal(), "currency": m.Currency}
}
