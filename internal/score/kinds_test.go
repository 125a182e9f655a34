package score_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/metric"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/score"
	"github.com/kezi-io/kezi/internal/tenant"
	"github.com/kezi-io/kezi/internal/transaction"
	"github.com/kezi-io/kezi/pkg/btyd"
)

// living is a bench whose transactions score their customers anew, with a clock of its own.
type living struct {
	*bench
	at           atomic.Pointer[time.Time]
	transactions *transaction.Service
	customers    *customer.Service
	names        []string
}

func (l *living) now() time.Time { return *l.at.Load() }

func (l *living) set(at time.Time) { l.at.Store(&at) }

func (l *living) today() tenant.Day { return l.call.Tenant.Today(l.now()) }

func (l *living) daysAgo(n int) string { return l.today().AddDate(0, 0, -n).Format(time.DateOnly) }

// live makes a living bench with n customers that bought at random, most of them more than once.
func live(t testing.TB, n int) *living {
	t.Helper()
	l := &living{}
	l.set(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
	db := postgrestest.Fresh(t).Settling()
	l.bench = on(t, db)
	work, err := jobs.NewService(db, tenant.NewService(db, now), slog.New(slog.DiscardHandler), now)
	require.NoError(t, err)
	l.jobs, l.svc = work, score.NewService(db, work, l.now)
	l.transactions, l.customers = transaction.NewService(db, nil, l.now), customer.NewService(db, l.now)
	db.BeforeCommit(l.svc.Settle)
	random := rand.New(rand.NewPCG(7, 7))
	var rows []purchase
	for i := range n {
		name := fmt.Sprintf("c%03d", i)
		l.names = append(l.names, name)
		first := 20 + random.IntN(380)
		for d := first; d >= 0; d -= 1 + random.IntN(20+i%90) {
			rows = append(rows, purchase{name, l.daysAgo(d), int64(100 + random.IntN(300)*(1+i%7)), ""})
			if random.IntN(6) == 0 {
				break
			}
		}
	}
	l.buy(t, rows)
	_, err = metric.RefreshAll(l.ctx, db, l.call.Tenant.ID)
	require.NoError(t, err)
	l.work(t)
	return l
}

// pay is a purchase as callers make it.
func (l *living) pay(t testing.TB, name string, cents int64, day string) {
	t.Helper()
	id := l.id(name)
	amount := money.Money{Minor: cents, Currency: "USD"}
	c := transaction.Creation{CustomerID: &id, Amount: &amount}
	c.Moment.On = dayOf(day)
	_, err := l.transactions.Create(l.ctx, l.call, c)
	require.NoError(t, err)
}

func (l *living) score(t testing.TB, name, key string) score.Score {
	t.Helper()
	s, err := l.svc.OneOfCustomer(l.ctx, l.call.Tenant, l.id(name), key)
	require.NoError(t, err)
	return s
}

func (l *living) create(t testing.TB, c score.Creation) score.Model {
	t.Helper()
	m, err := l.svc.Create(l.ctx, l.call, c)
	require.NoError(t, err)
	return m
}

func raw(t testing.TB, text string) json.RawMessage {
	t.Helper()
	n, err := filter.Parse(text)
	require.NoError(t, err)
	b, err := json.Marshal(n)
	require.NoError(t, err)
	return b
}

// models of all kinds, parts before what is made of them.
func (l *living) models(t testing.TB) []string {
	t.Helper()
	ptr := func(v float64) *float64 { return &v }
	all := []score.Creation{
		{Key: "rfm", Kind: score.RFM},
		{Key: "rfm_90", Kind: score.RFM, Params: score.ParamsChange{WindowDays: patch.Set(90), Bands: patch.Set(7), Weights: patch.Set(score.Weights{R: 3, F: 1, M: 2})}},
		{Key: "clv", Kind: score.CLV},
		{Key: "churn", Kind: score.Churn},
		{Key: "potential", Kind: score.Potential, Params: score.ParamsChange{CLVModel: patch.Set("clv")}},
		{Key: "rules", Kind: score.Rules, Params: score.ParamsChange{
			Rules: patch.Set([]score.RuleDraft{
				{Name: "recent", Points: 33.33, Condition: raw(t, `count(transactions, "200d") >= 1`), HalfLifeDays: 30, Group: "g"},
				{Name: "often", Points: 25, Condition: raw(t, `purchase_days >= 3`), Group: "g"},
				{Name: "valued", Points: 10.5, Condition: raw(t, `scores.clv.band >= 4`)},
				{Name: "little", Points: -30, Condition: raw(t, `spend_total < 20`)},
			}),
			Groups: patch.Set([]score.Group{{Key: "g", Max: ptr(40)}}), MinPoints: patch.Set(-20.0), MaxPoints: patch.Set(45.0)}},
		{Key: "worth", Kind: score.Composite},
		{Key: "all", Kind: score.Composite, Params: score.ParamsChange{Missing: patch.Set(score.Zero), Parts: patch.Set([]score.PartDraft{
			{Part: score.Part{Score: "worth", Min: ptr(0), Max: ptr(100)}}, {Part: score.Part{Score: "rules"}, Weight: ptr(0.7)},
			{Part: score.Part{Score: "potential"}, Weight: ptr(1.3)}})}},
	}
	keys := make([]string, len(all))
	for i, c := range all {
		l.create(t, c)
		keys[i] = c.Key
		r := l.run(t, c.Key, score.Request{})
		require.Equal(t, jobs.Succeeded, r.Status, c.Key)
		require.True(t, r.Current && r.Live)
	}
	return keys
}

// derive computes a score once more from what its reader sees: the inputs, the parameters and the calibration, by code that
// shares none with the package.
func derive(t testing.TB, s score.Score, p score.Params, cal *score.Calibration) float64 {
	t.Helper()
	in := s.Inputs
	round := func(v float64, scale float64) float64 { return math.Round(v*scale) / scale }
	switch s.Kind {
	case score.RFM:
		count := func(limits []float64, over func(l float64) bool) float64 {
			n := 1.0
			for _, l := range limits {
				if over(l) {
					n++
				}
			}
			return n
		}
		r := count(cal.Quantiles["recency_days"], func(l float64) bool { return l > in["recency_days"] })
		f := count(cal.Quantiles["purchase_days"], func(l float64) bool { return l < in["purchase_days"] })
		m := count(cal.Quantiles["spend"], func(l float64) bool { return l < in["spend"] })
		w := p.Weights
		return round((w.R*r+w.F*f+w.M*m)/(w.R+w.F+w.M), 100)
	case score.CLV, score.Potential:
		m, err := btyd.Restore(cal.Purchases.Family, cal.Purchases.Parameters)
		require.NoError(t, err)
		h := btyd.History{X: in["repeat_purchase_days"], Tx: in["weeks_to_last_purchase"], T: in["weeks_observed"]}
		v := cal.Values.Parameters
		mean := in["mean_repeat_spend"]
		if h.X == 0 {
			mean = cal.MeanSpend
		}
		value := btyd.GammaGamma{P: v["p"], Q: v["q"], V: v["v"]}.Expected(h.X, mean)
		return round(btyd.CLV(m, h, value, btyd.Months(p.HorizonMonths, p.DiscountRate)), 100)
	case score.Churn:
		m, err := btyd.Restore(cal.Purchases.Family, cal.Purchases.Parameters)
		require.NoError(t, err)
		h := btyd.History{X: in["repeat_purchase_days"], Tx: in["weeks_to_last_purchase"], T: in["weeks_observed"]}
		return round(m.PNoPurchase(h, float64(p.HorizonDays)/7), 1e6)
	case score.Rules:
		sum, groups := 0.0, map[string]float64{}
		for _, r := range p.Rules {
			points := 0.0
			if in[r.Name] == 1 {
				points = r.Points
				if r.HalfLifeDays > 0 {
					points *= math.Pow(0.5, in[r.Name+".age_days"]/float64(r.HalfLifeDays))
				}
			}
			points = round(points, 100)
			if r.Group == "" {
				sum += points
			} else {
				groups[r.Group] += points
			}
		}
		for _, g := range p.Groups {
			sum += min(groups[g.Key], *g.Max)
		}
		return round(max(min(sum, *p.MaxPoints), *p.MinPoints), 100)
	default:
		sum, weights := 0.0, 0.0
		for _, part := range p.Parts {
			v, ok := in[part.Score]
			if !ok && p.Missing == score.Skip {
				continue
			}
			weights += part.Weight
			if !ok {
				continue
			}
			limits := cal.Quantiles["part."+part.Score]
			if part.Min != nil {
				limits = append([]float64{*part.Min}, limits[min(1, len(limits)):]...)
			}
			if part.Max != nil {
				limits = append(limits[:1], *part.Max)
			}
			n := max(0, min(1, (v-limits[0])/(limits[1]-limits[0]))) * 100
			if part.Inverted {
				n = 100 - n
			}
			sum += part.Weight * n
		}
		return round(sum/weights, 100)
	}
}

// exact checks that a score follows from its inputs, and that what adds up does so to the last digit without any part being
// the value itself.
func (l *living) exact(t testing.TB, s score.Score) {
	t.Helper()
	r, err := l.svc.Run(l.ctx, l.call.Tenant, s.Key, s.RunID)
	require.NoError(t, err)
	require.Equal(t, derive(t, s, r.Params, r.Calibration), s.Value, "%s: %v", s.Key, s.Inputs)
	require.NotEqual(t, uuid.Nil, s.CalibratedBy)
	factor := map[string]score.Factor{}
	hundredths, parts := 0, 0
	for _, f := range s.Explanation.Factors {
		factor[f.Name] = f
		require.NotEmpty(t, f.Label.En)
		require.NotEmpty(t, f.Label.Zh)
		require.Equal(t, s.Kind != score.Rules && s.Kind != score.Composite, f.Unit != "", f.Name)
		if f.Contribution != nil {
			hundredths += int(math.Round(*f.Contribution * 100))
			parts++
		}
	}
	switch s.Kind {
	case score.RFM, score.Rules, score.Composite:
		require.Equal(t, s.Value, float64(hundredths)/100)
		require.Greater(t, parts, 1)
	case score.CLV, score.Potential:
		require.Equal(t, s.Value, math.Round(*factor["expected_value"].Value**factor["discounted_purchases"].Value*100)/100)
	case score.Churn:
		require.Equal(t, s.Value, math.Round((1-*factor["p_purchase"].Value)*1e6)/1e6)
	}
	if s.Kind == score.Potential {
		q, soFar := r.Calibration.Quantiles, s.Inputs["value_so_far"]
		want := "ordinary"
		if soFar > q["value_so_far"][0] {
			want = "high_value"
		} else if s.Value > q["value_to_come"][0] {
			want = "potential"
		}
		require.Equal(t, want, s.Label)
		require.Equal(t, math.Round(s.Value/soFar*1e4)/1e4, *factor["growth_ratio"].Value)
	}
	for _, text := range []string{s.Explanation.Text.En, s.Explanation.Text.Zh} {
		require.NotEmpty(t, text)
		require.False(t, strings.Contains(text, "%!"), text)
	}
}

// All kinds on one population: what a run computes in sets, what a write computes for one customer, and what what-if
// says in advance are the same; every score, also past ones, is explained to the last digit.
//
// S0-46 S1-61 S2-14 S3-18 S4-18
func TestLargeEveryKindIsExactInSetsForOneAndInAdvance(t *testing.T) {
	t.Parallel()
	l := live(t, 90)
	keys := l.models(t)
	for _, name := range l.names {
		all, err := l.svc.OfCustomer(l.ctx, l.call.Tenant, l.id(name))
		require.NoError(t, err)
		require.Len(t, all, len(keys))
		for _, s := range all {
			l.exact(t, s)
		}
	}
	fixed := l.model(t, "still", score.RFM, l.daysAgo(0), score.ParamsChange{})
	require.True(t, l.run(t, fixed.Key, score.Request{}).Current)

	// Time passes, customers buy.
	l.set(l.now().AddDate(0, 0, 3))
	still := l.score(t, "c001", "still")
	buyers := []string{"c001", "c007", "c013", "c040"}
	for i, name := range buyers {
		before, advance := map[string]score.Score{}, map[string]score.Score{}
		for _, key := range keys {
			is, then, err := l.svc.WhatIf(l.ctx, l.call.Tenant, l.id(name), key, score.WhatIf{Purchases: []score.Purchase{{Amount: fmt.Sprintf("%d.50", 40+i)}}})
			require.NoError(t, err)
			before[key], advance[key] = *is, then
			require.Equal(t, l.today(), then.AsOf)
			require.Equal(t, l.daysAgo(3), is.AsOf.String())
		}
		require.Equal(t, before["clv"].Value, l.score(t, name, "clv").Value, "nothing is stored")
		l.pay(t, name, int64(4050+100*i), l.daysAgo(0))
		changed := 0
		for _, key := range keys {
			got := l.score(t, name, key)
			l.exact(t, got)
			require.Equal(t, l.today(), got.AsOf, key)
			if key != "rules" && key != "all" { // a purchase that moves clv's band moves these in a second step, which what-if has not
				require.Equal(t, advance[key].Value, got.Value, key)
				require.Equal(t, advance[key].Label, got.Label)
				require.Equal(t, advance[key].Inputs, got.Inputs)
			}
			if got.Value == before[key].Value && got.Label == before[key].Label {
				continue
			}
			changed++
			p, err := l.svc.History(l.ctx, l.call.Tenant, l.id(name), key, page.Request{Limit: 50})
			require.NoError(t, err)
			require.GreaterOrEqual(t, len(p.Items), 2, key)
			require.Equal(t, got.Value, p.Items[0].Value)
			require.Equal(t, before[key].Value, p.Items[len(p.Items)-1].Value)
			require.Equal(t, before[key].Inputs, p.Items[len(p.Items)-1].Inputs)
			require.Equal(t, before[key].Explanation, p.Items[len(p.Items)-1].Explanation)
			for _, s := range p.Items {
				l.exact(t, s)
			}
		}
		require.Greater(t, changed, 3)
	}
	same := l.score(t, "c001", "still")
	still.Habits, same.Habits = nil, nil // which are those of now
	require.Equal(t, still, same, "a fixed clock stands still")
	require.Equal(t, l.daysAgo(3), l.score(t, "c002", "clv").AsOf.String(), "nobody else moved")

	// The same calibration, everybody as of today, in sets: who bought today has the very scores already.
	already := map[string]score.Score{}
	for _, name := range buyers {
		for _, key := range keys {
			already[name+key] = l.score(t, name, key)
		}
	}
	for _, key := range keys {
		r := l.run(t, key, score.Request{Keep: true})
		require.Equal(t, jobs.Succeeded, r.Status, key)
		require.NotEqual(t, r.ID, *r.CalibratedBy)
		for _, name := range buyers {
			want, got := already[name+key], l.score(t, name, key)
			require.Equal(t, want.Value, got.Value, key)
			require.Equal(t, want.Band, got.Band, key)
			require.Equal(t, want.Label, got.Label, key)
			require.Equal(t, want.Inputs, got.Inputs, key)
			require.Equal(t, want.CalibratedBy, got.CalibratedBy)
		}
	}

	// Their partitions are dropped, the scores of then are still there.
	was, err := l.svc.History(l.ctx, l.call.Tenant, l.id("c001"), "clv", page.Request{Limit: 50})
	require.NoError(t, err)
	for range 6 {
		l.set(l.now().AddDate(0, 0, 1))
		l.run(t, "clv", score.Request{Keep: true})
	}
	dropped, err := l.svc.Run(l.ctx, l.call.Tenant, "clv", was.Items[len(was.Items)-1].RunID)
	require.NoError(t, err)
	require.False(t, dropped.Kept)
	var all []score.Score
	req := page.Request{Limit: 2}
	for {
		p, err := l.svc.History(l.ctx, l.call.Tenant, l.id("c001"), "clv", req)
		require.NoError(t, err)
		all = append(all, p.Items...)
		if req.After = p.Next; p.Next == nil {
			break
		}
	}
	// The first of the six nights is gone: the next one, of the same week, differs by nothing but a day.
	require.Len(t, all, len(was.Items)+5)
	for i, s := range was.Items {
		require.Equal(t, s, all[5+i])
	}
	for _, s := range all {
		l.exact(t, s)
	}

	t.Run("NoPurchaseUntilADay", func(t *testing.T) {
		is, then, err := l.svc.WhatIf(l.ctx, l.call.Tenant, l.id("c007"), "churn", score.WhatIf{Until: dayOf(l.daysAgo(-200))})
		require.NoError(t, err)
		require.Greater(t, then.Value, is.Value)
		require.InDelta(t, is.Inputs["weeks_observed"]+200.0/7+6.0/7, then.Inputs["weeks_observed"], 1e-9)
		require.Equal(t, l.daysAgo(-200), then.AsOf.String())
	})
	t.Run("OtherInputs", func(t *testing.T) {
		_, then, err := l.svc.WhatIf(l.ctx, l.call.Tenant, l.id("c007"), "clv", score.WhatIf{Inputs: map[string]float64{"mean_repeat_spend": 500}})
		require.NoError(t, err)
		require.InDelta(t, 500, then.Inputs["mean_repeat_spend"], 0.01)
		_, then, err = l.svc.WhatIf(l.ctx, l.call.Tenant, l.id("c007"), "rules", score.WhatIf{Inputs: map[string]float64{"recent": 0, "often": 0, "valued": 0, "little": 1}})
		require.NoError(t, err)
		require.Equal(t, -20.0, then.Value)
		_, _, err = l.svc.WhatIf(l.ctx, l.call.Tenant, l.id("c007"), "rules", score.WhatIf{Inputs: map[string]float64{"none": 1},
			Purchases: []score.Purchase{{Amount: "1.999"}}})
		require.Equal(t, []string{"/purchases/0/amount"}, pointers(err))
		_, _, err = l.svc.WhatIf(l.ctx, l.call.Tenant, l.id("c007"), "rules", score.WhatIf{Inputs: map[string]float64{"none": 1}})
		require.Equal(t, []string{"/inputs/none"}, pointers(err))
		_, _, err = l.svc.WhatIf(l.ctx, l.call.Tenant, l.id("c007"), "rules", score.WhatIf{Until: dayOf(l.daysAgo(1))})
		require.Equal(t, []string{"/until"}, pointers(err))
	})
	t.Run("HabitsStandBesideRFM", func(t *testing.T) {
		h := l.score(t, "c001", "rfm").Habits
		require.NotNil(t, h)
		require.NotNil(t, h.SpendingPower)
		require.NotNil(t, h.PurchaseCycleDays)
		require.NotNil(t, h.PreferredWeekday)
	})
	t.Run("RetiredModelsStandStill", func(t *testing.T) {
		m, err := l.svc.Retire(l.ctx, l.call, "churn")
		require.NoError(t, err)
		require.NotNil(t, m.RetiredAt)
		before := l.score(t, "c007", "churn")
		l.set(l.now().AddDate(0, 0, 30))
		l.pay(t, "c007", 100, l.daysAgo(0))
		require.Equal(t, before, l.score(t, "c007", "churn"))
		_, err = l.svc.Start(l.ctx, l.call, "churn", score.Request{})
		require.ErrorIs(t, err, score.ErrRetired)
		_, err = l.svc.ActivateModel(l.ctx, l.call, "churn")
		require.NoError(t, err)
		l.settled(t, "churn")
		require.Equal(t, l.today(), l.score(t, "c007", "churn").AsOf, "without another purchase")
		require.EqualValues(t, before.Inputs["repeat_purchase_days"]+1, l.score(t, "c007", "churn").Inputs["repeat_purchase_days"])
		l.pay(t, "c007", 100, l.daysAgo(0))
		require.Equal(t, l.today(), l.score(t, "c007", "churn").AsOf)
	})
}

func TestModelsThatReadOthers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.model(t, "rfm", score.RFM, "2026-01-02", score.ParamsChange{})
	part := func(key string) score.ParamsChange {
		return score.ParamsChange{Parts: patch.Set([]score.PartDraft{{Part: score.Part{Score: key}}})}
	}
	create := func(key string, kind score.Kind, p score.ParamsChange) error {
		_, err := b.svc.Create(b.ctx, b.call, score.Creation{Key: key, Kind: kind, Params: p})
		return err
	}
	require.NoError(t, create("a", score.Composite, part("rfm")))
	require.NoError(t, create("b", score.Composite, part("a")))
	require.NoError(t, create("c", score.Rules, score.ParamsChange{Rules: patch.Set([]score.RuleDraft{{Name: "x", Points: 1, Condition: raw(t, "scores.b > 50")}})}))
	require.Equal(t, []string{"/params/parts/0/score"}, pointers(create("d", score.Composite, part("none"))))
	require.Equal(t, []string{"/params/clv_model"}, pointers(create("d", score.Potential, score.ParamsChange{CLVModel: patch.Set("rfm")})))
	require.Equal(t, []string{"/params/rules/0/condition/field", "/params/rules/1/half_life_days", "/params/rules/1/name"}, sorted(pointers(create("d", score.Rules,
		score.ParamsChange{Rules: patch.Set([]score.RuleDraft{{Name: "x", Points: 1, Condition: json.RawMessage(`{"field": "nonsense", "op": "eq", "value": 1}`)},
			{Name: "x", Points: 1, Condition: raw(t, "spend_total > 5"), HalfLifeDays: 3}})}))))

	_, err := b.svc.Update(b.ctx, b.call, "a", nil, score.Change{Params: part("c")})
	require.ErrorIs(t, err, score.ErrCycle)
	require.Contains(t, fault.Of(err).Message.En, "scores.a → scores.c → scores.b → scores.a")
	require.ErrorIs(t, create("e", score.Composite, part("e")), score.ErrCycle)

	readers, err := b.svc.Dependents(b.ctx, b.call.Tenant, "a")
	require.NoError(t, err)
	require.Len(t, readers, 1)
	require.Equal(t, "score model b", readers[0].String())
	require.ErrorIs(t, b.svc.Delete(b.ctx, b.call, "a", nil), score.ErrInUse)
	require.NoError(t, b.svc.Delete(b.ctx, b.call, "c", nil))

	_, err = b.svc.Update(b.ctx, b.call, "b", nil, score.Change{Params: score.ParamsChange{Missing: patch.Set(score.Zero)}})
	require.NoError(t, err)
	_, all, err := b.svc.Revisions(b.ctx, b.call.Tenant, "b")
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, 2, all[0].Revision)
	require.Equal(t, score.Zero, all[0].Params.Missing)
	require.Equal(t, score.Skip, all[1].Params.Missing)
	require.Equal(t, "ada", all[1].Actor)

	_, err = b.svc.Create(b.ctx, b.call, score.Creation{Key: "f", Kind: score.Rules, Clock: score.ClockSetting{Fixed: true, Day: day("2026-01-01")}})
	require.Equal(t, []string{"/clock/mode"}, pointers(err))
	_, err = b.svc.Start(b.ctx, b.call, "c", score.Request{AsOf: day("2026-01-01")})
	require.ErrorIs(t, err, score.ErrNotFound)
}

func sorted(all []string) []string {
	slices.Sort(all)
	return all
}

func dayOf(s string) *tenant.Day { return day(s) }
