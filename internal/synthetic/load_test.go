package synthetic_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/directory"
	"github.com/kezi-io/kezi/internal/metric"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/seal"
	"github.com/kezi-io/kezi/internal/synthetic"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// content is a digest of what was loaded, without what differs from database to database.
const content = `SELECT md5(string_agg(x, E'\n' ORDER BY x)) FROM (
	SELECT to_jsonb(c)::text AS x FROM customers c WHERE tenant_id = $1 UNION ALL
	SELECT to_jsonb(t)::text FROM transactions t WHERE tenant_id = $1 UNION ALL
	SELECT to_jsonb(e) - 'ord' #>> '{}' FROM events e WHERE tenant_id = $1 UNION ALL
	SELECT (to_jsonb(p) - ARRAY['value', 'given', 'value_index', 'lookup'])::text FROM contact_points p WHERE tenant_id = $1 UNION ALL
	SELECT to_jsonb(n)::text FROM customer_search n WHERE tenant_id = $1 UNION ALL
	SELECT to_jsonb(p)::text FROM tier_placements p WHERE tenant_id = $1 UNION ALL
	SELECT to_jsonb(g)::text FROM customer_tags g WHERE tenant_id = $1) y`

func TestLargeLoad(t *testing.T) {
	t.Parallel()
	load := func(seed uint64) (*postgres.DB, context.Context, int32) {
		db := postgrestest.Fresh(t)
		in := postgrestest.Tenant(t, db)
		ctx := postgres.ForAllTenants(t.Context())
		keys, err := seal.LoadOrCreate(filepath.Join(t.TempDir(), "keyset.json"))
		require.NoError(t, err)
		o := synthetic.Options{Customers: 300, Transactions: 2500, Seed: seed, Until: time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC), Keys: keys, Log: t.Logf}
		require.NoError(t, synthetic.Load(ctx, db, in, o))
		require.NoError(t, synthetic.Load(ctx, db, in, o), "what is there stays")
		return db, ctx, in.ID
	}
	digest := func(db *postgres.DB, ctx context.Context, tenantID int32) (sum string) {
		require.NoError(t, db.QueryRow(ctx, content, tenantID).Scan(&sum))
		return sum
	}
	db, ctx, tenantID := load(1)
	count := func(sql string) (n int) {
		require.NoError(t, db.QueryRow(ctx, sql, tenantID).Scan(&n))
		return n
	}
	require.Equal(t, 300, count(`SELECT count(*) FROM customers WHERE tenant_id = $1`))
	require.Equal(t, 2500, count(`SELECT count(*) FROM transactions WHERE tenant_id = $1`))
	require.Equal(t, 2500, count(`SELECT count(*) FROM transaction_keys WHERE tenant_id = $1`))
	require.Zero(t, count(`SELECT count(*) FROM transactions t WHERE tenant_id = $1 AND NOT EXISTS
		(SELECT FROM customers c WHERE c.tenant_id = t.tenant_id AND c.id = t.customer_id)`))
	require.Equal(t, 3, count(`SELECT count(*) FROM pg_indexes WHERE tablename = 'transactions' AND indexname <> 'transactions_pkey' AND $1 > 0`),
		"the indexes are back")
	wrong, _, err := metric.Verify(ctx, db, tenantID, 10)
	require.NoError(t, err)
	require.Empty(t, wrong)
	require.Zero(t, count(`SELECT count(*) FROM tags t WHERE tenant_id = $1 AND
		(SELECT coalesce(sum(change), 0) FROM tag_carriers k WHERE k.tenant_id = t.tenant_id AND k.tag_id = t.id) <>
		(SELECT count(*) FROM customer_tags ct JOIN customers c ON c.tenant_id = ct.tenant_id AND c.id = ct.customer_id
			WHERE ct.tenant_id = t.tenant_id AND ct.tag_id = t.id AND c.deleted_at IS NULL)`))

	require.Equal(t, count(`SELECT count(*) FROM customers WHERE tenant_id = $1 AND kind = 'person'`),
		count(`SELECT count(*) FROM contact_points WHERE tenant_id = $1 AND is_primary`))
	missed, err := directory.Verify(ctx, db, tenantID, 10)
	require.NoError(t, err)
	require.Empty(t, missed)

	again, _, other := load(1)
	require.Equal(t, tenantID, other)
	require.Equal(t, digest(db, ctx, tenantID), digest(again, ctx, other), "the same seed makes the same customers")
	different, _, third := load(2)
	require.NotEqual(t, digest(db, ctx, tenantID), digest(different, ctx, third))
}
