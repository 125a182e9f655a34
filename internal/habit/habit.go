// Package habit derives from a customer's purchases how it buys: where, when, how it pays, and what.
package habit

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/metric"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Habits are counts over all purchases (see metric.Purchase), the most frequent first.
type Habits struct {
	Channels       []Share
	Stores         []Share
	PaymentMethods []Share
	Weekdays       []Share // 1 for Monday to 7 for Sunday (ISO 8601), local days
	Hours          []Share // 0 to 23, local; purchases of which only the day is known have none
	Categories     []Share // of lines; by first part of the category's path
	Products       []Share // of lines; by name
}

// Share is how many purchases, or lines of them, have a value.
type Share struct {
	Value string `json:"value"`
	Count int64  `json:"count"`
	Base  int64  `json:"base"` // what they amount to, minor units of the base currency; of lines in the order's share
}

// most is how many values of each kind are told.
const most = 5

// Of are the habits of one customer, from two statements that each read its purchases once.
func Of(ctx context.Context, q postgres.Querier, t tenant.Tenant, customerID uuid.UUID) (Habits, error) {
	var h Habits
	err := tell(ctx, q, map[string]*[]Share{"channel": &h.Channels, "store": &h.Stores, "payment_method": &h.PaymentMethods,
		"weekday": &h.Weekdays, "hour": &h.Hours}, `SELECT k.kind, k.value, count(*) AS n, sum(t.base_amount) AS base
		FROM transactions t CROSS JOIN LATERAL (VALUES ('channel', t.channel), ('store', t.store), ('payment_method', t.payment_method),
			('weekday', extract(isodow FROM t.day)::text),
			('hour', CASE WHEN NOT t.date_only THEN extract(hour FROM t.occurred_at AT TIME ZONE $4)::text END)) k (kind, value)
		WHERE t.tenant_id = $1 AND t.customer_id = $2 AND k.value IS NOT NULL AND `+metric.Purchase+` GROUP BY 1, 2`,
		t.ID, customerID, most, t.Zone.String())
	if err != nil {
		return Habits{}, err
	}
	err = tell(ctx, q, map[string]*[]Share{"category": &h.Categories, "product": &h.Products}, `SELECT k.kind, k.value, count(*) AS n,
			sum(round(i.amount * t.base_amount / nullif(t.amount, 0)::numeric)) AS base
		FROM transaction_items i
		JOIN transactions t ON t.tenant_id = i.tenant_id AND t.customer_id = i.customer_id AND t.id = i.transaction_id
		CROSS JOIN LATERAL (VALUES ('category', split_part(i.category, '/', 1)), ('product', i.name)) k (kind, value)
		WHERE i.tenant_id = $1 AND i.customer_id = $2 AND k.value <> '' AND `+metric.Purchase+` GROUP BY 1, 2`, t.ID, customerID, most)
	return h, err
}

// tell reads the most frequent values of each kind that grouped answers.
func tell(ctx context.Context, q postgres.Querier, into map[string]*[]Share, grouped string, args ...any) error {
	rows, err := q.Query(ctx, `SELECT kind, json_agg(json_build_object('value', value, 'count', n, 'base', coalesce(base, 0)::bigint) ORDER BY place)
		FROM (SELECT *, row_number() OVER (PARTITION BY kind ORDER BY n DESC, value) AS place FROM (`+grouped+`) g) r
		WHERE place <= $3 GROUP BY kind`, args...)
	if err != nil {
		return fmt.Errorf("read a customer's habits: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var kind string
		var shares []byte
		if err := rows.Scan(&kind, &shares); err != nil {
			return fmt.Errorf("read a customer's habits: %w", err)
		}
		if err := json.Unmarshal(shares, into[kind]); err != nil {
			return fmt.Errorf("read a customer's habits: %w", err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read a customer's habits: %w", err)
	}
	return nil
}
