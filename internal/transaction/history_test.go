package transaction_test

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/metric"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/tenant"
	"github.com/kezi-io/kezi/internal/transaction"
)

// order is what the model knows of one: facts alone, from which it adds everything up anew after every step.
type order struct {
	id       uuid.UUID
	status   transaction.Status
	at       time.Time
	day      string // local
	minor    int64
	currency string
	base     int64
	units    int64
	lines    bool
	back     map[uuid.UUID]back
	bills    map[uuid.UUID]bill
}

type back struct {
	day         string
	minor, base int64
}

type bill struct {
	due, paidOn string
	minor, paid int64
}

// world is a model beside the service.
type world struct {
	t      *testing.T
	rng    *rand.Rand
	zone   *time.Location
	now    time.Time
	svc    *transaction.Service
	db     *postgres.DB
	call   tenant.Call
	who    uuid.UUID
	orders []*order
}

// Rates of a dollar from two days on, in the middle of the histories.
var rates = []struct{ day, rate string }{{"2026-01-01", "7"}, {"2026-02-11", "7.35"}}

// base is the model's own conversion: text compares as days do.
func base(minor int64, currency, day string) int64 {
	if currency == "CNY" {
		return minor
	}
	rate := new(big.Rat)
	for _, r := range rates {
		if r.day <= day {
			rate.SetString(r.rate)
		}
	}
	rate.Mul(rate, new(big.Rat).SetInt64(minor)).Add(rate, big.NewRat(1, 2))
	return new(big.Int).Div(rate.Num(), rate.Denom()).Int64()
}

func (w *world) local(at time.Time) string { return at.In(w.zone).Format(time.DateOnly) }

// instant is within half an hour of a local midnight, or anywhere.
func (w *world) instant() time.Time {
	at := time.Date(2026, 2, 1+w.rng.IntN(20), 0, 0, 0, 0, w.zone)
	if w.rng.IntN(2) == 0 {
		return at.Add(time.Duration(w.rng.IntN(3600)-1800) * time.Second).UTC()
	}
	return at.Add(time.Duration(w.rng.IntN(24*3600)) * time.Second).UTC()
}

func (w *world) status() transaction.Status {
	return transaction.Status(transaction.Statuses[w.rng.IntN(len(transaction.Statuses))])
}

func (w *world) amount() money.Money {
	m := money.Money{Minor: w.rng.Int64N(50_000), Currency: "CNY"}
	if w.rng.IntN(4) == 0 {
		m.Currency = "USD"
	}
	return m
}

func (w *world) items(currency string) (drafts []transaction.ItemDraft, sum, units int64) {
	for i := range 1 + w.rng.IntN(3) {
		quantity, unit := 1+w.rng.Int64N(4), w.rng.Int64N(9_000)
		drafts = append(drafts, transaction.ItemDraft{Name: fmt.Sprint("thing ", i), Quantity: transaction.Quantity(quantity * 1000),
			UnitPrice: &money.Money{Minor: unit, Currency: currency}})
		sum, units = sum+quantity*unit, units+quantity
	}
	return drafts, sum, units
}

// refused passes over a change that a rule forbids: it must leave everything as it was, which the next comparison shows.
func (w *world) refused(err error) bool {
	if err != nil && fault.Of(err) == nil {
		require.NoError(w.t, err)
	}
	return err != nil
}

func (w *world) create() {
	amount := w.amount()
	at := w.instant()
	c := transaction.Creation{CustomerID: &w.who, Status: w.status(),
		Moment: transaction.Moment{At: &at}, Amount: &amount}
	o := &order{status: c.Status, at: at, minor: amount.Minor, currency: amount.Currency, back: map[uuid.UUID]back{}, bills: map[uuid.UUID]bill{}}
	if w.rng.IntN(2) == 0 {
		c.Amount = nil
		c.Items, o.minor, o.units = w.items(amount.Currency)
		o.lines = true
	}
	made, err := w.svc.Create(postgrestest.Context(w.t, w.call.Tenant), w.call, c)
	require.NoError(w.t, err)
	o.id, o.day = made.ID, w.local(at)
	o.base = base(o.minor, o.currency, o.day)
	w.orders = append(w.orders, o)
}

func (w *world) edit(o *order) {
	ctx := postgrestest.Context(w.t, w.call.Tenant)
	var c transaction.Change
	after := *o
	switch w.rng.IntN(5) {
	case 0:
		status := w.status()
		c.Status, c.Reason = &status, "correction"
		after.status = *c.Status
	case 1:
		m := w.amount()
		c.Amount = &m
		after.minor, after.currency = m.Minor, m.Currency
	case 2:
		at := w.instant()
		c.Moment.At = &at
		after.at, after.day = at, w.local(at)
	case 3:
		drafts, sum, units := w.items(o.currency)
		c.Items = patch.Set(drafts)
		after.minor, after.units, after.lines = sum, units, true
	default:
		c.Items = patch.Field[[]transaction.ItemDraft]{Given: true}
		after.lines = false
	}
	if _, err := w.svc.Update(ctx, w.call, o.id, nil, c); w.refused(err) {
		return
	}
	if after.minor != o.minor || after.currency != o.currency || after.day != o.day {
		after.base = base(after.minor, after.currency, after.day)
	}
	*o = after
}

