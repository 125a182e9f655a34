package score_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/score"
	"github.com/kezi-io/kezi/internal/tenant"
)

// A night's runs: everybody as of the new day by the calibration in force, models after what they read, a new calibration
// when it is a week old, and nothing twice.
func TestNightlyRuns(t *testing.T) {
	t.Parallel()
	l := live(t, 40)
	l.create(t, score.Creation{Key: "clv", Kind: score.CLV})
	l.create(t, score.Creation{Key: "idle", Kind: score.RFM}) // never run
	l.model(t, "fixed", score.RFM, l.daysAgo(0), score.ParamsChange{})
	l.run(t, "clv", score.Request{})
	l.create(t, score.Creation{Key: "worth", Kind: score.Composite, Params: score.ParamsChange{
		Parts: patch.Set([]score.PartDraft{{Part: score.Part{Score: "clv"}}, {Part: score.Part{Score: "fixed"}}})}})
	l.run(t, "fixed", score.Request{})
	l.run(t, "worth", score.Request{})
	all := postgres.ForAllTenants(l.ctx)
	count := func(key string) int {
		p, err := l.svc.Runs(l.ctx, l.call.Tenant, key, page.Request{Limit: 100})
		require.NoError(t, err)
		for _, r := range p.Items {
			l.waitFor(t, key, r)
		}
		return len(p.Items)
	}
	night := func() {
		require.NoError(t, l.svc.NextDay(all))
		count("clv")
		require.NoError(t, l.svc.NextDay(all))
		count("worth")
		require.NoError(t, l.svc.NextDay(all))
	}
	night()
	require.Equal(t, 1, count("clv"), "the day has not passed")
	l.set(l.now().Add(12*time.Hour - time.Microsecond))
	night()
	require.Equal(t, 1, count("clv"))
	l.set(l.now().Add(time.Microsecond))
	require.NoError(t, l.svc.NextDay(all))
	require.Equal(t, 2, count("worth"))
	require.Equal(t, l.newest(t, "clv").JobID, l.newest(t, "worth").JobID, "one job does both")
	worth := l.score(t, "c001", "worth")
	require.Equal(t, l.today(), worth.AsOf)
	require.Equal(t, l.score(t, "c001", "clv").Value, worth.Inputs["clv"], "what it reads came first")
	night()
	require.Equal(t, 2, count("clv"))
	require.Equal(t, 2, count("worth"))
	require.Equal(t, 1, count("fixed"))
	require.Zero(t, count("idle"))
	s := l.score(t, "c001", "clv")
	require.Equal(t, l.today(), s.AsOf)
	require.NotEqual(t, s.RunID, s.CalibratedBy)
	l.set(l.now().AddDate(0, 0, 6))
	night()
	s = l.score(t, "c001", "clv")
	require.Equal(t, l.today(), s.AsOf)
	require.Equal(t, s.RunID, s.CalibratedBy, "a week later it is learned anew")
	require.Equal(t, 3, count("clv"))
}

// newest is the newest run of a model.
func (b *bench) newest(t testing.TB, key string) score.Run {
	t.Helper()
	p, err := b.svc.Runs(b.ctx, b.call.Tenant, key, page.Request{Limit: 1})
	require.NoError(t, err)
	return p.Items[0]
}

func (l *living) waitFor(t testing.TB, key string, r score.Run) {
	t.Helper()
	require.Eventually(t, func() bool {
		got, err := l.svc.Run(l.ctx, l.call.Tenant, key, r.ID)
		return err == nil && got.Status.Ended()
	}, time.Minute, 5*time.Millisecond)
}

// Writers and runs at once: whoever bought while a run was under way has the score of what was bought when it ends.
func TestWritesDuringRunsAreNotLost(t *testing.T) {
	t.Parallel()
	l := live(t, 40)
	for _, c := range []score.Creation{{Key: "rfm", Kind: score.RFM}, {Key: "rules", Kind: score.Rules}, {Key: "worth", Kind: score.Composite,
		Params: score.ParamsChange{Parts: patch.Set([]score.PartDraft{{Part: score.Part{Score: "rfm"}}, {Part: score.Part{Score: "rules"}}})}}} {
		l.create(t, c)
		l.run(t, c.Key, score.Request{})
	}
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					l.pay(t, l.names[(w*10+i%10)%len(l.names)], int64(100+i), l.daysAgo(0))
				}
			}
		})
	}
	for range 4 {
		for _, key := range []string{"rfm", "rules", "worth"} {
			require.Equal(t, jobs.Succeeded, l.run(t, key, score.Request{Keep: true}).Status)
		}
	}
	close(stop)
	writers.Wait()
	was := map[string]score.Score{}
	for _, name := range l.names {
		for _, key := range []string{"rfm", "rules", "worth"} {
			was[name+key] = l.score(t, name, key)
		}
	}
	for _, key := range []string{"rfm", "rules", "worth"} {
		l.run(t, key, score.Request{Keep: true})
		for _, name := range l.names {
			got := l.score(t, name, key)
			require.Equal(t, was[name+key].Inputs, got.Inputs, "%s %s", name, key)
			require.Equal(t, was[name+key].Value, got.Value)
		}
	}
	var left int
	require.NoError(t, l.db.QueryRow(l.ctx, `SELECT count(*) FROM score_touched WHERE tenant_id = $1`, l.call.Tenant.ID).Scan(&left))
	require.Zero(t, left)
}

