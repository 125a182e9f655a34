// Package demo fills tenants with living data for whoever tries kezi: customers whose purchases are drawn from the
// models' own process, scored, tiered and tagged through the services that callers use.
//
// Ids and amounts are the same everywhere, because they come from fixed seeds; days are counted from the day of the
// first start, so that the last purchase was yesterday.
package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/address"
	"github.com/kezi-io/kezi/internal/attribute"
	"github.com/kezi-io/kezi/internal/completeness"
	"github.com/kezi-io/kezi/internal/contact"
	"github.com/kezi-io/kezi/internal/contactpoint"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/importer"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/metric"
	"github.com/kezi-io/kezi/internal/note"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/quality"
	"github.com/kezi-io/kezi/internal/relation"
	"github.com/kezi-io/kezi/internal/score"
	"github.com/kezi-io/kezi/internal/segment"
	"github.com/kezi-io/kezi/internal/tag"
	"github.com/kezi-io/kezi/internal/tenant"
	"github.com/kezi-io/kezi/internal/tier"
	"github.com/kezi-io/kezi/internal/transaction"
)

// The tenants. The second one is there to see that nothing of the first is seen from it.
const (
	Tenant = "demo"
	Second = "demo2"
)

// Services are what the data goes through. Their jobs must be worked on, here or in another process.
type Services struct {
	DB            *postgres.DB
	Tenants       *tenant.Service
	Customers     *customer.Service
	Contacts      *contact.Service
	Relations     *relation.Service
	Notes         *note.Service
	ContactPoints *contactpoint.Service
	Addresses     *address.Service
	Transactions  *transaction.Service
	Tags          *tag.Service
	Segments      *segment.Service
	Scores        *score.Service
	Tiers         *tier.Service
	Imports       *importer.Service
	Jobs          *jobs.Service
	Fields        *attribute.Service
	Quality       *quality.Service
}

// Demo fills and empties the tenants.
type Demo struct {
	s   Services
	now func() time.Time
}

// New fills through s at the time that now tells.
func New(s Services, now func() time.Time) *Demo { return &Demo{s: s, now: now} }

// Filled is what Fill made. All is zero when everything was there.
type Filled struct {
	Customers    int
	Transactions int // before the import, which adds its own
	Took         time.Duration
}

// Fill makes the tenants where they are missing and fills those that have no customers. What an interrupted Fill has
// left behind is cleared and made again; a tenant with customers of somebody else's making stays as it is. Processes
// that start at once wait for each other.
func (d *Demo) Fill(ctx context.Context) (Filled, error) {
	var f Filled
	start := time.Now()
	err := d.alone(ctx, func() error {
		for _, s := range []struct {
			creation tenant.Creation
			world    func() world
			living   bool
		}{
			{tenant.Creation{Name: Tenant, Title: "示范公司", Currency: "CNY", TimeZone: "Asia/Shanghai", Region: "CN"}, chinese, true},
			{tenant.Creation{Name: Second, Title: "Hudson Tea Trading", Currency: "USD", TimeZone: "America/New_York", Region: "US"}, american, false},
		} {
			t, err := d.tenant(ctx, s.creation)
			if err != nil {
				return err
			}
			made, err := d.fill(postgres.WithTenant(ctx, t.ID), t, s.world, s.living)
			if err != nil {
				return fmt.Errorf("fill tenant %s: %w", t.Name, err)
			}
			f.Customers += made.Customers
			f.Transactions += made.Transactions
		}
		return nil
	})
	if f.Customers > 0 {
		f.Took = time.Since(start)
	}
	return f, err
}

// Reset removes everything that belongs to the tenants, whoever made it. The tenants themselves stay.
func (d *Demo) Reset(ctx context.Context) error {
	return d.alone(ctx, func() error {
		for _, name := range []string{Tenant, Second} {
			t, err := d.s.Tenants.ByName(ctx, name)
			if errors.Is(err, tenant.ErrUnknown) {
				continue
			}
			if err != nil {
				return err
			}
			if err := wipe(postgres.WithTenant(ctx, t.ID), d.s.DB, t.ID); err != nil {
				return fmt.Errorf("clear tenant %s: %w", name, err)
			}
		}
		return nil
	})
}

