package score

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/tenant"
	"github.com/kezi-io/kezi/pkg/btyd"
)

// ErrNotValidated says that a run has nothing to be judged by.
var ErrNotValidated = fault.New(fault.Conflict, "score_run_not_validated",
	"only a run of a clv, churn or potential model that has succeeded can be held against what happened",
	"只有 clv、churn 或 potential 模型的成功运行才能与实际结果对比验证")

// The naive ways to foretell purchases that a model has to beat.
const (
	ByModel   = "model"
	ByRate    = "rate"    // everyone goes on at x/T
	ByZero    = "zero"    // nobody buys again
	ByRecency = "recency" // x/T for those whose silence is at most twice their average gap t_x/x, nothing for the others
)

// Methods are all of them.
func Methods() []string { return []string{ByModel, ByRate, ByZero, ByRecency} }

// frequencies is how many groups by repeat purchases a validation has; the last one is open.
const frequencies = 8

// Validation holds predictions against what customers did in the holdout, the days after Calibrated.
type Validation struct {
	Run        Run
	Family     string
	Refitted   bool       // on the facts up to Calibrated; otherwise the run itself is judged
	Calibrated tenant.Day // last day that the model knew
	Until      tenant.Day // last day of the holdout
	Customers  int64      // who had bought by Calibrated
	Purchases  Errors     // purchase days in the holdout
	Spend      *Errors    // major units, of clv: the expected number of purchases times their expected value
	Churn      ChurnValidation
	Frequency  []FrequencyValidation
}

// Errors is how far predictions of an amount were off.
type Errors struct {
	ActualMean float64
	Methods    map[string]MethodError
}

// MethodError is of one way to predict.
type MethodError struct{ PredictedMean, MAE, RMSE float64 }

// ChurnValidation is how well buying nothing was foretold.
type ChurnValidation struct {
	ActualShare, PredictedShare float64
	OneTimeActual, OneTimePred  float64 // the same among customers with x = 0
	Brier                       float64 // mean squared error of the probability
	// AUC by method: the chance that one who bought nothing was ranked above one who did. nil where everybody, or
	// nobody, bought.
	AUC map[string]*float64
}

// FrequencyValidation is of the customers who had bought again as often.
type FrequencyValidation struct {
	X                    int // this many repeat purchases; of the last group at least
	Customers            int64
	Predicted, Actual    float64 // mean purchase days
	PredNone, ActualNone float64 // share without a purchase
}

// outcome is what n alike customers did before and in a holdout; its spend is of each.
type outcome struct {
	group
	ahead      int   // purchase days in the holdout
	aheadSpend int64 // of each, minor units, net of what came back in the holdout
}

// Validate holds a run against what happened within days. Where purchases are known that far beyond the run's day, its
// own predictions are judged; otherwise a model of the same family is fitted to the facts up to days before the run's day,
// and judged by the days from there to it.
//
// Fails with ErrRunNotFound, ErrNotValidated, ErrTooFewRepeatBuyers or ErrNoObservationTime.
func (s *Service) Validate(ctx context.Context, t tenant.Tenant, key string, id uuid.UUID, days int) (Validation, error) {
	r, err := oneRun(ctx, s.db, t.ID, key, id)
	if err != nil {
		return Validation{}, err
	}
	if r.Status != jobs.Succeeded || r.Calibration == nil || r.Calibration.Purchases == nil {
		return Validation{}, ErrNotValidated
	}
	v := Validation{Run: r, Family: r.Calibration.Purchases.Family, Calibrated: r.AsOf, Until: tenant.Day{Time: r.AsOf.AddDate(0, 0, days)}}
	last, err := lastPurchase(ctx, s.db, t.ID)
	if err != nil {
		return Validation{}, err
	}
	var by predictor
	if v.Until.After(last.Time) {
		v.Refitted = true
		v.Calibrated, v.Until = tenant.Day{Time: r.AsOf.AddDate(0, 0, -days)}, r.AsOf
		all, err := groups(ctx, s.db, t.ID, v.Calibrated, r.Kind.worth())
		if err != nil {
			return Validation{}, err
		}
		params := r.Params
		params.Family = v.Family
		if by, _, err = fit(ctx, r.Kind, params, t.Currency, scaleOf(t.Currency), all, nil, nil); err != nil {
			return Validation{}, err
		}
	} else if by, err = restore(r.Kind, r.Params, r.Calibration); err != nil {
		return Validation{}, err
	}
	j := newJudge(by, days)
	if err := outcomes(ctx, s.db, t.ID, v.Calibrated, v.Until, r.Kind.worth(), j.add); err != nil {
		return Validation{}, err
	}
	j.conclude(&v)
	return v, nil
}

// judge adds up predictions and outcomes.
type judge struct {
	by      predictor
	horizon float64 // weeks
	n       float64
	ahead   float64
	none    float64
	value   float64 // spent in the holdout, major units
	errors  map[string]*deviation
	spend   map[string]*deviation
	churn   ChurnValidation // sums until conclude
	oneTime float64
	by7     [frequencies]FrequencyValidation // sums until conclude
	ranked  map[string][]ranking
}

// deviation sums the errors of one method.
type deviation struct{ predicted, abs, square float64 }

func (d *deviation) add(n, predicted, actual float64) {
	d.predicted += n * predicted
	d.abs += n * math.Abs(predicted-actual)
	d.square += n * (predicted - actual) * (predicted - actual)
}

