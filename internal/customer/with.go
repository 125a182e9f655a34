package customer

import (
	"context"
	"maps"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// With writes what other subjects keep of a customer, in the transaction that writes the customer itself: every service
// called with its ctx takes part. It answers whether it changed anything. nil writes nothing.
type With func(ctx context.Context, id uuid.UUID) (changed bool, err error)

// Create makes a customer. Fails with ErrExternalIDTaken, or fault.ErrInvalid naming what is wrong.
func (s *Service) Create(ctx context.Context, call tenant.Call, r Registration) (Customer, error) {
	return s.CreateWith(ctx, call, r, nil)
}

// CreateWith is Create together with what belongs to the customer: all of it or nothing.
func (s *Service) CreateWith(ctx context.Context, call tenant.Call, r Registration, with With) (Customer, error) {
	c, _, err := s.together(ctx, call, with, func(ctx context.Context, tx postgres.Tx) (*Write, error) {
		return s.create(ctx, tx, call, r)
	})
	return c, err
}

// Update merges change into the customer. A change without effect keeps the version and writes no event. Fails with
// ErrNotFound, patch.ErrVersion or fault.ErrInvalid.
func (s *Service) Update(ctx context.Context, call tenant.Call, id uuid.UUID, expected patch.Expected, change Change) (Customer, error) {
	return s.UpdateWith(ctx, call, id, expected, change, nil)
}

// UpdateWith is Update together with what belongs to the customer: all of it or nothing.
func (s *Service) UpdateWith(ctx context.Context, call tenant.Call, id uuid.UUID, expected patch.Expected, change Change, with With) (Customer, error) {
	c, _, err := s.together(ctx, call, with, func(ctx context.Context, tx postgres.Tx) (*Write, error) {
		return s.update(ctx, tx, call, id, expected, change)
	})
	return c, err
}

// Put creates the customer that id names, or merges change into it: any number of callers at once make one customer.
// A deleted one is ErrDeleted unless undelete.
func (s *Service) Put(ctx context.Context, call tenant.Call, id ExternalID, expected patch.Expected, undelete bool, change Change) (Customer, Outcome, error) {
	return s.PutWith(ctx, call, id, expected, undelete, change, nil)
}

// PutWith is Put together with what belongs to the customer: all of it or nothing.
func (s *Service) PutWith(ctx context.Context, call tenant.Call, id ExternalID, expected patch.Expected, undelete bool, change Change, with With) (Customer, Outcome, error) {
	if !id.tidy() {
		return Customer{}, "", fault.ErrInvalid.AtParameter("external_id", "bad_external_id", badExternalID)
	}
	return s.together(ctx, call, with, func(ctx context.Context, tx postgres.Tx) (*Write, error) {
		return s.put(ctx, tx, call, id, expected, undelete, change)
	})
}

// together writes one customer and what belongs to it.
func (s *Service) together(ctx context.Context, call tenant.Call, with With, write func(ctx context.Context, tx postgres.Tx) (*Write, error)) (Customer, Outcome, error) {
	var w *Write
	err := s.db.InTx(ctx, func(tx postgres.Tx) (err error) {
		ctx := partsFollow(postgres.Join(ctx, tx))
		if w, err = write(ctx, tx); err != nil {
			return err
		}
		if err := with.after(ctx, tx, call, w); err != nil || !w.Later {
			return err
		}
		refused, err := s.Settle(ctx, tx, call, []*Customer{w.After})
		if err != nil {
			return err
		}
		return refused[w.After.ID]
	})
	if err != nil {
		return Customer{}, "", err
	}
	return *w.After, w.Outcome, nil
}

// after runs with, and reads the customer anew where that changed something: a primary address moves it.
func (with With) after(ctx context.Context, tx postgres.Tx, call tenant.Call, w *Write) error {
	if with == nil {
		return nil
	}
	changed, err := with(ctx, w.After.ID)
	if err != nil || !changed {
		return err
	}
	now, err := byID(ctx, tx, call.Tenant.ID, w.After.ID)
	if err != nil {
		return err
	}
	now.Warnings = w.After.Warnings
	*w.After = now
	if w.Outcome == Unchanged {
		w.Outcome = Updated
	}
	return nil
}

// Settler is a Hook that looks at customers once more when everything that was written with them is there: their
// contact points and addresses too. Of a single customer its Before has asked for it, by Write.Later.
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
