package score_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/score"
)

// customers who come in different rhythms, some of whom have stopped.
func rhythms(n int) []purchase {
	var rows []purchase
	for i := range n {
		for k := range 2 + i%5 {
			rows = append(rows, purchase{customer: fmt.Sprintf("c%d", i), day: day("2025-01-01").AddDate(0, 0, i%40+k*(7+3*(i%9))).Format("2006-01-02"),
				cents: int64(500 + 310*(i%17) + 45*k)})
		}
	}
	return rows
}

// settled waits until no job of the tenant is left to do, and answers the model's run in force.
func (b *bench) settled(t *testing.T, key string) score.Run {
	t.Helper()
	require.Eventually(t, func() bool {
		var busy bool
		err := b.db.QueryRow(b.ctx, `SELECT EXISTS (SELECT FROM jobs WHERE tenant_id = $1 AND status IN ('queued', 'running'))`,
			b.call.Tenant.ID).Scan(&busy)
		return err == nil && !busy
	}, time.Minute, 5*time.Millisecond)
	m, err := b.svc.Get(b.ctx, b.call.Tenant, key)
	require.NoError(t, err)
	require.NotNil(t, m.CurrentRun)
	r, err := b.svc.Run(b.ctx, b.call.Tenant, key, *m.CurrentRun)
	require.NoError(t, err)
	return r
}

// Rules that read another score follow when a run of that comes into force, and what is made of them follows these.
func TestRulesFollowTheScoresThatTheyRead(t *testing.T) {
	t.Parallel()
	l := live(t, 40)
	l.create(t, score.Creation{Key: "rfm", Kind: score.RFM})
	l.run(t, "rfm", score.Request{})
	l.create(t, score.Creation{Key: "high", Kind: score.Rules, Params: score.ParamsChange{
		Rules: patch.Set([]score.RuleDraft{{Name: "high", Points: 100, Condition: raw(t, `scores.rfm > 3`)}}), Groups: patch.Set([]score.Group{})}})
	l.run(t, "high", score.Request{})
	l.create(t, score.Creation{Key: "of_high", Kind: score.Composite, Params: score.ParamsChange{Parts: patch.Set([]score.PartDraft{
		{Part: score.Part{Score: "high", Min: new(0.0), Max: new(100.0)}}})}})
	l.run(t, "of_high", score.Request{})
	before := l.settled(t, "rfm").ID
	held := func() map[string]bool {
		all := map[string]bool{}
		for _, name := range l.names {
			all[name] = l.score(t, name, "rfm").Value > 3
			require.Equal(t, all[name], l.score(t, name, "high").Value == 100, name)
			require.Equal(t, all[name], l.score(t, name, "of_high").Value == 100, name)
		}
		return all
	}
	first := held()
	_, err := l.svc.Update(l.ctx, l.call, "rfm", nil, score.Change{Params: score.ParamsChange{Weights: patch.Set(score.Weights{M: 1})}})
	require.NoError(t, err)
	l.run(t, "rfm", score.Request{})
	l.settled(t, "of_high")
	require.NotEqual(t, first, held(), "some stand elsewhere by spend alone")
	_, err = l.svc.Activate(l.ctx, l.call, "rfm", before)
	require.NoError(t, err)
	l.settled(t, "of_high")
	require.Equal(t, first, held())
}

