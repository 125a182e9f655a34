package address

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/owned"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/seal"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Service keeps addresses.
type Service struct {
	*owned.Keeper[Address, row]
	Importer
	db        *postgres.DB
	customers *customer.Service
}

// NewService works on db with the time that now tells; street lines are sealed by keys, and customers get the place of
// their primary address.
func NewService(db *postgres.DB, keys *seal.Keys, customers *customer.Service, now func() time.Time) *Service {
	s := NewImporter(keys)
	return &Service{Importer: s, db: db, customers: customers, Keeper: owned.Keep(db, now, owned.Kind[Address, row]{
		Name: "address", NotFound: ErrNotFound, Base: func(a *Address) *owned.Base { return &a.Base },
		ToRow: s.toRow, ToItem: s.address, Difference: difference,
		Primary:  func(a *Address) (*bool, map[string]any) { return &a.Primary, nil },
		Refusals: map[string]*fault.Fault{"addresses_value_key": ErrTaken},
	})}
}

// Create gives the customer an address. The first is the primary one unless the draft says no. Fails with
// customer.ErrNotFound, owned.ErrFull, ErrTaken or fault.ErrInvalid.
func (s *Service) Create(ctx context.Context, call tenant.Call, customerID uuid.UUID, d Draft) (Address, error) {
	var a Address
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		ctx := postgres.Join(ctx, tx)
		var err error
		a, err = s.Add(ctx, call, customerID, func(tx postgres.Tx, a *Address) error {
			d.fill(a, call.Tenant.Region)
			if err := a.check(); err != nil {
				return err
			}
			if call.Blind {
				if err := s.refuseLookalike(ctx, tx, call.Tenant, *a); err != nil {
					return err
				}
			}
			if d.Primary != nil {
				return nil
			}
			has, err := hasAny(ctx, tx, call.Tenant.ID, a.CustomerID)
			a.Primary = !has
			return err
		})
		if err != nil {
			return err
		}
		return s.lend(ctx, call, a)
	})
	return a, err
}

func (d Draft) fill(a *Address, region string) {
	a.settle(d.Place)
	if a.Country == "" { // nor do the names tell it
		a.Country = region
	}
	a.Street, a.PostalCode, a.Label, a.Recipient, a.AreaType = d.Street, d.PostalCode, d.Label, d.Recipient, d.AreaType
	patch.Keep(&a.Primary, d.Primary)
}

// Update merges a change into an address. Fails with customer.ErrNotFound, ErrNotFound, patch.ErrVersion, ErrTaken or
// fault.ErrInvalid.
func (s *Service) Update(ctx context.Context, call tenant.Call, customerID, id uuid.UUID, expected patch.Expected, c Change) (Address, error) {
	var a Address
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		ctx := postgres.Join(ctx, tx)
		var before Address
		var err error
		a, err = s.Change(ctx, call, customerID, id, expected, func(tx postgres.Tx, a *Address) error {
			before = *a
			if c.Street.Value != nil && *c.Street.Value == Masked(a.Street) { // a form sends back what it was shown
				c.Street = patch.Field[string]{}
			}
			c.apply(a)
			a.rewritten = call.Blind && c.Street.Given
			if err := a.check(); err != nil || !call.Blind || !a.rewritten && a.Place == before.Place {
				return err
			}
			return s.refuseLookalike(ctx, tx, call.Tenant, *a)
		})
		if err != nil || (a.Primary == before.Primary && a.Place == before.Place) {
			return err
		}
		return s.lend(ctx, call, a)
	})
	return a, err
}

// lend gives the customer the place of its primary address, so that lists, conditions and reports by city know it: as
// the customer's own change, with its event. What the address leaves open the customer keeps.
func (s *Service) lend(ctx context.Context, call tenant.Call, a Address) error {
	if !a.Primary {
		return nil
	}
	c := customer.Change{Country: patch.Set(a.Country)}
	if a.Province+a.City+a.District != "" { // the parts of one place, so that no city stays under another province
		c.Province, c.City, c.District = field(a.Province), field(a.City), field(a.District)
	}
	_, err := s.customers.Update(ctx, call, a.CustomerID, nil, c)
	return err
}

// field is a field's value; the empty one clears.
func field(s string) patch.Field[string] {
	if s == "" {
		return patch.Field[string]{Given: true}
	}
	return patch.Set(s)
}

// Enter adds drafts to a customer, all or none, and answers whether it added any. Those that the customer has already
// stay as they are; with strict they are refused instead. For callers who are not shown street lines, the customer has what
// looks like one of its addresses. Faults point at the draft, counted from 0, such as /3/street.
func (s *Service) Enter(ctx context.Context, call tenant.Call, customerID uuid.UUID, drafts []Draft, strict bool) (bool, error) {
	added := false
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		ctx := postgres.Join(ctx, tx)
		has := map[int64]bool{}
		if !strict {
			var err error
			if has, err = indexesOf(ctx, tx, call.Tenant.ID, customerID); err != nil {
				return err
			}
		}
		seen := map[look]bool{}
		one := call
		if call.Blind {
			looks, err := s.looks(ctx, tx, call.Tenant.ID, uuid.Nil, customerID)
			if err != nil {
				return err
			}
			seen = looks[customerID]
			one.Blind = false // those that are entered together are told apart: the caller knows them
		}
		var v fault.Validator
		for i, d := range drafts {
			var a Address
			d.fill(&a, call.Tenant.Region)
			if a.check() == nil && seen[lookOf(a)] {
				if strict {
					return ErrTaken.At("/"+strconv.Itoa(i), "repeated", ErrTaken.Message)
				}
				continue
			}
			if a.check() == nil && !strict {
				index, err := s.index(call.Tenant.ID, a)
				if err != nil {
					return err
				}
				if has[index] {
					continue
				}
				has[index] = true
			}
			at := "/" + strconv.Itoa(i)
			_, err := s.Create(ctx, one, customerID, d)
			switch {
			case err == nil:
				added = true
			case errors.Is(err, ErrTaken):
				return ErrTaken.At(at, "repeated", ErrTaken.Message)
			default:
				if err := v.Merge(at, err); err != nil {
					return err
				}
			}
		}
		return v.Err()
	})
	return added && err == nil, err
}
