package score

import "math"

// weighted is the weighted mean of values in hundredths. At least one weight is above 0.
func weighted(weights, values []float64) int {
	total := 0
	addUp(weights, values, func(_, upTo int) { total = upTo })
	return total
}

// shares are what each value contributes to the weighted mean, in hundredths: the rounded running sums' differences, so that
// they add up to it exactly and none is off by more than a hundredth.
func shares(weights, values []float64) []int {
	all, before := make([]int, len(values)), 0
	addUp(weights, values, func(i, upTo int) { all[i], before = upTo-before, upTo })
	return all
}

// addUp tells the weighted mean of the values up to each, in hundredths and as if those after it were 0.
func addUp(weights, values []float64, tell func(i, upTo int)) {
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	running := 0.0
	for i, v := range values {
		running += weights[i] * v
		tell(i, int(math.Round(100*running/sum)))
	}
}

// bandOf is 1 + the number of limits strictly below the value.
func bandOf(limits []float64, value float64) int {
	n := 1
	for _, l := range limits {
		if l < value {
			n++
		}
	}
	return n
}
