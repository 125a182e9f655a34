package customer

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Service keeps customers.
type Service struct {
	db    *postgres.DB
	now   func() time.Time
	hooks []Hook

	// patience is how long one statement of a list may look for customers while a caller waits: milliseconds, as
	// PostgreSQL's statement_timeout counts them.
	patience int
}

// NewService works on db with the time that now tells; hooks take part in every write.
func NewService(db *postgres.DB, now func() time.Time, hooks ...Hook) *Service {
	return &Service{db: db, now: now, hooks: hooks, patience: 5_000}
}

// Get is the customer, or the survivor that it was merged into. Fails with ErrNotFound, also for a deleted one.
func (s *Service) Get(ctx context.Context, t tenant.Tenant, id uuid.UUID) (Customer, error) {
	return get(ctx, s.db, t.ID, id)
}

// ByExternalID is the customer that a system knows by id.
func (s *Service) ByExternalID(ctx context.Context, t tenant.Tenant, id ExternalID) (Customer, error) {
	cid, err := Find(ctx, s.db, t.ID, id)
	if err != nil {
		return Customer{}, err
	}
	return get(ctx, s.db, t.ID, cid)
}

// Many are the customers of ids that exist and are not deleted, in the order asked for.
func (s *Service) Many(ctx context.Context, t tenant.Tenant, ids []uuid.UUID) ([]Customer, error) {
	return many(ctx, s.db, t.ID, ids)
}

// List is a page of customers.
func (s *Service) List(ctx context.Context, t tenant.Tenant, q Query) (p page.Of[Customer], err error) {
	if q.Search == nil && q.Where.IsZero() {
		return list(ctx, s.db, t.ID, q)
	}
	var how tuning
	if q.Search != nil {
		how = looking
	}
	err = s.patiently(ctx, how, func(tx postgres.Tx) error {
		p, err = list(ctx, tx, t.ID, q)
		return err
	})
	return p, err
}

// patiently runs fn in a transaction, in which no statement takes longer than patience: such work is a job's. Fails with
// ErrTooCostly then. how may be nil.
func (s *Service) patiently(ctx context.Context, how tuning, fn func(tx postgres.Tx) error) error {
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		how := how.with("statement_timeout", strconv.Itoa(s.patience)).with("parallel_setup_cost", workersPay)
		if err := tune(ctx, tx, how); err != nil {
			return err
		}
		return fn(tx)
	})
	if postgres.Code(err) == "57014" && ctx.Err() == nil {
		return ErrTooCostly
	}
	return err
}

// create makes a customer.
func (s *Service) create(ctx context.Context, tx postgres.Tx, call tenant.Call, r Registration) (*Write, error) {
	c := r.customer(uuid.Must(uuid.NewV7()))
	w := &Write{After: &c, Cause: ByAPI, Reason: r.StageReason, claims: true}
	return w, s.one(ctx, tx, call, w)
}

// locked is the customer, locked and not deleted, in a version that the caller expects.
func locked(ctx context.Context, tx postgres.Tx, tenantID int32, id uuid.UUID, expected patch.Expected) (Customer, error) {
	c, err := lock(ctx, tx, tenantID, id)
	switch {
	case err != nil:
		return Customer{}, err
	case c.DeletedAt != nil:
		return Customer{}, ErrNotFound
	}
	return c, expected.Check(c.Version)
}

// update merges change into a customer.
func (s *Service) update(ctx context.Context, tx postgres.Tx, call tenant.Call, id uuid.UUID, expected patch.Expected, change Change) (*Write, error) {
	c, err := locked(ctx, tx, call.Tenant.ID, id, expected)
	if err != nil {
		return nil, err
	}
	w := change.write(&c, ByAPI)
	return w, s.one(ctx, tx, call, w)
}

// write merges the change into c, which is locked and becomes what is to be stored.
func (c Change) write(to *Customer, cause Cause) *Write {
	w := &Write{Before: to.clone(), After: to, Cause: cause, Reason: c.StageReason, Said: c.said()}
	c.apply(to)
	return w
}

// put creates the customer that id names, or merges change into it.
func (s *Service) put(ctx context.Context, tx postgres.Tx, call tenant.Call, id ExternalID, expected patch.Expected, undelete bool, change Change) (*Write, error) {
	c, fresh, err := s.claimed(ctx, tx, call.Tenant.ID, id)
	if err != nil {
		return nil, err
	}
	if fresh {
		if expected != nil {
			return nil, patch.ErrVersion
		}
		change.apply(&c)
		w := &Write{After: &c, Cause: ByAPI, Reason: change.StageReason}
		return w, s.one(ctx, tx, call, w)
	}
	if err := expected.Check(c.Version); err != nil {
		return nil, err
	}
	revived := c.DeletedAt != nil
	if revived {
		if !undelete {
			return nil, ErrDeleted
		}
		if err := s.undelete(ctx, tx, call, &c); err != nil {
			return nil, err
		}
	}
	w := change.write(&c, ByAPI)
	err = s.one(ctx, tx, call, w)
	if revived {
		w.Outcome = Updated
	}
	return w, err
}

