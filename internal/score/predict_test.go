package score_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/score"
	"github.com/kezi-io/kezi/pkg/btyd"
)

// The real customers of CDNOW, 39 weeks ahead.
//
// S1-48, S4-40
func TestLargeRunsAreHeldAgainstWhatHappened(t *testing.T) {
	t.Parallel()
	rows := cdnow(t, "cdnow_sample.csv")
	b := setup(t)
	b.buy(t, rows)
	b.model(t, "clv", score.CLV, calibrationEnd, score.ParamsChange{})
	b.model(t, "churn", score.Churn, calibrationEnd, score.ParamsChange{})
	for _, key := range []string{"clv", "churn"} {
		r := b.run(t, key, score.Request{})
		late := b.run(t, key, score.Request{AsOf: day("1998-06-30")})
		_, err := b.db.Exec(b.ctx, `UPDATE customer_metrics SET last_purchase_on = '1998-06-30' WHERE tenant_id = $1 AND customer_id = $2`,
			b.call.Tenant.ID, b.id(rows[0].customer))
		require.NoError(t, err)
		v, err := b.svc.Validate(b.ctx, b.call.Tenant, key, r.ID, 273)
		require.NoError(t, err)
		require.False(t, v.Refitted)
		require.Equal(t, []string{"1997-09-30", "1998-06-30"}, []string{v.Calibrated.String(), v.Until.String()})
		again, err := b.svc.Validate(b.ctx, b.call.Tenant, key, late.ID, 273)
		require.NoError(t, err)
		require.True(t, again.Refitted)
		require.Equal(t, v.Calibrated, again.Calibrated)
		// Fitted to the same facts, it errs as the run itself does.
		for m, e := range v.Purchases.Methods {
			require.InEpsilon(t, e.RMSE, again.Purchases.Methods[m].RMSE, 1e-6, m)
		}
		require.EqualValues(t, 2357, v.Customers)

		model := v.Purchases.Methods[score.ByModel]
		for _, naive := range []string{score.ByRate, score.ByZero, score.ByRecency} {
			require.Less(t, model.MAE, v.Purchases.Methods[naive].MAE, naive)
			require.Less(t, model.RMSE, v.Purchases.Methods[naive].RMSE, naive)
		}
		if key == "clv" {
			require.Less(t, v.Spend.Methods[score.ByModel].RMSE, v.Spend.Methods[score.ByRate].RMSE)
			require.Less(t, v.Spend.Methods[score.ByModel].RMSE, v.Spend.Methods[score.ByZero].RMSE)
			require.Less(t, v.Spend.Methods[score.ByModel].RMSE, v.Spend.Methods[score.ByRecency].RMSE)
		} else {
			require.Nil(t, v.Spend)
			require.InDelta(t, v.Churn.ActualShare, v.Churn.PredictedShare, 0.04)
			require.InDelta(t, v.Churn.OneTimeActual, v.Churn.OneTimePred, 0.03)
		}
		require.GreaterOrEqual(t, *v.Churn.AUC[score.ByModel], 0.74)
		require.GreaterOrEqual(t, *v.Churn.AUC[score.ByModel], *v.Churn.AUC[score.ByRecency]-0.02)
		require.InDelta(t, 0.5, *v.Churn.AUC[score.ByZero], 0)
		held(t, rows, v)
	}
}

// held counts once more, from the rows themselves, what the groups of a validation did.
func held(t *testing.T, rows []purchase, v score.Validation) {
	t.Helper()
	before, after := map[string]map[string]bool{}, map[string]map[string]bool{}
	for _, r := range rows {
		set := before
		if r.day > calibrationEnd {
			set = after
		}
		if set[r.customer] == nil {
			set[r.customer] = map[string]bool{}
		}
		set[r.customer][r.day] = true
	}
	var customers [8]int64
	var ahead, none [8]float64
	for c, days := range before {
		x := min(len(days)-1, 7)
		customers[x]++
		ahead[x] += float64(len(after[c]))
		if len(after[c]) == 0 {
			none[x]++
		}
	}
	for x, f := range v.Frequency {
		n := float64(customers[x])
		require.Equal(t, customers[x], f.Customers)
		require.InDelta(t, ahead[x]/n, f.Actual, 1e-9)
		require.InDelta(t, none[x]/n, f.ActualNone, 1e-9)
		require.InDelta(t, f.Actual, f.Predicted, 0.4*f.Actual+0.05, "%+v", f)
	}
}

