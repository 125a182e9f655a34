package tag

import (
	"context"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/tenant"
)

// History is a page of everything that happened to who carries the tag, newest first. Fails with ErrNotFound.
func (s *Service) History(ctx context.Context, t tenant.Tenant, id uuid.UUID, req page.Request) (page.Of[Entry], error) {
	if _, err := get(ctx, s.db, t.ID, id, unlocked, s.now()); err != nil {
		return page.Of[Entry]{}, err
	}
	return entries(ctx, s.db, t.ID, &id, nil, req)
}

// HistoryOf is History of one customer's tags, or of those of the survivor that it was merged into. Fails with
// customer.ErrNotFound.
func (s *Service) HistoryOf(ctx context.Context, t tenant.Tenant, customerID uuid.UUID, req page.Request) (page.Of[Entry], error) {
	c, err := s.customers.Get(ctx, t, customerID)
	if err != nil {
		return page.Of[Entry]{}, err
	}
	return entries(ctx, s.db, t.ID, nil, &c.ID, req)
}
