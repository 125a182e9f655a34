package segment

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/bulk"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// setPicks puts customers on a list or takes them off, and answers those for whom that changed something.
func setPicks(ctx context.Context, tx postgres.Tx, call tenant.Call, id uuid.UUID, b Bulk, customers []uuid.UUID, now time.Time) ([]uuid.UUID, error) {
	sql, args := `DELETE FROM segment_picks WHERE tenant_id = $1 AND segment_id = $2 AND customer_id = ANY($3) RETURNING customer_id`,
		[]any{call.Tenant.ID, id, customers}
	if b.Adding {
		sql, args = `INSERT INTO segment_picks (tenant_id, customer_id, segment_id, actor, reason, picked_at)
			SELECT $1, unnest($3::uuid[]), $2, $4, $5, $6 ON CONFLICT DO NOTHING RETURNING customer_id`, append(args, call.Actor, b.Reason, now)
	}
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("change the list of segment %s: %w", id, err)
	}
	changed, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("change the list of segment %s: %w", id, err)
	}
	return changed, nil
}

func insertBulk(ctx context.Context, tx postgres.Tx, tenantID int32, id, segmentID uuid.UUID, b Bulk, now time.Time) error {
	raw, err := bulk.Encode(b.Condition)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO segment_bulks (tenant_id, id, segment_id, adding, customers, condition, reason, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, tenantID, id, segmentID, b.Adding, b.Customers, raw, b.Reason, now)
	if err != nil {
		return fmt.Errorf("keep what a job has to do: %w", err)
	}
	return nil
}

// getBulk is what a job has to do, and the key of the segment. Fails with ErrNotFound when the segment was deleted.
func getBulk(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID) (b Bulk, key string, err error) {
	var raw json.RawMessage
	err = q.QueryRow(ctx, `SELECT s.key, b.adding, b.customers, b.condition, b.reason FROM segment_bulks b
			JOIN segments s ON s.tenant_id = b.tenant_id AND s.id = b.segment_id
		WHERE b.tenant_id = $1 AND b.id = $2`, tenantID, id).Scan(&key, &b.Adding, &b.Customers, &raw, &b.Reason)
	switch {
	case postgres.IsNone(err):
		return Bulk{}, "", ErrNotFound
	case err != nil:
		return Bulk{}, "", fmt.Errorf("read what job has to do: %w", err)
	}
	b.Condition, err = bulk.Decode(raw)
	return b, key, err
}

// sweep removes a chunk of what a deleted segment left, and answers how much it was.
func sweep(ctx context.Context, tx postgres.Tx, tenantID int32, id uuid.UUID) (int64, error) {
	var all int64
	for _, sql := range []string{
		`DELETE FROM segment_members WHERE tenant_id = $1 AND ctid = ANY(ARRAY(SELECT ctid
			FROM segment_members WHERE tenant_id = $1 AND segment_id = $2 ORDER BY customer_id LIMIT $3))`,
		`DELETE FROM segment_picks WHERE tenant_id = $1 AND ctid = ANY(ARRAY(SELECT ctid
			FROM segment_picks WHERE tenant_id = $1 AND segment_id = $2 ORDER BY customer_id LIMIT $3))`,
		`DELETE FROM segment_log WHERE tenant_id = $1 AND ctid = ANY(ARRAY(SELECT ctid
			FROM segment_log WHERE tenant_id = $1 AND segment_id = $2 ORDER BY ord LIMIT $3))`,
		`DELETE FROM segment_bulks WHERE tenant_id = $1 AND segment_id = $2 AND $3 > 0`,
	} {
		tag, err := tx.Exec(ctx, sql, tenantID, id, chunk)
		if err != nil {
			return 0, fmt.Errorf("remove what is left of segment %s: %w", id, err)
		}
		all += tag.RowsAffected()
	}
	return all, nil
}

