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

// Carried are the tags of one customer, or of the survivor that it was merged into, and those that are suppressed for it.
// Fails with customer.ErrNotFound.
func (s *Service) Carried(ctx context.Context, t tenant.Tenant, customerID uuid.UUID) ([]Assignment, []Suppression, error) {
	c, err := s.customers.Get(ctx, t, customerID)
	if err != nil {
		return nil, nil, err
	}
	found, err := Of(ctx, s.db, t.ID, []uuid.UUID{c.ID}, s.now())
	if err != nil {
		return nil, nil, err
	}
	kept, err := suppressions(ctx, s.db, t.ID, c.ID)
	return found[c.ID], kept, err
}

// Put lets the customer carry the tag on these terms, by hand: what held before does no more, and no condition takes it off.
// On the same terms it changes nothing. In an exclusive group it takes the customer's other tag off. It does not raise the
// customer's version. Fails with customer.ErrNotFound, ErrNotFound, ErrArchived, or fault.ErrInvalid when the expiry is not in
// the future.
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
		l, err := shareUsable(ctx, tx, call.Tenant.ID, id)
		if err != nil {
			return err
		}
		now := s.now()
		if _, _, err := lapse(ctx, tx, call, []uuid.UUID{c.ID}, &id, now); err != nil {
			return err
		}
		carried, err := Of(ctx, tx, call.Tenant.ID, []uuid.UUID{c.ID}, now)
		if err != nil {
			return err
		}
		a = Assignment{TagID: id, Key: l.Key, Name: l.Name, Group: l.Group, Color: l.Color, Source: Manual, Actor: call.Actor,
			Reason: terms.Reason, AssignedAt: now, ExpiresAt: terms.ExpiresAt, Automatic: l.Automatic}
		action, previous := Assigned, map[string]any{"tags." + l.Key: nil}
		for _, other := range carried[c.ID] {
			switch {
			case other.TagID == id && other.Source != Rule && terms.sameAs(other):
				a = other
				return nil
			case other.TagID == id:
				a.AssignedAt, action = other.AssignedAt, Changed
				previous["tags."+l.Key] = other.document()
			case l.Exclusive && other.Group == l.Group:
				if err := s.takeFrom(ctx, tx, call, c, other, Removed, "exclusive", ""); err != nil {
					return err
				}
			}
		}
		if err := put(ctx, tx, call, c.ID, a, action, now); err != nil {
			return err
		}
		return s.recordOn(ctx, tx, call, c, "customer.tagged", previous)
	})
	return a, err
}

// Remove takes the tag off the customer. An automatic one is suppressed: it stays off, whatever its condition says, until
// it is lifted or put on again. Fails with customer.ErrNotFound, ErrNotFound or ErrNotCarried.
func (s *Service) Remove(ctx context.Context, call tenant.Call, customerID, id uuid.UUID, reason string) error {
	return s.db.InTx(ctx, func(tx postgres.Tx) error {
		c, err := customer.HoldVersion(ctx, tx, call.Tenant.ID, customerID)
		if err != nil {
			return err
		}
		l, err := share(ctx, tx, call.Tenant.ID, id)
		if err != nil {
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
		action := Removed
		if l.Automatic {
			action = Suppressed
		}
		return s.takeFrom(ctx, tx, call, c, carried[c.ID][at], action, "manual", reason)
	})
}

// Lift ends the suppression of a tag: its condition decides again, in the same commit. Fails with customer.ErrNotFound,
// ErrNotFound or ErrNotSuppressed.
func (s *Service) Lift(ctx context.Context, call tenant.Call, customerID, id uuid.UUID) error {
	return s.db.InTx(ctx, func(tx postgres.Tx) error {
		c, err := customer.HoldVersion(ctx, tx, call.Tenant.ID, customerID)
		if err != nil {
			return err
		}
		l, err := share(ctx, tx, call.Tenant.ID, id)
		if err != nil {
			return err
		}
		if err := lift(ctx, tx, call, c.ID, id, s.now()); err != nil {
			return err
		}
		return s.recordOn(ctx, tx, call, c, "customer.tag_lifted", map[string]any{"tags." + l.Key: nil})
	})
}

func (s *Service) takeFrom(ctx context.Context, tx postgres.Tx, call tenant.Call, c customer.Held, a Assignment, action Action, cause, reason string) error {
	if err := unput(ctx, tx, call, c.ID, a, action, cause, reason, s.now()); err != nil {
		return err
	}
	return s.recordOn(ctx, tx, call, c, "customer.untagged", map[string]any{"tags." + a.Key: a.document()})
}

// recordOn writes an event of the customer that names the tag as tags.<key>, with the assignment before or null.
func (s *Service) recordOn(ctx context.Context, tx postgres.Tx, call tenant.Call, c customer.Held, what string, previous map[string]any) error {
	e := event.Event{Type: what, SubjectType: "customer", SubjectID: c.ID.String(), CustomerID: &c.ID,
		CustomerVersion: &c.Version, Previous: previous}
	return event.Record(ctx, tx, call, s.now(), e)
}
