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

// claimCustomers gives each external id, in ascending order, the customer wanted for it unless it has one, and
// answers whom each has. Two imports of the same customers wait for each other here and make each once.
func claimCustomers(ctx context.Context, q postgres.Querier, tenantID int32, source string, ids []string, want []uuid.UUID, now time.Time) (map[string]uuid.UUID, error) {
	holders := make(map[string]uuid.UUID, len(ids))
	for len(holders) < len(ids) {
		_, err := q.Exec(ctx, `INSERT INTO external_ids (tenant_id, source, external_id, customer_id, created_at)
			SELECT $1, $2, x.id, x.customer, $5 FROM unnest($3::text[], $4::uuid[]) x (id, customer)
			ON CONFLICT ON CONSTRAINT external_ids_pkey DO NOTHING`, tenantID, source, ids, pgUUIDs(want), now)
		if err != nil {
			return nil, fmt.Errorf("claim %d external ids: %w", len(ids), err)
		}
		var id string
		var holder uuid.UUID
		err = forEach(ctx, q, []any{&id, &holder}, func() { holders[id] = holder }, `SELECT x.id, e.customer_id FROM unnest($3::text[]) x (id)
			CROSS JOIN LATERAL (SELECT e.customer_id FROM external_ids e
				WHERE e.tenant_id = $1 AND e.source = $2 AND e.external_id = x.id LIMIT 1) e`, tenantID, source, ids)
		if err != nil {
			return nil, fmt.Errorf("look up %d external ids: %w", len(ids), err)
		}
		// One that is missing was released between the two statements: it is free again.
	}
	return holders, nil
}

// addCustomers makes customers; values are theirs in the order of fieldsOf.
func addCustomers(ctx context.Context, q postgres.Querier, tenantID int32, ids []uuid.UUID, values [][]string, now time.Time) error {
	if len(ids) == 0 {
		return nil
	}
	columns := make([][]string, 12)
	for i := range columns {
		columns[i] = make([]string, len(ids))
		for j, v := range values {
			if i < len(v) {
				columns[i][j] = v[i]
			}
		}
	}
	_, err := q.Exec(ctx, `WITH made AS (INSERT INTO customers (tenant_id, id, version, kind, name, stage, source_channel,
				source_detail, source_campaign, owner, country, province, city, industry, created_at, updated_at)
			SELECT $1, x.id, 1, coalesce(nullif(x.kind, ''), 'person'), coalesce(nullif(x.name, ''), x.external_id),
				coalesce(nullif(x.stage, ''), 'prospect'), coalesce(nullif(x.channel, ''), 'import'), nullif(x.detail, ''),
				nullif(x.campaign, ''), nullif(x.owner, ''), nullif(x.country, ''), nullif(x.province, ''), nullif(x.city, ''),
				nullif(x.industry, ''), $2, $2
			FROM unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[],
				$12::text[], $13::text[], $14::text[], $15::text[])
				x (id, external_id, name, kind, stage, channel, detail, campaign, owner, country, province, city, industry)
			RETURNING tenant_id, id)
		INSERT INTO customer_metrics (tenant_id, customer_id) SELECT tenant_id, id FROM made`,
		tenantID, now, pgUUIDs(ids), columns[0], columns[1], columns[2], columns[3], columns[4], columns[5], columns[6], columns[7],
		columns[8], columns[9], columns[10], columns[11])
	if err != nil {
		return fmt.Errorf("insert %d customers: %w", len(ids), err)
	}
	return nil
}

// lockCustomers keeps others from changing customers, given in ascending order, until the transaction ends, and answers
// those that are deleted.
func lockCustomers(ctx context.Context, q postgres.Querier, tenantID int32, ids []uuid.UUID) (map[uuid.UUID]bool, error) {
	deleted := map[uuid.UUID]bool{}
	if len(ids) == 0 {
		return deleted, nil
	}
	var id uuid.UUID
	var gone bool
	note := func() {
		if gone {
			deleted[id] = true
		}
	}
	err := forEach(ctx, q, []any{&id, &gone}, note, `SELECT c.id, c.deleted_at IS NOT NULL FROM unnest($2::uuid[]) x (id)
		CROSS JOIN LATERAL (SELECT c.id, c.deleted_at FROM customers c WHERE c.tenant_id = $1 AND c.id = x.id FOR NO KEY UPDATE) c`,
		tenantID, pgUUIDs(ids))
	if err != nil {
		return nil, fmt.Errorf("lock %d customers: %w", len(ids), err)
	}
	return deleted, nil
}

// mergeCustomers merges rows into their customers, no two into the same one, and answers the rows that changed
// something. With dry it changes nothing and answers those that would.
func mergeCustomers(ctx context.Context, q postgres.Querier, tenantID int32, ids []uuid.UUID, people []person, dry bool, now time.Time) (map[int]bool, error) {
	columns := make([][]string, 12)
	for i := range columns {
		columns[i] = make([]string, len(people))
		for j := range people {
			columns[i][j] = people[j].values[i]
		}
	}
	const merged = `SELECT c.id, x.n, coalesce(nullif(x.name, ''), c.name) AS name, coalesce(nullif(x.kind, ''), c.kind) AS kind,
			coalesce(nullif(x.stage, ''), c.stage) AS stage,
			coalesce(nullif(x.channel, ''), c.source_channel, CASE WHEN x.detail <> '' OR x.campaign <> '' THEN 'import' END) AS channel,
			coalesce(nullif(x.detail, ''), c.source_detail) AS detail, coalesce(nullif(x.campaign, ''), c.source_campaign) AS campaign,
			coalesce(nullif(x.owner, ''), c.owner) AS owner, coalesce(nullif(x.country, ''), c.country) AS country,
			coalesce(nullif(x.province, ''), c.province) AS province, coalesce(nullif(x.city, ''), c.city) AS city,
			coalesce(nullif(x.industry, ''), c.industry) AS industry
		FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
			$11::text[], $12::text[], $13::text[])
			WITH ORDINALITY x (id, name, kind, stage, channel, detail, campaign, owner, country, province, city, industry, n)
		JOIN customers c ON c.tenant_id = $1 AND c.id = x.id`
	const differs = `(c.name, c.kind, c.stage, c.source_channel, c.source_detail, c.source_campaign, c.owner, c.country,
			c.province, c.city, c.industry)
		IS DISTINCT FROM (n.name, n.kind, n.stage, n.channel, n.detail, n.campaign, n.owner, n.country, n.province, n.city, n.industry)`
	sql := `UPDATE customers c SET name = n.name, kind = n.kind, stage = n.stage, source_channel = n.channel,
			source_detail = n.detail, source_campaign = n.campaign, owner = n.owner, country = n.country, province = n.province,
			city = n.city, industry = n.industry, version = c.version + 1, updated_at = $14
		FROM (` + merged + `) n WHERE c.tenant_id = $1 AND c.id = n.id AND ` + differs + ` RETURNING n.n`
	args := []any{tenantID, pgUUIDs(ids), columns[1], columns[2], columns[3], columns[4], columns[5], columns[6], columns[7],
		columns[8], columns[9], columns[10], columns[11], now}
	if dry {
		sql = `SELECT n.n FROM customers c JOIN (` + merged + `) n ON c.id = n.id WHERE c.tenant_id = $1 AND ` + differs
		args = args[:len(args)-1]
	}
	return positions(ctx, q, "merge customers", sql, args...)
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
