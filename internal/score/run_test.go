package score_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/score"
	"github.com/kezi-io/kezi/internal/tenant"
)

func TestLargeRFM(t *testing.T) {
	t.Parallel()
	rows := cdnow(t, "cdnow_sample.csv")
	b := setup(t)
	b.buy(t, rows)
	// The facts once more, plainly.
	type known struct {
		last        string
		days, cents float64
	}
	const from, to = "1997-05-01", calibrationEnd // 153 days
	facts := map[string]*known{}
	seen := map[string]bool{}
	for _, p := range rows {
		if p.day > to {
			continue
		}
		if facts[p.customer] == nil {
			facts[p.customer] = &known{}
		}
		k := facts[p.customer]
		k.last = max(k.last, p.day)
		if p.day >= from {
			k.cents += float64(p.cents)
			if !seen[p.customer+p.day] {
				k.days++
			}
			seen[p.customer+p.day] = true
		}
	}
	var recency, days, cents []float64
	since := func(k *known) float64 { return day(to).Sub(day(k.last).Time).Hours() / 24 }
	for _, k := range facts {
		recency, days, cents = append(recency, since(k)), append(days, k.days), append(cents, k.cents)
	}
	band := func(all []float64, v float64, reversed bool) float64 {
		slices.Sort(all)
		n := 1.0
		for _, p := range []float64{0.2, 0.4, 0.6, 0.8} {
			if limit := quantile(all, p); limit < v && !reversed || limit > v && reversed {
				n++
			}
		}
		return n
	}
	weights := score.Weights{R: 2, F: 1, M: 4}
	b.model(t, "rfm", score.RFM, calibrationEnd, score.ParamsChange{WindowDays: patch.Set(153), Weights: patch.Set(weights)})
	r := b.run(t, "rfm", score.Request{})
	require.Equal(t, jobs.Succeeded, r.Status)
	require.EqualValues(t, len(facts), r.Scored)
	all := b.scores(t, "rfm", r)
	found := map[uuid.UUID]score.Scored{}
	labels := map[string]bool{}
	for i, s := range all {
		found[s.CustomerID] = s
		labels[s.Label] = true
		if i > 0 {
			require.GreaterOrEqual(t, all[i-1].Band, s.Band)
		}
	}
	require.Greater(t, len(labels), 5)
	for name, k := range facts {
		rb, fb, mb := band(recency, since(k), true), band(days, k.days, false), band(cents, k.cents, false)
		want := math.Round(100*(2*rb+fb+4*mb)/7) / 100
		s := found[b.id(name)]
		require.Equal(t, want, s.Value, name)
		require.Equal(t, int(math.Round(want)), s.Band)
		require.Equal(t, score.Segment(int(rb), int(fb), int(mb)), s.Label)
	}
	reproduced(t, b, "rfm", r)
	for i, l := range r.Calibration.Quantiles["spend"] {
		require.InDelta(t, quantile(cents, 0.2*float64(i+1))/100, l, 1e-9)
	}
}

