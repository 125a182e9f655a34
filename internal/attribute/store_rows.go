package attribute

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/postgres"
)

// holding counts the rows that have a value under the key, those of deleted customers included: one that is brought
// back has it again.
func holding(ctx context.Context, q postgres.Querier, tenantID int32, d *Definition) (n int64, err error) {
	sql := `SELECT count(*) FROM customers WHERE tenant_id = $1 AND attributes ? $2`
	if d.AppliesTo == Transactions {
		sql = `SELECT count(*) FROM transactions WHERE tenant_id = $1 AND attributes ? $2`
	}
	if err := q.QueryRow(ctx, sql, tenantID, d.Key).Scan(&n); err != nil {
		return 0, fmt.Errorf("count the values of field %s: %w", d.Key, err)
	}
	return n, nil
}

// lacking counts the rows to which the field applies and that have no value.
func lacking(ctx context.Context, q postgres.Querier, tenantID int32, d *Definition) (n int64, err error) {
	sql, args := `SELECT count(*) FROM customers WHERE tenant_id = $1 AND NOT attributes ? $2 AND deleted_at IS NULL AND merged_into IS NULL
		AND ($3 = 'customer' OR kind = $3)`, []any{tenantID, d.Key, string(d.AppliesTo)}
	if d.AppliesTo == Transactions {
		sql, args = `SELECT count(*) FROM transactions WHERE tenant_id = $1 AND NOT attributes ? $2`, args[:2]
	}
	if err := q.QueryRow(ctx, sql, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("count the rows without field %s: %w", d.Key, err)
	}
	return n, nil
}

// place is where a walk over rows stands: the customer, and for transactions the transaction.
type place struct{ customer, row uuid.UUID }

// stored is one value with the row that has it.
type stored struct {
	place
	value json.RawMessage
}

// values is a page of the values under the key after a place, of rows that are not deleted.
func values(ctx context.Context, q postgres.Querier, tenantID int32, d *Definition, after place, limit int) ([]stored, error) {
	sql, args := `SELECT id, id, attributes -> $2 FROM customers WHERE tenant_id = $1 AND id > $3 AND attributes ? $2
		AND deleted_at IS NULL AND merged_into IS NULL ORDER BY id LIMIT $4`, []any{tenantID, d.Key, after.customer, limit}
	if d.AppliesTo == Transactions {
		sql, args = `SELECT customer_id, id, attributes -> $2 FROM transactions WHERE tenant_id = $1 AND (customer_id, id) > ($3, $4)
			AND attributes ? $2 ORDER BY customer_id, id LIMIT $5`, []any{tenantID, d.Key, after.customer, after.row, limit}
	}
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("read the values of field %s: %w", d.Key, err)
	}
	page, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (s stored, err error) {
		err = r.Scan(&s.customer, &s.row, &s.value)
		return s, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the values of field %s: %w", d.Key, err)
	}
	return page, nil
}

// strip removes the values under the key from the rows of the next customers that have one, at most limit of these, and
// answers the customers.
func strip(ctx context.Context, tx postgres.Tx, tenantID int32, d *Definition, after uuid.UUID, limit int, now time.Time) ([]uuid.UUID, error) {
	of := `SELECT id FROM customers WHERE tenant_id = $1 AND id > $3 AND attributes ? $2 ORDER BY id LIMIT $4 FOR NO KEY UPDATE`
	if d.AppliesTo == Transactions {
		of = `SELECT c.id FROM customers c WHERE c.tenant_id = $1 AND c.id > $3 AND EXISTS (SELECT FROM transactions t
			WHERE t.tenant_id = c.tenant_id AND t.customer_id = c.id AND t.attributes ? $2) ORDER BY c.id LIMIT $4 FOR NO KEY UPDATE`
	}
	rows, err := tx.Query(ctx, of, tenantID, d.Key, after, limit)
	if err != nil {
		return nil, fmt.Errorf("lock the rows with field %s: %w", d.Key, err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("lock the rows with field %s: %w", d.Key, err)
	}
	sql := `UPDATE customers SET attributes = attributes - $2::text, version = version + 1, updated_at = $4 WHERE tenant_id = $1 AND id = ANY($3)`
	if d.AppliesTo == Transactions {
		sql = `UPDATE transactions SET attributes = attributes - $2::text, version = version + 1, updated_at = $4
			WHERE tenant_id = $1 AND customer_id = ANY($3) AND attributes ? $2`
	}
	if _, err := tx.Exec(ctx, sql, tenantID, d.Key, ids, now); err != nil {
		return nil, fmt.Errorf("remove the values of field %s: %w", d.Key, err)
	}
	return ids, nil
}

// buried is the deleted field whose values a job has to remove, or ErrNotFound when that is done.
func buried(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID) (*Definition, error) {
	var r row
	err := q.Session(ctx).Raw(`SELECT * FROM field_definitions WHERE tenant_id = ? AND id = ? AND removed_at IS NOT NULL`, tenantID, id).Take(&r).Error
	switch {
	case postgres.IsNone(err):
		return nil, ErrNotFound
	case err != nil:
		return nil, fmt.Errorf("read deleted field definition %s: %w", id, err)
	}
	return r.definition()
}
