package httpapi

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/address"
	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/contactpoint"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/metric"
	"github.com/kezi-io/kezi/internal/score"
	"github.com/kezi-io/kezi/internal/segment"
	"github.com/kezi-io/kezi/internal/tag"
	"github.com/kezi-io/kezi/internal/tier"
)

// pack shows customers with the fields and expansions asked for: one query per expansion, whatever the page's size.
func (h customers) pack(ctx context.Context, list []customer.Customer, fields []apigen.CustomerField, expand []apigen.CustomerExpansion) ([]apigen.Customer, error) {
	if err := mayRead(ctx, each(expand, func(e apigen.CustomerExpansion) string { return string(e) })...); err != nil {
		return nil, err
	}
	items := each(list, func(c customer.Customer) apigen.Customer { return h.toAPI(ctx, c) })
	if len(items) == 0 {
		return items, nil
	}
	if err := h.showAttributes(ctx, items); err != nil {
		return nil, err
	}
	if fields != nil {
		for i := range items {
			leaveAway(&items[i], fields)
		}
	}
	ids := each(list, func(c customer.Customer) uuid.UUID { return c.ID })
	for _, e := range slices.Compact(slices.Sorted(slices.Values(expand))) {
		if err := h.expand(ctx, items, ids, e); err != nil {
			return nil, err
		}
	}
	return items, nil
}

// expand shows one more thing beside customers.
func (h customers) expand(ctx context.Context, items []apigen.Customer, ids []uuid.UUID, what apigen.CustomerExpansion) error {
	t := callOf(ctx).Tenant
	switch what {
	case apigen.CustomerExpansionMetrics:
		all, err := metric.Of(ctx, h.DB, t.ID, ids)
		if err != nil {
			return err
		}
		owing, err := metric.OverdueOf(ctx, h.DB, t.ID, all, t.Today(h.now()))
		return attach(items, func(c *apigen.Customer, m metric.Metrics) { c.Metrics = ptr(metricsToAPI(m, owing[c.ID], t.Currency)) })(all, err)
	case apigen.CustomerExpansionScores:
		return attach(items, func(c *apigen.Customer, found []score.Summary) { c.Scores = ptr(each(found, scoreSummaryToAPI)) })(
			score.Summaries(ctx, h.DB, t.ID, ids))
	case apigen.CustomerExpansionTiers:
		return attach(items, func(c *apigen.Customer, found []tier.Placement) { c.Tiers = ptr(each(found, tierPlacementToAPI)) })(
			tier.Of(ctx, h.DB, t.ID, ids))
	case apigen.CustomerExpansionContactPoints:
		return attach(items, func(c *apigen.Customer, found []contactpoint.ContactPoint) {
			c.ContactPoints = ptr(each(found, contactPointToAPI(ctx)))
		})(h.ContactPoints.Of(ctx, h.DB, t, ids, partsShown))
	case apigen.CustomerExpansionAddresses:
		return attach(items, func(c *apigen.Customer, found []address.Address) { c.Addresses = ptr(each(found, addressToAPI(ctx))) })(
			h.Addresses.Of(ctx, h.DB, t, ids, partsShown))
	case apigen.CustomerExpansionTags:
		return attach(items, func(c *apigen.Customer, found []tag.Assignment) { c.Tags = ptr(each(found, customerTagToAPI)) })(
			tag.Of(ctx, h.DB, t.ID, ids, h.now()))
	case apigen.CustomerExpansionSegments:
		return attach(items, func(c *apigen.Customer, found []segment.Membership) {
			c.Segments = ptr(each(found, customerSegmentToAPI))
		})(
			segment.Of(ctx, h.DB, t.ID, ids))
	}
	return nil
}

// attach shows beside every customer what was read of it.
func attach[V any](items []apigen.Customer, show func(*apigen.Customer, V)) func(all map[uuid.UUID]V, err error) error {
	return func(all map[uuid.UUID]V, err error) error {
		if err != nil {
			return err
		}
		for i := range items {
			show(&items[i], all[items[i].ID])
		}
		return nil
	}
}

// leaveAway drops what fields does not name; id, version, kind and name stay.
func leaveAway(c *apigen.Customer, fields []apigen.CustomerField) {
	drop := func(name apigen.CustomerField, forget func()) {
		if !slices.Contains(fields, name) {
			forget()
		}
	}
	drop("aliases", func() { c.Aliases = nil })
	drop("stage", func() { c.Stage = nil })
	drop("source", func() { c.Source = nil })
	drop("owner", func() { c.Owner = nil })
	drop("departments", func() { c.Departments = nil })
	drop("country", func() { c.Country = nil })
	drop("province", func() { c.Province = nil })
	drop("city", func() { c.City = nil })
	drop("district", func() { c.District = nil })
	drop("industry", func() { c.Industry = nil })
	drop("industry_scheme", func() { c.IndustryScheme = nil })
	drop("industry_code", func() { c.IndustryCode = nil })
	drop("person", func() { c.Person = nil })
	drop("company", func() { c.Company = nil })
	drop("given", func() { c.Given = nil })
	drop("attributes", func() { c.Attributes = nil })
	drop("external_ids", func() { c.ExternalIds = nil })
	drop("created_at", func() { c.CreatedAt = nil })
	drop("updated_at", func() { c.UpdatedAt = nil })
	drop("deleted_at", func() { c.DeletedAt = nil })
}
