package tier_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/tenant"
	"github.com/kezi-io/kezi/internal/tier"
)

func on(t testing.TB, s string) tenant.Day {
	t.Helper()
	d, err := tenant.ParseDay(s)
	require.NoError(t, err)
	return d
}

// PeriodsFollowOneAnother: the database's periods are those of Go, whatever the anchor, leap days included.
func TestPeriods(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 300 {
		anchor := tenant.Day{Time: time.Date(2000+rng.IntN(30), time.Month(1+rng.IntN(12)), 1+rng.IntN(31), 0, 0, 0, 0, time.UTC)}
		if i%10 == 0 {
			anchor = on(t, "2024-02-29")
		}
		day := tenant.Day{Time: anchor.AddDate(0, 0, rng.IntN(4000)-1000)}
		months, days := 1+rng.IntN(24), 0
		if i%3 == 0 {
			months, days = 0, 1+rng.IntN(500)
		}
		var start, next tenant.Day
		require.NoError(t, b.db.QueryRow(b.ctx, `SELECT kezi_period_start($1, $2, $3, $4, 0), kezi_period_start($1, $2, $3, $4, 1)`,
			anchor, months, days, day).Scan(&start, &next))
		require.Equal(t, tier.PeriodStart(anchor, months, days, day, 0), start, "%s %d %d %s", anchor, months, days, day)
		require.Equal(t, tier.PeriodStart(anchor, months, days, day, 1), next, "%s %d %d %s", anchor, months, days, day)
		require.False(t, start.After(day.Time), "%s %d %d %s", anchor, months, days, day)
		require.True(t, next.After(day.Time), "%s %d %d %s", anchor, months, days, day)
	}
	require.Equal(t, "2025-02-28", tier.PeriodStart(on(t, "2024-02-29"), 12, 0, on(t, "2025-03-01"), 0).String())
	require.Equal(t, "2028-02-29", tier.PeriodStart(on(t, "2024-02-29"), 12, 0, on(t, "2028-02-29"), 0).String())
}

// naive is a customer in a scheme as its rules are told to people, day by day and without windows that somebody keeps: what
// was spent on which day is added up anew each time.
type naive struct {
	d          tier.Definition
	entry      []int64 // by tier
	keep       []int64
	spent      map[tenant.Day]int64
	since      tenant.Day // the first purchase
	rank       int
	entered    tenant.Day
	failing    *tenant.Day // the day on which it failed first, at once
	judgedTill tenant.Day  // the last day of the last period that was judged, or the day before the tier was entered
	stepped    *tenant.Day
}

func (n *naive) sum(from, to tenant.Day) (all int64) {
	for d, s := range n.spent {
		if !d.Before(from.Time) && !d.After(to.Time) {
			all += s
		}
	}
	return all
}

func (n *naive) enters(from, to tenant.Day) int {
	s := n.sum(from, to)
	for i, least := range n.entry {
		if s >= least {
			return i + 1
		}
	}
	return len(n.entry) + 1
}

// ends is the last day of the period with today in it, found by walking from day to day.
func (n *naive) begins(today tenant.Day) tenant.Day {
	switch n.d.Window {
	case tier.CalendarYear:
		return on2(today.Year(), 1, 1)
	case tier.Anniversary:
		start := n.since
		for y := 1; ; y++ {
			next := clamp(n.since, y)
			if next.After(today.Time) {
				return start
			}
			start = next
		}
	}
	start := n.entered
	for {
		next := tenant.Day{Time: start.AddDate(0, 0, n.d.Days)}
		if next.After(today.Time) {
			return start
		}
		start = next
	}
}

func clamp(d tenant.Day, years int) tenant.Day {
	out := on2(d.Year()+years, int(d.Month()), d.Day())
	if out.Month() != d.Month() {
		out = tenant.Day{Time: out.AddDate(0, 0, -1)}
	}
	return out
}

func on2(y, m, d int) tenant.Day {
	return tenant.Day{Time: time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC)}
}
func later(d tenant.Day, n int) tenant.Day { return tenant.Day{Time: d.AddDate(0, 0, n)} }

