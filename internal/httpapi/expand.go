package httpapi

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/auth"
	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/metric"
	"github.com/kezi-io/kezi/internal/postgres"
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
	t := callOf(ctx).Tenant
	ids := each(list, func(c customer.Customer) uuid.UUID { return c.ID })
	for _, e := range slices.Compact(slices.Sorted(slices.Values(expand))) {
		switch e {
		case apigen.CustomerExpansionMetrics:
			all, err := metric.Of(ctx, h.DB, t.ID, ids)
			if err != nil {
				return nil, err
			}
			owing, err := metric.OverdueOf(ctx, h.DB, t.ID, all, t.Today(h.now()))
			if err != nil {
				return nil, err
			}
			for i := range items {
				items[i].Metrics = ptr(metricsToAPI(all[items[i].ID], owing[items[i].ID], t.Currency))
			}
		case apigen.CustomerExpansionScores:
			all, err := score.Summaries(ctx, h.DB, t.ID, ids)
			if err != nil {
				return nil, err
			}
			for i := range items {
				items[i].Scores = ptr(each(all[items[i].ID], scoreSummaryToAPI))
			}
		case apigen.CustomerExpansionTiers:
			all, err := tier.Of(ctx, h.DB, t.ID, ids)
			if err != nil {
				return nil, err
			}
			for i := range items {
				items[i].Tiers = ptr(each(all[items[i].ID], tierPlacementToAPI))
			}
		case apigen.CustomerExpansionContactPoints:
			if err := h.expandContactPoints(ctx, items, ids); err != nil {
				return nil, err
			}
		case apigen.CustomerExpansionAddresses:
			if err := h.expandAddresses(ctx, items, ids); err != nil {
				return nil, err
			}
		case apigen.CustomerExpansionTags:
			all, err := tag.Of(ctx, h.DB, t.ID, ids, h.now())
			if err != nil {
				return nil, err
			}
			for i := range items {
				items[i].Tags = ptr(each(all[items[i].ID], customerTagToAPI))
			}
		case apigen.CustomerExpansionSegments:
			all, err := segment.Of(ctx, h.DB, t.ID, ids)
			if err != nil {
				return nil, err
			}
			for i := range items {
				items[i].Segments = ptr(each(all[items[i].ID], customerSegmentToAPI))
			}
		}
	}
	return items, nil
}

// mayRead demands the scope of every other resource that names reach into: expansions, or fields of a filter or a sort
// such as scores.clv.
func mayRead(ctx context.Context, names ...string) error {
	p := auth.From(ctx)
	for _, name := range names {
		resource, _, _ := strings.Cut(name, ".")
		if name == condition.AtRisk {
			resource = condition.Scores
		}
		switch resource {
		case "orders", "items": // of transactions
			resource = "transactions"
			fallthrough
		case "scores", "tiers", "tags", "segments", "transactions":
			if err := demand(p, resource+":read"); err != nil {
				return err
			}
		}
	}
	return nil
}

// mayAsk demands the scopes of everything that a condition reads: one about a personal field tells its value.
func mayAsk(ctx context.Context, language condition.Language, node filter.Node) error {
	return mayUse(ctx, language, node.Fields()...)
}

// mayUse is mayAsk by the names of fields: the order of a list tells values as well.
func mayUse(ctx context.Context, language condition.Language, names ...string) error {
	if err := mayRead(ctx, names...); err != nil {
		return err
	}
	if language.Guarded(names...) {
		return demand(auth.From(ctx), guarding)
	}
	return nil
}

// mayKeep demands of who stores conditions, given as JSON or by the names of fields, the scopes to read what they are about,
// pii:read for personal fields: where customers stand by them tells the values. A condition that cannot be read is refused
// later.
func mayKeep(ctx context.Context, db *postgres.DB, now time.Time, conditions []json.RawMessage, names ...string) error {
	language, err := condition.For(ctx, db, callOf(ctx).Tenant, now)
	if err != nil {
		return err
	}
	for _, raw := range conditions {
		if len(raw) == 0 {
			continue
		}
		if node, err := filter.ParseJSON(raw); err == nil {
			names = append(names, node.Fields()...)
		}
	}
	if err := mayRead(ctx, names...); err != nil {
		return err
	}
	if language.Guarded(names...) {
		return demand(auth.From(ctx), guarding)
	}
	return nil
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
