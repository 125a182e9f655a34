package tier_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/tenant"
	"github.com/kezi-io/kezi/internal/tier"
)

func TestEvaluate(t *testing.T) {
	t.Parallel()
	// S2-10, S3-41
	t.Run("PlacesMovesAndKeeps", func(t *testing.T) {
		t.Parallel()
		b := working(t)
		rich, middling, poor, gone := b.customer(t, 5000), b.customer(t, 4999), b.customer(t, 0), b.customer(t, 9999)
		require.NoError(t, b.customers.Delete(b.ctx, b.call, gone, nil))
		b.scheme(t, spending())
		require.Equal(t, 3, b.count(t, `SELECT (counts->>'changed')::integer FROM jobs WHERE tenant_id = $1`))
		require.Equal(t, []string{"gold", "silver", "basic"}, []string{b.tierOf(t, rich), b.tierOf(t, middling), b.tierOf(t, poor)})
		scheme, err := b.svc.Get(b.ctx, b.call.Tenant, "spending")
		require.NoError(t, err)
		require.Equal(t, b.now(), *scheme.EvaluatedAt)
		require.Equal(t, int64(1), scheme.Version)

		first := b.now()
		b.pass(time.Hour)
		b.buy(t, poor, 1000)
		_, err = b.customers.Undelete(b.ctx, b.call, gone)
		require.NoError(t, err)
		found, err := tier.Of(b.ctx, b.db, b.call.Tenant.ID, []uuid.UUID{rich, poor, gone, uuid.Nil})
		require.NoError(t, err)
		place := func(key, name string, at time.Time) []tier.Placement {
			return []tier.Placement{{Scheme: "spending", SchemeName: "消费等级", Key: key, Name: name, PlacedAt: at, Benefits: []tier.Benefit{}, Earned: key}}
		}
		require.Equal(t, map[uuid.UUID][]tier.Placement{
			rich: place("gold", "金", first), poor: place("silver", "银", b.now()), gone: place("gold", "金", b.now()), uuid.Nil: {},
		}, found, "at once, and who stays keeps since when")
		require.Equal(t, []string{"2026-03-10 placed >basic rule_change", "2026-03-10 up basic>silver write"}, b.lines(t, poor))
		j := b.evaluate(t, "spending")
		require.Equal(t, map[string]int64{"customers": 4, "changed": 0}, j.Counts)
		require.Equal(t, 1, b.count(t, `SELECT count(*) FROM events WHERE tenant_id = $1 AND type = 'customer.classified' AND customer_id = $2
			AND changed = '{tiers.spending}' AND previous = '{"tiers.spending": "basic"}'`, poor))
	})
	t.Run("BrokenConditionLeavesEverybodyWhereTheyAre", func(t *testing.T) {
		t.Parallel()
		b := working(t)
		_, err := b.db.Exec(b.ctx, `INSERT INTO score_models (tenant_id, id, key, version, revision, name, kind, params, created_at, updated_at)
			VALUES ($1, gen_random_uuid(), 'clv', 1, 1, 'clv', 'clv', '{}', now(), now())`, b.call.Tenant.ID)
		require.NoError(t, err)
		id := b.customer(t, 1)
		b.scheme(t, tier.Draft{Key: "value", Preset: tier.Value})
		require.Equal(t, "ordinary", b.tierOf(t, id))
		_, err = b.db.Exec(b.ctx, `DELETE FROM score_models WHERE tenant_id = $1`, b.call.Tenant.ID)
		require.NoError(t, err)
		_, err = b.svc.Evaluate(b.ctx, b.call, "value")
		require.ErrorContains(t, err, "filter_unknown_field")
		b.pass(24 * time.Hour)
		b.buy(t, id, 100)
		require.Equal(t, "ordinary", b.tierOf(t, id))
		_, err = b.svc.Place(b.ctx, b.call, id, "value", tier.ManualDraft{Tier: "high", Reason: "x"})
		require.NoError(t, err)
		require.Equal(t, "high", b.tierOf(t, id), "hands still move")
	})
}

const chunks = 10_050 // two of them

// many makes so many customers with one yuan spent each, by a statement.
func (b bench) many(t *testing.T, n int) {
	t.Helper()
	_, err := b.db.Exec(b.ctx, `INSERT INTO customers (tenant_id, id, version, kind, name, stage, created_at, updated_at)
		SELECT $1, gen_random_uuid(), 1, 'person', 'x', 'lead', now(), now() FROM generate_series(1, $2)`, b.call.Tenant.ID, n)
	require.NoError(t, err)
	_, err = b.db.Exec(b.ctx, `INSERT INTO customer_metrics (tenant_id, customer_id, spend_total)
		SELECT tenant_id, id, 100 FROM customers WHERE tenant_id = $1`, b.call.Tenant.ID)
	require.NoError(t, err)
}