func TestRunsThatCannotBe(t *testing.T) {
	t.Parallel()
	t.Run("NobodyBoughtAgain", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		var rows []purchase
		for i := range 30 {
			rows = append(rows, purchase{fmt.Sprint(i), fmt.Sprintf("2026-01-%02d", i+1), 100, ""})
		}
		b.buy(t, rows)
		for _, kind := range []score.Kind{score.CLV, score.Churn} {
			key := string(kind)
			b.model(t, key, kind, "2026-02-01", score.ParamsChange{})
			r := b.run(t, key, score.Request{})
			require.Equal(t, jobs.Failed, r.Status)
			require.False(t, r.Current || r.Kept)
			require.NotNil(t, r.FinishedAt)
			j, err := b.jobs.Get(b.ctx, b.call.Tenant, r.JobID)
			require.NoError(t, err)
			require.Equal(t, "too_few_repeat_buyers", j.ErrorCode)
			require.Empty(t, b.scores(t, key, r))
			_, err = b.svc.Activate(b.ctx, b.call, key, r.ID)
			require.ErrorIs(t, err, score.ErrRunNotSucceeded)
		}
		require.Equal(t, []string{"score_run.failed", "score_run.failed"}, b.events(t, "score_run"))
		b.model(t, "rfm", score.RFM, "2026-02-01", score.ParamsChange{})
		require.EqualValues(t, 30, b.run(t, "rfm", score.Request{}).Scored)
		require.Equal(t, 1, b.partitions(t))
	})
	t.Run("FreeRepeatPurchases", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		var rows []purchase
		for i := range 40 {
			c := fmt.Sprint(i)
			rows = append(rows, purchase{c, fmt.Sprintf("2026-01-%02d", i%20+1), 100 * int64(i+1), ""},
				purchase{c, fmt.Sprintf("2026-02-%02d", i%25+1), 0, ""})
		}
		b.buy(t, rows)
		b.model(t, "clv", score.CLV, "2026-06-01", score.ParamsChange{})
		r := b.run(t, "clv", score.Request{})
		require.Equal(t, jobs.Succeeded, r.Status)
		require.Nil(t, r.Calibration.Values)
		require.True(t, slices.ContainsFunc(r.Calibration.Diagnostics, func(d score.Diagnostic) bool { return d.Code == "value_model_not_fitted" }))
		for _, s := range b.scores(t, "clv", r) {
			require.False(t, math.IsNaN(s.Value))
		}
		reproduced(t, b, "clv", r)
	})
	t.Run("NobodyAtAll", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.model(t, "rfm", score.RFM, "2026-02-01", score.ParamsChange{})
		r := b.run(t, "rfm", score.Request{})
		require.Equal(t, jobs.Succeeded, r.Status)
		require.Zero(t, r.Scored)
		require.Empty(t, r.Calibration.Quantiles)
		require.Equal(t, "no_purchases", r.Calibration.Diagnostics[0].Code)
		b.model(t, "clv", score.CLV, "2026-02-01", score.ParamsChange{})
		require.Equal(t, jobs.Failed, b.run(t, "clv", score.Request{}).Status)
		_, err := b.svc.OfCustomer(b.ctx, b.call.Tenant, b.id("a"))
		require.ErrorIs(t, err, customer.ErrNotFound)
	})
	t.Run("ADayThatHasNotCome", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.model(t, "rfm", score.RFM, "2026-02-01", score.ParamsChange{})
		_, err := b.svc.Start(b.ctx, b.call, "rfm", score.Request{AsOf: day(now().AddDate(0, 0, 1).Format(time.DateOnly))})
		require.ErrorIs(t, err, fault.ErrInvalid)
		require.Equal(t, []string{"/as_of"}, pointers(err))
		_, err = b.svc.Start(b.ctx, b.call, "none", score.Request{})
		require.ErrorIs(t, err, score.ErrNotFound)
	})
	t.Run("AClockThatIsAhead", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.buy(t, []purchase{{"a", "2026-01-01", 100, ""}})
		today := b.call.Tenant.Today(now())
		next := tenant.Day{Time: today.AddDate(0, 0, 1)}
		_, err := b.svc.Create(b.ctx, b.call, score.Creation{Key: "rfm", Kind: score.RFM, Clock: score.ClockSetting{Fixed: true, Day: &next}})
		require.ErrorIs(t, err, fault.ErrInvalid)
		require.Equal(t, []string{"/clock/day"}, pointers(err))
		for _, key := range []string{"ahead", "rfm", "of_ahead", "retired"} {
			c := score.Creation{Key: key, Kind: score.RFM, Clock: score.ClockSetting{Fixed: true, Day: &today}}
			if key == "of_ahead" {
				c.Kind, c.Params = score.Composite, score.ParamsChange{Parts: patch.Set([]score.PartDraft{{Part: score.Part{Score: "rfm"}}})}
			}
			_, err := b.svc.Create(b.ctx, b.call, c)
			require.NoError(t, err)
		}
		_, err = b.svc.Retire(b.ctx, b.call, "retired")
		require.NoError(t, err)
		b.run(t, "of_ahead", score.Request{})
		// A tenant may move to a zone where that day has not begun.
		_, err = b.db.Exec(b.ctx, `UPDATE score_models SET clock_day = $2 WHERE tenant_id = $1 AND key LIKE '%ahead' OR tenant_id = $1 AND key = 'retired'`, b.call.Tenant.ID, next.Time)
		require.NoError(t, err)
		_, err = b.svc.Start(b.ctx, b.call, "ahead", score.Request{})
		require.ErrorIs(t, err, score.ErrClockAhead)
		j, err := b.svc.StartAll(b.ctx, b.call, score.Request{})
		require.NoError(t, err)
		require.Equal(t, jobs.Succeeded, b.wait(t, "rfm", jobs.Job{ID: j.ID, SubjectID: b.newest(t, "rfm").ID.String()}).Status)
	})
	t.Run("ADayThatIsATypingError", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.model(t, "rfm", score.RFM, "2026-02-01", score.ParamsChange{})
		_, err := b.svc.Start(b.ctx, b.call, "rfm", score.Request{AsOf: day("0001-01-01")})
		require.ErrorIs(t, err, fault.ErrInvalid)
		require.Equal(t, []string{"/as_of"}, pointers(err))
		_, err = b.svc.Update(b.ctx, b.call, "rfm", nil, score.Change{Clock: &score.ClockSetting{Fixed: true, Day: day("9999-12-31")}})
		require.ErrorIs(t, err, fault.ErrInvalid)
		require.Equal(t, []string{"/clock/day"}, pointers(err))
	})
}

