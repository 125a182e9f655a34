package contactpoint

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/owned"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/seal"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Service keeps contact points.
type Service struct {
	*owned.Keeper[ContactPoint, row]
	Index
	db  *postgres.DB
	now func() time.Time
}

// NewService works on db with the time that now tells; values are sealed and indexed by keys.
func NewService(db *postgres.DB, keys *seal.Keys, now func() time.Time) *Service {
	x := NewIndex(keys)
	return &Service{Index: x, db: db, now: now, Keeper: owned.Keep(db, now, owned.Kind[ContactPoint, row]{
		Name: "contact_point", NotFound: ErrNotFound, Base: func(p *ContactPoint) *owned.Base { return &p.Base },
		ToRow: x.toRow, ToItem: x.contactPoint, Difference: difference,
		Primary: func(p *ContactPoint) (*bool, map[string]any) {
			return &p.Primary, map[string]any{"kind": p.Kind, "contact_id": p.ContactID}
		},
		Refusals: map[string]*fault.Fault{"contact_points_value_key": ErrTaken},
	})}
}

// Create gives the customer a contact point. The first of its kind is the primary one unless the draft says no. Fails
// with customer.ErrNotFound, owned.ErrFull, ErrTaken or fault.ErrInvalid, none of which repeats the value.
func (s *Service) Create(ctx context.Context, call tenant.Call, customerID uuid.UUID, d Draft) (ContactPoint, error) {
	return s.Add(ctx, call, customerID, func(tx postgres.Tx, p *ContactPoint) error {
		p.Kind, p.Platform, p.Label, p.VerifiedAt, p.Consent = d.Kind, d.Platform, d.Label, d.VerifiedAt, d.Consent
		p.ContactID, p.Source, p.Valid = d.ContactID, d.Source, true
		if p.Consent == "" {
			p.Consent = Unknown
		}
		patch.Keep(&p.Valid, d.Valid)
		var v fault.Validator
		_, err := p.write(d.Value, call.Tenant.Region, d.Blind)
		if err := errors.Join(v.Merge("", err), v.Merge("", p.check(s.now()))); err != nil {
			return err
		}
		if err := s.checkContact(ctx, tx, &v, call.Tenant, *p); err != nil {
			return err
		}
		if err := v.Err(); err != nil {
			return err
		}
		if d.Blind {
			if err := s.refuseLookalike(ctx, tx, call.Tenant, *p); err != nil {
				return err
			}
		}
		if d.Primary != nil {
			p.Primary = *d.Primary
			return nil
		}
		has, err := hasPrimary(ctx, tx, call.Tenant.ID, *p)
		p.Primary = !has
		return err
	})
}

// Update merges a change into a contact point. A new value is not verified, and valid until told. Fails with
// customer.ErrNotFound, ErrNotFound, patch.ErrVersion, ErrTaken or fault.ErrInvalid.
func (s *Service) Update(ctx context.Context, call tenant.Call, customerID, id uuid.UUID, expected patch.Expected, c Change) (ContactPoint, error) {
	return s.Change(ctx, call, customerID, id, expected, func(tx postgres.Tx, p *ContactPoint) error {
		var v fault.Validator
		if err := errors.Join(v.Merge("", c.apply(p, call.Tenant.Region)), v.Merge("", p.check(s.now()))); err != nil {
			return err
		}
		if c.ContactID.Value != nil {
			if err := s.checkContact(ctx, tx, &v, call.Tenant, *p); err != nil {
				return err
			}
		}
		if err := v.Err(); err != nil || !c.Blind || (c.Value == nil && !c.ContactID.Given) {
			return err
		}
		return s.refuseLookalike(ctx, tx, call.Tenant, *p)
	})
}

func (s *Service) checkContact(ctx context.Context, tx postgres.Tx, v *fault.Validator, t tenant.Tenant, p ContactPoint) error {
	if p.ContactID == nil {
		return nil
	}
	ok, err := hasContact(ctx, tx, t.ID, p.CustomerID, *p.ContactID)
	v.Check(ok, "/contact_id", "unknown_contact", fault.T("the customer has no such contact", "该客户没有这个联系人"))
	return err
}

// Enter adds drafts to a customer, all or none, and answers whether it added any. Those that the customer has already
// stay as they are, so that the same list may be sent again; with strict they are refused instead. Faults point at the
// draft, counted from 0, such as /3/value. Of blind drafts the customer has what looks like one of them.
func (s *Service) Enter(ctx context.Context, call tenant.Call, customerID uuid.UUID, drafts []Draft, strict bool) (bool, error) {
	added := false
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		ctx := postgres.Join(ctx, tx)
		has := map[key]bool{}
		if !strict {
			var err error
			if has, err = keysOf(ctx, tx, call.Tenant.ID, customerID); err != nil {
				return err
			}
		}
		var v fault.Validator
		var seen map[look]bool
		for i, d := range drafts {
			at := "/" + strconv.Itoa(i)
			n, wrong := Normalize(d.Kind, d.Platform, d.Value, call.Tenant.Region)
			if wrong == nil && d.Blind {
				if seen == nil {
					var err error
					if seen, err = s.looks(ctx, tx, call.Tenant, customerID, uuid.Nil); err != nil {
						return err
					}
				}
				d.Blind = false // those that are entered together are told apart: the caller knows them
				if seen[lookOf(d.ContactID, n)] {
					if strict {
						return ErrTaken.At(at+"/value", "repeated", ErrTaken.Message)
					}
					continue
				}
			}
			if wrong == nil && !strict {
				whole, err := s.whole(call.Tenant.ID, n)
				if err != nil {
					return err
				}
				k := keyOf(d.ContactID, d.Kind, whole[0])
				if has[k] {
					continue
				}
				has[k] = true
			}
			_, err := s.Create(ctx, call, customerID, d)
			switch {
			case err == nil:
				added = true
			case errors.Is(err, ErrTaken):
				return ErrTaken.At(at+"/value", "repeated", ErrTaken.Message)
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

// Query asks who has a value, in any spelling.
type Query struct {
	Kind            Kind // empty tries each
	Platform, Value string
	Page            page.Request
}

// Holders is a page of the contact points that are exactly this value, whoever has them, by customer. A phone without
// its extension finds those with one too. Fails with fault.ErrInvalid when the value can't be one of the kind.
func (s *Service) Holders(ctx context.Context, t tenant.Tenant, query Query) (page.Of[ContactPoint], error) {
	kinds := []Kind{query.Kind}
	if query.Kind == "" {
		kinds = []Kind{Phone, Email, WeChat, QQ, Weibo}
	}
	var sought seal.Indexes
	var wrong *Wrong
	for _, kind := range kinds {
		n, bad := Normalize(kind, query.Platform, query.Value, t.Region)
		if bad != nil {
			wrong = bad
			continue
		}
		whole, err := s.whole(t.ID, n)
		if err != nil {
			return page.Of[ContactPoint]{}, err
		}
		sought = append(sought, whole...)
	}
	if len(sought) == 0 {
		if query.Kind == "" {
			wrong = &Wrong{"bad_value", fault.T("this is no phone, email or account", "不是电话、邮箱或账号")}
		}
		return page.Of[ContactPoint]{}, fault.ErrInvalid.At("/value", wrong.Code, wrong.Detail)
	}
	return s.holders(ctx, s.db, t.ID, sought, query.Page)
}
