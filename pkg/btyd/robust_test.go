package btyd_test

import (
	"context"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/pkg/btyd"
)

// requireUsable: whatever a fit came to, its numbers are numbers.
func requireUsable(t *testing.T, m btyd.Model, r btyd.Report, hs []btyd.Weighted) {
	t.Helper()
	for name, v := range m.Params() {
		require.False(t, math.IsNaN(v) || math.IsInf(v, 0) || v <= 0, "%s = %v", name, v)
	}
	require.False(t, math.IsNaN(r.LogLikelihood) || math.IsInf(r.LogLikelihood, 0), "%+v", r)
	require.NotEmpty(t, r.Diagnosis)
	for name, v := range r.StdErr {
		require.False(t, math.IsNaN(v) || math.IsInf(v, 0), "%s ± %v", name, v)
	}
	for _, h := range hs[:min(len(hs), 50)] {
		requireSane(t, m, h.History)
	}
}

// requireSane checks what holds of every model and history.
func requireSane(t *testing.T, m btyd.Model, h btyd.History) {
	t.Helper()
	ll := m.LogLikelihood(h)
	require.False(t, math.IsNaN(ll) || math.IsInf(ll, 0), "ll %v of %T%v %+v", ll, m, m, h)
	alive := m.PAlive(h)
	require.True(t, alive >= 0 && alive <= 1, "P(alive) %v of %T%v %+v", alive, m, m, h)
	for _, n := range []int{0, 1, 7, 400} {
		p := m.PMF(n, h.T)
		require.True(t, p >= 0 && p <= 1, "P(X(%v) = %d) %v of %T%v", h.T, n, p, m, m)
	}
	none, expected := 1.0, 0.0
	for _, ahead := range []float64{0, 1e-9, 0.1, 1, 4.345, 52, 520, 1e6, 1e30} {
		n, e := m.PNoPurchase(h, ahead), m.Expected(h, ahead)
		require.True(t, n <= none+1e-12 && n >= 1-alive-1e-12, "P(none in %v) %v of %T%v %+v", ahead, n, m, m, h)
		require.True(t, e >= expected*(1-1e-10) && !math.IsInf(e, 0), "E in %v: %v of %T%v %+v", ahead, e, m, m, h)
		require.GreaterOrEqual(t, e, (1-n)*(1-1e-9)-1e-13, "E is at least P(any) in %v of %T%v %+v", ahead, m, m, h)
		none, expected = n, e
	}
}

func fitAll(t *testing.T, rows []btyd.Weighted, check func(t *testing.T, m btyd.Model, r btyd.Report)) {
	t.Helper()
	for _, f := range btyd.Families() {
		t.Run(f, func(t *testing.T) {
			t.Parallel()
			m, r, err := btyd.Fit(t.Context(), f, rows, btyd.Options{})
			require.NoError(t, err)
			t.Logf("%v %+v", m, r)
			requireUsable(t, m, r, rows)
			check(t, m, r)
		})
	}
}

func TestCohortThatNobodyLeaves(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 3))
	var rows []btyd.Weighted
	for range 800 {
		rate := 0.05 + rng.ExpFloat64()/4
		h := btyd.History{T: 52}
		for at := rng.ExpFloat64() / rate; at < 52; at += rng.ExpFloat64() / rate {
			h.X, h.Tx = h.X+1, at
		}
		if h.X > 0 {
			h.Tx = 51 + rng.Float64() // and is there to the end
			rows = append(rows, btyd.Weighted{History: h, N: 1})
		}
	}
	fitAll(t, rows, func(t *testing.T, m btyd.Model, r btyd.Report) {
		assert.Equal(t, btyd.Boundary, r.Diagnosis)
		assert.True(t, r.Converged)
		assert.NotEmpty(t, r.Boundary)
		assert.Nil(t, r.StdErr)
		assert.Greater(t, m.PAlive(btyd.History{X: 5, Tx: 40, T: 52}), 0.95)
	})
}

func TestIdenticalCustomers(t *testing.T) {
	t.Parallel()
	fitAll(t, []btyd.Weighted{{History: btyd.History{X: 3, Tx: 20, T: 30}, N: 1000}}, func(t *testing.T, _ btyd.Model, r btyd.Report) {
		assert.Equal(t, btyd.Boundary, r.Diagnosis)
		assert.Equal(t, 1, r.Distinct)
	})
}

