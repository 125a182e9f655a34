package tag

import (
	"context"
	"fmt"
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
			ct.source, ct.actor, ct.reason, ct.assigned_at, ct.expires_at, t.condition IS NOT NULL, t.archived_at IS NOT NULL
		FROM customer_tags ct
		JOIN tags t ON t.tenant_id = ct.tenant_id AND t.id = ct.tag_id
		LEFT JOIN tag_groups g ON g.tenant_id = t.tenant_id AND g.id = t.group_id
		WHERE ct.tenant_id = $1 AND ct.customer_id = ANY($2) AND (ct.expires_at IS NULL OR ct.expires_at > $3)
		ORDER BY ct.customer_id, `+sortPosition+`, `+sortGroup+`, t.position, t.name, t.id`, tenantID, ids, now)
	if err != nil {
		return nil, fmt.Errorf("read the tags of %d customers: %w", len(ids), err)
	}
	defer rows.Close()
	for rows.Next() {
		var id uuid.UUID
		var a Assignment
		err := rows.Scan(&id, &a.TagID, &a.Key, &a.Name, &a.Group, &a.Color, &a.Source, &a.Actor, &a.Reason, &a.AssignedAt, &a.ExpiresAt,
			&a.Automatic, &a.Archived)
		if err != nil {
			return nil, fmt.Errorf("read the tags of %d customers: %w", len(ids), err)
		}
		a.AssignedAt, a.ExpiresAt = a.AssignedAt.UTC(), postgres.UTC(a.ExpiresAt)
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
	Automatic bool
	Archived  bool
}

// share reads a tag and its group and keeps both from changing until the transaction ends. The group is read after the
// tag is locked: until then the tag may move.
func share(ctx context.Context, tx postgres.Tx, tenantID int32, id uuid.UUID) (label, error) {
	var l label
	err := tx.QueryRow(ctx, `SELECT group_id, key, name, coalesce(color, ''), condition IS NOT NULL, archived_at IS NOT NULL
		FROM tags WHERE tenant_id = $1 AND id = $2`+string(sharing), tenantID, id).Scan(&l.GroupID, &l.Key, &l.Name, &l.Color, &l.Automatic, &l.Archived)
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

// shareUsable is share of a tag that can be put on. Fails with ErrArchived for one that can't.
func shareUsable(ctx context.Context, tx postgres.Tx, tenantID int32, id uuid.UUID) (label, error) {
	l, err := share(ctx, tx, tenantID, id)
	if err == nil && l.Archived {
		err = ErrArchived
	}
	return l, err
}

// suppressions are the tags that are suppressed for a customer, by name.
func suppressions(ctx context.Context, q postgres.Querier, tenantID int32, customerID uuid.UUID) ([]Suppression, error) {
	rows, err := q.Query(ctx, `SELECT t.id, t.key, t.name, ts.actor, ts.reason, ts.suppressed_at FROM tag_suppressions ts
			JOIN tags t ON t.tenant_id = ts.tenant_id AND t.id = ts.tag_id
		WHERE ts.tenant_id = $1 AND ts.customer_id = $2 ORDER BY t.name, t.id`, tenantID, customerID)
	if err != nil {
		return nil, fmt.Errorf("read the suppressed tags of customer %s: %w", customerID, err)
	}
	defer rows.Close()
	found := []Suppression{}
	for rows.Next() {
		var x Suppression
		if err := rows.Scan(&x.TagID, &x.Key, &x.Name, &x.Actor, &x.Reason, &x.At); err != nil {
			return nil, fmt.Errorf("read the suppressed tags of customer %s: %w", customerID, err)
		}
		x.At = x.At.UTC()
		found = append(found, x)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the suppressed tags of customer %s: %w", customerID, err)
	}
	return found, nil
}

// told begins a statement's part that writes the history.
const told = `INSERT INTO customer_tag_log (tenant_id, customer_id, tag_id, action, source, cause, event, actor, reason, expires_at, change_set, occurred_at) `

// put puts a on the customer by hand; that ends a suppression.
func put(ctx context.Context, q postgres.Querier, call tenant.Call, customerID uuid.UUID, a Assignment, action Action, now time.Time) error {
	_, err := q.Exec(ctx, `WITH put AS (INSERT INTO customer_tags (tenant_id, customer_id, tag_id, source, actor, reason, expires_at, assigned_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
			ON CONFLICT ON CONSTRAINT customer_tags_pkey DO UPDATE SET source = excluded.source, actor = excluded.actor,
				reason = excluded.reason, expires_at = excluded.expires_at, assigned_at = excluded.assigned_at),
		lifted AS (DELETE FROM tag_suppressions WHERE tenant_id = $1 AND customer_id = $2 AND tag_id = $3)
		`+told+`VALUES ($1, $2, $3, $9, $4, 'manual', '', $5, $6, $7, $10, $11)`,
		call.Tenant.ID, customerID, a.TagID, string(a.Source), a.Actor, a.Reason, a.ExpiresAt, a.AssignedAt, string(action), call.ChangeSet, now)
	if err != nil {
		return fmt.Errorf("put tag %s on customer %s: %w", a.TagID, customerID, err)
	}
	return nil
}

// unput takes a off the customer and keeps it off when the action is to suppress it.
func unput(ctx context.Context, q postgres.Querier, call tenant.Call, customerID uuid.UUID, a Assignment, action Action, cause, reason string, now time.Time) error {
	_, err := q.Exec(ctx, `WITH gone AS (DELETE FROM customer_tags WHERE tenant_id = $1 AND customer_id = $2 AND tag_id = $3),
		kept AS (INSERT INTO tag_suppressions (tenant_id, customer_id, tag_id, actor, reason, suppressed_at)
			SELECT $1, $2, $3, $7, $8, $10 WHERE $4 = 'suppressed')
		`+told+`VALUES ($1, $2, $3, $4, $5, $6, '', $7, $8, NULL, $9, $10)`,
		call.Tenant.ID, customerID, a.TagID, string(action), string(a.Source), cause, call.Actor, reason, call.ChangeSet, now)
	if err != nil {
		return fmt.Errorf("take tag %s off customer %s: %w", a.TagID, customerID, err)
	}
	return nil
}

// lift ends a suppression. Fails with ErrNotSuppressed.
func lift(ctx context.Context, q postgres.Querier, call tenant.Call, customerID, tagID uuid.UUID, now time.Time) error {
	done, err := q.Exec(ctx, `WITH gone AS (DELETE FROM tag_suppressions WHERE tenant_id = $1 AND customer_id = $2 AND tag_id = $3 RETURNING tag_id)
		`+told+`SELECT $1, $2, tag_id, 'lifted', 'manual', 'manual', '', $4, '', NULL, $5, $6 FROM gone`,
		call.Tenant.ID, customerID, tagID, call.Actor, call.ChangeSet, now)
	switch {
	case err != nil:
		return fmt.Errorf("lift the suppression of tag %s for customer %s: %w", tagID, customerID, err)
	case done.RowsAffected() == 0:
		return ErrNotSuppressed
	}
	return nil
}
