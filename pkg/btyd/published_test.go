package btyd_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/pkg/btyd"
)

// The figures are those of the papers, of Hardie's spreadsheets and of the
// programs CLVTools, BTYDplus and lifetimes, for the CDNOW sample: weeks, dollars.

func TestFitsAreThePublishedOnes(t *testing.T) {
	t.Parallel()
	cs := sample(t)
	require.Len(t, cs, 2357)
	rows := weighted(histories(cs))
	for _, tt := range []struct {
		family string
		params map[string]float64
		ll     float64
	}{
		{btyd.FamilyBGNBD, map[string]float64{"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}, -9582.43},
		{btyd.FamilyMBGNBD, map[string]float64{"r": 0.525, "alpha": 6.183, "a": 0.891, "b": 1.614}, 0},
		{btyd.FamilyParetoNBD, map[string]float64{"r": 0.553, "alpha": 10.578, "s": 0.606, "beta": 11.669}, -9594.98},
	} {
		t.Run(tt.family, func(t *testing.T) {
			t.Parallel()
			m, report, err := btyd.Fit(t.Context(), tt.family, rows, btyd.Options{})
			require.NoError(t, err)
			t.Logf("%v\n%+v", m, report)
			for name, want := range tt.params {
				assert.InEpsilon(t, want, m.Params()[name], 0.005, name)
				assert.Greater(t, report.StdErr[name], 0.0, name)
			}
			if tt.ll != 0 {
				assert.InDelta(t, tt.ll, report.LogLikelihood, 0.01)
			}
			sum := 0.0
			for _, c := range cs {
				sum += m.LogLikelihood(c.History)
			}
			assert.InDelta(t, sum, report.LogLikelihood, 1e-7, "the sum of the customers' own")
			assert.Equal(t, btyd.Sound, report.Diagnosis)
			assert.True(t, report.Converged)
			assert.Equal(t, 2357, report.Customers)
			assert.Equal(t, 946, report.RepeatBuyers)
			assert.Less(t, report.Evaluations, 30)
		})
	}
}

func TestGammaGammaIsThePublishedOne(t *testing.T) {
	t.Parallel()
	cs := sample(t)
	g, report, err := btyd.FitGammaGamma(t.Context(), spending(cs), btyd.Options{})
	require.NoError(t, err)
	t.Logf("%v\n%+v", g, report)
	assert.InEpsilon(t, 6.25, g.P, 0.005)
	assert.InEpsilon(t, 3.74, g.Q, 0.005)
	assert.InEpsilon(t, 15.44, g.V, 0.005)
	assert.InDelta(t, -4055.92, report.LogLikelihood, 0.01)
	assert.Equal(t, 946, report.Customers)
	assert.Equal(t, 2357-946, report.Excluded)
	sum := 0.0
	for _, c := range cs {
		sum += g.LogLikelihood(c.X, c.Mean)
	}
	assert.InDelta(t, sum, report.LogLikelihood, 1e-7)
	for i, want := range []float64{24.65, 18.91, 35.17, 35.17, 35.17, 71.46, 18.91, 35.17, 27.28, 35.17} {
		assert.InEpsilon(t, want, g.Expected(cs[i].X, cs[i].Mean), 0.001, "customer %s", cs[i].ID)
	}
	rounded := btyd.GammaGamma{P: 6.25, Q: 3.74, V: 15.44}
	for i, want := range []float64{24.65, 18.91, 35.17, 35.17, 35.17, 71.46, 18.91, 35.17, 27.28, 35.17} {
		assert.InDelta(t, want, rounded.Expected(cs[i].X, cs[i].Mean), 0.06, "customer %s", cs[i].ID)
	}
}

func TestPredictionsAreThePublishedOnes(t *testing.T) {
	t.Parallel()
	m := btyd.BGNBD{R: 0.243, Alpha: 4.414, A: 0.793, B: 2.426}
	assert.InDelta(t, 1.226, m.Expected(btyd.History{X: 2, Tx: 30.43, T: 38.86}, 39), 0.0005)
	// Published for the parameters before rounding, as a spreadsheet's solver
	// left them: the last value tells the two optima apart in the fourth digit.
	fitted, _, err := btyd.FitBGNBD(t.Context(), weighted(histories(sample(t))), btyd.Options{})
	require.NoError(t, err)
	for _, tt := range []struct{ t, want float64 }{
		{0.1429, 0.0078}, {1, 0.0532}, {3, 0.1506}, {31.8571, 1.0405}, {32, 1.0437}, {78, 1.8576},
	} {
		assert.InDelta(t, tt.want, fitted.ExpectedNew(tt.t), math.Max(0.00005, 0.00025*tt.want), "t = %v", tt.t)
	}
	assert.InEpsilon(t, 1.07869e-07, m.PMF(10, 2), 1e-5)
	assert.InEpsilon(t, 0.5737864, m.PMF(0, 39), 1e-7)

	p := btyd.ParetoNBD{R: 0.553, Alpha: 10.578, S: 0.606, Beta: 11.669}
	h := btyd.History{X: 26, Tx: 30.86, T: 31}
	assert.InDelta(t, 25.46, p.Expected(h, 52), 0.005)
	assert.InDelta(t, 0.9979, p.PAlive(h), 0.00005)
}

func TestCLVIsTheFormulaOfLifetimes(t *testing.T) {
	t.Parallel()
	for _, m := range models() {
		for _, h := range []btyd.History{{}, {T: 38}, {X: 2, Tx: 30.43, T: 38.86}, {X: 26, Tx: 30.86, T: 31}} {
			want := 0.0
			for k := 1.0; k <= 12; k++ {
				want += 35.17 * (m.Expected(h, 4.345*k) - m.Expected(h, 4.345*(k-1))) / math.Pow(1.01, k)
			}
			assert.InEpsilon(t, want, btyd.CLV(m, h, 35.17, btyd.Months(12, 0.01)), 1e-12)
		}
	}
}

// models are the published ones of the CDNOW sample.
func models() []btyd.Model {
	return []btyd.Model{
		btyd.BGNBD{R: 0.243, Alpha: 4.414, A: 0.793, B: 2.426},
		btyd.MBGNBD{R: 0.525, Alpha: 6.183, A: 0.891, B: 1.614},
		btyd.ParetoNBD{R: 0.553, Alpha: 10.578, S: 0.606, Beta: 11.669},
	}
}