// window is the current one.
func (n *naive) window(today tenant.Day) tenant.Day {
	if n.d.Window == tier.Rolling {
		return later(today, 1-n.d.Days)
	}
	return n.begins(today)
}

func (n *naive) live(today tenant.Day) {
	lowest := len(n.entry) + 1
	now := n.enters(n.window(today), today)
	move := func(rank int) {
		n.rank, n.entered, n.failing = rank, today, nil
		n.judgedTill = later(n.begins(today), -1)
	}
	keeps := func(s int64) bool { return n.rank == lowest || s >= n.keep[n.rank-1] || s >= n.entry[n.rank-1] }
	fall := func(direct int) {
		if n.d.Downgrade == tier.OneStep {
			n.stepped = &today
			direct = n.rank + 1
		}
		move(direct)
	}
	if n.rank == 0 || now < n.rank {
		move(now)
		return
	}
	if n.d.Downgrade == tier.Never {
		return
	}
	waits := n.d.Downgrade == tier.OneStep && n.stepped != nil && *n.stepped == today
	if n.d.DowngradeAt == tier.AtOnce {
		switch s := n.sum(n.window(today), today); {
		case keeps(s):
			n.failing = nil
		default:
			if n.failing == nil {
				n.failing = &today
			}
			if !today.Before(later(*n.failing, n.d.GraceDays).Time) && !waits {
				fall(now)
			}
		}
		return
	}
	begin := n.begins(today)
	last := later(begin, -1)
	if n.rank == lowest || !n.judgedTill.Before(last.Time) {
		if n.rank == lowest {
			n.judgedTill = last
		}
		return
	}
	// A period has ended: it began where the one before that was judged ended.
	from, to := later(n.judgedTill, 1), later(last, n.d.GraceDays)
	if today.Before(to.Time) {
		to = today
	}
	switch then := n.enters(from, to); {
	case then < n.rank:
		move(then)
	case keeps(n.sum(from, to)):
		n.judgedTill = last
	case !today.Before(later(last, 1+n.d.GraceDays).Time) && !waits:
		fall(then)
	}
}

// pure is the same customer moved by the pure function.
type pure struct {
	naive *naive
	at    tier.Standing
}

func (p *pure) live(today tenant.Day) {
	n, policy := p.naive, p.naive.d.Policy()
	anchor := map[tier.Window]tenant.Day{tier.Rolling: p.at.EnteredOn, tier.CalendarYear: on2(2000, 1, 1), tier.Anniversary: n.since}[n.d.Window]
	from := later(today, 1-n.d.Days)
	if n.d.Window != tier.Rolling {
		from = tier.PeriodStart(anchor, 12, 0, today, 0)
	}
	j := tier.Judgement{Now: n.enters(from, today), Keeps: policy.Periodic}
	j.Then = j.Now
	judged := !policy.Periodic
	to := today
	if p.at.PeriodEndsOn != nil && p.at.PeriodEndsOn.Before(today.Time) {
		judged = true
		from = tier.PeriodStart(anchor, n.d.Months, n.d.Days, *p.at.PeriodEndsOn, 0)
		if last := later(*p.at.PeriodEndsOn, n.d.GraceDays); last.Before(to.Time) {
			to = last
		}
		j.Then = n.enters(from, to)
	}
	if judged && p.at.Rank > 0 {
		j.Keeps = p.at.Rank > len(n.keep) || n.sum(from, to) >= n.keep[p.at.Rank-1]
	}
	p.at, _ = policy.Next(p.at, j, n.since, today)
}

var allWindows = []tier.WindowDraft{{Window: tier.Rolling, Days: 40}, {Window: tier.CalendarYear}, {Window: tier.Anniversary}}

func randomDefinition(rng *rand.Rand, i int) tier.Definition {
	w := allWindows[i%3]
	out := tier.Definition{Window: w.Window, Months: 12, GraceDays: rng.IntN(3) * 5, Tiers: make([]tier.Tier, 4)}
	if w.Days > 0 {
		out.Months, out.Days = 0, w.Days
	}
	out.Downgrade = []tier.Downgrade{tier.OneStep, tier.Direct, tier.OneStep, tier.Direct, tier.Never}[rng.IntN(5)]
	out.DowngradeAt = []tier.Moment{tier.AtOnce, tier.PeriodEnd}[i/3%2]
	return out
}

