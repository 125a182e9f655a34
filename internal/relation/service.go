package relation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/owned"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// most is how many relations a customer can have: more than other things that it owns, because they also come from the
// other end, such as everybody whom one has referred.
const most = 10_000

var errFull = owned.ErrFull.Because("one of the two has 10,000 relations already, which is the most", "其中一方的关联已达上限 10,000 条")

// Service keeps relations. Those with a deleted customer are kept but not shown, so that they are there again when it is
// undeleted.
type Service struct {
	db  *postgres.DB
	now func() time.Time
}

// NewService works on db with the time that now tells.
func NewService(db *postgres.DB, now func() time.Time) *Service { return &Service{db, now} }

// Get is one relation as the customer sees it. Fails with customer.ErrNotFound or ErrNotFound.
func (s *Service) Get(ctx context.Context, t tenant.Tenant, customerID, id uuid.UUID) (Relation, error) {
	self, err := customer.Present(ctx, s.db, t.ID, customerID)
	if err != nil {
		return Relation{}, err
	}
	return get(ctx, s.db, t.ID, self, id)
}

// List is a page of the customer's relations of these types, or of all when there are none, the oldest first.
func (s *Service) List(ctx context.Context, t tenant.Tenant, customerID uuid.UUID, types []Type, req page.Request) (page.Of[Relation], error) {
	self, err := customer.Present(ctx, s.db, t.ID, customerID)
	if err != nil {
		return page.Of[Relation]{}, err
	}
	return list(ctx, s.db, t.ID, self, types, req)
}

// Of are the first relations of each of up to 1000 customers, at most so many of each, the oldest first.
func (s *Service) Of(ctx context.Context, t tenant.Tenant, customers []uuid.UUID, most int) (map[uuid.UUID][]Relation, error) {
	return first(ctx, s.db, t.ID, customers, most)
}

// Create relates two customers, and tells both by an event. Fails with customer.ErrNotFound, ErrTwice, ErrParent,
// ErrCircle, ErrDeep, owned.ErrFull or fault.ErrInvalid.
func (s *Service) Create(ctx context.Context, call tenant.Call, customerID uuid.UUID, d Draft) (Relation, error) {
	if err := checkDetails(&d.Note, d.Since); err != nil {
		return Relation{}, err
	}
	var made Relation
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		if d.Type == Parent || d.Type == Subsidiary {
			// A circle can be closed far from both ends, so two writers that hold different customers could each close
			// half of one: parents are written one after the other.
			if err := holdGroups(ctx, tx, call.Tenant.ID); err != nil {
				return err
			}
		}
		now := s.now()
		r := Relation{Type: d.Type, Note: d.Note, Since: d.Since, Base: owned.Base{ID: uuid.Must(uuid.NewV7()), Version: 1, CreatedAt: now, UpdatedAt: now}}
		if err := s.ends(ctx, tx, call.Tenant.ID, customerID, d.OtherID, &r); err != nil {
			return err
		}
		edge := r
		if !r.stored() {
			edge = r.seen()
		}
		if err := s.admit(ctx, tx, call, edge); err != nil {
			return err
		}
		if err := insert(ctx, tx, call.Tenant.ID, edge); err != nil {
			return err
		}
		if err := s.record(ctx, tx, call, r, "created", nil, nil); err != nil {
			return err
		}
		var err error
		made, err = get(ctx, tx, call.Tenant.ID, r.CustomerID, r.ID)
		return err
	})
	return made, err
}

// ends holds both customers, in the order in which everybody takes locks, and fills them into r.
func (s *Service) ends(ctx context.Context, tx postgres.Tx, tenantID int32, selfID, otherID uuid.UUID, r *Relation) error {
	self, err := customer.Present(ctx, tx, tenantID, selfID)
	if err != nil {
		return err
	}
	other, err := customer.Present(ctx, tx, tenantID, otherID)
	if f := fault.Of(err); f != nil {
		return fault.ErrInvalid.At("/other_customer_id", f.Code, f.Message)
	}
	if err != nil {
		return err
	}
	if self == other {
		return fault.ErrInvalid.At("/other_customer_id", "same_customer", fault.T("a customer is not related to itself", "客户不能与自身关联"))
	}
	if err := hold(ctx, tx, tenantID, self, other); err != nil {
		return err
	}
	kinds, err := kindsOf(ctx, tx, tenantID, self, other)
	if err != nil {
		return err
	}
	r.CustomerID, r.Other.ID = self, other
	return checkKinds(r.Type, kinds[self], kinds[other])
}