func (w *world) giveBack(o *order) {
	ctx := postgrestest.Context(w.t, w.call.Tenant)
	day := tenant.DayOf(w.instant(), w.zone)
	m := money.Money{Minor: 1 + w.rng.Int64N(o.minor/2+2), Currency: o.currency}
	made, err := w.svc.AddReturn(ctx, w.call, o.id, transaction.ReturnDraft{Day: &day, Amount: &m})
	left := o.minor
	for _, b := range o.back {
		left -= b.minor
	}
	allowed := o.status.Purchase() && m.Minor <= left && day.String() >= o.day
	require.Equal(w.t, allowed, err == nil, "%v of %d on %s (%s)", m, left, day, o.day)
	if !w.refused(err) {
		o.back[made.ID] = back{day.String(), m.Minor, base(m.Minor, m.Currency, day.String())}
	}
}

func (w *world) pay(o *order) {
	ctx := postgrestest.Context(w.t, w.call.Tenant)
	due, paidOn := tenant.DayOf(w.instant(), w.zone), tenant.DayOf(w.instant(), w.zone)
	b := bill{due: due.String(), minor: 2 + w.rng.Int64N(5_000)}
	d := transaction.PaymentDraft{DueOn: due, Due: money.Money{Minor: b.minor, Currency: o.currency}}
	if kind := w.rng.IntN(3); kind > 0 {
		d.PaidOn, b.paidOn, b.paid = &paidOn, paidOn.String(), b.minor
		if kind == 2 {
			b.paid = 1
			d.Paid = &money.Money{Minor: 1, Currency: o.currency}
		}
	}
	made, err := w.svc.AddPayment(ctx, w.call, o.id, d)
	require.NoError(w.t, err)
	o.bills[made.ID] = b
}

func (w *world) change(o *order) {
	ctx := postgrestest.Context(w.t, w.call.Tenant)
	for id := range o.back {
		require.NoError(w.t, w.svc.DeleteReturn(ctx, w.call, o.id, id))
		delete(o.back, id)
		return
	}
	for id, b := range o.bills {
		if w.rng.IntN(2) == 0 {
			require.NoError(w.t, w.svc.DeletePayment(ctx, w.call, o.id, id, nil))
			delete(o.bills, id)
			return
		}
		on := tenant.DayOf(w.instant(), w.zone)
		_, err := w.svc.UpdatePayment(ctx, w.call, o.id, id, nil, transaction.PaymentChange{PaidOn: patch.Set(on),
			Paid: patch.Set(money.Money{Minor: b.minor, Currency: o.currency})})
		require.NoError(w.t, err)
		b.paidOn, b.paid = on.String(), b.minor
		o.bills[id] = b
		return
	}
}

// expected adds everything up from scratch, and what is overdue on a day.
func (w *world) expected(today string) (m metric.Metrics, o metric.Overdue) {
	days := map[string]int64{}
	first, last, due, payment := "", "", "", ""
	earlier := func(d *string, day string) {
		if *d == "" || day < *d {
			*d = day
		}
	}
	for _, x := range w.orders {
		for _, b := range x.bills {
			payment = max(payment, b.paidOn)
			late := int(parse(w.t, max(b.paidOn, b.due)).Sub(parse(w.t, b.due).Time).Hours() / 24)
			switch {
			case b.paid == b.minor && late == 0:
				m.OnTimePayments++
			case b.paid == b.minor:
				m.LatePayments++
				m.DaysLateMax, m.DaysLateTotal = max(m.DaysLateMax, late), m.DaysLateTotal+late
			case x.status != transaction.Cancelled && x.status != transaction.Refunded:
				open := base(b.minor-b.paid, x.currency, b.due)
				m.OpenPayments, m.OpenAmount = m.OpenPayments+1, m.OpenAmount+open
				earlier(&due, b.due)
				if b.due < today {
					o.Payments, o.Amount = o.Payments+1, o.Amount+open
				}
			}
		}
		if !x.status.Purchase() {
			continue
		}
		m.PurchaseCount++
		m.UnitsTotal += x.units
		net := x.base
		for _, b := range x.back {
			net -= b.base
			m.ReturnCount, m.ReturnsTotal = m.ReturnCount+1, m.ReturnsTotal+b.base
		}
		m.SpendTotal += net
		days[x.day] += net
		earlier(&first, x.day)
		last = max(last, x.day)
	}
	m.PurchaseDays, m.FirstDaySpend = len(days), days[first]
	if o.Payments > 0 {
		o.DaysLate = int(parse(w.t, today).Sub(parse(w.t, due).Time).Hours() / 24)
	}
	m.FirstPurchaseOn, m.LastPurchaseOn, m.OpenDueOn, m.LastPaymentOn = dayOf(w.t, first), dayOf(w.t, last), dayOf(w.t, due), dayOf(w.t, payment)
	return m, o
}

