package segment_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/rule"
	"github.com/kezi-io/kezi/internal/segment"
	"github.com/kezi-io/kezi/internal/tag"
	"github.com/kezi-io/kezi/internal/tenant"
	"github.com/kezi-io/kezi/internal/tier"
)

var cities = []string{"上海", "北京", "杭州", ""}

// leaf draws a comparison; below are the segments that it may name.
func leaf(rng *rand.Rand, below []string) string {
	leaves := []string{
		fmt.Sprintf(`city = %q`, cities[rng.IntN(3)]),
		`city = null`,
		fmt.Sprintf(`stage IN ("active", %q)`, customer.Stages[rng.IntN(len(customer.Stages))]),
		fmt.Sprintf(`spend_total >= %d`, rng.IntN(2000)),
		fmt.Sprintf(`purchase_count < %d`, 1+rng.IntN(4)),
		fmt.Sprintf(`last_purchase_on >= today-%dd`, rng.IntN(60)),
		fmt.Sprintf(`count(transactions, "%dd") >= %d`, 1+rng.IntN(60), 1+rng.IntN(3)),
		fmt.Sprintf(`sum(transactions.amount, "%dd", "amount >= 100") < %d`, 1+rng.IntN(90), 100+rng.IntN(900)),
		`tags:"vip"`, `tags IN ("new", "vip")`,
	}
	if len(below) > 0 {
		leaves = append(leaves, fmt.Sprintf(`segments:%q`, below[rng.IntN(len(below))]), fmt.Sprintf(`segments NOT IN (%q)`, below[rng.IntN(len(below))]))
	}
	return leaves[rng.IntN(len(leaves))]
}

func randomCondition(rng *rand.Rand, below []string, depth int) string {
	if depth == 0 || rng.IntN(3) == 0 {
		return leaf(rng, below)
	}
	with := []string{" AND ", " OR "}[rng.IntN(2)]
	parts := make([]string, 2+rng.IntN(2))
	for i := range parts {
		parts[i] = "(" + randomCondition(rng, below, depth-1) + ")"
		if rng.IntN(4) == 0 {
			parts[i] = "NOT " + parts[i]
		}
	}
	return strings.Join(parts, with)
}

// write changes one customer in some way.
func (b *bench) write(rng *rand.Rand, ids []uuid.UUID, tags []uuid.UUID) error {
	id := ids[rng.IntN(len(ids))]
	var err error
	switch rng.IntN(7) {
	case 0:
		change := customer.Change{City: patch.Set(cities[rng.IntN(len(cities))])}
		_, err = b.customers.Update(b.ctx, b.call, id, nil, change)
	case 1:
		stage := customer.Stage(customer.Stages[rng.IntN(len(customer.Stages))])
		_, err = b.customers.Update(b.ctx, b.call, id, nil, customer.Change{Stage: &stage})
	case 2, 3:
		err = b.tryBuy(id, int64(1+rng.IntN(800)), rng.IntN(80))
	case 4:
		_, err = b.tags.Put(b.ctx, b.call, id, tags[rng.IntN(len(tags))], tag.Terms{})
	case 5:
		err = b.tags.Remove(b.ctx, b.call, id, tags[rng.IntN(len(tags))], "")
	case 6:
		if err = b.customers.Delete(b.ctx, b.call, id, nil); err == nil && rng.IntN(2) == 0 {
			return nil
		}
		_, err = b.customers.Undelete(b.ctx, b.call, id)
	}
	if fault.Of(err) != nil { // deleted, or does not carry the tag
		return nil
	}
	return err
}

func (b *bench) twoTags(t *testing.T) []uuid.UUID {
	t.Helper()
	var tags []uuid.UUID
	for _, key := range []string{"vip", "new"} {
		made, _, err := b.tags.Create(b.ctx, b.call, tag.Draft{Key: key, Name: key})
		require.NoError(t, err)
		tags = append(tags, made.ID)
	}
	return tags
}

// S3-12
func TestMembershipsEqualARecomputationAfterEachOfManyRandomWrites(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(4, 2))
	b := setup(t)
	tags := b.twoTags(t)
	var ids []uuid.UUID
	for range 6 {
		ids = append(ids, b.customer(t, customer.Registration{City: cities[rng.IntN(len(cities))]}))
	}
	var keys []string
	for i := range 14 {
		key := fmt.Sprintf("s%d", i)
		b.segment(t, key, randomCondition(rng, keys, 2))
		keys = append(keys, key)
	}
	b.verify(t)
	for i := range 150 {
		switch {
		case i%25 == 24:
			n := rng.IntN(len(keys))
			b.change(t, keys[n], segment.Change{Condition: node(t, randomCondition(rng, keys[:n], 2))})
		case i%40 == 39:
			b.pass(24 * time.Hour)
			require.NoError(t, b.engine.NextDay(postgres.ForAllTenants(b.ctx)))
			b.idle(t)
		default:
			require.NoError(t, b.write(rng, ids, tags))
		}
		b.verify(t)
	}
	b.replay(t)
}