// TestAnEndThatCouldNotBeWrittenIsTriedAgain has the database refuse the first end of a run that fails for a fault.
func TestAnEndThatCouldNotBeWrittenIsTriedAgain(t *testing.T) {
	t.Parallel()
	if postgrestest.RowSecurity() {
		t.Skip("the role of this run can't make triggers")
	}
	b := on(t, postgrestest.Fresh(t))
	for _, sql := range []string{
		`CREATE SEQUENCE refusals`, // which no rollback takes back
		`CREATE FUNCTION refuse_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF nextval('refusals') = 1 THEN RAISE EXCEPTION 'not now'; END IF;
			RETURN NEW;
		END $$`,
		`CREATE TRIGGER refuse_once BEFORE UPDATE ON score_runs FOR EACH ROW WHEN (NEW.status = 'failed') EXECUTE FUNCTION refuse_once()`,
	} {
		_, err := b.db.Exec(b.ctx, sql)
		require.NoError(t, err)
	}
	b.work(t)
	b.model(t, "clv", score.CLV, "2026-02-01", score.ParamsChange{})
	r := b.run(t, "clv", score.Request{}) // nobody has bought anything
	require.Equal(t, jobs.Failed, r.Status)
	require.Contains(t, b.events(t, "score_run"), "score_run.failed")
	var attempt int
	require.NoError(t, b.db.QueryRow(b.ctx, `SELECT attempt FROM jobs WHERE tenant_id = $1`, b.call.Tenant.ID).Scan(&attempt))
	require.Equal(t, 2, attempt)
}

