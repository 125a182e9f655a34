package relation

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/owned"
	"github.com/kezi-io/kezi/internal/postgres"
)

// holdGroups lets one transaction of a tenant after the other write parents. Who needs it takes it before any customer.
func holdGroups(ctx context.Context, tx postgres.Tx, tenantID int32) error {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('kezi_parents', $1))`, int64(tenantID)); err != nil {
		return fmt.Errorf("wait for others who write parents: %w", err)
	}
	return nil
}

// parentOf is the relation of a company with its parent, and whether that is deleted; or ErrNotFound.
func parentOf(ctx context.Context, tx postgres.Tx, tenantID int32, id uuid.UUID) (r Relation, deleted bool, err error) {
	r = Relation{Type: Parent, Base: owned.Base{CustomerID: id}}
	err = tx.QueryRow(ctx, `SELECT r.id, r.version, r.other_id, r.note, r.since, p.deleted_at IS NOT NULL
		FROM relations r JOIN customers p ON p.tenant_id = r.tenant_id AND p.id = r.other_id
		WHERE r.tenant_id = $1 AND r.customer_id = $2 AND r.type = 'parent'`, tenantID, id).
		Scan(&r.ID, &r.Version, &r.Other.ID, &r.Note, &r.Since, &deleted)
	switch {
	case postgres.IsNone(err):
		return Relation{}, false, ErrNotFound
	case err != nil:
		return Relation{}, false, fmt.Errorf("read the parent of company %s: %w", id, err)
	}
	return r, deleted, nil
}

// ancestors are a company and all above it, deleted ones included: undeleted they would be in the way again. The walk
// ends though the data had a circle.
func ancestors(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID) ([]uuid.UUID, error) {
	return walkUp(ctx, q, tenantID, id, `SELECT r.other_id, up.depth + 1 FROM up
		JOIN relations r ON r.tenant_id = $1 AND r.customer_id = up.id AND r.type = 'parent'`)
}

// livingAncestors are a company and those above it up to the first that is deleted.
func livingAncestors(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID) ([]uuid.UUID, error) {
	return walkUp(ctx, q, tenantID, id, `SELECT r.other_id, up.depth + 1 FROM up
		JOIN relations r ON r.tenant_id = $1 AND r.customer_id = up.id AND r.type = 'parent'
		JOIN LATERAL (SELECT deleted_at FROM customers WHERE tenant_id = $1 AND id = r.other_id OFFSET 0) c ON c.deleted_at IS NULL`)
}

func walkUp(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID, step string) ([]uuid.UUID, error) {
	rows, err := q.Query(ctx, `WITH RECURSIVE up (id, depth) AS (SELECT $2::uuid, 0 UNION ALL `+step+` WHERE up.depth < $3)
		SELECT id FROM up ORDER BY depth`, tenantID, id, MaxLevels)
	if err != nil {
		return nil, fmt.Errorf("walk up from company %s: %w", id, err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("walk up from company %s: %w", id, err)
	}
	return ids, nil
}

// height is the number of levels of a company and those below it.
func height(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID) (levels int, err error) {
	err = q.QueryRow(ctx, `WITH RECURSIVE down (id, depth) AS (SELECT $2::uuid, 1 UNION ALL
			SELECT r.customer_id, down.depth + 1 FROM down
			JOIN relations r ON r.tenant_id = $1 AND r.other_id = down.id AND r.type = 'parent' WHERE down.depth <= $3)
		SELECT max(depth) FROM down`, tenantID, id, MaxLevels).Scan(&levels)
	if err != nil {
		return 0, fmt.Errorf("walk down from company %s: %w", id, err)
	}
	return levels, nil
}

// descendants are a company and those below it, level by level; deleted ones and what is below them are left out. A
// recursive query makes its rows level by level and stops when no more are asked for, so LIMIT bounds the work too.
func descendants(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID) (nodes []Node, truncated bool, err error) {
	rows, err := q.Query(ctx, `WITH RECURSIVE down (id, name, kind, parent_id, depth) AS (
			SELECT id, name, kind, NULL::uuid, 0 FROM customers WHERE tenant_id = $1 AND id = $2
			UNION ALL
			SELECT r.customer_id, c.name, c.kind, down.id, down.depth + 1 FROM down
			JOIN relations r ON r.tenant_id = $1 AND r.other_id = down.id AND r.type = 'parent'
			JOIN LATERAL (SELECT name, kind, deleted_at FROM customers WHERE tenant_id = $1 AND id = r.customer_id OFFSET 0) c
				ON c.deleted_at IS NULL
			WHERE down.depth < $3)
		SELECT * FROM (SELECT * FROM down LIMIT $4) found ORDER BY depth, name, id`, tenantID, id, MaxLevels, MaxNodes+1)
	if err != nil {
		return nil, false, fmt.Errorf("read the group below company %s: %w", id, err)
	}
	nodes, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Node])
	if err != nil {
		return nil, false, fmt.Errorf("read the group below company %s: %w", id, err)
	}
	if len(nodes) > MaxNodes {
		return nodes[:MaxNodes], true, nil
	}
	return nodes, false, nil
}
