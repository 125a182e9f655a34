package segment

import (
	"context"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Distribution is how customers are spread over the tiers of a scheme, highest first.
type Distribution struct {
	Scheme, Name string
	Tiers        []TierCount
	Unplaced     int64
}

// TierCount is how many are in one tier.
type TierCount struct {
	Key, Name string
	Customers int64
}

// Preview is whom a condition means, before it is saved.
type Preview struct {
	Customers int64
	Tiers     []Distribution // by scheme; nil when not asked for
}

// Preview counts the customers that fit n and, when tiers is true, spreads them over the tiers of each scheme.
func (s *Service) Preview(ctx context.Context, t tenant.Tenant, l condition.Language, n filter.Node, tiers bool) (Preview, error) {
	where, err := l.Catalogue.Compile(n, l.Env)
	if err != nil {
		return Preview{}, err
	}
	return preview(ctx, s.db, t.ID, where, tiers)
}
