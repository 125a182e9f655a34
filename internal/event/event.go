// Package event is the record of everything that changes: a row written in the change's own transaction, numbered
// after the commit, read as a feed without gaps.
package event

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Event is one change, or one change set that touched many customers.
type Event struct {
	Seq             int64 // per tenant 1, 2, 3, ...; 0 until the sequencer has numbered it
	ID              uuid.UUID
	Type            string // customer.updated
	SubjectType     string // customer
	SubjectID       string
	CustomerID      *uuid.UUID
	CustomerVersion *int64         // after the change
	Changed         []string       // names of the contract's fields, sorted; Record takes those of Previous for nil
	Previous        map[string]any // their values before
	Actor           string
	RequestID       string
	ChangeSet       uuid.UUID
	OccurredAt      time.Time
}

// Noted is what a transaction notes of each event and each set of customers, for those who act before it commits.
type Noted struct {
	Call      tenant.Call
	Type      string      // of the event; empty for a set, whose event comes by itself
	SubjectID string      // of the event
	Changed   []string    // of the event
	Customers []uuid.UUID // whom it is about; empty when it is about none
	Means     []string    // fields of conditions that mean something else from now on, see Means
}

// Means notes that fields of conditions, such as scores.clv or tiers.value, mean something else for everybody from now on:
// a new run is in force, the tiers have another order. Values that change for single customers are events of theirs.
func Means(ctx context.Context, q postgres.Querier, call tenant.Call, fields ...string) {
	note(ctx, q, Noted{Call: call, Means: fields})
}

// Imported is what a transaction notes that writes rows of an import, see Within.
const Imported = "import.rows"

// Within notes what the sets of customers that a transaction touches are a part of. It is no event of its own.
func Within(ctx context.Context, q postgres.Querier, call tenant.Call, what string) {
	note(ctx, q, Noted{Call: call, Type: what})
}

// note is for a transaction; outside of one nothing can follow from an event.
func note(ctx context.Context, q postgres.Querier, n Noted) {
	if tx, ok := postgres.In(ctx, q); ok {
		tx.Note(n)
	}
}

// channel wakes the sequencer.
const channel = "kezi_events"

// Record writes an event in the caller's transaction. For a customer's event the caller holds the customer's lock:
// that is what keeps one customer's events in order.
func Record(ctx context.Context, q postgres.Querier, call tenant.Call, now time.Time, e Event) error {
	if e.Previous == nil {
		e.Previous = map[string]any{}
	}
	if e.Changed == nil {
		e.Changed = slices.Collect(maps.Keys(e.Previous))
	}
	e.Changed = append([]string{}, e.Changed...)
	slices.Sort(e.Changed)
	previous, err := json.Marshal(e.Previous)
	if err != nil {
		return fmt.Errorf("write event %s: %w", e.Type, err)
	}
	_, err = q.Exec(ctx, `WITH e AS (INSERT INTO events (tenant_id, id, type, subject_type, subject_id, customer_id,
			customer_version, changed, previous, actor, request_id, change_set, occurred_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13))
		SELECT pg_notify('`+channel+`', '')`,
		call.Tenant.ID, uuid.Must(uuid.NewV7()), e.Type, e.SubjectType, e.SubjectID, e.CustomerID, e.CustomerVersion,
		e.Changed, previous, call.Actor, call.RequestID, call.ChangeSet, now)
	if err != nil {
		return fmt.Errorf("write event %s: %w", e.Type, err)
	}
	n := Noted{Call: call, Type: e.Type, SubjectID: e.SubjectID, Changed: e.Changed}
	if e.CustomerID != nil {
		n.Customers = []uuid.UUID{*e.CustomerID}
	}
	note(ctx, q, n)
	return nil
}

// Touched notes customers as changed by the call's change set; its one event stands for all of them.
func Touched(ctx context.Context, q postgres.Querier, call tenant.Call, customers []uuid.UUID) error {
	_, err := q.Exec(ctx, `INSERT INTO change_set_items (tenant_id, change_set_id, customer_id)
		SELECT $1, $2, unnest($3::uuid[]) ON CONFLICT DO NOTHING`, call.Tenant.ID, call.ChangeSet, customers)
	if err != nil {
		return fmt.Errorf("note a change set's items: %w", err)
	}
	if len(customers) > 0 {
		note(ctx, q, Noted{Call: call, Customers: customers})
	}
	return nil
}

// Query asks for a part of the feed.
type Query struct {
	After      int64 // only events with a higher Seq
	CustomerID *uuid.UUID
	Limit      int
}

// Feed is the numbered events after q.After in ascending Seq, and whether more follow.
func Feed(ctx context.Context, q postgres.Querier, tenantID int32, query Query) ([]Event, bool, error) {
	// Two statements, because a plan for both cases would read the whole feed to find one customer.
	of, args := "", []any{tenantID, query.After, query.Limit + 1}
	if query.CustomerID != nil {
		of, args = "AND customer_id = $4", append(args, *query.CustomerID)
	}
	rows, err := q.Query(ctx, `SELECT seq, id, type, subject_type, subject_id, customer_id, customer_version, changed,
			previous, actor, request_id, change_set, occurred_at
		FROM events WHERE tenant_id = $1 AND seq > $2 `+of+` ORDER BY seq LIMIT $3`, args...)
	if err != nil {
		return nil, false, fmt.Errorf("read the feed: %w", err)
	}
	defer rows.Close()
	events := []Event{}
	for rows.Next() {
		var e Event
		err := rows.Scan(&e.Seq, &e.ID, &e.Type, &e.SubjectType, &e.SubjectID, &e.CustomerID, &e.CustomerVersion,
			&e.Changed, &e.Previous, &e.Actor, &e.RequestID, &e.ChangeSet, &e.OccurredAt)
		if err != nil {
			return nil, false, fmt.Errorf("read the feed: %w", err)
		}
		events = append(events, e)
	}
	if err := rows.Err(); err != nil {
		return nil, false, fmt.Errorf("read the feed: %w", err)
	}
	if len(events) > query.Limit {
		return events[:query.Limit], true, nil
	}
	return events, false, nil
}

// ErrChangeSet is answered for a change set that touched nobody as a set: the event of a single change names its customer.
var ErrChangeSet = fault.New(fault.NotFound, "change_set_not_found",
	"no change set of this id touched a set of customers", "没有涉及一批客户的该变更集")

// Items is a page of the customers that a change set touched, or ErrChangeSet.
func Items(ctx context.Context, q postgres.Querier, tenantID int32, changeSet uuid.UUID, req page.Request) (page.Of[uuid.UUID], error) {
	after := uuid.Nil
	if req.After != nil {
		var err error
		if after, err = uuid.Parse(req.After[0]); err != nil {
			return page.Of[uuid.UUID]{}, page.ErrCursor
		}
	}
	var ids []uuid.UUID
	err := q.Session(ctx).Raw(`SELECT customer_id FROM change_set_items
		WHERE tenant_id = ? AND change_set_id = ? AND customer_id > ? ORDER BY customer_id LIMIT ?`,
		tenantID, changeSet, after, req.Limit+1).Scan(&ids).Error
	if err != nil {
		return page.Of[uuid.UUID]{}, fmt.Errorf("list a change set: %w", err)
	}
	if len(ids) == 0 && req.After == nil {
		return page.Of[uuid.UUID]{}, ErrChangeSet
	}
	return page.Cut(ids, req.Limit, func(id uuid.UUID) page.Key { return page.Key{id.String()} },
		func(id uuid.UUID) uuid.UUID { return id }), nil
}
