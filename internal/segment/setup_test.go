package segment_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/rule"
	"github.com/kezi-io/kezi/internal/score"
	"github.com/kezi-io/kezi/internal/segment"
	"github.com/kezi-io/kezi/internal/tag"
	"github.com/kezi-io/kezi/internal/tenant"
	"github.com/kezi-io/kezi/internal/tier"
	"github.com/kezi-io/kezi/internal/transaction"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// bench is a service of its own on a database of its own, with its workers.
type bench struct {
	ctx          context.Context
	db           *postgres.DB
	call         tenant.Call
	svc          *segment.Service
	engine       *rule.Engine
	jobs         *jobs.Service
	customers    *customer.Service
	transactions *transaction.Service
	tags         *tag.Service
	tiers        *tier.Service
	scores       *score.Service

	mu   sync.Mutex
	time time.Time
}

func (b *bench) now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.time
}

func (b *bench) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.time = b.time.Add(d)
}

func setup(t *testing.T, edit ...func(*tenant.Creation)) *bench {
	t.Helper()
	fresh := postgrestest.Fresh(t)
	b := &bench{db: fresh.Settling(), time: time.Date(2026, 3, 10, 4, 0, 0, 0, time.UTC)}
	b.call = tenant.Call{Tenant: postgrestest.Tenant(t, fresh, edit...), Actor: "tester", RequestID: "r", ChangeSet: uuid.Must(uuid.NewV7())}
	b.ctx = postgrestest.Context(t, b.call.Tenant)
	b.wire(t)
	return b
}

