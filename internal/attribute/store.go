package attribute

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/postgres"
)

// row is a line of table field_definitions.
type row struct {
	TenantID     int32     `gorm:"primaryKey"`
	ID           uuid.UUID `gorm:"primaryKey"`
	Version      int64
	AppliesTo    string
	Key          string
	Label        string
	Type         string
	Required     bool
	DefaultValue *string `gorm:"type:jsonb"`
	Unit         string
	Validation   string `gorm:"type:jsonb"`
	Choices      string `gorm:"type:jsonb"`
	Purpose      string
	Sensitivity  string
	Description  string
	Position     int
	Archived     bool
	CreatedAt    time.Time
	UpdatedAt    time.Time `gorm:"autoUpdateTime:false"` // the service tells the time
	RemovedAt    *time.Time
}

func (row) TableName() string { return "field_definitions" }

func toRow(tenantID int32, d Definition) (row, error) {
	r := row{TenantID: tenantID, ID: d.ID, Version: d.Version, AppliesTo: string(d.AppliesTo), Key: d.Key, Label: d.Label,
		Type: string(d.Type), Required: d.Required, Unit: d.Unit, Purpose: d.Purpose, Sensitivity: string(d.Sensitivity),
		Description: d.Description, Position: d.Position, Archived: d.Archived, CreatedAt: d.CreatedAt, UpdatedAt: d.UpdatedAt}
	if d.Default != nil {
		s := string(d.Default)
		r.DefaultValue = &s
	}
	validation, err := json.Marshal(d.Validation)
	if err != nil {
		return r, fmt.Errorf("store field definition %s: %w", d.ID, err)
	}
	choices, err := json.Marshal(d.Choices)
	if err != nil {
		return r, fmt.Errorf("store field definition %s: %w", d.ID, err)
	}
	r.Validation, r.Choices = string(validation), string(choices)
	return r, nil
}

func (r row) definition() (*Definition, error) {
	d := &Definition{ID: r.ID, Version: r.Version, AppliesTo: AppliesTo(r.AppliesTo), Key: r.Key, Label: r.Label, Type: Type(r.Type),
		Required: r.Required, Unit: r.Unit, Purpose: r.Purpose, Sensitivity: Sensitivity(r.Sensitivity), Description: r.Description,
		Position: r.Position, Archived: r.Archived, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(), removed: r.RemovedAt != nil}
	if r.DefaultValue != nil {
		d.Default = json.RawMessage(*r.DefaultValue)
	}
	if err := json.Unmarshal([]byte(r.Validation), &d.Validation); err != nil {
		return nil, fmt.Errorf("read field definition %s: %w", r.ID, err)
	}
	if err := json.Unmarshal([]byte(r.Choices), &d.Choices); err != nil {
		return nil, fmt.Errorf("read field definition %s: %w", r.ID, err)
	}
	return d, nil
}

// all are the fields of a subject in their display order; an empty subject takes both. With removed it has those too
// whose values are still being removed.
func all(ctx context.Context, q postgres.Querier, tenantID int32, subject AppliesTo, removed bool) ([]*Definition, error) {
	var rows []row
	err := q.Session(ctx).Where("tenant_id = ? AND (subject = ? OR ? = '') AND (removed_at IS NULL OR ?)", tenantID, subject, subject, removed).
		Order("subject, position, label, id").Find(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("list field definitions: %w", err)
	}
	defs := make([]*Definition, len(rows))
	for i, r := range rows {
		if defs[i], err = r.definition(); err != nil {
			return nil, err
		}
	}
	return defs, nil
}

// get is one field, locked for a change or not. A deleted one is ErrNotFound.
func get(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID, lock bool) (*Definition, error) {
	sql := `SELECT * FROM field_definitions WHERE tenant_id = ? AND id = ? AND removed_at IS NULL`
	if lock {
		sql += ` FOR UPDATE`
	}
	var r row
	err := q.Session(ctx).Raw(sql, tenantID, id).Take(&r).Error
	switch {
	case postgres.IsNone(err):
		return nil, ErrNotFound
	case err != nil:
		return nil, fmt.Errorf("read field definition %s: %w", id, err)
	}
	return r.definition()
}

