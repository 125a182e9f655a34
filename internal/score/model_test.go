package score_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/rule"
	"github.com/kezi-io/kezi/internal/score"
	"github.com/kezi-io/kezi/internal/tenant"
	"github.com/kezi-io/kezi/internal/tier"
)

// pointers of the places that err names.
func pointers(err error) []string {
	var at []string
	if f := fault.Of(err); f != nil {
		for _, field := range f.Fields {
			at = append(at, field.Pointer)
		}
	}
	return at
}

func TestModels(t *testing.T) {
	t.Parallel()
	t.Run("DefaultsAreOfTheKind", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		for kind, want := range map[score.Kind]score.Params{
			score.RFM:   {Weights: score.Weights{R: 1, F: 1, M: 1}, Bands: 5, RecalibrateDays: 7},
			score.CLV:   {Family: "mbg_nbd", HorizonMonths: 12, DiscountRate: 0.01, RecalibrateDays: 7},
			score.Churn: {Family: "bg_nbd", HorizonDays: 90, RecalibrateDays: 7},
		} {
			made, err := b.svc.Create(b.ctx, b.call, score.Creation{Key: string(kind), Kind: kind})
			require.NoError(t, err)
			require.Equal(t, want, made.Params)
			require.Equal(t, string(kind), made.Name)
			got, err := b.svc.Get(b.ctx, b.call.Tenant, string(kind))
			require.NoError(t, err)
			require.Equal(t, made, got)
		}
		all, err := b.svc.List(b.ctx, b.call.Tenant)
		require.NoError(t, err)
		require.Len(t, all, 3)
		require.Equal(t, "churn", all[0].Key)
	})
	t.Run("WhatIsWrongIsNamed", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		_, err := b.svc.Create(b.ctx, b.call, score.Creation{Key: "x", Name: " ", Kind: score.Churn,
			Params: score.ParamsChange{WindowDays: patch.Set(3), DiscountRate: patch.Set(0.1)}, Clock: score.ClockSetting{Fixed: true}})
		require.ErrorIs(t, err, fault.ErrInvalid)
		require.ElementsMatch(t, []string{"/params/window_days", "/params/discount_rate_monthly", "/clock/day", "/name"}, pointers(err))
		_, err = b.svc.Create(b.ctx, b.call, score.Creation{Key: "x", Kind: score.RFM,
			Params: score.ParamsChange{Weights: patch.Set(score.Weights{})}, Clock: score.ClockSetting{Day: day("2026-01-01")}})
		require.ElementsMatch(t, []string{"/params/weights", "/clock/day"}, pointers(err))
		_, err = b.svc.Get(b.ctx, b.call.Tenant, "x")
		require.ErrorIs(t, err, score.ErrNotFound)
		require.Empty(t, b.events(t, "score_model"))
	})
	t.Run("OneOfManyGetsTheKey", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		made := atOnce(20, func() error {
			_, err := b.svc.Create(b.ctx, b.call, score.Creation{Key: "x", Kind: score.RFM})
			return err
		})
		require.Equal(t, 1, count(made, nil))
		require.Equal(t, 19, count(made, score.ErrKeyTaken))
		require.Equal(t, []string{"score_model.created"}, b.events(t, "score_model"))
	})
	t.Run("OnlyParametersRaiseTheRevision", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		m := b.model(t, "x", score.CLV, "2026-01-01", score.ParamsChange{HorizonMonths: patch.Set(6), DiscountRate: patch.Set(0.0)})
		name := "客户终身价值"
		change := func(expected patch.Expected, c score.Change) score.Model {
			m, err := b.svc.Update(b.ctx, b.call, "x", expected, c)
			require.NoError(t, err)
			return m
		}
		m = change(patch.Expected{m.Version}, score.Change{Name: &name})
		require.EqualValues(t, 2, m.Version)
		require.Equal(t, 1, m.Revision)
		m = change(nil, score.Change{Name: &name, Params: score.ParamsChange{HorizonMonths: patch.Set(6)}})
		require.EqualValues(t, 2, m.Version, "nothing changed")
		m = change(nil, score.Change{Params: score.ParamsChange{HorizonMonths: patch.Field[int]{Given: true}}})
		require.EqualValues(t, 3, m.Version)
		require.Equal(t, 2, m.Revision)
		require.Equal(t, score.Params{Family: "mbg_nbd", HorizonMonths: 12, RecalibrateDays: 7}, m.Params, "the rate of 0 is kept")
		m = change(nil, score.Change{Clock: &score.ClockSetting{}})
		require.Nil(t, m.Clock.Fixed)
		require.Equal(t, 2, m.Revision)
		_, err := b.svc.Update(b.ctx, b.call, "x", patch.Expected{1}, score.Change{Name: &name})
		require.ErrorIs(t, err, patch.ErrVersion)
		require.Equal(t, []string{"score_model.created", "score_model.updated", "score_model.updated", "score_model.updated"},
			b.events(t, "score_model"))
	})
	t.Run("DeletedWithEverything", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.buy(t, []purchase{{"a", "2026-01-01", 100, ""}})
		m := b.model(t, "x", score.RFM, "2026-01-02", score.ParamsChange{})
		r := b.run(t, "x", score.Request{})
		require.Equal(t, jobs.Succeeded, r.Status)
		require.Equal(t, 1, b.partitions(t))
		require.ErrorIs(t, b.svc.Delete(b.ctx, b.call, "x", patch.Expected{m.Version}), patch.ErrVersion, "the run has raised it")
		require.NoError(t, b.svc.Delete(b.ctx, b.call, "x", patch.Expected{m.Version + 1}))
		require.Zero(t, b.partitions(t))
		scores, err := b.svc.OfCustomer(b.ctx, b.call.Tenant, b.id("a"))
		require.NoError(t, err)
		require.Empty(t, scores)
		_, err = b.svc.Run(b.ctx, b.call.Tenant, "x", r.ID)
		require.ErrorIs(t, err, score.ErrRunNotFound)
		require.ErrorIs(t, b.svc.Delete(b.ctx, b.call, "x", nil), score.ErrNotFound)
	})
	t.Run("NotDeletedWhileATierReadsIt", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.model(t, "x", score.RFM, "2026-01-02", score.ParamsChange{})
		b.model(t, "x2", score.RFM, "2026-01-02", score.ParamsChange{})
		_, err := b.db.Exec(b.ctx, `WITH s AS (INSERT INTO tier_schemes (tenant_id, id, version, key, name, created_at, updated_at)
				VALUES ($1, gen_random_uuid(), 1, 'value', 'Value', now(), now()) RETURNING id)
			INSERT INTO tiers (tenant_id, scheme_id, id, rank, key, name, condition)
			SELECT $1, id, gen_random_uuid(), 1, 'high', 'High',
				'{"or": [{"field": "spend_total", "op": "gte", "value": "5"}, {"field": "scores.x.band", "op": "gte", "value": 4}]}' FROM s`,
			b.call.Tenant.ID)
		require.NoError(t, err)
		err = b.svc.Delete(b.ctx, b.call, "x", nil)
		require.ErrorIs(t, err, score.ErrInUse)
		require.Equal(t, []string{"tier scheme value"}, fault.Of(err).Fields[0].Accepted)
		require.NoError(t, b.svc.Delete(b.ctx, b.call, "x2", nil), "another key that begins alike")
	})
	t.Run("AnotherTenantHasItsOwn", func(t *testing.T) {
		t.Parallel()
		b, other := setup(t), setup(t)
		b.model(t, "x", score.RFM, "2026-01-02", score.ParamsChange{})
		_, err := other.svc.Get(other.ctx, other.call.Tenant, "x")
		require.ErrorIs(t, err, score.ErrNotFound)
		other.model(t, "x", score.CLV, "2026-01-02", score.ParamsChange{})
		require.NoError(t, other.svc.Delete(other.ctx, other.call, "x", nil))
		_, err = b.svc.Get(b.ctx, b.call.Tenant, "x")
		require.NoError(t, err)
	})
}

