package importer

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/kezi-io/kezi/internal/postgres"
)

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
	methods, stores    []string
	items              []*item
	lines              []int32 // how many items each has
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
	l.methods, l.stores = append(l.methods, f.method), append(l.stores, f.store)
	lines := int32(0)
	if f.item != nil {
		lines = 1
	}
	l.items, l.lines = append(l.items, f.item), append(l.lines, lines)
}

func (l *ledger) columns() []any {
	return []any{l.ids, l.customers, l.statuses, l.occurredAt, l.dateOnly, l.days, l.amounts, l.currencies, l.bases, l.units,
		l.channels, l.methods, l.stores}
}

// unnested is a ledger's columns from $2 on.
const unnested = `unnest($2::uuid[], $3::uuid[], $4::text[], $5::timestamptz[], $6::boolean[], $7::date[], $8::bigint[],
	$9::text[], $10::bigint[], $11::integer[], $12::text[], $13::text[], $14::text[]`

const ledgerColumns = `id, customer_id, status, occurred_at, date_only, day, amount, currency, base_amount, units, channel,
	payment_method, store`

func addTransactions(ctx context.Context, q postgres.Querier, tenantID int32, source string, l *ledger, now time.Time) error {
	if len(l.ids) == 0 {
		return nil
	}
	args := append(append([]any{tenantID}, l.columns()...), l.externalIDs, l.lines, source, now)
	_, err := q.Exec(ctx, `INSERT INTO transactions (tenant_id, customer_id, id, version, source, external_id, status, occurred_at,
			date_only, day, amount, currency, base_amount, units, channel, payment_method, store, items, created_at, updated_at)
		SELECT $1, x.customer_id, x.id, 1, $17, nullif(x.external_id, ''), coalesce(nullif(x.status, ''), 'completed'), x.occurred_at,
			x.date_only, x.day, x.amount, x.currency, x.base_amount, x.units, nullif(x.channel, ''), nullif(x.payment_method, ''),
			nullif(x.store, ''), x.items, $18, $18
		FROM `+unnested+`, $15::text[], $16::integer[]) x (`+ledgerColumns+`, external_id, items)`, args...)
	if err != nil {
		return fmt.Errorf("insert %d transactions: %w", len(l.ids), err)
	}
	return addItems(ctx, q, tenantID, l)
}

// changeTransactions gives transactions the values of rows, empty ones left out, and answers the rows that changed
// something. With dry it changes nothing and answers those that would. An amount that stays keeps the rate that it was converted by.
func changeTransactions(ctx context.Context, q postgres.Querier, tenantID int32, l *ledger, dry bool, actor string, now time.Time) (map[int]bool, error) {
	if len(l.ids) == 0 {
		return map[int]bool{}, nil
	}
	const differs = `t.tenant_id = $1 AND t.customer_id = x.customer_id AND t.id = x.id AND
		(t.status, t.occurred_at, t.date_only, t.amount, t.currency, t.units, t.channel, t.payment_method, t.store) IS DISTINCT FROM
		(coalesce(nullif(x.status, ''), t.status), x.occurred_at, x.date_only, x.amount, x.currency, coalesce(x.units, t.units),
			coalesce(nullif(x.channel, ''), t.channel), coalesce(nullif(x.payment_method, ''), t.payment_method),
			coalesce(nullif(x.store, ''), t.store))`
	if dry {
		return positions(ctx, q, "compare transactions", `SELECT x.n FROM transactions t JOIN `+unnested+`) WITH ORDINALITY x (`+
			ledgerColumns+`, n) ON `+differs, append([]any{tenantID}, l.columns()...)...)
	}
	// Ids of steps in the statuses' history; most rows make none.
	steps := make([]pgtype.UUID, len(l.ids))
	for i := range steps {
		steps[i] = pgtype.UUID{Bytes: uuid.Must(uuid.NewV7()), Valid: true}
	}
	args := append(append([]any{tenantID}, l.columns()...), steps, actor, now)
	return positions(ctx, q, "change transactions", `WITH x AS MATERIALIZED (SELECT * FROM `+unnested+`, $15::uuid[]) WITH ORDINALITY
				x (`+ledgerColumns+`, step, n)),
			moved AS (INSERT INTO transaction_statuses (tenant_id, customer_id, transaction_id, id, from_status, to_status, actor, reason, changed_at)
				SELECT $1, t.customer_id, t.id, x.step, t.status, x.status, $16, 'import', $17
				FROM x JOIN transactions t ON t.tenant_id = $1 AND t.customer_id = x.customer_id AND t.id = x.id
				WHERE x.status <> '' AND x.status <> t.status)
		UPDATE transactions t SET status = coalesce(nullif(x.status, ''), t.status), occurred_at = x.occurred_at,
			date_only = x.date_only, day = x.day, amount = x.amount, currency = x.currency, base_amount = CASE
				WHEN (t.amount, t.currency, t.day) IS DISTINCT FROM (x.amount, x.currency, x.day) THEN x.base_amount ELSE t.base_amount END,
			units = coalesce(x.units, t.units), channel = coalesce(nullif(x.channel, ''), t.channel),
			payment_method = coalesce(nullif(x.payment_method, ''), t.payment_method), store = coalesce(nullif(x.store, ''), t.store),
			version = t.version + 1, updated_at = $17
		FROM x WHERE `+differs+` RETURNING x.n`, args...)
}

