// Package transaction is money that customers moved: orders with their items, status, payments and returns, and the rates
// at which they count.
package transaction

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/metric"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Service keeps transactions and exchange rates.
type Service struct {
	db     *postgres.DB
	checks Checks
	now    func() time.Time
}

// NewService works on db with the time that now tells. checks may be nil.
func NewService(db *postgres.DB, checks Checks, now func() time.Time) *Service {
	return &Service{db: db, checks: checks, now: now}
}

// Get is one transaction with its items, or ErrNotFound.
func (s *Service) Get(ctx context.Context, t tenant.Tenant, id uuid.UUID) (Transaction, error) {
	x, err := get(ctx, s.db, t, id)
	if err != nil {
		return Transaction{}, err
	}
	err = attach(ctx, s.db, t.ID, []*Transaction{&x})
	return x, err
}

// List is a page of transactions, newest first unless told.
func (s *Service) List(ctx context.Context, t tenant.Tenant, q Query) (page.Of[Transaction], error) {
	p, err := list(ctx, s.db, t, q)
	if err != nil || !q.Items {
		return p, err
	}
	all := make([]*Transaction, len(p.Items))
	for i := range p.Items {
		all[i] = &p.Items[i]
	}
	return p, attach(ctx, s.db, t.ID, all)
}

// Create records a transaction; the customer's metrics follow in the same commit. Fails with customer.ErrNotFound,
// ErrTaken, or fault.ErrInvalid naming what is wrong.
func (s *Service) Create(ctx context.Context, call tenant.Call, c Creation) (Transaction, error) {
	var made Transaction
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		if err := tenant.Hold(ctx, tx, call.Tenant); err != nil {
			return err
		}
		owner, err := s.owner(ctx, tx, call.Tenant, c)
		if err != nil {
			return err
		}
		if made, err = s.create(ctx, tx, call, owner, c); err != nil {
			return err
		}
		if err := metric.Refresh(ctx, tx, call.Tenant.ID, []uuid.UUID{owner}); err != nil {
			return err
		}
		return s.record(ctx, tx, call, made, "transaction.created", nil)
	})
	return made, err
}

// create writes a transaction of a customer whom the caller holds; metrics and event are the caller's.
func (s *Service) create(ctx context.Context, tx postgres.Tx, call tenant.Call, owner uuid.UUID, c Creation) (Transaction, error) {
	now := s.now()
	t := Transaction{ID: uuid.Must(uuid.NewV7()), Version: 1, CustomerID: owner, Source: c.Source, ExternalID: c.ExternalID,
		Status: c.Status, Units: c.Units, PaymentMethod: c.PaymentMethod, Channel: c.Channel, Store: c.Store, Delivery: c.Delivery,
		Attributes: merged(nil, c.Attributes), Items: []Item{}, CreatedBy: call.Actor, CreatedAt: now, UpdatedAt: now}
	if t.Source == "" {
		t.Source = "api"
	}
	if t.Status == "" {
		t.Status = Completed
	}
	var v fault.Validator
	t.at(c.Moment, call.Tenant.Zone, now, &v)
	t.Delivery.check(&v)
	if err := v.Err(); err != nil {
		return t, err
	}
	var drafts *[]ItemDraft
	if len(c.Items) > 0 {
		drafts = &c.Items
	}
	err := s.fill(ctx, tx, call.Tenant, &t, c.Amount, optional(c.Discount), optional(c.Shipping), drafts, c.Units != nil)
	if err != nil {
		return t, err
	}
	if t.Base, err = convert(ctx, tx, call.Tenant, t.Amount, t.Day, "/amount"); err != nil {
		return t, err
	}
	if _, err := s.check(ctx, tx, call.Tenant, &t, nil); err != nil {
		return t, err
	}
	if err := insert(ctx, tx, call.Tenant, t); err != nil {
		return t, err
	}
	return t, insertItems(ctx, tx, call.Tenant.ID, t)
}

func optional(m *money.Money) patch.Field[money.Money] {
	return patch.Field[money.Money]{Given: m != nil, Value: m}
}

// check also brings the moments to what the database keeps.
func (d *Delivery) check(v *fault.Validator) {
	for _, at := range []**time.Time{&d.ShippedAt, &d.DeliveredAt} {
		if *at != nil {
			kept := (*at).UTC().Truncate(time.Microsecond)
			*at = &kept
		}
	}
	v.Check(d.ShippedAt == nil || d.DeliveredAt == nil || !d.DeliveredAt.Before(*d.ShippedAt), "/delivery/delivered_at", "before_shipped",
		fault.T("must not be before shipped_at", "不能早于 shipped_at"))
	for name, at := range map[string]*time.Time{"shipped_at": d.ShippedAt, "delivered_at": d.DeliveredAt} {
		v.Check(at == nil || tenant.DayOf(*at, time.UTC).Plausible(), "/delivery/"+name, "out_of_range", tenant.Implausible)
	}
}

