package contact

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/contactpoint"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/owned"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Service keeps contacts. Customers of either kind have them: a company its buyers, a household the one who opens the
// door; and a customer whose kind is corrected keeps them.
type Service struct{ *owned.Keeper[Contact, row] }

// NewService works on db with the time that now tells. A contact that is deleted takes its points along.
func NewService(db *postgres.DB, points *contactpoint.Service, now func() time.Time) *Service {
	return &Service{owned.Keep(db, now, owned.Kind[Contact, row]{
		Name: "contact", NotFound: ErrNotFound, Base: func(c *Contact) *owned.Base { return &c.Base },
		ToRow: toRow, ToItem: row.contact, Difference: difference, Order: &order,
		Primary:  func(c *Contact) (*bool, map[string]any) { return &c.Primary, nil },
		Refusals: map[string]*fault.Fault{"contacts_person_key": ErrTwice},
		Removing: func(ctx context.Context, tx postgres.Tx, call tenant.Call, c Contact) error {
			return points.RemoveAll(ctx, tx, call, c.CustomerID, map[string]any{"contact_id": c.ID})
		},
	})}
}

// Create makes a contact. A primary one takes the place of the one before. Fails with customer.ErrNotFound, ErrTwice,
// owned.ErrFull or fault.ErrInvalid.
func (s *Service) Create(ctx context.Context, call tenant.Call, customerID uuid.UUID, d Draft) (Contact, error) {
	return s.Add(ctx, call, customerID, func(tx postgres.Tx, c *Contact) error {
		c.Name, c.Title, c.Department, c.Gender, c.DecisionRole = d.Name, d.Title, d.Department, d.Gender, d.DecisionRole
		c.Primary, c.Remark, c.PersonID = d.Primary, d.Remark, d.PersonID
		if err := c.check(); err != nil {
			return err
		}
		return link(ctx, tx, call.Tenant.ID, c)
	})
}

// Update merges a change into a contact. Fails with customer.ErrNotFound, ErrNotFound, patch.ErrVersion, ErrTwice or
// fault.ErrInvalid.
func (s *Service) Update(ctx context.Context, call tenant.Call, customerID, id uuid.UUID, expected patch.Expected, change Change) (Contact, error) {
	return s.Change(ctx, call, customerID, id, expected, func(tx postgres.Tx, c *Contact) error {
		change.apply(c)
		if err := c.check(); err != nil || change.PersonID.Value == nil {
			return err
		}
		return link(ctx, tx, call.Tenant.ID, c)
	})
}

// link checks whom the contact names as the same human. Only the moment of linking counts: a person deleted later stays
// linked, and is found again when undeleted.
func link(ctx context.Context, tx postgres.Tx, tenantID int32, c *Contact) error {
	if c.PersonID == nil {
		return nil
	}
	id, err := customer.Present(ctx, tx, tenantID, *c.PersonID)
	if f := fault.Of(err); f != nil {
		return fault.ErrInvalid.At("/person_id", f.Code, f.Message)
	}
	if err != nil {
		return err
	}
	c.PersonID = &id
	kind, err := kindOf(ctx, tx, tenantID, id)
	if err != nil {
		return err
	}
	var v fault.Validator
	v.Check(kind == customer.Person, "/person_id", "not_a_person", fault.T("must be a customer of kind person", "必须是个人客户"))
	v.Check(id != c.CustomerID, "/person_id", "same_customer", fault.T("a customer is no contact of itself", "客户不能是自己的联系人"))
	return v.Err()
}
