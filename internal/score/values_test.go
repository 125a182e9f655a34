package score_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/metric"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/score"
	"github.com/kezi-io/kezi/pkg/btyd"
)

// mixed are purchases of persons, who spend some 20 at a time, and of firms, who spend some 8,000.
func mixed(persons, firms int) []purchase {
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same in every run
	var rows []purchase
	for n := range persons + firms {
		name, typical := fmt.Sprint("p", n), 20.0
		if n >= persons {
			name, typical = fmt.Sprint("f", n), 8000
		}
		own := typical * math.Exp(0.4*rng.NormFloat64())
		at := time.Date(2025, 1, 1+rng.IntN(120), 0, 0, 0, 0, time.UTC)
		for times := rng.IntN(8); times >= 0 && at.Year() == 2025; times-- {
			rows = append(rows, purchase{customer: name, day: at.Format(time.DateOnly), cents: int64(100 * own * math.Exp(0.3*rng.NormFloat64()))})
			at = at.AddDate(0, 0, 1+rng.IntN(60))
		}
	}
	return rows
}

// incorporate makes companies of who has spent more than 500 at once.
func (b *bench) incorporate(t testing.TB) {
	t.Helper()
	_, err := b.db.Exec(b.ctx, `UPDATE customers SET kind = 'company' WHERE tenant_id = $1 AND id IN
		(SELECT customer_id FROM transactions WHERE tenant_id = $1 AND base_amount > 50000)`, b.call.Tenant.ID)
	require.NoError(t, err)
}

func TestPersonsAndCompaniesAreToldApart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rows := mixed(160, 140)
	b.buy(t, rows)
	b.incorporate(t)
	_, err := metric.RefreshAll(b.ctx, b.db, b.call.Tenant.ID)
	require.NoError(t, err)
	b.model(t, "clv", score.CLV, "2025-12-31", score.ParamsChange{})
	b.model(t, "potential", score.Potential, "2025-12-31", score.ParamsChange{})
	r := b.run(t, "clv", score.Request{})
	cal := r.Calibration
	require.Len(t, cal.ByKind, 2)
	codes := map[string]bool{}
	for _, d := range cal.Diagnostics {
		codes[d.Code] = true
	}
	require.True(t, codes["value_model_by_kind"])
	of := func(v *score.ValueFit) btyd.GammaGamma {
		return btyd.GammaGamma{P: v.Parameters["p"], Q: v.Parameters["q"], V: v.Parameters["v"]}
	}
	// What somebody is expected to spend who bought once: of their kind, and not a mean of both.
	one := of(cal.Values).Expected(0, cal.MeanSpend)
	require.Greater(t, one, 500.0)
	for kind, typical := range map[string]float64{"person": 20, "company": 8000} {
		v := cal.ByKind[kind]
		mean, finite := of(v).Mean()
		require.True(t, finite)
		require.InEpsilon(t, typical, mean, 0.25, kind)
		require.InEpsilon(t, typical, v.MeanSpend, 0.25, kind)
	}
	require.Greater(t, cal.ByKind["person"].LogLikelihood+cal.ByKind["company"].LogLikelihood, cal.Values.LogLikelihood+100)
	require.Equal(t, cal.Values.Customers, cal.ByKind["person"].Customers+cal.ByKind["company"].Customers)

	// Every score, its explanation, and what is predicted of the customer go by the kind's model.
	m, err := btyd.Restore(cal.Purchases.Family, cal.Purchases.Parameters)
	require.NoError(t, err)
	for _, row := range rows[len(rows)/2-40 : len(rows)/2+160 : len(rows)/2+160] {
		name, kind := row.customer, "person"
		if name[0] == 'f' {
			kind = "company"
		}
		s, err := b.svc.OneOfCustomer(b.ctx, b.call.Tenant, b.id(name), "clv")
		require.NoError(t, err)
		in := s.Inputs
		mean := in["mean_repeat_spend"]
		if in["repeat_purchase_days"] == 0 {
			mean = cal.ByKind[kind].MeanSpend
		}
		value := of(cal.ByKind[kind]).Expected(in["repeat_purchase_days"], mean)
		h := btyd.History{X: in["repeat_purchase_days"], Tx: in["weeks_to_last_purchase"], T: in["weeks_observed"]}
		require.InDelta(t, math.Round(100*btyd.CLV(m, h, value, btyd.Months(r.Params.HorizonMonths, r.Params.DiscountRate)))/100, s.Value, 1e-9)
		p, err := b.svc.Predict(b.ctx, b.call.Tenant, b.id(name), "clv", 90)
		require.NoError(t, err)
		require.InDelta(t, 100*value, float64(p.Outlook.PerPurchase.Minor), 0.51)
		_, then, err := b.svc.WhatIf(b.ctx, b.call.Tenant, b.id(name), "clv", score.WhatIf{})
		require.NoError(t, err)
		require.Equal(t, s.Value, then.Value)
	}

	// A potential model of the same day takes the fits over, and a backtest tells persons and companies apart as well.
	require.Equal(t, cal.ByKind, b.run(t, "potential", score.Request{}).Calibration.ByKind)
	v, err := b.svc.Validate(b.ctx, b.call.Tenant, "clv", r.ID, 90)
	require.NoError(t, err)
	require.True(t, v.Refitted)
	require.Less(t, v.Spend.Methods[score.ByModel].RMSE, v.Spend.Methods[score.ByRate].RMSE)
}

// A customer who turns out to be a company is worth what a company is, in the commit that says so; and back again.
func TestWhoBecomesACompanyIsScoredAnew(t *testing.T) {
	t.Parallel()
	l := live(t, 0)
	rows := mixed(160, 140)
	l.buy(t, rows)
	l.incorporate(t)
	_, err := metric.RefreshAll(l.ctx, l.db, l.call.Tenant.ID)
	require.NoError(t, err)
	for _, key := range []string{"clv", "potential", "churn"} {
		l.create(t, score.Creation{Key: key, Kind: score.Kind(key)})
		require.True(t, l.run(t, key, score.Request{}).Current)
	}
	person := l.score(t, "p0", "clv")
	turn := func(kind customer.Kind) {
		_, err := l.customers.Update(l.ctx, l.call, l.id("p0"), nil, customer.Change{Kind: &kind})
		require.NoError(t, err)
	}
	turn(customer.Company)
	company := l.score(t, "p0", "clv")
	require.Greater(t, company.Value, 2*person.Value)
	require.Equal(t, company.Value, l.score(t, "p0", "potential").Value)
	past, err := l.svc.History(l.ctx, l.call.Tenant, l.id("p0"), "clv", page.Request{Limit: 50})
	require.NoError(t, err)
	require.Len(t, past.Items, 2)
	require.Equal(t, person.Value, past.Items[1].Value)
	require.Equal(t, person.Explanation, past.Items[1].Explanation)
	turn(customer.Person)
	require.Equal(t, person.Value, l.score(t, "p0", "clv").Value)
}

func TestFewCompaniesAreNotToldApart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.buy(t, mixed(60, 60))
	b.incorporate(t)
	b.model(t, "clv", score.CLV, "2025-12-31", score.ParamsChange{})
	cal := b.run(t, "clv", score.Request{}).Calibration
	require.NotNil(t, cal.Values)
	require.Nil(t, cal.ByKind)
}