func TestOneCustomerAskedFor(t *testing.T) {
	t.Parallel()
	rows := []btyd.Weighted{{History: btyd.History{X: 7, Tx: 30, T: 30}, N: 1}}
	_, _, err := btyd.FitBGNBD(t.Context(), rows, btyd.Options{})
	require.ErrorIs(t, err, btyd.ErrTooFewRepeatBuyers)
	m, r, err := btyd.FitMBGNBD(t.Context(), rows, btyd.Options{MinRepeatBuyers: 1})
	require.NoError(t, err)
	requireUsable(t, m, r, rows)
	assert.Equal(t, btyd.Boundary, r.Diagnosis)
}

func TestOddCohorts(t *testing.T) {
	t.Parallel()
	for name, rows := range map[string][]btyd.Weighted{
		"everybody bought on the last day": {{History: btyd.History{X: 3, Tx: 30, T: 30}, N: 50}, {History: btyd.History{X: 1, Tx: 9, T: 9}, N: 40}},
		"nobody bought after a moment":     {{History: btyd.History{X: 2, Tx: 0.1, T: 50}, N: 30}, {History: btyd.History{T: 50}, N: 100}},
		"no time passed for some":          {{History: btyd.History{}, N: 100}, {History: btyd.History{X: 2, Tx: 3, T: 8}, N: 12}, {History: btyd.History{X: 1, Tx: 3, T: 9}, N: 12}},
		"hundreds of purchases":            {{History: btyd.History{X: 900, Tx: 51, T: 52}, N: 20}, {History: btyd.History{X: 400, Tx: 20, T: 52}, N: 20}, {History: btyd.History{T: 52}, N: 20}},
		"almost only one-time buyers":      {{History: btyd.History{T: 52}, N: 1e6}, {History: btyd.History{X: 1, Tx: 3, T: 52}, N: 10}},
		"seconds":                          {{History: btyd.History{T: 3e7}, N: 50}, {History: btyd.History{X: 1, Tx: 3e6, T: 3e7}, N: 10}, {History: btyd.History{X: 4, Tx: 2e7, T: 2.2e7}, N: 10}},
		"centuries":                        {{History: btyd.History{T: 1e-3}, N: 50}, {History: btyd.History{X: 1, Tx: 1e-4, T: 1e-3}, N: 10}, {History: btyd.History{X: 4, Tx: 7e-4, T: 8e-4}, N: 10}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fitAll(t, rows, func(t *testing.T, _ btyd.Model, r btyd.Report) {
				assert.True(t, r.Converged)
				assert.Less(t, r.Evaluations, 300)
			})
		})
	}
}

func TestFitsThatCannotBeMade(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		rows []btyd.Weighted
		err  error
	}{
		{"nobody", nil, btyd.ErrTooFewRepeatBuyers},
		{"only one-time buyers", []btyd.Weighted{{History: btyd.History{T: 30}, N: 1e6}}, btyd.ErrTooFewRepeatBuyers},
		{"no time", []btyd.Weighted{{History: btyd.History{X: 2}, N: 100}}, btyd.ErrNoObservationTime},
	} {
		for _, f := range btyd.Families() {
			m, _, err := btyd.Fit(t.Context(), f, tt.rows, btyd.Options{})
			assert.ErrorIs(t, err, tt.err, tt.name)
			assert.Nil(t, m)
		}
	}
	_, _, err := btyd.Fit(t.Context(), "poisson", nil, btyd.Options{})
	assert.ErrorIs(t, err, btyd.ErrUnknownFamily)
}

func TestARowThatNoModelTakesIsNamed(t *testing.T) {
	t.Parallel()
	good := btyd.Weighted{History: btyd.History{X: 2, Tx: 3, T: 8}, N: 20}
	for _, bad := range []btyd.Weighted{
		{History: btyd.History{X: 2, Tx: 9, T: 8}, N: 1}, // the clock went backwards
		{History: btyd.History{X: 2, Tx: -1, T: 8}, N: 1},
		{History: btyd.History{T: -0.1}, N: 1},
		{History: btyd.History{X: -1, T: 8}, N: 1},
		{History: btyd.History{X: 1.5, Tx: 1, T: 8}, N: 1},
		{History: btyd.History{X: 1e300, Tx: 1, T: 8}, N: 1},
		{History: btyd.History{Tx: 1, T: 8}, N: 1},
		{History: btyd.History{X: math.NaN(), T: 8}, N: 1},
		{History: btyd.History{T: math.Inf(1)}, N: 1},
		{History: btyd.History{T: 8}, N: 0},
	} {
		var row *btyd.RowError
		_, _, err := btyd.FitMBGNBD(t.Context(), []btyd.Weighted{good, good, bad, bad}, btyd.Options{})
		require.ErrorAs(t, err, &row, "%+v", bad)
		assert.Equal(t, 2, row.Row)
		assert.Contains(t, err.Error(), "row 2")
		if bad.N > 0 {
			_, err = btyd.Predict(t.Context(), models()[0], []btyd.History{good.History, bad.History}, btyd.Ask{})
			require.ErrorAs(t, err, &row)
			assert.Equal(t, 1, row.Row)
		}
		for _, m := range models() {
			requireSane(t, m, bad.History) // single predictions pull it into range
		}
	}
}

