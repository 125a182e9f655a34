package contactpoint

import (
	"context"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/owned"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// look is what somebody who is not shown values sees of one. Were a value refused to them because the customer has it
// already, four hidden digits would be found by 10,000 tries; so to them the customer has whatever looks like what it has.
// The answer is then a matter of the mask alone, which they know.
type look struct {
	contact uuid.UUID
	kind    Kind
	within  string
	masked  string
}

func lookOf(contact *uuid.UUID, n Normal) look {
	l := look{kind: n.Kind, within: n.family(), masked: Masked(n.Kind, n.folded())}
	if contact != nil {
		l.contact = *contact
	}
	return l
}

// looks are those of a customer's contact points, but not of the one named.
func (s *Service) looks(ctx context.Context, tx postgres.Tx, t tenant.Tenant, customerID, except uuid.UUID) (map[look]bool, error) {
	all, err := s.Of(ctx, tx, t, []uuid.UUID{customerID}, owned.Most)
	if err != nil {
		return nil, err
	}
	seen := map[look]bool{}
	for _, p := range all[customerID] {
		if p.ID != except {
			seen[lookOf(p.ContactID, p.normal())] = true
		}
	}
	return seen, nil
}

// refuseLookalike fails with ErrTaken where the customer has another contact point that looks like p.
func (s *Service) refuseLookalike(ctx context.Context, tx postgres.Tx, t tenant.Tenant, p ContactPoint) error {
	seen, err := s.looks(ctx, tx, t, p.CustomerID, p.ID)
	if err == nil && seen[lookOf(p.ContactID, p.normal())] {
		return ErrTaken
	}
	return err
}
