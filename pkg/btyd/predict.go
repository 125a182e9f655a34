package btyd

import (
	"context"
	"fmt"
)

// Ask is what [Predict] is to compute besides [Prediction.PAlive].
type Ask struct {
	Horizon float64 // time ahead of T for Expected and PNoPurchase
	Plan    Plan    // for Discounted; none when Steps is 0
}

// Prediction is what a model says about one customer.
type Prediction struct {
	PAlive      float64 // see [Model.PAlive]; of BG/NBD always 1 for X = 0
	Expected    float64 // purchases within the horizon
	PNoPurchase float64 // chance of none within the horizon: churn
	Discounted  float64 // see [Discounted]; times the value of a purchase it is the [CLV]
}

// Predict computes predictions for many customers on all processors, in the
// order of histories and equal to those of the model's methods to 1e-12. The
// models of this package share work between customers and between the steps of
// the plan; any other implementation is asked method by method.
//
// Fails with a [RowError] for a history that no model can take,
// [ErrBadHorizon], [ErrBadParameters], or the context's error.
func Predict(ctx context.Context, m Model, histories []History, ask Ask) ([]Prediction, error) {
	if err := checkParams(m); err != nil {
		return nil, err
	}
	if !ask.Plan.valid() || !(ask.Horizon >= 0 && ask.Horizon < 1e38) {
		return nil, ErrBadHorizon
	}
	for i, h := range histories {
		if problem := h.Problem(); problem != "" {
			return nil, &RowError{i, problem}
		}
	}
	const size = 512
	out := make([]Prediction, len(histories))
	// A channel rather than a sync.Pool: a predictor's tables are worth
	// keeping for the whole call.
	idle := make(chan predictor, (len(histories)+size-1)/size+1)
	err := each(ctx, (len(histories)+size-1)/size, func(i int) {
		var p predictor
		select {
		case p = <-idle:
		default:
			p = newPredictor(m)
		}
		for j := i * size; j < min((i+1)*size, len(histories)); j++ {
			out[j] = p.predict(histories[j], ask)
		}
		idle <- p
	})
	if err != nil {
		return nil, fmt.Errorf("btyd: predict %s: %w", m.Family(), err)
	}
	return out, nil
}

// predictor predicts for one customer after another; not for concurrent use.
// It is given valid histories and horizons only.
type predictor interface {
	predict(h History, ask Ask) Prediction
}

func newPredictor(m Model) predictor {
	if b, ok := m.(interface{ predictor() predictor }); ok {
		return b.predictor()
	}
	return methods{m}
}

type methods struct{ m Model }

func (p methods) predict(h History, ask Ask) Prediction {
	return Prediction{
		PAlive:      p.m.PAlive(h),
		Expected:    p.m.Expected(h, ask.Horizon),
		PNoPurchase: p.m.PNoPurchase(h, ask.Horizon),
		Discounted:  Discounted(p.m, h, ask.Plan),
	}
}

// bgPredictor keeps a table of renewals for every x it has met, and what
// lies ahead of customers who are alive for every pair of x and T: with times
// of whole days many customers share one.
type bgPredictor struct {
	m     bg
	by    []*renewals // by x
	rare  map[float64]*renewals
	ahead map[moment]ahead
}

type moment struct{ x, t float64 }

// ahead is a [Prediction] given that the customer is alive.
type ahead struct {
	expected, discounted float64
	noneLess1            float64 // chance of no purchase, less 1
}

// maxAhead bounds the pairs that are kept, for times that never repeat.
const maxAhead = 1 << 16

func newBGPredictor(m bg) *bgPredictor {
	return &bgPredictor{m: m, by: make([]*renewals, 256), rare: map[float64]*renewals{}, ahead: map[moment]ahead{}}
}

func (p *bgPredictor) renewals(x float64) *renewals {
	if x >= float64(len(p.by)) {
		q := p.rare[x]
		if q == nil {
			q = p.m.renewals(x)
			p.rare[x] = q
		}
		return q
	}
	q := p.by[int(x)]
	if q == nil {
		q = p.m.renewals(x)
		p.by[int(x)] = q
	}
	return q
}

func (p *bgPredictor) predict(h History, ask Ask) Prediction {
	alive := p.m.pAlive(h)
	a, known := p.ahead[moment{h.X, h.T}]
	if !known {
		a = p.lookAhead(h, ask)
		if len(p.ahead) < maxAhead {
			p.ahead[moment{h.X, h.T}] = a
		}
	}
	return Prediction{PAlive: alive, Expected: alive * a.expected, PNoPurchase: unit(1 + alive*a.noneLess1), Discounted: alive * a.discounted}
}

func (p *bgPredictor) lookAhead(h History, ask Ask) ahead {
	q := p.renewals(h.X)
	scale := 1 / (p.m.alpha + h.T)
	return ahead{
		expected:   q.until(ask.Horizon * scale),
		discounted: ask.Plan.discount(func(t float64) float64 { return q.until(t * scale) }),
		noneLess1:  p.m.noneLess1(h, ask.Horizon),
	}
}
