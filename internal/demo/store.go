package demo

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// state is how far the filling of a tenant is.
type state int

const (
	empty       state = iota
	interrupted       // our customers are there, what comes last is not
	complete
	foreign // somebody else's customers
)

// stateOf tells it by the first customer, which is written first, and by a job that has its fixed id, which is written
// last; without a job the customers are all there is. Neither can be deleted through the API.
func stateOf(ctx context.Context, q postgres.Querier, tenantID int32, person, job uuid.UUID) (state, error) {
	var some, ours, done bool
	err := q.QueryRow(ctx, `SELECT EXISTS (SELECT FROM customers WHERE tenant_id = $1),
			EXISTS (SELECT FROM customers WHERE tenant_id = $1 AND id = $2),
			$3 = '00000000-0000-0000-0000-000000000000'::uuid OR EXISTS (SELECT FROM jobs WHERE tenant_id = $1 AND id = $3)`,
		tenantID, person, job).Scan(&some, &ours, &done)
	switch {
	case err != nil:
		return empty, fmt.Errorf("look for customers: %w", err)
	case !some:
		return empty, nil
	case !ours:
		return foreign, nil
	case !done:
		return interrupted, nil
	}
	return complete, nil
}

// load brings rows into a table through a temporary one: tables under row-level security refuse COPY.
func load(ctx context.Context, tx postgres.Tx, table string, columns []string, rows [][]any) error {
	staged, list := "demo_"+table, strings.Join(columns, ", ")
	if _, err := tx.Exec(ctx, fmt.Sprintf(`CREATE TEMPORARY TABLE %s (LIKE %s INCLUDING DEFAULTS) ON COMMIT DROP`, staged, table)); err != nil {
		return fmt.Errorf("make room for %s: %w", table, err)
	}
	if _, err := tx.CopyFrom(ctx, staged, columns, pgx.CopyFromRows(rows)); err != nil {
		return fmt.Errorf("copy %s: %w", table, err)
	}
	if _, err := tx.Exec(ctx, fmt.Sprintf(`INSERT INTO %s (%s) SELECT %s FROM %s`, table, list, list, staged)); err != nil {
		return fmt.Errorf("insert %s: %w", table, err)
	}
	return nil
}

func insertOrders(ctx context.Context, tx postgres.Tx, t tenant.Tenant, anchor tenant.Day, w world) error {
	const source = "shop"
	var transactions, keys [][]any
	for _, o := range w.orders {
		base, ok := w.base(o.amount, t.Currency, o.at.day)
		if !ok || base.Minor > money.MaxMinor {
			return fmt.Errorf("order %s costs too much", o.externalID)
		}
		at, who := momentAt(anchor, o.at.day, o.at.second, t.Zone), w.people[o.who].ID
		returned, baseReturned := w.returned(o, t.Currency)
		transactions = append(transactions, []any{t.ID, who, o.id, 1, source, o.externalID, string(o.status), at, false,
			dayAt(anchor, o.at.day).Time, o.amount.Minor, o.amount.Currency, base.Minor, o.units, o.channel, at, at, postgres.Null(o.method), postgres.Null(o.store),
			len(o.items), len(o.returns), returned, baseReturned, operator})
		keys = append(keys, []any{t.ID, source, o.externalID, who, o.id})
	}
	err := load(ctx, tx, "transactions", []string{"tenant_id", "customer_id", "id", "version", "source", "external_id", "status",
		"occurred_at", "date_only", "day", "amount", "currency", "base_amount", "units", "channel", "created_at", "updated_at",
		"payment_method", "store", "items", "returns", "returned", "base_returned", "created_by"}, transactions)
	if err != nil {
		return err
	}
	return load(ctx, tx, "transaction_keys", []string{"tenant_id", "source", "key", "customer_id", "transaction_id"}, keys)
}

// chunk is how many customers one transaction removes.
const chunk = 10_000