func TestLargePredictionsStayInRangeForAnyParameters(t *testing.T) {
	t.Parallel()
	sizes := []float64{1e-9, 1e-4, 0.7, 40, 1e5, 1e12} // what Restore takes
	combination := 0
	for _, r := range sizes {
		for _, alpha := range sizes {
			for _, a := range sizes {
				for _, b := range sizes {
					if combination++; combination%11 != 0 {
						continue // one in 11, spread by being coprime to their number
					}
					for _, m := range []btyd.Model{btyd.BGNBD{r, alpha, a, b}, btyd.MBGNBD{r, alpha, a, b}, btyd.ParetoNBD{r, alpha, a, b}} {
						for _, h := range []btyd.History{{}, {T: 30}, {X: 1, Tx: 30, T: 30}, {X: 700, Tx: 3, T: 300}} {
							requireSane(t, m, h)
						}
					}
				}
			}
		}
	}
}

func TestFitDoesNotDependOnOrderNorProcessors(t *testing.T) {
	hs, ss := simulated(9000)
	rows := weighted(hs)
	fit := func() ([3]any, [3]btyd.Report) {
		m, r1, err := btyd.FitMBGNBD(t.Context(), rows, btyd.Options{})
		require.NoError(t, err)
		p, r2, err := btyd.FitParetoNBD(t.Context(), rows[:2000], btyd.Options{})
		require.NoError(t, err)
		g, r3, err := btyd.FitGammaGamma(t.Context(), ss, btyd.Options{})
		require.NoError(t, err)
		return [3]any{m, p, g}, [3]btyd.Report{r1, r2, r3}
	}
	m1, r1 := fit()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	m2, r2 := fit()
	require.Equal(t, m1, m2)
	require.Equal(t, r1, r2)
	runtime.GOMAXPROCS(7)
	slices.Reverse(ss)
	slices.Reverse(rows[2000:])
	slices.Reverse(rows[:2000])
	m3, r3 := fit()
	require.Equal(t, m1, m3)
	require.Equal(t, r1, r3)
}

func TestWeightsStandForCustomers(t *testing.T) {
	t.Parallel()
	hs, _ := simulated(500)
	for i := range hs {
		hs[i].T, hs[i].Tx = math.Ceil(hs[i].T), math.Ceil(hs[i].Tx)
	}
	each := weighted(append(slices.Clone(hs), hs...))
	joined := btyd.Distinct(slices.Values(append(slices.Clone(hs), hs...)))
	require.Less(t, len(joined), len(hs))
	a, ra, err := btyd.FitBGNBD(t.Context(), each, btyd.Options{})
	require.NoError(t, err)
	b, rb, err := btyd.FitBGNBD(t.Context(), joined, btyd.Options{})
	require.NoError(t, err)
	require.Equal(t, a, b)
	require.Equal(t, ra, rb)

	for i := range joined {
		joined[i].N *= 10000 // ten million customers
	}
	c, rc, err := btyd.FitBGNBD(t.Context(), joined, btyd.Options{})
	require.NoError(t, err)
	assert.Equal(t, 10_000_000, rc.Customers)
	assert.InEpsilon(t, a.R, c.R, 1e-6)
	assert.InEpsilon(t, ra.StdErr["r"]/100, rc.StdErr["r"], 1e-4)
}

func TestTheUnitOfTimeDoesNotMatter(t *testing.T) {
	t.Parallel()
	hs, _ := simulated(2000)
	days := weighted(hs)
	for i := range days {
		days[i].Tx, days[i].T = days[i].Tx*7, days[i].T*7
	}
	weeks, _, err := btyd.FitParetoNBD(t.Context(), weighted(hs), btyd.Options{})
	require.NoError(t, err)
	got, _, err := btyd.FitParetoNBD(t.Context(), days, btyd.Options{})
	require.NoError(t, err)
	assert.InEpsilon(t, weeks.R, got.R, 1e-6)
	assert.InEpsilon(t, weeks.Alpha*7, got.Alpha, 1e-6)
	assert.InEpsilon(t, weeks.Beta*7, got.Beta, 1e-6)
}

