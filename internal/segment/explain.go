package segment

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Explanation tells why a customer is in a segment or not.
type Explanation struct {
	CustomerID uuid.UUID
	Member     bool
	Since      *time.Time
	condition.Explanation
	Condition filter.Node // nil for a static segment, which has no leaves
	Picked    *Pick       // of a static segment; nil when the customer is not on its list
}

// Pick is a place on a static segment's list.
type Pick struct {
	Actor, Reason string
	At            time.Time
}

// Explain tells it for one customer, or the survivor that it was merged into. Matches and Member differ only while a job
// has not yet come to the customer. Fails with ErrNotFound or customer.ErrNotFound.
func (s *Service) Explain(ctx context.Context, t tenant.Tenant, key string, customerID uuid.UUID) (Explanation, error) {
	x, err := get(ctx, s.db, t.ID, key, unlocked)
	if err != nil {
		return Explanation{}, err
	}
	c, err := s.customers.Get(ctx, t, customerID)
	if err != nil {
		return Explanation{}, err
	}
	e := Explanation{CustomerID: c.ID, Condition: x.Condition}
	if e.Since, e.Picked, err = place(ctx, s.db, t.ID, x, c.ID); err != nil {
		return Explanation{}, err
	}
	e.Member = e.Since != nil && x.ArchivedAt == nil
	if x.Condition == nil {
		e.Matches = e.Picked != nil
		return e, nil
	}
	l, err := condition.For(ctx, s.db, t, s.now())
	if err != nil {
		return Explanation{}, err
	}
	e.Explanation, err = l.Explain(ctx, s.db, t.ID, c.ID, x.Condition)
	return e, err
}
