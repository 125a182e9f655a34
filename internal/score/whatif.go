package score

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/metric"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
	"github.com/kezi-io/kezi/pkg/btyd"
)

// WhatIf is a change to try.
type WhatIf struct {
	Purchases []Purchase
	Until     *tenant.Day        // the day to look at; that of the scores in force unless told
	Inputs    map[string]float64 // by the names that explanations give them
}

// Purchase is one that was never made.
type Purchase struct {
	Amount string      // major units of the base currency
	On     *tenant.Day // the day of the scores in force unless told
}

// maxAhead bounds the day to look at, in days after that of the scores.
const maxAhead = 3660

// errUndo ends a transaction in which something was only tried.
var errUndo = errors.New("undo")

// WhatIf is the score that a change would give, by the calibrations in force, and the score as it is, nil without one. The
// change is made for real and taken back, so that everything that scores read follows from it. Fails with
// customer.ErrNotFound, ErrNotFound, ErrNotRun, ErrScoreNotFound when there would be no score either, or fault.ErrInvalid.
func (s *Service) WhatIf(ctx context.Context, t tenant.Tenant, id uuid.UUID, key string, w WhatIf) (is *Score, then Score, err error) {
	err = s.db.InTx(ctx, func(tx postgres.Tx) error {
		held, err := customer.Hold(ctx, tx, t.ID, id)
		if err != nil {
			return err
		}
		all, err := explained(ctx, tx, t.ID, held, key)
		if err != nil {
			return err
		}
		is = nil
		if len(all) > 0 {
			is = &all[0]
		}
		if then, err = s.try(ctx, tx, t, held, key, w); err != nil {
			return err
		}
		return errUndo
	})
	if !errors.Is(err, errUndo) {
		return nil, Score{}, err
	}
	return is, then, nil
}

// try makes the change and scores the customer, in a transaction that is taken back.
func (s *Service) try(ctx context.Context, tx postgres.Tx, t tenant.Tenant, id uuid.UUID, key string, w WhatIf) (Score, error) {
	m, err := oneModel(ctx, tx, t.ID, key)
	if err != nil {
		return Score{}, err
	}
	if m.CurrentRun == nil {
		return Score{}, ErrNotRun
	}
	run, err := oneRun(ctx, tx, t.ID, key, *m.CurrentRun)
	if err != nil {
		return Score{}, err
	}
	now := s.now()
	base := run.AsOf
	if run.Live && m.Clock.Fixed == nil && m.RetiredAt == nil {
		base = t.Today(now)
	}
	day, bought, err := w.check(t, base)
	if err != nil {
		return Score{}, err
	}
	if err := buy(ctx, tx, t, id, bought, now); err != nil {
		return Score{}, err
	}
	models, target, err := closure(ctx, tx, t.ID, key)
	if err != nil {
		return Score{}, err
	}
	l, err := condition.For(ctx, tx, t, now.AddDate(0, 0, int(day.Sub(t.Today(now).Time).Hours()/24)))
	if err != nil {
		return Score{}, err
	}
	r, err := newReading(models, l, day)
	if err != nil {
		return Score{}, err
	}
	if err := w.checkInputs(target, models); err != nil {
		return Score{}, err
	}
	r.adjust = func(m live, c *subject) {
		if m.no == target.no {
			target.replace(c, w.Inputs)
		}
	}
	found, err := r.readFor(ctx, tx, t, day, now, []uuid.UUID{id})
	if err != nil {
		return Score{}, err
	}
	scores, err := r.rate(ctx, found)
	if err != nil {
		return Score{}, err
	}
	at := slices.IndexFunc(r.models, func(x live) bool { return x.no == target.no })
	if len(found) == 0 || !scores[at][0].ok {
		return Score{}, ErrScoreNotFound
	}
	got := scores[at][0]
	return kept{no: target.no, value: got.value, band: got.band, label: got.label, inputs: got.inputs, asOf: day, scoredAt: now}.of(target.force)
}

// bought is a purchase that has been checked.
type bought struct {
	day   tenant.Day
	minor int64
}