// replay proves that the log tells how everybody came to be where they are.
func (b *bench) replay(t *testing.T) {
	t.Helper()
	var wrong int
	err := b.db.QueryRow(b.ctx, `SELECT count(*) FROM (SELECT customer_id, segment_id, (array_agg(entered ORDER BY ord DESC))[1] AS is_in,
				bool_and(entered <> before) AS alternates
			FROM (SELECT customer_id, segment_id, entered, ord, coalesce(lag(entered) OVER (PARTITION BY customer_id, segment_id ORDER BY ord), false) AS before
				FROM segment_log WHERE tenant_id = $1) l GROUP BY customer_id, segment_id) l
		FULL JOIN (SELECT customer_id, segment_id FROM segment_members WHERE tenant_id = $1) m USING (customer_id, segment_id)
		WHERE coalesce(l.is_in, false) <> (m.segment_id IS NOT NULL) OR NOT coalesce(l.alternates, false)`, b.call.Tenant.ID).Scan(&wrong)
	require.NoError(t, err)
	require.Zero(t, wrong)
}

// S4-19
func TestTwentyWritersWhileConditionsChange(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tags := b.twoTags(t)
	var ids []uuid.UUID
	for range 30 {
		ids = append(ids, b.customer(t, customer.Registration{City: "上海"}))
	}
	rng := rand.New(rand.NewPCG(7, 7))
	var keys []string
	for i := range 5 {
		key := fmt.Sprintf("s%d", i)
		b.segment(t, key, randomCondition(rng, keys, 2))
		keys = append(keys, key)
	}
	var group sync.WaitGroup
	var failed atomic.Value
	for w := range 20 {
		group.Go(func() {
			rng := rand.New(rand.NewPCG(9, uint64(w)))
			for range 25 {
				if err := b.write(rng, ids, tags); err != nil {
					failed.Store(err)
				}
			}
		})
	}
	group.Go(func() {
		for i := range 12 {
			n := i % len(keys)
			text := randomCondition(rng, keys[:n], 2)
			parsed, err := filter.Parse(text)
			if err == nil {
				_, _, err = b.svc.Update(b.ctx, b.call, keys[n], nil, segment.Change{Condition: parsed})
			}
			if err != nil {
				failed.Store(err)
			}
		}
	})
	group.Wait()
	require.Nil(t, failed.Load())
	b.idle(t)
	b.verify(t)
	b.replay(t)
}

func TestTwoSegmentsThatWouldReadEachOtherAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for round := range 5 {
		one, two := fmt.Sprintf("x%d", round), fmt.Sprintf("y%d", round)
		b.segment(t, one, `city = "上海"`)
		b.segment(t, two, `city = "上海"`)
		errs := make([]error, 2)
		var group sync.WaitGroup
		for i, pair := range [][2]string{{one, two}, {two, one}} {
			group.Go(func() {
				_, _, errs[i] = b.svc.Update(b.ctx, b.call, pair[0], nil, segment.Change{Condition: filter.Leaf{Field: "segments", Op: filter.Has,
					Values: []filter.Value{filter.String(pair[1])}}})
			})
		}
		group.Wait()
		at := slices.IndexFunc(errs, func(err error) bool { return err != nil })
		require.GreaterOrEqual(t, at, 0)
		require.ErrorIs(t, errs[at], rule.ErrCycle)
		require.NoError(t, errs[1-at])
	}
}

