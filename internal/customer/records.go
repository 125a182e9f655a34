package customer

import (
	"encoding/json"
	"fmt"
)

// Records are customers as rows of table customers in JSON, stored or not: SQL about c can be asked of them by
// json_populate_recordset before they are written.
func Records(tenantID int32, customers []*Customer) ([]byte, error) {
	rows := make([]map[string]any, len(customers))
	for i, c := range customers {
		r := toRow(tenantID, *c)
		rows[i] = map[string]any{"tenant_id": tenantID, "id": r.ID, "version": r.Version, "kind": r.Kind, "name": r.Name, "stage": r.Stage,
			"source_channel": r.SourceChannel, "source_detail": r.SourceDetail, "source_campaign": r.SourceCampaign, "owner": r.Owner,
			"country": r.Country, "province": r.Province, "city": r.City, "industry": r.Industry, "attributes": json.RawMessage(r.Attributes),
			"created_at": r.CreatedAt, "updated_at": r.UpdatedAt}
	}
	out, err := json.Marshal(rows)
	if err != nil {
		return nil, fmt.Errorf("write customers as rows: %w", err)
	}
	return out, nil
}
