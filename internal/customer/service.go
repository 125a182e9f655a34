package customer

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/event"
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
}

// NewService works on db with the time that now tells; hooks take part in every write.
func NewService(db *postgres.DB, now func() time.Time, hooks ...Hook) *Service {
	return &Service{db: db, now: now, hooks: hooks}
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
func (s *Service) List(ctx context.Context, t tenant.Tenant, q Query) (page.Of[Customer], error) {
	return list(ctx, s.db, t.ID, q)
}

// Create makes a customer. Fails with ErrExternalIDTaken, or fault.ErrInvalid naming what is wrong.
func (s *Service) Create(ctx context.Context, call tenant.Call, r Registration) (Customer, error) {
	var c Customer
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		var err error
		c, err = s.create(ctx, tx, call, Customer{ID: uuid.Must(uuid.NewV7()), Kind: r.Kind, Name: r.Name, Stage: r.Stage, Source: r.Source,
			Owner: r.Owner, Country: r.Country, Province: r.Province, City: r.City, Industry: r.Industry, ExternalIDs: r.ExternalIDs, Attributes: Attributes{}.merge(r.Attributes)}, ByAPI)
		return err
	})
	return c, err
}

// create stores c, whose id and fields are filled.
func (s *Service) create(ctx context.Context, tx postgres.Tx, call tenant.Call, c Customer, cause Cause) (Customer, error) {
	c.Version, c.CreatedAt = 1, s.now()
	c.UpdatedAt = c.CreatedAt
	if c.Stage == "" {
		c.Stage = Prospect
	}
	c.ExternalIDs = sorted(c.ExternalIDs)
	c.tidy()
	if err := c.check(); err != nil {
		return Customer{}, err
	}
	w := &Write{After: &c, Cause: cause}
	if err := s.before(ctx, tx, call, w); err != nil {
		return Customer{}, err
	}
	if err := insert(ctx, tx, call.Tenant.ID, c); err != nil {
		return Customer{}, err
	}
	if err := s.record(ctx, tx, call, c, "customer.created", nil); err != nil {
		return Customer{}, err
	}
	return c, s.after(ctx, tx, call, w)
}

// Update merges change into the customer. A change without effect keeps the version and writes no event. Fails with
// ErrNotFound, patch.ErrVersion or fault.ErrInvalid.
func (s *Service) Update(ctx context.Context, call tenant.Call, id uuid.UUID, expected patch.Expected, change Change) (Customer, error) {
	var c Customer
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		var err error
		if c, err = lock(ctx, tx, call.Tenant.ID, id); err != nil {
			return err
		}
		if c.DeletedAt != nil {
			return ErrNotFound
		}
		if err := expected.Check(c.Version); err != nil {
			return err
		}
		_, err = s.update(ctx, tx, call, &c, change, ByAPI)
		return err
	})
	return c, err
}

// update merges change into c, which is locked.
func (s *Service) update(ctx context.Context, tx postgres.Tx, call tenant.Call, c *Customer, change Change, cause Cause) (Outcome, error) {
	w := &Write{Before: c.clone(), After: c, Cause: cause}
	change.apply(c)
	if err := c.check(); err != nil {
		return "", err
	}
	if err := s.before(ctx, tx, call, w); err != nil {
		return "", err
	}
	previous := changed(w.Before, c)
	if len(previous) == 0 {
		return Unchanged, nil
	}
	return Updated, s.store(ctx, tx, call, w, "customer.updated", previous)
}

// store raises the version of a customer, which is locked, and writes it with its event.
func (s *Service) store(ctx context.Context, tx postgres.Tx, call tenant.Call, w *Write, what string, previous map[string]any) error {
	w.After.Version++
	w.After.UpdatedAt = s.now()
	for name, told := range w.Told {
		if _, changed := previous[name]; changed {
			previous[name] = told
		}
	}
	if err := update(ctx, tx, call.Tenant.ID, *w.After); err != nil {
		return err
	}
	if err := s.record(ctx, tx, call, *w.After, what, previous); err != nil {
		return err
	}
	return s.after(ctx, tx, call, w)
}

