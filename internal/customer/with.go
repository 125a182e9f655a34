package customer

import (
	"context"
	"maps"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// With writes what other subjects keep of a customer, in the transaction that writes the customer itself: every service
// called with its ctx takes part. It answers whether it changed anything. nil writes nothing.
type With func(ctx context.Context, id uuid.UUID) (changed bool, err error)

// CreateWith is Create together with what belongs to the customer: all of it or nothing.
func (s *Service) CreateWith(ctx context.Context, call tenant.Call, r Registration, with With) (Customer, error) {
	var c Customer
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		ctx := partsFollow(postgres.Join(ctx, tx))
		var err error
		if c, err = s.Create(ctx, call, r); err != nil {
			return err
		}
		if _, err = with.write(ctx, tx, call, &c); err != nil {
			return err
		}
		return s.conclude(ctx, tx, call, &c)
	})
	return c, err
}

// PutWith is Put together with what belongs to the customer: all of it or nothing.
func (s *Service) PutWith(ctx context.Context, call tenant.Call, id ExternalID, expected patch.Expected, undelete bool, change Change, with With) (Customer, Outcome, error) {
	var c Customer
	var outcome Outcome
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		ctx := partsFollow(postgres.Join(ctx, tx))
		var err error
		if c, outcome, err = s.Put(ctx, call, id, expected, undelete, change); err != nil {
			return err
		}
		if err := with.after(ctx, tx, call, &c, &outcome); err != nil {
			return err
		}
		return s.conclude(ctx, tx, call, &c)
	})
	return c, outcome, err
}

// UpdateWith is Update together with what belongs to the customer: all of it or nothing.
func (s *Service) UpdateWith(ctx context.Context, call tenant.Call, id uuid.UUID, expected patch.Expected, change Change, with With) (Customer, error) {
	var c Customer
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		ctx := partsFollow(postgres.Join(ctx, tx))
		var err error
		if c, err = s.Update(ctx, call, id, expected, change); err != nil {
			return err
		}
		if _, err = with.write(ctx, tx, call, &c); err != nil {
			return err
		}
		return s.conclude(ctx, tx, call, &c)
	})
	return c, err
}

// after is write for one that has an outcome.
func (w With) after(ctx context.Context, tx postgres.Tx, call tenant.Call, c *Customer, outcome *Outcome) error {
	changed, err := w.write(ctx, tx, call, c)
	if changed && *outcome == Unchanged {
		*outcome = Updated
	}
	return err
}

// write runs w, and reads the customer anew where w changed something: a primary address moves it.
func (w With) write(ctx context.Context, tx postgres.Tx, call tenant.Call, c *Customer) (bool, error) {
	if w == nil {
		return false, nil
	}
	changed, err := w(ctx, c.ID)
	if err != nil || !changed {
		return false, err
	}
	now, err := byID(ctx, tx, call.Tenant.ID, c.ID)
	now.Warnings = c.Warnings
	*c = now
	return true, err
}

// Settler is a Hook that looks at customers once more when everything that was written with them is there: their
// contact points and addresses too.
type Settler interface {
	// Settle may refuse customers by an error each, whose writes are then undone, or warn through their Warnings. Another
	// error ends the whole transaction.
	Settle(ctx context.Context, tx postgres.Tx, call tenant.Call, customers []*Customer) (refused map[uuid.UUID]error, err error)
}

type partsKey struct{}

func partsFollow(ctx context.Context) context.Context {
	return context.WithValue(ctx, partsKey{}, true)
}

// PartsFollow reports whether more is being written with the customers at hand, so that Settle follows.
func PartsFollow(ctx context.Context) bool { return ctx.Value(partsKey{}) != nil }

// conclude settles one customer.
func (s *Service) conclude(ctx context.Context, tx postgres.Tx, call tenant.Call, c *Customer) error {
	refused, err := s.Settle(ctx, tx, call, []*Customer{c})
	if err != nil {
		return err
	}
	return refused[c.ID]
}

// Settle lets the hooks look at customers of Import once more when all that belongs to them is written. The caller undoes
// what was written of those that are refused.
func (s *Service) Settle(ctx context.Context, tx postgres.Tx, call tenant.Call, customers []*Customer) (map[uuid.UUID]error, error) {
	all := map[uuid.UUID]error{}
	if len(customers) == 0 {
		return all, nil
	}
	for _, h := range s.hooks {
		settler, ok := h.(Settler)
		if !ok {
			continue
		}
		refused, err := settler.Settle(ctx, tx, call, customers)
		if err != nil {
			return nil, err
		}
		maps.Copy(all, refused)
	}
	return all, nil
}
