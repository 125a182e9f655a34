package tag

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/bulk"
	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// putOn puts a tag on locked customers by hand and answers those for whom that changed something: who did not carry it, and
// who carried it by rule. Expired assignments are gone by then.
func putOn(ctx context.Context, q postgres.Querier, call tenant.Call, id uuid.UUID, customers []uuid.UUID, reason string, now time.Time) ([]uuid.UUID, error) {
	// A row that the statement has updated bears the statement's own transaction as xmax, a new one none.
	return scanIDs(q.Query(ctx, `WITH put AS (INSERT INTO customer_tags AS ct (tenant_id, customer_id, tag_id, source, actor, reason, expires_at, assigned_at)
			SELECT $1, id, $3::uuid, 'bulk', $4, $5, NULL, $6::timestamptz FROM unnest($2::uuid[]) id ORDER BY id
			ON CONFLICT ON CONSTRAINT customer_tags_pkey DO UPDATE SET source = excluded.source, actor = excluded.actor,
				reason = excluded.reason WHERE ct.source = 'rule'
			RETURNING customer_id, CASE WHEN xmax = 0 THEN 'assigned' ELSE 'changed' END AS action),
		lifted AS (DELETE FROM tag_suppressions ts USING put WHERE ts.tenant_id = $1 AND ts.tag_id = $3 AND ts.customer_id = put.customer_id),
		told AS (`+told+`SELECT $1, customer_id, $3::uuid, action, 'bulk', 'bulk', '', $4, $5, NULL, $7, $6::timestamptz FROM put)
		SELECT customer_id FROM put`, call.Tenant.ID, customers, id, call.Actor, reason, now, call.ChangeSet))
}

