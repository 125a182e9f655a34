package tag

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Of are the tags that customers carry at now, in the order of lists; each customer has an entry. Expired assignments
// and those of deleted tags are not there.
func Of(ctx context.Context, q postgres.Querier, tenantID int32, ids []uuid.UUID, now time.Time) (map[uuid.UUID][]Assignment, error) {
	found := make(map[uuid.UUID][]Assignment, len(ids))
	for _, id := range ids {
		found[id] = []Assignment{}
	}
	rows, err := q.Query(ctx, `SELECT ct.customer_id, t.id, t.key, t.name, coalesce(g.key, ''), coalesce(t.color, g.color, ''),
			ct.source, ct.actor, ct.reason, ct.assigned_at, ct.expires_at
		FROM customer_tags ct
		JOIN tags t ON t.tenant_id = ct.tenant_id AND t.id = ct.tag_id
		LEFT JOIN tag_groups g ON g.tenant_id = t.tenant_id AND g.id = t.group_id
		WHERE ct.tenant_id = $1 AND ct.customer_id = ANY($2) AND (ct.expires_at IS NULL OR ct.expires_at > $3)
		ORDER BY ct.customer_id, `+sortPosition+`, `+sortGroup+`, t.name, t.id`, tenantID, ids, now)
	if err != nil {
		return nil, fmt.Errorf("read the tags of %d customers: %w", len(ids), err)
	}
	defer rows.Close()
	for rows.Next() {
		var id uuid.UUID
		var a Assignment
		err := rows.Scan(&id, &a.TagID, &a.Key, &a.Name, &a.Group, &a.Color, &a.Source, &a.Actor, &a.Reason, &a.AssignedAt, &a.ExpiresAt)
		if err != nil {
			return nil, fmt.Errorf("read the tags of %d customers: %w", len(ids), err)
		}
		a.AssignedAt = a.AssignedAt.UTC()
		if a.ExpiresAt != nil {
			at := a.ExpiresAt.UTC()
			a.ExpiresAt = &at
		}
		found[id] = append(found[id], a)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the tags of %d customers: %w", len(ids), err)
	}
	return found, nil
}

