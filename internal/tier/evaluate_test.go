package tier_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/tenant"
	"github.com/kezi-io/kezi/internal/tier"
)

func TestEvaluate(t *testing.T) {
	t.Parallel()
	// S2-10, S3-41
	t.Run("PlacesMovesAndKeeps", func(t *testing.T) {
		t.Parallel()
		b := working(t)
		_, err := b.svc.Create(b.ctx, b.call, spending())
		require.NoError(t, err)
		rich, middling, poor, gone := b.customer(t, 5000), b.customer(t, 4999), b.customer(t, 0), b.customer(t, 9999)
		require.NoError(t, b.customers.Delete(b.ctx, b.call, gone, nil))
		j := b.evaluate(t, "spending")
		require.Equal(t, jobs.Succeeded, j.Status, j.ErrorDetail)
		require.Equal(t, map[string]int64{"placed": 3, "moved": 0, "unchanged": 0}, j.Counts)
		require.Equal(t, "tier_scheme", j.SubjectType)
		require.Equal(t, "spending", j.SubjectID)
		require.Equal(t, []string{"gold", "silver", "basic"}, []string{b.tierOf(t, rich), b.tierOf(t, middling), b.tierOf(t, poor)})
		scheme, err := b.svc.Get(b.ctx, b.call.Tenant, "spending")
		require.NoError(t, err)
		require.Equal(t, b.now(), *scheme.EvaluatedAt)
		require.Equal(t, int64(2), scheme.Version)

		first := b.now()
		b.pass(time.Hour)
		b.spend(t, poor, 1000)
		_, err = b.customers.Undelete(b.ctx, b.call, gone)
		require.NoError(t, err)
		j = b.evaluate(t, "spending")
		require.Equal(t, map[string]int64{"placed": 1, "moved": 1, "unchanged": 2}, j.Counts)
		found, err := tier.Of(b.ctx, b.db, b.call.Tenant.ID, []uuid.UUID{rich, poor, uuid.Nil})
		require.NoError(t, err)
		require.Equal(t, map[uuid.UUID][]tier.Placement{
			rich:     {{Scheme: "spending", Key: "gold", Name: "金", PlacedAt: first}},
			poor:     {{Scheme: "spending", Key: "silver", Name: "银", PlacedAt: b.now()}},
			uuid.Nil: {},
		}, found, "who stays keeps since when")
		items, err := event.Items(b.ctx, b.db, b.call.Tenant.ID, j.ChangeSet, page.Request{Limit: 10})
		require.NoError(t, err)
		require.ElementsMatch(t, []uuid.UUID{poor, gone}, items.Items)
		require.Equal(t, 2, b.count(t, `SELECT count(*) FROM events WHERE tenant_id = $1 AND type = 'tier_scheme.evaluated'`))
	})
	t.Run("OneAtATime", func(t *testing.T) {
		t.Parallel()
		b := setup(t) // nobody works: the first one stays queued
		_, err := b.svc.Create(b.ctx, b.call, spending())
		require.NoError(t, err)
		errs := together(20, func(int) error { _, err := b.svc.Evaluate(b.ctx, b.call, "spending"); return err })
		require.Equal(t, 1, successes(errs))
		for _, err := range errs {
			if err != nil {
				require.ErrorIs(t, err, tier.ErrEvaluating)
			}
		}
		require.Equal(t, 1, b.count(t, `SELECT count(*) FROM jobs WHERE tenant_id = $1`))
		j, err := jobs.Of(b.ctx, b.db, b.call.Tenant, "tier_scheme", "spending")
		require.NoError(t, err)
		_, err = b.work.Cancel(b.ctx, b.call.Tenant, j.ID)
		require.NoError(t, err)
		_, err = b.svc.Evaluate(b.ctx, b.call, "spending")
		require.NoError(t, err)
	})
	t.Run("BrokenConditionIsRefused", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		_, err := b.db.Exec(b.ctx, `INSERT INTO score_models (tenant_id, id, key, version, revision, name, kind, params, created_at, updated_at)
			VALUES ($1, gen_random_uuid(), 'clv', 1, 1, 'clv', 'clv', '{}', now(), now())`, b.call.Tenant.ID)
		require.NoError(t, err)
		_, err = b.svc.Create(b.ctx, b.call, tier.Draft{Key: "value", Preset: tier.Value})
		require.NoError(t, err)
		_, err = b.db.Exec(b.ctx, `DELETE FROM score_models WHERE tenant_id = $1`, b.call.Tenant.ID)
		require.NoError(t, err)
		_, err = b.svc.Evaluate(b.ctx, b.call, "value")
		require.ErrorContains(t, err, "filter_unknown_field")
		require.Zero(t, b.count(t, `SELECT count(*) FROM jobs WHERE tenant_id = $1`))
	})
}