func newNaive(d tier.Definition, day tenant.Day) *naive {
	return &naive{d: d, entry: []int64{900, 400, 100}, keep: []int64{700, 300, 100}, spent: map[tenant.Day]int64{}, since: day}
}

func (n *naive) buy(day tenant.Day, yuan int64) {
	if len(n.spent) == 0 {
		n.since = day
	}
	n.spent[day] += yuan
}

// Random purchases over random days, in every mode, lead the pure function where they lead the naive simulation: over years'
// ends, leap days, and days on which nobody looked.
//
// S2-10
func TestLargeStandingsAreThoseOfANaiveSimulation(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 11))
	reached := map[string]int{}
	for i := range 600 {
		day := later(on(t, "2023-11-01"), rng.IntN(500))
		if i%5 == 0 {
			day = on(t, "2024-02-29")
		}
		n := newNaive(randomDefinition(rng, i), day)
		p := &pure{naive: n}
		for range 300 {
			n.live(day)
			p.live(day)
			for rng.IntN(6) == 0 {
				n.buy(day, int64(20+rng.IntN(400)))
				n.live(day)
				p.live(day)
			}
			require.Equal(t, n.rank, p.at.Rank, "history %d, %s, %+v, entered %s, spent %v, %+v", i, day, n.d, n.entered, n.spent, p.at)
			require.Equal(t, n.entered, p.at.EnteredOn, "history %d, %s", i, day)
			reached[fmt.Sprintf("%s %s %d", n.d.DowngradeAt, n.d.Downgrade, p.at.Rank)]++
			day = later(day, 1)
			if rng.IntN(10) == 0 {
				day = later(day, rng.IntN(20))
			}
		}
	}
	require.Len(t, reached, 2*3*4, "every mode has seen every tier: %v", reached)
}

// The statement that moves everybody does with any placement and judgement what the pure function does.
func TestLargeStatementAndPureFunctionAgree(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rng := rand.New(rand.NewPCG(5, 1))
	maybe := func(day tenant.Day) *tenant.Day {
		if rng.IntN(3) == 0 {
			return nil
		}
		d := later(day, rng.IntN(9)-5)
		return &d
	}
	seen, resting := map[tier.Move]int{}, 0
	for i := range 18 {
		scheme := tier.Scheme{ID: uuid.Must(uuid.NewV7()), Key: "x", Definition: randomDefinition(rng, i)}
		for n := range scheme.Tiers {
			scheme.Tiers[n] = tier.Tier{ID: uuid.Must(uuid.NewV7()), Key: fmt.Sprint("t", n)}
		}
		today, policy := later(on(t, "2023-12-25"), rng.IntN(80)), scheme.Policy()
		judged, before := map[uuid.UUID]tier.Judgement{}, map[uuid.UUID]tier.Standing{}
		anniversaries := map[uuid.UUID]tenant.Day{}
		for range 60 {
			id, anniversary := uuid.Must(uuid.NewV7()), later(today, -rng.IntN(1500))
			_, err := b.db.Exec(b.ctx, `INSERT INTO customers (tenant_id, id, version, kind, name, stage, created_at, updated_at)
				VALUES ($1, $2, 1, 'person', 'x', 'lead', $3, $3)`, b.call.Tenant.ID, id, anniversary.Start(b.call.Tenant.Zone))
			require.NoError(t, err)
			_, err = b.db.Exec(b.ctx, `INSERT INTO customer_metrics (tenant_id, customer_id) VALUES ($1, $2)`, b.call.Tenant.ID, id)
			require.NoError(t, err)
			s := tier.Standing{Rank: rng.IntN(5), EnteredOn: later(today, -rng.IntN(200)), DowngradeOn: maybe(today), PeriodEndsOn: maybe(today), SteppedOn: maybe(today)}
			j := tier.Judgement{Now: 1 + rng.IntN(4), Then: 1 + rng.IntN(4), Keeps: rng.IntN(3) == 0}
			if !policy.Periodic || s.PeriodEndsOn == nil || !s.PeriodEndsOn.Before(today.Time) { // as judgements are made
				j.Then, j.Keeps = j.Now, j.Keeps || policy.Periodic
			}
			if policy.Periodic && s.PeriodEndsOn == nil {
				s.DowngradeOn = nil
			}
			if s.Rank == 0 {
				s = tier.Standing{}
			} else {
				_, err = b.db.Exec(b.ctx, `INSERT INTO tier_placements (tenant_id, customer_id, scheme_id, tier_id, change_set, placed_at, earned_tier_id, earned_on,
						downgrade_on, period_ends_on, stepped_on) VALUES ($1, $2, $3, $4, $2, $5, $4, $6, $7, $8, $9)`,
					b.call.Tenant.ID, id, scheme.ID, scheme.Tiers[s.Rank-1].ID, b.now(), s.EnteredOn, s.DowngradeOn, s.PeriodEndsOn, s.SteppedOn)
				require.NoError(t, err)
			}
			judged[id], before[id], anniversaries[id] = j, s, anniversary
		}
		found, moves, stays, err := tier.Moved(b.ctx, b.db, b.call.Tenant, scheme, today, judged)
		require.NoError(t, err)
		require.Len(t, found, len(judged))
		for id, j := range judged {
			want, move := policy.Next(before[id], j, anniversaries[id], today)
			require.Equal(t, want, found[id], "%s, %+v from %+v by %+v", today, scheme.Definition, before[id], j)
			require.Equal(t, move, moves[id])
			if stays[id] {
				require.Equal(t, before[id], want)
				resting++
			}
			seen[move]++
		}
	}
	require.Len(t, seen, 5, "%v", seen)
	require.Positive(t, resting)
}