func scanIDs(rows pgx.Rows, err error) ([]uuid.UUID, error) {
	if err != nil {
		return nil, fmt.Errorf("change the tags of many customers: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("change the tags of many customers: %w", err)
	}
	return ids, nil
}

// label is what putting a tag needs to know of it.
type label struct {
	GroupID   *uuid.UUID
	Key       string
	Name      string
	Group     string // key
	Color     string // the tag's, else its group's
	Exclusive bool
}

// share reads a tag and its group and keeps both from changing until the transaction ends. The group is read after the
// tag is locked: until then the tag may move.
func share(ctx context.Context, tx postgres.Tx, tenantID int32, id uuid.UUID) (label, error) {
	var l label
	err := tx.QueryRow(ctx, `SELECT group_id, key, name, coalesce(color, '') FROM tags WHERE tenant_id = $1 AND id = $2`+string(sharing),
		tenantID, id).Scan(&l.GroupID, &l.Key, &l.Name, &l.Color)
	switch {
	case postgres.IsNone(err):
		return label{}, ErrNotFound
	case err != nil:
		return label{}, fmt.Errorf("read tag %s: %w", id, err)
	case l.GroupID == nil:
		return l, nil
	}
	g, err := getGroup(ctx, tx, tenantID, *l.GroupID, sharing)
	if err != nil {
		return label{}, fmt.Errorf("read the group of tag %s: %w", id, err)
	}
	l.Group, l.Exclusive = g.Key, g.Exclusive
	if l.Color == "" {
		l.Color = g.Color
	}
	return l, nil
}

func put(ctx context.Context, q postgres.Querier, tenantID int32, customerID uuid.UUID, a Assignment) error {
	_, err := q.Exec(ctx, `INSERT INTO customer_tags (tenant_id, customer_id, tag_id, source, actor, reason, expires_at, assigned_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT ON CONSTRAINT customer_tags_pkey DO UPDATE SET source = excluded.source, actor = excluded.actor,
			reason = excluded.reason, expires_at = excluded.expires_at, assigned_at = excluded.assigned_at`,
		tenantID, customerID, a.TagID, string(a.Source), a.Actor, a.Reason, a.ExpiresAt, a.AssignedAt)
	if err != nil {
		return fmt.Errorf("put tag %s on customer %s: %w", a.TagID, customerID, err)
	}
	return nil
}

func unput(ctx context.Context, q postgres.Querier, tenantID int32, customerID, tagID uuid.UUID) error {
	_, err := q.Exec(ctx, `DELETE FROM customer_tags WHERE tenant_id = $1 AND customer_id = $2 AND tag_id = $3`,
		tenantID, customerID, tagID)
	if err != nil {
		return fmt.Errorf("take tag %s off customer %s: %w", tagID, customerID, err)
	}
	return nil
}

// putOn puts a on the locked customers and answers those that did not carry it. An expired assignment is none.
func putOn(ctx context.Context, q postgres.Querier, tenantID int32, ids []uuid.UUID, a Assignment, now time.Time) ([]uuid.UUID, error) {
	return scanIDs(q.Query(ctx, `INSERT INTO customer_tags AS ct (tenant_id, customer_id, tag_id, source, actor, reason, expires_at, assigned_at)
		SELECT $1, id, $3::uuid, $4, $5, $6, NULL, $7::timestamptz FROM unnest($2::uuid[]) id ORDER BY id
		ON CONFLICT ON CONSTRAINT customer_tags_pkey DO UPDATE SET source = excluded.source, actor = excluded.actor,
			reason = excluded.reason, expires_at = NULL, assigned_at = excluded.assigned_at
			WHERE ct.expires_at <= $8
		RETURNING customer_id`, tenantID, ids, a.TagID, string(a.Source), a.Actor, a.Reason, a.AssignedAt, now))
}

// displace takes the other tags of a group off the customers and answers the keys of those that somebody carried.
func displace(ctx context.Context, q postgres.Querier, tenantID int32, group, except uuid.UUID, ids []uuid.UUID, now time.Time) ([]string, error) {
	rows, err := q.Query(ctx, `WITH gone AS (DELETE FROM customer_tags ct USING tags t
			WHERE ct.tenant_id = $1 AND t.tenant_id = ct.tenant_id AND t.id = ct.tag_id AND t.group_id = $2 AND t.id <> $3
				AND ct.customer_id = ANY($4)
			RETURNING t.key, ct.expires_at)
		SELECT DISTINCT key FROM gone WHERE expires_at IS NULL OR expires_at > $5`, tenantID, group, except, ids, now)
	if err != nil {
		return nil, fmt.Errorf("take the other tags of group %s off: %w", group, err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("take the other tags of group %s off: %w", group, err)
	}
	return keys, nil
}

// unputFrom takes a tag off the locked customers and answers those that carried it.
func unputFrom(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID, ids []uuid.UUID, now time.Time) ([]uuid.UUID, error) {
	return scanIDs(q.Query(ctx, `WITH gone AS (DELETE FROM customer_tags
			WHERE tenant_id = $1 AND tag_id = $2 AND customer_id = ANY($3) RETURNING customer_id, expires_at)
		SELECT customer_id FROM gone WHERE expires_at IS NULL OR expires_at > $4 ORDER BY customer_id`, tenantID, id, ids, now))
}

// takeOff removes up to limit assignments of a tag that is gone, in ascending order of the customers, and reports
// whether any are left.
func takeOff(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID, limit int) (touched []uuid.UUID, more bool, err error) {
	// Two statements: with fresh tables the planner would join them row by row.
	touched, err = scanIDs(q.Query(ctx, `SELECT customer_id FROM customer_tags
		WHERE tenant_id = $1 AND tag_id = $2 ORDER BY customer_id LIMIT $3 FOR UPDATE`, tenantID, id, limit))
	if err != nil {
		return nil, false, err
	}
	_, err = q.Exec(ctx, `DELETE FROM customer_tags WHERE tenant_id = $1 AND tag_id = $2 AND customer_id = ANY($3)`, tenantID, id, touched)
	if err != nil {
		return nil, false, fmt.Errorf("take tag %s off: %w", id, err)
	}
	err = q.QueryRow(ctx, `SELECT EXISTS (SELECT FROM customer_tags WHERE tenant_id = $1 AND tag_id = $2)`, tenantID, id).Scan(&more)
	if err != nil {
		return nil, false, fmt.Errorf("look for customers with tag %s: %w", id, err)
	}
	return touched, more, nil
}

// bury notes that assignments of a deleted tag are left.
func bury(ctx context.Context, q postgres.Querier, call tenant.Call, id uuid.UUID, now time.Time) error {
	_, err := q.Exec(ctx, `INSERT INTO deleted_tags (tenant_id, tag_id, change_set, deleted_at) VALUES ($1, $2, $3, $4)`,
		call.Tenant.ID, id, call.ChangeSet, now)
	if err != nil {
		return fmt.Errorf("note the deleted tag %s: %w", id, err)
	}
	return nil
}

// buried is a deleted tag with assignments left, or uuid.Nil. One that another process works on is passed over.
func buried(ctx context.Context, tx postgres.Tx, tenantID int32) (id, changeSet uuid.UUID, err error) {
	err = tx.QueryRow(ctx, `SELECT tag_id, change_set FROM deleted_tags WHERE tenant_id = $1
		ORDER BY tag_id LIMIT 1 FOR UPDATE SKIP LOCKED`, tenantID).Scan(&id, &changeSet)
	if err != nil && !postgres.IsNone(err) {
		return uuid.Nil, uuid.Nil, fmt.Errorf("look for deleted tags: %w", err)
	}
	return id, changeSet, nil
}

func forget(ctx context.Context, tx postgres.Tx, tenantID int32, id uuid.UUID) error {
	if _, err := tx.Exec(ctx, `DELETE FROM deleted_tags WHERE tenant_id = $1 AND tag_id = $2`, tenantID, id); err != nil {
		return fmt.Errorf("forget the deleted tag %s: %w", id, err)
	}
	return nil
}

// untidy are the tenants that have something for Tidy.
func untidy(ctx context.Context, q postgres.Querier, now time.Time) ([]int32, error) {
	rows, err := q.Query(ctx, `SELECT n.id FROM tenants n
		WHERE EXISTS (SELECT FROM customer_tags ct WHERE ct.tenant_id = n.id AND ct.expires_at <= $1)
			OR EXISTS (SELECT FROM deleted_tags d WHERE d.tenant_id = n.id)
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

// lapse removes up to limit expired assignments. It answers the customers, the keys of the tags, and how many rows
// there were. Rows that somebody is changing right now are left: they may be put on again.
func lapse(ctx context.Context, tx postgres.Tx, tenantID int32, now time.Time, limit int) (touched []uuid.UUID, keys []string, n int, err error) {
	rows, err := tx.Query(ctx, `WITH gone AS (DELETE FROM customer_tags WHERE tenant_id = $1 AND ctid = ANY(ARRAY(
			SELECT ctid FROM customer_tags WHERE tenant_id = $1 AND expires_at <= $2
			ORDER BY expires_at LIMIT $3 FOR UPDATE SKIP LOCKED))
			RETURNING customer_id, tag_id)
		SELECT gone.customer_id, coalesce((SELECT t.key FROM tags t WHERE t.tenant_id = $1 AND t.id = gone.tag_id), '')
		FROM gone ORDER BY gone.customer_id`, tenantID, now, limit)
	if err != nil {
		return nil, nil, 0, fmt.Errorf("remove expired tags: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id uuid.UUID
		var key string
		if err := rows.Scan(&id, &key); err != nil {
			return nil, nil, 0, fmt.Errorf("remove expired tags: %w", err)
		}
		n++
		touched = append(touched, id)
		if key != "" { // the tag itself may be gone
			keys = append(keys, key)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, nil, 0, fmt.Errorf("remove expired tags: %w", err)
	}
	slices.Sort(keys)
	return slices.Compact(touched), slices.Compact(keys), n, nil
}
