package score

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
	"github.com/kezi-io/kezi/pkg/btyd"
)

// pass computes runs as of one day from one reading of everybody: what they share, such as the facts, a fit and its
// predictions, is computed once, and a score that is made of others takes them from memory.
type pass struct {
	tenant  tenant.Tenant
	asOf    tenant.Day
	live    bool
	runs    []*scoring // parts before what is made of them
	windows []int      // of days, each once
	crowd   crowd

	groups    []group // of the crowd, while calibrations are learned
	forecasts []*forecast
	others    []int64 // runs of parts that are not in the pass
}

// scoring is a run within a pass.
type scoring struct {
	Run
	at     int // among the runs of the pass
	cal    *Calibration
	by     scorer
	failed error // why it has no scores, a fault

	window, rules, forecast int // places in blocks; -1 for none
	parts                   []source
	made                    []int64 // value at risk: runs of the parts; see outdated
}

// source is where a part's values come from: a run of the pass, or another one; neither where there is none.
type source struct{ run, other int }

var nowhere = source{-1, -1}

// forecast is one model's predictions of everybody, which several runs may share.
type forecast struct {
	model btyd.Model
	ask   btyd.Ask
}

// passes arranges runs in passes that follow each other: those of a day in one, but for rules that read the scores of a run
// among them, and what is made of those. Their conditions are read from the database, where the scores must be first.
func passes(t tenant.Tenant, runs []Run) []*pass {
	of := map[string]Run{}
	for _, r := range runs {
		of[field(r.ModelKey)] = r
	}
	levels := map[string]int{}
	var level func(r Run) int
	var ordered []Run // parts first
	level = func(r Run) int {
		if n, known := levels[r.ModelKey]; known {
			return n
		}
		n := 0
		for _, name := range (Model{Params: r.Params}).reads() {
			if part, ok := of[scoreOf(name)]; ok && part.ModelKey != r.ModelKey {
				below := level(part)
				if r.Kind == Rules || !part.AsOf.Equal(r.AsOf.Time) || part.Live != r.Live {
					below++
				}
				n = max(n, below)
			}
		}
		levels[r.ModelKey] = n
		ordered = append(ordered, r)
		return n
	}
	// What needs no fit comes first: its scores are loaded while others are fitted.
	for _, r := range slices.SortedStableFunc(slices.Values(runs), func(a, b Run) int { return cmp.Compare(a.Kind.effort(), b.Kind.effort()) }) {
		level(r)
	}
	var all []*pass
	for n := 0; ; n++ {
		found := false
		first := len(all)
		for _, r := range ordered {
			if levels[r.ModelKey] != n {
				continue
			}
			found = true
			at := slices.IndexFunc(all[first:], func(p *pass) bool { return p.live == r.Live && p.asOf.Equal(r.AsOf.Time) })
			if at < 0 {
				at, all = len(all)-first, append(all, &pass{tenant: t, asOf: r.AsOf, live: r.Live})
			}
			all[first+at].add(r)
		}
		if !found {
			return all
		}
	}
}

// effort orders kinds by what comes before a run's scores: nothing, a fit, or the scores of others.
func (k Kind) effort() int {
	switch {
	case k.joins():
		return 2
	case k.predicts():
		return 1
	}
	return 0
}

// scoreOf is the field of a score's value for any field of that score.
func scoreOf(name string) string {
	if key, ok := strings.CutPrefix(name, field("")); ok {
		key, _, _ = strings.Cut(key, ".")
		return field(key)
	}
	return name
}

func (p *pass) add(r Run) {
	s := &scoring{Run: r, at: len(p.runs), window: -1, rules: -1, forecast: -1}
	if days := r.Params.WindowDays; days > 0 {
		if s.window = slices.Index(p.windows, days); s.window < 0 {
			s.window, p.windows = len(p.windows), append(p.windows, days)
		}
	}
	if r.Kind == Rules {
		for _, o := range p.runs {
			s.rules = max(s.rules, o.rules)
		}
		s.rules++
	}
	p.runs = append(p.runs, s)
}

// of is the run of a model in the pass, unless it failed.
func (p *pass) of(key string) *scoring {
	for _, r := range p.runs {
		if r.ModelKey == key && r.failed == nil {
			return r
		}
	}
	return nil
}

