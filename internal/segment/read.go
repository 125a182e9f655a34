package segment

import (
	"context"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Counts are how many customers are in segments.
func (s *Service) Counts(ctx context.Context, t tenant.Tenant, segments ...Segment) (map[uuid.UUID]int64, error) {
	ids := make([]uuid.UUID, len(segments))
	for i, x := range segments {
		ids[i] = x.ID
	}
	return counted(ctx, s.db, t.ID, ids)
}

// Log is a page of who entered and left the segment, newest first. Fails with ErrNotFound.
func (s *Service) Log(ctx context.Context, t tenant.Tenant, key string, req page.Request) (page.Of[Passage], error) {
	x, err := get(ctx, s.db, t.ID, key, unlocked)
	if err != nil {
		return page.Of[Passage]{}, err
	}
	return passages(ctx, s.db, t.ID, &x.ID, nil, req)
}

// OfCustomer are the segments of one customer, or of the survivor that it was merged into. Fails with customer.ErrNotFound.
func (s *Service) OfCustomer(ctx context.Context, t tenant.Tenant, id uuid.UUID) ([]Membership, error) {
	c, err := s.customers.Get(ctx, t, id)
	if err != nil {
		return nil, err
	}
	found, err := Of(ctx, s.db, t.ID, []uuid.UUID{c.ID})
	return found[c.ID], err
}

// LogOfCustomer is a page of what segments the customer entered and left, newest first. Fails with customer.ErrNotFound.
func (s *Service) LogOfCustomer(ctx context.Context, t tenant.Tenant, id uuid.UUID, req page.Request) (page.Of[Passage], error) {
	c, err := s.customers.Get(ctx, t, id)
	if err != nil {
		return page.Of[Passage]{}, err
	}
	return passages(ctx, s.db, t.ID, nil, &c.ID, req)
}