// owner finds and locks the customer that a creation names: who writes facts holds the customer.
func (s *Service) owner(ctx context.Context, tx postgres.Tx, t tenant.Tenant, c Creation) (uuid.UUID, error) {
	if err := c.checkOwner(); err != nil {
		return uuid.Nil, err
	}
	var id uuid.UUID
	pointer := "/customer_id"
	if c.CustomerID != nil {
		id = *c.CustomerID
	}
	var err error
	if c.Customer != nil {
		pointer = "/customer"
		id, err = customer.Find(ctx, tx, t.ID, *c.Customer)
	}
	if err == nil {
		id, err = customer.Hold(ctx, tx, t.ID, id)
	}
	if f := fault.Of(err); f != nil {
		return uuid.Nil, fault.ErrInvalid.At(pointer, f.Code, f.Message)
	}
	return id, err
}

func (c Creation) checkOwner() error {
	var v fault.Validator
	v.Check((c.CustomerID == nil) != (c.Customer == nil), "/customer_id", "one_of",
		fault.T("give customer_id or customer, exactly one", "customer_id 与 customer 必须且只能给出一个"))
	return v.Err()
}

// held reads a transaction and locks its customer, so that nobody else changes either. Fails with ErrNotFound.
func (s *Service) held(ctx context.Context, tx postgres.Tx, t tenant.Tenant, id uuid.UUID) (Transaction, error) {
	if err := tenant.Hold(ctx, tx, t); err != nil {
		return Transaction{}, err
	}
	found, err := get(ctx, tx, t, id)
	if err != nil {
		return Transaction{}, err
	}
	if _, err := customer.Hold(ctx, tx, t.ID, found.CustomerID); err != nil {
		return Transaction{}, err
	}
	return get(ctx, tx, t, id) // again: now that the customer is held it stays as it is
}

// Update merges a change into a transaction. A change without effect keeps the version and writes no event. Fails with
// ErrNotFound, patch.ErrVersion or fault.ErrInvalid.
func (s *Service) Update(ctx context.Context, call tenant.Call, id uuid.UUID, expected patch.Expected, c Change) (Transaction, error) {
	var t Transaction
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		var err error
		if t, err = s.held(ctx, tx, call.Tenant, id); err != nil {
			return err
		}
		if err := expected.Check(t.Version); err != nil {
			return err
		}
		if err := attach(ctx, tx, call.Tenant.ID, []*Transaction{&t}); err != nil {
			return err
		}
		before := t
		if err := s.apply(ctx, tx, call.Tenant, &t, c); err != nil {
			return err
		}
		if t.Amount != before.Amount || t.Day != before.Day {
			if err := s.moved(ctx, tx, call.Tenant, &t, before); err != nil {
				return err
			}
		}
		told, err := s.check(ctx, tx, call.Tenant, &t, &before)
		if err != nil {
			return err
		}
		previous := difference(before, t)
		for name, value := range told {
			if _, changed := previous[name]; changed {
				previous[name] = value
			}
		}
		if len(previous) == 0 {
			return nil
		}
		return s.store(ctx, tx, call, &t, before, previous, c.Reason)
	})
	return t, err
}

// apply merges a change into t.
func (s *Service) apply(ctx context.Context, tx postgres.Tx, of tenant.Tenant, t *Transaction, c Change) error {
	if c.Status != nil {
		if err := checkMove(t.Status, *c.Status, c.Reason); err != nil {
			return err
		}
		if *c.Status == Shipped && t.Status != Shipped && t.Delivery.ShippedAt == nil {
			now := s.now()
			t.Delivery.ShippedAt = &now
		}
		t.Status = *c.Status
	}
	c.PaymentMethod.Into(&t.PaymentMethod)
	c.Channel.Into(&t.Channel)
	c.Store.Into(&t.Store)
	if c.Units.Given {
		t.Units = c.Units.Value
	}
	c.mergeDelivery(&t.Delivery)
	if c.Attributes.Given {
		if c.Attributes.Value == nil {
			t.Attributes = map[string]any{}
		} else {
			t.Attributes = merged(t.Attributes, *c.Attributes.Value)
		}
	}
	var v fault.Validator
	if c.Moment != (Moment{}) {
		t.at(c.Moment, of.Zone, s.now(), &v)
	}
	t.Delivery.check(&v)
	if err := v.Err(); err != nil {
		return err
	}
	var drafts *[]ItemDraft
	if c.Items.Given {
		if err := checkReplaceable(ctx, tx, of.ID, *t); err != nil {
			return err
		}
		drafts = &[]ItemDraft{}
		if c.Items.Value != nil {
			drafts = c.Items.Value
		}
	}
	if c.Amount == nil && !c.Discount.Given && !c.Shipping.Given && drafts == nil {
		return nil
	}
	return s.fill(ctx, tx, of, t, c.Amount, c.Discount, c.Shipping, drafts, c.Units.Given)
}

