package tag

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Carried are the tags of one customer, or of the survivor that it was merged into. Fails with customer.ErrNotFound.
func (s *Service) Carried(ctx context.Context, t tenant.Tenant, customerID uuid.UUID) ([]Assignment, error) {
	c, err := s.customers.Get(ctx, t, customerID)
	if err != nil {
		return nil, err
	}
	found, err := Of(ctx, s.db, t.ID, []uuid.UUID{c.ID}, s.now())
	return found[c.ID], err
}

// Put lets the customer carry the tag on these terms; what held before does no more. On the same terms it changes
// nothing. In an exclusive group it takes the customer's other tag off. It does not raise the customer's version.
// Fails with customer.ErrNotFound, ErrNotFound, or fault.ErrInvalid when the expiry is not in the future.
func (s *Service) Put(ctx context.Context, call tenant.Call, customerID, id uuid.UUID, terms Terms) (Assignment, error) {
	var v fault.Validator
	if terms.ExpiresAt != nil {
		at := terms.ExpiresAt.UTC().Truncate(time.Microsecond) // what the database keeps
		terms.ExpiresAt = &at
		v.Check(at.After(s.now()), "/expires_at", "not_in_future", fault.T("must be in the future", "必须晚于当前时间"))
	}
	if err := v.Err(); err != nil {
		return Assignment{}, err
	}
	var a Assignment
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		c, err := customer.HoldVersion(ctx, tx, call.Tenant.ID, customerID)
		if err != nil {
			return err
		}
		l, err := share(ctx, tx, call.Tenant.ID, id)
		if err != nil {
			return err
		}
		now := s.now()
		carried, err := Of(ctx, tx, call.Tenant.ID, []uuid.UUID{c.ID}, now)
		if err != nil {
			return err
		}
		a = Assignment{TagID: id, Key: l.Key, Name: l.Name, Group: l.Group, Color: l.Color, Source: Manual, Actor: call.Actor,
			Reason: terms.Reason, AssignedAt: now, ExpiresAt: terms.ExpiresAt}
		previous := map[string]any{"tags." + l.Key: nil}
		for _, other := range carried[c.ID] {
			switch {
			case other.TagID == id && terms.sameAs(other):
				a = other
				return nil
			case other.TagID == id:
				a.AssignedAt = other.AssignedAt
				previous["tags."+l.Key] = other.document()
			case l.Exclusive && other.Group == l.Group:
				if err := s.takeFrom(ctx, tx, call, c, other); err != nil {
					return err
				}
			}
		}
		if err := put(ctx, tx, call.Tenant.ID, c.ID, a); err != nil {
			return err
		}
		return s.recordOn(ctx, tx, call, c, "customer.tagged", previous)
	})
	return a, err
}

// Remove takes the tag off the customer. Fails with customer.ErrNotFound, ErrNotFound or ErrNotCarried.
func (s *Service) Remove(ctx context.Context, call tenant.Call, customerID, id uuid.UUID) error {
	return s.db.InTx(ctx, func(tx postgres.Tx) error {
		c, err := customer.HoldVersion(ctx, tx, call.Tenant.ID, customerID)
		if err != nil {
			return err
		}
		if _, err := share(ctx, tx, call.Tenant.ID, id); err != nil {
			return err
		}
		carried, err := Of(ctx, tx, call.Tenant.ID, []uuid.UUID{c.ID}, s.now())
		if err != nil {
			return err
		}
		at := slices.IndexFunc(carried[c.ID], func(a Assignment) bool { return a.TagID == id })
		if at < 0 {
			return ErrNotCarried
		}
		return s.takeFrom(ctx, tx, call, c, carried[c.ID][at])
	})
}

func (s *Service) takeFrom(ctx context.Context, tx postgres.Tx, call tenant.Call, c customer.Held, a Assignment) error {
	if err := unput(ctx, tx, call.Tenant.ID, c.ID, a.TagID); err != nil {
		return err
	}
	return s.recordOn(ctx, tx, call, c, "customer.untagged", map[string]any{"tags." + a.Key: a.document()})
}

// recordOn writes an event of the customer that names the tag as tags.<key>, with the assignment before or null.
func (s *Service) recordOn(ctx context.Context, tx postgres.Tx, call tenant.Call, c customer.Held, what string, previous map[string]any) error {
	e := event.Event{Type: what, SubjectType: "customer", SubjectID: c.ID.String(), CustomerID: &c.ID,
		CustomerVersion: &c.Version, Previous: previous}
	for name := range previous {
		e.Changed = append(e.Changed, name)
	}
	return event.Record(ctx, tx, call, s.now(), e)
}

// PutOn lets up to MaxBulk customers carry the tag, all or none. Who carries it already keeps reason and expiry. In an
// exclusive group it takes their other tags off. Fails with ErrNotFound.
func (s *Service) PutOn(ctx context.Context, call tenant.Call, id uuid.UUID, ids []uuid.UUID, reason string) (BulkResult, error) {
	return s.bulk(ctx, call, id, ids, "customers.tagged", func(tx postgres.Tx, l label, found []uuid.UUID) ([]uuid.UUID, []string, error) {
		now := s.now()
		a := Assignment{TagID: id, Source: Bulk, Actor: call.Actor, Reason: reason, AssignedAt: now}
		fresh, err := putOn(ctx, tx, call.Tenant.ID, found, a, now)
		if err != nil || l.GroupID == nil || !l.Exclusive {
			return fresh, nil, err
		}
		others, err := displace(ctx, tx, call.Tenant.ID, *l.GroupID, id, fresh, now)
		return fresh, others, err
	})
}