// isPart reports whether another run of the pass may be made of this one.
func (p *pass) isPart(r *scoring) bool {
	return slices.ContainsFunc(p.runs, func(o *scoring) bool {
		return o.Kind.joins() && slices.ContainsFunc(o.Params.Parts, func(part Part) bool { return part.Score == r.ModelKey })
	})
}

// sources finds where the values of a run's parts come from, and reads those that are not in the pass. Fails with ErrNoParts.
func (p *pass) sources(ctx context.Context, q postgres.Querier, r *scoring) error {
	if !r.Kind.joins() {
		return nil
	}
	runs, err := partRuns(ctx, q, p.tenant.ID, r.Run)
	if err != nil {
		return err
	}
	r.parts = make([]source, len(runs))
	for i, no := range runs {
		key := r.Params.Parts[i].Score
		r.parts[i] = nowhere
		switch own := p.of(key); {
		case own != nil && (own.activate || !p.live):
			r.parts[i].run, runs[i] = own.at, own.no
		case no != 0:
			if r.parts[i].other, err = p.other(ctx, q, no); err != nil {
				return err
			}
		case r.Kind == AtRisk:
			return ErrNoParts
		default:
			r.cal.Diagnostics = append(r.cal.Diagnostics, Diagnostic{"part_without_scores", fault.T(
				"no run of "+key+" has scores for that day", "评分 "+key+" 没有该日的运行结果")})
		}
	}
	if r.Kind == AtRisk {
		r.made = runs
	}
	return nil
}

// other is the place of another run's values, which are read where they have not been yet.
func (p *pass) other(ctx context.Context, q postgres.Querier, no int64) (int, error) {
	at := slices.Index(p.others, no)
	if at >= 0 {
		return at, nil
	}
	p.others = append(p.others, no)
	return len(p.others) - 1, p.readOther(ctx, q, len(p.others)-1)
}

// sameForecast is the place of a forecast that is the very same.
func (p *pass) sameForecast(as *forecast) int {
	return slices.IndexFunc(p.forecasts, func(f *forecast) bool {
		return f.ask == as.ask && f.model.Family() == as.model.Family() && fmt.Sprint(f.model.Params()) == fmt.Sprint(as.model.Params())
	})
}

// predict computes the forecast of a run, unless another one has the same.
func (p *pass) predict(ctx context.Context, r *scoring) error {
	if !r.Kind.predicts() {
		return nil
	}
	if r.by.by.model == nil {
		return fmt.Errorf("a model of kind %s has no fitted purchase model", r.Kind)
	}
	f := &forecast{r.by.by.model, r.by.by.ask()}
	if r.forecast = p.sameForecast(f); r.forecast >= 0 {
		return nil
	}
	r.forecast, p.forecasts = len(p.forecasts), append(p.forecasts, f)
	histories := make([]btyd.History, 0, p.crowd.buyers())
	for _, b := range p.crowd.blocks {
		for _, f := range b.facts {
			if f.bought() {
				histories = append(histories, f.fact().history())
			}
		}
	}
	predictions, err := btyd.Predict(ctx, f.model, histories, f.ask)
	if err != nil {
		return fmt.Errorf("predict: %w", err)
	}
	for _, b := range p.crowd.blocks {
		n := b.buyers()
		b.ahead[r.forecast], predictions = predictions[:n], predictions[n:]
	}
	return nil
}

// measure computes the limits of what the customers did, before anybody is scored.
func (p *pass) measure(r *scoring) {
	into := r.cal.Quantiles
	buyers := func(of func(b *block, i int) float64) []float64 {
		return p.crowd.collect(func(b *block, i int) (float64, bool) { return of(b, i), b.facts[i].bought() })
	}
	switch r.Kind {
	case RFM:
		at := make([]float64, r.Params.Bands-1)
		for i := range at {
			at[i] = float64(i+1) / float64(r.Params.Bands)
		}
		set := func(name string, of func(b *block, i int) float64) {
			if limits := quantiles(buyers(of), at); limits != nil {
				into[name] = limits
			}
		}
		set("recency_days", func(b *block, i int) float64 { return float64(b.facts[i].t - b.facts[i].tx) })
		set("purchase_days", func(b *block, i int) float64 { return float64(b.window(r, i).days) })
		set("spend", func(b *block, i int) float64 { return float64(b.window(r, i).spend) })
		for i := range into["spend"] {
			into["spend"][i] /= r.by.scale
		}
	case Potential:
		so := quantiles(buyers(func(b *block, i int) float64 { return float64(b.facts[i].spend) }), []float64{1 - r.Params.HighValueShare})
		if so != nil {
			into[limitSoFar] = []float64{so[0] / r.by.scale}
		}
	case Composite:
		for n, part := range r.Params.Parts {
			if part.Min != nil && part.Max != nil {
				continue
			}
			values := p.crowd.collect(func(b *block, i int) (float64, bool) {
				v := b.part(r.parts[n], i)
				return v, !math.IsNaN(v)
			})
			if limits := quantiles(values, []float64{0.05, 0.95}); limits != nil {
				into[limitsOf(part.Score)] = limits
			}
			if crossed := newBlend(r.Params, r.cal); (part.Min != nil || part.Max != nil) && crossed.least[n] >= crossed.most[n] {
				r.cal.Diagnostics = append(r.cal.Diagnostics, limitsCrossed(part.Score, crossed.least[n], crossed.most[n]))
			}
		}
	}
}