// The history is whole for 35 days, has one score a week up to a year, and one a month before; each the newest of its time.
func TestHistoryIsThinned(t *testing.T) {
	t.Parallel()
	l := live(t, 3)
	l.create(t, score.Creation{Key: "rfm", Kind: score.RFM})
	l.run(t, "rfm", score.Request{})
	const days = 500
	_, err := l.db.Exec(l.ctx, `INSERT INTO score_history (tenant_id, customer_id, model_id, scored_at, run_no, as_of, value, band, label, inputs)
		SELECT r.tenant_id, $2, r.model_id, $3::timestamptz - make_interval(days => d), r.run_no, r.as_of, d, 1, '', '{}'
		FROM score_runs r CROSS JOIN generate_series(1, $4::integer) d WHERE r.tenant_id = $1`, l.call.Tenant.ID, l.id("c001"), l.now(), days)
	require.NoError(t, err)
	var left []time.Time
	for range 28 { // in one of them it is this customer's turn
		l.set(l.now().AddDate(0, 0, 1))
		l.run(t, "rfm", score.Request{Keep: true})
		rows, err := l.db.Query(l.ctx, `SELECT scored_at FROM score_history WHERE tenant_id = $1 AND customer_id = $2 ORDER BY 1 DESC`, l.call.Tenant.ID, l.id("c001"))
		require.NoError(t, err)
		left, err = pgx.CollectRows(rows, pgx.RowTo[time.Time])
		require.NoError(t, err)
		if len(left) < days {
			break
		}
	}
	require.Less(t, len(left), days, "thinned within 28 days")
	whole, year := l.now().AddDate(0, 0, -35), l.now().AddDate(0, 0, -365)
	type of struct{ kind, year, n int }
	seen := map[of]bool{}
	for i, at := range left {
		at = at.UTC()
		key := of{1, at.Year(), int(at.Month())}
		switch {
		case !at.Before(whole):
			if i > 0 {
				require.Equal(t, 24*time.Hour, left[i-1].Sub(left[i]), "every day")
			}
			continue
		case !at.Before(year):
			y, w := at.ISOWeek()
			key = of{0, y, w}
		}
		require.False(t, seen[key], "%s: two of one week or month", at)
		seen[key] = true
	}
	require.Greater(t, len(seen), 45+3)
}

// However many runs follow, the history has what a score was by each of the model's parameters, and explains it by them.
func TestHistoryKeepsEveryModelVersion(t *testing.T) {
	t.Parallel()
	l := live(t, 40)
	l.create(t, score.Creation{Key: "rfm", Kind: score.RFM})
	want := map[string]map[int]float64{}
	for _, name := range l.names {
		want[name] = map[int]float64{}
	}
	for version := 1; version <= 9; version++ {
		if version > 1 {
			_, err := l.svc.Update(l.ctx, l.call, "rfm", nil, score.Change{Params: score.ParamsChange{Weights: patch.Set(score.Weights{R: 1, F: 1, M: float64(version)})}})
			require.NoError(t, err)
		}
		l.set(l.now().Add(time.Minute))
		l.run(t, "rfm", score.Request{Keep: true})
		for _, name := range l.names {
			want[name][version] = l.score(t, name, "rfm").Value
		}
	}
	most := 0
	for _, name := range l.names {
		p, err := l.svc.History(l.ctx, l.call.Tenant, l.id(name), "rfm", page.Request{Limit: 50})
		require.NoError(t, err)
		got := map[float64]bool{}
		for _, s := range p.Items {
			require.Equal(t, want[name][s.Revision], s.Value)
			l.exact(t, s)
			got[s.Value] = true
		}
		for version, value := range want[name] { // equal values in a row are one line
			require.True(t, got[value], "%s: %v of version %d", name, value, version)
		}
		most = max(most, len(p.Items))
	}
	require.Equal(t, 9, most, "somebody has another value by each")
}