func TestValueAtRiskIsTheProductOfItsParts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.buy(t, rhythms(60))
	_, err := b.svc.Create(b.ctx, b.call, score.Creation{Key: "value_at_risk", Kind: score.AtRisk})
	require.Equal(t, "required", fault.Of(err).Fields[0].Code, "there is nothing to be made of")
	b.model(t, "clv", score.CLV, "2025-06-30", score.ParamsChange{})
	b.model(t, "churn", score.Churn, "2025-06-30", score.ParamsChange{})
	_, err = b.svc.Create(b.ctx, b.call, score.Creation{Key: "x", Kind: score.AtRisk, Params: score.ParamsChange{CLVModel: patch.Set("churn")}})
	require.Equal(t, "/params/clv_model", fault.Of(err).Fields[0].Pointer)
	m := b.model(t, "value_at_risk", score.AtRisk, "2025-06-30", score.ParamsChange{})
	require.Equal(t, []string{"clv", "churn"}, []string{m.Params.Parts[0].Score, m.Params.Parts[1].Score})
	require.ErrorIs(t, b.svc.Delete(b.ctx, b.call, "clv", nil), score.ErrInUse)
	b.run(t, "clv", score.Request{})
	_, err = b.svc.Start(b.ctx, b.call, "value_at_risk", score.Request{})
	require.ErrorIs(t, err, score.ErrNoParts)
	b.run(t, "churn", score.Request{})

	// product checks every score of the run in force against the scores of the parts in force.
	product := func(r score.Run) {
		t.Helper()
		require.Equal(t, jobs.Succeeded, r.Status)
		all := b.scores(t, "value_at_risk", r)
		require.Len(t, all, 60)
		require.Positive(t, all[0].Value)
		banded(t, all, r.Calibration.Quantiles["value"], 60)
		for _, s := range all {
			scores, err := b.svc.OfCustomer(b.ctx, b.call.Tenant, s.CustomerID)
			require.NoError(t, err)
			by := map[string]score.Score{}
			for _, x := range scores {
				by[x.Key] = x
			}
			got := by["value_at_risk"]
			require.Equal(t, "USD", got.Unit)
			require.Equal(t, map[string]float64{"clv": by["clv"].Value, "churn": by["churn"].Value}, got.Inputs)
			clv, churn := *got.Explanation.Factors[0].Value, *got.Explanation.Factors[1].Value
			require.Equal(t, math.Round(clv*churn*100)/100, got.Value) //nolint:testifylint // to the last digit
			require.Equal(t, got.Value, s.Value)                       //nolint:testifylint // to the last digit
			require.NotEmpty(t, got.Explanation.Text.En)
		}
	}
	first := b.settled(t, "value_at_risk")
	product(first)

	// Parts that change at once take the product with them, made of the last of both.
	for _, key := range []string{"clv", "churn"} {
		_, err := b.svc.Start(b.ctx, b.call, key, score.Request{})
		require.NoError(t, err)
	}
	second := b.settled(t, "value_at_risk")
	require.NotEqual(t, first.ID, second.ID)
	product(second)

	// Who is deleted leaves it with its next run.
	_, err = b.db.Exec(b.ctx, `UPDATE customers SET deleted_at = now() WHERE tenant_id = $1 AND id = $2`, b.call.Tenant.ID, b.id("c1"))
	require.NoError(t, err)
	require.EqualValues(t, 59, b.run(t, "value_at_risk", score.Request{}).Scored)
}

func TestACompositeFollowsTheRunsOfItsParts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.buy(t, rhythms(60))
	b.model(t, "clv", score.CLV, "2025-06-30", score.ParamsChange{})
	b.run(t, "clv", score.Request{})
	b.model(t, "worth", score.Composite, "2025-06-30", score.ParamsChange{Parts: patch.Set([]score.PartDraft{{Part: score.Part{Score: "clv"}}})})
	first := b.run(t, "worth", score.Request{})
	followed := func() score.Run {
		r := b.settled(t, "worth")
		all := b.scores(t, "clv", b.settled(t, "clv"))
		require.Len(t, all, 60)
		for _, s := range all {
			got, err := b.svc.OneOfCustomer(b.ctx, b.call.Tenant, s.CustomerID, "worth")
			require.NoError(t, err)
			require.Equal(t, map[string]float64{"clv": s.Value}, got.Inputs)
		}
		return r
	}
	followed()
	_, err := b.svc.Update(b.ctx, b.call, "clv", nil, score.Change{Params: score.ParamsChange{HorizonMonths: patch.Set(2)}})
	require.NoError(t, err)
	b.run(t, "clv", score.Request{})
	second := followed()
	require.NotEqual(t, first.ID, second.ID)
	require.Equal(t, second.ID, *second.CalibratedBy, "the part has another scale")
	b.run(t, "clv", score.Request{Keep: true})
	third := followed()
	require.NotEqual(t, second.ID, third.ID)
	require.Equal(t, second.ID, *third.CalibratedBy)
}

func TestTheKeyOfValueAtRiskIsItsOwn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.svc.Create(b.ctx, b.call, score.Creation{Key: "value_at_risk", Kind: score.CLV})
	require.Equal(t, "/key", fault.Of(err).Fields[0].Pointer)
	_, err = b.svc.Create(b.ctx, b.call, score.Creation{Key: "x", Kind: score.AtRisk, Params: score.ParamsChange{Family: patch.Set("bg_nbd")}})
	require.Equal(t, "not_of_kind", fault.Of(err).Fields[0].Code)
}
