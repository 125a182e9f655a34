package score

import (
	"context"
	"fmt"
	"math"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/pkg/btyd"
)

// subject is what is known of one customer for a model's day.
type subject struct {
	id     uuid.UUID
	bought bool
	fact   // zero unless bought
	// Purchase days and spend, minor units, within the model's window.
	windowDays  int
	windowSpend int64
	// given are the inputs of rules and composite, which know nothing else.
	given []float64
}

// rated is a score without what all of a run share. band is 0 where limits of values decide it.
type rated struct {
	ok     bool // false for who has no score, which is not the same as 0
	value  float64
	band   int
	label  string
	inputs []float64
}

// inputs is how many a score of the kind has of its own, apart from those that are given.
func (k Kind) inputs() int {
	switch k {
	case RFM:
		return inM + 1
	case CLV:
		return inCLVAlive + 1
	case Churn:
		return inIfAlive + 1
	case Potential:
		return inSoFar + 1
	}
	return 0
}

// scorer is a model's parameters with a calibration: all that a score depends on besides the customer.
type scorer struct {
	kind   Kind
	params Params
	cal    *Calibration
	scale  float64 // minor units of the currency in a major one
	by     predictor
}

// newScorer restores what a calibration has learned.
func newScorer(kind Kind, params Params, cal *Calibration) (scorer, error) {
	s := scorer{kind: kind, params: params, cal: cal, scale: scaleOf(cal.Currency)}
	if cal.Purchases == nil {
		return s, nil
	}
	var err error
	s.by, err = restore(kind, params, cal)
	return s, err
}

// restore is the predictor that fit had made of a calibration.
func restore(kind Kind, params Params, cal *Calibration) (predictor, error) {
	p := predictor{kind: kind, params: params, scale: scaleOf(cal.Currency), mean: cal.MeanSpend}
	var err error
	if p.model, err = btyd.Restore(cal.Purchases.Family, cal.Purchases.Parameters); err != nil {
		return p, fmt.Errorf("restore a purchase model: %w", err)
	}
	if v := cal.Values; v != nil {
		p.value = &btyd.GammaGamma{P: v.Parameters["p"], Q: v.Parameters["q"], V: v.Parameters["v"]}
	}
	return p, nil
}

// rate scores subjects in the order given. Equal subjects get equal scores.
func (s scorer) rate(ctx context.Context, subjects []subject) ([]rated, error) {
	var predictions []btyd.Prediction
	if s.kind.predicts() {
		if s.by.model == nil {
			return nil, fmt.Errorf("a model of kind %s has no fitted purchase model", s.kind)
		}
		var histories []btyd.History
		for _, c := range subjects {
			if c.bought {
				histories = append(histories, c.history())
			}
		}
		var err error
		if predictions, err = btyd.Predict(ctx, s.by.model, histories, s.by.ask()); err != nil {
			return nil, fmt.Errorf("predict: %w", err)
		}
	}
	return s.judge(subjects, predictions, &room{})
}

// room is memory to score in, for one block of customers after another.
type room struct {
	subjects []subject
	rated    []rated
	given    []float64 // inputs of subjects
	inputs   []float64 // of rated
}

// sized is a slice of n, whatever is in it, in the memory of another if that is enough.
func sized[T any](in []T, n int) []T {
	if cap(in) < n {
		return make([]T, n)
	}
	return in[:n]
}

// judge scores subjects in the order given. predictions are those of the buyers among them, for kinds that predict. The answer
// is good until something else is scored in the same room.
func (s scorer) judge(subjects []subject, predictions []btyd.Prediction, in *room) ([]rated, error) {
	all := sized(in.rated, len(subjects))
	width := s.kind.inputs()
	inputs := sized(in.inputs, width*len(subjects))
	in.rated, in.inputs = all, inputs
	clear(inputs)
	var parts *blend
	if s.kind == Composite {
		parts = newBlend(s.params, s.cal)
	}
	limits := s.cal.Quantiles["value"]
	buyers := 0
	for i, c := range subjects {
		own := inputs[i*width : (i+1)*width : (i+1)*width]
		switch {
		case s.kind == Rules:
			all[i] = s.rules(c)
		case s.kind == Composite:
			all[i] = parts.rate(c.given)
		case s.kind == AtRisk:
			all[i] = s.atRisk(c)
		case !c.bought:
			all[i] = rated{}
			continue
		case s.kind == RFM:
			all[i] = s.rfm(c, own)
		case s.kind == Potential:
			all[i] = s.potential(c, predictions[buyers], own)
		case s.kind == CLV:
			all[i] = rated{ok: true, value: s.by.clv(c.fact, predictions[buyers], own), inputs: own}
		default:
			all[i] = rated{ok: true, value: churn(c.fact, predictions[buyers], own), inputs: own}
		}
		if c.bought {
			buyers++
		}
		r := &all[i]
		if math.IsNaN(r.value) || math.IsInf(r.value, 0) {
			return nil, fmt.Errorf("a customer with x %d, t_x %d and T %d days has the value %v of kind %s", c.x, c.tx, c.t, r.value, s.kind)
		}
		if r.ok && r.band == 0 {
			r.band = bandOf(limits, r.value)
		}
	}
	return all, nil
}
