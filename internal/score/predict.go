package score

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/nearest"
	"github.com/kezi-io/kezi/internal/tenant"
	"github.com/kezi-io/kezi/pkg/btyd"
)

// ErrNoPrediction says that nothing can be predicted yet.
var ErrNoPrediction = fault.New(fault.Conflict, "no_model_to_predict_with",
	"predictions need a clv or churn model with a run in force: run one first",
	"预测需要一个有生效运行的 clv 或 churn 模型：请先运行模型")

// Prediction is what a customer will probably do, by the calibration in force of a model.
type Prediction struct {
	CustomerID uuid.UUID
	Model      string // key
	Kind       Kind
	RunID      uuid.UUID
	Family     string
	// AsOf is the day that is looked ahead from: today where the run in force was one of its own day and the model's
	// clock is live, the run's day otherwise.
	AsOf        tenant.Day
	Calibrated  tenant.Day // the day of the run that learned the calibration
	HorizonDays int
	Outlook     *Outlook // nil for who has not bought up to AsOf
}

// Outlook is about the days after AsOf, as many as the horizon has.
type Outlook struct {
	Inputs      map[string]float64 // as Score.Inputs
	Alive       *float64           // chance that the customer has not left; nil where the family has no say in it
	Purchases   float64            // expected purchase days
	PNone       float64            // chance of no purchase
	PerPurchase *money.Money       // expected spend of a purchase day; only of clv
	Spend       *money.Money       // expected spend; only of clv
	Next        Next
}

// Next is when the next purchase falls, if there is one at all.
type Next struct {
	Chance *float64 // that there is one, however late; nil where the family has no say in it
	// Quantiles of the waiting time, given that there is a purchase: 10, 50 and 90 %. nil for more than ten years ahead.
	Early, Median, Late *tenant.Day
}

// furthest is how many days ahead a date is still told.
const furthest = 3653

// Predict looks ahead for one customer by the model of a key, or where it is empty by the first clv model, or churn
// model, in order of keys. Fails with customer.ErrNotFound, ErrNoPrediction, or fault.ErrInvalid for a key that no such model has.
func (s *Service) Predict(ctx context.Context, t tenant.Tenant, id uuid.UUID, key string, days int) (Prediction, error) {
	c, err := s.customers.Get(ctx, t, id)
	if err != nil {
		return Prediction{}, err
	}
	m, err := modelInForce(ctx, s.db, t.ID, key)
	if errors.Is(err, ErrNoPrediction) && key != "" {
		err = s.unrun(ctx, t, key)
	}
	if err != nil {
		return Prediction{}, err
	}
	by, err := restore(m.kind, m.params, &m.calibration)
	if err != nil {
		return Prediction{}, err
	}
	p := Prediction{CustomerID: c.ID, Model: m.key, Kind: m.kind, RunID: m.run, Family: by.model.Family(), AsOf: m.asOf,
		Calibrated: m.calibrated, HorizonDays: days}
	if m.live {
		p.AsOf = t.Today(s.now())
	}
	f, bought, err := factOf(ctx, s.db, t.ID, c.ID, p.AsOf)
	if err != nil || !bought {
		return p, err
	}
	p.Outlook, err = by.outlook(ctx, f, m.calibration.Currency, p.AsOf, days)
	if err != nil {
		return Prediction{}, fmt.Errorf("predict for customer %s: %w", c.ID, err)
	}
	return p, nil
}

// unrun is why nothing can be predicted by the model of a key: it has not run yet, or there is none that predicts.
func (s *Service) unrun(ctx context.Context, t tenant.Tenant, key string) error {
	all, err := models(ctx, s.db, t.ID)
	if err != nil {
		return err
	}
	keys := []string{}
	for _, m := range all {
		if m.Kind == CLV || m.Kind == Churn {
			keys = append(keys, m.Key)
		}
	}
	if slices.Contains(keys, key) {
		return ErrNoPrediction
	}
	text := fault.T("there is no clv or churn model with this key", "没有此键的 clv 或 churn 模型")
	if near := nearest.Of(key, keys); near != "" {
		text = fault.T(text.En+"; the nearest is "+near, text.Zh+"，最接近的是 "+near)
	}
	return fault.ErrInvalid.AtParameter("model", "score_model_unknown", text, keys...)
}

func (p predictor) outlook(ctx context.Context, f fact, currency string, from tenant.Day, days int) (*Outlook, error) {
	h := f.history()
	all, err := btyd.Predict(ctx, p.model, []btyd.History{h}, btyd.Ask{Horizon: float64(days) / btyd.Week})
	if err != nil {
		return nil, err
	}
	in := []float64{inX: float64(f.x), inTx: float64(f.tx), inT: float64(f.t)}
	o := &Outlook{Inputs: behaviour(in), Purchases: all[0].Expected, PNone: all[0].PNoPurchase}
	// BG/NBD takes everyone who bought once for alive.
	if p.model.Family() != btyd.FamilyBGNBD || f.x > 0 {
		another := btyd.PAnotherPurchase(p.model, h)
		o.Alive, o.Next.Chance = &all[0].PAlive, &another
	}
	at := func(q float64) *tenant.Day {
		wait := math.Ceil(btyd.NextPurchase(p.model, h, q) * btyd.Week)
		if wait > furthest {
			return nil
		}
		// A purchase within the day after from is one on the next day.
		return &tenant.Day{Time: from.AddDate(0, 0, max(int(wait), 1))}
	}
	o.Next.Early, o.Next.Median, o.Next.Late = at(0.1), at(0.5), at(0.9)
	if p.kind == CLV {
		if f.x > 0 {
			o.Inputs["mean_repeat_spend"] = f.meanRepeat(p.scale)
		}
		value := p.expectedValue(f)
		o.PerPurchase, o.Spend = p.amount(value, currency), p.amount(value*o.Purchases, currency)
	}
	return o, nil
}

// amount rounds major units to money.
func (p predictor) amount(major float64, currency string) *money.Money {
	const limit = 1 << 53
	return &money.Money{Minor: int64(math.Round(min(major*p.scale, limit))), Currency: currency}
}
