package score_test

import (
	"math"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/score"
	"github.com/kezi-io/kezi/pkg/btyd"
)

const calibrationEnd = "1997-09-30"

// The figures are those of the papers that pkg/btyd cites.
func TestLargePublishedFigures(t *testing.T) {
	t.Parallel()
	rows := cdnow(t, "cdnow_sample.csv")
	b := setup(t)
	b.buy(t, rows)
	for _, c := range []struct {
		family     string
		parameters map[string]float64
		likelihood float64
	}{
		{btyd.FamilyBGNBD, map[string]float64{"r": 0.2426, "alpha": 4.4136, "a": 0.7929, "b": 2.4259}, -9582.43},
		{btyd.FamilyMBGNBD, map[string]float64{"r": 0.5248, "alpha": 6.1829, "a": 0.8909, "b": 1.6142}, 0},
		{btyd.FamilyParetoNBD, map[string]float64{"r": 0.5533, "alpha": 10.578, "s": 0.6061, "beta": 11.669}, -9594.98},
	} {
		t.Run(c.family, func(t *testing.T) {
			t.Parallel()
			b.model(t, c.family, score.CLV, calibrationEnd, score.ParamsChange{Family: patch.Set(c.family)})
			r := b.run(t, c.family, score.Request{})
			require.Equal(t, jobs.Succeeded, r.Status)
			require.True(t, r.Current && r.Kept)
			require.EqualValues(t, 2357, r.Customers)
			require.EqualValues(t, 2357, r.Scored)
			cal := r.Calibration
			require.Empty(t, cal.Diagnostics)
			require.Equal(t, "USD", cal.Currency)
			p := cal.Purchases
			require.True(t, p.Converged)
			require.EqualValues(t, 2357, p.Customers)
			require.EqualValues(t, 946, p.RepeatCustomers)
			require.EqualValues(t, 2457, p.RepeatPurchases)
			for name, want := range c.parameters {
				require.InEpsilon(t, want, p.Parameters[name], 0.005, name)
			}
			if c.likelihood != 0 {
				require.InDelta(t, c.likelihood, p.LogLikelihood, 0.01)
			}
			v := cal.Values
			require.EqualValues(t, 946, v.Customers)
			require.Zero(t, v.LeftOut)
			require.InDelta(t, -4055.92, v.LogLikelihood, 0.01)
			for name, want := range map[string]float64{"p": 6.25, "q": 3.74, "v": 15.44} {
				require.InEpsilon(t, want, v.Parameters[name], 0.005, name)
			}
			banded(t, b.scores(t, c.family, r), cal.Quantiles["value"], 2357)
			reproduced(t, b, c.family, r)
		})
	}
}

// banded checks the bands of all scores against their limits, and those against the values.
func banded(t *testing.T, all []score.Scored, limits []float64, want int) {
	t.Helper()
	require.Len(t, all, want)
	var values []float64
	for i, s := range all {
		if i > 0 {
			require.GreaterOrEqual(t, all[i-1].Value, s.Value, "the highest comes first")
			require.GreaterOrEqual(t, all[i-1].Band, s.Band, "a better value never has a lower band")
		}
		band := 1
		for _, l := range limits {
			if l < s.Value {
				band++
			}
		}
		require.Equal(t, band, s.Band)
		values = append(values, s.Value)
	}
	slices.Sort(values)
	for i, l := range limits {
		require.InDelta(t, quantile(values, 0.2*float64(i+1)), l, 1e-9)
	}
}

// quantile of sorted values by type 7 of Hyndman and Fan (1996).
func quantile(values []float64, p float64) float64 {
	at := p * float64(len(values)-1)
	low := math.Floor(at)
	high := min(int(low)+1, len(values)-1)
	return values[int(low)] + (at-low)*(values[high]-values[int(low)])
}