// window is what a customer bought within a run's window.
func (b *block) window(r *scoring, i int) windowed {
	if r.window >= 0 {
		return b.windows[r.window][i]
	}
	return windowed{b.facts[i].x + 1, b.facts[i].spend}
}

// part is a customer's value of a composite's part; NaN for none.
func (b *block) part(s source, i int) float64 {
	switch {
	case s.run >= 0:
		return b.values[s.run][i]
	case s.other >= 0:
		return b.others[s.other][i]
	}
	return math.NaN()
}

// measureValues computes the limits of a run's values.
func (p *pass) measureValues(r *scoring) {
	values := p.crowd.collect(func(b *block, i int) (float64, bool) {
		v := b.values[r.at][i]
		return v, !math.IsNaN(v)
	})
	if len(values) == 0 {
		return
	}
	r.cal.Quantiles["value"] = quantiles(values, fifths)
	if r.Kind == Potential {
		r.cal.Quantiles[limitToCome] = quantiles(values, []float64{1 - r.Params.PotentialShare})
	}
}

// valueAll computes everybody's value, on all processors.
func (p *pass) valueAll(ctx context.Context, r *scoring) error {
	next := make(chan *block)
	failed := make([]error, runtime.GOMAXPROCS(0))
	var workers sync.WaitGroup
	for w := range failed {
		workers.Go(func() {
			var in room
			for b := range next {
				if failed[w] != nil {
					continue
				}
				var all []rated
				if all, failed[w] = p.rate(ctx, r, b, &in); failed[w] != nil {
					continue
				}
				b.values[r.at] = make([]float64, len(b.ids))
				for i, s := range all {
					if b.values[r.at][i] = s.value; !s.ok {
						b.values[r.at][i] = math.NaN()
					}
				}
			}
		})
	}
	for _, b := range p.crowd.blocks {
		next <- b
	}
	close(next)
	workers.Wait()
	for _, err := range failed {
		if err != nil {
			return err
		}
	}
	return nil
}

// rate scores the customers of a block; see judge.
func (p *pass) rate(ctx context.Context, r *scoring, b *block, in *room) ([]rated, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	in.subjects = sized(in.subjects, len(b.ids))
	inputs := 0
	switch {
	case r.Kind == Rules:
		inputs = 2 * len(r.Params.Rules)
	case r.Kind.joins():
		inputs = 2 * len(r.parts)
	}
	in.given = sized(in.given, inputs*len(b.ids))
	clear(in.given)
	for i, id := range b.ids {
		c := &in.subjects[i]
		*c = subject{id: id, given: in.given[i*inputs : (i+1)*inputs : (i+1)*inputs]}
		if f := b.facts[i]; f.bought() {
			w := b.window(r, i)
			c.bought, c.fact, c.windowDays, c.windowSpend = true, f.fact(), int(w.days), w.spend
		}
		if r.Kind == Rules {
			for n := range c.given {
				c.given[n] = float64(b.rules[r.rules][i*inputs+n])
			}
		}
		for n, from := range r.parts {
			if v := b.part(from, i); !math.IsNaN(v) {
				c.given[2*n], c.given[2*n+1] = 1, v
			}
		}
	}
	var predictions []btyd.Prediction
	if r.forecast >= 0 {
		predictions = b.ahead[r.forecast]
	}
	return r.by.judge(in.subjects, predictions, in)
}