// many makes so many customers with one yuan spent each, by a statement, and answers the one with the highest id.
func (b bench) many(t *testing.T, n int) (last uuid.UUID) {
	t.Helper()
	_, err := b.db.Exec(b.ctx, `INSERT INTO customers (tenant_id, id, version, kind, name, stage, created_at, updated_at)
		SELECT $1, gen_random_uuid(), 1, 'person', 'x', 'lead', now(), now() FROM generate_series(1, $2)`, b.call.Tenant.ID, n)
	require.NoError(t, err)
	_, err = b.db.Exec(b.ctx, `INSERT INTO customer_metrics (tenant_id, customer_id, spend_total)
		SELECT tenant_id, id, 100 FROM customers WHERE tenant_id = $1`, b.call.Tenant.ID)
	require.NoError(t, err)
	require.NoError(t, b.db.QueryRow(b.ctx, `SELECT id FROM customers WHERE tenant_id = $1 ORDER BY id DESC LIMIT 1`, b.call.Tenant.ID).Scan(&last))
	return last
}

// blocked runs do while the last customer is locked and the evaluation waits for it in its second chunk.
func (b bench) blocked(t *testing.T, last uuid.UUID, do func(j jobs.Job)) {
	t.Helper()
	err := b.db.InTx(b.ctx, func(tx postgres.Tx) error {
		if _, err := tx.Exec(b.ctx, `SELECT FROM customers WHERE tenant_id = $1 AND id = $2 FOR UPDATE`, b.call.Tenant.ID, last); err != nil {
			return err
		}
		j, err := b.svc.Evaluate(b.ctx, b.call, "spending")
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			j, err = b.work.Get(b.ctx, b.call.Tenant, j.ID)
			return err == nil && j.Progress > 0.5
		}, time.Minute, 20*time.Millisecond)
		do(j)
		return nil
	})
	require.NoError(t, err)
}

const chunks = 10_050 // two of them

func TestCancelledEvaluation(t *testing.T) {
	t.Parallel()
	b := working(t)
	_, err := b.svc.Create(b.ctx, b.call, spending())
	require.NoError(t, err)
	last := b.many(t, chunks)
	var id uuid.UUID
	b.blocked(t, last, func(j jobs.Job) {
		id = j.ID
		_, err := b.work.Cancel(b.ctx, b.call.Tenant, id)
		require.NoError(t, err)
	})
	require.Equal(t, jobs.Cancelled, b.ended(t, id).Status)
	require.Equal(t, 10_000, b.count(t, `SELECT count(*) FROM tier_placements WHERE tenant_id = $1`), "what a chunk has done stays")
	d, err := b.svc.Distribution(b.ctx, b.call.Tenant, "spending")
	require.NoError(t, err)
	require.Equal(t, int64(50), d.Unplaced)
	require.Nil(t, d.Scheme.EvaluatedAt)

	b.call.ChangeSet = uuid.Must(uuid.NewV7())
	j := b.evaluate(t, "spending")
	require.Equal(t, jobs.Succeeded, j.Status)
	require.Equal(t, map[string]int64{"placed": 50, "moved": 0, "unchanged": 10_000}, j.Counts)
	require.Equal(t, chunks, b.count(t, `SELECT count(*) FROM tier_placements WHERE tenant_id = $1`))
}