// wire makes the services and lets them work until the test ends.
func (b *bench) wire(t *testing.T) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	tenants := tenant.NewService(b.db, b.now)
	work, err := jobs.NewService(b.db, tenants, log, b.now)
	require.NoError(t, err)
	b.jobs, b.engine = work, rule.NewEngine(b.db, work, tenants, b.now)
	b.svc = segment.NewService(b.db, work, b.engine, b.now)
	b.customers, b.transactions, b.tags = customer.NewService(b.db, b.now), transaction.NewService(b.db, nil, b.now), tag.NewService(b.db, work, b.engine, b.now)
	b.tiers = tier.NewService(b.db, work, b.engine, b.now)
	b.scores = score.NewService(b.db, work, b.now)
	b.engine.Follow(b.scores)
	b.db.BeforeCommit(b.scores.Settle, b.engine.Settle)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var working sync.WaitGroup
	working.Go(func() {
		if err := work.Work(ctx); err != nil {
			t.Errorf("the workers: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); working.Wait() })
}

func (b *bench) customer(t *testing.T, r customer.Registration) uuid.UUID {
	t.Helper()
	if r.Name == "" {
		r.Name = "Ada"
	}
	r.Kind = customer.Person
	c, err := b.customers.Create(b.ctx, b.call, r)
	require.NoError(t, err)
	return c.ID
}

func (b *bench) move(t *testing.T, id uuid.UUID, city string) {
	t.Helper()
	_, err := b.customers.Update(b.ctx, b.call, id, nil, customer.Change{City: patch.Set(city)})
	require.NoError(t, err)
}

// buy is a purchase of so many yuan, so many days ago.
func (b *bench) buy(t *testing.T, id uuid.UUID, yuan int64, daysAgo int) {
	t.Helper()
	require.NoError(t, b.tryBuy(id, yuan, daysAgo))
}

func (b *bench) tryBuy(id uuid.UUID, yuan int64, daysAgo int) error {
	at := b.now().AddDate(0, 0, -daysAgo)
	_, err := b.transactions.Create(b.ctx, b.call, transaction.Creation{CustomerID: &id, Moment: transaction.Moment{At: &at},
		Amount: &money.Money{Minor: yuan * 100, Currency: b.call.Tenant.Currency}})
	return err
}

func node(t testing.TB, text string) filter.Node {
	t.Helper()
	n, err := filter.Parse(text)
	require.NoError(t, err)
	return n
}

// segment makes a dynamic segment and waits until it is evaluated.
func (b *bench) segment(t *testing.T, key, text string) segment.Segment {
	t.Helper()
	made, job, err := b.svc.Create(b.ctx, b.call, segment.Draft{Key: key, Basis: segment.Behavioural, Condition: node(t, text)})
	require.NoError(t, err)
	b.wait(t, job)
	return made
}

func (b *bench) list(t *testing.T, key string) segment.Segment {
	t.Helper()
	made, job, err := b.svc.Create(b.ctx, b.call, segment.Draft{Key: key, Basis: segment.Behavioural, Static: true})
	require.NoError(t, err)
	b.wait(t, job)
	return made
}

func (b *bench) change(t *testing.T, key string, c segment.Change) segment.Segment {
	t.Helper()
	changed, job, err := b.svc.Update(b.ctx, b.call, key, nil, c)
	require.NoError(t, err)
	b.wait(t, job)
	return changed
}

func (b *bench) wait(t *testing.T, job *jobs.Job) jobs.Job {
	t.Helper()
	if job == nil {
		return jobs.Job{}
	}
	var j jobs.Job
	require.Eventually(t, func() bool {
		var err error
		j, err = b.jobs.Get(b.ctx, b.call.Tenant, job.ID)
		return err == nil && j.Status.Ended()
	}, time.Minute, 5*time.Millisecond, "job %s", job.Kind)
	require.Equal(t, jobs.Succeeded, j.Status, "%s %s", j.ErrorCode, j.ErrorDetail)
	return j
}

// idle waits until no job is left.
func (b *bench) idle(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		var n int
		err := b.db.QueryRow(b.ctx, `SELECT count(*) FROM jobs WHERE tenant_id = $1 AND status IN ('queued', 'running')`, b.call.Tenant.ID).Scan(&n)
		return err == nil && n == 0
	}, time.Minute, 10*time.Millisecond)
}

// in are the segments of a customer.
func (b *bench) in(t *testing.T, id uuid.UUID) []string {
	t.Helper()
	found, err := segment.Of(b.ctx, b.db, b.call.Tenant.ID, []uuid.UUID{id})
	require.NoError(t, err)
	keys := []string{}
	for _, m := range found[id] {
		keys = append(keys, m.Key)
	}
	return keys
}

// passages are what the log tells of a customer, oldest first.
func (b *bench) passages(t *testing.T, id uuid.UUID) []string {
	t.Helper()
	rows, err := b.db.Query(b.ctx, `SELECT s.key, l.entered, l.cause, l.event FROM segment_log l JOIN segments s ON s.tenant_id = l.tenant_id AND s.id = l.segment_id
		WHERE l.tenant_id = $1 AND l.customer_id = $2 ORDER BY l.ord`, b.call.Tenant.ID, id)
	require.NoError(t, err)
	defer rows.Close()
	lines := []string{}
	for rows.Next() {
		var key, cause, event string
		var entered bool
		require.NoError(t, rows.Scan(&key, &entered, &cause, &event))
		sign := "-"
		if entered {
			sign = "+"
		}
		lines = append(lines, sign+key+" "+cause+" "+event)
	}
	require.NoError(t, rows.Err())
	return lines
}

// verify tells where memberships differ from what the conditions of all segments say now, one statement per segment.
func (b *bench) verify(t *testing.T) {
	t.Helper()
	rows, err := b.db.Query(b.ctx, `SELECT key, id, condition FROM segments WHERE tenant_id = $1 AND archived_at IS NULL AND condition IS NOT NULL`, b.call.Tenant.ID)
	require.NoError(t, err)
	type stored struct {
		key  string
		id   uuid.UUID
		cond filter.Node
	}
	var all []stored
	for rows.Next() {
		var s stored
		var raw json.RawMessage
		require.NoError(t, rows.Scan(&s.key, &s.id, &raw))
		s.cond, err = filter.ParseJSON(raw)
		require.NoError(t, err)
		all = append(all, s)
	}
	require.NoError(t, rows.Err())
	l, err := condition.For(b.ctx, b.db, b.call.Tenant, b.now())
	require.NoError(t, err)
	for _, s := range all {
		where, err := l.Catalogue.Compile(s.cond, l.Env)
		require.NoError(t, err)
		sql, args := where.Numbered(3)
		var wrong []string
		err = b.db.QueryRow(b.ctx, `SELECT coalesce(array_agg(c.id || ' ' || coalesce(x.has::text, '') ), '{}') FROM customers c
			JOIN customer_metrics m ON m.tenant_id = c.tenant_id AND m.customer_id = c.id
			CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM segment_members s WHERE s.tenant_id = c.tenant_id AND s.customer_id = c.id AND s.segment_id = $2) AS has) x
			WHERE c.tenant_id = $1 AND x.has <> (c.deleted_at IS NULL AND c.merged_into IS NULL AND (`+sql+`) IS TRUE)`,
			append([]any{b.call.Tenant.ID, s.id}, args...)...).Scan(&wrong)
		require.NoError(t, err)
		require.Empty(t, wrong, "segment %s: %s", s.key, s.cond.Text())
	}
}

// hold keeps customers from changing until they are released.
func (b *bench) hold(t *testing.T, ids ...uuid.UUID) (release func()) {
	t.Helper()
	held := make(chan error, 1)
	locked, end := make(chan struct{}), make(chan struct{})
	go func() {
		held <- b.db.InTx(b.ctx, func(tx postgres.Tx) error {
			_, err := tx.Exec(b.ctx, `SELECT FROM customers WHERE tenant_id = $1 AND id = ANY($2) FOR NO KEY UPDATE`, b.call.Tenant.ID, ids)
			close(locked)
			<-end
			return err
		})
	}()
	<-locked
	return func() {
		close(end)
		require.NoError(t, <-held)
	}
}

// held waits until a sweep waits for customers.
func (b *bench) held(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		var waiting bool
		err := b.db.QueryRow(b.ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
			AND query LIKE '%ORDER BY id FOR NO KEY UPDATE%')`).Scan(&waiting)
		return err == nil && waiting
	}, 20*time.Second, 5*time.Millisecond)
}