// displace takes the other tags of a group off the customers and answers the keys of those that somebody carried.
func displace(ctx context.Context, q postgres.Querier, call tenant.Call, group, except uuid.UUID, ids []uuid.UUID, now time.Time) ([]string, error) {
	rows, err := q.Query(ctx, `WITH gone AS (DELETE FROM customer_tags ct USING tags t
			WHERE ct.tenant_id = $1 AND t.tenant_id = ct.tenant_id AND t.id = ct.tag_id AND t.group_id = $2 AND t.id <> $3
				AND ct.customer_id = ANY($4)
			RETURNING ct.customer_id, t.id, t.key, ct.source, ct.expires_at),
		told AS (`+told+`SELECT $1, customer_id, id, 'removed', source, CASE WHEN expires_at <= $5 THEN 'expired' ELSE 'exclusive' END,
			'', $6, '', NULL, $7, $5::timestamptz FROM gone)
		SELECT DISTINCT key FROM gone WHERE expires_at IS NULL OR expires_at > $5`, call.Tenant.ID, group, except, ids, now, call.Actor, call.ChangeSet)
	if err != nil {
		return nil, fmt.Errorf("take the other tags of group %s off: %w", group, err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("take the other tags of group %s off: %w", group, err)
	}
	return keys, nil
}

// unputFrom takes a tag off locked customers, suppresses it when it is automatic, and answers those that carried it.
func unputFrom(ctx context.Context, q postgres.Querier, call tenant.Call, id uuid.UUID, customers []uuid.UUID, reason string, automatic bool, now time.Time) ([]uuid.UUID, error) {
	return scanIDs(q.Query(ctx, `WITH gone AS (DELETE FROM customer_tags
			WHERE tenant_id = $1 AND tag_id = $2 AND customer_id = ANY($3)
			RETURNING customer_id, source, expires_at IS NULL OR expires_at > $4 AS live),
		kept AS (INSERT INTO tag_suppressions (tenant_id, customer_id, tag_id, actor, reason, suppressed_at)
			SELECT $1, customer_id, $2, $5, $6, $4::timestamptz FROM gone WHERE live AND $8),
		told AS (`+told+`SELECT $1, customer_id, $2, CASE WHEN live AND $8 THEN 'suppressed' ELSE 'removed' END, source,
			CASE WHEN live THEN 'bulk' ELSE 'expired' END, '', $5, $6, NULL, $7, $4::timestamptz FROM gone)
		SELECT customer_id FROM gone WHERE live ORDER BY customer_id`, call.Tenant.ID, id, customers, now, call.Actor, reason, call.ChangeSet, automatic))
}

// moveTo moves locked customers from one tag to another. It answers who carried the first and for whom that changed something:
// who did not carry the other one, or by rule. What a rule has put on comes by hand from now on.
func moveTo(ctx context.Context, q postgres.Querier, call tenant.Call, from Tag, into uuid.UUID, customers []uuid.UUID, now time.Time) (carried, fresh []uuid.UUID, err error) {
	fresh, err = scanIDs(q.Query(ctx, `WITH put AS (INSERT INTO customer_tags AS ct (tenant_id, customer_id, tag_id, source, actor, reason, expires_at, assigned_at)
			SELECT $1, customer_id, $4::uuid, CASE source WHEN 'rule' THEN 'bulk' ELSE source END, CASE source WHEN 'rule' THEN $5 ELSE actor END,
				reason, expires_at, assigned_at
			FROM customer_tags WHERE tenant_id = $1 AND tag_id = $3 AND customer_id = ANY($2) ORDER BY customer_id
			ON CONFLICT ON CONSTRAINT customer_tags_pkey DO UPDATE SET source = excluded.source, actor = excluded.actor,
				reason = excluded.reason, expires_at = excluded.expires_at WHERE ct.source = 'rule'
			RETURNING customer_id, source, actor, reason, expires_at, CASE WHEN xmax = 0 THEN 'assigned' ELSE 'changed' END AS action),
		lifted AS (DELETE FROM tag_suppressions ts USING put WHERE ts.tenant_id = $1 AND ts.tag_id = $4 AND ts.customer_id = put.customer_id),
		told AS (`+told+`SELECT $1, customer_id, $4::uuid, action, source, 'merge', '', $5, reason, expires_at, $6, $7::timestamptz FROM put)
		SELECT customer_id FROM put`, call.Tenant.ID, customers, from.ID, into, call.Actor, call.ChangeSet, now))
	if err != nil {
		return nil, nil, err
	}
	carried, err = scanIDs(q.Query(ctx, `DELETE FROM customer_tags WHERE tenant_id = $1 AND tag_id = $2 AND customer_id = ANY($3) RETURNING customer_id`,
		call.Tenant.ID, from.ID, customers))
	return carried, fresh, err
}

// lapse removes what has expired of locked customers: of one tag, or of all. It answers whom it took something off, and the
// keys of the tags.
func lapse(ctx context.Context, q postgres.Querier, call tenant.Call, customers []uuid.UUID, id *uuid.UUID, now time.Time) (touched []uuid.UUID, keys []string, err error) {
	rows, err := q.Query(ctx, `WITH gone AS (DELETE FROM customer_tags
			WHERE tenant_id = $1 AND customer_id = ANY($2) AND expires_at <= $3 AND ($4::uuid IS NULL OR tag_id = $4)
			RETURNING customer_id, tag_id, source, expires_at),
		told AS (`+told+`SELECT $1, customer_id, tag_id, 'removed', source, 'expired', '', $5, '', expires_at, $6, $3::timestamptz FROM gone)
		SELECT gone.customer_id, coalesce((SELECT t.key FROM tags t WHERE t.tenant_id = $1 AND t.id = gone.tag_id), '')
		FROM gone ORDER BY gone.customer_id`, call.Tenant.ID, customers, now, id, call.Actor, call.ChangeSet)
	if err != nil {
		return nil, nil, fmt.Errorf("remove expired tags: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id uuid.UUID
		var key string
		if err := rows.Scan(&id, &key); err != nil {
			return nil, nil, fmt.Errorf("remove expired tags: %w", err)
		}
		touched = append(touched, id)
		if key != "" { // the tag itself may be gone
			keys = append(keys, key)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, nil, fmt.Errorf("remove expired tags: %w", err)
	}
	slices.Sort(keys)
	return slices.Compact(touched), slices.Compact(keys), nil
}

// overdue are customers with expired assignments, the longest expired first.
func overdue(ctx context.Context, q postgres.Querier, tenantID int32, now time.Time, limit int) ([]uuid.UUID, error) {
	return scanIDs(q.Query(ctx, `SELECT DISTINCT customer_id FROM (SELECT customer_id FROM customer_tags
		WHERE tenant_id = $1 AND expires_at <= $2 ORDER BY expires_at LIMIT $3) x`, tenantID, now, limit))
}

// holdCarriers locks a chunk of the customers who carry a tag, deleted ones too, and reports whether there are more.
func holdCarriers(ctx context.Context, tx postgres.Tx, tenantID int32, id uuid.UUID) (held []uuid.UUID, more bool, err error) {
	ids, err := scanIDs(tx.Query(ctx, `SELECT customer_id FROM customer_tags WHERE tenant_id = $1 AND tag_id = $2
		ORDER BY customer_id LIMIT $3`, tenantID, id, bulk.Chunk+1))
	if err != nil {
		return nil, false, err
	}
	if more = len(ids) > bulk.Chunk; more {
		ids = ids[:bulk.Chunk]
	}
	held, err = customer.HoldThese(ctx, tx, tenantID, ids)
	return held, more, err
}

// some reports whether anybody carries a tag.
func some(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID) (yes bool, err error) {
	err = q.QueryRow(ctx, `SELECT EXISTS (SELECT FROM customer_tags WHERE tenant_id = $1 AND tag_id = $2)`, tenantID, id).Scan(&yes)
	if err != nil {
		return false, fmt.Errorf("look for customers with tag %s: %w", id, err)
	}
	return yes, nil
}

// takeOff removes the assignments of a tag that is gone from locked customers and answers those that had one.
func takeOff(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID, customers []uuid.UUID) ([]uuid.UUID, error) {
	return scanIDs(q.Query(ctx, `DELETE FROM customer_tags ct USING unnest($3::uuid[]) c (id)
		WHERE ct.tenant_id = $1 AND ct.tag_id = $2 AND ct.customer_id = c.id RETURNING ct.customer_id`, tenantID, id, customers))
}

// sweep removes a chunk of what tells of a deleted tag, and answers how much it was.
func sweep(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID) (int64, error) {
	var all int64
	for _, sql := range []string{
		`DELETE FROM tag_suppressions WHERE tenant_id = $1 AND ctid = ANY(ARRAY(SELECT ctid
			FROM tag_suppressions WHERE tenant_id = $1 AND tag_id = $2 ORDER BY customer_id LIMIT $3))`,
		`DELETE FROM customer_tag_log WHERE tenant_id = $1 AND ctid = ANY(ARRAY(SELECT ctid
			FROM customer_tag_log WHERE tenant_id = $1 AND tag_id = $2 ORDER BY ord LIMIT $3))`,
		`DELETE FROM tag_bulks WHERE tenant_id = $1 AND tag_id = $2 AND $3 > 0`,
	} {
		done, err := q.Exec(ctx, sql, tenantID, id, bulk.Chunk)
		if err != nil {
			return 0, fmt.Errorf("remove what is left of tag %s: %w", id, err)
		}
		all += done.RowsAffected()
	}
	return all, nil
}

// foresee tells what a bulk request would do.
func foresee(ctx context.Context, q postgres.Querier, t tenant.Tenant, id uuid.UUID, m Many, now time.Time) (bulk.Result, error) {
	who, args := `c.id = ANY($6)`, []any{m.Customers}
	if m.Condition != nil {
		l, err := condition.For(ctx, q, t, now)
		if err != nil {
			return bulk.Result{}, err
		}
		where, err := l.Catalogue.Compile(m.Condition, l.Env)
		if err != nil {
			return bulk.Result{}, err
		}
		who, args = where.Numbered(6)
	}
	var fitting, changed int
	var found []uuid.UUID
	err := q.QueryRow(ctx, `SELECT count(*), count(*) FILTER (WHERE CASE WHEN $4 THEN ct.tag_id IS NULL OR ct.source = 'rule' ELSE ct.tag_id IS NOT NULL END),
			coalesce(array_agg(c.id) FILTER (WHERE $5), '{}')
		FROM customers c JOIN customer_metrics m ON m.tenant_id = c.tenant_id AND m.customer_id = c.id
			LEFT JOIN customer_tags ct ON ct.tenant_id = c.tenant_id AND ct.customer_id = c.id AND ct.tag_id = $2
				AND (ct.expires_at IS NULL OR ct.expires_at > $3)
		WHERE c.tenant_id = $1 AND c.deleted_at IS NULL AND c.merged_into IS NULL AND (`+who+`)`,
		append([]any{t.ID, id, now, m.Adding, m.Condition == nil}, args...)...).Scan(&fitting, &changed, &found)
	if err != nil {
		return bulk.Result{}, fmt.Errorf("count whom a bulk would change: %w", err)
	}
	r := bulk.Outcome(m.Customers, found, nil)
	r.Changed, r.Unchanged = changed, fitting-changed
	return r, nil
}

func insertBulk(ctx context.Context, tx postgres.Tx, tenantID int32, work, id uuid.UUID, m Many, now time.Time) error {
	raw, err := bulk.Encode(m.Condition)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO tag_bulks (tenant_id, id, tag_id, adding, customers, condition, merged_from, reason, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, nullif($7, '00000000-0000-0000-0000-000000000000'::uuid), $8, $9)`,
		tenantID, work, id, m.Adding, m.Customers, raw, m.mergedFrom, m.Reason, now)
	if err != nil {
		return fmt.Errorf("keep what a job has to do: %w", err)
	}
	return nil
}

// getBulk is what a job has to do, and with which tag. Fails with ErrNotFound when the tag was deleted.
func getBulk(ctx context.Context, q postgres.Querier, tenantID int32, work uuid.UUID) (m Many, id uuid.UUID, err error) {
	var raw json.RawMessage
	err = q.QueryRow(ctx, `SELECT b.tag_id, b.adding, b.customers, b.condition, coalesce(b.merged_from, '00000000-0000-0000-0000-000000000000'::uuid), b.reason
		FROM tag_bulks b JOIN tags t ON t.tenant_id = b.tenant_id AND t.id = b.tag_id
		WHERE b.tenant_id = $1 AND b.id = $2`, tenantID, work).Scan(&id, &m.Adding, &m.Customers, &raw, &m.mergedFrom, &m.Reason)
	switch {
	case postgres.IsNone(err):
		return Many{}, uuid.Nil, ErrNotFound
	case err != nil:
		return Many{}, uuid.Nil, fmt.Errorf("read what a job has to do: %w", err)
	}
	m.Condition, err = bulk.Decode(raw)
	return m, id, err
}

// entries is a page of the history, newest first: of a tag, or of a customer.
func entries(ctx context.Context, q postgres.Querier, tenantID int32, id, customerID *uuid.UUID, req page.Request) (page.Of[Entry], error) {
	before, err := req.Before()
	if err != nil {
		return page.Of[Entry]{}, err
	}
	of := "l.tag_id = $2"
	if customerID != nil {
		of, id = "l.customer_id = $2", customerID
	}
	rows, err := q.Query(ctx, `SELECT l.ord, l.customer_id, t.id, t.key, t.name, l.action, l.source, l.cause, l.event, l.actor, l.reason,
			l.expires_at, l.change_set, l.occurred_at
		FROM customer_tag_log l JOIN tags t ON t.tenant_id = l.tenant_id AND t.id = l.tag_id
		WHERE l.tenant_id = $1 AND `+of+` AND l.ord < $3 ORDER BY l.ord DESC LIMIT $4`, tenantID, id, before, req.Limit+1)
	if err != nil {
		return page.Of[Entry]{}, fmt.Errorf("read the history of tags: %w", err)
	}
	lines, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (page.Line[Entry], error) {
		var l page.Line[Entry]
		e := &l.Entry
		err := row.Scan(&l.Ord, &e.CustomerID, &e.TagID, &e.Key, &e.Name, &e.Action, &e.Source, &e.Cause, &e.Event, &e.Actor, &e.Reason,
			&e.ExpiresAt, &e.ChangeSet, &e.At)
		if err != nil {
			return l, err
		}
		e.ExpiresAt, e.At = postgres.UTC(e.ExpiresAt), e.At.UTC()
		return l, nil
	})
	if err != nil {
		return page.Of[Entry]{}, fmt.Errorf("read the history of tags: %w", err)
	}
	return page.Log(lines, req.Limit), nil
}

// untidy are the tenants that have something for Tidy.
func untidy(ctx context.Context, q postgres.Querier, now time.Time) ([]int32, error) {
	rows, err := q.Query(ctx, `SELECT n.id FROM tenants n
		WHERE EXISTS (SELECT FROM customer_tags ct WHERE ct.tenant_id = n.id AND ct.expires_at <= $1)
			OR EXISTS (SELECT FROM tag_carriers k WHERE k.tenant_id = n.id GROUP BY k.tag_id HAVING count(*) > $2)
		ORDER BY n.id`, now, pile)
	if err != nil {
		return nil, fmt.Errorf("look for expired tags: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil {
		return nil, fmt.Errorf("look for expired tags: %w", err)
	}
	return ids, nil
}

// pile is how many changes of a tag's number of carriers are left as they are: reading them costs less than a
// millisecond.
const pile = 100

// sumUp makes one row of the changes of each tag that has more than a pile of them.
func sumUp(ctx context.Context, q postgres.Querier, tenantID int32) error {
	_, err := q.Exec(ctx, `WITH gone AS (DELETE FROM tag_carriers WHERE tenant_id = $1 AND tag_id IN
				(SELECT tag_id FROM tag_carriers WHERE tenant_id = $1 GROUP BY tag_id HAVING count(*) > $2)
			RETURNING tag_id, change)
		INSERT INTO tag_carriers (tenant_id, tag_id, change) SELECT $1, tag_id, sum(change) FROM gone GROUP BY tag_id`, tenantID, pile)
	if err != nil {
		return fmt.Errorf("add up the carriers of tags: %w", err)
	}
	return nil
}
