package score_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/score"
	"github.com/kezi-io/kezi/internal/tenant"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// bench is a tenant in US dollars and UTC with a service to work for it.
type bench struct {
	db   *postgres.DB
	jobs *jobs.Service
	svc  *score.Service
	call tenant.Call
	ctx  context.Context
}

func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// on makes a bench on db, without a worker.
func on(t testing.TB, db *postgres.DB) *bench {
	t.Helper()
	of := postgrestest.Tenant(t, db, func(c *tenant.Creation) { c.Currency, c.TimeZone = "USD", "UTC" })
	work, err := jobs.NewService(db, tenant.NewService(db, now), slog.New(slog.DiscardHandler), now)
	require.NoError(t, err)
	return &bench{db: db, jobs: work, svc: score.NewService(db, work, now), ctx: postgrestest.Context(t, of),
		call: tenant.Call{Tenant: of, Actor: "ada", RequestID: "r1", ChangeSet: uuid.Must(uuid.NewV7())}}
}

// work runs jobs of the bench's database until the test ends.
func (b *bench) work(t testing.TB) {
	ctx, stop := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		if err := b.jobs.Work(ctx); err != nil {
			t.Errorf("work: %v", err)
		}
	})
	t.Cleanup(func() { stop(); done.Wait() })
}

var shared sync.Once

// setup is a bench on the package's database, where one worker does every bench's jobs until the binary ends.
func setup(t testing.TB) *bench {
	t.Helper()
	b := on(t, postgrestest.DB(t))
	shared.Do(func() { go b.jobs.Work(context.Background()) }) //nolint:errcheck // it ends with the process
	return b
}

func day(s string) *tenant.Day {
	d, err := tenant.ParseDay(s)
	if err != nil {
		panic(err)
	}
	return &d
}

// purchase is a row of the data; customers are named by text.
type purchase struct {
	customer, day string
	cents         int64
	status        string // completed when empty
}

func (b *bench) id(customer string) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte(b.call.Tenant.Name+"/"+customer))
}

// buy stores customers and their purchases.
func (b *bench) buy(t testing.TB, rows []purchase) {
	t.Helper()
	var owners, ids []uuid.UUID
	var days, statuses []string
	var cents []int64
	for _, r := range rows {
		status := r.status
		if status == "" {
			status = "completed"
		}
		owners, ids = append(owners, b.id(r.customer)), append(ids, uuid.Must(uuid.NewV7()))
		days, cents, statuses = append(days, r.day), append(cents, r.cents), append(statuses, status)
	}
	exec := func(sql string, args ...any) {
		_, err := b.db.Exec(b.ctx, sql, args...)
		require.NoError(t, err)
	}
	exec(`INSERT INTO customers (tenant_id, id, version, kind, name, stage, created_at, updated_at)
		SELECT DISTINCT $1::integer, id, 1, 'person', id::text, 'active', now(), now() FROM unnest($2::uuid[]) id
		ON CONFLICT DO NOTHING`, b.call.Tenant.ID, owners)
	exec(`INSERT INTO customer_metrics (tenant_id, customer_id) SELECT DISTINCT $1::integer, id FROM unnest($2::uuid[]) id
		ON CONFLICT DO NOTHING`, b.call.Tenant.ID, owners)
	exec(`INSERT INTO transactions (tenant_id, customer_id, id, version, source, status, occurred_at, date_only, day, amount,
			currency, base_amount, created_at, updated_at)
		SELECT $1::integer, c, id, 1, 'test', s, d::date, true, d::date, a, 'USD', a, now(), now()
		FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $6::text[]) x (c, id, d, a, s)`,
		b.call.Tenant.ID, owners, ids, days, cents, statuses)
}

// model makes a model with a clock fixed to asOf.
func (b *bench) model(t testing.TB, key string, kind score.Kind, asOf string, p score.ParamsChange) score.Model {
	t.Helper()
	m, err := b.svc.Create(b.ctx, b.call, score.Creation{Key: key, Kind: kind, Params: p,
		Clock: score.ClockSetting{Fixed: true, Day: day(asOf)}})
	require.NoError(t, err)
	return m
}

