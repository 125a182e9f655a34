package score

import (
	"math"

	"github.com/kezi-io/kezi/pkg/btyd"
)

// A potential score is the value that a buyer is expected to bring within the horizon, as clv computes it, beside the
// value so far, the net spend of all history. Its label splits buyers in three: high_value for those whose value so far
// is above the limit that the share high_value_share of buyers exceed; potential for those of the others whose value to
// come is above the limit that the share potential_share exceed; ordinary for the rest.

// inSoFar is the one input that potential has beyond those of clv: the value so far, major units.
const inSoFar = inCLVAlive + 1

// The labels of potential.
const (
	highValue     = "high_value"
	potentialOf   = "potential"
	ordinaryValue = "ordinary"
)

// Limits of the labels among a calibration's quantiles.
const (
	limitSoFar  = "value_so_far"
	limitToCome = "value_to_come"
)

func (s scorer) potential(c subject, by btyd.Prediction, in []float64) rated {
	in[inSoFar] = float64(c.spend) / s.scale
	value := s.by.clv(c.fact, by, in)
	return rated{ok: true, value: value, label: s.potentialLabel(in[inSoFar], value), inputs: in}
}

func (s scorer) potentialLabel(soFar, toCome float64) string {
	switch q := s.cal.Quantiles; {
	case above(q[limitSoFar], soFar):
		return highValue
	case above(q[limitToCome], toCome):
		return potentialOf
	}
	return ordinaryValue
}

func above(limit []float64, value float64) bool { return len(limit) == 1 && value > limit[0] }

// growth is the value to come for each unit of value so far, to four decimals; nil where there is none so far.
func growth(soFar, toCome float64) *float64 {
	if soFar <= 0 {
		return nil
	}
	g := math.Round(toCome/soFar*1e4) / 1e4
	return &g
}
