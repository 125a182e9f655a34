package condition

import (
	"slices"
	"strings"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
)

// Facet is a field by whose values customers are counted.
type Facet struct {
	customer.Facet
	Field  string
	Label  fault.Text
	Values map[string]fault.Text // labels of values, where the service knows them
}

// Facets are the facets that a name stands for: tiers are one for each scheme. Unknown names have none.
func (l Language) Facets(names []string) []Facet {
	var all []Facet
	for _, name := range names {
		switch name {
		case "tags":
			f, _ := l.Catalogue.Field("tags")
			all = append(all, Facet{Field: name, Label: f.Label, Facet: customer.Facet{Value: filter.SQL("g.key"), Label: filter.SQL("g.name"), Many: true,
				Join: filter.SQL(`LEFT JOIN (customer_tags ct JOIN tags g ON g.tenant_id = ct.tenant_id AND g.id = ct.tag_id)
					ON ct.tenant_id = ? AND ct.customer_id = h.id AND (ct.expires_at IS NULL OR ct.expires_at > ?)`, l.tenantID, l.Env.Now)}})
		case "tiers":
			for _, s := range l.schemes {
				f, _ := l.Catalogue.Field("tiers." + s.Key)
				all = append(all, Facet{Field: f.Name, Label: f.Label, Facet: customer.Facet{Value: filter.SQL("r.key"), Label: filter.SQL("r.name"),
					Join: filter.SQL(`LEFT JOIN (tier_placements p JOIN tiers r ON r.tenant_id = p.tenant_id AND r.scheme_id = p.scheme_id
						AND r.id = p.tier_id) ON p.tenant_id = ? AND p.customer_id = h.id AND p.scheme_id = ?`, l.tenantID, s.ID)}})
			}
		default:
			if f, ok := l.Catalogue.Field(name); ok && slices.Contains(FacetNames, name) {
				all = append(all, Facet{Field: name, Label: f.Label, Values: labels[name], Facet: customer.Facet{Value: f.Column}})
			}
		}
	}
	return all
}

// FacetNames are what Facets understands.
var FacetNames = []string{"kind", "stage", "source", "owner", "country", "province", "city", "industry", "tags", "tiers"}

// AnyOf is the condition that a field has one of the values.
func AnyOf(field string, values []string) filter.Node {
	all := make([]filter.Value, len(values))
	for i, v := range values {
		all[i] = filter.String(v)
	}
	return filter.Leaf{Field: field, Op: filter.In, Values: all}
}

// InTiers is the condition that a customer stands in one of the tiers, each written scheme:tier. It answers false for
// one that is written otherwise.
func InTiers(placements []string) (filter.Node, bool) {
	byScheme := map[string][]string{}
	var order []string
	for _, p := range placements {
		scheme, tier, ok := strings.Cut(p, ":")
		if !ok || scheme == "" || tier == "" {
			return nil, false
		}
		if byScheme[scheme] == nil {
			order = append(order, scheme)
		}
		byScheme[scheme] = append(byScheme[scheme], tier)
	}
	var any filter.Or
	for _, s := range order {
		any = append(any, AnyOf("tiers."+s, byScheme[s]))
	}
	if len(any) == 1 {
		return any[0], true
	}
	return any, true
}