// Tables with a tenant's rows, each after those that refer to it: first those that hang on a customer, then the others.
var (
	ofCustomers = []string{"contact_points", "addresses", "contacts", "relations", "notes", "customer_tags", "tag_suppressions", "customer_tag_log",
		"segment_members", "segment_picks", "segment_log", "tier_placements", "tier_history", "score_history", "score_touched", "score_gone", "customer_metrics",
		"customer_search", "customer_stages", "external_ids", "transaction_keys",
		"transaction_return_items", "transaction_returns", "transaction_payments", "transaction_statuses", "transaction_items", "transactions"}
	ofTenants = []string{"customer_search_looks", "change_set_items", "events", "event_sequences", "idempotency_keys", "jobs", "import_chunks", "import_errors",
		"import_row_counts", "imports", "tags", "tag_groups", "tag_bulks", "tag_carriers", "tiers", "tier_scheme_versions", "tier_schemes", "score_model_revisions",
		"exchange_rates", "product_relations", "products",
		"segment_bulks", "segment_conditions", "segments", "rule_states", "rule_runs", "rule_touched", "field_definitions", "validation_rules", "completeness_weights"}
)

// wipe removes all rows of a tenant but the tenant itself.
func wipe(ctx context.Context, db *postgres.DB, tenantID int32) error {
	if err := dropScores(ctx, db, tenantID); err != nil {
		return err
	}
	for {
		n, err := removeChunk(ctx, db, tenantID)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
	}
	return db.InTx(ctx, func(tx postgres.Tx) error {
		for _, table := range ofTenants {
			if _, err := tx.Exec(ctx, fmt.Sprintf(`DELETE FROM %s WHERE tenant_id = $1`, table), tenantID); err != nil {
				return fmt.Errorf("empty %s: %w", table, err)
			}
		}
		return nil
	})
}

// dropScores removes the models first, so that nobody looks into the partitions that go.
func dropScores(ctx context.Context, db *postgres.DB, tenantID int32) error {
	return db.InTx(ctx, func(tx postgres.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM score_models WHERE tenant_id = $1`, tenantID); err != nil {
			return fmt.Errorf("remove score models: %w", err)
		}
		rows, err := tx.Query(ctx, `DELETE FROM score_runs WHERE tenant_id = $1 RETURNING run_no`, tenantID)
		if err != nil {
			return fmt.Errorf("remove score runs: %w", err)
		}
		numbers, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			return fmt.Errorf("remove score runs: %w", err)
		}
		// To drop a partition the database waits for all who read any score; others wait behind it.
		if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '10s'`); err != nil {
			return fmt.Errorf("limit the wait for a lock: %w", err)
		}
		for _, no := range numbers {
			if _, err := tx.Exec(ctx, `SELECT kezi_score_drop($1)`, no); err != nil {
				return fmt.Errorf("drop the scores of run number %d: %w", no, err)
			}
		}
		return nil
	})
}

func removeChunk(ctx context.Context, db *postgres.DB, tenantID int32) (n int, err error) {
	err = db.InTx(ctx, func(tx postgres.Tx) error {
		rows, err := tx.Query(ctx, `SELECT id FROM customers WHERE tenant_id = $1 ORDER BY id LIMIT $2 FOR UPDATE`, tenantID, chunk)
		if err != nil {
			return fmt.Errorf("lock customers: %w", err)
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		if n = len(ids); err != nil || n == 0 {
			return err
		}
		for _, table := range ofCustomers {
			if _, err := tx.Exec(ctx, fmt.Sprintf(`DELETE FROM %s WHERE tenant_id = $1 AND customer_id = ANY($2)`, table), tenantID, ids); err != nil {
				return fmt.Errorf("remove from %s: %w", table, err)
			}
		}
		if _, err := tx.Exec(ctx, `DELETE FROM customers WHERE tenant_id = $1 AND id = ANY($2)`, tenantID, ids); err != nil {
			return fmt.Errorf("remove customers: %w", err)
		}
		return nil
	})
	return n, err
}
