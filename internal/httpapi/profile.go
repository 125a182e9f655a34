package httpapi

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/address"
	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/auth"
	"github.com/kezi-io/kezi/internal/contact"
	"github.com/kezi-io/kezi/internal/contactpoint"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/habit"
	"github.com/kezi-io/kezi/internal/metric"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/note"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/score"
	"github.com/kezi-io/kezi/internal/tag"
	"github.com/kezi-io/kezi/internal/tenant"
	"github.com/kezi-io/kezi/internal/tier"
)

type profiles struct{ customers customers }

const notesShown = 20

// known is what is read of a customer beside its record.
type known struct {
	points   []contactpoint.ContactPoint
	places   []address.Address
	contacts []contact.Contact
	notes    []note.Note
	metrics  metric.Metrics
	overdue  metric.Overdue
	habits   habit.Habits
	scores   []score.Summary
	tiers    []tier.Placement
	tags     []tag.Assignment
}

func (h profiles) GetCustomerProfile(ctx context.Context, req apigen.GetCustomerProfileRequestObject) (apigen.GetCustomerProfileResponseObject, error) {
	t := callOf(ctx).Tenant
	c, err := h.customers.Customers.Get(ctx, t, req.CustomerID)
	if err != nil {
		return nil, err
	}
	sections := or(req.Params.Sections, []apigen.ProfileSection{apigen.ProfileSectionBasic, apigen.ProfileSectionBehaviour,
		apigen.ProfileSectionPreference, apigen.ProfileSectionValue})
	asks := func(s apigen.ProfileSection) bool { return slices.Contains(sections, s) }
	out := apigen.CustomerProfile{CustomerID: c.ID, MissingScopes: []string{}}
	// may notes a scope that is missing for what was asked for.
	may := func(asked bool, scope string) bool {
		if asked && !auth.From(ctx).Scopes.Has(scope) {
			out.MissingScopes = append(out.MissingScopes, scope)
			return false
		}
		return asked
	}
	k, err := h.read(ctx, t, c.ID, reading{
		basic: asks(apigen.ProfileSectionBasic), behaviour: asks(apigen.ProfileSectionBehaviour),
		habits: may(asks(apigen.ProfileSectionBehaviour) || asks(apigen.ProfileSectionPreference), "transactions:read"),
		scores: may(asks(apigen.ProfileSectionValue), "scores:read"), tiers: may(asks(apigen.ProfileSectionValue), "tiers:read"),
		tags: may(asks(apigen.ProfileSectionValue), "tags:read")})
	if err != nil {
		return nil, err
	}
	for _, s := range sections {
		switch s {
		case apigen.ProfileSectionBasic:
			out.Basic = &apigen.ProfileBasic{Customer: h.customers.toAPI(ctx, c), ContactPoints: each(k.points, contactPointToAPI(ctx)),
				Addresses: each(k.places, addressToAPI(ctx)), Contacts: each(k.contacts, contactToAPI), Notes: each(k.notes, noteToAPI)}
		case apigen.ProfileSectionBehaviour:
			out.Behaviour = behaviourToAPI(k, t.Currency)
		case apigen.ProfileSectionPreference:
			out.Preference = preferenceToAPI(c, k.habits, t)
		case apigen.ProfileSectionValue:
			out.Value = &apigen.ProfileValue{Scores: filled(each(k.scores, scoreSummaryToAPI)), Tiers: filled(each(k.tiers, tierPlacementToAPI)),
				Tags: filled(each(k.tags, customerTagToAPI))}
		}
	}
	return apigen.GetCustomerProfile200JSONResponse(out), nil
}

// reading says what a profile needs.
type reading struct{ basic, behaviour, habits, scores, tiers, tags bool }

// read reads it in two round trips, whatever it is.
func (h profiles) read(ctx context.Context, t tenant.Tenant, id uuid.UUID, what reading) (known, error) {
	var k known
	var reads []func(q postgres.Querier) error
	ids, s := []uuid.UUID{id}, h.customers.Services
	add := func(wanted bool, read func(q postgres.Querier) error) {
		if wanted {
			reads = append(reads, read)
		}
	}
	add(what.basic, func(q postgres.Querier) error {
		return into(&k.points, id)(s.ContactPoints.Of(ctx, q, t, ids, partsShown))
	})
	add(what.basic, func(q postgres.Querier) error { return into(&k.places, id)(s.Addresses.Of(ctx, q, t, ids, partsShown)) })
	add(what.basic, func(q postgres.Querier) error {
		return into(&k.contacts, id)(s.Contacts.Of(ctx, q, t, ids, partsShown))
	})
	add(what.basic, func(q postgres.Querier) error { return into(&k.notes, id)(s.Notes.Of(ctx, q, t, ids, notesShown)) })
	add(what.behaviour, func(q postgres.Querier) error {
		all, err := metric.Of(ctx, q, t.ID, ids)
		if err != nil {
			return err
		}
		k.metrics = all[id]
		return into(&k.overdue, id)(metric.OverdueOf(ctx, q, t.ID, all, t.Today(h.customers.now())))
	})
	add(what.habits, func(q postgres.Querier) (err error) {
		k.habits, err = habit.Of(ctx, q, t, id)
		return err
	})
	add(what.scores, func(q postgres.Querier) error { return into(&k.scores, id)(score.Summaries(ctx, q, t.ID, ids)) })
	add(what.tiers, func(q postgres.Querier) error { return into(&k.tiers, id)(tier.Of(ctx, q, t.ID, ids)) })
	add(what.tags, func(q postgres.Querier) error { return into(&k.tags, id)(tag.Of(ctx, q, t.ID, ids, h.customers.now())) })
	if len(reads) == 0 {
		return k, nil
	}
	return k, s.DB.Together(ctx, reads...)
}

// into keeps what was read of one customer.
func into[V any](to *V, id uuid.UUID) func(all map[uuid.UUID]V, err error) error {
	return func(all map[uuid.UUID]V, err error) error {
		*to = all[id]
		return err
	}
}

func behaviourToAPI(k known, currency string) *apigen.ProfileBehaviour {
	shares := sharesToAPI(currency)
	return &apigen.ProfileBehaviour{Metrics: metricsToAPI(k.metrics, k.overdue, currency), Channels: shares(k.habits.Channels),
		Stores: shares(k.habits.Stores), PaymentMethods: shares(k.habits.PaymentMethods), Weekdays: shares(k.habits.Weekdays),
		Hours: shares(k.habits.Hours)}
}

func preferenceToAPI(c customer.Customer, h habit.Habits, t tenant.Tenant) *apigen.ProfilePreference {
	shares := sharesToAPI(t.Currency)
	out := apigen.ProfilePreference{Categories: shares(h.Categories), Products: shares(h.Products)}
	if len(c.Person.Interests) > 0 {
		out.Interests = &c.Person.Interests
	}
	out.Preferences = preferencesToAPI(c.Person.Preferences)
	return &out
}

func sharesToAPI(currency string) func(all []habit.Share) *[]apigen.HabitShare {
	return func(all []habit.Share) *[]apigen.HabitShare {
		return filled(each(all, func(s habit.Share) apigen.HabitShare {
			return apigen.HabitShare{Value: s.Value, Count: s.Count, Amount: moneyToAPI(money.Money{Minor: s.Base, Currency: currency})}
		}))
	}
}

// filled is a list, or nil for one of nothing.
func filled[T any](all []T) *[]T {
	if len(all) == 0 {
		return nil
	}
	return &all
}