// run starts a run, after one that is in progress, and waits for its end.
func (b *bench) run(t testing.TB, key string, r score.Request) score.Run {
	t.Helper()
	var j jobs.Job
	var err error
	require.Eventually(t, func() bool {
		j, err = b.svc.Start(b.ctx, b.call, key, r)
		return !errors.Is(err, score.ErrRunInProgress)
	}, time.Minute, 5*time.Millisecond)
	require.NoError(t, err)
	return b.wait(t, key, j)
}

func (b *bench) wait(t testing.TB, key string, j jobs.Job) score.Run {
	t.Helper()
	require.Eventually(t, func() bool {
		got, err := b.jobs.Get(b.ctx, b.call.Tenant, j.ID)
		return err == nil && got.Status.Ended()
	}, time.Minute, 5*time.Millisecond)
	r, err := b.svc.Run(b.ctx, b.call.Tenant, key, uuid.MustParse(j.SubjectID))
	require.NoError(t, err)
	return r
}

// scores are all of a run's, read page by page.
func (b *bench) scores(t testing.TB, key string, r score.Run) []score.Scored {
	t.Helper()
	var all []score.Scored
	req := page.Request{Limit: 1000}
	for {
		p, err := b.svc.Scores(b.ctx, b.call.Tenant, key, r.ID, req)
		require.NoError(t, err)
		all = append(all, p.Items...)
		if p.Next == nil {
			return all
		}
		req.After = p.Next
	}
}

// events are the types of the tenant's events about a subject type, oldest first.
func (b *bench) events(t testing.TB, subject string) []string {
	t.Helper()
	var types []string
	err := b.db.QueryRow(b.ctx, `SELECT coalesce(array_agg(type ORDER BY ord), '{}') FROM events WHERE tenant_id = $1 AND subject_type = $2`,
		b.call.Tenant.ID, subject).Scan(&types)
	require.NoError(t, err)
	return types
}

// partitions counts tables of runs' scores that belong to the tenant's runs.
func (b *bench) partitions(t testing.TB) int {
	t.Helper()
	var n int
	err := b.db.QueryRow(b.ctx, `SELECT count(*) FROM score_runs WHERE tenant_id = $1 AND to_regclass('scores_' || run_no) IS NOT NULL`,
		b.call.Tenant.ID).Scan(&n)
	require.NoError(t, err)
	return n
}

// cdnow reads a file of the public data; the test is skipped where it is not at hand.
func cdnow(t testing.TB, name string) []purchase {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	for {
		raw, err := os.ReadFile(filepath.Join(dir, "..", "shared", "data", name))
		if err == nil {
			return parse(t, bytes.NewReader(raw), strings.HasSuffix(name, ".gz"))
		}
		up := filepath.Dir(dir)
		if up == dir {
			break
		}
		dir = up
	}
	if os.Getenv("KEZI_REQUIRE_REAL_DATA") == "1" {
		t.Fatalf("%s is not at hand", name)
	}
	t.Skipf("%s is not at hand", name)
	return nil
}

func parse(t testing.TB, r io.Reader, zipped bool) []purchase {
	t.Helper()
	if zipped {
		z, err := gzip.NewReader(r)
		require.NoError(t, err)
		r = z
	}
	lines, err := csv.NewReader(r).ReadAll()
	require.NoError(t, err)
	column := map[string]int{}
	for i, name := range lines[0] {
		column[name] = i
	}
	var rows []purchase
	for _, l := range lines[1:] {
		cents, err := strconv.ParseInt(l[column["amount_cents"]], 10, 64)
		require.NoError(t, err)
		rows = append(rows, purchase{customer: l[column["customer_id"]], day: l[column["date"]], cents: cents})
	}
	return rows
}
