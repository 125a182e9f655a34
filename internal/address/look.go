package address

import (
	"context"
	"strings"

	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// look is what somebody who is not shown street lines sees of an address. Were one refused to them because the customer
// has it already, they could guess street lines; so to them the customer has whatever looks like what it has, as with
// contact points.
type look struct {
	place  Place
	street string
}

func lookOf(a Address) look { return look{a.Place, Masked(folded(a.Street))} }

// folded is what makes two street lines the same.
func folded(street string) string { return strings.ToLower(strings.ReplaceAll(street, " ", "")) }

// refuseLookalike fails with ErrTaken where the customer has another address that looks like a.
func (s *Service) refuseLookalike(ctx context.Context, tx postgres.Tx, t tenant.Tenant, a Address) error {
	seen, err := s.looks(ctx, tx, t.ID, a.ID, a.CustomerID)
	if err == nil && seen[a.CustomerID][lookOf(a)] {
		return ErrTaken
	}
	return err
}