func (d *deviation) mean(n float64) MethodError {
	return MethodError{d.predicted / n, d.abs / n, math.Sqrt(d.square / n)}
}

// ranking is n customers with the same score, who all bought, or all did not.
type ranking struct {
	score, n float64
	gone     bool
}

func newJudge(by predictor, days int) *judge {
	j := &judge{by: by, horizon: float64(days) / btyd.Week, errors: map[string]*deviation{}, spend: map[string]*deviation{},
		ranked: map[string][]ranking{}}
	for _, m := range Methods() {
		j.errors[m], j.spend[m] = &deviation{}, &deviation{}
	}
	return j
}

func (j *judge) add(ctx context.Context, some []outcome) error {
	histories := make([]btyd.History, len(some))
	for i, o := range some {
		histories[i] = o.history()
	}
	predictions, err := btyd.Predict(ctx, j.by.model, histories, btyd.Ask{Horizon: j.horizon})
	if err != nil {
		return err
	}
	for i, o := range some {
		j.one(o, histories[i], predictions[i])
	}
	return nil
}

func (j *judge) one(o outcome, h btyd.History, p btyd.Prediction) {
	n, actual := float64(o.n), float64(o.ahead)
	rate := 0.0
	if h.T > 0 {
		rate = h.X / h.T * j.horizon
	}
	recent := rate
	if h.X > 0 && h.T-h.Tx > 2*h.Tx/h.X {
		recent = 0
	}
	j.n += n
	j.ahead += n * actual
	for m, predicted := range map[string]float64{ByModel: p.Expected, ByRate: rate, ByZero: 0, ByRecency: recent} {
		j.errors[m].add(n, predicted, actual)
	}
	gone := 0.0
	if o.ahead == 0 {
		gone = 1
	}
	j.none += n * gone
	j.churn.PredictedShare += n * p.PNoPurchase
	j.churn.Brier += n * (p.PNoPurchase - gone) * (p.PNoPurchase - gone)
	if o.x == 0 {
		j.oneTime += n
		j.churn.OneTimeActual += n * gone
		j.churn.OneTimePred += n * p.PNoPurchase
	}
	for m, score := range map[string]float64{ByModel: p.PNoPurchase, ByRate: -rate, ByRecency: h.T - h.Tx} {
		j.ranked[m] = append(j.ranked[m], ranking{score, n, o.ahead == 0})
	}
	f := &j.by7[min(o.x, frequencies-1)]
	f.Customers += int64(o.n)
	f.Predicted += n * p.Expected
	f.Actual += n * actual
	f.PredNone += n * p.PNoPurchase
	f.ActualNone += n * gone
	if j.by.kind.worth() {
		spent := float64(o.aheadSpend) / j.by.scale
		own := float64(o.spend) / j.by.scale / float64(o.x+1)
		j.value += n * spent
		j.spend[ByModel].add(n, p.Expected*j.by.expectedValue(o.fact), spent)
		j.spend[ByRate].add(n, rate*own, spent)
		j.spend[ByZero].add(n, 0, spent)
		j.spend[ByRecency].add(n, recent*own, spent)
	}
}

func (j *judge) conclude(v *Validation) {
	v.Customers = int64(j.n)
	if j.n == 0 {
		return
	}
	errors := func(all map[string]*deviation, actual float64, methods ...string) Errors {
		e := Errors{ActualMean: actual / j.n, Methods: map[string]MethodError{}}
		for _, m := range methods {
			e.Methods[m] = all[m].mean(j.n)
		}
		return e
	}
	v.Purchases = errors(j.errors, j.ahead, Methods()...)
	if j.by.kind.worth() {
		e := errors(j.spend, j.value, Methods()...)
		v.Spend = &e
	}
	c := j.churn
	v.Churn = ChurnValidation{ActualShare: j.none / j.n, PredictedShare: c.PredictedShare / j.n, Brier: c.Brier / j.n, AUC: map[string]*float64{}}
	if j.oneTime > 0 {
		v.Churn.OneTimeActual, v.Churn.OneTimePred = c.OneTimeActual/j.oneTime, c.OneTimePred/j.oneTime
	}
	for m, all := range j.ranked {
		v.Churn.AUC[m] = auc(all)
	}
	if v.Churn.AUC[ByZero] = nil; v.Churn.AUC[ByModel] != nil {
		half := 0.5 // it ranks everyone the same
		v.Churn.AUC[ByZero] = &half
	}
	for x, f := range j.by7 {
		if f.X = x; f.Customers > 0 {
			n := float64(f.Customers)
			f.Predicted, f.Actual, f.PredNone, f.ActualNone = f.Predicted/n, f.Actual/n, f.PredNone/n, f.ActualNone/n
		}
		v.Frequency = append(v.Frequency, f)
	}
}

// auc is the area under the ROC curve, by the ranks of the Mann-Whitney test; ties count half. nil where it is not defined.
func auc(all []ranking) *float64 {
	slices.SortFunc(all, func(a, b ranking) int { return cmp.Compare(a.score, b.score) })
	var gone, bought, above float64 // above: pairs of one gone and one who bought with a lower score
	for i := 0; i < len(all); {
		var g, b float64
		k := i
		for ; k < len(all) && all[k].score == all[i].score; k++ {
			if all[k].gone {
				g += all[k].n
			} else {
				b += all[k].n
			}
		}
		above += g * (bought + b/2)
		gone, bought, i = gone+g, bought+b, k
	}
	if gone == 0 || bought == 0 {
		return nil
	}
	a := above / (gone * bought)
	return &a
}