// RemoveFrom takes the tag off up to MaxBulk customers, all or none. Fails with ErrNotFound.
func (s *Service) RemoveFrom(ctx context.Context, call tenant.Call, id uuid.UUID, ids []uuid.UUID) (BulkResult, error) {
	return s.bulk(ctx, call, id, ids, "customers.untagged", func(tx postgres.Tx, _ label, found []uuid.UUID) ([]uuid.UUID, []string, error) {
		lost, err := unputFrom(ctx, tx, call.Tenant.ID, id, found, s.now())
		return lost, nil, err
	})
}

// bulk locks the customers and the tag, lets apply change them, and writes one event for those that it changed: of
// the tag, with the names of all tags that were put on or taken off.
func (s *Service) bulk(ctx context.Context, call tenant.Call, id uuid.UUID, ids []uuid.UUID, what string,
	apply func(tx postgres.Tx, l label, found []uuid.UUID) (changed []uuid.UUID, others []string, err error),
) (BulkResult, error) {
	var v fault.Validator
	v.Check(len(ids) <= MaxBulk, "/customer_ids", "too_many", fault.T("at most 10,000 customers at once", "一次最多 10,000 位客户"))
	if err := v.Err(); err != nil {
		return BulkResult{}, err
	}
	var r BulkResult
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		found, err := customer.HoldAll(ctx, tx, call.Tenant.ID, ids)
		if err != nil {
			return err
		}
		l, err := share(ctx, tx, call.Tenant.ID, id)
		if err != nil {
			return err
		}
		changed, others, err := apply(tx, l, found)
		if err != nil {
			return err
		}
		r = BulkResult{Changed: len(changed), Unchanged: len(found) - len(changed), Missing: without(ids, found)}
		if len(changed) == 0 {
			return nil
		}
		if err := event.Touched(ctx, tx, call, changed); err != nil {
			return err
		}
		names := []string{"tags." + l.Key}
		for _, key := range others {
			names = append(names, "tags."+key)
		}
		slices.Sort(names)
		return event.Record(ctx, tx, call, s.now(), event.Event{Type: what, SubjectType: "tag", SubjectID: id.String(), Changed: names})
	})
	return r, err
}

// without are the ids that are not found, each once, in their order.
func without(ids, found []uuid.UUID) []uuid.UUID {
	seen := make(map[uuid.UUID]bool, len(ids))
	for _, id := range found {
		seen[id] = true
	}
	missing := []uuid.UUID{}
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			missing = append(missing, id)
		}
	}
	return missing
}

// housekeeper is the actor of what Tidy does.
const housekeeper = "housekeeping"

// Tidy removes what nobody sees any more: expired assignments, and what is left of deleted tags; it adds up what is kept
// about the number of carriers. It works for all tenants, in chunks of MaxBulk; several processes may run it at once. Each chunk of expired assignments writes one
// event tags.expired of its own change set.
func (s *Service) Tidy(ctx context.Context) error {
	ctx = postgres.ForAllTenants(ctx)
	tenants, err := untidy(ctx, s.db, s.now())
	if err != nil {
		return err
	}
	for _, id := range tenants {
		for more := true; more; {
			if more, err = s.expire(ctx, id); err != nil {
				return err
			}
		}
		for more := true; more; {
			if more, err = s.unbury(ctx, id); err != nil {
				return err
			}
		}
		if err := sumUp(ctx, s.db, id); err != nil {
			return err
		}
	}
	return nil
}

// expire removes a chunk of expired assignments and reports whether it was a full one.
func (s *Service) expire(ctx context.Context, tenantID int32) (more bool, err error) {
	call := tenant.Call{Tenant: tenant.Tenant{ID: tenantID}, Actor: housekeeper, ChangeSet: uuid.Must(uuid.NewV7())}
	err = s.db.InTx(ctx, func(tx postgres.Tx) error {
		touched, keys, n, err := lapse(ctx, tx, tenantID, s.now(), MaxBulk)
		if err != nil || n == 0 {
			more = false
			return err
		}
		more = n == MaxBulk
		if err := event.Touched(ctx, tx, call, touched); err != nil {
			return err
		}
		for i := range keys {
			keys[i] = "tags." + keys[i]
		}
		return event.Record(ctx, tx, call, s.now(), event.Event{Type: "tags.expired", SubjectType: "change_set",
			SubjectID: call.ChangeSet.String(), Changed: keys})
	})
	return more, err
}

// unbury removes a chunk of what a deleted tag left behind.
func (s *Service) unbury(ctx context.Context, tenantID int32) (more bool, err error) {
	err = s.db.InTx(ctx, func(tx postgres.Tx) error {
		tag, changeSet, err := buried(ctx, tx, tenantID)
		if err != nil || tag == uuid.Nil {
			more = false
			return err
		}
		call := tenant.Call{Tenant: tenant.Tenant{ID: tenantID}, Actor: housekeeper, ChangeSet: changeSet}
		touched, left, err := takeOff(ctx, tx, tenantID, tag, MaxBulk)
		if err != nil {
			return err
		}
		more = true // there may be other tags
		if !left {
			if err := forget(ctx, tx, tenantID, tag); err != nil {
				return err
			}
		}
		return event.Touched(ctx, tx, call, touched)
	})
	return more, err
}
