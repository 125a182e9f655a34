package owned

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
)

// Row is a line of the table of owned things that it names. It embeds Columns.
type Row interface{ TableName() string }

// Columns are those that every table of owned things has.
type Columns struct {
	TenantID   int32     `gorm:"primaryKey"`
	CustomerID uuid.UUID `gorm:"primaryKey"`
	ID         uuid.UUID `gorm:"primaryKey"`
	Version    int64
	CreatedAt  time.Time
	UpdatedAt  time.Time `gorm:"autoUpdateTime:false"`
}

// Columns are b as a row keeps it.
func (b Base) Columns(tenantID int32) Columns {
	return Columns{tenantID, b.CustomerID, b.ID, b.Version, b.CreatedAt, b.UpdatedAt}
}

// Base is what c keeps.
func (c Columns) Base() Base {
	return Base{ID: c.ID, CustomerID: c.CustomerID, Version: c.Version, CreatedAt: c.CreatedAt.UTC(), UpdatedAt: c.UpdatedAt.UTC()}
}

func (k *Keeper[T, R]) table() string {
	var r R
	return r.TableName()
}

func (k *Keeper[T, R]) get(ctx context.Context, q postgres.Querier, tenantID int32, customerID, id uuid.UUID) (T, error) {
	var item T
	var r R
	err := q.Session(ctx).Where("tenant_id = ? AND customer_id = ? AND id = ?", tenantID, customerID, id).Take(&r).Error
	switch {
	case postgres.IsNone(err):
		return item, k.kind.NotFound
	case err != nil:
		return item, fmt.Errorf("read %s %s: %w", k.kind.Name, id, err)
	}
	return k.kind.ToItem(r)
}

// list reads one item past the page.
func (k *Keeper[T, R]) list(ctx context.Context, tenantID int32, customerID uuid.UUID, where map[string]any, req page.Request) ([]T, error) {
	o := k.kind.Order
	db := k.db.Session(ctx).Where("tenant_id = ? AND customer_id = ?", tenantID, customerID).Order(o.sql()).Limit(req.Limit + 1)
	if len(where) > 0 {
		db = db.Where(where)
	}
	if req.After != nil {
		where, values, err := o.after(req.After)
		if err != nil {
			return nil, err
		}
		db = db.Where(where, values...)
	}
	var rows []R
	if err := db.Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("list %s: %w", k.table(), err)
	}
	return k.items(rows)
}

// sql is the order as ORDER BY takes it.
func (o *Order[T]) sql() string {
	direction := ""
	if o.Descending {
		direction = " DESC"
	}
	terms := make([]string, len(o.By))
	for i, t := range o.By {
		terms[i] = t.Expr + direction
	}
	return strings.Join(terms, ", ")
}

// after is the condition of the rows that follow a key.
func (o *Order[T]) after(key page.Key) (sql string, values []any, err error) {
	if len(key) != len(o.By) {
		return "", nil, page.ErrCursor
	}
	var exprs, types []string
	for i, t := range o.By {
		exprs, types, values = append(exprs, t.Expr), append(types, "?::"+t.Type), append(values, key[i])
	}
	beyond := ">"
	if o.Descending {
		beyond = "<"
	}
	return fmt.Sprintf("(%s) %s (%s)", strings.Join(exprs, ", "), beyond, strings.Join(types, ", ")), values, nil
}

func (k *Keeper[T, R]) first(ctx context.Context, q postgres.Querier, tenantID int32, customers []uuid.UUID, most int) ([]T, error) {
	if len(customers) == 0 {
		return nil, nil
	}
	found, err := q.Query(ctx, fmt.Sprintf(`SELECT t.* FROM unnest($2::uuid[]) WITH ORDINALITY c (id, place) CROSS JOIN LATERAL
			(SELECT * FROM %s t WHERE t.tenant_id = $1 AND t.customer_id = c.id ORDER BY %s LIMIT $3) t
		ORDER BY c.place`, k.table(), k.kind.Order.sql()), tenantID, customers, most)
	if err != nil {
		return nil, fmt.Errorf("read the %s of %d customers: %w", k.table(), len(customers), err)
	}
	rows, err := pgx.CollectRows(found, pgx.RowToStructByNameLax[R])
	if err != nil {
		return nil, fmt.Errorf("read the %s of %d customers: %w", k.table(), len(customers), err)
	}
	return k.items(rows)
}