// atOnce calls f n times at once.
func atOnce(n int, f func() error) []error {
	results := make(chan error, n)
	begin := make(chan struct{})
	for range n {
		go func() {
			<-begin
			results <- f()
		}()
	}
	close(begin)
	all := make([]error, n)
	for i := range all {
		all[i] = <-results
	}
	return all
}

// count is how many of all are want; nil counts successes.
func count(all []error, want error) int {
	n := 0
	for _, err := range all {
		if (want == nil && err == nil) || (want != nil && errors.Is(err, want)) {
			n++
		}
	}
	return n
}

// While a scheme that reads a model is being made, the model is not deleted below it: the delete waits, and then finds
// the reader.
func TestDeleteWaitsForATierThatIsBeingMade(t *testing.T) {
	t.Parallel()
	b := on(t, postgrestest.Fresh(t)) // alone, so that nobody else waits
	b.model(t, "clv", score.CLV, "1997-09-30", score.ParamsChange{})
	tiers := tier.NewService(b.db, b.jobs, rule.NewEngine(b.db, b.jobs, tenant.NewService(b.db, now), now), now)
	deleted := make(chan error, 1)
	require.NoError(t, b.db.RequestTx(b.ctx, func(ctx context.Context, _ postgres.Tx) (bool, error) {
		if _, err := tiers.Create(ctx, b.call, tier.Draft{Key: "value", Preset: tier.Value}); err != nil {
			return false, err
		}
		go func() { deleted <- b.svc.Delete(b.ctx, b.call, "clv", nil) }()
		require.Eventually(t, func() bool {
			var waiting bool
			err := b.db.Pool().QueryRow(b.ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity
				WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%score_models%FOR UPDATE%')`).Scan(&waiting)
			return err == nil && waiting
		}, 20*time.Second, 5*time.Millisecond)
		return true, nil
	}))
	require.ErrorIs(t, <-deleted, score.ErrInUse)
}
