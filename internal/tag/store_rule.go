package tag

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/bulk"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/postgres"
)

// decider is an automatic tag in force.
type decider struct {
	id        uuid.UUID
	key       string
	condition filter.Node
	exclusive *uuid.UUID // its group, when that is exclusive
}

// deciders are a tenant's automatic tags in force, in the order in which those of an exclusive group come first: by position,
// then the older one.
func deciders(ctx context.Context, q postgres.Querier, tenantID int32) ([]decider, error) {
	rows, err := q.Query(ctx, `SELECT t.id, t.key, t.condition, CASE WHEN g.exclusive THEN g.id END
		FROM tags t LEFT JOIN tag_groups g ON g.tenant_id = t.tenant_id AND g.id = t.group_id
		WHERE t.tenant_id = $1 AND t.condition IS NOT NULL AND t.archived_at IS NULL ORDER BY t.position, t.id`, tenantID)
	if err != nil {
		return nil, fmt.Errorf("read the conditions of tags: %w", err)
	}
	defer rows.Close()
	var all []decider
	for rows.Next() {
		var d decider
		var raw json.RawMessage
		if err := rows.Scan(&d.id, &d.key, &raw, &d.exclusive); err != nil {
			return nil, fmt.Errorf("read the conditions of tags: %w", err)
		}
		if d.condition, err = bulk.Decode(raw); err != nil {
			return nil, fmt.Errorf("read the condition of tag %s: %w", d.key, err)
		}
		all = append(all, d)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the conditions of tags: %w", err)
	}
	return all, nil
}

// automatic are the keys of a group's automatic tags in force.
func automatic(ctx context.Context, q postgres.Querier, tenantID int32, group uuid.UUID) ([]string, error) {
	return keysOf(q.Query(ctx, `SELECT key FROM tags WHERE tenant_id = $1 AND group_id = $2 AND condition IS NOT NULL AND archived_at IS NULL
		ORDER BY key`, tenantID, group))
}

// rivals are the keys of other automatic tags in force, of those of the groups that are exclusive.
func rivals(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID, groups ...*uuid.UUID) ([]string, error) {
	return keysOf(q.Query(ctx, `SELECT t.key FROM tags t JOIN tag_groups g ON g.tenant_id = t.tenant_id AND g.id = t.group_id AND g.exclusive
		WHERE t.tenant_id = $1 AND t.id <> $2 AND t.group_id = ANY($3) AND t.condition IS NOT NULL AND t.archived_at IS NULL
		ORDER BY t.key`, tenantID, id, groups))
}

func keysOf(rows pgx.Rows, err error) ([]string, error) {
	if err != nil {
		return nil, fmt.Errorf("look for automatic tags: %w", err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look for automatic tags: %w", err)
	}
	return keys, nil
}
