package score

// A composite score is the weighted mean of other models' scores, each put on a scale from 0 to 100: 0 for its min and
// below, 100 for its max and above, and in proportion between; inverted where lower values are better. A part without
// limits of its own takes the 5 % and 95 % quantiles (type 7) of its scores in the run that calibrated the composite. A
// part of which everybody has the same value between limits that meet counts 50.

// Each part has two inputs: whether the customer has a score of it, 0 or 1, and its value.

// limitsOf names a part's limits among a calibration's quantiles.
func limitsOf(part string) string { return "part." + part }

// limits of a part: its own, else the calibration's.
func (p Part) limits(cal *Calibration) (least, most float64) {
	if q := cal.Quantiles[limitsOf(p.Score)]; len(q) == 2 {
		least, most = q[0], q[1]
	}
	if p.Min != nil {
		least = *p.Min
	}
	if p.Max != nil {
		most = *p.Max
	}
	return least, most
}

// normalised is a value of the part from 0 to 100.
func (p Part) normalised(cal *Calibration, value float64) float64 {
	least, most := p.limits(cal)
	n := 50.0
	switch {
	case least < most:
		n = min(max((value-least)/(most-least), 0), 1) * 100
	case value < least:
		n = 0
	case value > most:
		n = 100
	}
	if p.Inverted {
		n = 100 - n
	}
	return n
}

// compositeParts is the value in hundredths with each part's normalised value, weight and contribution. ok is false when a
// customer has no score of parts that count.
func (p Params) compositeParts(cal *Calibration, in []float64) (total int, normalised, weights []float64, contributions []int, ok bool) {
	normalised, weights = make([]float64, len(p.Parts)), make([]float64, len(p.Parts))
	sum := 0.0
	for i, part := range p.Parts {
		weights[i] = part.Weight
		switch {
		case in[2*i] != 0:
			normalised[i] = part.normalised(cal, in[2*i+1])
		case p.Missing == NoScore && part.Weight > 0:
			return 0, nil, nil, nil, false
		case p.Missing == Skip:
			weights[i] = 0
		}
		if in[2*i] != 0 || p.Missing == Zero {
			sum += weights[i]
		}
	}
	if sum <= 0 {
		return 0, nil, nil, nil, false
	}
	total, contributions = weighted(weights, normalised)
	return total, normalised, weights, contributions, true
}

func (s scorer) composite(c subject) rated {
	total, _, _, _, ok := s.params.compositeParts(s.cal, c.given)
	return rated{ok: ok, value: float64(total) / 100, inputs: c.given}
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
