package segment_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/score"
	"github.com/kezi-io/kezi/internal/segment"
	"github.com/kezi-io/kezi/internal/tier"
	"github.com/kezi-io/kezi/internal/transaction"
)

// model makes a score model whose scores live.
func (b *bench) model(t *testing.T, c score.Creation) {
	t.Helper()
	_, err := b.scores.Create(b.ctx, b.call, c)
	require.NoError(t, err)
}

// night scores everybody; whether the rules have followed is not waited for.
func (b *bench) night(t *testing.T, key string, keep bool) {
	t.Helper()
	job, err := b.scores.Start(b.ctx, b.call, key, score.Request{Keep: keep})
	require.NoError(t, err)
	b.wait(t, &job)
}

// looked is at how many customers the newest evaluation looked that followed a run of rfm.
func (b *bench) looked(t *testing.T) int64 {
	t.Helper()
	var counts map[string]int64
	var raw json.RawMessage
	err := b.db.QueryRow(b.ctx, `SELECT counts FROM jobs WHERE tenant_id = $1 AND kind = 'rule_evaluation' AND subject_type = 'fields' AND subject_id = 'scores.rfm' AND status = $2
		ORDER BY created_at DESC, id DESC LIMIT 1`, b.call.Tenant.ID, jobs.Succeeded).Scan(&raw)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &counts))
	return counts["customers"]
}

// Rules by bands and labels follow a run by looking at those whom it moved, and are right about everybody.
func TestSegmentsFollowRunsOfScores(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(9, 4))
	b := setup(t)
	tags := b.twoTags(t)
	var ids []uuid.UUID
	for range 40 {
		id := b.customer(t, customer.Registration{City: cities[rng.IntN(len(cities))]})
		for range rng.IntN(4) {
			b.buy(t, id, int64(1+rng.IntN(800)), rng.IntN(300))
		}
		ids = append(ids, id)
	}
	b.model(t, score.Creation{Key: "rfm", Kind: score.RFM})
	b.model(t, score.Creation{Key: "worth", Kind: score.Composite,
		Params: score.ParamsChange{Parts: patch.Set([]score.PartDraft{{Part: score.Part{Score: "rfm"}}})}})
	b.night(t, "rfm", false)
	b.night(t, "worth", false)
	for i, text := range []string{`scores.rfm.band >= 4`, `scores.rfm.label IN ("champions", "loyal")`, `(scores.rfm.band <= 2 AND city = "上海") OR tags:"vip"`,
		`scores.worth.band IN (1, 3, 5) AND scores.rfm.label != "champions"`, `segments:"s0" AND scores.worth.band > 3`} {
		b.segment(t, fmt.Sprintf("s%d", i), text)
	}
	_, err := b.tiers.Create(b.ctx, b.call, tier.Draft{Key: "value", Preset: tier.Value, Score: "rfm"})
	require.NoError(t, err)
	b.idle(t)
	b.verify(t)
	few := 0
	for i := range 20 {
		for range rng.IntN(4) {
			b.pass(time.Second)
			require.NoError(t, b.write(rng, ids, tags))
		}
		switch {
		case i%9 == 8: // one of these evaluates a rule while others follow a run
			_, job, err := b.svc.Update(b.ctx, b.call, "s2", nil, segment.Change{Condition: node(t, fmt.Sprintf(`scores.rfm.band = %d`, 1+rng.IntN(5)))})
			require.NoError(t, err)
			b.night(t, "rfm", true)
			b.wait(t, job)
		case i%7 == 6: // back to what was in force before, which its own writes have moved
			p, err := b.scores.Runs(b.ctx, b.call.Tenant, "rfm", page.Request{Limit: 3})
			require.NoError(t, err)
			_, err = b.scores.Activate(b.ctx, b.call, "rfm", p.Items[1+rng.IntN(len(p.Items)-1)].ID)
			require.NoError(t, err)
		case i%5 == 4: // two runs in a row
			b.night(t, "rfm", true)
			b.pass(time.Second)
			require.NoError(t, b.write(rng, ids, tags))
		default:
			b.pass(time.Duration(1+rng.IntN(20)) * 24 * time.Hour)
			require.NoError(t, b.engine.NextDay(postgres.ForAllTenants(b.ctx)))
		}
		b.pass(time.Second)
		b.night(t, "rfm", rng.IntN(2) == 0)
		b.idle(t)
		b.verify(t)
		b.verifyValueTiers(t)
		if b.looked(t) < int64(len(ids)) {
			few++
		}
	}
	require.Positive(t, few, "another evaluation may be under way, but not always")
	b.replay(t)

	// A rule by the value itself is put to everybody.
	b.segment(t, "s9", `scores.rfm > 2.5`)
	for range 2 {
		b.pass(time.Second)
		b.night(t, "rfm", true)
		b.idle(t)
		b.verify(t)
		require.EqualValues(t, len(ids), b.looked(t))
	}
}