func TestLargeDelete(t *testing.T) {
	t.Parallel()
	b := working(t)
	b.many(t, chunks)
	b.scheme(t, spending())
	var any uuid.UUID
	require.NoError(t, b.db.QueryRow(b.ctx, `SELECT customer_id FROM tier_placements WHERE tenant_id = $1 LIMIT 1`, b.call.Tenant.ID).Scan(&any))
	require.Equal(t, "basic", b.tierOf(t, any))

	tiers := spending().Tiers
	tiers[2].Key = "other"
	_, err := b.svc.Update(b.ctx, b.call, "spending", nil, tier.Change{Terms: tier.Terms{Tiers: tiers}})
	require.ErrorIs(t, err, tier.ErrTierInUse)
	require.ErrorContains(t, err, "10050 customers")
	_, err = b.svc.PutDraft(b.ctx, b.call, "spending", nil, tier.Terms{Tiers: tiers})
	require.NoError(t, err)
	require.Equal(t, "basic", b.tierOf(t, any), "a draft moves nobody")
	_, err = b.svc.Activate(b.ctx, b.call, "spending", nil)
	require.NoError(t, err)
	b.idle(t)
	require.Equal(t, "other", b.tierOf(t, any), "placed anew")

	b.call.ChangeSet = uuid.Must(uuid.NewV7())
	require.NoError(t, b.svc.Delete(b.ctx, b.call, "spending", nil))
	require.Empty(t, b.tierOf(t, any), "gone in the same commit")
	_, err = b.svc.Create(b.ctx, b.call, tier.Draft{Key: "spending", Inactive: true, Terms: spending().Terms})
	require.NoError(t, err, "the key is free")
	d, err := b.svc.Distribution(b.ctx, b.call.Tenant, "spending")
	require.NoError(t, err)
	require.Equal(t, int64(chunks), d.Unplaced)
	require.Eventually(t, func() bool {
		return b.count(t, `SELECT count(*) FROM tier_placements WHERE tenant_id = $1`)+b.count(t, `SELECT count(*) FROM tier_history WHERE tenant_id = $1`) == 0
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
type described struct {
	condition json.RawMessage
	holds     func(f facts) bool
}

func randomRule(r *rand.Rand, today tenant.Day, depth int) described {
	if depth > 0 && r.IntN(2) == 0 {
		x, y := randomRule(r, today, depth-1), randomRule(r, today, depth-1)
		switch r.IntN(3) {
		case 0:
			return described{fmt.Appendf(nil, `{"and": [%s, %s]}`, x.condition, y.condition), func(f facts) bool { return x.holds(f) && y.holds(f) }}
		case 1:
			return described{fmt.Appendf(nil, `{"or": [%s, %s]}`, x.condition, y.condition), func(f facts) bool { return x.holds(f) || y.holds(f) }}
		}
		return described{fmt.Appendf(nil, `{"not": %s}`, x.condition), func(f facts) bool { return !x.holds(f) }}
	}
	switch n := r.IntN(8); r.IntN(4) {
	case 0:
		return described{leaf("spend_total", "gte", fmt.Sprint(n)), func(f facts) bool { return f.spent >= n }}
	case 1:
		return described{leaf("purchase_count", "lt", n), func(f facts) bool { return f.purchases < n }}
	case 2:
		limit := tenant.Day{Time: today.AddDate(0, 0, -n)}
		return described{leaf("last_purchase_on", "gt", fmt.Sprintf("today-%dd", n)), func(f facts) bool { return f.last != nil && f.last.After(limit.Time) }}
	}
	return described{leaf("city", "ne", "上海"), func(f facts) bool { return f.city != "上海" }}
}

// Every customer is where a plain Go evaluation puts it, and the distribution adds up, through changes of facts,
// deletions and arrivals.
func TestLargeLikeGo(t *testing.T) {
	t.Parallel()
	b := working(t)
	for seed := range uint64(3) {
		r := rand.New(rand.NewPCG(seed, 7))
		today := b.call.Tenant.Today(b.now())
		key := fmt.Sprint("s", seed)
		var rules []described
		draft := tier.Draft{Key: key, Terms: tier.Terms{Downgrade: new(tier.Direct)}}
		for i := range 2 + r.IntN(4) {
			rules = append(rules, randomRule(r, today, 3))
			draft.Tiers = append(draft.Tiers, tier.TierDraft{Key: fmt.Sprint("t", i), Name: "x", Condition: rules[i].condition})
		}
		draft.Tiers = append(draft.Tiers, tier.TierDraft{Key: "rest", Name: "x"})
		_, err := b.svc.Create(b.ctx, b.call, draft)
		if fault.Of(err) != nil {
			continue // a tier that nobody could enter
		}
		require.NoError(t, err)
		b.idle(t)
		everybody := map[uuid.UUID]facts{}
		for range 3 {
			for range 20 { // arrivals
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
			require.Zero(t, d.Unplaced)
			require.Equal(t, int64(b.count(t, `SELECT count(*) FROM customers WHERE tenant_id = $1 AND deleted_at IS NULL`)), d.Total)
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
