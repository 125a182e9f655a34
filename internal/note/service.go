package note

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/owned"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Service keeps notes.
type Service struct{ *owned.Keeper[Note, row] }

// NewService works on db with the time that now tells.
func NewService(db *postgres.DB, now func() time.Time) *Service {
	return &Service{owned.Keep(db, now, owned.Kind[Note, row]{
		Name: "note", NotFound: ErrNotFound, Base: func(n *Note) *owned.Base { return &n.Base },
		ToRow: toRow, ToItem: row.note, Difference: difference, Order: &order,
	})}
}

// Create writes a note; its author is the caller. Fails with customer.ErrNotFound, owned.ErrFull or fault.ErrInvalid.
func (s *Service) Create(ctx context.Context, call tenant.Call, customerID uuid.UUID, d Draft) (Note, error) {
	return s.Add(ctx, call, customerID, func(_ postgres.Tx, n *Note) error {
		n.Kind, n.Body, n.Pinned, n.OccurredOn, n.Author = d.Kind, d.Body, d.Pinned, d.OccurredOn, call.Actor
		if n.Kind == "" {
			n.Kind = General
		}
		return n.check()
	})
}

// Update merges a change into a note. Fails with customer.ErrNotFound, ErrNotFound, patch.ErrVersion or
// fault.ErrInvalid.
func (s *Service) Update(ctx context.Context, call tenant.Call, customerID, id uuid.UUID, expected patch.Expected, c Change) (Note, error) {
	return s.Change(ctx, call, customerID, id, expected, func(_ postgres.Tx, n *Note) error {
		c.apply(n)
		return n.check()
	})
}

// Kinds is a page of the customer's notes of these kinds, or of all when there are none: pinned ones first, then the
// newest.
func (s *Service) Kinds(ctx context.Context, t tenant.Tenant, customerID uuid.UUID, kinds []Kind, req page.Request) (page.Of[Note], error) {
	var where map[string]any
	if len(kinds) > 0 {
		where = map[string]any{"kind": kinds}
	}
	return s.List(ctx, t, customerID, where, req)
}
