// Package timeline is everything that happened with one customer, newest first: what it bought, returned and paid, what
// was noted, how its stage, tags and tiers moved, and what else was changed about it. It owns no rows; it reads those of
// the subjects.
package timeline

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Kind is what an entry tells of.
type Kind string

// The kinds.
const (
	Order       Kind = "order"
	OrderStatus Kind = "order_status"
	Return      Kind = "return"
	Payment     Kind = "payment"
	Note        Kind = "note"
	Stage       Kind = "stage"
	Tag         Kind = "tag"
	Tier        Kind = "tier"
	Change      Kind = "change"
)

// Kinds are all there are.
var Kinds = []Kind{Order, OrderStatus, Return, Payment, Note, Stage, Tag, Tier, Change}

// Entry is one thing that happened. Which of its members are set is a matter of its kind; the others are empty.
type Entry struct {
	Kind Kind
	ID   uuid.UUID // of the order, return, payment, note, tag, ...
	At   time.Time // UTC; the local day's start where only the day is known
	Details
}

// Details are what an entry tells beside its time.
type Details struct {
	Actor    string   `json:"actor"`
	DateOnly bool     `json:"date_only"` // whether only the local day is known
	OrderID  string   `json:"order_id"`  // of a status, return or payment
	Amount   *int64   `json:"amount"`    // minor units of Currency
	Currency string   `json:"currency"`
	Status   string   `json:"status"` // of an order, now
	From     string   `json:"from"`   // of a stage or status
	To       string   `json:"to"`
	Channel  string   `json:"channel"`
	Store    string   `json:"store"`
	Units    *int64   `json:"units"`
	Reason   string   `json:"reason"`
	Text     string   `json:"text"` // of a note, its first 300 characters
	Name     string   `json:"name"` // of a tag or tier; of a note, its kind
	Key      string   `json:"key"`
	Event    string   `json:"event"` // type of a change's event
	Changed  []string `json:"changed"`
}

// source is where the entries of one kind come from: rows with at, id and details, of the customer $2 of tenant $1, whose
// zone is $3. Rows are few but of orders, whose index gives them in order.
type source struct {
	kind                Kind
	at, id, what, where string
}

// sources read the tables of the subjects; what a customer's events tell besides comes last, without those whose own
// table says more.
var sources = []source{
	{Order, `x.occurred_at`, `x.id`, `jsonb_build_object('date_only', x.date_only, 'amount', x.amount, 'currency', x.currency,
		'status', x.status, 'channel', x.channel, 'store', x.store, 'units', x.units)`,
		`transactions x WHERE x.tenant_id = $1 AND x.customer_id = $2`},
	{OrderStatus, `x.changed_at`, `x.id`, `jsonb_build_object('order_id', x.transaction_id, 'from', x.from_status, 'to', x.to_status,
		'actor', x.actor, 'reason', x.reason)`,
		`transaction_statuses x WHERE x.tenant_id = $1 AND x.customer_id = $2`},
	{Return, `(x.day::timestamp AT TIME ZONE $3)`, `x.id`, `jsonb_build_object('date_only', true, 'order_id', x.transaction_id,
		'amount', x.amount, 'currency', x.currency, 'reason', x.reason, 'actor', x.actor)`,
		`transaction_returns x WHERE x.tenant_id = $1 AND x.customer_id = $2`},
	{Payment, `(x.paid_on::timestamp AT TIME ZONE $3)`, `x.id`, `jsonb_build_object('date_only', true, 'order_id', x.transaction_id,
		'amount', x.paid, 'currency', x.currency)`,
		`transaction_payments x WHERE x.tenant_id = $1 AND x.customer_id = $2 AND x.paid_on IS NOT NULL`},
	{Note, `coalesce(x.occurred_on::timestamp AT TIME ZONE $3, x.created_at)`, `x.id`, `jsonb_build_object('date_only', x.occurred_on IS NOT NULL,
		'name', x.kind, 'text', left(x.body, 300), 'actor', x.author)`,
		`notes x WHERE x.tenant_id = $1 AND x.customer_id = $2`},
	{Stage, `x.at`, `x.id`, `jsonb_build_object('from', x.from_stage, 'to', x.to_stage, 'actor', x.actor, 'reason', x.reason)`,
		`customer_stages x WHERE x.tenant_id = $1 AND x.customer_id = $2`},
	{Tag, `x.assigned_at`, `x.tag_id`, `jsonb_build_object('key', g.key, 'name', g.name, 'actor', x.actor, 'reason', x.reason)`,
		`customer_tags x JOIN tags g ON g.tenant_id = x.tenant_id AND g.id = x.tag_id WHERE x.tenant_id = $1 AND x.customer_id = $2`},
	{Tier, `x.placed_at`, `x.scheme_id`, `jsonb_build_object('key', s.key, 'to', r.key, 'name', r.name)`,
		`tier_placements x JOIN tier_schemes s ON s.tenant_id = x.tenant_id AND s.id = x.scheme_id
		JOIN tiers r ON r.tenant_id = x.tenant_id AND r.scheme_id = x.scheme_id AND r.id = x.tier_id
		WHERE x.tenant_id = $1 AND x.customer_id = $2`},
	{Change, `x.occurred_at`, `x.id`, `jsonb_build_object('event', x.type, 'changed', x.changed, 'actor', x.actor)`,
		`events x WHERE x.tenant_id = $1 AND x.customer_id = $2 AND x.type <> 'customer.tagged'
		AND split_part(x.type, '.', 1) NOT IN ('transaction', 'return', 'payment', 'note')`},
}