// reproduced checks that each customer's explanation gives the very value, and that summaries agree.
func reproduced(t *testing.T, b *bench, key string, r score.Run) {
	t.Helper()
	all := b.scores(t, key, r)
	ids := make([]uuid.UUID, len(all))
	for i, s := range all {
		ids[i] = s.CustomerID
	}
	summaries, err := score.Summaries(b.ctx, b.db, b.call.Tenant.ID, ids)
	require.NoError(t, err)
	for _, s := range all {
		scores, err := b.svc.OfCustomer(b.ctx, b.call.Tenant, s.CustomerID)
		require.NoError(t, err)
		at := slices.IndexFunc(scores, func(x score.Score) bool { return x.Key == key })
		got := scores[at]
		require.Equal(t, s.Value, got.Value)
		require.Equal(t, r.ID, got.RunID)
		require.Contains(t, summaries[s.CustomerID], got.Summary)
		require.NotEmpty(t, got.Explanation.Text.En)
		require.NotEmpty(t, got.Explanation.Text.Zh)
		factors := map[string]*float64{}
		sum := 0.0
		for _, f := range got.Explanation.Factors {
			factors[f.Name] = f.Value
			if f.Contribution != nil {
				sum += 100 * *f.Contribution
			}
		}
		switch r.Kind {
		case score.CLV:
			require.Equal(t, math.Round(*factors["expected_value"]**factors["discounted_purchases"]*100)/100, got.Value)
			unknown := r.Params.Family == btyd.FamilyBGNBD && got.Inputs["repeat_purchase_days"] == 0
			require.Equal(t, unknown, factors["p_alive"] == nil)
		case score.Churn:
			require.Equal(t, math.Round((1-*factors["p_purchase"])*1e6)/1e6, got.Value)
		default:
			require.Equal(t, math.Round(sum)/100, got.Value)
		}
	}
}

// S0-23, S0-47, S1-44
func TestLargeCLVIsThatOfTheFormula(t *testing.T) {
	t.Parallel()
	rows := cdnow(t, "cdnow_sample.csv")
	b := setup(t)
	b.buy(t, rows)
	b.model(t, "clv", score.CLV, calibrationEnd, score.ParamsChange{})
	r := b.run(t, "clv", score.Request{})
	require.Equal(t, jobs.Succeeded, r.Status)
	model, err := btyd.Restore(btyd.FamilyMBGNBD, r.Calibration.Purchases.Parameters)
	require.NoError(t, err)
	v := r.Calibration.Values.Parameters
	gg := btyd.GammaGamma{P: v["p"], Q: v["q"], V: v["v"]}
	for _, s := range b.scores(t, "clv", r)[:300] {
		scores, err := b.svc.OfCustomer(b.ctx, b.call.Tenant, s.CustomerID)
		require.NoError(t, err)
		in := scores[0].Inputs
		h := btyd.History{X: in["repeat_purchase_days"], Tx: in["weeks_to_last_purchase"], T: in["weeks_observed"]}
		want := btyd.CLV(model, h, gg.Expected(h.X, in["mean_repeat_spend"]), btyd.Months(12, 0.01))
		require.InDelta(t, want, s.Value, 0.005+1e-9)
	}
}

// S0-32, S0-49
func TestLargeChurn(t *testing.T) {
	t.Parallel()
	rows := cdnow(t, "cdnow_sample.csv")
	b := setup(t)
	b.buy(t, rows)
	b.model(t, "churn", score.Churn, calibrationEnd, score.ParamsChange{HorizonDays: patch.Set(30)})
	r := b.run(t, "churn", score.Request{})
	require.Equal(t, jobs.Succeeded, r.Status)
	require.Nil(t, r.Calibration.Values)
	banded(t, b.scores(t, "churn", r), r.Calibration.Quantiles["value"], 2357)
	reproduced(t, b, "churn", r)
	model, err := btyd.Restore(btyd.FamilyBGNBD, r.Calibration.Purchases.Parameters)
	require.NoError(t, err)
	for _, s := range b.scores(t, "churn", r)[:300] {
		scores, err := b.svc.OfCustomer(b.ctx, b.call.Tenant, s.CustomerID)
		require.NoError(t, err)
		in := scores[0].Inputs
		h := btyd.History{X: in["repeat_purchase_days"], Tx: in["weeks_to_last_purchase"], T: in["weeks_observed"]}
		require.InDelta(t, model.PNoPurchase(h, 30.0/7), s.Value, 5e-7+1e-12)
	}
}