// alone runs fn while no other process fills or clears. The lock belongs to a connection of its own, so it is gone
// when the process is.
func (d *Demo) alone(ctx context.Context, fn func() error) error {
	conn, err := d.s.DB.Pool().Acquire(ctx)
	if err != nil {
		return fmt.Errorf("take a connection: %w", err)
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock(hashtextextended('kezi_demo', 0))`); err != nil {
		return fmt.Errorf("wait for another process that fills the demo tenant: %w", err)
	}
	defer conn.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock(hashtextextended('kezi_demo', 0))`) //nolint:errcheck // a connection that can't be reached has lost the lock
	return fn()
}

func (d *Demo) tenant(ctx context.Context, c tenant.Creation) (tenant.Tenant, error) {
	t, err := d.s.Tenants.ByName(ctx, c.Name)
	if errors.Is(err, tenant.ErrUnknown) {
		return d.s.Tenants.Create(ctx, c)
	}
	return t, err
}

func (d *Demo) fill(ctx context.Context, t tenant.Tenant, draw func() world, living bool) (Filled, error) {
	w := draw()
	done := uuid.Nil // the customers come in one transaction, so any of them shows that all are there
	if living {
		done = jobIDs.at(0)
	}
	at, err := stateOf(ctx, d.s.DB, t.ID, w.people[0].ID, done)
	if err != nil || at == complete || at == foreign {
		return Filled{}, err
	}
	if at == interrupted {
		if err := wipe(ctx, d.s.DB, t.ID); err != nil {
			return Filled{}, err
		}
	}
	anchor := t.Today(d.now())
	for _, r := range w.rates {
		if _, _, err := d.s.Transactions.PutRate(ctx, call(t, operator, loadChangeSet), nil, r.currency, dayAt(anchor, r.day), r.value); err != nil {
			return Filled{}, fmt.Errorf("set an exchange rate: %w", err)
		}
	}
	if err := d.load(ctx, t, anchor, w); err != nil {
		return Filled{}, err
	}
	made := Filled{Customers: len(w.people), Transactions: len(w.orders)}
	if !living {
		return made, nil
	}
	return made, d.enliven(ctx, t, anchor, w)
}

// load writes customers and transactions by sets, with their metrics and the one event that stands for them.
func (d *Demo) load(ctx context.Context, t tenant.Tenant, anchor tenant.Day, w world) error {
	c := call(t, operator, loadChangeSet)
	return d.s.DB.InTx(ctx, func(tx postgres.Tx) error {
		people := make([]customer.Customer, len(w.people))
		for i, p := range w.people {
			people[i] = p.Customer
			people[i].CreatedAt = momentAt(anchor, p.created.day, p.created.second, t.Zone)
		}
		if err := d.s.Customers.Load(ctx, tx, c, people); err != nil {
			return err
		}
		if err := insertGoods(ctx, tx, t, anchor, w); err != nil {
			return err
		}
		if err := d.reach(ctx, tx, t, anchor, w.people); err != nil {
			return err
		}
		if err := insertOrders(ctx, tx, t, anchor, w); err != nil {
			return err
		}
		if err := insertParts(ctx, tx, t, anchor, w); err != nil {
			return err
		}
		ids := make([]uuid.UUID, len(w.people)) // ascending, and far fewer than one transaction may change
		for i, p := range w.people {
			ids[i] = p.ID
		}
		if err := metric.Refresh(ctx, tx, t.ID, ids); err != nil {
			return err
		}
		if err := completeness.Refresh(ctx, tx, t.ID, ids); err != nil {
			return err
		}
		if err := event.Touched(ctx, tx, c, ids); err != nil {
			return err
		}
		return event.Record(ctx, tx, c, d.now(), event.Event{Type: "tenant.filled", SubjectType: "tenant", SubjectID: t.Name})
	})
}

// Who did what is done here.
const (
	operator = "demo-operator"
	writer   = "demo-writer"
)

func call(t tenant.Tenant, actor string, changeSet uuid.UUID) tenant.Call {
	return tenant.Call{Tenant: t, Actor: actor, RequestID: "demo", ChangeSet: changeSet}
}

// dayAt is the day so many days after the anchor; before it when negative.
func dayAt(anchor tenant.Day, offset int) tenant.Day {
	return tenant.Day{Time: anchor.AddDate(0, 0, offset)}
}

// momentAt is the instant of a local time of that day.
func momentAt(anchor tenant.Day, offset, second int, zone *time.Location) time.Time {
	y, m, d := dayAt(anchor, offset).Date()
	return time.Date(y, m, d, second/3600, second/60%60, second%60, 0, zone).UTC()
}