func parse(t *testing.T, s string) tenant.Day { return *on(t, s) }

func dayOf(t *testing.T, s string) *tenant.Day {
	if s == "" {
		return nil
	}
	return on(t, s)
}

func (w *world) compare(step string) {
	ctx := postgrestest.Context(w.t, w.call.Tenant)
	all, err := metric.Of(ctx, w.db, w.call.Tenant.ID, []uuid.UUID{w.who})
	require.NoError(w.t, err)
	for _, today := range []string{"2026-02-05", "2026-02-14", "2026-03-01"} {
		want, overdue := w.expected(today)
		require.Equal(w.t, want, all[w.who], step)
		owing, err := metric.OverdueOf(ctx, w.db, w.call.Tenant.ID, all, parse(w.t, today))
		require.NoError(w.t, err)
		require.Equal(w.t, overdue, owing[w.who], "%s on %s", step, today)
	}
}

// Random histories of orders, edits, cancellations, returns and payments, at the edges of the tenant's days and in two
// currencies: after every step the metrics are what the facts add up to.
//
// S3-13 S3-15 S3-16 S3-17 S2-07
func TestMetricsFollowEveryStep(t *testing.T) {
	t.Parallel()
	for seed, zone := range []string{"Asia/Shanghai", "America/Sao_Paulo", "Pacific/Kiritimati", "America/St_Johns", "UTC", "Asia/Kathmandu"} {
		t.Run(zone, func(t *testing.T) {
			t.Parallel()
			db := postgrestest.DB(t)
			of := postgrestest.Tenant(t, db, func(c *tenant.Creation) { c.TimeZone = zone })
			ctx := postgrestest.Context(t, of)
			w := &world{t: t, rng: rand.New(rand.NewPCG(uint64(seed), 11)), zone: of.Zone, db: db, now: time.Date(2026, 3, 1, 4, 0, 0, 0, time.UTC),
				call: tenant.Call{Tenant: of, Actor: "test", ChangeSet: uuid.Must(uuid.NewV7())}}
			w.svc = transaction.NewService(db, nil, func() time.Time { return w.now })
			for _, r := range rates {
				_, _, err := w.svc.PutRate(ctx, w.call, nil, "USD", *on(t, r.day), r.rate)
				require.NoError(t, err)
			}
			c, err := customer.NewService(db, time.Now).Create(ctx, w.call, customer.Registration{Kind: customer.Person, Name: zone})
			require.NoError(t, err)
			w.who = c.ID
			for step := range 120 {
				kind := w.rng.IntN(6)
				if len(w.orders) == 0 || (kind == 0 && len(w.orders) < 12) {
					w.create()
				} else {
					o := w.orders[w.rng.IntN(len(w.orders))]
					[]func(*order){w.edit, w.edit, w.giveBack, w.pay, w.change, w.giveBack}[kind](o)
				}
				w.compare(fmt.Sprint("step ", step, " kind ", kind))
			}
			wrong, _, err := metric.Verify(ctx, db, of.ID, 10)
			require.NoError(t, err)
			require.Empty(t, wrong)

			// What an order carries of its returns is verified and mended as well.
			_, err = db.Exec(ctx, `UPDATE transactions SET base_returned = base_returned + 1 WHERE tenant_id = $1`, of.ID)
			require.NoError(t, err)
			wrong, _, err = metric.Verify(ctx, db, of.ID, 10)
			require.NoError(t, err)
			require.Len(t, wrong, 1)
			_, err = metric.RefreshAll(ctx, db, of.ID)
			require.NoError(t, err)
			w.compare("mended")
		})
	}
}

// Forty callers return a tenth each: ten get through.
func TestReturnsNeverExceedTheOrder(t *testing.T) {
	t.Parallel()
	svc, call, _, create := bench(t, "UTC", time.Now)
	ctx := postgrestest.Context(t, call.Tenant)
	made, err := create(transaction.Moment{On: on(t, "2026-01-01")})
	require.NoError(t, err)
	_, err = svc.Update(ctx, call, made.ID, nil, transaction.Change{Amount: &money.Money{Minor: 1000, Currency: "CNY"}})
	require.NoError(t, err)
	done, day := make(chan error), on(t, "2026-01-02")
	for range 40 {
		go func() {
			_, err := svc.AddReturn(ctx, call, made.ID, transaction.ReturnDraft{Day: day, Amount: &money.Money{Minor: 100, Currency: "CNY"}})
			done <- err
		}()
	}
	through := 0
	for range 40 {
		if err := <-done; err == nil {
			through++
		} else {
			require.ErrorIs(t, err, fault.ErrInvalid)
		}
	}
	require.Equal(t, 10, through)
	after, err := svc.Get(ctx, call.Tenant, made.ID)
	require.NoError(t, err)
	require.EqualValues(t, 1000, after.Returned)
}
