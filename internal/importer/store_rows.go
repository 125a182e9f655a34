package importer

import (
	"context"
	"fmt"
	"math/big"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/kezi-io/kezi/internal/postgres"
)

// The statements of one batch. Each takes its rows as arrays, one per column: they go over in binary, need no
// temporary table to make and drop per batch, and the planner knows how many there are. Rows are looked up one by one
// (LATERAL with LIMIT or a lock, which the planner leaves as it is): while a table grows its statistics lag behind, and for
// "= ANY" the planner then takes to reading the whole tenant and comparing each row with the array.

func readRates(ctx context.Context, q postgres.Querier, tenantID int32, currency string) ([]rate, error) {
	var all []rate
	var from time.Time
	var text string
	sound := true
	add := func() {
		value, ok := new(big.Rat).SetString(text)
		sound = sound && ok
		all = append(all, rate{from, value})
	}
	err := forEach(ctx, q, []any{&from, &text}, add, `SELECT day, rate::text FROM exchange_rates
		WHERE tenant_id = $1 AND currency = $2 ORDER BY day`, tenantID, currency)
	if err != nil {
		return nil, fmt.Errorf("read the rates of %s: %w", currency, err)
	}
	if !sound {
		return nil, fmt.Errorf("read the rates of %s: one is no number", currency)
	}
	return all, nil
}

// claimKeys gives each key, in ascending order, to the transaction wanted for it unless it has one, and answers the
// transactions that got theirs.
func claimKeys(ctx context.Context, q postgres.Querier, tenantID int32, source string, keys []string, customers, ids []uuid.UUID) (map[uuid.UUID]bool, error) {
	claimed := make(map[uuid.UUID]bool, len(keys))
	var id uuid.UUID
	err := forEach(ctx, q, []any{&id}, func() { claimed[id] = true }, `INSERT INTO transaction_keys (tenant_id, source, key,
			customer_id, transaction_id)
		SELECT $1, $2, * FROM unnest($3::text[], $4::uuid[], $5::uuid[])
		ON CONFLICT ON CONSTRAINT transaction_keys_pkey DO NOTHING RETURNING transaction_id`,
		tenantID, source, keys, pgUUIDs(customers), pgUUIDs(ids))
	if err != nil {
		return nil, fmt.Errorf("claim %d transactions: %w", len(keys), err)
	}
	return claimed, nil
}

// holder is the transaction that a key stands for.
type holder struct{ customer, transaction uuid.UUID }

func findKeys(ctx context.Context, q postgres.Querier, tenantID int32, source string, keys []string) (map[string]holder, error) {
	found := make(map[string]holder, len(keys))
	var key string
	var h holder
	err := forEach(ctx, q, []any{&key, &h.customer, &h.transaction}, func() { found[key] = h }, `SELECT x.key, k.customer_id,
			k.transaction_id FROM unnest($3::text[]) x (key)
		CROSS JOIN LATERAL (SELECT k.customer_id, k.transaction_id FROM transaction_keys k
			WHERE k.tenant_id = $1 AND k.source = $2 AND k.key = x.key LIMIT 1) k`, tenantID, source, keys)
	if err != nil {
		return nil, fmt.Errorf("look up %d transactions: %w", len(keys), err)
	}
	return found, nil
}

// positions is the set of rows, counted from 0, that a statement answers by their ordinality.
func positions(ctx context.Context, q postgres.Querier, what, sql string, args ...any) (map[int]bool, error) {
	all := map[int]bool{}
	var n int
	if err := forEach(ctx, q, []any{&n}, func() { all[n-1] = true }, sql, args...); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return all, nil
}

// forEach scans each row of a query's answer into the same variables and calls do.
func forEach(ctx context.Context, q postgres.Querier, into []any, do func(), sql string, args ...any) error {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		do()
	}
	return rows.Err()
}

// pgUUIDs are ids as pgx encodes them without reflection.
func pgUUIDs(ids []uuid.UUID) []pgtype.UUID {
	out := make([]pgtype.UUID, len(ids))
	for i, id := range ids {
		out[i] = pgtype.UUID{Bytes: id, Valid: true}
	}
	return out
}