func TestTheUnitOfMoneyDoesNotMatter(t *testing.T) {
	t.Parallel()
	_, ss := simulated(3000)
	dollars, r, err := btyd.FitGammaGamma(t.Context(), ss, btyd.Options{})
	require.NoError(t, err)
	for _, unit := range []float64{100, 1e-150, 1e12, 1e200} {
		scaled := slices.Clone(ss)
		for i := range scaled {
			scaled[i].Mean *= unit
		}
		g, rs, err := btyd.FitGammaGamma(t.Context(), scaled, btyd.Options{})
		require.NoError(t, err)
		assert.Equal(t, btyd.Sound, rs.Diagnosis)
		assert.InEpsilon(t, dollars.P, g.P, 1e-5)
		assert.InEpsilon(t, dollars.Q, g.Q, 1e-5)
		assert.InEpsilon(t, dollars.V*unit, g.V, 1e-5)
		assert.InEpsilon(t, dollars.Expected(3, 40)*unit, g.Expected(3, 40*unit), 1e-5)
		assert.InEpsilon(t, r.LogLikelihood-float64(r.Customers)*math.Log(unit), rs.LogLikelihood, 1e-9)
	}
}

func TestMeanValuesThatAreTooFarApart(t *testing.T) {
	t.Parallel()
	_, _, err := btyd.FitGammaGamma(t.Context(), []btyd.Spending{{X: 1, Mean: 5e-324, N: 1}, {X: 2, Mean: 1e308, N: 1}}, btyd.Options{MinRepeatBuyers: 1})
	require.ErrorIs(t, err, btyd.ErrSpread)
}

func TestGammaGammaOnOddValues(t *testing.T) {
	t.Parallel()
	many := func(n int, f func(i int) btyd.Spending) []btyd.Spending {
		out := make([]btyd.Spending, n)
		for i := range out {
			out[i] = f(i)
		}
		return out
	}
	for name, rows := range map[string][]btyd.Spending{
		"all alike":        many(50, func(int) btyd.Spending { return btyd.Spending{X: 2, Mean: 9.99, N: 1} }),
		"a cent and a lot": many(50, func(i int) btyd.Spending { return btyd.Spending{X: 1, Mean: []float64{0.01, 1e9}[i%2], N: 1} }),
		"zeros":            many(50, func(i int) btyd.Spending { return btyd.Spending{X: 3, Mean: float64(i % 2), N: 1} }),
		"thousands of purchases": many(50, func(i int) btyd.Spending {
			return btyd.Spending{X: 5000, Mean: 10 + float64(i), N: 1}
		}),
		"no end of wealth": btyd.GammaGamma{P: 5, Q: 0.7, V: 10}.Simulate(1, slices.Repeat([]float64{1, 2, 5}, 1000)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, r, err := btyd.FitGammaGamma(t.Context(), rows, btyd.Options{})
			require.NoError(t, err)
			t.Logf("%+v %+v", g, r)
			assert.True(t, r.Converged)
			mean, ok := g.Mean()
			for _, v := range []float64{g.P, g.Q, g.V, mean, r.LogLikelihood, g.Expected(0, 7), g.Expected(1, 1e-300), g.Expected(1e6, 1e300)} {
				assert.False(t, math.IsNaN(v) || math.IsInf(v, 0), "%v", v)
			}
			switch name {
			case "zeros":
				assert.Equal(t, 25, r.Excluded)
			case "no end of wealth":
				assert.False(t, ok)
				assert.Equal(t, btyd.InfiniteMean, r.Diagnosis)
				assert.InDelta(t, 7, g.Expected(0, 7), 0)
			case "all alike":
				assert.Equal(t, btyd.Boundary, r.Diagnosis)
				assert.InEpsilon(t, 9.99, g.Expected(2, 9.99), 1e-3)
			}
		})
	}
	_, r, err := btyd.FitGammaGamma(t.Context(), many(30, func(int) btyd.Spending { return btyd.Spending{X: 1, N: 1} }), btyd.Options{})
	require.ErrorIs(t, err, btyd.ErrTooFewRepeatBuyers)
	assert.Equal(t, 30, r.Excluded)
	var row *btyd.RowError
	_, _, err = btyd.FitGammaGamma(t.Context(), []btyd.Spending{{X: 1, Mean: 3, N: 1}, {X: 1, Mean: -3, N: 1}}, btyd.Options{})
	require.ErrorAs(t, err, &row)
	assert.Equal(t, 1, row.Row)
}