// check is the day to look at and the purchases, or fault.ErrInvalid naming what is wrong.
func (w WhatIf) check(t tenant.Tenant, base tenant.Day) (tenant.Day, []bought, error) {
	var v fault.Validator
	day := base
	if w.Until != nil {
		day = *w.Until
		v.Check(!day.Before(base.Time) && !day.After(base.AddDate(0, 0, maxAhead)), "/until", "out_of_range",
			fault.T("from the day that the scores in force are of, "+base.String()+", to ten years later", "须在当前评分日 "+base.String()+" 至其后十年之间"))
	}
	all := make([]bought, len(w.Purchases))
	for i, p := range w.Purchases {
		at := fmt.Sprintf("/purchases/%d", i)
		all[i].day = base
		if p.On != nil {
			all[i].day = *p.On
		}
		v.Check(!all[i].day.Before(base.Time) && !all[i].day.After(day.Time), at+"/on", "out_of_range", fault.T(
			"from the day that the scores in force are of, "+base.String()+", to the day to look at", "须在当前评分日 "+base.String()+" 至所查看的日期之间"))
		m, wrong, detail := money.Parse(p.Amount, t.Currency)
		v.Check(wrong == "", at+"/amount", wrong, detail)
		all[i].minor = m.Minor
	}
	return day, all, v.Err()
}

// buy writes purchases as transactions are written, with all that scores read of them.
func buy(ctx context.Context, tx postgres.Tx, t tenant.Tenant, customer uuid.UUID, all []bought, now time.Time) error {
	if len(all) == 0 {
		return nil
	}
	for _, b := range all {
		_, err := tx.Exec(ctx, `INSERT INTO transactions (tenant_id, customer_id, id, version, source, status, occurred_at, date_only, day, amount,
				currency, base_amount, created_at, updated_at)
			VALUES ($1, $2, $3, 1, 'what_if', 'completed', $4, true, $5, $6, $7, $6, $8, $8)`,
			t.ID, customer, uuid.Must(uuid.NewV7()), b.day.Start(t.Zone), b.day.Time, b.minor, t.Currency, now)
		if err != nil {
			return fmt.Errorf("try a purchase: %w", err)
		}
	}
	return metric.Refresh(ctx, tx, t.ID, []uuid.UUID{customer})
}

// closure is the model with that key and all that it is made of, ready to score by the runs in force.
func closure(ctx context.Context, q postgres.Querier, tenantID int32, key string) ([]live, live, error) {
	runs, numbers, err := inForce(ctx, q, tenantID, "")
	if err != nil {
		return nil, live{}, err
	}
	wanted := map[string]bool{key: true}
	for grown := true; grown; {
		grown = false
		for _, f := range runs {
			for _, p := range f.params.Parts {
				if wanted[f.summary.Key] && !wanted[p.Score] {
					wanted[p.Score], grown = true, true
				}
			}
		}
	}
	numbers = slices.DeleteFunc(numbers, func(no int64) bool { return !wanted[runs[no].summary.Key] })
	models, err := lives(ctx, q, tenantID, runs, numbers)
	if err != nil {
		return nil, live{}, err
	}
	return models, models[slices.IndexFunc(models, func(m live) bool { return m.summary.Key == key })], nil
}

// names are the inputs that can be replaced.
func (m live) names() []string {
	switch m.summary.Kind {
	case RFM:
		return []string{"recency_days", "purchase_days", "spend"}
	case CLV:
		return []string{"repeat_purchase_days", "weeks_to_last_purchase", "weeks_observed", "mean_repeat_spend"}
	case Churn:
		return []string{"repeat_purchase_days", "weeks_to_last_purchase", "weeks_observed"}
	case Potential:
		return []string{"repeat_purchase_days", "weeks_to_last_purchase", "weeks_observed", "mean_repeat_spend", "value_so_far"}
	}
	var names []string
	for _, r := range m.params.Rules {
		if names = append(names, r.Name); r.HalfLifeDays > 0 {
			names = append(names, r.Name+".age_days")
		}
	}
	for _, p := range m.params.Parts {
		names = append(names, p.Score)
	}
	return names
}