// hold locks both customers. Fails with customer.ErrNotFound when one was deleted, or merged away, just now.
func hold(ctx context.Context, tx postgres.Tx, tenantID int32, a, b uuid.UUID) error {
	if bytes.Compare(a[:], b[:]) > 0 {
		a, b = b, a
	}
	for _, id := range []uuid.UUID{a, b} {
		held, err := customer.Hold(ctx, tx, tenantID, id)
		if err != nil {
			return err
		}
		if held != id {
			return customer.ErrNotFound
		}
	}
	return nil
}

// admit refuses a relation that can not stand beside those that there are.
func (s *Service) admit(ctx context.Context, tx postgres.Tx, call tenant.Call, edge Relation) error {
	for _, id := range []uuid.UUID{edge.CustomerID, edge.Other.ID} {
		n, err := count(ctx, tx, call.Tenant.ID, id)
		if err != nil {
			return err
		}
		if n >= most {
			return errFull
		}
	}
	switch edge.Type {
	case Referrer:
		both, err := exists(ctx, tx, call.Tenant.ID, edge.Other.ID, edge.CustomerID, Referrer)
		if err != nil {
			return err
		}
		if both {
			return ErrTwice.Because("the one has referred the other already, and not the other way round", "两者之间已有推荐关系，且方向相反")
		}
	case Parent:
		if err := s.replaceParent(ctx, tx, call, edge); err != nil {
			return err
		}
		return fits(ctx, tx, call.Tenant.ID, edge)
	}
	return nil
}

// replaceParent refuses a second parent; one that is deleted gives way, since nobody could see it to delete the relation.
func (s *Service) replaceParent(ctx context.Context, tx postgres.Tx, call tenant.Call, edge Relation) error {
	before, deleted, err := parentOf(ctx, tx, call.Tenant.ID, edge.CustomerID)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return err
	case before.Other.ID == edge.Other.ID:
		return ErrTwice
	case !deleted:
		return ErrParent.Because(fmt.Sprintf("the company has a parent already, %s; delete that relation first", before.Other.ID),
			fmt.Sprintf("该公司已有母公司 %s；请先删除原有关联", before.Other.ID))
	}
	if err := remove(ctx, tx, call.Tenant.ID, before.ID, before.CustomerID); err != nil {
		return err
	}
	// Only the company is told: nobody holds the deleted one.
	return s.recordAt(ctx, tx, call, before, "deleted", gone(before))
}

// fits refuses a parent that is below the company in its group already, or that makes the group too deep.
func fits(ctx context.Context, tx postgres.Tx, tenantID int32, edge Relation) error {
	above, err := ancestors(ctx, tx, tenantID, edge.Other.ID)
	if err != nil {
		return err
	}
	if at := slices.Index(above, edge.CustomerID); at >= 0 {
		path := []string{edge.CustomerID.String()}
		for _, id := range above[:at+1] {
			path = append(path, id.String())
		}
		way := strings.Join(path, " → ")
		text := fault.T("each would be below the next: "+way, "以下公司将首尾相接："+way)
		return ErrCircle.Because(text.En, text.Zh).At("/other_customer_id", "parent_circle", text)
	}
	below, err := height(ctx, tx, tenantID, edge.CustomerID)
	if err != nil {
		return err
	}
	if len(above)+below > MaxLevels {
		return ErrDeep.At("/other_customer_id", "group_too_deep", ErrDeep.Message)
	}
	return nil
}

