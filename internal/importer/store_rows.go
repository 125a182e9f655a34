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

// ledger is transactions as columns.
type ledger struct {
	ids, customers     []pgtype.UUID
	externalIDs        []string
	statuses, channels []string
	occurredAt, days   []time.Time
	dateOnly           []bool
	amounts, bases     []int64
	currencies         []string
	units              []*int32
}

func (l *ledger) add(id, customer uuid.UUID, f *fact) {
	l.ids = append(l.ids, pgtype.UUID{Bytes: id, Valid: true})
	l.customers = append(l.customers, pgtype.UUID{Bytes: customer, Valid: true})
	l.externalIDs = append(l.externalIDs, f.id)
	l.statuses, l.channels = append(l.statuses, f.status), append(l.channels, f.channel)
	l.occurredAt, l.days = append(l.occurredAt, f.occurredAt), append(l.days, f.day.Time)
	l.dateOnly = append(l.dateOnly, f.dateOnly)
	l.amounts, l.bases = append(l.amounts, f.amount.Minor), append(l.bases, f.base)
	l.currencies, l.units = append(l.currencies, f.amount.Currency), append(l.units, f.units)
}

func (l *ledger) columns() []any {
	return []any{l.ids, l.customers, l.statuses, l.occurredAt, l.dateOnly, l.days, l.amounts, l.currencies, l.bases, l.units,
		l.channels}
}

// unnested is a ledger's columns from $2 on.
const unnested = `unnest($2::uuid[], $3::uuid[], $4::text[], $5::timestamptz[], $6::boolean[], $7::date[], $8::bigint[],
	$9::text[], $10::bigint[], $11::integer[], $12::text[]`

const ledgerColumns = `id, customer_id, status, occurred_at, date_only, day, amount, currency, base_amount, units, channel`

func addTransactions(ctx context.Context, q postgres.Querier, tenantID int32, source string, l *ledger, now time.Time) error {
	if len(l.ids) == 0 {
		return nil
	}
	args := append(append([]any{tenantID}, l.columns()...), l.externalIDs, source, now)
	_, err := q.Exec(ctx, `INSERT INTO transactions (tenant_id, customer_id, id, version, source, external_id, status, occurred_at,
			date_only, day, amount, currency, base_amount, units, channel, created_at, updated_at)
		SELECT $1, x.customer_id, x.id, 1, $14, nullif(x.external_id, ''), coalesce(nullif(x.status, ''), 'completed'), x.occurred_at,
			x.date_only, x.day, x.amount, x.currency, x.base_amount, x.units, nullif(x.channel, ''), $15, $15
		FROM `+unnested+`, $13::text[]) x (`+ledgerColumns+`, external_id)`, args...)
	if err != nil {
		return fmt.Errorf("insert %d transactions: %w", len(l.ids), err)
	}
	return nil
}

// changeTransactions gives transactions the values of rows, empty ones left out, and answers the rows that changed
// something. With dry it changes nothing and answers those that would. An amount that stays keeps the rate that it was converted by.
func changeTransactions(ctx context.Context, q postgres.Querier, tenantID int32, l *ledger, dry bool, now time.Time) (map[int]bool, error) {
	if len(l.ids) == 0 {
		return map[int]bool{}, nil
	}
	const differs = `t.tenant_id = $1 AND t.customer_id = x.customer_id AND t.id = x.id AND
		(t.status, t.occurred_at, t.date_only, t.amount, t.currency, t.units, t.channel) IS DISTINCT FROM
		(coalesce(nullif(x.status, ''), t.status), x.occurred_at, x.date_only, x.amount, x.currency, coalesce(x.units, t.units),
			coalesce(nullif(x.channel, ''), t.channel))`
	args := append(append([]any{tenantID}, l.columns()...), now)
	sql := `UPDATE transactions t SET status = coalesce(nullif(x.status, ''), t.status), occurred_at = x.occurred_at,
			date_only = x.date_only, day = x.day, amount = x.amount, currency = x.currency, base_amount = CASE
				WHEN (t.amount, t.currency, t.day) IS DISTINCT FROM (x.amount, x.currency, x.day) THEN x.base_amount ELSE t.base_amount END,
			units = coalesce(x.units, t.units), channel = coalesce(nullif(x.channel, ''), t.channel), version = t.version + 1,
			updated_at = $13
		FROM ` + unnested + `) WITH ORDINALITY x (` + ledgerColumns + `, n) WHERE ` + differs + ` RETURNING x.n`
	if dry {
		sql = `SELECT x.n FROM transactions t JOIN ` + unnested + `) WITH ORDINALITY x (` + ledgerColumns + `, n) ON ` + differs
		args = args[:len(args)-1]
	}
	return positions(ctx, q, "change transactions", sql, args...)
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