// A tenant that knows the future and one that does not have the same scores, and so has one with more customers who
// are deleted, merged or have not bought.
func TestLargeFactsOutsideAreNotSeen(t *testing.T) {
	t.Parallel()
	rows := cdnow(t, "cdnow_sample.csv")
	before := slices.Clone(rows)
	before = slices.DeleteFunc(before, func(p purchase) bool { return p.day > calibrationEnd })
	require.Less(t, len(before), len(rows))
	all, past := setup(t), setup(t)
	all.buy(t, append(slices.Clone(rows), purchase{"gone", "1997-03-01", 100, ""}, purchase{"gone", "1997-04-01", 100, ""},
		purchase{"merged", "1997-03-01", 100, ""}, purchase{"00004", "1997-05-05", 100_000, "cancelled"},
		purchase{"00004", "1997-05-06", 100_000, "pending"}, purchase{"later", "1997-10-01", 100, ""}))
	_, err := all.db.Exec(all.ctx, `UPDATE customers SET deleted_at = now() WHERE tenant_id = $1 AND id = $2`, all.call.Tenant.ID, all.id("gone"))
	require.NoError(t, err)
	_, err = all.db.Exec(all.ctx, `UPDATE customers SET merged_into = $3 WHERE tenant_id = $1 AND id = $2`,
		all.call.Tenant.ID, all.id("merged"), all.id("00004"))
	require.NoError(t, err)
	past.buy(t, before)
	// Another tenant's customers under the same ids' rows would show here as well.
	for _, kind := range []score.Kind{score.RFM, score.CLV, score.Churn} {
		key := string(kind)
		found := map[string][2]any{}
		for i, b := range []*bench{all, past} {
			b.model(t, key, kind, calibrationEnd, score.ParamsChange{})
			r := b.run(t, key, score.Request{})
			require.Equal(t, jobs.Succeeded, r.Status)
			require.EqualValues(t, 2357, r.Scored)
			require.EqualValues(t, 2357+1-i, r.Customers) // "later" is a customer without a score
			byID := map[uuid.UUID]score.Scored{}
			for _, s := range b.scores(t, key, r) {
				byID[s.CustomerID] = s
			}
			for _, p := range before {
				s := byID[b.id(p.customer)]
				require.NotZero(t, s.Band)
				s.CustomerID = uuid.Nil
				pair := found[p.customer]
				pair[i] = s
				found[p.customer] = pair
			}
		}
		require.Len(t, found, 2357)
		for customer, pair := range found {
			require.Equal(t, pair[1], pair[0], customer)
		}
	}
	later, err := all.svc.OfCustomer(all.ctx, all.call.Tenant, all.id("later"))
	require.NoError(t, err)
	require.Empty(t, later)
}

// BenchmarkRuns measures runs over the whole CDNOW data, 23,570 customers: go test -bench Runs -benchtime 3x.
func BenchmarkRuns(b *testing.B) {
	rows := cdnow(b, "cdnow_master.csv.gz")
	x := setup(b)
	for part := range slices.Chunk(rows, 20_000) {
		x.buy(b, part)
	}
	for _, kind := range []score.Kind{score.RFM, score.CLV, score.Churn} {
		families := []string{""}
		if kind != score.RFM {
			families = btyd.Families()
		}
		for _, family := range families {
			key := string(kind) + family
			p := score.ParamsChange{}
			if family != "" {
				p.Family = patch.Set(family)
			}
			x.model(b, key, kind, calibrationEnd, p)
			b.Run(string(kind)+"/"+family, func(b *testing.B) {
				for range b.N {
					r := x.run(b, key, score.Request{})
					require.Equal(b, jobs.Succeeded, r.Status)
					require.EqualValues(b, 23570, r.Scored)
				}
			})
		}
	}
}
