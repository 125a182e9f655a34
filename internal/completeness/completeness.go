// Package completeness is how much of what a tenant wants to know of a customer is known: a percentage over weighted
// fields. It is one SQL expression, used for one customer and for all, so that the two cannot differ.
package completeness

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/postgres"
)

// Weight is how much a field counts against the others.
type Weight struct {
	Field  string `json:"field"`
	Weight int    `json:"weight"` // 1 to 1000
}

// Weights are the fields that a complete record of one kind has. A tenant that chose none has the built-in ones, whose
// version is 0.
type Weights struct {
	Kind                 string // person or company
	Fields               []Weight
	Version              int64
	CreatedAt, UpdatedAt time.Time // zero for the built-in ones
}

// Builtin are the weights of a tenant that chose none, in hundredths.
func Builtin(kind string) Weights {
	w := Weights{Kind: kind, Fields: []Weight{
		{"contact_points.phone", 20}, {"person.birthday", 15}, {"contact_points.email", 10}, {"person.gender", 10}, {"city", 10},
		{"addresses", 10}, {"source", 10}, {"owner", 10}, {"person.occupation", 5}}}
	if kind == company {
		w.Fields = []Weight{
			{"company.registration_number", 20}, {"industry", 15}, {"contacts", 15}, {"company.legal_name", 10}, {"contact_points", 10},
			{"addresses", 10}, {"company.employees", 5}, {"company.annual_revenue", 5}, {"source", 5}, {"owner", 5}}
	}
	return w
}

// Of are the weights of both kinds, the person's first.
func Of(ctx context.Context, q postgres.Querier, tenantID int32) ([2]Weights, error) {
	all := [2]Weights{Builtin(person), Builtin(company)}
	rows, err := q.Query(ctx, `SELECT kind, fields, version, created_at, updated_at FROM completeness_weights WHERE tenant_id = $1`, tenantID)
	if err != nil {
		return all, fmt.Errorf("read the completeness weights: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var w Weights
		var list []byte
		if err := rows.Scan(&w.Kind, &list, &w.Version, &w.CreatedAt, &w.UpdatedAt); err != nil {
			return all, fmt.Errorf("read the completeness weights: %w", err)
		}
		if err := json.Unmarshal(list, &w.Fields); err != nil {
			return all, fmt.Errorf("read the completeness weights: %w", err)
		}
		w.CreatedAt, w.UpdatedAt = w.CreatedAt.UTC(), w.UpdatedAt.UTC()
		i := 0
		if w.Kind == company {
			i = 1
		}
		all[i] = w
	}
	return all, rows.Err()
}

// expression is the percentage over c, rounded down: only a record that lacks nothing has 100.
func expression(weights [2]Weights) (filter.Expr, error) {
	people, err := weights[0].share()
	if err != nil {
		return filter.Expr{}, err
	}
	companies, err := weights[1].share()
	if err != nil {
		return filter.Expr{}, err
	}
	return filter.Concat(filter.SQL("CASE c.kind WHEN 'person' THEN "), people, filter.SQL(" ELSE "), companies, filter.SQL(" END")), nil
}

func (w Weights) share() (filter.Expr, error) {
	sum, total := filter.SQL("100 * (0"), 0
	for _, x := range w.Fields {
		f, ok := Find(x.Field)
		if !ok {
			return filter.Expr{}, fmt.Errorf("completeness: there is no field %q", x.Field)
		}
		sum = filter.Concat(sum, filter.SQL(" + CASE WHEN "), f.present, filter.SQL(" THEN ?::int ELSE 0 END", x.Weight))
		total += x.Weight
	}
	return filter.Concat(sum, filter.SQL(") / ?::int", total)), nil
}

// Expression is the percentage by the tenant's weights as SQL over c, a row of customers. Its placeholders begin with that
// number, and its values are args.
func Expression(ctx context.Context, q postgres.Querier, tenantID int32, first int) (sql string, args []any, err error) {
	weights, err := Of(ctx, q, tenantID)
	if err != nil {
		return "", nil, err
	}
	e, err := expression(weights)
	if err != nil {
		return "", nil, err
	}
	sql, args = e.Numbered(first)
	return sql, args, nil
}

// Refresh computes the completeness of customers again. Whoever changes what a customer has calls it in the same
// transaction, holding the customers; a percentage that stays is not written.
func Refresh(ctx context.Context, q postgres.Querier, tenantID int32, customers []uuid.UUID) error {
	if len(customers) == 0 {
		return nil
	}
	sql, args, err := Expression(ctx, q, tenantID, 3)
	if err != nil {
		return err
	}
	// LATERAL with a limit reads each customer by its key; a join would read the whole tenant while statistics lag behind a
	// load.
	_, err = q.Exec(ctx, `UPDATE customer_metrics m SET completeness = f.percent
		FROM unnest($2::uuid[]) x (id)
		CROSS JOIN LATERAL (SELECT `+sql+` AS percent FROM customers c WHERE c.tenant_id = $1 AND c.id = x.id LIMIT 1) f
		WHERE m.tenant_id = $1 AND m.customer_id = x.id AND m.completeness IS DISTINCT FROM f.percent`,
		append([]any{tenantID, customers}, args...)...)
	if err != nil {
		return fmt.Errorf("refresh the completeness of %d customers: %w", len(customers), err)
	}
	return nil
}

// Verify answers the customers whose stored completeness is not what their records say, at most limit of them. Who has
// none yet is not wrong: Fill is on its way.
func Verify(ctx context.Context, q postgres.Querier, tenantID int32, limit int) ([]uuid.UUID, error) {
	sql, args, err := Expression(ctx, q, tenantID, 3)
	if err != nil {
		return nil, err
	}
	rows, err := q.Query(ctx, `SELECT c.id FROM customers c JOIN customer_metrics m ON m.tenant_id = c.tenant_id AND m.customer_id = c.id
		WHERE c.tenant_id = $1 AND m.completeness <> (`+sql+`) ORDER BY c.id LIMIT $2`,
		append([]any{tenantID, limit}, args...)...)
	if err != nil {
		return nil, fmt.Errorf("verify completeness: %w", err)
	}
	wrong, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("verify completeness: %w", err)
	}
	return wrong, nil
}

// fill bounds how many customers one transaction of Fill changes.
const fill = 10_000

// Fill computes what no write has computed yet, such as that of customers from before there was a completeness.
func Fill(ctx context.Context, db *postgres.DB) error {
	for {
		var tenantID int32
		err := db.QueryRow(ctx, `SELECT tenant_id FROM customer_metrics WHERE completeness IS NULL LIMIT 1`).Scan(&tenantID)
		if postgres.IsNone(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look for customers without a completeness: %w", err)
		}
		err = db.InTx(ctx, func(tx postgres.Tx) error {
			rows, err := tx.Query(ctx, `SELECT c.id FROM customer_metrics m JOIN customers c ON c.tenant_id = m.tenant_id AND c.id = m.customer_id
				WHERE m.tenant_id = $1 AND m.completeness IS NULL ORDER BY c.id LIMIT $2 FOR NO KEY UPDATE OF c`, tenantID, fill)
			if err != nil {
				return fmt.Errorf("lock customers without a completeness: %w", err)
			}
			ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
			if err != nil {
				return fmt.Errorf("lock customers without a completeness: %w", err)
			}
			return Refresh(ctx, tx, tenantID, ids)
		})
		if err != nil {
			return err
		}
	}
}
