package transaction_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/tenant"
	"github.com/kezi-io/kezi/internal/transaction"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

func on(t *testing.T, s string) *tenant.Day {
	d, err := tenant.ParseDay(s)
	require.NoError(t, err)
	return &d
}

func at(t *testing.T, s string) *time.Time {
	m, err := time.Parse(time.RFC3339, s)
	require.NoError(t, err)
	return &m
}

// bench is a tenant with one customer, and a service whose clock tells what now tells.
func bench(t *testing.T, zone string, now func() time.Time) (*transaction.Service, tenant.Call, uuid.UUID, func(transaction.Moment) (transaction.Transaction, error)) {
	db := postgrestest.DB(t)
	of := postgrestest.Tenant(t, db, func(c *tenant.Creation) { c.TimeZone = zone })
	call := tenant.Call{Tenant: of, Actor: "test", ChangeSet: uuid.Must(uuid.NewV7())}
	ctx := postgrestest.Context(t, of)
	c, err := customer.NewService(db, time.Now).Create(ctx, call, customer.Registration{Kind: customer.Person, Name: "ada"})
	require.NoError(t, err)
	svc := transaction.NewService(db, nil, now)
	return svc, call, c.ID, func(m transaction.Moment) (transaction.Transaction, error) {
		return svc.Create(ctx, call, transaction.Creation{CustomerID: &c.ID, Moment: m, Amount: &money.Money{Minor: 1, Currency: "CNY"}})
	}
}

func TestMomentsThatCanNotBeAreRefused(t *testing.T) {
	t.Parallel()
	svc, call, _, create := bench(t, "Pacific/Apia", time.Now)
	yesterday := time.Now().Add(-24 * time.Hour)
	_, err := create(transaction.Moment{At: &yesterday})
	require.NoError(t, err)
	aheadOfTime := time.Now().Add(25 * time.Hour)
	for _, c := range []struct {
		moment        transaction.Moment
		pointer, code string
	}{
		{transaction.Moment{At: at(t, "0001-01-01T00:00:00Z")}, "/occurred_at", "out_of_range"},
		{transaction.Moment{At: at(t, "9999-01-01T00:00:00Z")}, "/occurred_at", "out_of_range"},
		{transaction.Moment{On: on(t, "0001-01-01")}, "/occurred_on", "out_of_range"},
		{transaction.Moment{On: on(t, "2201-01-01")}, "/occurred_on", "out_of_range"},
		{transaction.Moment{On: on(t, "2011-12-30")}, "/occurred_on", "bad_date"},
		{transaction.Moment{At: &aheadOfTime}, "/occurred_at", "in_future"},
		{transaction.Moment{On: on(t, "2199-01-01")}, "/occurred_on", "in_future"},
	} {
		_, err := create(c.moment)
		require.ErrorIs(t, err, fault.ErrInvalid)
		fields := fault.Of(err).Fields
		require.Len(t, fields, 1)
		require.Equal(t, c.pointer, fields[0].Pointer)
		require.Equal(t, c.code, fields[0].Code)
	}
	_, _, err = svc.PutRate(postgrestest.Context(t, call.Tenant), call, nil, "USD", *on(t, "0001-01-01"), "7")
	require.ErrorIs(t, err, fault.ErrInvalid)
	require.Equal(t, "day", fault.Of(err).Fields[0].Parameter)
}

// TestListByDays asks for every range of days around a jump over midnight, one back over it, and the end of the range
// of plausible days: what the index bounds is what the day decides.
func TestListByDays(t *testing.T) {
	t.Parallel()
	for zone, days := range map[string][]string{
		"America/Sao_Paulo": {"2018-11-03", "2018-11-04", "2018-11-05"},
		"America/St_Johns":  {"2010-11-06", "2010-11-07", "2010-11-08"},
		"Pacific/Apia":      {"2011-12-29", "2011-12-31", "2012-01-01"},
		"UTC":               {"2200-12-30", "2200-12-31", "1900-01-01"},
	} {
		svc, call, customerID, create := bench(t, zone, func() time.Time { return *at(t, "2200-12-31T23:59:59Z") })
		ctx := postgrestest.Context(t, call.Tenant)
		var all []transaction.Transaction
		for _, d := range days {
			made, err := create(transaction.Moment{On: on(t, d)})
			require.NoError(t, err)
			require.Equal(t, *on(t, d), tenant.DayOf(made.OccurredAt, call.Tenant.Zone))
			all = append(all, made)
			for step := -90 * time.Minute; step < 26*time.Hour; step += 30 * time.Minute {
				if step > 4*time.Hour && step < 22*time.Hour && step%(6*time.Hour) != 0 {
					continue // far from every midnight
				}
				moment := made.OccurredAt.Add(step)
				if tenant.DayOf(moment, call.Tenant.Zone).Plausible() {
					made, err := create(transaction.Moment{At: &moment})
					require.NoError(t, err)
					all = append(all, made)
				}
			}
		}
		for _, from := range days {
			for _, until := range days {
				want := map[uuid.UUID]bool{}
				for _, x := range all {
					if !x.Day.Before(on(t, from).Time) && !x.Day.After(on(t, until).Time) {
						want[x.ID] = true
					}
				}
				p, err := svc.List(ctx, call.Tenant, transaction.Query{Page: page.Request{Limit: 1000}, CustomerID: &customerID,
					From: on(t, from), Until: on(t, until)})
				require.NoError(t, err)
				got := map[uuid.UUID]bool{}
				for _, x := range p.Items {
					got[x.ID] = true
				}
				require.Equal(t, want, got, "%s %s %s", zone, from, until)
			}
		}
		_, err := svc.List(ctx, call.Tenant, transaction.Query{Page: page.Request{Limit: 1}, From: on(t, "0001-01-01"), Until: on(t, "9999-12-31")})
		require.NoError(t, err)
	}
}

func TestEventsCarryTheCustomersVersion(t *testing.T) {
	t.Parallel()
	_, call, _, create := bench(t, "UTC", time.Now)
	made, err := create(transaction.Moment{On: on(t, "2026-01-01")})
	require.NoError(t, err)
	var version int64
	err = postgrestest.DB(t).QueryRow(postgrestest.Context(t, call.Tenant), `SELECT coalesce(customer_version, -1) FROM events
		WHERE tenant_id = $1 AND subject_id = $2`, call.Tenant.ID, made.ID.String()).Scan(&version)
	require.NoError(t, err)
	require.EqualValues(t, 1, version)
}
