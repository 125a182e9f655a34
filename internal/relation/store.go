package relation

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/owned"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// row is a line of table relations; nothing outside this file sees it.
type row struct {
	owned.Columns
	OtherID uuid.UUID
	Type    string
	Inverse string
	Note    string
	Since   *tenant.Day
}

func (row) TableName() string { return "relations" }

// view is a relation as CustomerID sees it, with the customer at the other end.
type view struct {
	owned.Columns
	OtherID      uuid.UUID
	Type         string
	Note         string
	Since        *tenant.Day
	OtherVersion int64
	OtherKind    string
	OtherName    string
}

func (v view) relation() Relation {
	return Relation{Base: v.Base(), Type: Type(v.Type), Note: v.Note, Since: v.Since,
		Other: Other{ID: v.OtherID, Version: v.OtherVersion, Kind: customer.Kind(v.OtherKind), Name: v.OtherName}}
}

// views reads the relations of @customers from either end, without those whose other end is deleted.
// OFFSET 0 makes the planner look customers up by their key, whatever it believes of a table that is new to it.
const views = `(SELECT r.*, o.version AS other_version, o.kind AS other_kind, o.name AS other_name FROM (
		SELECT customer_id, id, version, other_id, type, note, since, created_at, updated_at
			FROM relations WHERE tenant_id = @tenant AND customer_id IN @customers
		UNION ALL
		SELECT other_id, id, version, customer_id, inverse, note, since, created_at, updated_at
			FROM relations WHERE tenant_id = @tenant AND other_id IN @customers) r
	JOIN LATERAL (SELECT version, kind, name, deleted_at FROM customers
		WHERE tenant_id = @tenant AND id = r.other_id OFFSET 0) o ON o.deleted_at IS NULL)`

func insert(ctx context.Context, tx postgres.Tx, tenantID int32, r Relation) error {
	stored := row{Columns: r.Columns(tenantID), OtherID: r.Other.ID, Type: string(r.Type), Inverse: string(r.Type.inverse()), Note: r.Note, Since: r.Since}
	err := tx.Session(ctx).Create(&stored).Error
	switch {
	case postgres.Violates(err, "relations_pair_key"):
		return ErrTwice
	case err != nil:
		return fmt.Errorf("insert relation %s: %w", r.ID, err)
	}
	return nil
}

// update writes what can change of a relation, seen from either end.
func update(ctx context.Context, tx postgres.Tx, tenantID int32, r Relation) error {
	res := tx.Session(ctx).Model(&row{}).
		Where("tenant_id = ? AND customer_id IN ? AND id = ? AND version = ?", tenantID, []uuid.UUID{r.CustomerID, r.Other.ID}, r.ID, r.Version-1).
		Select("version", "note", "since", "updated_at").
		Updates(row{Columns: owned.Columns{Version: r.Version, UpdatedAt: r.UpdatedAt}, Note: r.Note, Since: r.Since})
	switch {
	case res.Error != nil:
		return fmt.Errorf("update relation %s: %w", r.ID, res.Error)
	case res.RowsAffected != 1:
		return fmt.Errorf("update relation %s: %d rows had its version", r.ID, res.RowsAffected)
	}
	return nil
}

// remove deletes a relation that one of the ends is known of.
func remove(ctx context.Context, tx postgres.Tx, tenantID int32, id uuid.UUID, end uuid.UUID) error {
	_, err := tx.Exec(ctx, `DELETE FROM relations WHERE tenant_id = $1 AND id = $2 AND (customer_id = $3 OR other_id = $3)`, tenantID, id, end)
	if err != nil {
		return fmt.Errorf("delete relation %s: %w", id, err)
	}
	return nil
}

func get(ctx context.Context, q postgres.Querier, tenantID int32, customerID, id uuid.UUID) (Relation, error) {
	var v view
	err := q.Session(ctx).Raw(`SELECT * FROM `+views+` v WHERE id = @id LIMIT 1`, map[string]any{"tenant": tenantID, "customers": []uuid.UUID{customerID}, "id": id}).
		Take(&v).Error
	switch {
	case postgres.IsNone(err):
		return Relation{}, ErrNotFound
	case err != nil:
		return Relation{}, fmt.Errorf("read relation %s: %w", id, err)
	}
	return v.relation(), nil
}

