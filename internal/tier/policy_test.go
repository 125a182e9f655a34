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
	from, to := later(n.judgedTill, 1), last
	if until := later(last, n.d.GraceDays); today.Before(until.Time) {
		to = today
	} else {
		to = until
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

// Random purchases over random days, in every mode, lead where the naive simulation leads; the pure function and the
// statement that everybody is moved by agree.
//
// S2-10
func TestStandingsAreThoseOfANaiveSimulation(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 11))
			b := working(t, func(c *tenant.Creation) {
				c.TimeZone = []string{"Etc/GMT+12", "Pacific/Kiritimati", "Asia/Shanghai", "America/New_York"}[seed]
			})
			windows := []tier.WindowDraft{{Window: tier.Rolling, Days: 40}, {Window: tier.CalendarYear}, {Window: tier.Anniversary}}
			var schemes []tier.Scheme
			for i := range 6 {
				d := qualified(fmt.Sprint("s", i), "gold", "900", "silver", "400", "bronze", "100")
				d.Window, d.Downgrade = &windows[i%3], new([]tier.Downgrade{tier.OneStep, tier.Direct, tier.OneStep, tier.Direct, tier.Never}[rng.IntN(5)])
				d.DowngradeAt, d.GraceDays = new([]tier.Moment{tier.AtOnce, tier.PeriodEnd}[(i/3+int(seed))%2]), new(rng.IntN(3)*5)
				d.Tiers[0].Keep, d.Tiers[1].Keep = spent("700"), spent("300")
				schemes = append(schemes, b.scheme(t, d))
			}
			day := on(t, []string{"2027-12-20", "2028-02-25", "2028-02-28", "2026-12-27"}[seed])
			people := map[uuid.UUID][]*naive{}
			var ids []uuid.UUID
			for step := range 26 {
				b.until(t, day.String(), 5)
				if step < 6 {
					id := b.customer(t, 0)
					ids = append(ids, id)
					for _, s := range schemes {
						people[id] = append(people[id], &naive{d: s.Definition, entry: []int64{900, 400, 100}, keep: []int64{700, 300, 100},
							spent: map[tenant.Day]int64{}, since: day})
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
				for range rng.IntN(5) {
					id, yuan := ids[rng.IntN(len(ids))], int64(50+rng.IntN(500))
					b.buy(t, id, yuan)
					for _, n := range people[id] {
						if len(n.spent) == 0 {
							n.since = day
						}
						n.spent[day] += yuan
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
				// Nearly every day passes by; sometimes nobody is there for days.
				gap := 1 + rng.IntN(20)*rng.IntN(2)
				for range gap - 1 {
					day = later(day, 1)
					if rng.IntN(8) > 0 {
						b.until(t, day.String(), 1)
						for _, id := range ids {
							live(id)
						}
					}
				}
				day = later(day, 1)
			}
		})
	}
}