// contradictions are the rows that what hangs on their transactions does not allow, with why and at which field. Items
// that a row does not describe keep the order's amount; so do returns its currency, and that they are of a part of it
// and on a later day.
func contradictions(ctx context.Context, q postgres.Querier, tenantID int32, l *ledger) (map[int]contradiction, error) {
	found := map[int]contradiction{}
	var n int
	var code string
	err := forEach(ctx, q, []any{&n, &code}, func() { found[n-1] = contradictionOf[code] }, `SELECT n, code FROM (SELECT x.n, CASE
			WHEN (t.amount, t.currency) IS DISTINCT FROM (x.amount, x.currency) AND (t.items > 1 OR (t.items = 1 AND (x.lines = 0 OR t.returns > 0 OR t.discount + t.shipping > 0)))
				THEN 'order_has_items'
			WHEN t.currency <> x.currency AND (t.returns > 0 OR EXISTS (SELECT FROM transaction_payments p
				WHERE p.tenant_id = $1 AND p.customer_id = t.customer_id AND p.transaction_id = t.id)) THEN 'currency_fixed'
			WHEN x.amount < t.returned THEN 'below_returned'
			WHEN t.returns > 0 AND x.day > (SELECT min(r.day) FROM transaction_returns r
				WHERE r.tenant_id = $1 AND r.customer_id = t.customer_id AND r.transaction_id = t.id) THEN 'after_return' END AS code
		FROM unnest($2::uuid[], $3::uuid[], $4::bigint[], $5::text[], $6::date[], $7::integer[]) WITH ORDINALITY
			x (customer_id, id, amount, currency, day, lines, n)
		JOIN transactions t ON t.tenant_id = $1 AND t.customer_id = x.customer_id AND t.id = x.id) x
		WHERE code IS NOT NULL`, tenantID, l.customers, l.ids, l.amounts, l.currencies, l.days, l.lines)
	if err != nil {
		return nil, fmt.Errorf("compare %d transactions with what hangs on them: %w", len(l.ids), err)
	}
	return found, nil
}

type contradiction struct {
	field string
	Problem
}

var contradictionOf = map[string]contradiction{orderHasItems.Code: {"amount", orderHasItems}, currencyFixed.Code: {"currency", currencyFixed},
	belowReturned.Code: {"amount", belowReturned}, afterReturn.Code: {"occurred_at", afterReturn}}

// lined are the items of a ledger as columns, with the rows that they are of, counted from 1.
func (l *ledger) lined() []any {
	var customers, ids []pgtype.UUID
	var skus, names []string
	var quantities, discounts, amounts []int64
	var units []*int64
	var rows []int32
	for n, i := range l.items {
		if i == nil {
			continue
		}
		customers, ids, rows = append(customers, l.customers[n]), append(ids, l.ids[n]), append(rows, int32(n+1)) //nolint:gosec // rows of a batch
		skus, names, quantities = append(skus, i.sku), append(names, i.name), append(quantities, int64(i.quantity))
		units, discounts, amounts = append(units, i.unit), append(discounts, i.discount), append(amounts, i.amount)
	}
	if len(ids) == 0 {
		return nil
	}
	return []any{customers, ids, skus, names, quantities, units, discounts, amounts, rows}
}

const linedUp = `unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::integer[])
	x (customer_id, id, sku, name, quantity, unit_price, discount, amount, n)`

