package btyd_test

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/pkg/btyd"
)

// auc is the chance that a random customer who did not buy has a higher
// score than a random one who did; ties count half.
func auc(score []float64, gone []bool) float64 {
	order := make([]int, len(score))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(score[a], score[b]) })
	var ranks, n1 float64
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && score[order[j]] == score[order[i]] {
			j++
		}
		for _, k := range order[i:j] {
			if gone[k] {
				ranks += float64(i+j+1) / 2
				n1++
			}
		}
		i = j
	}
	n0 := float64(len(score)) - n1
	return (ranks - n1*(n1+1)/2) / (n1 * n0)
}

func mean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

// judgement is how a churn score did in the holdout.
type judgement struct {
	auc, recency      float64 // ranking, and that of time since the last purchase
	bias, biasOneTime float64 // mean score less the share that did not buy
}

// good is the test for a churn score. biasLimit is 0.04 for a family that
// foretells the share well.
func (j judgement) good(biasLimit float64) bool {
	return j.auc >= 0.74 && j.auc >= j.recency-0.02 && math.Abs(j.bias) <= biasLimit && math.Abs(j.biasOneTime) <= 0.03
}

func judge(cs []btyd.Customer, score []float64) judgement {
	gone := make([]bool, len(cs))
	recency := make([]float64, len(cs))
	share := make([]float64, len(cs))
	var oneTime, oneTimeShare []float64
	for i, c := range cs {
		gone[i] = c.Holdout == 0
		recency[i] = c.T - c.Tx
		if gone[i] {
			share[i] = 1
		}
		if c.X == 0 {
			oneTime = append(oneTime, score[i])
			oneTimeShare = append(oneTimeShare, share[i])
		}
	}
	return judgement{auc(score, gone), auc(recency, gone), mean(score) - mean(share), mean(oneTime) - mean(oneTimeShare)}
}

// What happened in the 39 weeks after the calibration, among all 23,570
// customers, judges the chance of no purchase; 1 - P(alive) must not pass for it.
//
// Purchases were more frequent in the holdout than any of the models expects. BG/NBD's
// mean is 0.034 above the share that did not buy, MBG/NBD's 0.062 and Pareto/NBD's 0.070:
// properties of the families, since the probabilities agree with the oracle to 1e-9.
func TestLargeChurnForetellsTheHoldout(t *testing.T) {
	t.Parallel()
	cs := master(t)
	require.Len(t, cs, 23570)
	hs := histories(cs)
	for family, biasLimit := range map[string]float64{btyd.FamilyBGNBD: 0.04, btyd.FamilyMBGNBD: 0.065} {
		t.Run(family, func(t *testing.T) {
			t.Parallel()
			m, _, err := btyd.Fit(t.Context(), family, weighted(hs), btyd.Options{})
			require.NoError(t, err)
			ps, err := btyd.Predict(t.Context(), m, hs, btyd.Ask{Horizon: 39})
			require.NoError(t, err)
			churn, left := make([]float64, len(ps)), make([]float64, len(ps))
			expected, bought := 0.0, 0.0
			for i, p := range ps {
				churn[i], left[i] = p.PNoPurchase, 1-p.PAlive
				expected += p.Expected
				bought += float64(cs[i].Holdout)
			}
			got, wrong := judge(cs, churn), judge(cs, left)
			t.Logf("%+v\nP(no purchase): %+v\n1 - P(alive): %+v\nexpected purchases %.0f, were %.0f", m, got, wrong, expected, bought)
			assert.True(t, got.good(biasLimit), "%+v", got)
			assert.False(t, wrong.good(biasLimit), "1 - P(alive): %+v", wrong)
			assert.InEpsilon(t, bought, expected, 0.2)

			o := oracleOf(m, 0.1)
			for i := 0; i < len(cs); i += len(cs) / 12 {
				assert.InDelta(t, o.ask(hs[i], 39).pNone, ps[i].PNoPurchase, 1e-9, "%+v", hs[i])
			}
		})
	}
}

func TestLargePredictionsAreRightAboutSimulatedCustomers(t *testing.T) {
	t.Parallel()
	ages := make([]float64, 20000)
	for i := range ages {
		ages[i] = 20 + 40*float64(i)/float64(len(ages))
	}
	for _, m := range append(models(), btyd.MBGNBD{R: 2, Alpha: 3, A: 2, B: 6}) {
		sims := btyd.Simulate(m, 11, ages, 52)
		hs := make([]btyd.History, len(sims))
		for i, s := range sims {
			hs[i] = s.History
		}
		ps, err := btyd.Predict(t.Context(), m, hs, btyd.Ask{Horizon: 52})
		require.NoError(t, err)
		// Sums over all and over those who bought again, with the standard error of the difference.
		for _, least := range []float64{0, 1} {
			var ahead, none, alive [2]float64
			add := func(s *[2]float64, d float64) { s[0] += d; s[1] += d * d }
			indicator := map[bool]float64{true: 1}
			for i, s := range sims {
				if s.X < least {
					continue
				}
				add(&ahead, float64(s.Ahead)-ps[i].Expected)
				add(&none, indicator[s.Ahead == 0]-ps[i].PNoPurchase)
				add(&alive, indicator[s.Alive]-ps[i].PAlive)
			}
			for name, d := range map[string][2]float64{"purchases": ahead, "none": none, "alive": alive} {
				assert.LessOrEqual(t, math.Abs(d[0]), 4*math.Sqrt(d[1]), "%T%v %s, x >= %v", m, m, name, least)
			}
		}
		fitted, report, err := btyd.Fit(t.Context(), m.Family(), weighted(hs), btyd.Options{})
		require.NoError(t, err)
		for name, want := range m.Params() {
			assert.InDelta(t, want, fitted.Params()[name], 4*report.StdErr[name], "%T%v %s", m, m, name)
		}
	}
	g := btyd.GammaGamma{P: 6.25, Q: 3.74, V: 15.44}
	counts := make([]float64, 20000)
	for i := range counts {
		counts[i] = float64(i % 7)
	}
	fitted, report, err := btyd.FitGammaGamma(t.Context(), g.Simulate(5, counts), btyd.Options{})
	require.NoError(t, err)
	assert.InDelta(t, g.P, fitted.P, 4*report.StdErr["p"])
	assert.InDelta(t, g.Q, fitted.Q, 4*report.StdErr["q"])
	assert.InDelta(t, g.V, fitted.V, 4*report.StdErr["v"])
}