// verifyValueTiers compares everybody's value tier with the band in force.
func (b *bench) verifyValueTiers(t *testing.T) {
	t.Helper()
	var wrong []string
	err := b.db.QueryRow(b.ctx, `SELECT coalesce(array_agg(c.id || ' ' || coalesce(r.key, '') || ' ' || coalesce(s.band, 0)), '{}') FROM customers c
		JOIN score_models m ON m.tenant_id = c.tenant_id AND m.key = 'rfm'
		LEFT JOIN scores s ON s.tenant_id = c.tenant_id AND s.run_no = m.current_run AND s.customer_id = c.id
		LEFT JOIN tier_placements p ON p.tenant_id = c.tenant_id AND p.customer_id = c.id
		LEFT JOIN tiers r ON r.tenant_id = p.tenant_id AND r.scheme_id = p.scheme_id AND r.id = p.tier_id
		WHERE c.tenant_id = $1 AND c.deleted_at IS NULL AND c.merged_into IS NULL
			AND r.key IS DISTINCT FROM CASE WHEN s.band = 5 THEN 'high' WHEN s.band >= 3 THEN 'potential' ELSE 'ordinary' END`,
		b.call.Tenant.ID).Scan(&wrong)
	require.NoError(t, err)
	require.Empty(t, wrong)
}

// runs are by which runs the rules are known to be decided for everybody.
func (b *bench) runs(t *testing.T) map[string]any {
	t.Helper()
	var runs map[string]any
	require.NoError(t, b.db.QueryRow(b.ctx, `SELECT runs FROM rule_states WHERE tenant_id = $1`, b.call.Tenant.ID).Scan(&runs))
	return runs
}

// settle waits until the rules have followed, and answers at how many customers they looked.
func (b *bench) settle(t *testing.T) int64 {
	t.Helper()
	b.idle(t)
	b.verify(t)
	b.pass(time.Second)
	return b.looked(t)
}

// Whom writes have scored anew since a run was loaded is looked at when another run comes into force, or that one again.
func TestSegmentsFollowRunsThatWritesHaveMoved(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.customer(t, customer.Registration{City: "北京"})
	for _, city := range []string{"北京", "北京", "上海", "上海"} {
		b.customer(t, customer.Registration{City: city})
	}
	condition, err := json.Marshal(node(t, `city = "上海"`))
	require.NoError(t, err)
	b.model(t, score.Creation{Key: "rfm", Kind: score.Rules, Params: score.ParamsChange{
		Rules: patch.Set([]score.RuleDraft{{Name: "here", Points: 100, Condition: condition}})}})
	b.night(t, "rfm", false)
	b.segment(t, "high", `scores.rfm.band >= 3`)
	require.Empty(t, b.runs(t), "of a new rule nobody knows")
	b.night(t, "rfm", true)
	require.EqualValues(t, 5, b.settle(t))
	b.night(t, "rfm", true)
	require.Zero(t, b.settle(t), "the run has moved nobody")
	p, err := b.scores.Runs(b.ctx, b.call.Tenant, "rfm", page.Request{Limit: 2})
	require.NoError(t, err)
	activate := func(r score.Run) {
		_, err := b.scores.Activate(b.ctx, b.call, "rfm", r.ID)
		require.NoError(t, err)
	}
	b.move(t, ada, "上海")
	require.Equal(t, []string{"high"}, b.in(t, ada))
	activate(p.Items[1])
	require.EqualValues(t, 1, b.settle(t))
	require.Empty(t, b.in(t, ada), "that run knew her in Beijing")
	activate(p.Items[0])
	require.EqualValues(t, 1, b.settle(t))
	require.Equal(t, []string{"high"}, b.in(t, ada))
	b.segment(t, "low", `scores.rfm.band < 3`)
	b.night(t, "rfm", true)
	require.EqualValues(t, 1, b.settle(t), "the new rule has been decided by the run before, and ada moved since")
}

