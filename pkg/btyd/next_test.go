package btyd_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/pkg/btyd"
)

// opaque hides which model it is, so that the general way is taken.
type opaque struct{ btyd.Model }

func TestTheNextPurchaseFallsWhereTheChanceOfNoneSays(t *testing.T) {
	t.Parallel()
	odd := []btyd.Model{btyd.BGNBD{R: 1e-3, Alpha: 1e-3, A: 1e-3, B: 1e3}, btyd.MBGNBD{R: 500, Alpha: 1e4, A: 3, B: 1e-2},
		btyd.ParetoNBD{R: 0.05, Alpha: 100, S: 5, Beta: 0.1}, btyd.ParetoNBD{R: 30, Alpha: 2, S: 1e-4, Beta: 1e4}}
	for _, m := range append(models(), odd...) {
		for _, h := range []btyd.History{{}, {T: 38.9}, {X: 2, Tx: 30.43, T: 38.86}, {X: 26, Tx: 30.86, T: 31}, {X: 7, Tx: 5, T: 6}} {
			name := fmt.Sprintf("%T%+v %+v", m, m, h)
			ever := btyd.PAnotherPurchase(m, h)
			assert.True(t, ever >= 0 && ever <= m.PAlive(h)+1e-12, name)
			before := 0.0
			for _, q := range []float64{0.1, 0.5, 0.9} {
				at := btyd.NextPurchase(m, h, q)
				assert.GreaterOrEqual(t, at, before, name)
				assert.False(t, math.IsInf(at, 0) || math.IsNaN(at), name)
				before = at
				if at > 0 && at < math.MaxFloat32 {
					assert.InDelta(t, q*ever, 1-m.PNoPurchase(h, at), 1e-7, name)
				}
				if ever > 1e-3 && at < 1e6 {
					assert.InEpsilon(t, at, btyd.NextPurchase(opaque{m}, h, q), 1e-4, name)
				}
			}
		}
		for _, q := range []float64{-1, 0, math.NaN()} {
			assert.Zero(t, btyd.NextPurchase(m, btyd.History{T: 5}, q))
		}
		assert.InEpsilon(t, math.MaxFloat32, btyd.NextPurchase(m, btyd.History{T: 5}, 1), 1e-6)
	}
}

func ExampleNextPurchase() {
	m := btyd.MBGNBD{R: 0.525, Alpha: 6.183, A: 0.891, B: 1.614}
	h := btyd.History{X: 6, Tx: 19, T: 20}
	fmt.Printf("there is one with a chance of %.2f,\n", btyd.PAnotherPurchase(m, h))
	fmt.Printf("as likely as not within %.1f weeks, in 8 of 10 cases after %.1f to %.1f", btyd.NextPurchase(m, h, 0.5),
		btyd.NextPurchase(m, h, 0.1), btyd.NextPurchase(m, h, 0.9))
	// Output:
	// there is one with a chance of 0.87,
	// as likely as not within 2.9 weeks, in 8 of 10 cases after 0.4 to 11.1
}

// Nobody leaves and all are alike: parameters run to their limits, in whatever unit, and what a fit gives can be used.
func TestABoundaryInAnyUnitOfTime(t *testing.T) {
	t.Parallel()
	for _, unit := range []float64{1e-9, 1, 7 * 86400, 7 * 86400 * 1e6} { // weeks in other units
		rows := []btyd.Weighted{{History: btyd.History{X: 50, Tx: 155 * unit, T: 156 * unit}, N: 1000}}
		for _, family := range btyd.Families() {
			m, r, err := btyd.Fit(t.Context(), family, rows, btyd.Options{})
			require.NoError(t, err)
			assert.Equal(t, btyd.Boundary, r.Diagnosis)
			p, err := btyd.Predict(t.Context(), m, []btyd.History{rows[0].History}, btyd.Ask{Horizon: 10 * unit})
			if assert.NoError(t, err, "%s %g", family, unit) {
				assert.InEpsilon(t, 10*50.0/156, p[0].Expected, 0.02, "%s %g", family, unit)
			}
		}
	}
	_, _, err := btyd.FitBGNBD(t.Context(), []btyd.Weighted{{History: btyd.History{X: 1, Tx: 1e-12, T: 2e-12}, N: 50}}, btyd.Options{})
	assert.ErrorIs(t, err, btyd.ErrNoObservationTime)
	assert.NotEmpty(t, btyd.History{T: 1e16}.Problem())
}
