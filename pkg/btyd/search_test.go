package btyd_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/pkg/btyd"
)

// draw simulates n customers of ages from 10 to 60.
func draw(m btyd.Model, n int, ahead float64) []btyd.Simulated {
	ages := make([]float64, n)
	for i := range ages {
		ages[i] = 10 + 50*float64(i)/float64(n)
	}
	return btyd.Simulate(m, 17, ages, ahead)
}

func drawn(sims []btyd.Simulated) []btyd.Weighted {
	hs := make([]btyd.History, len(sims))
	for i, s := range sims {
		hs[i] = s.History
	}
	return weighted(hs)
}

// One start is enough where a fit says that it is sound: of many that lie all over the place none climbs higher.
func TestLargeNoOtherStartClimbsHigher(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 6))
	var starts [][4]float64
	for range 8 {
		var s [4]float64
		for i := range s {
			s[i] = math.Exp(rng.NormFloat64() * 2)
		}
		starts = append(starts, s)
	}
	none := func(t *testing.T, rows []btyd.Weighted) {
		for _, family := range btyd.Families() {
			_, report, err := btyd.Fit(t.Context(), family, rows, btyd.Options{})
			require.NoError(t, err)
			for _, s := range starts {
				ll, err := btyd.Climb(t.Context(), family, rows, s)
				require.NoError(t, err)
				assert.LessOrEqual(t, ll, report.LogLikelihood+1e-3, "%s from %v; %+v", family, s, report)
			}
		}
	}
	for _, m := range append(models(), btyd.BGNBD{R: 4, Alpha: 2, A: 0.3, B: 2}, btyd.MBGNBD{R: 0.6, Alpha: 20, A: 3, B: 0.7},
		btyd.ParetoNBD{R: 2, Alpha: 4, S: 0.2, Beta: 3}, btyd.BGNBD{R: 0.5, Alpha: 4, A: 0.01, B: 200}) {
		t.Run(fmt.Sprintf("%T%v", m, m), func(t *testing.T) {
			t.Parallel()
			none(t, drawn(draw(m, 400, 0)))
		})
	}
	t.Run("TheCDNOWSample", func(t *testing.T) {
		t.Parallel()
		none(t, weighted(histories(sample(t))))
	})
}

// Where nobody leaves, or all buy at one rate, the likelihood has no maximum inside; what is predicted must be right still.
func TestLargeBoundaryFitsPredictWhatComes(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]btyd.Model{
		"nobody leaves": btyd.BGNBD{R: 0.8, Alpha: 6, A: 1e-4, B: 1e4},
		"one rate":      btyd.MBGNBD{R: 1e4, Alpha: 8e4, A: 0.8, B: 3},
		"both":          btyd.ParetoNBD{R: 1e4, Alpha: 8e4, S: 1e-5, Beta: 10},
	} {
		sims := draw(m, 3000, 26)
		boundary := false
		for _, family := range btyd.Families() {
			fitted, report, err := btyd.Fit(t.Context(), family, drawn(sims), btyd.Options{})
			require.NoError(t, err)
			boundary = boundary || report.Diagnosis == btyd.Boundary
			if family != m.Family() && name == "one rate" { // customers leave otherwise than this family has it
				continue
			}
			var off, square float64
			for _, s := range sims {
				d := float64(s.Ahead) - fitted.Expected(s.History, 26)
				off, square = off+d, square+d*d
			}
			assert.LessOrEqual(t, math.Abs(off), 4*math.Sqrt(square), "%s by %s: %+v", name, family, report)
		}
		assert.True(t, boundary, name)
	}
}