func TestRunInForce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.buy(t, []purchase{{"a", "2026-01-01", 100, ""}, {"b", "2026-01-05", 300, ""}, {"b", "2026-01-07", 300, ""}})
	b.model(t, "rfm", score.RFM, "2026-01-10", score.ParamsChange{})
	current := func() *uuid.UUID {
		m, err := b.svc.Get(b.ctx, b.call.Tenant, "rfm")
		require.NoError(t, err)
		return m.CurrentRun
	}
	backtest := b.run(t, "rfm", score.Request{AsOf: day("2026-01-02")})
	require.Equal(t, jobs.Succeeded, backtest.Status)
	require.False(t, backtest.Current)
	require.EqualValues(t, 1, backtest.Scored)
	require.EqualValues(t, 2, backtest.Customers)
	require.Nil(t, current())

	first := b.run(t, "rfm", score.Request{})
	require.True(t, first.Current)
	require.Equal(t, first.ID, *current())

	got, err := b.svc.Activate(b.ctx, b.call, "rfm", backtest.ID)
	require.NoError(t, err)
	require.True(t, got.Current)
	require.Greater(t, got.Version, backtest.Version)
	again, err := b.svc.Activate(b.ctx, b.call, "rfm", backtest.ID)
	require.NoError(t, err)
	require.Equal(t, got, again)
	scores, err := b.svc.OfCustomer(b.ctx, b.call.Tenant, b.id("b"))
	require.NoError(t, err)
	require.Empty(t, scores, "b had not bought by the day of the run in force")
	was, err := b.svc.Run(b.ctx, b.call.Tenant, "rfm", first.ID)
	require.NoError(t, err)
	require.False(t, was.Current)
	require.Greater(t, was.Version, first.Version)

	forced := b.run(t, "rfm", score.Request{AsOf: day("2026-01-06"), Activate: true})
	require.Equal(t, forced.ID, *current())
	require.Equal(t, []string{"score_run.succeeded", "score_run.succeeded", "score_run.activated", "score_run.activated",
		"score_run.succeeded", "score_run.activated"}, b.events(t, "score_run"))

	p, err := b.svc.Runs(b.ctx, b.call.Tenant, "rfm", page.Request{Limit: 2})
	require.NoError(t, err)
	require.Len(t, p.Items, 2)
	require.Equal(t, forced.ID, p.Items[0].ID)
	p, err = b.svc.Runs(b.ctx, b.call.Tenant, "rfm", page.Request{Limit: 2, After: p.Next})
	require.NoError(t, err)
	require.Len(t, p.Items, 1)
	require.Equal(t, backtest.ID, p.Items[0].ID)
	require.Nil(t, p.Next)
}

func TestPagesOfEqualValuesMeet(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var rows []purchase
	for i := range 57 {
		rows = append(rows, purchase{fmt.Sprint(i), "2026-01-01", 100, ""})
	}
	b.buy(t, rows)
	b.model(t, "rfm", score.RFM, "2026-01-10", score.ParamsChange{})
	r := b.run(t, "rfm", score.Request{})
	seen := map[uuid.UUID]bool{}
	req := page.Request{Limit: 10}
	for {
		p, err := b.svc.Scores(b.ctx, b.call.Tenant, "rfm", r.ID, req)
		require.NoError(t, err)
		for _, s := range p.Items {
			require.False(t, seen[s.CustomerID])
			seen[s.CustomerID] = true
			require.Equal(t, 1.0, s.Value, "nobody is above anybody")
		}
		if p.Next == nil {
			break
		}
		req.After = p.Next
	}
	require.Len(t, seen, 57)
}

func TestSupersededScores(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.buy(t, []purchase{{"a", "2026-01-01", 100, ""}})
	b.model(t, "rfm", score.RFM, "2026-01-01", score.ParamsChange{})
	current := b.run(t, "rfm", score.Request{})
	var others []score.Run
	for i := range 7 {
		others = append(others, b.run(t, "rfm", score.Request{AsOf: day(fmt.Sprintf("2026-01-%02d", i+2))}))
	}
	require.Equal(t, 6, b.partitions(t), "the newest five and the one in force")
	for i, r := range others {
		got, err := b.svc.Run(b.ctx, b.call.Tenant, "rfm", r.ID)
		require.NoError(t, err)
		require.Equal(t, i >= 2, got.Kept)
		require.Equal(t, jobs.Succeeded, got.Status)
		require.NotNil(t, got.Calibration)
	}
	_, err := b.svc.Scores(b.ctx, b.call.Tenant, "rfm", others[0].ID, page.Request{Limit: 1})
	require.ErrorIs(t, err, score.ErrRunDropped)
	_, err = b.svc.Activate(b.ctx, b.call, "rfm", others[0].ID)
	require.ErrorIs(t, err, score.ErrRunDropped)
	scores, err := b.svc.OfCustomer(b.ctx, b.call.Tenant, b.id("a"))
	require.NoError(t, err)
	require.Equal(t, current.ID, scores[0].RunID)
}