// Of is a page of a customer's entries of these kinds; none means all. A merged customer's id answers with the survivor's.
// Fails with customer.ErrNotFound.
func Of(ctx context.Context, q postgres.Querier, t tenant.Tenant, customerID uuid.UUID, kinds []Kind, req page.Request) (page.Of[Entry], error) {
	owner, err := customer.Present(ctx, q, t.ID, customerID)
	if err != nil {
		return page.Of[Entry]{}, err
	}
	args := []any{t.ID, owner, t.Zone.String(), req.Limit + 1}
	var after string
	if req.After != nil {
		key, err := parseKey(req.After)
		if err != nil {
			return page.Of[Entry]{}, err
		}
		// The first comparison is what an index can use, the second one decides among those of the same instant.
		after = ` AND %[1]s <= $5 AND (%[1]s, '%[2]s'::text, %[3]s) < ($5, $6::text, $7::uuid)`
		args = append(args, key...)
	}
	var parts []string
	for _, s := range sources {
		if len(kinds) > 0 && !slices.Contains(kinds, s.kind) {
			continue
		}
		where := s.where
		if after != "" {
			where += fmt.Sprintf(after, s.at, s.kind, s.id)
		}
		parts = append(parts, fmt.Sprintf(`(SELECT '%s'::text AS kind, %s AS at, %s AS id, %s AS details FROM %s ORDER BY %s DESC, %s DESC LIMIT $4)`,
			s.kind, s.at, s.id, s.what, where, s.at, s.id))
	}
	rows, err := q.Query(ctx, `SELECT * FROM (`+strings.Join(parts, " UNION ALL ")+`) x
		WHERE $3::text IS NOT NULL -- which not every kind asks for
		ORDER BY at DESC, kind DESC, id DESC LIMIT $4`, args...)
	if err != nil {
		return page.Of[Entry]{}, fmt.Errorf("read the timeline of customer %s: %w", owner, err)
	}
	defer rows.Close()
	var all []Entry
	for rows.Next() {
		var e Entry
		var details []byte
		if err := rows.Scan(&e.Kind, &e.At, &e.ID, &details); err != nil {
			return page.Of[Entry]{}, fmt.Errorf("read the timeline of customer %s: %w", owner, err)
		}
		if err := json.Unmarshal(details, &e.Details); err != nil {
			return page.Of[Entry]{}, fmt.Errorf("read the timeline of customer %s: %w", owner, err)
		}
		e.At = e.At.UTC()
		all = append(all, e)
	}
	if err := rows.Err(); err != nil {
		return page.Of[Entry]{}, fmt.Errorf("read the timeline of customer %s: %w", owner, err)
	}
	return page.Cut(all, req.Limit, Entry.key, func(e Entry) Entry { return e }), nil
}

func (e Entry) key() page.Key {
	return page.Key{e.At.Format(time.RFC3339Nano), string(e.Kind), e.ID.String()}
}

func parseKey(k page.Key) ([]any, error) {
	if len(k) != 3 {
		return nil, page.ErrCursor
	}
	at, err := time.Parse(time.RFC3339Nano, k[0])
	if err != nil {
		return nil, page.ErrCursor
	}
	id, err := uuid.Parse(k[2])
	if err != nil {
		return nil, page.ErrCursor
	}
	return []any{at, k[1], id}, nil
}