// Of a night the history keeps those whose band or label the next night changed; the last of a week is kept whole for some weeks, the
// last of a month for a year.
func TestNightsOfAWeekAreCompact(t *testing.T) {
	t.Parallel()
	t.Run("by their grades", func(t *testing.T) {
		t.Parallel()
		nightsAreCompact(t, func(*living) {})
	})
	t.Run("loaded before grades were kept", func(t *testing.T) {
		t.Parallel()
		nightsAreCompact(t, func(l *living) {
			_, err := l.db.Exec(l.ctx, `DELETE FROM score_grades WHERE tenant_id = $1`, l.call.Tenant.ID)
			require.NoError(t, err)
		})
	})
}

func nightsAreCompact(t *testing.T, after func(*living)) {
	l := live(t, 40)
	l.create(t, score.Creation{Key: "rfm", Kind: score.RFM})
	first := l.run(t, "rfm", score.Request{})
	day0 := l.today()
	labels := map[string]map[string]string{}
	note := func(r score.Run) {
		labels[r.AsOf.String()] = map[string]string{}
		for _, s := range l.scores(t, "rfm", r) {
			labels[r.AsOf.String()][s.CustomerID.String()] = fmt.Sprint(s.Band, s.Label)
		}
		after(l)
	}
	note(first)
	for range 16 {
		l.set(l.now().AddDate(0, 0, 1))
		note(l.run(t, "rfm", score.Request{Keep: true}))
	}
	rows, err := l.db.Query(l.ctx, `SELECT as_of, customer_id, band || ' ' || label FROM score_history WHERE tenant_id = $1 ORDER BY 1`, l.call.Tenant.ID)
	require.NoError(t, err)
	defer rows.Close()
	kept := map[string]map[string]bool{}
	for rows.Next() {
		var on time.Time
		var id uuid.UUID
		var is string
		require.NoError(t, rows.Scan(&on, &id, &is))
		of := tenant.Day{Time: on}.String()
		if kept[of] == nil {
			kept[of] = map[string]bool{}
		}
		kept[of][id.String()] = true
		require.Equal(t, strings.ReplaceAll(labels[of][id.String()], " ", ""), strings.ReplaceAll(is, " ", ""))
	}
	require.NoError(t, rows.Err())
	for d := range 11 { // the newest six are in force or kept as they are
		on := tenant.Day{Time: day0.AddDate(0, 0, d)}
		after := tenant.Day{Time: on.AddDate(0, 0, 1)}
		for id, is := range labels[on.String()] {
			if is != labels[after.String()][id] {
				require.True(t, kept[on.String()][id], "%s: the last before a change", on)
			} else {
				require.False(t, kept[on.String()][id], "%s: nothing but days went by", on)
			}
		}
	}
	whole := func() (days []string) {
		p, err := l.svc.Runs(l.ctx, l.call.Tenant, "rfm", page.Request{Limit: 100})
		require.NoError(t, err)
		for _, r := range p.Items {
			if r.Kept {
				days = append(days, r.AsOf.String())
			}
		}
		return days
	}
	ends := func(newest int, also func(day tenant.Day) bool) (days []string) {
		for d := l.today(); !d.Before(day0.Time); d = (tenant.Day{Time: d.AddDate(0, 0, -1)}) {
			if ran := labels[d.String()] != nil; ran && (newest > 0 || also(d)) {
				newest--
				days = append(days, d.String())
			}
		}
		return days
	}
	lastOf := func(d tenant.Day, same func(a, b tenant.Day) bool) bool {
		for next := range labels {
			if n := *day(next); n.After(d.Time) && same(n, d) {
				return false
			}
		}
		return true
	}
	week := func(a, b tenant.Day) bool {
		y, w := a.ISOWeek()
		of, v := b.ISOWeek()
		return y == of && w == v
	}
	month := func(a, b tenant.Day) bool { return a.Year() == b.Year() && a.Month() == b.Month() }
	require.Equal(t, ends(5, func(d tenant.Day) bool { return lastOf(d, week) || lastOf(d, month) }), whole())
	later := func(days int) {
		l.set(l.now().AddDate(0, 0, days))
		for range 6 { // all those before are superseded
			l.set(l.now().AddDate(0, 0, 1))
			note(l.run(t, "rfm", score.Request{Keep: true}))
		}
	}
	later(40)
	require.Equal(t, ends(5, func(d tenant.Day) bool {
		return lastOf(d, month) || lastOf(d, week) && l.now().Before(d.AddDate(0, 0, 35))
	}), whole())
	later(366)
	require.Equal(t, ends(5, func(d tenant.Day) bool { return lastOf(d, week) && l.now().Before(d.AddDate(0, 0, 35)) }), whole())
}