func TestOneRunAtATime(t *testing.T) {
	t.Parallel()
	b := on(t, postgrestest.Fresh(t)) // nobody works there yet
	b.model(t, "rfm", score.RFM, "2026-01-01", score.ParamsChange{})
	b.model(t, "other", score.RFM, "2026-01-01", score.ParamsChange{})
	started := atOnce(20, func() error {
		_, err := b.svc.Start(b.ctx, b.call, "rfm", score.Request{})
		return err
	})
	require.Equal(t, 1, count(started, nil))
	require.Equal(t, 19, count(started, score.ErrRunInProgress))
	_, err := b.svc.Start(b.ctx, b.call, "other", score.Request{})
	require.NoError(t, err)

	p, err := b.svc.Runs(b.ctx, b.call.Tenant, "rfm", page.Request{Limit: 10})
	require.NoError(t, err)
	require.Len(t, p.Items, 1)
	r := p.Items[0]
	require.Equal(t, jobs.Queued, r.Status)
	_, err = b.jobs.Cancel(b.ctx, b.call.Tenant, r.JobID)
	require.NoError(t, err)
	r2, err := b.svc.Run(b.ctx, b.call.Tenant, "rfm", r.ID)
	require.NoError(t, err)
	require.Equal(t, jobs.Cancelled, r2.Status)
	require.NotNil(t, r2.FinishedAt)
	require.Greater(t, r2.Version, r.Version)
	require.Empty(t, b.scores(t, "rfm", r2))
	j, err := b.svc.Start(b.ctx, b.call, "rfm", score.Request{})
	require.NoError(t, err, "a cancelled run is in nobody's way")
	b.work(t)
	require.Equal(t, jobs.Succeeded, b.wait(t, "rfm", j).Status)
}

// TestKilledRun breaks a run in its middle, when its partition is loaded, as kill -9 would: the connection ends.
func TestKilledRun(t *testing.T) {
	t.Parallel()
	rows := cdnow(t, "cdnow_sample.csv")
	b := on(t, postgrestest.Fresh(t))
	b.work(t)
	b.buy(t, rows)
	b.model(t, "churn", score.Churn, calibrationEnd, score.ParamsChange{})
	untouched := b.run(t, "churn", score.Request{})

	// While this transaction is open no partition can be attached.
	hold, err := b.db.Pool().Begin(b.ctx)
	require.NoError(t, err)
	defer hold.Rollback(context.WithoutCancel(b.ctx)) //nolint:errcheck // the end of the test
	_, err = hold.Exec(postgres.ForAllTenants(b.ctx), `LOCK TABLE scores IN SHARE UPDATE EXCLUSIVE MODE`)
	require.NoError(t, err)
	j, err := b.svc.Start(b.ctx, b.call, "churn", score.Request{})
	require.NoError(t, err)
	kill := func() bool {
		var n int
		err := b.db.QueryRow(b.ctx, `SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE datname = current_database() AND query LIKE 'SELECT kezi_score_attach%' AND wait_event_type = 'Lock'`).Scan(&n)
		require.NoError(t, err)
		return n == 1
	}
	require.Eventually(t, kill, 20*time.Second, 10*time.Millisecond)
	require.Eventually(t, func() bool {
		got, err := b.jobs.Get(b.ctx, b.call.Tenant, j.ID)
		return err == nil && got.Status == jobs.Queued
	}, 20*time.Second, 10*time.Millisecond, "the job is to be tried again")
	require.Equal(t, 1, b.partitions(t), "only that of the run before")
	m, err := b.svc.Get(b.ctx, b.call.Tenant, "churn")
	require.NoError(t, err)
	require.Equal(t, untouched.ID, *m.CurrentRun)
	_, err = b.svc.Start(b.ctx, b.call, "churn", score.Request{})
	require.ErrorIs(t, err, score.ErrRunInProgress)
	require.NoError(t, hold.Rollback(b.ctx))

	r := b.wait(t, "churn", j)
	require.Equal(t, jobs.Succeeded, r.Status)
	require.True(t, r.Current)
	require.Equal(t, b.scores(t, "churn", untouched), b.scores(t, "churn", r))
	require.Equal(t, 2, b.partitions(t))
	require.Equal(t, untouched.Calibration, r.Calibration)
	require.Equal(t, []string{"score_run.succeeded", "score_run.activated", "score_run.succeeded", "score_run.activated"}, b.events(t, "score_run"))
}