func list(ctx context.Context, q postgres.Querier, tenantID int32, customerID uuid.UUID, types []Type, req page.Request) (page.Of[Relation], error) {
	args := map[string]any{"tenant": tenantID, "customers": []uuid.UUID{customerID}, "limit": req.Limit + 1}
	where := "true"
	if len(types) > 0 {
		where += " AND type IN @types"
		args["types"] = types
	}
	if req.After != nil {
		if len(req.After) != 2 {
			return page.Of[Relation]{}, page.ErrCursor
		}
		where += " AND (created_at, id) > (CAST(@at AS timestamptz), CAST(@last AS uuid))"
		args["at"], args["last"] = req.After[0], req.After[1]
	}
	var rows []view
	err := q.Session(ctx).Raw(`SELECT * FROM `+views+` v WHERE `+where+` ORDER BY created_at, id LIMIT @limit`, args).Scan(&rows).Error
	if err != nil {
		return page.Of[Relation]{}, fmt.Errorf("list relations: %w", err)
	}
	return page.Cut(rows, req.Limit, func(v view) page.Key {
		return page.Key{v.CreatedAt.UTC().Format(time.RFC3339Nano), v.ID.String()}
	}, view.relation), nil
}

func first(ctx context.Context, q postgres.Querier, tenantID int32, customers []uuid.UUID, most int) (map[uuid.UUID][]Relation, error) {
	all := make(map[uuid.UUID][]Relation, len(customers))
	if len(customers) == 0 {
		return all, nil
	}
	var rows []view
	err := q.Session(ctx).Raw(`SELECT * FROM (SELECT v.*, row_number() OVER (PARTITION BY customer_id ORDER BY created_at, id) AS place FROM `+views+` v) v
		WHERE place <= @most ORDER BY customer_id, place`, map[string]any{"tenant": tenantID, "customers": customers, "most": most}).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read the relations of %d customers: %w", len(customers), err)
	}
	for _, v := range rows {
		all[v.CustomerID] = append(all[v.CustomerID], v.relation())
	}
	return all, nil
}

// count is the number of a customer's relations from both ends, those with deleted customers included.
func count(ctx context.Context, tx postgres.Tx, tenantID int32, id uuid.UUID) (n int, err error) {
	err = tx.QueryRow(ctx, `SELECT (SELECT count(*) FROM relations WHERE tenant_id = $1 AND customer_id = $2)
		+ (SELECT count(*) FROM relations WHERE tenant_id = $1 AND other_id = $2)`, tenantID, id).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count the relations of customer %s: %w", id, err)
	}
	return n, nil
}

func exists(ctx context.Context, tx postgres.Tx, tenantID int32, customerID, otherID uuid.UUID, t Type) (found bool, err error) {
	err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM relations WHERE tenant_id = $1 AND customer_id = $2 AND other_id = $3 AND type = $4)`,
		tenantID, customerID, otherID, t).Scan(&found)
	if err != nil {
		return false, fmt.Errorf("look for a relation: %w", err)
	}
	return found, nil
}

func kindsOf(ctx context.Context, tx postgres.Tx, tenantID int32, ids ...uuid.UUID) (map[uuid.UUID]customer.Kind, error) {
	rows, err := tx.Query(ctx, `SELECT id, kind FROM customers WHERE tenant_id = $1 AND id = ANY($2)`, tenantID, ids)
	if err != nil {
		return nil, fmt.Errorf("read the kinds of customers: %w", err)
	}
	type who struct {
		ID   uuid.UUID
		Kind customer.Kind
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[who])
	if err != nil {
		return nil, fmt.Errorf("read the kinds of customers: %w", err)
	}
	kinds := map[uuid.UUID]customer.Kind{}
	for _, c := range found {
		kinds[c.ID] = c.Kind
	}
	return kinds, nil
}