// claimed is the customer that has the external id, locked; or, when nobody has, the beginning of one that has claimed
// it.
func (s *Service) claimed(ctx context.Context, tx postgres.Tx, tenantID int32, id ExternalID) (c Customer, fresh bool, err error) {
	for {
		holder, fresh, err := claim(ctx, tx, tenantID, id, uuid.Must(uuid.NewV7()), s.now())
		if err != nil {
			return Customer{}, false, err
		}
		if fresh {
			return begun(holder, id), true, nil
		}
		c, err := lock(ctx, tx, tenantID, holder)
		if err != nil || slices.Contains(c.ExternalIDs, id) {
			return c, false, err
		}
		// While the lock was waited for, the id may have gone to somebody else.
		if still, err := Find(ctx, tx, tenantID, id); err == nil && still == holder {
			return c, false, nil
		}
	}
}

// Delete takes the customer out of every read; Undelete brings it back.
func (s *Service) Delete(ctx context.Context, call tenant.Call, id uuid.UUID, expected patch.Expected) error {
	return s.db.InTx(ctx, func(tx postgres.Tx) error {
		c, err := locked(ctx, tx, call.Tenant.ID, id, expected)
		if err != nil {
			return err
		}
		w := &Write{Before: c.clone(), After: &c, Cause: ByAPI}
		now := s.now()
		c.DeletedAt = &now
		return s.touch(ctx, tx, call, w, map[string]any{"deleted_at": nil})
	})
}

// Undelete undoes Delete; on a customer that is not deleted it changes nothing.
func (s *Service) Undelete(ctx context.Context, call tenant.Call, id uuid.UUID) (Customer, error) {
	var c Customer
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		var err error
		if c, err = lock(ctx, tx, call.Tenant.ID, id); err != nil || c.DeletedAt == nil {
			return err
		}
		return s.undelete(ctx, tx, call, &c)
	})
	if err != nil {
		return Customer{}, err
	}
	return c, nil
}

func (s *Service) undelete(ctx context.Context, tx postgres.Tx, call tenant.Call, c *Customer) error {
	w := &Write{Before: c.clone(), After: c, Cause: ByAPI}
	c.DeletedAt = nil
	return s.one(ctx, tx, call, w)
}

// AddExternalID lets a system know the customer as id. Fails with ErrNotFound or ErrExternalIDTaken.
func (s *Service) AddExternalID(ctx context.Context, call tenant.Call, customerID uuid.UUID, id ExternalID) (Customer, error) {
	if !id.tidy() {
		return Customer{}, fault.ErrInvalid.AtParameter("external_id", "bad_external_id", badExternalID)
	}
	var c Customer
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		var err error
		if c, err = locked(ctx, tx, call.Tenant.ID, customerID, nil); err != nil {
			return err
		}
		holder, fresh, err := claim(ctx, tx, call.Tenant.ID, id, c.ID, s.now())
		if err != nil {
			return err
		}
		if !fresh {
			if holder != c.ID {
				return ErrExternalIDTaken
			}
			return nil
		}
		w := &Write{Before: c.clone(), After: &c, Cause: ByAPI}
		c.ExternalIDs = sorted(append(c.ExternalIDs, id))
		return s.touch(ctx, tx, call, w, map[string]any{"external_ids": documents(w.Before.ExternalIDs)})
	})
	if err != nil {
		return Customer{}, err
	}
	return c, nil
}

// RemoveExternalID undoes AddExternalID. Fails with ErrNotFound or ErrExternalIDUnknown.
func (s *Service) RemoveExternalID(ctx context.Context, call tenant.Call, customerID uuid.UUID, id ExternalID) error {
	return s.db.InTx(ctx, func(tx postgres.Tx) error {
		c, err := locked(ctx, tx, call.Tenant.ID, customerID, nil)
		if err != nil {
			return err
		}
		at := slices.Index(c.ExternalIDs, id)
		if at < 0 {
			return ErrExternalIDUnknown
		}
		if err := release(ctx, tx, call.Tenant.ID, id); err != nil {
			return err
		}
		w := &Write{Before: c.clone(), After: &c, Cause: ByAPI}
		c.ExternalIDs = slices.Delete(c.ExternalIDs, at, at+1)
		return s.touch(ctx, tx, call, w, map[string]any{"external_ids": documents(w.Before.ExternalIDs)})
	})
}