func TestCancelledAndOrphanedRuns(t *testing.T) {
	t.Parallel()
	b := on(t, postgrestest.Fresh(t))
	b.buy(t, []purchase{{"a", "2026-01-01", 100, ""}})
	b.model(t, "rfm", score.RFM, "2026-01-01", score.ParamsChange{})
	b.model(t, "gone", score.RFM, "2026-01-01", score.ParamsChange{})
	// The handler waits at its first read until the test has done what it wants in the meantime.
	arrived, release := make(chan struct{}), make(chan struct{})
	b.jobs.Handle("score_run", func(ctx context.Context, run *jobs.Run) error {
		arrived <- struct{}{}
		select {
		case <-release:
		case <-ctx.Done():
		}
		return b.svc.Work(ctx, run)
	})
	b.work(t)
	j, err := b.svc.Start(b.ctx, b.call, "rfm", score.Request{})
	require.NoError(t, err)
	<-arrived
	_, err = b.jobs.Cancel(b.ctx, b.call.Tenant, j.ID)
	require.NoError(t, err)
	release <- struct{}{}
	require.Equal(t, jobs.Cancelled, b.wait(t, "rfm", j).Status)

	j, err = b.svc.Start(b.ctx, b.call, "gone", score.Request{})
	require.NoError(t, err)
	<-arrived
	require.NoError(t, b.svc.Delete(b.ctx, b.call, "gone", nil))
	release <- struct{}{}
	require.Eventually(t, func() bool {
		got, err := b.jobs.Get(b.ctx, b.call.Tenant, j.ID)
		return err == nil && got.Status == jobs.Failed && got.ErrorCode == "score_run_not_found"
	}, 20*time.Second, 10*time.Millisecond)
	require.Empty(t, b.events(t, "score_run"))
	require.Zero(t, b.partitions(t))
}

func TestSummariesAreOfTheTenant(t *testing.T) {
	t.Parallel()
	b, other := setup(t), setup(t)
	b.buy(t, []purchase{{"a", "2026-01-01", 100, ""}})
	other.buy(t, []purchase{{"a", "2026-01-01", 100, ""}})
	b.model(t, "rfm", score.RFM, "2026-01-01", score.ParamsChange{})
	b.run(t, "rfm", score.Request{})
	ids := []uuid.UUID{b.id("a"), other.id("a"), uuid.New()}
	got, err := score.Summaries(b.ctx, b.db, b.call.Tenant.ID, ids)
	require.NoError(t, err)
	require.Equal(t, map[uuid.UUID][]score.Summary{b.id("a"): {{Key: "rfm", Kind: score.RFM, Value: 1, Unit: "points", Band: 1,
		Label: "lost", AsOf: *day("2026-01-01")}}}, got)
	got, err = score.Summaries(postgres.WithTenant(t.Context(), other.call.Tenant.ID), other.db, other.call.Tenant.ID, ids)
	require.NoError(t, err)
	require.Empty(t, got)
}