// primaries are the primary items that by would stand beside.
func (k *Keeper[T, R]) primaries(ctx context.Context, tx postgres.Tx, tenantID int32, by Base, among map[string]any) ([]T, error) {
	where := map[string]any{"is_primary": true}
	maps.Copy(where, among)
	items, err := k.all(ctx, tx, tenantID, by.CustomerID, where)
	return slices.DeleteFunc(items, func(item T) bool { return k.kind.Base(&item).ID == by.ID }), err
}

// all are the customer's items in which each column has the value given.
func (k *Keeper[T, R]) all(ctx context.Context, tx postgres.Tx, tenantID int32, customerID uuid.UUID, where map[string]any) ([]T, error) {
	var rows []R
	err := tx.Session(ctx).Where("tenant_id = ? AND customer_id = ?", tenantID, customerID).Where(where).Find(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", k.table(), err)
	}
	return k.items(rows)
}

func (k *Keeper[T, R]) items(rows []R) ([]T, error) {
	items := make([]T, len(rows))
	for i, r := range rows {
		var err error
		if items[i], err = k.kind.ToItem(r); err != nil {
			return nil, fmt.Errorf("read a row of %s: %w", k.table(), err)
		}
	}
	return items, nil
}

func (k *Keeper[T, R]) count(ctx context.Context, tx postgres.Tx, tenantID int32, customerID uuid.UUID) (int, error) {
	var n int
	err := tx.QueryRow(ctx, fmt.Sprintf(`SELECT count(*) FROM %s WHERE tenant_id = $1 AND customer_id = $2`, k.table()),
		tenantID, customerID).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count %s: %w", k.table(), err)
	}
	return n, nil
}

func (k *Keeper[T, R]) insert(ctx context.Context, tx postgres.Tx, tenantID int32, item T) error {
	r, err := k.kind.ToRow(tenantID, item)
	if err != nil {
		return err
	}
	return k.refused("insert", item, tx.Session(ctx).Create(&r).Error)
}

func (k *Keeper[T, R]) update(ctx context.Context, tx postgres.Tx, tenantID int32, item T) error {
	r, err := k.kind.ToRow(tenantID, item)
	if err != nil {
		return err
	}
	b := k.kind.Base(&item)
	res := tx.Session(ctx).Model(new(R)).
		Where("tenant_id = ? AND customer_id = ? AND id = ? AND version = ?", tenantID, b.CustomerID, b.ID, b.Version-1).
		Select("*").Omit("tenant_id", "customer_id", "id", "created_at").Updates(r)
	if res.Error == nil && res.RowsAffected != 1 {
		return fmt.Errorf("update %s %s: %d rows had its version", k.kind.Name, b.ID, res.RowsAffected)
	}
	return k.refused("update", item, res.Error)
}

func (k *Keeper[T, R]) remove(ctx context.Context, tx postgres.Tx, tenantID int32, item T) error {
	b := k.kind.Base(&item)
	_, err := tx.Exec(ctx, fmt.Sprintf(`DELETE FROM %s WHERE tenant_id = $1 AND customer_id = $2 AND id = $3`, k.table()),
		tenantID, b.CustomerID, b.ID)
	return k.refused("delete", item, err)
}

// refused is what the database's refusal means.
func (k *Keeper[T, R]) refused(what string, item T, err error) error {
	if err == nil {
		return nil
	}
	for constraint, f := range k.kind.Refusals {
		if postgres.Violates(err, constraint) {
			return f
		}
	}
	return fmt.Errorf("%s %s %s: %w", what, k.kind.Name, k.kind.Base(&item).ID, err)
}