// Through the service it is the same: conditions over windows, writes, and days that pass in the zones where the day comes
// first and last.
func TestSchemesMoveAsTheNaiveSimulationDoes(t *testing.T) {
	t.Parallel()
	for i, zone := range []string{"Etc/GMT+12", "Pacific/Kiritimati"} {
		t.Run(zone, func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(uint64(i), 11))
			b := working(t, func(c *tenant.Creation) { c.TimeZone = zone })
			var schemes []tier.Scheme
			for n := range 6 {
				drawn := randomDefinition(rng, n)
				d := qualified(fmt.Sprint("s", n), "gold", "900", "silver", "400", "bronze", "100")
				d.Window, d.Downgrade, d.DowngradeAt, d.GraceDays = &allWindows[n%3], &drawn.Downgrade, &drawn.DowngradeAt, &drawn.GraceDays
				d.Tiers[0].Keep, d.Tiers[1].Keep = spent("700"), spent("300")
				schemes = append(schemes, b.scheme(t, d))
			}
			day := on(t, []string{"2027-12-26", "2028-02-26"}[i])
			people := map[uuid.UUID][]*naive{}
			var ids []uuid.UUID
			for step := range 9 {
				b.until(t, day.String(), []int{0, 23}[step%2])
				if step < 4 {
					id := b.customer(t, 0)
					ids = append(ids, id)
					for _, s := range schemes {
						people[id] = append(people[id], newNaive(s.Definition, day))
					}
				}
				live := func(id uuid.UUID) {
					for _, n := range people[id] {
						n.live(day)
					}
				}
				for _, id := range ids {
					live(id)
				}
				for range 1 + rng.IntN(4) {
					id, yuan := ids[rng.IntN(len(ids))], int64(50+rng.IntN(500))
					b.buy(t, id, yuan)
					for _, n := range people[id] {
						n.buy(day, yuan)
					}
					live(id)
				}
				for _, id := range ids {
					found, err := b.svc.Placed(b.ctx, b.call.Tenant, id)
					require.NoError(t, err)
					require.Len(t, found, len(schemes))
					for i, p := range found {
						n := people[id][i]
						want := append([]string{"gold", "silver", "bronze"}, "basic")[n.rank-1]
						require.Equal(t, want, p.Key, "step %d, %s, scheme %+v, entered %s, spent %v, %v", step, day, n.d, n.entered, n.spent, b.lines(t, id))
					}
				}
				day = later(day, []int{1, 2, 11, 45, 200}[rng.IntN(5)])
			}
		})
	}
}