func TestEvaluationGoesOnAfterItsWorkerDied(t *testing.T) {
	t.Parallel()
	b := setupIn(t, postgrestest.Fresh(t))
	ctx, stop := context.WithCancel(b.ctx)
	ended := make(chan error, 1)
	go func() { ended <- b.work.Work(ctx) }()
	_, err := b.svc.Create(b.ctx, b.call, spending())
	require.NoError(t, err)
	last := b.many(t, chunks)
	var id uuid.UUID
	b.blocked(t, last, func(j jobs.Job) {
		id = j.ID
		stop()
		<-ended //nolint:errcheck // it was told to stop
	})
	require.Equal(t, 10_000, b.count(t, `SELECT count(*) FROM tier_placements WHERE tenant_id = $1`))
	b.startWork(t)
	j := b.ended(t, id)
	require.Equal(t, jobs.Succeeded, j.Status, j.ErrorDetail)
	require.Equal(t, map[string]int64{"placed": chunks, "moved": 0, "unchanged": 0}, j.Counts, "nobody counts twice")
	require.Equal(t, chunks, b.count(t, `SELECT count(*) FROM change_set_items WHERE tenant_id = $1 AND change_set_id = $2`, j.ChangeSet))
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM events WHERE tenant_id = $1 AND type = 'tier_scheme.evaluated'`))
}

func TestEvaluationStartsOverWithNewTiers(t *testing.T) {
	t.Parallel()
	b := working(t)
	_, err := b.svc.Create(b.ctx, b.call, spending())
	require.NoError(t, err)
	last := b.many(t, chunks)
	updated := make(chan error, 1)
	var id uuid.UUID
	b.blocked(t, last, func(j jobs.Job) {
		id = j.ID
		// It waits for the chunk, which waits for the customer.
		go func() {
			tiers := spending().Tiers
			tiers[1].Condition = leaf("spend_total", "gte", "1")
			_, err := b.svc.Update(b.ctx, b.call, "spending", nil, tier.Change{Tiers: tiers})
			updated <- err
		}()
		require.Eventually(t, func() bool {
			return b.count(t, `SELECT count(*) FROM pg_locks, tenants t WHERE NOT granted AND t.id = $1`) >= 2
		}, time.Minute, 20*time.Millisecond)
	})
	require.NoError(t, <-updated)
	j := b.ended(t, id)
	require.Equal(t, jobs.Succeeded, j.Status, j.ErrorDetail)
	d, err := b.svc.Distribution(b.ctx, b.call.Tenant, "spending")
	require.NoError(t, err)
	want := []int64{0, chunks, 0}
	if d.Customers[2] != 0 { // the change came after the last chunk: it waits for the next evaluation
		want = []int64{0, 0, chunks}
	}
	require.Equal(t, want, d.Customers, "nobody was judged by other rules than the rest")
}

func TestDelete(t *testing.T) {
	t.Parallel()
	b := working(t)
	_, err := b.svc.Create(b.ctx, b.call, spending())
	require.NoError(t, err)
	b.many(t, chunks)
	require.Equal(t, jobs.Succeeded, b.evaluate(t, "spending").Status)
	var any uuid.UUID
	require.NoError(t, b.db.QueryRow(b.ctx, `SELECT customer_id FROM tier_placements WHERE tenant_id = $1 LIMIT 1`, b.call.Tenant.ID).Scan(&any))
	require.Equal(t, "basic", b.tierOf(t, any))

	tiers := spending().Tiers
	tiers[2].Key = "other"
	_, err = b.svc.Update(b.ctx, b.call, "spending", nil, tier.Change{Tiers: tiers})
	require.ErrorIs(t, err, tier.ErrTierInUse)
	require.ErrorContains(t, err, "10050 customers")
	_, err = b.svc.Update(b.ctx, b.call, "spending", nil, tier.Change{Tiers: spending().Tiers[1:]})
	require.NoError(t, err, "nobody is in gold")

	b.call.ChangeSet = uuid.Must(uuid.NewV7())
	require.NoError(t, b.svc.Delete(b.ctx, b.call, "spending", nil))
	require.Empty(t, b.tierOf(t, any), "gone in the same commit")
	_, err = b.svc.Create(b.ctx, b.call, spending())
	require.NoError(t, err, "the key is free")
	d, err := b.svc.Distribution(b.ctx, b.call.Tenant, "spending")
	require.NoError(t, err)
	require.Equal(t, int64(chunks), d.Unplaced)
	require.Eventually(t, func() bool {
		return b.count(t, `SELECT count(*) FROM tier_placements WHERE tenant_id = $1`) == 0
	}, time.Minute, 20*time.Millisecond)
	require.Equal(t, chunks, b.count(t, `SELECT count(*) FROM change_set_items WHERE tenant_id = $1 AND change_set_id = $2`, b.call.ChangeSet))
}

// facts are what the conditions of the random test read.
type facts struct {
	spent, purchases int
	last             *tenant.Day
	city             string
	deleted          bool
}

// rule is a condition and the same in Go.
type rule struct {
	condition json.RawMessage
	holds     func(f facts) bool
}

func randomRule(r *rand.Rand, today tenant.Day, depth int) rule {
	if depth > 0 && r.IntN(2) == 0 {
		x, y := randomRule(r, today, depth-1), randomRule(r, today, depth-1)
		switch r.IntN(3) {
		case 0:
			return rule{fmt.Appendf(nil, `{"and": [%s, %s]}`, x.condition, y.condition), func(f facts) bool { return x.holds(f) && y.holds(f) }}
		case 1:
			return rule{fmt.Appendf(nil, `{"or": [%s, %s]}`, x.condition, y.condition), func(f facts) bool { return x.holds(f) || y.holds(f) }}
		}
		return rule{fmt.Appendf(nil, `{"not": %s}`, x.condition), func(f facts) bool { return !x.holds(f) }}
	}
	switch n := r.IntN(8); r.IntN(4) {
	case 0:
		return rule{leaf("spend_total", "gte", fmt.Sprint(n)), func(f facts) bool { return f.spent >= n }}
	case 1:
		return rule{leaf("purchase_count", "lt", n), func(f facts) bool { return f.purchases < n }}
	case 2:
		limit := tenant.Day{Time: today.AddDate(0, 0, -n)}
		return rule{leaf("last_purchase_on", "gt", fmt.Sprintf("today-%dd", n)), func(f facts) bool { return f.last != nil && f.last.After(limit.Time) }}
	}
	return rule{leaf("city", "ne", "上海"), func(f facts) bool { return f.city != "上海" }}
}

// Every customer is where a plain Go evaluation puts it, and the distribution adds up, through changes of facts,
// deletions and arrivals.
func TestLikeGo(t *testing.T) {
	t.Parallel()
	b := working(t)
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 7))
		today := b.call.Tenant.Today(b.now())
		key := fmt.Sprint("s", seed)
		var rules []rule
		draft := tier.Draft{Key: key}
		for i := range 2 + r.IntN(4) {
			rules = append(rules, randomRule(r, today, 3))
			draft.Tiers = append(draft.Tiers, tier.TierDraft{Key: fmt.Sprint("t", i), Name: "x", Condition: rules[i].condition})
		}
		draft.Tiers = append(draft.Tiers, tier.TierDraft{Key: "rest", Name: "x"})
		_, err := b.svc.Create(b.ctx, b.call, draft)
		require.NoError(t, err)
		everybody := map[uuid.UUID]facts{}
		for range 3 {
			for range 40 { // arrivals
				everybody[b.customer(t, 0)] = facts{}
			}
			for id, f := range everybody {
				f = facts{spent: r.IntN(8), purchases: r.IntN(8), deleted: f.deleted}
				if r.IntN(3) > 0 {
					f.last = &tenant.Day{Time: today.AddDate(0, 0, -r.IntN(8))}
				}
				if r.IntN(2) == 0 {
					f.city = []string{"上海", "杭州"}[r.IntN(2)]
				}
				_, err := b.db.Exec(b.ctx, `WITH m AS (UPDATE customer_metrics SET spend_total = $3, purchase_count = $4, last_purchase_on = $5
						WHERE tenant_id = $1 AND customer_id = $2)
					UPDATE customers SET city = nullif($6, '') WHERE tenant_id = $1 AND id = $2`,
					b.call.Tenant.ID, id, f.spent*100, f.purchases, f.last, f.city)
				require.NoError(t, err)
				if !f.deleted && r.IntN(10) == 0 {
					require.NoError(t, b.customers.Delete(b.ctx, b.call, id, nil))
					f.deleted = true
				}
				everybody[id] = f
			}
			j := b.evaluate(t, key)
			require.Equal(t, jobs.Succeeded, j.Status, j.ErrorDetail)
			var late []uuid.UUID
			for range r.IntN(3) {
				late = append(late, b.customer(t, 0))
			}
			want := make([]int64, len(draft.Tiers))
			ids := []uuid.UUID{}
			for id := range everybody {
				ids = append(ids, id)
			}
			placed, err := tier.Of(b.ctx, b.db, b.call.Tenant.ID, ids)
			require.NoError(t, err)
			for id, f := range everybody {
				if f.deleted {
					continue
				}
				at := 0
				for at < len(rules) && !rules[at].holds(f) {
					at++
				}
				want[at]++
				require.Len(t, placed[id], 1)
				require.Equal(t, draft.Tiers[at].Key, placed[id][0].Key, "%+v", f)
			}
			d, err := b.svc.Distribution(b.ctx, b.call.Tenant, key)
			require.NoError(t, err)
			require.Equal(t, want, d.Customers)
			require.Equal(t, int64(len(late)), d.Unplaced)
			require.Equal(t, int64(b.count(t, `SELECT count(*) FROM customers WHERE tenant_id = $1 AND deleted_at IS NULL`)), d.Total)
			for _, id := range late {
				everybody[id] = facts{}
			}
		}
		// The next scheme's customers are its own.
		require.NoError(t, b.svc.Delete(b.ctx, b.call, key, nil))
		for id, f := range everybody {
			if !f.deleted {
				require.NoError(t, b.customers.Delete(b.ctx, b.call, id, nil))
			}
		}
	}
}