func (c Change) mergeDelivery(d *Delivery) {
	switch {
	case !c.Delivery.Given:
	case c.Delivery.Value == nil:
		*d = Delivery{}
	default:
		m := c.Delivery.Value
		m.Carrier.Into(&d.Carrier)
		m.TrackingNumber.Into(&d.TrackingNumber)
		if m.ShippedAt.Given {
			d.ShippedAt = m.ShippedAt.Value
		}
		if m.DeliveredAt.Given {
			d.DeliveredAt = m.DeliveredAt.Value
		}
	}
}

var currencyFixed = fault.T("the currency stays while the order has items, payments or returns in it",
	"订单已有该币种的明细、付款或退货，币种不能更改")

// moved converts an amount or day that changed, and refuses what its returns and payments contradict.
func (s *Service) moved(ctx context.Context, tx postgres.Tx, of tenant.Tenant, t *Transaction, before Transaction) error {
	var v fault.Validator
	if t.Amount.Currency != before.Amount.Currency {
		tied, err := hasMoney(ctx, tx, of.ID, *t)
		if err != nil {
			return err
		}
		v.Check(!tied, "/amount/currency", "currency_fixed", currencyFixed)
	} else {
		v.Check(t.Amount.Minor >= t.Returned, "/amount/amount", "below_returned",
			fault.T("more than that has been returned; change the returns first", "低于已退货金额；请先更改退货记录"))
	}
	if t.Returns > 0 && t.Day != before.Day {
		first, err := firstReturn(ctx, tx, of.ID, *t)
		if err != nil {
			return err
		}
		v.Check(!t.Day.After(first.Time), "/occurred_on", "after_return",
			fault.T("a return is before that day", "已有退货早于该日期"))
	}
	if err := v.Err(); err != nil {
		return err
	}
	var err error
	t.Base, err = convert(ctx, tx, of, t.Amount, t.Day, "/amount")
	return err
}

// store writes what a change made of t, with all that follows from it.
func (s *Service) store(ctx context.Context, tx postgres.Tx, call tenant.Call, t *Transaction, before Transaction, previous map[string]any, reason string) error {
	t.Version++
	t.UpdatedAt = s.now()
	if err := update(ctx, tx, call.Tenant, *t); err != nil {
		return err
	}
	if _, replaced := previous["items"]; replaced {
		if err := removeItems(ctx, tx, call.Tenant.ID, *t); err != nil {
			return err
		}
		if err := insertItems(ctx, tx, call.Tenant.ID, *t); err != nil {
			return err
		}
	}
	if t.Status != before.Status {
		err := insertStatus(ctx, tx, call.Tenant.ID, *t, StatusChange{From: before.Status, To: t.Status, At: t.UpdatedAt,
			Actor: call.Actor, Reason: reason})
		if err != nil {
			return err
		}
	}
	if err := metric.Refresh(ctx, tx, call.Tenant.ID, []uuid.UUID{t.CustomerID}); err != nil {
		return err
	}
	return s.record(ctx, tx, call, *t, "transaction.updated", previous)
}

func (s *Service) record(ctx context.Context, tx postgres.Tx, call tenant.Call, t Transaction, what string, previous map[string]any) error {
	return s.recordOf(ctx, tx, call, t, what, "transaction", t.ID, previous)
}

// recordOf writes the event of something that hangs on t.
func (s *Service) recordOf(ctx context.Context, tx postgres.Tx, call tenant.Call, t Transaction, what, subject string, id uuid.UUID, previous map[string]any) error {
	version, err := customer.Version(ctx, tx, call.Tenant.ID, t.CustomerID)
	if err != nil {
		return err
	}
	return event.Record(ctx, tx, call, s.now(), event.Event{Type: what, SubjectType: subject, SubjectID: id.String(),
		CustomerID: &t.CustomerID, CustomerVersion: &version, Previous: previous})
}