// Of are the segments of customers by key; each customer has an entry.
func Of(ctx context.Context, q postgres.Querier, tenantID int32, ids []uuid.UUID) (map[uuid.UUID][]Membership, error) {
	found := make(map[uuid.UUID][]Membership, len(ids))
	for _, id := range ids {
		found[id] = []Membership{}
	}
	rows, err := q.Query(ctx, `SELECT sm.customer_id, s.key, s.name, s.basis, s.condition IS NULL, sm.since, s.strategy, s.benefits FROM segment_members sm
			JOIN segments s ON s.tenant_id = sm.tenant_id AND s.id = sm.segment_id AND s.archived_at IS NULL
		WHERE sm.tenant_id = $1 AND sm.customer_id = ANY($2) ORDER BY sm.customer_id, s.key`, tenantID, ids)
	if err != nil {
		return nil, fmt.Errorf("read the segments of %d customers: %w", len(ids), err)
	}
	defer rows.Close()
	for rows.Next() {
		var id uuid.UUID
		var m Membership
		if err := rows.Scan(&id, &m.Key, &m.Name, &m.Basis, &m.Static, &m.Since, &m.Strategy, &m.Benefits); err != nil {
			return nil, fmt.Errorf("read the segments of %d customers: %w", len(ids), err)
		}
		m.Since = m.Since.UTC()
		found[id] = append(found[id], m)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the segments of %d customers: %w", len(ids), err)
	}
	return found, nil
}

// counted are how many customers are in segments.
func counted(ctx context.Context, q postgres.Querier, tenantID int32, ids []uuid.UUID) (map[uuid.UUID]int64, error) {
	rows, err := q.Query(ctx, `SELECT s.id, (SELECT count(*) FROM segment_members sm WHERE sm.tenant_id = $1 AND sm.segment_id = s.id)
		FROM unnest($2::uuid[]) s (id)`, tenantID, ids)
	if err != nil {
		return nil, fmt.Errorf("count the customers of segments: %w", err)
	}
	defer rows.Close()
	found := map[uuid.UUID]int64{}
	for rows.Next() {
		var id uuid.UUID
		var n int64
		if err := rows.Scan(&id, &n); err != nil {
			return nil, fmt.Errorf("count the customers of segments: %w", err)
		}
		found[id] = n
	}
	return found, rows.Err()
}

// passages is a page of the log, newest first: of a segment, or of a customer.
func passages(ctx context.Context, q postgres.Querier, tenantID int32, segmentID, customerID *uuid.UUID, req page.Request) (page.Of[Passage], error) {
	before, err := req.Before()
	if err != nil {
		return page.Of[Passage]{}, err
	}
	of, id := "l.segment_id = $2", segmentID
	if customerID != nil {
		of, id = "l.customer_id = $2", customerID
	}
	rows, err := q.Query(ctx, `SELECT l.ord, l.customer_id, s.key, s.name, l.entered, l.cause, l.event, l.leaf, x.condition, l.actor,
			l.change_set, l.occurred_at
		FROM segment_log l JOIN segments s ON s.tenant_id = l.tenant_id AND s.id = l.segment_id
			LEFT JOIN segment_conditions x ON x.tenant_id = l.tenant_id AND x.segment_id = l.segment_id AND x.revision = l.revision
		WHERE l.tenant_id = $1 AND `+of+` AND l.ord < $3 ORDER BY l.ord DESC LIMIT $4`, tenantID, id, before, req.Limit+1)
	if err != nil {
		return page.Of[Passage]{}, fmt.Errorf("read the log of segments: %w", err)
	}
	lines, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (page.Line[Passage], error) {
		var l page.Line[Passage]
		e := &l.Entry
		var leaf *int
		var raw json.RawMessage
		err := row.Scan(&l.Ord, &e.CustomerID, &e.Key, &e.Name, &e.Entered, &e.Cause, &e.Event, &leaf, &raw, &e.Actor, &e.ChangeSet, &e.At)
		if err != nil {
			return l, err
		}
		e.At = e.At.UTC()
		if leaf != nil && raw != nil {
			n, err := filter.ParseJSON(raw)
			if err != nil {
				return l, fmt.Errorf("read a condition of segment %s: %w", e.Key, err)
			}
			if leaves := filter.Leaves(n); *leaf >= 1 && *leaf <= len(leaves) {
				e.Leaf = &leaves[*leaf-1]
			}
		}
		return l, nil
	})
	if err != nil {
		return page.Of[Passage]{}, fmt.Errorf("read the log of segments: %w", err)
	}
	return page.Log(lines, req.Limit), nil
}