// named are the columns of an item from x, a row, and p, the product that has its sku.
const named = `x.customer_id, x.id, 1, p.id, nullif(x.sku, ''), coalesce(nullif(x.name, ''), p.name, x.sku), p.category, x.quantity,
	x.unit_price, x.discount, x.amount`

const itemColumns = `(tenant_id, customer_id, transaction_id, line, product_id, sku, name, category, quantity, unit_price, discount, amount)`

const productOf = ` LEFT JOIN products p ON p.tenant_id = $1 AND p.sku = x.sku AND x.sku <> ''`

// addItems writes the items of new transactions.
func addItems(ctx context.Context, q postgres.Querier, tenantID int32, l *ledger) error {
	lined := l.lined()
	if lined == nil {
		return nil
	}
	_, err := q.Exec(ctx, `INSERT INTO transaction_items `+itemColumns+` SELECT $1, `+named+` FROM `+linedUp+productOf,
		append([]any{tenantID}, lined...)...)
	if err != nil {
		return fmt.Errorf("insert the items of %d transactions: %w", len(l.ids), err)
	}
	return nil
}

// writeItems writes the items of rows as the only line of their transactions, and answers the rows that changed something.
// Of a transaction that has more lines, returns, or a discount or shipping of its own, they stay as they are. Those already changed do not raise the version again.
func writeItems(ctx context.Context, q postgres.Querier, tenantID int32, l *ledger, already map[int]bool) (map[int]bool, error) {
	lined := l.lined()
	if lined == nil {
		return map[int]bool{}, nil
	}
	fresh := []int32{} // rows whose version is to be raised
	for n := range l.ids {
		if !already[n] {
			fresh = append(fresh, int32(n+1)) //nolint:gosec // rows of a batch
		}
	}
	args := append(append([]any{tenantID}, lined...), fresh)
	return positions(ctx, q, "write items", `WITH x AS MATERIALIZED (SELECT * FROM `+linedUp+`),
			w AS (INSERT INTO transaction_items AS i `+itemColumns+` SELECT $1, `+named+`
				FROM x JOIN transactions t ON t.tenant_id = $1 AND t.customer_id = x.customer_id AND t.id = x.id AND t.items <= 1 AND t.returns = 0
					AND t.discount + t.shipping = 0 `+productOf+`
				ON CONFLICT ON CONSTRAINT transaction_items_pkey DO UPDATE SET product_id = excluded.product_id, sku = excluded.sku,
					name = excluded.name, category = excluded.category, quantity = excluded.quantity, unit_price = excluded.unit_price,
					discount = excluded.discount, amount = excluded.amount
				WHERE (i.sku, i.quantity, i.unit_price, i.discount, i.amount) IS DISTINCT FROM
					(excluded.sku, excluded.quantity, excluded.unit_price, excluded.discount, excluded.amount)
					OR (excluded.sku IS NULL AND i.name <> excluded.name)
				RETURNING customer_id, transaction_id)
		UPDATE transactions t SET items = 1, version = t.version + CASE WHEN x.n = ANY($11::integer[]) THEN 1 ELSE 0 END
		FROM w JOIN x ON x.customer_id = w.customer_id AND x.id = w.transaction_id
		WHERE t.tenant_id = $1 AND t.customer_id = x.customer_id AND t.id = x.id RETURNING x.n`, args...)
}

// differingItems are the rows whose items are not what is stored of them.
func differingItems(ctx context.Context, q postgres.Querier, tenantID int32, l *ledger) (map[int]bool, error) {
	lined := l.lined()
	if lined == nil {
		return map[int]bool{}, nil
	}
	return positions(ctx, q, "compare items", `SELECT x.n FROM `+linedUp+`
		JOIN transactions t ON t.tenant_id = $1 AND t.customer_id = x.customer_id AND t.id = x.id
		LEFT JOIN transaction_items i ON i.tenant_id = $1 AND i.customer_id = x.customer_id AND i.transaction_id = x.id AND i.line = 1
		WHERE t.items > 1 OR (coalesce(i.sku, ''), i.quantity, i.unit_price, i.discount, i.amount) IS DISTINCT FROM
			(x.sku, x.quantity, x.unit_price, x.discount, x.amount) OR (x.sku = '' AND i.name <> x.name)`, append([]any{tenantID}, lined...)...)
}
