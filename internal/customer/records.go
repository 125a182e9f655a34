package customer

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/kezi-io/kezi/internal/tenant"
)

// Records are customers as rows of table customers in JSON, stored or not: SQL about c can be asked of them by
// json_populate_recordset before they are written. Who has no moment of its making yet is made now.
func Records(t tenant.Tenant, customers []*Customer, now time.Time) ([]byte, error) {
	type record struct {
		row
		TenantID int32 `json:"tenant_id"`
	}
	rows := make([]record, len(customers))
	for i, c := range customers {
		r, err := toRow(c, t.Today(now))
		if err != nil {
			return nil, err
		}
		if r.CreatedAt.IsZero() {
			r.CreatedAt, r.UpdatedAt = now, now
		}
		rows[i] = record{r, t.ID}
	}
	out, err := json.Marshal(rows)
	if err != nil {
		return nil, fmt.Errorf("write customers as rows: %w", err)
	}
	return out, nil
}
