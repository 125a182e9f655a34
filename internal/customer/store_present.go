package customer

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/postgres"
)

// Present is the id under which a read finds a customer: the survivor's, when it was merged away. Fails with
// ErrNotFound, also for a deleted one. Who writes takes Hold.
func Present(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID) (uuid.UUID, error) {
	for {
		var deleted *time.Time
		var survivor *uuid.UUID
		err := q.QueryRow(ctx, `SELECT deleted_at, merged_into FROM customers WHERE tenant_id = $1 AND id = $2`, tenantID, id).
			Scan(&deleted, &survivor)
		switch {
		case postgres.IsNone(err):
			return uuid.Nil, ErrNotFound
		case err != nil:
			return uuid.Nil, fmt.Errorf("look for customer %s: %w", id, err)
		case survivor != nil:
			id = *survivor
		case deleted != nil:
			return uuid.Nil, ErrNotFound
		default:
			return id, nil
		}
	}
}