// S1-49, S2-22
func TestLargeWhatOneCustomerWillDo(t *testing.T) {
	t.Parallel()
	rows := cdnow(t, "cdnow_sample.csv")
	b := setup(t)
	b.buy(t, rows)
	customers, err := btyd.Summarize(purchases(rows), btyd.Window{CalibrationEnd: day(calibrationEnd).Time})
	require.NoError(t, err)
	_, err = b.svc.Predict(b.ctx, b.call.Tenant, b.id(customers[0].ID), "", 90)
	require.ErrorIs(t, err, score.ErrNoPrediction)
	b.model(t, "churn", score.Churn, calibrationEnd, score.ParamsChange{})
	b.run(t, "churn", score.Request{})
	p, err := b.svc.Predict(b.ctx, b.call.Tenant, b.id(customers[0].ID), "", 90)
	require.NoError(t, err)
	require.Equal(t, score.Churn, p.Kind)
	require.Nil(t, p.Outlook.Spend)
	for _, family := range btyd.Families() {
		b.model(t, family, score.CLV, calibrationEnd, score.ParamsChange{Family: patch.Set(family)})
		cal := b.run(t, family, score.Request{}).Calibration
		m, err := btyd.Restore(family, cal.Purchases.Parameters)
		require.NoError(t, err)
		g := btyd.GammaGamma{P: cal.Values.Parameters["p"], Q: cal.Values.Parameters["q"], V: cal.Values.Parameters["v"]}
		for _, c := range customers[:20] {
			for _, days := range []int{1, 90, 3650} {
				p, err := b.svc.Predict(b.ctx, b.call.Tenant, b.id(c.ID), family, days)
				require.NoError(t, err)
				require.Equal(t, calibrationEnd, p.AsOf.String())
				o, weeks := p.Outlook, float64(days)/7
				require.InEpsilon(t, m.Expected(c.History, weeks), o.Purchases, 1e-9)
				require.InDelta(t, m.PNoPurchase(c.History, weeks), o.PNone, 1e-9)
				value := g.Expected(c.X, c.Mean/100)
				require.InDelta(t, value*o.Purchases*100, float64(o.Spend.Minor), 0.51)
				require.InDelta(t, value*100, float64(o.PerPurchase.Minor), 0.51)
				if family == btyd.FamilyBGNBD && c.X == 0 {
					require.Nil(t, o.Alive)
					require.Nil(t, o.Next.Chance)
				} else {
					require.InDelta(t, m.PAlive(c.History), *o.Alive, 1e-12)
				}
				if o.Next.Median != nil {
					wait := o.Next.Median.Sub(day(calibrationEnd).Time).Hours() / 24
					half := 0.5 * btyd.PAnotherPurchase(m, c.History)
					require.GreaterOrEqual(t, 1-m.PNoPurchase(c.History, wait/7), half-1e-9)
					require.LessOrEqual(t, 1-m.PNoPurchase(c.History, math.Max(wait-1, 0)/7), half+1e-9)
				}
			}
		}
	}
}

func purchases(rows []purchase) []btyd.Purchase {
	all := make([]btyd.Purchase, len(rows))
	for i, r := range rows {
		all[i] = btyd.Purchase{Customer: r.customer, At: day(r.day).Time, Value: float64(r.cents)}
	}
	return all
}

func TestLargeAutoChoosesTheFamilyThatErredLeast(t *testing.T) {
	t.Parallel()
	rows := cdnow(t, "cdnow_sample.csv")
	b := setup(t)
	b.buy(t, rows)
	_, err := b.db.Exec(b.ctx, `UPDATE customer_metrics m SET first_purchase_on = t.day FROM (SELECT customer_id, min(day) AS day FROM transactions
		WHERE tenant_id = $1 GROUP BY 1) t WHERE m.tenant_id = $1 AND m.customer_id = t.customer_id`, b.call.Tenant.ID)
	require.NoError(t, err)
	b.model(t, "auto", score.CLV, calibrationEnd, score.ParamsChange{Family: patch.Set(score.FamilyAuto)})
	r := b.run(t, "auto", score.Request{})
	require.Equal(t, jobs.Succeeded, r.Status)
	require.Equal(t, score.FamilyAuto, r.Params.Family)

	// The same comparison by pkg/btyd alone: the 90 days up to the run's day are a third of the 272 before it.
	until := day(calibrationEnd)
	customers, err := btyd.Summarize(purchases(rows), btyd.Window{CalibrationEnd: until.AddDate(0, 0, -90), HoldoutEnd: until.Time})
	require.NoError(t, err)
	best, least := "", math.Inf(1)
	for _, family := range []string{btyd.FamilyMBGNBD, btyd.FamilyBGNBD, btyd.FamilyParetoNBD} {
		var weighted []btyd.Weighted
		for _, c := range customers {
			weighted = append(weighted, btyd.Weighted{History: c.History, N: 1})
		}
		m, _, err := btyd.Fit(t.Context(), family, weighted, btyd.Options{})
		require.NoError(t, err)
		sum := 0.0
		for _, c := range customers {
			e := m.Expected(c.History, 90.0/7) - float64(c.Holdout)
			sum += e * e
		}
		if e := math.Sqrt(sum / float64(len(customers))); best == "" || e*e < least*least*0.995 {
			best, least = family, e
		}
		require.Contains(t, r.Calibration.Diagnostics[0].Detail.En, fmt.Sprintf("%s %.4f", family, math.Sqrt(sum/float64(len(customers)))))
	}
	require.Equal(t, best, r.Calibration.Purchases.Family)
	require.Equal(t, "family_chosen", r.Calibration.Diagnostics[0].Code)
	reproduced(t, b, "auto", r)

	// Who asks for the same family, data and day gets the same fit.
	b.model(t, "churn", score.Churn, calibrationEnd, score.ParamsChange{Family: patch.Set(best)})
	require.Equal(t, r.Calibration.Purchases, b.run(t, "churn", score.Request{}).Calibration.Purchases)

	// Where there is too little history, the default.
	b.model(t, "early", score.Churn, "1997-02-15", score.ParamsChange{Family: patch.Set(score.FamilyAuto)})
	early := b.run(t, "early", score.Request{}).Calibration
	require.Equal(t, btyd.FamilyBGNBD, early.Purchases.Family)
	require.Equal(t, "family_default", early.Diagnostics[0].Code)
}
