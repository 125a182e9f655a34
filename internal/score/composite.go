package score

import (
	"fmt"

	"github.com/kezi-io/kezi/internal/fault"
)

// A composite score is the weighted mean of other models' scores, each put on a scale from 0 to 100: 0 for its min and
// below, 100 for its max and above, and in proportion between; inverted where lower values are better. A part without
// limits of its own takes the 5 % and 95 % quantiles (type 7) of its scores in the run that calibrated the composite. A
// part of which everybody has the same value between limits that meet counts 50.

// Each part has two inputs: whether the customer has a score of it, 0 or 1, and its value.

// limitsOf names a part's limits among a calibration's quantiles.
func limitsOf(part string) string { return "part." + part }

// blend is the parts of a composite with what the calibration says of them. It is used for one customer after another.
type blend struct {
	parts               []Part
	missing             Missing
	least, most         []float64 // the values that count 0 and 100: a part's own, else the calibration's
	normalised, weights []float64 // of the latest customer
}

func newBlend(p Params, cal *Calibration) *blend {
	n := len(p.Parts)
	b := &blend{p.Parts, p.Missing, make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)}
	for i, part := range p.Parts {
		if q := cal.Quantiles[limitsOf(part.Score)]; len(q) == 2 {
			b.least[i], b.most[i] = q[0], q[1]
		}
		if part.Min != nil {
			b.least[i] = *part.Min
		}
		if part.Max != nil {
			b.most[i] = *part.Max
		}
	}
	return b
}

// normalise is a value of the i-th part from 0 to 100.
func (b *blend) normalise(i int, value float64) float64 {
	least, most, n := b.least[i], b.most[i], 50.0
	switch {
	case least < most:
		n = min(max((value-least)/(most-least), 0), 1) * 100
	case value < least:
		n = 0
	case value > most:
		n = 100
	}
	if b.parts[i].Inverted {
		n = 100 - n
	}
	return n
}

// limitsCrossed says that a part's own limit is beyond the other, which comes from its scores: nothing is left between them.
func limitsCrossed(part string, least, most float64) Diagnostic {
	return Diagnostic{"limits_crossed", fault.T(
		fmt.Sprintf("no score of %s counts between 0 and 100: its min %g is not below its max %g; without limits of its own these are the 5 %% and 95 %% quantiles of its scores", part, least, most),
		fmt.Sprintf("%s 的评分没有介于 0 与 100 之间的取值：min %g 不小于 max %g；未指定时二者为其评分的 5%% 与 95%% 分位数", part, least, most))}
}

// mix puts each part's normalised value and weight in place, and reports whether the customer has scores of parts that count.
func (b *blend) mix(in []float64) bool {
	sum := 0.0
	for i, part := range b.parts {
		b.normalised[i], b.weights[i] = 0, part.Weight
		switch {
		case in[2*i] != 0:
			b.normalised[i] = b.normalise(i, in[2*i+1])
		case b.missing == NoScore && part.Weight > 0:
			return false
		case b.missing == Skip:
			b.weights[i] = 0
		}
		if in[2*i] != 0 || b.missing == Zero {
			sum += b.weights[i]
		}
	}
	return sum > 0
}

func (b *blend) rate(in []float64) rated {
	if !b.mix(in) {
		return rated{inputs: in}
	}
	return rated{ok: true, value: float64(weighted(b.weights, b.normalised)) / 100, inputs: in}
}

// partOf is the part that a model of some kind makes in a composite that is made without parts of its own.
func partOf(m Model) (Part, bool) {
	limit := func(v float64) *float64 { return &v }
	switch m.Kind {
	case RFM:
		return Part{Score: m.Key, Weight: 1, Min: limit(1), Max: limit(float64(m.Params.Bands))}, true
	case CLV:
		return Part{Score: m.Key, Weight: 2, Min: limit(0)}, true
	case Churn:
		return Part{Score: m.Key, Weight: 1, Min: limit(0), Max: limit(1), Inverted: true}, true
	}
	return Part{}, false
}

// defaultParts are the first model of each kind that has a default part, by key.
func defaultParts(all []Model) []Part {
	var parts []Part
	seen := map[Kind]bool{}
	for _, m := range all {
		if part, ok := partOf(m); ok && !seen[m.Kind] && m.RetiredAt == nil {
			seen[m.Kind] = true
			parts = append(parts, part)
		}
	}
	return parts
}