func (s *Service) record(ctx context.Context, tx postgres.Tx, call tenant.Call, c Customer, what string, previous map[string]any) error {
	return event.Record(ctx, tx, call, s.now(), event.Event{Type: what, SubjectType: "customer", SubjectID: c.ID.String(),
		CustomerID: &c.ID, CustomerVersion: &c.Version, Changed: slices.Sorted(maps.Keys(previous)), Previous: previous})
}

// Put creates the customer that id names, or merges change into it: any number of callers at once make one customer.
// A deleted one is ErrDeleted unless undelete.
func (s *Service) Put(ctx context.Context, call tenant.Call, id ExternalID, expected patch.Expected, undelete bool, change Change) (Customer, Outcome, error) {
	var c Customer
	var outcome Outcome
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		var err error
		c, outcome, err = s.put(ctx, tx, call, id, expected, undelete, change, ByAPI)
		return err
	})
	return c, outcome, err
}

func (s *Service) put(ctx context.Context, tx postgres.Tx, call tenant.Call, id ExternalID, expected patch.Expected, undelete bool, change Change, cause Cause) (Customer, Outcome, error) {
	if !id.tidy() {
		return Customer{}, "", fault.ErrInvalid.AtParameter("external_id", "bad_external_id", badExternalID)
	}
	c, fresh, err := s.claimed(ctx, tx, call.Tenant.ID, id)
	if err != nil {
		return Customer{}, "", err
	}
	if fresh {
		if expected != nil {
			return Customer{}, "", patch.ErrVersion
		}
		change.apply(&c)
		c, err := s.create(ctx, tx, call, c, cause)
		return c, Created, err
	}
	if err := expected.Check(c.Version); err != nil {
		return Customer{}, "", err
	}
	if c.DeletedAt != nil {
		if !undelete {
			return Customer{}, "", ErrDeleted
		}
		if err := s.undelete(ctx, tx, call, &c, cause); err != nil {
			return Customer{}, "", err
		}
		if _, err := s.update(ctx, tx, call, &c, change, cause); err != nil {
			return Customer{}, "", err
		}
		return c, Updated, nil
	}
	outcome, err := s.update(ctx, tx, call, &c, change, cause)
	return c, outcome, err
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
			return Customer{ID: holder, Kind: Person, Stage: Prospect, ExternalIDs: []ExternalID{id}, Attributes: Attributes{}}, true, nil
		}
		c, err := lock(ctx, tx, tenantID, holder)
		// While the lock was waited for, the id may have gone to somebody else.
		if err != nil || slices.Contains(c.ExternalIDs, id) {
			return c, false, err
		}
	}
}

// Delete takes the customer out of every read; Undelete brings it back.
func (s *Service) Delete(ctx context.Context, call tenant.Call, id uuid.UUID, expected patch.Expected) error {
	return s.db.InTx(ctx, func(tx postgres.Tx) error {
		c, err := lock(ctx, tx, call.Tenant.ID, id)
		if err != nil {
			return err
		}
		if c.DeletedAt != nil {
			return ErrNotFound
		}
		if err := expected.Check(c.Version); err != nil {
			return err
		}
		w := &Write{Before: c.clone(), After: &c, Cause: ByAPI}
		now := s.now()
		c.DeletedAt = &now
		return s.store(ctx, tx, call, w, "customer.deleted", map[string]any{"deleted_at": nil})
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
		return s.undelete(ctx, tx, call, &c, ByAPI)
	})
	return c, err
}

