package customer

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/postgres"
)

// FindAll are the customers that have external ids, as Find finds one; an id that nobody has is not in the answer.
func FindAll(ctx context.Context, q postgres.Querier, tenantID int32, ids []ExternalID) (map[ExternalID]uuid.UUID, error) {
	found := make(map[ExternalID]uuid.UUID, len(ids))
	if len(ids) == 0 {
		return found, nil
	}
	sources, names := make([]string, len(ids)), make([]string, len(ids))
	for i, id := range ids {
		sources[i], names[i] = id.Source, id.ID
	}
	rows, err := q.Query(ctx, `SELECT e.source, e.external_id, e.customer_id FROM unnest($2::text[], $3::text[]) x (source, id)
		CROSS JOIN LATERAL (SELECT e.source, e.external_id, e.customer_id FROM external_ids e
			WHERE e.tenant_id = $1 AND e.source = x.source AND e.external_id = x.id LIMIT 1) e`, tenantID, sources, names)
	if err != nil {
		return nil, fmt.Errorf("look up %d external ids: %w", len(ids), err)
	}
	defer rows.Close()
	for rows.Next() {
		var id ExternalID
		var customer uuid.UUID
		if err := rows.Scan(&id.Source, &id.ID, &customer); err != nil {
			return nil, fmt.Errorf("look up external ids: %w", err)
		}
		found[id] = customer
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("look up external ids: %w", err)
	}
	return found, nil
}
