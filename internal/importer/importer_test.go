package importer_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/attribute"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/importer"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/metric"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/quality"
	"github.com/kezi-io/kezi/internal/seal"
	"github.com/kezi-io/kezi/internal/tenant"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// bench is a tenant with everything that imports need; its database has a worker.
type bench struct {
	t    testing.TB
	db   *postgres.DB
	jobs *jobs.Service
	svc  *importer.Service
	call tenant.Call
	ctx  context.Context
}

func services(t testing.TB, db *postgres.DB) (*jobs.Service, *importer.Service) {
	work := quiet(t, db)
	keys, err := seal.LoadOrCreate(filepath.Join(t.TempDir(), "keyset.json"))
	require.NoError(t, err)
	fields := attribute.NewService(db, work, tenant.RateOn, time.Now)
	customers := customer.NewService(db, time.Now, attribute.Hook{Service: fields}, quality.Hook{Service: quality.NewService(db, work, time.Now)})
	return work, importer.NewService(db, work, customers, keys, time.Now)
}

// shared is the worker of the package's own database.
var shared = struct {
	sync.Once
	jobs *jobs.Service
	svc  *importer.Service
}{}

func setup(t testing.TB, edit ...func(*tenant.Creation)) bench {
	db := postgrestest.DB(t)
	shared.Do(func() {
		shared.jobs, shared.svc = services(t, db)
		shared.svc.InBatchesOf(7)
		go shared.jobs.Work(context.Background()) //nolint:errcheck // it ends with the test binary
	})
	return on(t, db, shared.jobs, shared.svc, edit...)
}

func on(t testing.TB, db *postgres.DB, work *jobs.Service, svc *importer.Service, edit ...func(*tenant.Creation)) bench {
	of := postgrestest.Tenant(t, db, edit...)
	return bench{t: t, db: db, jobs: work, svc: svc, ctx: postgrestest.Context(t, of),
		call: tenant.Call{Tenant: of, Actor: "tester", RequestID: "r", ChangeSet: uuid.Must(uuid.NewV7())}}
}

var plain = map[string]string{"customer_external_id": "customer", "occurred_at": "date", "amount": "amount"}

func transactions(mapping map[string]string) importer.Creation {
	return importer.Creation{Type: importer.Transactions, Source: "shop", Mapping: mapping}
}

func customers(mapping map[string]string) importer.Creation {
	return importer.Creation{Type: importer.Customers, Source: "shop", Mapping: mapping}
}

// send creates an import and uploads its file.
func (b bench) send(c importer.Creation, content string) importer.Import {
	b.t.Helper()
	im, err := b.svc.Create(b.ctx, b.call, c)
	require.NoError(b.t, err)
	_, err = b.svc.Upload(b.ctx, b.call, im.ID, strings.NewReader(content), false)
	require.NoError(b.t, err)
	return im
}

// ended waits for the import's end.
func (b bench) ended(id uuid.UUID) importer.Import {
	b.t.Helper()
	var im importer.Import
	require.Eventually(b.t, func() bool {
		var err error
		im, err = b.svc.Get(b.ctx, b.call.Tenant, id)
		require.NoError(b.t, err)
		return im.Status == importer.Succeeded || im.Status == importer.Failed || im.Status == importer.Cancelled
	}, 3*time.Minute, 5*time.Millisecond)
	return im
}

func (b bench) load(c importer.Creation, content string) importer.Import {
	b.t.Helper()
	return b.ended(b.send(c, content).ID)
}

// define makes fields of customers.
func (b bench) define(drafts ...attribute.Draft) {
	b.t.Helper()
	fields := attribute.NewService(b.db, quiet(b.t, b.db), tenant.RateOn, time.Now)
	for _, d := range drafts {
		d.AppliesTo, d.Label = attribute.Customers, d.Key
		_, err := fields.Create(b.ctx, b.call, d)
		require.NoError(b.t, err)
	}
}

// quiet is a jobs service whose workers don't run.
func quiet(t testing.TB, db *postgres.DB) *jobs.Service {
	t.Helper()
	work, err := jobs.NewService(db, tenant.NewService(db, time.Now), slog.New(slog.DiscardHandler), time.Now)
	require.NoError(t, err)
	return work
}

func (b bench) errors(id uuid.UUID) []string {
	b.t.Helper()
	p, err := b.svc.Errors(b.ctx, b.call.Tenant, id, page.Request{Limit: 1000})
	require.NoError(b.t, err)
	all := []string{}
	for _, e := range p.Items {
		require.NotEmpty(b.t, e.Detail.En)
		require.NotEmpty(b.t, e.Detail.Zh)
		all = append(all, fmt.Sprintf("%d %s %s", e.Line, e.Column, e.Code))
	}
	return all
}

func (b bench) count(table string) (n int) {
	b.t.Helper()
	err := b.db.QueryRow(b.ctx, `SELECT count(*) FROM `+table+` WHERE tenant_id = $1`, b.call.Tenant.ID).Scan(&n)
	require.NoError(b.t, err)
	return n
}

// text is one value of the tenant, as text.
func (b bench) text(sql string, args ...any) (s string) {
	b.t.Helper()
	require.NoError(b.t, b.db.QueryRow(b.ctx, sql, append([]any{b.call.Tenant.ID}, args...)...).Scan(&s))
	return s
}

// state is everything that imports made, without ids and times.
func (b bench) state() string {
	b.t.Helper()
	return b.text(`SELECT coalesce(string_agg(s, E'\n' ORDER BY s), '') FROM (
		SELECT format('%s %s %s %s %s %s %s', e.external_id, c.name, t.day, t.amount, t.currency, t.status, t.external_id) AS s
		FROM transactions t JOIN customers c ON c.tenant_id = t.tenant_id AND c.id = t.customer_id
		JOIN external_ids e ON e.tenant_id = t.tenant_id AND e.customer_id = t.customer_id WHERE t.tenant_id = $1) x`)
}

func (b bench) verify() {
	b.t.Helper()
	wrong, _, err := metric.Verify(b.ctx, b.db, b.call.Tenant.ID, 10)
	require.NoError(b.t, err)
	require.Empty(b.t, wrong)
	require.Equal(b.t, "0", b.text(`SELECT count(*)::text FROM customer_metrics WHERE tenant_id = $1 AND completeness IS NULL`))
}

// clean fails when something of a file is left.
func (b bench) clean() {
	b.t.Helper()
	require.Zero(b.t, b.count("import_chunks"))
	require.Zero(b.t, b.count("import_row_counts"))
}

func zipped(t testing.TB, content string) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := io.WriteString(w, content)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}
