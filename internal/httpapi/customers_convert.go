package httpapi

import (
	"context"
	"encoding/json"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/attribute"
	"github.com/kezi-io/kezi/internal/birthday"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/tenant"
)

// toAPI shows a customer; a birthday as it is seen today.
func (h customers) toAPI(ctx context.Context, c customer.Customer) apigen.Customer {
	ids := each(c.ExternalIDs, func(e customer.ExternalID) apigen.ExternalIdentity {
		return apigen.ExternalIdentity{Source: e.Source, ExternalID: e.ID}
	})
	out := apigen.Customer{ID: c.ID, Version: c.Version, Kind: apigen.CustomerKind(c.Kind), Name: c.Name, Aliases: &c.Aliases,
		Stage: ptr(apigen.CustomerStage(c.Stage)), Owner: set(c.Owner), Departments: &c.Departments, Country: set(c.Country),
		Province: set(c.Province), City: set(c.City), District: set(c.District), Industry: set(c.Industry.Label),
		IndustryScheme: set(apigen.IndustryScheme(c.Industry.Scheme)), IndustryCode: set(c.Industry.Code), ExternalIds: &ids,
		Attributes: ptr(map[string]any(c.Attributes)), CreatedAt: &c.CreatedAt, UpdatedAt: &c.UpdatedAt, DeletedAt: utc(c.DeletedAt),
		Warnings: warningsToAPI(ctx, c.Warnings)}
	if c.Source != (customer.Source{}) {
		out.Source = &apigen.CustomerSource{Channel: apigen.SourceChannel(c.Source.Channel), Detail: set(c.Source.Detail),
			Campaign: set(c.Source.Campaign)}
	}
	if len(c.Given) > 0 {
		out.Given = &c.Given
	}
	if !c.Person.IsZero() {
		out.Person = personToAPI(c.Person, callOf(ctx).Tenant.Today(h.now()))
	}
	if !c.Company.IsZero() {
		out.Company = companyToAPI(c.Company)
	}
	return out
}

func warningsToAPI(ctx context.Context, all []fault.Field) *[]apigen.ProblemPlace {
	if len(all) == 0 {
		return nil
	}
	return ptr(each(all, func(f fault.Field) apigen.ProblemPlace { return placeToAPI(f, wantsChinese(ctx)) }))
}

func personToAPI(p customer.PersonDetails, today tenant.Day) *apigen.PersonDetails {
	out := &apigen.PersonDetails{Gender: set(apigen.Gender(p.Gender)), IncomeBand: set(apigen.IncomeBand(p.IncomeBand)),
		Education: set(apigen.Education(p.Education)), Occupation: set(p.Occupation)}
	if b := p.Birthday; !b.IsZero() {
		shown := apigen.Birthday{Calendar: apigen.BirthdayCalendar(b.Calendar), Year: set(b.Year), Month: b.Month, Day: b.Day,
			LeapMonth: set(b.LeapMonth), NextOn: dayToAPI(b.Next(today))}
		if born, known := b.Solar(); known {
			shown.SolarDate = ptr(dayToAPI(born))
		}
		if age, known := b.Age(today); known {
			shown.Age = &age
		}
		out.Birthday = &shown
	}
	if len(p.Interests) > 0 {
		out.Interests = &p.Interests
	}
	out.Preferences = preferencesToAPI(p.Preferences)
	return out
}

func preferencesToAPI(p customer.Preferences) *map[string]any {
	if len(p) == 0 {
		return nil
	}
	all := make(map[string]any, len(p))
	for key, value := range p {
		all[key] = value
	}
	return &all
}

func companyToAPI(d customer.CompanyDetails) *apigen.CompanyDetails {
	out := &apigen.CompanyDetails{RegistrationScheme: set(d.RegistrationScheme), RegistrationNumber: set(d.RegistrationNumber),
		RegistrationValid: d.RegistrationValid(), LegalName: set(d.LegalName), BusinessScope: set(d.BusinessScope), Employees: d.Employees}
	if d.AnnualRevenue != nil {
		out.AnnualRevenue = ptr(moneyToAPI(*d.AnnualRevenue))
	}
	if d.RegisteredOn != nil {
		out.RegisteredOn = ptr(dayToAPI(*d.RegisteredOn))
	}
	return out
}

func stageMoveToAPI(m customer.Move) apigen.StageMove {
	return apigen.StageMove{From: set(apigen.StageMoveFrom(m.From)), To: apigen.CustomerStage(m.To), At: m.At, Actor: m.Actor,
		Cause: string(m.Cause), Reason: set(m.Reason)}
}

func sourceFromAPI(s apigen.CustomerSource) customer.Source {
	return customer.Source{Channel: string(s.Channel), Detail: or(s.Detail, ""), Campaign: or(s.Campaign, "")}
}

func sourceChangeFromAPI(s apigen.CustomerSourcePatch) customer.SourceChange {
	c := customer.SourceChange{Detail: field(s.Detail, same[string]), Campaign: field(s.Campaign, same[string])}
	if s.Channel != nil {
		c.Channel = ptr(string(*s.Channel))
	}
	return c
}

// attributesFromAPI reads what the contract has found to be a JSON object.
func attributesFromAPI(raw json.RawMessage) customer.Attributes {
	var a customer.Attributes
	_ = json.Unmarshal(raw, &a)
	return a
}