func TestAFitEndsWhenItIsToldTo(t *testing.T) {
	t.Parallel()
	hs, ss := simulated(3000)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, f := range btyd.Families() {
		_, _, err := btyd.Fit(ended, f, weighted(hs), btyd.Options{})
		require.ErrorIs(t, err, context.Canceled)
		m, r, err := btyd.Fit(t.Context(), f, weighted(hs), btyd.Options{MaxEvaluations: 2})
		require.NoError(t, err)
		assert.Equal(t, btyd.NotConverged, r.Diagnosis)
		assert.False(t, r.Converged)
		assert.Equal(t, 2, r.Evaluations)
		requireUsable(t, m, r, weighted(hs))
	}
	_, _, err := btyd.FitGammaGamma(ended, ss, btyd.Options{})
	require.ErrorIs(t, err, context.Canceled)
	_, err = btyd.Predict(ended, models()[0], hs, btyd.Ask{})
	require.ErrorIs(t, err, context.Canceled)
}

func TestStandardErrorsAreThoseOfTheCurvature(t *testing.T) {
	t.Parallel()
	for _, truth := range models() {
		ages := make([]float64, 3000)
		for i := range ages {
			ages[i] = 300 + float64(i)/20 // long enough for some to buy more often than the short sums go
		}
		var hs []btyd.History
		for _, c := range btyd.Simulate(truth, 3, ages, 0) {
			hs = append(hs, c.History)
		}
		f := truth.Family()
		m, r, err := btyd.Fit(t.Context(), f, weighted(hs), btyd.Options{})
		require.NoError(t, err)
		require.NotNil(t, r.StdErr, "%+v", r)
		ll := func(change map[string]float64) float64 {
			p := m.Params()
			for name, d := range change {
				p[name] += d
			}
			other, err := btyd.Restore(f, p)
			require.NoError(t, err)
			sum := 0.0
			for _, h := range hs {
				sum += other.LogLikelihood(h)
			}
			return sum
		}
		for name, se := range r.StdErr {
			// The maximum, seen from a hundredth of a standard error aside.
			up, down := ll(map[string]float64{name: se / 100}), ll(map[string]float64{name: -se / 100})
			assert.Less(t, up, r.LogLikelihood, "%s %s", f, name)
			assert.Less(t, down, r.LogLikelihood, "%s %s", f, name)
			// Fixing the other parameters can only make one more certain.
			alone := math.Sqrt(1e-4 * se * se / (2*r.LogLikelihood - up - down))
			assert.LessOrEqual(t, alone, se*1.001, "%s %s", f, name)
		}
	}
}

func TestRestoreTakesWhatParamsGave(t *testing.T) {
	t.Parallel()
	for _, m := range models() {
		got, err := btyd.Restore(m.Family(), m.Params())
		require.NoError(t, err)
		require.Equal(t, m, got)
		for _, v := range []float64{0, -1, math.NaN(), math.Inf(1)} {
			p := m.Params()
			p["r"] = v
			_, err = btyd.Restore(m.Family(), p)
			require.ErrorIs(t, err, btyd.ErrBadParameters)
		}
	}
	_, err := btyd.Restore("poisson", nil)
	require.ErrorIs(t, err, btyd.ErrUnknownFamily)
}