// TestSet runs all models in one job: each has its run, parts come first, and the scores are those of runs one by one.
func TestSet(t *testing.T) {
	t.Parallel()
	l := live(t, 40)
	for _, c := range []score.Creation{
		{Key: "a_worth", Kind: score.Composite, Params: score.ParamsChange{Parts: patch.Set([]score.PartDraft{
			{Part: score.Part{Score: "rfm"}}, {Part: score.Part{Score: "keen"}}})}},
		{Key: "rfm", Kind: score.RFM, Params: score.ParamsChange{WindowDays: patch.Set(90)}},
		{Key: "clv", Kind: score.CLV},
		{Key: "churn", Kind: score.Churn},
		{Key: "potential", Kind: score.Potential},
	} {
		if c.Kind != score.Composite {
			l.create(t, c)
		}
	}
	l.create(t, score.Creation{Key: "keen", Kind: score.Rules, Params: score.ParamsChange{Rules: patch.Set([]score.RuleDraft{
		{Name: "valued", Points: 10, Condition: raw(t, `scores.clv.band >= 4`)}, {Name: "often", Points: 5, Condition: raw(t, `purchase_days >= 3`)}})}})
	l.create(t, score.Creation{Key: "a_worth", Kind: score.Composite, Params: score.ParamsChange{Parts: patch.Set([]score.PartDraft{
		{Part: score.Part{Score: "rfm"}}, {Part: score.Part{Score: "keen"}}})}})
	l.create(t, score.Creation{Key: "value_at_risk", Kind: score.AtRisk})
	l.create(t, score.Creation{Key: "retired", Kind: score.RFM})
	_, err := l.svc.Retire(l.ctx, l.call, "retired")
	require.NoError(t, err)
	keys := []string{"a_worth", "churn", "clv", "keen", "potential", "rfm", "value_at_risk"}

	job, err := l.svc.StartAll(l.ctx, l.call, score.Request{})
	require.NoError(t, err)
	_, err = l.svc.Start(l.ctx, l.call, "clv", score.Request{})
	require.ErrorIs(t, err, score.ErrRunInProgress)
	_, err = l.svc.StartAll(l.ctx, l.call, score.Request{})
	require.ErrorIs(t, err, score.ErrNothingToRun)
	require.Eventually(t, func() bool {
		got, err := l.jobs.Get(l.ctx, l.call.Tenant, job.ID)
		return err == nil && got.Status == jobs.Succeeded
	}, time.Minute, 5*time.Millisecond)
	got, err := l.jobs.Get(l.ctx, l.call.Tenant, job.ID)
	require.NoError(t, err)
	require.EqualValues(t, len(keys), got.Counts["runs"])
	require.Zero(t, got.Counts["failed"])
	set := map[string][]score.Scored{}
	for _, key := range keys {
		p, err := l.svc.Runs(l.ctx, l.call.Tenant, key, page.Request{Limit: 10})
		require.NoError(t, err)
		require.Len(t, p.Items, 1, key)
		r := p.Items[0]
		require.True(t, r.Current && r.Kept && r.Status == jobs.Succeeded && r.JobID == job.ID, key)
		set[key] = l.scores(t, key, r)
		require.NotEmpty(t, set[key], key)
	}
	for _, key := range []string{"clv", "churn", "potential", "rfm", "keen", "a_worth", "value_at_risk"} {
		if key == "value_at_risk" { // its own run has followed those of its parts
			continue
		}
		require.Equal(t, set[key], l.scores(t, key, l.run(t, key, score.Request{})), key)
	}
	_, err = l.svc.Get(l.ctx, l.call.Tenant, "retired")
	require.NoError(t, err)
}

// In a set a run that cannot be fails by itself.
func TestSetWithOneThatCannotBe(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.buy(t, []purchase{{"a", "2026-01-01", 100, ""}, {"b", "2026-01-02", 100, ""}})
	b.model(t, "clv", score.CLV, "2026-02-01", score.ParamsChange{})
	b.model(t, "rfm", score.RFM, "2026-02-01", score.ParamsChange{})
	job, err := b.svc.StartAll(b.ctx, b.call, score.Request{})
	require.NoError(t, err)
	var got jobs.Job
	require.Eventually(t, func() bool {
		got, err = b.jobs.Get(b.ctx, b.call.Tenant, job.ID)
		return err == nil && got.Status.Ended()
	}, time.Minute, 5*time.Millisecond)
	require.Equal(t, jobs.Succeeded, got.Status)
	require.EqualValues(t, 1, got.Counts["failed"])
	for key, want := range map[string]jobs.Status{"clv": jobs.Failed, "rfm": jobs.Succeeded} {
		p, err := b.svc.Runs(b.ctx, b.call.Tenant, key, page.Request{Limit: 1})
		require.NoError(t, err)
		require.Equal(t, want, p.Items[0].Status)
		if want == jobs.Failed {
			require.Equal(t, "too_few_repeat_buyers", p.Items[0].Failure.Code)
			require.NotEmpty(t, p.Items[0].Failure.Detail.Zh)
		} else {
			require.Nil(t, p.Items[0].Failure)
		}
	}
	require.Equal(t, 1, b.partitions(t))
}