func preferencesFromAPI(raw json.RawMessage) map[string]*customer.Preference {
	var p map[string]*customer.Preference
	_ = json.Unmarshal(raw, &p)
	return p
}

func text[T ~string](v T) string { return string(v) }

func personFromAPI(b apigen.PersonPatch) customer.PersonChange {
	return customer.PersonChange{Gender: field(b.Gender, text[apigen.Gender]), Birthday: field(b.Birthday, birthdayFromAPI),
		IncomeBand: field(b.IncomeBand, text[apigen.IncomeBand]), Education: field(b.Education, text[apigen.Education]),
		Occupation: field(b.Occupation, same[string]), Interests: field(b.Interests, same[[]string]),
		Preferences: field(b.Preferences, preferencesFromAPI)}
}

func birthdayFromAPI(b apigen.BirthdayGiven) birthday.Birthday {
	return birthday.Birthday{Calendar: birthday.Calendar(b.Calendar), Year: or(b.Year, 0), Month: b.Month, Day: b.Day,
		LeapMonth: or(b.LeapMonth, false)}
}

// companyFromAPI reads a company's details; what is wrong with an amount is recorded.
func companyFromAPI(v *fault.Validator) func(apigen.CompanyPatch) customer.CompanyChange {
	return func(b apigen.CompanyPatch) customer.CompanyChange {
		return customer.CompanyChange{RegistrationScheme: field(b.RegistrationScheme, same[string]),
			RegistrationNumber: field(b.RegistrationNumber, same[string]), LegalName: field(b.LegalName, same[string]),
			BusinessScope: field(b.BusinessScope, same[string]), Employees: field(b.Employees, same[int32]),
			AnnualRevenue: field(b.AnnualRevenue, func(m apigen.Money) money.Money { return moneyFromAPI(v, "/company/annual_revenue", m) }),
			RegisteredOn:  field(b.RegisteredOn, dayFromAPI)}
	}
}

func registrationFromAPI(b apigen.CustomerCreate) (customer.Registration, error) {
	var v fault.Validator
	r := customer.Registration{Kind: customer.Kind(b.Kind), Name: b.Name, Aliases: or(b.Aliases, nil), Stage: customer.Stage(or(b.Stage, "")),
		StageReason: or(b.StageReason, ""), Owner: or(b.Owner, ""), Departments: or(b.Departments, nil), Country: or(b.Country, ""),
		Province: or(b.Province, ""), City: or(b.City, ""), District: or(b.District, ""),
		Industry: customer.Industry{Label: or(b.Industry, ""), Scheme: string(or(b.IndustryScheme, "")), Code: or(b.IndustryCode, "")},
		ExternalIDs: each(or(b.ExternalIds, nil), func(e apigen.ExternalIdentity) customer.ExternalID {
			return customer.ExternalID{Source: e.Source, ID: e.ExternalID}
		})}
	if b.Source != nil {
		r.Source = sourceFromAPI(*b.Source)
	}
	if b.Person != nil {
		r.Person = personFromAPI(*b.Person).Details()
	}
	if b.Company != nil {
		r.Company = companyFromAPI(&v)(*b.Company).Details()
	}
	if b.Attributes != nil {
		r.Attributes = attributesFromAPI(*b.Attributes)
	}
	return r, v.Err()
}

func changeFromAPI(b apigen.CustomerPatch) (customer.Change, error) {
	var v fault.Validator
	c := customer.Change{Name: b.Name, Aliases: field(b.Aliases, same[[]string]), AddAliases: or(b.AddAliases, nil),
		StageReason: or(b.StageReason, ""), Source: field(b.Source, sourceChangeFromAPI), Owner: field(b.Owner, same[string]),
		Departments: field(b.Departments, same[[]string]), Country: field(b.Country, same[string]), Province: field(b.Province, same[string]),
		City: field(b.City, same[string]), District: field(b.District, same[string]), Industry: field(b.Industry, same[string]),
		IndustryScheme: field(b.IndustryScheme, text[apigen.IndustryScheme]), IndustryCode: field(b.IndustryCode, same[string]),
		Person: field(b.Person, personFromAPI), Company: field(b.Company, companyFromAPI(&v)),
		Attributes: field(b.Attributes, attributesFromAPI)}
	if b.Kind != nil {
		c.Kind = ptr(customer.Kind(*b.Kind))
	}
	if b.Stage != nil {
		c.Stage = ptr(customer.Stage(*b.Stage))
	}
	return c, v.Err()
}

// written is a customer as callers see it.
func (h customers) written(ctx context.Context, c customer.Customer) (apigen.Customer, error) {
	items := []apigen.Customer{h.toAPI(ctx, c)}
	err := h.showAttributes(ctx, items)
	return items[0], err
}

// showAttributes leaves in customers those attributes that the caller may see.
func (h customers) showAttributes(ctx context.Context, items []apigen.Customer) error {
	var visible map[string]bool
	for i := range items {
		have := or(items[i].Attributes, nil)
		if len(have) == 0 {
			continue
		}
		if visible == nil {
			var err error
			visible, err = attribute.Visible(ctx, h.DB, callOf(ctx).Tenant.ID, attribute.Customers, unmasked(ctx))
			if err != nil {
				return err
			}
		}
		items[i].Attributes = ptr(attribute.Shown(have, visible))
	}
	return nil
}