// A rule that is made while others follow a run is not taken for one that has followed it.
func TestARuleThatIsMadeWhileOthersFollowARun(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var ids []uuid.UUID
	for i := range 4 {
		ids = append(ids, b.customer(t, customer.Registration{}))
		b.buy(t, ids[i], 100, 10*i)
	}
	b.model(t, score.Creation{Key: "rfm", Kind: score.RFM})
	b.night(t, "rfm", false)
	b.segment(t, "some", `scores.rfm.band >= 2`)
	b.night(t, "rfm", false)
	b.settle(t)
	require.Len(t, b.runs(t), 1)
	for _, id := range ids { // everybody is to be looked at
		b.pass(time.Second)
		b.buy(t, id, 10, 0)
	}
	release := b.hold(t, ids...)
	b.night(t, "rfm", true)
	b.held(t)
	require.Empty(t, b.runs(t), "what follows a run may not come to its end")
	_, _, err := b.svc.Create(b.ctx, b.call, segment.Draft{Key: "other", Basis: segment.Behavioural, Condition: node(t, `scores.rfm.band < 2`)})
	require.NoError(t, err)
	release()
	b.settle(t)
	require.Empty(t, b.runs(t))
	b.night(t, "rfm", true)
	require.EqualValues(t, len(ids), b.settle(t))
	require.Len(t, b.runs(t), 1)

	// Nor is one whose own sweep was cancelled.
	release = b.hold(t, ids...)
	_, job, err := b.svc.Create(b.ctx, b.call, segment.Draft{Key: "third", Basis: segment.Behavioural, Condition: node(t, `scores.rfm.band > 1`)})
	require.NoError(t, err)
	b.held(t)
	_, err = b.jobs.Cancel(b.ctx, b.call.Tenant, job.ID)
	require.NoError(t, err)
	release()
	b.idle(t)
	b.pass(time.Second)
	b.night(t, "rfm", true)
	require.EqualValues(t, len(ids), b.settle(t))
	b.night(t, "rfm", true)
	require.Zero(t, b.settle(t))
}

// What a day decides is put to everybody by what follows the next run, if the day's own evaluation was cancelled.
func TestARunIsFollowedByEverybodyAfterACancelledDay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var ids []uuid.UUID
	for range 3 {
		ids = append(ids, b.customer(t, customer.Registration{}))
		b.buy(t, ids[len(ids)-1], 100, 9)
	}
	b.model(t, score.Creation{Key: "rfm", Kind: score.RFM})
	b.night(t, "rfm", false)
	b.segment(t, "lately", `scores.rfm.band >= 1 AND count(transactions, "10d") >= 1`)
	for range 2 {
		b.pass(time.Second)
		b.night(t, "rfm", true)
		b.settle(t)
	}
	require.Equal(t, []string{"lately"}, b.in(t, ids[0]))
	b.pass(5 * 24 * time.Hour)
	release := b.hold(t, ids...)
	require.NoError(t, b.engine.NextDay(postgres.ForAllTenants(b.ctx)))
	b.held(t)
	var day uuid.UUID
	require.NoError(t, b.db.QueryRow(b.ctx, `SELECT id FROM jobs WHERE tenant_id = $1 AND subject_type = 'day' AND status = $2`, b.call.Tenant.ID, jobs.Running).Scan(&day))
	_, err := b.jobs.Cancel(b.ctx, b.call.Tenant, day)
	require.NoError(t, err)
	release()
	b.idle(t)
	require.Equal(t, []string{"lately"}, b.in(t, ids[0]), "the day has not come to its end")
	b.pass(time.Second)
	b.night(t, "rfm", true)
	require.EqualValues(t, len(ids), b.settle(t))
	require.Empty(t, b.in(t, ids[0]))
}

// Whom a write took the score from is looked at when a run comes into force in which there still is one.
func TestSegmentsFollowRunsThatAWriteTookAScoreFrom(t *testing.T) {
	t.Parallel()
	b := setup(t)
	at := b.now().AddDate(0, 0, -1)
	x := b.customer(t, customer.Registration{})
	tx, err := b.transactions.Create(b.ctx, b.call, transaction.Creation{CustomerID: &x, Moment: transaction.Moment{At: &at},
		Amount: &money.Money{Minor: 10000, Currency: b.call.Tenant.Currency}})
	require.NoError(t, err)
	for range 12 {
		id := b.customer(t, customer.Registration{})
		b.buy(t, id, 100, 1)
	}
	b.model(t, score.Creation{Key: "rfm", Kind: score.RFM})
	b.night(t, "rfm", false)
	b.segment(t, "some", `scores.rfm.band >= 1`)
	for range 3 {
		b.pass(time.Second)
		b.night(t, "rfm", true)
		b.settle(t)
	}
	require.Equal(t, []string{"some"}, b.in(t, x))
	_, err = b.transactions.Update(b.ctx, b.call, tx.ID, nil, transaction.Change{Status: new(transaction.Refunded)})
	require.NoError(t, err)
	require.Empty(t, b.in(t, x))
	b.pass(time.Second)
	p, err := b.scores.Runs(b.ctx, b.call.Tenant, "rfm", page.Request{Limit: 3})
	require.NoError(t, err)
	_, err = b.scores.Activate(b.ctx, b.call, "rfm", p.Items[1].ID)
	require.NoError(t, err)
	require.EqualValues(t, 1, b.settle(t))
	require.Equal(t, []string{"some"}, b.in(t, x), "in that run the purchase counts")
}
