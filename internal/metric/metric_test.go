package metric_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/metric"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/tenant"
	"github.com/kezi-io/kezi/internal/transaction"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// plain is the oracle: what a list of transactions adds up to, computed one by one.
func plain(facts []transaction.Transaction) metric.Metrics {
	var m metric.Metrics
	days := map[tenant.Day]int64{}
	for _, f := range facts {
		switch f.Status {
		case transaction.Paid, transaction.ToShip, transaction.Shipped, transaction.Completed:
		default:
			continue
		}
		m.PurchaseCount++
		m.SpendTotal += f.Base.Minor
		if f.Units != nil {
			m.UnitsTotal += int64(*f.Units)
		}
		days[f.Day] += f.Base.Minor
		if m.FirstPurchaseOn == nil || f.Day.Before(m.FirstPurchaseOn.Time) {
			m.FirstPurchaseOn = &tenant.Day{Time: f.Day.Time}
		}
		if m.LastPurchaseOn == nil || f.Day.After(m.LastPurchaseOn.Time) {
			m.LastPurchaseOn = &tenant.Day{Time: f.Day.Time}
		}
	}
	m.PurchaseDays = len(days)
	if m.FirstPurchaseOn != nil {
		m.FirstDaySpend = days[*m.FirstPurchaseOn]
	}
	return m
}

// Random histories, written one by one in any order with edits and cancellations in between: the metrics kept in those
// transactions, those computed by sets, and the oracle are equal.
//
// S0-55
func TestKeptMetricsEqualTheFacts(t *testing.T) {
	t.Parallel()
	db := postgrestest.DB(t)
	of := postgrestest.Tenant(t, db)
	ctx := postgrestest.Context(t, of)
	call := tenant.Call{Tenant: of, Actor: "test", ChangeSet: uuid.Must(uuid.NewV7())}
	customers := customer.NewService(db, time.Now)
	transactions := transaction.NewService(db, nil, time.Now)
	statuses := []transaction.Status{transaction.Pending, transaction.Paid, transaction.ToShip, transaction.Shipped,
		transaction.Completed, transaction.Cancelled, transaction.Refunded}

	ids := []uuid.UUID{}
	truth := map[uuid.UUID][]transaction.Transaction{}
	for seed := range uint64(25) {
		random := rand.New(rand.NewPCG(seed, 1))
		c, err := customers.Create(ctx, call, customer.Registration{Kind: customer.Person, Name: fmt.Sprint(seed)})
		require.NoError(t, err)
		ids = append(ids, c.ID)
		day := func() *tenant.Day {
			d := tenant.Day{Time: time.Date(2026, 1, 1+random.IntN(20), 0, 0, 0, 0, time.UTC)}
			return &d
		}
		for range random.IntN(15) {
			facts := truth[c.ID]
			if len(facts) > 0 && random.IntN(3) == 0 {
				i := random.IntN(len(facts))
				change := transaction.Change{}
				switch random.IntN(3) {
				case 0:
					change.Status, change.Reason = &statuses[random.IntN(len(statuses))], "test"
				case 1:
					change.Amount = &money.Money{Minor: random.Int64N(10_000), Currency: "CNY"}
				default:
					change.Moment.On = day()
				}
				changed, err := transactions.Update(ctx, call, facts[i].ID, nil, change)
				if errors.Is(err, fault.ErrInvalid) && change.Status != nil { // back to pending
					continue
				}
				require.NoError(t, err)
				facts[i] = changed
				continue
			}
			units := random.IntN(5)
			made, err := transactions.Create(ctx, call, transaction.Creation{CustomerID: &c.ID, Moment: transaction.Moment{On: day()},
				Status: statuses[random.IntN(len(statuses))], Amount: &money.Money{Minor: random.Int64N(10_000), Currency: "CNY"}, Units: &units})
			require.NoError(t, err)
			truth[c.ID] = append(facts, made)
		}
	}
	compare := func() {
		t.Helper()
		kept, err := metric.Of(ctx, db, of.ID, ids)
		require.NoError(t, err)
		for _, id := range ids {
			require.Equal(t, plain(truth[id]), kept[id])
		}
		wrong, n, err := metric.Verify(ctx, db, of.ID, 10)
		require.NoError(t, err)
		require.Empty(t, wrong)
		require.EqualValues(t, len(ids), n)
	}
	compare()

	// Spoil them: Verify must see it, and a computation by sets must mend it.
	_, err := db.Exec(ctx, `UPDATE customer_metrics SET spend_total = spend_total + 1, last_purchase_on = '2030-01-01' WHERE tenant_id = $1`, of.ID)
	require.NoError(t, err)
	wrong, _, err := metric.Verify(ctx, db, of.ID, 1000)
	require.NoError(t, err)
	require.Len(t, wrong, len(ids))
	n, err := metric.RefreshAll(ctx, db, of.ID)
	require.NoError(t, err)
	require.EqualValues(t, len(ids), n)
	compare()
}

func TestAveragePurchase(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		total int64
		count int
		want  int64
	}{{0, 1, 0}, {1, 3, 0}, {2, 3, 1}, {3, 2, 2}, {10, 4, 3}, {math.MaxInt64, 1, math.MaxInt64}, {1<<62 + 1, 2, 1<<61 + 1},
		{math.MaxInt64, math.MaxInt32, 4294967298}} {
		got, ok := metric.Metrics{SpendTotal: c.total, PurchaseCount: c.count}.AveragePurchase()
		require.True(t, ok)
		require.Equal(t, c.want, got, "%d / %d", c.total, c.count)
	}
	_, ok := metric.Metrics{}.AveragePurchase()
	require.False(t, ok)
}

func TestOtherTenantsFactsDoNotCount(t *testing.T) {
	t.Parallel()
	db := postgrestest.DB(t)
	one, other := postgrestest.Tenant(t, db), postgrestest.Tenant(t, db)
	make1 := func(of tenant.Tenant) uuid.UUID {
		ctx := postgres.WithTenant(t.Context(), of.ID)
		call := tenant.Call{Tenant: of, Actor: "test", ChangeSet: uuid.Must(uuid.NewV7())}
		c, err := customer.NewService(db, time.Now).Create(ctx, call, customer.Registration{Kind: customer.Person, Name: "x"})
		require.NoError(t, err)
		return c.ID
	}
	mine, theirs := make1(one), make1(other)
	all, err := metric.Of(postgrestest.Context(t, one), db, one.ID, []uuid.UUID{mine, theirs})
	require.NoError(t, err)
	require.Len(t, all, 1)
}