func (s *Service) undelete(ctx context.Context, tx postgres.Tx, call tenant.Call, c *Customer, cause Cause) error {
	w := &Write{Before: c.clone(), After: c, Cause: cause}
	c.DeletedAt = nil
	if err := s.before(ctx, tx, call, w); err != nil {
		return err
	}
	previous := changed(w.Before, c)
	previous["deleted_at"] = w.Before.DeletedAt
	return s.store(ctx, tx, call, w, "customer.undeleted", previous)
}

// AddExternalID lets a system know the customer as id. Fails with ErrNotFound or ErrExternalIDTaken.
func (s *Service) AddExternalID(ctx context.Context, call tenant.Call, customerID uuid.UUID, id ExternalID) (Customer, error) {
	if !id.tidy() {
		return Customer{}, fault.ErrInvalid.AtParameter("external_id", "bad_external_id", badExternalID)
	}
	var c Customer
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		var err error
		if c, err = lock(ctx, tx, call.Tenant.ID, customerID); err != nil {
			return err
		}
		if c.DeletedAt != nil {
			return ErrNotFound
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
		previous := map[string]any{"external_ids": documents(c.ExternalIDs)}
		w := &Write{Before: c.clone(), After: &c, Cause: ByAPI}
		c.ExternalIDs = sorted(append(slices.Clone(c.ExternalIDs), id))
		return s.store(ctx, tx, call, w, "customer.updated", previous)
	})
	return c, err
}

// RemoveExternalID undoes AddExternalID. Fails with ErrNotFound or ErrExternalIDUnknown.
func (s *Service) RemoveExternalID(ctx context.Context, call tenant.Call, customerID uuid.UUID, id ExternalID) error {
	return s.db.InTx(ctx, func(tx postgres.Tx) error {
		c, err := lock(ctx, tx, call.Tenant.ID, customerID)
		if err != nil {
			return err
		}
		if c.DeletedAt != nil {
			return ErrNotFound
		}
		at := slices.Index(c.ExternalIDs, id)
		if at < 0 {
			return ErrExternalIDUnknown
		}
		if err := release(ctx, tx, call.Tenant.ID, id); err != nil {
			return err
		}
		previous := map[string]any{"external_ids": documents(c.ExternalIDs)}
		w := &Write{Before: c.clone(), After: &c, Cause: ByAPI}
		c.ExternalIDs = slices.Delete(slices.Clone(c.ExternalIDs), at, at+1)
		return s.store(ctx, tx, call, w, "customer.updated", previous)
	})
}

// Item is one customer of a batch.
type Item struct {
	ID     ExternalID
	Change Change
	With   With
}

// Result is what became of an Item; Err is a fault.
type Result struct {
	Customer Customer
	Outcome  Outcome
	Err      error
}

// Batch puts every item by its external id. Items are independent: one that fails undoes only itself. A second item
// on the same key fails with ErrTwice.
func (s *Service) Batch(ctx context.Context, call tenant.Call, items []Item) ([]Result, error) {
	// Two batches with the same keys in another order would wait for each other; in key order they queue up.
	order := make([]int, len(items))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return compare(items[a].ID, items[b].ID) })
	results := make([]Result, len(items))
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		for n, i := range order {
			if n > 0 && items[order[n-1]].ID == items[i].ID {
				results[i] = Result{Err: ErrTwice}
				continue
			}
			r := &results[i]
			r.Err = tx.Savepoint(ctx, func(tx postgres.Tx) error {
				var err error
				ctx := partsFollow(postgres.Join(ctx, tx))
				if r.Customer, r.Outcome, err = s.put(ctx, tx, call, items[i].ID, nil, false, items[i].Change, ByBatch); err != nil {
					return err
				}
				if err := items[i].With.after(ctx, tx, call, &r.Customer, &r.Outcome); err != nil {
					return err
				}
				return s.settle(ctx, tx, call, &r.Customer)
			})
			if r.Err != nil && fault.Of(r.Err) == nil {
				return r.Err
			}
		}
		return nil
	})
	return results, err
}
