package synthetic

import (
	"context"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/directory"
	"github.com/kezi-io/kezi/internal/postgres"
)

// loadNames makes what customers are found by, as the service does for those it finds without.
func loadNames(ctx context.Context, w *World, tx postgres.Tx) error {
	return reloadKeyed(ctx, tx, []string{"customer_search"}, func() error {
		ids := make([]uuid.UUID, 0, chunk)
		for i := range w.Customers {
			ids = append(ids, w.someone(i).ID)
			if len(ids) < chunk && i+1 < w.Customers {
				continue
			}
			if err := directory.Refresh(ctx, tx, w.TenantID, ids); err != nil {
				return err
			}
			ids = ids[:0]
		}
		return nil
	})
}
