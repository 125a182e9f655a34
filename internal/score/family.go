package score

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"strings"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/tenant"
	"github.com/kezi-io/kezi/pkg/btyd"
)

// FamilyAuto has a run choose the family of its purchase model: that with the smallest error over a holdout, the last days
// up to the run's day, among models fitted to the days before. The error is the mean squared one of the chance of no
// purchase for churn, and of the number of purchases otherwise. The kind's default family stays unless another is better by
// half a percent, and where there is too little to judge by.
const FamilyAuto = "auto"

const (
	// A holdout is as long as what the model looks ahead, but no more than this share of all history.
	holdoutShare = 3
	// Below so many days of holdout, or so many customers who had bought again before it, nothing is compared.
	leastHoldoutDays  = 28
	leastRepeatBuyers = 100
	// better is how much smaller the squared error of another family than the default has to be.
	better = 0.995
)

// lookAhead is how many days ahead a model's score looks.
func (p Params) lookAhead(kind Kind) int {
	if kind == Churn {
		return p.HorizonDays
	}
	return int(math.Ceil(float64(p.HorizonMonths) * btyd.WeeksPerMonth * btyd.Week))
}

// chooseFamily is the family for a run that leaves it open, with what was compared.
func (s *Service) chooseFamily(ctx context.Context, t tenant.Tenant, r Run) (string, Diagnostic, error) {
	standard := defaults(r.Kind).Family
	tooLittle := Diagnostic{"family_default", fault.T(
		fmt.Sprintf("the family is the default, %s: to compare families takes a holdout of at least %d days, a third of the history at most, and %d customers who had bought again before it",
			standard, leastHoldoutDays, leastRepeatBuyers),
		fmt.Sprintf("采用默认模型族 %s：比较各族至少需要 %d 天的留出期（不超过全部历史的三分之一），且此前至少有 %d 个重复购买客户", standard, leastHoldoutDays, leastRepeatBuyers))}
	first, err := firstPurchase(ctx, s.db, t.ID)
	if err != nil {
		return "", Diagnostic{}, err
	}
	days := min(r.Params.lookAhead(r.Kind), int(r.AsOf.Sub(first.Time).Hours()/24)/holdoutShare)
	if first.IsZero() || days < leastHoldoutDays {
		return standard, tooLittle, nil
	}
	var all []outcome
	from := tenant.Day{Time: r.AsOf.AddDate(0, 0, -days)}
	err = outcomes(ctx, s.db, t.ID, from, r.AsOf, false, func(_ context.Context, some []outcome) error {
		all = append(all, some...)
		return nil
	})
	if err != nil {
		return "", Diagnostic{}, err
	}
	errorsOf, enough, err := compareFamilies(ctx, r.Kind, all, days)
	if err != nil || !enough {
		return standard, tooLittle, err
	}
	chosen := pick(standard, errorsOf)
	return chosen, chosenBecause(r.Kind, standard, chosen, errorsOf, days), nil
}

// pick is the family with the smallest error, or the standard one unless another is better enough.
func pick(standard string, errorsOf map[string]float64) string {
	chosen := standard
	for _, f := range btyd.Families() {
		if e := errorsOf[f]; e < errorsOf[chosen] && (chosen != standard || e < better*errorsOf[standard]) {
			chosen = f
		}
	}
	return chosen
}

// chosenBecause says by what rule and by which numbers a family was chosen.
func chosenBecause(kind Kind, standard, chosen string, errorsOf map[string]float64, days int) Diagnostic {
	least, texts := standard, make([]string, 0, len(errorsOf))
	for _, f := range btyd.Families() {
		texts = append(texts, fmt.Sprintf("%s %.4f", f, math.Sqrt(errorsOf[f])))
		if errorsOf[f] < errorsOf[least] {
			least = f
		}
	}
	compared := strings.Join(texts, ", ")
	en, zh := "of purchases per customer", "每位客户购买次数"
	if kind == Churn {
		en, zh = "of the chance of no purchase", "不购买概率"
	}
	rule := fault.T("it has the smallest error", "其误差最小")
	switch {
	case chosen != least:
		rule = fault.T(fmt.Sprintf("the default stays, since the square of the error of %s is less than half a percent smaller", least),
			fmt.Sprintf("%s 的误差平方仅小不到 0.5%%，因此保留默认模型族", least))
	case chosen != standard:
		rule = fault.T(fmt.Sprintf("it has the smallest error, its square at least half a percent below that of the default, %s", standard),
			fmt.Sprintf("其误差最小，且误差平方比默认模型族 %s 至少小 0.5%%", standard))
	}
	return Diagnostic{"family_chosen", fault.T(
		fmt.Sprintf("the family is %s: %s. Root mean squared errors %s over a holdout, the last %d days, by models fitted to the days before: %s", chosen, rule.En, en, days, compared),
		fmt.Sprintf("采用模型族 %s：%s。以此前数据拟合，在最近 %d 天的留出期内%s的均方根误差：%s", chosen, rule.Zh, days, zh, compared))}
}

// compareFamilies is the mean squared error of each family that can be fitted; false where too few had bought again.
func compareFamilies(ctx context.Context, kind Kind, all []outcome, days int) (map[string]float64, bool, error) {
	var rows []btyd.Weighted
	histories := make([]btyd.History, len(all))
	repeat, customers := 0, 0.0
	for i, o := range all {
		histories[i] = o.history()
		rows = append(rows, btyd.Weighted{History: histories[i], N: o.n})
		customers += float64(o.n)
		if o.x > 0 {
			repeat += o.n
		}
	}
	if repeat < leastRepeatBuyers {
		return nil, false, nil
	}
	found := map[string]float64{}
	for _, f := range btyd.Families() {
		m, _, err := btyd.Fit(ctx, f, rows, btyd.Options{})
		if errors.Is(err, btyd.ErrNoObservationTime) {
			return nil, false, nil
		}
		if err != nil {
			return nil, false, fmt.Errorf("fit family %s to compare: %w", f, err)
		}
		predictions, err := btyd.Predict(ctx, m, histories, btyd.Ask{Horizon: float64(days) / btyd.Week})
		if err != nil {
			return nil, false, fmt.Errorf("predict by family %s to compare: %w", f, err)
		}
		sum := 0.0
		for i, o := range all {
			off := predictions[i].Expected - float64(o.ahead)
			if kind == Churn {
				off = predictions[i].PNoPurchase
				if o.ahead == 0 {
					off--
				}
			}
			sum += float64(o.n) * off * off
		}
		found[f] = sum / customers
	}
	return found, true, nil
}

// digest tells histories of a fit from others: equal ones give bit-equal parameters.
func digest(rows []btyd.Weighted) string {
	h := fnv.New128a()
	var b [8]byte
	for _, r := range rows {
		for _, v := range [...]float64{r.X, r.Tx, r.T, float64(r.N)} {
			binary.LittleEndian.PutUint64(b[:], math.Float64bits(v))
			h.Write(b[:])
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// takeOver puts the purchase fit of an earlier calibration into c and reports whether there was one to take.
func (c *Calibration) takeOver(earlier *Calibration) bool {
	if earlier == nil || earlier.Purchases == nil {
		return false
	}
	own := *earlier.Purchases
	c.Purchases = &own
	c.Diagnostics = append(c.Diagnostics, earlier.about(purchaseModel)...)
	return true
}