// Update merges a change into a relation, for both ends. A change without effect keeps the version and writes no event.
// Fails with customer.ErrNotFound, ErrNotFound, patch.ErrVersion or fault.ErrInvalid.
func (s *Service) Update(ctx context.Context, call tenant.Call, customerID, id uuid.UUID, expected patch.Expected, c Change) (Relation, error) {
	var r Relation
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		var err error
		if r, err = s.find(ctx, tx, call, customerID, id, expected); err != nil {
			return err
		}
		before := r
		c.apply(&r)
		if err := checkDetails(&r.Note, r.Since); err != nil {
			return err
		}
		previous := difference(before, r)
		if len(previous) == 0 {
			return nil
		}
		r.Version++
		r.UpdatedAt = s.now()
		if err := update(ctx, tx, call.Tenant.ID, r); err != nil {
			return err
		}
		return s.record(ctx, tx, call, r, "updated", previous, previous)
	})
	return r, err
}

// Delete ends a relation for both ends. Fails with customer.ErrNotFound, ErrNotFound or patch.ErrVersion.
func (s *Service) Delete(ctx context.Context, call tenant.Call, customerID, id uuid.UUID, expected patch.Expected) error {
	return s.db.InTx(ctx, func(tx postgres.Tx) error {
		r, err := s.find(ctx, tx, call, customerID, id, expected)
		if err != nil {
			return err
		}
		if err := remove(ctx, tx, call.Tenant.ID, r.ID, r.CustomerID); err != nil {
			return err
		}
		return s.record(ctx, tx, call, r, "deleted", gone(r), gone(r.seen()))
	})
}

// find holds both ends of a relation and reads it.
func (s *Service) find(ctx context.Context, tx postgres.Tx, call tenant.Call, customerID, id uuid.UUID, expected patch.Expected) (Relation, error) {
	self, err := customer.Present(ctx, tx, call.Tenant.ID, customerID)
	if err != nil {
		return Relation{}, err
	}
	found, err := get(ctx, tx, call.Tenant.ID, self, id)
	if err != nil {
		return Relation{}, err
	}
	if err := hold(ctx, tx, call.Tenant.ID, self, found.Other.ID); err != nil {
		return Relation{}, err
	}
	// Read again: now that both are held, nobody else changes it.
	if found, err = get(ctx, tx, call.Tenant.ID, self, id); err != nil {
		return Relation{}, err
	}
	return found, expected.Check(found.Version)
}

// record tells both ends.
func (s *Service) record(ctx context.Context, tx postgres.Tx, call tenant.Call, r Relation, verb string, here, there map[string]any) error {
	if err := s.recordAt(ctx, tx, call, r, verb, here); err != nil {
		return err
	}
	return s.recordAt(ctx, tx, call, r.seen(), verb, there)
}

func (s *Service) recordAt(ctx context.Context, tx postgres.Tx, call tenant.Call, r Relation, verb string, previous map[string]any) error {
	return owned.Record(ctx, tx, call, s.now(), "relation."+verb, "relation", r.ID, r.CustomerID, previous)
}

// gone is what a deleted relation was.
func gone(r Relation) map[string]any {
	previous := difference(r, Relation{})
	previous["type"], previous["other_customer_id"] = r.Type, r.Other.ID
	return previous
}

// Hierarchy is the group that a company belongs to, without deleted companies and what is below them. Somebody without
// relatives is a group of one. Fails with customer.ErrNotFound.
func (s *Service) Hierarchy(ctx context.Context, t tenant.Tenant, customerID uuid.UUID) (Hierarchy, error) {
	self, err := customer.Present(ctx, s.db, t.ID, customerID)
	if err != nil {
		return Hierarchy{}, err
	}
	h := Hierarchy{}
	if h.Path, err = livingAncestors(ctx, s.db, t.ID, self); err != nil {
		return Hierarchy{}, err
	}
	slices.Reverse(h.Path)
	h.Nodes, h.Truncated, err = descendants(ctx, s.db, t.ID, h.Path[0])
	return h, err
}
