package score

import "math"

// weighted is the weighted mean of values in hundredths, and the contribution of each: the rounded running sums'
// differences, so that they add up to it exactly and none is off by more than a hundredth. At least one weight is above 0.
func weighted(weights, values []float64) (total int, parts []int) {
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	running := 0.0
	parts = make([]int, len(values))
	for i, v := range values {
		running += weights[i] * v
		upTo := int(math.Round(100 * running / sum))
		parts[i] = upTo - total
		total = upTo
	}
	return total, parts
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
