package directory

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/search"
)

// put writes the rows of customers. A row that stays as it is is not written.
func put(ctx context.Context, q postgres.Querier, tenantID int32, all []named) error {
	if len(all) == 0 {
		return nil
	}
	ids, terms := make([]pgtype.UUID, len(all)), make([]string, len(all))
	names, sounds, sorted := make([]string, len(all)), make([]string, len(all)), make([]string, len(all))
	for i, n := range all {
		r := n.row(tenantID)
		ids[i] = pgtype.UUID{Bytes: n.id, Valid: true}
		terms[i], names[i], sounds[i] = search.Array(r.Terms), r.Names, r.Pinyin
		sorted[i] = n.names[0]
	}
	_, err := q.Exec(ctx, `INSERT INTO customer_search AS s (tenant_id, customer_id, version, terms, name_text, pinyin_text, name)
		SELECT $1, x.id, $2, x.terms::bigint[], x.names, x.sounds, x.sorted
		FROM unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[]) x (id, terms, names, sounds, sorted)
		ON CONFLICT ON CONSTRAINT customer_search_pkey DO UPDATE SET version = excluded.version, terms = excluded.terms,
			name_text = excluded.name_text, pinyin_text = excluded.pinyin_text, name = excluded.name
		WHERE (s.version, s.name, s.name_text, s.pinyin_text, s.terms) IS DISTINCT FROM
			(excluded.version, excluded.name, excluded.name_text, excluded.pinyin_text, excluded.terms)`,
		tenantID, search.Version, ids, terms, names, sounds, sorted)
	if err != nil {
		return fmt.Errorf("write the names of %d customers: %w", len(all), err)
	}
	return nil
}

func tenantIDs(ctx context.Context, q postgres.Querier) ([]int32, error) {
	rows, err := q.Query(ctx, `SELECT id FROM tenants ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("list the tenants: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[int32])
}

// looked is when the tenant's customers were last looked through by these rules or newer ones; zero for never.
func looked(ctx context.Context, q postgres.Querier, tenantID int32) (time.Time, error) {
	var at time.Time
	err := q.QueryRow(ctx, `SELECT began_at FROM customer_search_looks WHERE tenant_id = $1 AND version >= $2`, tenantID, search.Version).Scan(&at)
	if err != nil && !postgres.IsNone(err) {
		return time.Time{}, fmt.Errorf("read when names were looked at: %w", err)
	}
	return at, nil
}

func noteLook(ctx context.Context, q postgres.Querier, tenantID int32, began time.Time) error {
	_, err := q.Exec(ctx, `INSERT INTO customer_search_looks AS l (tenant_id, version, began_at) VALUES ($1, $2, $3)
		ON CONFLICT ON CONSTRAINT customer_search_looks_pkey DO UPDATE SET version = excluded.version, began_at = excluded.began_at
		WHERE l.version <= excluded.version`, tenantID, search.Version, began)
	if err != nil {
		return fmt.Errorf("note when names were looked at: %w", err)
	}
	return nil
}

// called is what a customer is called.
const called = `c.id, c.kind, array_remove(c.name || coalesce(c.aliases, '{}') || c.legal_name, NULL), c.updated_at`

func collect(rows pgx.Rows, err error) ([]named, error) {
	if err != nil {
		return nil, fmt.Errorf("read the names of customers: %w", err)
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (named, error) {
		var n named
		err := r.Scan(&n.id, &n.kind, &n.names, &n.changed)
		return n, err
	})
}

func read(ctx context.Context, q postgres.Querier, tenantID int32, ids []uuid.UUID) ([]named, error) {
	return collect(q.Query(ctx, `SELECT `+called+` FROM unnest($2::uuid[]) x (id)
		CROSS JOIN LATERAL (SELECT * FROM customers c WHERE c.tenant_id = $1 AND c.id = x.id LIMIT 1) c`, tenantID, ids))
}

func lockNext(ctx context.Context, tx postgres.Tx, tenantID int32, after uuid.UUID, limit int) ([]named, error) {
	return collect(tx.Query(ctx, `SELECT `+called+` FROM customers c WHERE c.tenant_id = $1 AND c.id > $2
		ORDER BY c.id LIMIT $3 FOR NO KEY UPDATE`, tenantID, after, limit))
}

// lockStale are the next customers whose row is missing or made by older rules.
func lockStale(ctx context.Context, tx postgres.Tx, tenantID int32, after uuid.UUID, limit int) ([]named, error) {
	return collect(tx.Query(ctx, `SELECT `+called+` FROM customers c WHERE c.tenant_id = $1 AND c.id > $2 AND NOT EXISTS
			(SELECT FROM customer_search s WHERE s.tenant_id = c.tenant_id AND s.customer_id = c.id AND s.version >= $3)
		ORDER BY c.id LIMIT $4 FOR NO KEY UPDATE`, tenantID, after, search.Version, limit))
}

// lockStaleSince is lockStale of living customers who changed since, in the order of their changes.
func lockStaleSince(ctx context.Context, tx postgres.Tx, tenantID int32, since time.Time, after named, limit int) ([]named, error) {
	return collect(tx.Query(ctx, `SELECT `+called+` FROM customers c WHERE c.tenant_id = $1 AND c.deleted_at IS NULL AND c.updated_at >= $2
			AND (c.updated_at, c.id) > ($3, $4) AND NOT EXISTS
			(SELECT FROM customer_search s WHERE s.tenant_id = c.tenant_id AND s.customer_id = c.id AND s.version >= $5)
		ORDER BY c.updated_at, c.id LIMIT $6 FOR NO KEY UPDATE`, tenantID, since, after.changed, after.id, search.Version, limit))
}

// keptRow is a customer's names with the row that is stored for them.
type keptRow struct {
	named
	version *int16
	name    string
	row     search.Row
}

func (k keptRow) right(tenantID int32) bool {
	want := k.named.row(tenantID)
	return k.version != nil && *k.version == search.Version && k.name == k.names[0] && k.row.Names == want.Names && k.row.Pinyin == want.Pinyin &&
		slices.Equal(k.row.Terms, want.Terms)
}

func stored(ctx context.Context, q postgres.Querier, tenantID int32, after uuid.UUID, limit int) ([]keptRow, error) {
	rows, err := q.Query(ctx, `SELECT `+called+`, s.version, coalesce(s.name, ''), s.terms, coalesce(s.name_text, ''), coalesce(s.pinyin_text, '')
		FROM customers c LEFT JOIN customer_search s ON s.tenant_id = c.tenant_id AND s.customer_id = c.id
		WHERE c.tenant_id = $1 AND c.id > $2 ORDER BY c.id LIMIT $3`, tenantID, after, limit)
	if err != nil {
		return nil, fmt.Errorf("verify the names of customers: %w", err)
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (keptRow, error) {
		var k keptRow
		err := r.Scan(&k.id, &k.kind, &k.names, &k.changed, &k.version, &k.name, &k.row.Terms, &k.row.Names, &k.row.Pinyin)
		return k, err
	})
}