// A program that goes on after an error has a zero model: it must neither eat all memory nor compute NaN.
func TestAModelThatIsNoneExpectsNothing(t *testing.T) {
	t.Parallel()
	nan, inf := math.NaN(), math.Inf(1)
	h := btyd.History{X: 3, Tx: 20, T: 30}
	for _, m := range []btyd.Model{
		btyd.BGNBD{}, btyd.MBGNBD{}, btyd.ParetoNBD{},
		btyd.BGNBD{R: nan, Alpha: nan, A: nan, B: nan}, btyd.MBGNBD{R: -1, Alpha: 1, A: 1, B: 1}, btyd.MBGNBD{R: 1, Alpha: inf, A: 1, B: 1},
		btyd.ParetoNBD{R: 1, Alpha: 1, S: 0, Beta: 1}, btyd.ParetoNBD{R: inf, Alpha: 1, S: nan, Beta: -1},
	} {
		requireSane(t, m, h)
		requireSane(t, m, btyd.History{T: 30})
		assert.InDelta(t, 0, m.Expected(h, 52), 1e-9)
		assert.InDelta(t, 1, m.PNoPurchase(h, 52), 1e-9)
		assert.InDelta(t, 0, m.PAlive(h), 1e-9)
		assert.InDelta(t, 1, m.PMF(0, 52), 1e-9)
		assert.GreaterOrEqual(t, btyd.NextPurchase(m, h, 0.5), 0.0)
		assert.InDelta(t, 0, btyd.PAnotherPurchase(m, h), 1e-9)
		assert.InDelta(t, 0, btyd.CLV(m, h, 100, btyd.Months(12, 0.01)), 1e-6)
		assert.Equal(t, 0, btyd.Simulate(m, 1, []float64{30}, 10)[0].Ahead)
		_, err := btyd.Predict(t.Context(), m, []btyd.History{h}, btyd.Ask{Horizon: 1})
		require.ErrorIs(t, err, btyd.ErrBadParameters)
	}
	_, err := btyd.Predict(t.Context(), nil, []btyd.History{h}, btyd.Ask{Horizon: 1})
	require.ErrorIs(t, err, btyd.ErrBadParameters)
	assert.Equal(t, 7.0, btyd.GammaGamma{}.Expected(2, 7))
	assert.Zero(t, btyd.GammaGamma{}.Simulate(1, []float64{2})[0].Mean)
}

func TestPredictRefusesASenselessHorizon(t *testing.T) {
	t.Parallel()
	for _, ask := range []btyd.Ask{
		{Horizon: -1}, {Horizon: math.NaN()}, {Horizon: math.Inf(1)},
		{Plan: btyd.Months(-1, 0)}, {Plan: btyd.Months(12, -1)}, {Plan: btyd.Plan{Steps: 1, Step: -1}},
	} {
		_, err := btyd.Predict(t.Context(), models()[0], nil, ask)
		require.ErrorIs(t, err, btyd.ErrBadHorizon, "%+v", ask)
	}
	_, err := btyd.Predict(t.Context(), btyd.BGNBD{}, nil, btyd.Ask{})
	require.ErrorIs(t, err, btyd.ErrBadParameters)
}

func TestSummaryCountsDays(t *testing.T) {
	t.Parallel()
	shanghai := time.FixedZone("UTC+8", 8*3600)
	on := func(s string) time.Time {
		at, err := time.ParseInLocation("2006-01-02 15:04", s, shanghai)
		require.NoError(t, err)
		return at
	}
	w := btyd.Window{CalibrationEnd: on("2025-03-31 00:00"), HoldoutEnd: on("2025-04-30 00:00")}
	rows := []btyd.Purchase{
		{"b", on("2025-03-31 23:59"), 5}, // the last moment of calibration
		{"b", on("2025-03-03 00:01"), 1}, // still the day before in UTC
		{"b", on("2025-03-03 18:00"), 2},
		{"b", on("2025-03-17 10:00"), 3},
		{"b", on("2025-03-17 11:00"), 0},
		{"b", on("2025-04-01 00:00"), 7},
		{"b", on("2025-04-01 20:00"), 1},
		{"b", on("2025-05-01 00:00"), 9}, // after the holdout
		{"late", on("2025-04-02 00:00"), 9},
		{"a", on("2025-03-31 12:00"), 4},
	}
	got, err := btyd.Summarize(rows, w)
	require.NoError(t, err)
	require.Equal(t, []btyd.Customer{
		{ID: "a", First: time.Date(2025, 3, 31, 0, 0, 0, 0, time.UTC)},
		{ID: "b", First: time.Date(2025, 3, 3, 0, 0, 0, 0, time.UTC), History: btyd.History{X: 2, Tx: 4, T: 4}, Mean: 4, Holdout: 1, HoldoutValue: 8},
	}, got)

	var row *btyd.RowError
	for _, bad := range []btyd.Purchase{{"", on("2025-03-03 00:01"), 1}, {"c", time.Time{}, 1}, {"c", on("2025-03-03 00:01"), -1}, {"c", on("2025-03-03 00:01"), math.NaN()}} {
		_, err = btyd.Summarize(append(rows[:2:2], bad), w)
		require.ErrorAs(t, err, &row)
		require.Equal(t, 2, row.Row)
	}
	_, err = btyd.Summarize(rows, btyd.Window{CalibrationEnd: w.HoldoutEnd, HoldoutEnd: w.CalibrationEnd})
	require.ErrorIs(t, err, btyd.ErrBadHorizon)
}