// S1-71
func TestADayPassesWhereTheTenantIs(t *testing.T) {
	t.Parallel()
	for zone, offset := range map[string]int{"Etc/GMT+12": -12, "America/New_York": -4, "UTC": 0, "Asia/Kolkata": 5, "Asia/Shanghai": 8, "Pacific/Kiritimati": 14} {
		t.Run(zone, func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(c *tenant.Creation) { c.TimeZone = zone })
			ada := b.customer(t, customer.Registration{})
			b.segment(t, "recent", `last_purchase_on >= today-2d`)
			b.segment(t, "quiet", `last_purchase_on != null AND NOT segments:"recent"`)
			b.buy(t, ada, 10, 0)
			require.Equal(t, []string{"recent"}, b.in(t, ada))
			local, err := time.LoadLocation(zone)
			require.NoError(t, err)
			y, m, d := b.now().In(local).Date()
			midnight := time.Date(y, m, d+3, 0, 0, 0, 0, local)
			b.pass(midnight.Sub(b.now()) - time.Second)
			look := func() {
				require.NoError(t, b.engine.NextDay(postgres.ForAllTenants(b.ctx)))
				b.idle(t)
			}
			look()
			require.Equal(t, []string{"recent"}, b.in(t, ada), "a second before midnight at %d", offset)
			x, err := b.svc.Get(b.ctx, b.call.Tenant, "recent")
			require.NoError(t, err)
			b.pass(time.Second)
			at, err := b.svc.Evaluations(b.ctx, b.call.Tenant, x)
			require.NoError(t, err)
			require.Equal(t, midnight.AddDate(0, 0, -1).Format(time.DateOnly), at[x.ID].AsOf.String(), "before the job the read says for which day it holds")
			look()
			require.Equal(t, []string{"quiet"}, b.in(t, ada))
			at, err = b.svc.Evaluations(b.ctx, b.call.Tenant, x)
			require.NoError(t, err)
			require.Equal(t, midnight.Format(time.DateOnly), at[x.ID].AsOf.String())
			require.Equal(t, b.now(), *at[x.ID].EvaluatedAt)
			require.Equal(t, []string{"+recent write transaction.created", "-recent new_day ", "+quiet new_day "}, b.passages(t, ada))
			look()
			b.verify(t)
		})
	}
}

func TestAJobThatWasKilledGoesOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, bob := b.customer(t, customer.Registration{City: "上海"}), b.customer(t, customer.Registration{City: "上海"})
	x := b.segment(t, "shanghai", `city = "上海"`)
	// As after a chunk that came to one of them, before the end.
	_, err := b.db.Exec(b.ctx, `DELETE FROM segment_members WHERE tenant_id = $1 AND customer_id = $2`, b.call.Tenant.ID, bob)
	require.NoError(t, err)
	again := func() uuid.UUID { // a job that its first attempt left when it had changed one customer
		var job *jobs.Job
		require.NoError(t, b.db.InTx(b.ctx, func(tx postgres.Tx) (err error) {
			if job, err = b.engine.Changed(b.ctx, tx, b.call, "segment", x.ID, false); err != nil {
				return err
			}
			_, err = tx.Exec(b.ctx, `UPDATE jobs SET counts = '{"changed": 1}' WHERE tenant_id = $1 AND id = $2`, b.call.Tenant.ID, job.ID)
			return err
		}))
		b.idle(t)
		return job.ID
	}
	for job, changed := range map[uuid.UUID]int64{again(): 2, again(): 1} {
		done, err := b.jobs.Get(b.ctx, b.call.Tenant, job)
		require.NoError(t, err)
		require.Equal(t, changed, done.Counts["changed"], "what the first attempt changed counts")
		var told []string
		require.NoError(t, b.db.QueryRow(b.ctx, `SELECT changed FROM events WHERE tenant_id = $1 AND type = 'customers.classified' AND subject_id = $2`,
			b.call.Tenant.ID, job.String()).Scan(&told))
		require.Equal(t, []string{"segments.shanghai"}, told, "and is told of")
	}
	require.Equal(t, []string{"shanghai"}, b.in(t, ada))
	require.Equal(t, []string{"shanghai"}, b.in(t, bob))
	require.Len(t, b.passages(t, ada), 1, "who is right already is not told of again")
}

// S4-19
func TestAWriteBetweenReadingEverybodyAndWriting(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ids := make([]uuid.UUID, 0, 4)
	for range 4 {
		ids = append(ids, b.customer(t, customer.Registration{City: "上海"}))
	}
	b.segment(t, "below", `city = "杭州"`)
	// What attempts left behind that died, and a job that was cancelled.
	_, err := b.db.Exec(b.ctx, `WITH run AS (INSERT INTO rule_runs (tenant_id, id, job_id) SELECT $1, gen_random_uuid(), gen_random_uuid() RETURNING id)
		INSERT INTO rule_touched (tenant_id, run_id, customer_id) SELECT $1, run.id, $2 FROM run`, b.call.Tenant.ID, ids[0])
	require.NoError(t, err)
	release := b.hold(t, ids[0])
	_, job, err := b.svc.Create(b.ctx, b.call, segment.Draft{Key: "shanghai", Basis: segment.Behavioural, Condition: node(t, `city = "上海" OR segments:"below"`)})
	require.NoError(t, err)
	b.held(t) // it has read everybody, and waits for the first of them
	b.move(t, ids[1], "北京")
	b.move(t, ids[2], "杭州")
	require.NoError(t, b.customers.Delete(b.ctx, b.call, ids[3], nil))
	made, second, err := b.svc.Create(b.ctx, b.call, segment.Draft{Key: "other", Basis: segment.Behavioural, Condition: node(t, `city = "上海"`)})
	require.NoError(t, err)
	release()
	b.wait(t, job)
	b.wait(t, second)
	require.NotEqual(t, uuid.Nil, made.ID)
	for i, want := range [][]string{{"other", "shanghai"}, {}, {"below", "shanghai"}, {}} {
		require.ElementsMatch(t, want, b.in(t, ids[i]), i)
	}
	b.verify(t)
	b.replay(t)
	var left int
	require.NoError(t, b.db.QueryRow(b.ctx, `SELECT (SELECT count(*) FROM rule_runs WHERE tenant_id = $1)
		+ (SELECT count(*) FROM rule_touched WHERE tenant_id = $1)`, b.call.Tenant.ID).Scan(&left))
	require.Zero(t, left, "nobody is told of sweeps that are over")
}

func TestWhatIsOnlyTriedLeavesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.customer(t, customer.Registration{})
	b.segment(t, "shanghai", `city = "上海"`)
	err := b.db.RequestTx(b.ctx, func(ctx context.Context, _ postgres.Tx) (bool, error) {
		_, err := b.customers.Update(ctx, b.call, ada, nil, customer.Change{City: patch.Set("上海")})
		if err != nil {
			return false, err
		}
		_, _, err = b.svc.Create(ctx, b.call, segment.Draft{Key: "tried", Basis: segment.ByValue, Condition: filter.Leaf{Field: "city", Op: filter.IsNull}})
		return false, err
	})
	require.NoError(t, err)
	require.Empty(t, b.in(t, ada))
	b.move(t, ada, "北京")
	b.move(t, ada, "上海")
	require.Equal(t, []string{"shanghai"}, b.in(t, ada))
	b.verify(t)
}

// counter counts statements.
type counter struct{ n atomic.Int64 }

func (c *counter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.n.Add(1)
	return ctx
}

func (*counter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func TestLargeAWriteUnderHundredsOfRulesTakesThreeMoreStatements(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.customer(t, customer.Registration{City: "上海"})
	statements := &counter{}
	var name string
	require.NoError(t, b.db.QueryRow(b.ctx, `SELECT current_database()`).Scan(&name))
	db, err := postgres.Open(t.Context(), postgres.Config{DSN: postgrestest.DSN(name), MaxConns: 2, RowSecurity: postgrestest.RowSecurity(), Tracer: statements})
	require.NoError(t, err)
	t.Cleanup(db.Close)
	watched := &bench{ctx: b.ctx, call: b.call, db: db.Settling(), time: b.now()}
	watched.wire(t)
	cost := func() int64 {
		before := statements.n.Load()
		watched.buy(t, ada, 10, 1)
		return statements.n.Load() - before
	}
	cost()
	without := cost()
	// The workers of the watched service would be counted with it.
	read := func(i int) filter.Node {
		return node(t, []string{fmt.Sprintf(`spend_total >= %d`, i), fmt.Sprintf(`city = "上海" AND purchase_count >= %d`, i),
			fmt.Sprintf(`sum(transactions.amount, "%dd") >= 100`, i+1)}[i%3])
	}
	for i := range 200 {
		_, _, err := b.svc.Create(b.ctx, b.call, segment.Draft{Key: fmt.Sprintf("s%d", i), Basis: segment.ByValue, Condition: read(i)})
		require.NoError(t, err)
	}
	for i := range 50 {
		_, _, err := b.tags.Create(b.ctx, b.call, tag.Draft{Key: fmt.Sprintf("t%d", i), Name: "tag", Condition: read(i)})
		require.NoError(t, err)
	}
	for i := range 5 {
		condition, err := json.Marshal(read(i + 1))
		require.NoError(t, err)
		tiers := []tier.TierDraft{{Key: "high", Name: "high", Condition: condition}, {Key: "low", Name: "low"}}
		_, err = b.tiers.Create(b.ctx, b.call, tier.Draft{Key: fmt.Sprintf("c%d", i), Name: "scheme", Terms: tier.Terms{Tiers: tiers}})
		require.NoError(t, err)
	}
	b.idle(t)
	cost()
	var least int64 = 1 << 60
	for range 5 {
		least = min(least, cost())
	}
	require.LessOrEqual(t, least-without, int64(3), "%d statements without rules, %d with", without, least)
	b.verify(t)
}
