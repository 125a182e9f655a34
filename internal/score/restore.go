package score

import (
	"fmt"

	"github.com/kezi-io/kezi/pkg/btyd"
)

// restored is the predictor that the fit behind cal made.
func restored(kind Kind, params Params, cal Calibration) (predictor, error) {
	p := predictor{kind: kind, params: params, scale: scaleOf(cal.Currency), mean: cal.MeanSpend}
	if cal.Purchases == nil {
		return p, fmt.Errorf("a calibration of kind %s has no model of purchases", kind)
	}
	var err error
	if p.model, err = btyd.Restore(cal.Purchases.Family, cal.Purchases.Parameters); err != nil {
		return p, fmt.Errorf("restore the purchase model: %w", err)
	}
	if v := cal.Values; v != nil {
		p.value = &btyd.GammaGamma{P: v.Parameters["p"], Q: v.Parameters["q"], V: v.Parameters["v"]}
	}
	return p, nil
}

// expectedValue is what a purchase to come of the customer is worth, in major units.
func (p predictor) expectedValue(f fact) float64 {
	switch {
	case p.value == nil:
		return float64(f.spend) / p.scale / float64(f.x+1)
	case f.x == 0:
		return p.value.Expected(0, p.mean)
	default:
		return p.value.Expected(float64(f.x), f.meanRepeat(p.scale))
	}
}