func insert(ctx context.Context, q postgres.Querier, tenantID int32, d Definition) error {
	r, err := toRow(tenantID, d)
	if err != nil {
		return err
	}
	err = q.Session(ctx).Create(&r).Error
	switch {
	case postgres.Violates(err, "field_definitions_key_key"):
		return ErrKeyTaken
	case err != nil:
		return fmt.Errorf("insert field definition %s: %w", d.ID, err)
	}
	return nil
}

func update(ctx context.Context, q postgres.Querier, tenantID int32, d Definition) error {
	r, err := toRow(tenantID, d)
	if err != nil {
		return err
	}
	res := q.Session(ctx).Model(&row{}).Where("tenant_id = ? AND id = ? AND version = ?", tenantID, d.ID, d.Version-1).
		Select("version", "label", "type", "required", "default_value", "unit", "validation", "choices", "purpose", "sensitivity",
			"description", "position", "archived", "updated_at").Updates(r)
	switch {
	case res.Error != nil:
		return fmt.Errorf("update field definition %s: %w", d.ID, res.Error)
	case res.RowsAffected != 1:
		return fmt.Errorf("update field definition %s: %d rows had its version", d.ID, res.RowsAffected)
	}
	return nil
}

// bury hides the field and its values until a job has removed them.
func bury(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID, now time.Time) error {
	_, err := q.Exec(ctx, `UPDATE field_definitions SET removed_at = $3 WHERE tenant_id = $1 AND id = $2`, tenantID, id, now)
	if err != nil {
		return fmt.Errorf("delete field definition %s: %w", id, err)
	}
	return nil
}

func remove(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID) error {
	if _, err := q.Exec(ctx, `DELETE FROM field_definitions WHERE tenant_id = $1 AND id = $2`, tenantID, id); err != nil {
		return fmt.Errorf("delete field definition %s: %w", id, err)
	}
	return nil
}

// Visible are the keys of a subject's values that may be shown, of personal and secret fields only with guarded. What
// is stored under no field, because it was deleted, is never shown.
func Visible(ctx context.Context, q postgres.Querier, tenantID int32, subject AppliesTo, guarded bool) (map[string]bool, error) {
	rows, err := q.Query(ctx, `SELECT key FROM field_definitions WHERE tenant_id = $1 AND subject = $2
		AND removed_at IS NULL AND ($3 OR sensitivity NOT IN ('personal', 'secret'))`, tenantID, string(subject), guarded)
	if err != nil {
		return nil, fmt.Errorf("read the visible fields: %w", err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read the visible fields: %w", err)
	}
	set := make(map[string]bool, len(keys))
	for _, k := range keys {
		set[k] = true
	}
	return set, nil
}

// survivors are the customers among ids that exist, each with the one that it was merged into, or itself.
func survivors(ctx context.Context, q postgres.Querier, tenantID int32, ids []uuid.UUID) (map[uuid.UUID]uuid.UUID, error) {
	found := map[uuid.UUID]uuid.UUID{}
	if len(ids) == 0 {
		return found, nil
	}
	rows, err := q.Query(ctx, `WITH RECURSIVE chain (given, id, merged_into, deleted_at) AS (
			SELECT c.id, c.id, c.merged_into, c.deleted_at FROM customers c WHERE c.tenant_id = $1 AND c.id = ANY($2)
			UNION ALL SELECT k.given, c.id, c.merged_into, c.deleted_at FROM chain k
				JOIN customers c ON c.tenant_id = $1 AND c.id = k.merged_into)
		SELECT given, id FROM chain WHERE merged_into IS NULL AND deleted_at IS NULL`, tenantID, ids)
	if err != nil {
		return nil, fmt.Errorf("look up %d referenced customers: %w", len(ids), err)
	}
	defer rows.Close()
	for rows.Next() {
		var given, survivor uuid.UUID
		if err := rows.Scan(&given, &survivor); err != nil {
			return nil, fmt.Errorf("look up %d referenced customers: %w", len(ids), err)
		}
		found[given] = survivor
	}
	return found, rows.Err()
}
