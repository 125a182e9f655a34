package demo_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/app"
	"github.com/kezi-io/kezi/internal/auth"
	"github.com/kezi-io/kezi/internal/demo"
	"github.com/kezi-io/kezi/internal/metric"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/seal"
	"github.com/kezi-io/kezi/internal/tenant"
)

func demoOf(a *app.App, now func() time.Time) *demo.Demo {
	return demo.New(demo.Services{DB: a.DB, Tenants: a.Tenants, Customers: a.Customers, Contacts: a.Contacts,
		ContactPoints: a.ContactPoints, Addresses: a.Addresses,
		Relations: a.Relations, Notes: a.Notes, Transactions: a.Transactions, Tags: a.Tags, Segments: a.Segments,
		Scores: a.Scores, Tiers: a.Tiers, Imports: a.Imports, Jobs: a.Jobs, Fields: a.Fields, Quality: a.Quality}, now)
}

// filled is a database of its own with demo data made so many days from today, by a service that works until the test
// ends.
type filled struct {
	app  *app.App
	demo *demo.Demo
	days *atomic.Int64 // how far its clock is from today
	now  func() time.Time
	made demo.Filled
}

func fill(t *testing.T, days int64) filled {
	t.Helper()
	var from atomic.Int64
	from.Store(days)
	db := postgrestest.Fresh(t)
	keys, err := seal.LoadOrCreate(filepath.Join(t.TempDir(), "keyset.json"))
	require.NoError(t, err)
	key, err := auth.LoadOrCreateDevKey(t.TempDir())
	require.NoError(t, err)
	now := func() time.Time { return time.Now().AddDate(0, 0, int(from.Load())).UTC().Truncate(time.Microsecond) }
	a, err := app.New(app.Parts{DB: db, Keys: keys, Verifier: key.Verifier(), Now: now, Metrics: prometheus.NewRegistry(),
		Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	work(t, a)
	f := filled{app: a, demo: demoOf(a, now), days: &from, now: now}
	// Two processes that start at once make one filling.
	var made [2]demo.Filled
	var errs [2]error
	var both sync.WaitGroup
	for i := range made {
		both.Go(func() { made[i], errs[i] = f.demo.Fill(t.Context()) })
	}
	both.Wait()
	require.NoError(t, errors.Join(errs[:]...))
	if made[0] == (demo.Filled{}) {
		made[0], made[1] = made[1], made[0]
	}
	require.Zero(t, made[1])
	f.made = made[0]
	return f
}

func work(t *testing.T, a *app.App) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var group sync.WaitGroup
	group.Go(func() {
		if err := a.Work(ctx); err != nil {
			t.Errorf("the workers: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); group.Wait() })
}

func (f filled) tenant(t *testing.T, name string) (tenant.Tenant, context.Context) {
	t.Helper()
	found, err := f.app.Tenants.ByName(t.Context(), name)
	require.NoError(t, err)
	return found, postgres.WithTenant(t.Context(), found.ID)
}

// rows are what a query about the tenant $1 answers, a line each.
func (f filled) rows(t *testing.T, name, query string) []string {
	t.Helper()
	in, ctx := f.tenant(t, name)
	found, err := f.app.DB.Query(ctx, query, in.ID)
	require.NoError(t, err)
	lines, err := pgx.CollectRows(found, func(r pgx.CollectableRow) (string, error) {
		values, err := r.Values()
		return strings.TrimSuffix(fmt.Sprintln(values...), "\n"), err
	})
	require.NoError(t, err, query)
	return lines
}

// facts are everything that must be the same whatever day the data was made on, each with the number of its rows and
// their checksum; days count from the last midnight before that.
func (f filled) facts(t *testing.T, name string) map[string]string {
	t.Helper()
	in, _ := f.tenant(t, name)
	today := in.Today(f.now()).String()
	all := map[string]string{}
	for what, query := range map[string]string{
		"customers": `SELECT id, kind, name, stage, coalesce(city, ''), coalesce(owner, ''), coalesce(source_detail, ''), version,
			extract(epoch FROM created_at AT TIME ZONE '{zone}' - '{today}'::timestamp)::bigint FROM customers WHERE tenant_id = $1`,
		"external ids": `SELECT source, external_id, customer_id FROM external_ids WHERE tenant_id = $1`,
		"transactions": `SELECT id, customer_id, external_id, amount, currency, base_amount, status, units, channel, day - '{today}'::date,
			extract(epoch FROM occurred_at AT TIME ZONE '{zone}' - '{today}'::timestamp)::bigint FROM transactions WHERE tenant_id = $1`,
		"keys":       `SELECT source, key, transaction_id FROM transaction_keys WHERE tenant_id = $1`,
		"metrics":    `SELECT customer_id, purchase_count, spend_total, last_purchase_on - '{today}'::date FROM customer_metrics WHERE tenant_id = $1`,
		"contacts":   `SELECT id, customer_id, name, title, is_primary, person_id FROM contacts WHERE tenant_id = $1`,
		"relations":  `SELECT id, customer_id, type, other_id, note, since - '{today}'::date FROM relations WHERE tenant_id = $1`,
		"notes":      `SELECT id, customer_id, kind, body, occurred_on - '{today}'::date FROM notes WHERE tenant_id = $1`,
		"tags":       `SELECT g.id, g.key, t.id, t.key FROM tags t JOIN tag_groups g ON g.tenant_id = t.tenant_id AND g.id = t.group_id WHERE t.tenant_id = $1`,
		"tagged":     `SELECT customer_id, tag_id, source, reason FROM customer_tags WHERE tenant_id = $1`,
		"scores":     `SELECT r.id, r.job_id, s.customer_id, s.value, s.band FROM scores s JOIN score_runs r ON r.tenant_id = s.tenant_id AND r.run_no = s.run_no WHERE s.tenant_id = $1`,
		"placements": `SELECT p.customer_id, r.key, p.change_set FROM tier_placements p JOIN tiers r ON r.tenant_id = p.tenant_id AND r.id = p.tier_id WHERE p.tenant_id = $1`,
		"jobs":       `SELECT id, kind, status, subject_id, change_set, counts FROM jobs WHERE tenant_id = $1`,
		"imports":    `SELECT id, job_id, change_set, rows_read, created, failed FROM imports WHERE tenant_id = $1`,
		"errors":     `SELECT import_id, line, col, code FROM import_errors WHERE tenant_id = $1`,
		"events":     `SELECT row_number() OVER (ORDER BY ord), type, subject_type, CASE subject_type WHEN 'exchange_rate' THEN '' ELSE subject_id END, coalesce(customer_id::text, ''), changed, actor, request_id, change_set FROM events WHERE tenant_id = $1`,
		"touched":    `SELECT change_set_id, customer_id FROM change_set_items WHERE tenant_id = $1`,
		"rates":      `SELECT currency, day - '{today}'::date, rate FROM exchange_rates WHERE tenant_id = $1`,
	} {
		query = strings.NewReplacer("{today}", today, "{zone}", in.Zone.String()).Replace(query)
		all[what] = f.rows(t, name, `SELECT count(*), md5(string_agg(x::text, '' ORDER BY x::text)) FROM (`+query+`) x`)[0]
	}
	return all
}

// S0-09, S2-13
func TestLargeFill(t *testing.T) {
	t.Parallel()
	f := fill(t, -137)
	t.Logf("%+v", f.made)
	require.Equal(t, 2012, f.made.Customers)
	facts, second := f.facts(t, demo.Tenant), f.facts(t, demo.Second)
	for what, rows := range facts {
		require.NotEqual(t, "0 <nil>", rows, what)
	}

	// The same on every machine; after a change of what is drawn, or of how, this is the line to change.
	require.Equal(t, map[string]string{
		"customers":    "2000 f93fc57c6bc30e0400203458c6bb585f",
		"external ids": "2378 fe5ccc9d0fee9d1faa1a604d8b0d11e2",
		"transactions": "6311 5f82c1759ab4f1aeb062adac225a264f",
		"keys":         "6311 a813c3d9b0ff48aff477d6bf248ff093",
		"tagged":       "4794 5b24aeb673272424014db5d728d48ba0",
	}, map[string]string{"customers": facts["customers"], "external ids": facts["external ids"], "transactions": facts["transactions"],
		"keys": facts["keys"], "tagged": facts["tagged"]})

	for _, name := range []string{demo.Tenant, demo.Second} {
		in, ctx := f.tenant(t, name)
		wrong, n, err := metric.Verify(ctx, f.app.DB, in.ID, 10)
		require.NoError(t, err)
		require.Empty(t, wrong)
		require.NotZero(t, n)
		// A day is the local day of its moment, and yesterday is the last one.
		require.Equal(t, []string{"0"}, f.rows(t, name, `SELECT count(*) FROM transactions WHERE tenant_id = $1
			AND day <> (occurred_at AT TIME ZONE '`+in.Zone.String()+`')::date`))
		last := f.rows(t, name, `SELECT max(day)::text FROM transactions WHERE tenant_id = $1`)[0]
		yesterday := in.Today(f.now()).AddDate(0, 0, -1).Format(time.DateOnly)
		require.LessOrEqual(t, last, yesterday)
		if name == demo.Tenant {
			require.Equal(t, yesterday, last)
			require.Equal(t, []string{"0"}, f.rows(t, name, `SELECT count(*) FROM customers WHERE tenant_id = $1 AND kind = 'company' AND industry_code IS NULL`),
				"tags by industry find every company")
		}
		require.Equal(t, []string{"0"}, f.rows(t, name, `SELECT count(*) FROM transactions t JOIN customers c
			ON c.tenant_id = t.tenant_id AND c.id = t.customer_id WHERE t.tenant_id = $1 AND t.occurred_at < c.created_at`))
	}

	f.refersToWhatIsThere(t)

	in, ctx := f.tenant(t, demo.Tenant)
	d, err := f.app.Tiers.Distribution(ctx, in, "value")
	require.NoError(t, err)
	require.Zero(t, d.Unplaced)
	var placed int64
	for _, n := range d.Customers {
		require.NotZero(t, n)
		placed += n
	}
	require.Equal(t, d.Total, placed)

	// The data is drawn from what the models assume, so they find nothing to complain about; companies spend more than persons.
	require.Equal(t, []string{"churn []", `clv ["value_model_by_kind"]`, "composite []", `potential ["value_model_by_kind"]`, "rfm []", "rules []", "value_at_risk []"},
		f.rows(t, demo.Tenant, `SELECT r.kind, jsonb_path_query_array(r.calibration, '$.diagnostics[*].code')::text FROM score_runs r WHERE r.tenant_id = $1 ORDER BY 1`))

	t.Run("AgainChangesNothing", func(t *testing.T) {
		made, err := f.demo.Fill(t.Context())
		require.NoError(t, err)
		require.Zero(t, made)
		require.Equal(t, facts, f.facts(t, demo.Tenant))
	})
	t.Run("AnInterruptedOneStartsOverWhateverTheDay", func(t *testing.T) {
		f.days.Store(0)
		_, err := f.app.DB.Exec(ctx, `DELETE FROM jobs WHERE tenant_id = $1`, in.ID)
		require.NoError(t, err)
		made, err := f.demo.Fill(t.Context())
		require.NoError(t, err)
		require.Equal(t, 2000, made.Customers)
		require.Equal(t, facts, f.facts(t, demo.Tenant))
	})
	t.Run("ResetLeavesNothing", func(t *testing.T) {
		others, ctx := postgrestest.Tenant(t, f.app.DB), ctx
		_, err := f.app.DB.Exec(postgres.WithTenant(t.Context(), others.ID), `INSERT INTO exchange_rates (tenant_id, currency, day, rate, version, created_at, updated_at)
			VALUES ($1, 'USD', '2026-01-01', 7, 1, now(), now())`, others.ID)
		require.NoError(t, err)
		require.NoError(t, f.demo.Reset(t.Context()))
		for _, table := range tenantTables(ctx, t, f.app.DB) {
			for _, name := range []string{demo.Tenant, demo.Second} {
				require.Equal(t, []string{"0"}, f.rows(t, name, `SELECT count(*) FROM `+table+` WHERE tenant_id = $1`), table)
			}
		}
		require.Equal(t, []string{"1"}, f.rows(t, others.Name, `SELECT count(*) FROM exchange_rates WHERE tenant_id = $1`))

		// Whoever has customers of their own in a tenant of that name keeps them, and gets none of ours.
		in, ctx := f.tenant(t, demo.Tenant)
		_, err = f.app.DB.Exec(ctx, `INSERT INTO customers (tenant_id, id, version, kind, name, stage, created_at, updated_at)
			VALUES ($1, gen_random_uuid(), 1, 'person', 'Ada', 'lead', now(), now())`, in.ID)
		require.NoError(t, err)
		made, err := f.demo.Fill(t.Context())
		require.NoError(t, err)
		require.Equal(t, 12, made.Customers) // those of the second tenant
		require.Equal(t, second, f.facts(t, demo.Second))
		require.Equal(t, []string{"Ada"}, f.rows(t, demo.Tenant, `SELECT name FROM customers WHERE tenant_id = $1`))
	})
}

// refersToWhatIsThere fails when ids were exchanged in one place but not in another that refers to it. The places come from
// the schema: whatever is called by what it refers to.
func (f filled) refersToWhatIsThere(t *testing.T) {
	t.Helper()
	subjects := map[string]string{"contact_id": "contacts", "customer_id": "customers", "group_id": "tag_groups", "import_id": "imports",
		"job_id": "jobs", "model_id": "score_models", "other_id": "customers", "person_id": "customers", "product_id": "products",
		"related_id": "products", "scheme_id": "tier_schemes", "segment_id": "segments", "tag_id": "tags", "transaction_id": "transactions"}
	// Nobody exchanges the ids of tiers, returns, items and sweeps; change sets and uploads are no rows.
	elsewhere := []string{"tier_id", "earned_tier_id", "manual_tier_id", "return_id", "run_id", "change_set_id", "upload_id"}
	_, ctx := f.tenant(t, demo.Tenant)
	rows, err := f.app.DB.Query(ctx, `SELECT ARRAY[c.relname, a.attname]::text[] FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace AND a.attname LIKE '%\_id'
		AND a.atttypid = 'uuid'::regtype AND EXISTS (SELECT FROM pg_attribute t WHERE t.attrelid = c.oid AND t.attname = 'tenant_id')`)
	require.NoError(t, err)
	places, err := pgx.CollectRows(rows, pgx.RowTo[[]string])
	require.NoError(t, err)
	for _, place := range places {
		table, column := place[0], place[1]
		subject := subjects[column]
		if subject == "" {
			require.Contains(t, elsewhere, column, "%s.%s: say what it refers to", table, column)
			continue
		}
		require.Equal(t, []string{"0"}, f.rows(t, demo.Tenant, fmt.Sprintf(`SELECT count(*) FROM %s x WHERE tenant_id = $1 AND %s IS NOT NULL
			AND NOT EXISTS (SELECT FROM %s s WHERE s.tenant_id = x.tenant_id AND s.id = x.%[2]s)`, table, column, subject)), "%s.%s", table, column)
	}
	// The counter that guards a tag against being deleted is what it counts.
	require.Equal(t, f.rows(t, demo.Tenant, `SELECT tag_id, count(*) FROM customer_tags WHERE tenant_id = $1 GROUP BY tag_id ORDER BY tag_id`),
		f.rows(t, demo.Tenant, `SELECT tag_id, sum(change)::bigint FROM tag_carriers WHERE tenant_id = $1 GROUP BY tag_id HAVING sum(change) <> 0 ORDER BY tag_id`))
}

// tenantTables are all that a tenant has rows in, so that a table that Reset does not know fails the test.
func tenantTables(ctx context.Context, t *testing.T, db *postgres.DB) []string {
	t.Helper()
	rows, err := db.Query(ctx, `SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
		WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace`)
	require.NoError(t, err)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Contains(t, names, "customers")
	return names
}
