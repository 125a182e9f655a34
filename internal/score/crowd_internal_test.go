package score

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// Quantiles that are found without sorting are those of sorted values, however the values are arranged.
func TestQuantilesAreThoseOfSortedValues(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 11))
	arranged := map[string]func(i, n int) float64{
		"random":     func(int, int) float64 { return random.NormFloat64() },
		"few values": func(int, int) float64 { return float64(random.IntN(3)) },
		"equal":      func(int, int) float64 { return 4 },
		"ascending":  func(i, _ int) float64 { return float64(i) },
		"descending": func(i, _ int) float64 { return float64(-i) },
		"organ pipe": func(i, n int) float64 { return float64(min(i, n-i)) },
		"saw":        func(i, _ int) float64 { return float64(i % 17) },
		"infinite":   func(i, _ int) float64 { return math.Inf(1 - 2*(i%2)) },
	}
	at := []float64{0, 0.05, 0.2, 0.4, 0.4, 0.6, 0.8, 0.95, 1}
	for name, of := range arranged {
		for _, n := range []int{1, 2, 3, 31, 33, 100, 1001, 20_000} {
			values := make([]float64, n)
			for i := range values {
				values[i] = of(i, n)
			}
			sorted := slices.Sorted(slices.Values(values))
			for i, limit := range quantiles(values, at) {
				place := at[i] * float64(n-1)
				low, high := sorted[int(math.Floor(place))], sorted[int(math.Ceil(place))]
				if want := low + (place-math.Floor(place))*(high-low); !math.IsNaN(want) {
					require.Equal(t, want, limit, "%s of %d at %v", name, n, at[i])
				}
			}
			require.Equal(t, sorted, slices.Sorted(slices.Values(values)), "%s of %d", name, n)
		}
	}
	require.Nil(t, quantiles(nil, at))
}
