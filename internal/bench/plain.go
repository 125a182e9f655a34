package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// plainSQL fills the tables that an import fills, with the same content, as somebody would who has the file, psql and
// nothing else to care for: no other writers, no bad rows, no resuming, one transaction. $tenant, $now, $set and $ms
// stand for values.
//
// An id made of the time and a counter is as good as a UUIDv7 for the order of the index, and costs less.
var plainSQL = []string{
	`ANALYZE staging`,
	`CREATE TEMPORARY TABLE people ON COMMIT DROP AS
		SELECT customer_id AS external_id, (lpad(to_hex($ms), 12, '0') || '70008' || lpad(to_hex(row_number() OVER ()), 15, '0'))::uuid AS id
		FROM (SELECT DISTINCT customer_id FROM staging ORDER BY customer_id) x`,
	`ANALYZE people`,
	`INSERT INTO customers (tenant_id, id, version, kind, name, stage, source_channel, created_at, updated_at)
		SELECT $tenant, id, 1, 'person', external_id, 'prospect', 'import', $now, $now FROM people`,
	`INSERT INTO external_ids (tenant_id, source, external_id, customer_id, created_at)
		SELECT $tenant, 'cdnow', external_id, id, $now FROM people`,
	`INSERT INTO change_set_items (tenant_id, change_set_id, customer_id) SELECT $tenant, $set, id FROM people`,
	`CREATE TEMPORARY TABLE facts ON COMMIT DROP AS
		SELECT p.id AS customer_id, (lpad(to_hex($ms), 12, '0') || '70009' || lpad(to_hex(s.line), 15, '0'))::uuid AS id,
			s.customer_id AS eid, s.date, s.units, s.amount
		FROM staging s JOIN people p ON p.external_id = s.customer_id ORDER BY s.line`,
	`INSERT INTO transactions (tenant_id, customer_id, id, version, source, status, occurred_at, date_only, day, amount, currency,
			base_amount, units, created_at, updated_at)
		SELECT $tenant, customer_id, id, 1, 'cdnow', 'completed', date, true, date, amount, 'USD', amount, units, $now, $now FROM facts`,
	// The key of a row without an external id, as the importer derives it: the hash of the values, each led by its field
	// and its length, and the row's number among its equals. In the order of the key the index is filled from the left.
	`INSERT INTO transaction_keys (tenant_id, source, key, customer_id, transaction_id)
		SELECT $tenant, 'cdnow', 'sha256:' || rtrim(translate(encode(sha256(convert_to(
				'customer_external_id=' || chr(length(eid)) || eid || 'occurred_at=' || chr(10) || date ||
				'amount_minor=' || chr(length(amount::text)) || amount || 'units=' || chr(length(units::text)) || units, 'UTF8')),
				'base64'), '+/', '-_'), '=') || ':' || row_number() OVER (PARTITION BY eid, date, units, amount ORDER BY id),
			customer_id, id FROM facts ORDER BY 3`,
	`INSERT INTO customer_metrics (tenant_id, customer_id, purchase_count, purchase_days, spend_total, first_day_spend,
			units_total, first_purchase_on, last_purchase_on)
		SELECT $tenant, customer_id, sum(n), count(*), sum(amount), (array_agg(amount ORDER BY date))[1], sum(units), min(date), max(date)
		FROM (SELECT customer_id, date, count(*) AS n, sum(amount) AS amount, sum(units) AS units FROM facts GROUP BY customer_id, date) d
		GROUP BY customer_id`,
}

// importPlainly loads the file by plain SQL and answers how long that took.
func (b *bench) importPlainly(ctx context.Context, database string, d dataset) (time.Duration, error) {
	conn, err := pgx.Connect(ctx, b.server.DSN(database))
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx) //nolint:errcheck // every statement has answered
	at := now()
	values := strings.NewReplacer("$tenant", strconv.Itoa(int(b.tenantID)), "$now", "'"+at.Format(time.RFC3339Nano)+"'::timestamptz",
		"$set", "'"+uuid.NewString()+"'::uuid", "$ms", strconv.FormatInt(at.UnixMilli(), 10))
	began := time.Now()
	tx, err := conn.Begin(ctx)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback(ctx) //nolint:errcheck // after Commit it does nothing
	_, err = tx.Exec(ctx, `CREATE TEMPORARY TABLE staging (line bigint GENERATED ALWAYS AS IDENTITY (CACHE 1000), customer_id text,
		date date, units integer, amount bigint) ON COMMIT DROP`)
	if err != nil {
		return 0, err
	}
	err = d.read(func(r io.Reader) error {
		_, err := conn.PgConn().CopyFrom(ctx, r, `COPY staging (customer_id, date, units, amount) FROM STDIN (FORMAT csv, HEADER)`)
		return err
	})
	if err != nil {
		return 0, err
	}
	for _, sql := range plainSQL {
		if _, err := tx.Exec(ctx, values.Replace(sql)); err != nil {
			return 0, fmt.Errorf("%s: %w", sql, err)
		}
	}
	if err := tx.Commit(ctx); err != nil {
		return 0, err
	}
	return time.Since(began), nil
}