func (w WhatIf) checkInputs(m live, models []live) error {
	var v fault.Validator
	names := m.names()
	for _, name := range slices.Sorted(maps.Keys(w.Inputs)) {
		known := slices.Contains(names, name)
		v.Check(known, "/inputs/"+fault.Escape(name), "unknown_input", fault.T("scores of this model have no such input", "该模型的评分没有此输入项"), names...)
		if known {
			of := m.span(name, models)
			v.Check(of.has(w.Inputs[name]), "/inputs/"+fault.Escape(name), "out_of_range", of.text())
		}
	}
	return v.Err()
}

// span is what an input could be.
type span struct {
	low, high float64
	whole     bool
}

func (s span) has(value float64) bool {
	return value >= s.low && value <= s.high && (!s.whole || value == math.Trunc(value))
}

func (s span) text() fault.Text {
	low, high := strconv.FormatFloat(s.low, 'f', -1, 64), strconv.FormatFloat(s.high, 'f', -1, 64)
	if s.whole {
		return fault.T("must be a whole number from "+low+" to "+high, "应为 "+low+" 至 "+high+" 的整数")
	}
	return fault.T("must be from "+low+" to "+high, "应在 "+low+" 至 "+high+" 之间")
}

// span bounds an input by what facts could be, and a part by what its own model answers.
func (m live) span(name string, models []live) span {
	money := span{0, 1e12, false}
	switch m.summary.Kind {
	case Composite, AtRisk:
		kind := Kind("")
		if i := slices.IndexFunc(models, func(x live) bool { return x.summary.Key == name }); i >= 0 {
			kind = models[i].summary.Kind
		}
		switch kind {
		case Churn:
			return span{0, 1, false}
		case Composite:
			return span{0, 100, false}
		}
		return span{-1e12, 1e12, false}
	case Rules:
		if slices.ContainsFunc(m.params.Rules, func(r Rule) bool { return r.Name == name }) {
			return span{0, 1, true} // whether it holds
		}
		return span{0, 1e5, false}
	}
	switch name {
	case "spend", "mean_repeat_spend", "value_so_far":
		return money
	}
	return span{0, 1e5, !strings.HasPrefix(name, "weeks_")}
}

// replace puts inputs in the place of what is known of a customer.
func (m live) replace(c *subject, inputs map[string]float64) {
	whole := func(name string, into *int, scale float64) {
		if v, ok := inputs[name]; ok {
			*into = int(math.Round(v * scale))
			c.bought = true
		}
	}
	minor := func(name string, into *int64, times float64) {
		if v, ok := inputs[name]; ok {
			*into = int64(math.Round(v * times * m.by.scale))
			c.bought = true
		}
	}
	switch m.summary.Kind {
	case Rules, Composite, AtRisk:
		m.replaceGiven(c, inputs)
		return
	case RFM:
		recency := c.t - c.tx
		whole("recency_days", &recency, 1)
		c.t, c.tx = max(c.t, recency), max(c.t, recency)-recency
		whole("purchase_days", &c.windowDays, 1)
		minor("spend", &c.windowSpend, 1)
		return
	}
	mean := c.meanRepeat(m.by.scale)
	whole("repeat_purchase_days", &c.x, 1)
	c.repeatSpend = int64(math.Round(mean * float64(c.x) * m.by.scale))
	minor("mean_repeat_spend", &c.repeatSpend, float64(c.x))
	whole("weeks_to_last_purchase", &c.tx, btyd.Week)
	whole("weeks_observed", &c.t, btyd.Week)
	minor("value_so_far", &c.spend, 1)
	// A history that no customer can have: days come one after the other, and the last one is not after today.
	c.tx = max(c.tx, c.x)
	if c.x == 0 {
		c.tx = 0
	}
	c.t = max(c.t, c.tx)
}

func (m live) replaceGiven(c *subject, inputs map[string]float64) {
	for i, r := range m.params.Rules {
		if v, ok := inputs[r.Name]; ok {
			c.given[2*i] = 0
			if v != 0 {
				c.given[2*i] = 1
				c.given[2*i+1] = max(c.given[2*i+1], 0)
			}
		}
		if v, ok := inputs[r.Name+".age_days"]; ok && r.HalfLifeDays > 0 {
			c.given[2*i+1] = v
		}
	}
	for i, p := range m.params.Parts {
		if v, ok := inputs[p.Score]; ok {
			c.given[2*i], c.given[2*i+1] = 1, v
		}
	}
}
