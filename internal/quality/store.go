package quality

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/attribute"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/postgres"
)

// row is a line of table validation_rules.
type row struct {
	TenantID  int32     `gorm:"primaryKey"`
	ID        uuid.UUID `gorm:"primaryKey"`
	Version   int64
	AppliesTo string
	Name      string
	Kind      string
	Field     *string
	Pattern   *string
	Condition *string `gorm:"type:jsonb"`
	Severity  string
	MessageEn string
	MessageZh string
	Active    bool
	Position  int
	CreatedAt time.Time
	UpdatedAt time.Time `gorm:"autoUpdateTime:false"` // the service tells the time
}

func (row) TableName() string { return "validation_rules" }

func toRow(tenantID int32, r Rule) (row, error) {
	out := row{TenantID: tenantID, ID: r.ID, Version: r.Version, AppliesTo: string(r.AppliesTo), Name: r.Name, Kind: string(r.Kind),
		Field: postgres.Null(r.Field), Pattern: postgres.Null(r.Pattern), Severity: string(r.Severity), MessageEn: r.Message.En, MessageZh: r.Message.Zh,
		Active: r.Active, Position: r.Position, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt}
	if r.Condition != nil {
		raw, err := json.Marshal(r.Condition)
		if err != nil {
			return row{}, fmt.Errorf("store validation rule %s: %w", r.ID, err)
		}
		out.Condition = postgres.Null(string(raw))
	}
	return out, nil
}

func (r row) rule() (Rule, error) {
	out := Rule{ID: r.ID, Version: r.Version, AppliesTo: attribute.AppliesTo(r.AppliesTo), Name: r.Name, Kind: RuleKind(r.Kind),
		Field: postgres.Value(r.Field), Pattern: postgres.Value(r.Pattern), Severity: Severity(r.Severity), Message: fault.T(r.MessageEn, r.MessageZh),
		Active: r.Active, Position: r.Position, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC()}
	if r.Condition != nil {
		n, err := filter.ParseJSON([]byte(*r.Condition))
		if err != nil {
			return Rule{}, fmt.Errorf("read validation rule %s: %w", r.ID, err)
		}
		out.Condition = n
	}
	return out, nil
}

func rules(rows []row) ([]Rule, error) {
	out := make([]Rule, len(rows))
	for i, r := range rows {
		var err error
		if out[i], err = r.rule(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func list(ctx context.Context, q postgres.Querier, tenantID int32) ([]Rule, error) {
	var rows []row
	if err := q.Session(ctx).Where("tenant_id = ?", tenantID).Order("position, name, id").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("list validation rules: %w", err)
	}
	return rules(rows)
}

func active(ctx context.Context, q postgres.Querier, tenantID int32) ([]Rule, error) {
	var rows []row
	if err := q.Session(ctx).Where("tenant_id = ? AND active", tenantID).Order("position, name, id").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("read the active validation rules: %w", err)
	}
	return rules(rows)
}

func get(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID, lock bool) (Rule, error) {
	sql := `SELECT * FROM validation_rules WHERE tenant_id = ? AND id = ?`
	if lock {
		sql += ` FOR UPDATE`
	}
	var r row
	err := q.Session(ctx).Raw(sql, tenantID, id).Take(&r).Error
	switch {
	case postgres.IsNone(err):
		return Rule{}, ErrNotFound
	case err != nil:
		return Rule{}, fmt.Errorf("read validation rule %s: %w", id, err)
	}
	return r.rule()
}

func insert(ctx context.Context, q postgres.Querier, tenantID int32, rule Rule) error {
	r, err := toRow(tenantID, rule)
	if err != nil {
		return err
	}
	err = q.Session(ctx).Create(&r).Error
	switch {
	case postgres.Violates(err, "validation_rules_name_key"):
		return ErrNameTaken
	case err != nil:
		return fmt.Errorf("insert validation rule %s: %w", rule.ID, err)
	}
	return nil
}

func update(ctx context.Context, q postgres.Querier, tenantID int32, rule Rule) error {
	r, err := toRow(tenantID, rule)
	if err != nil {
		return err
	}
	res := q.Session(ctx).Model(&row{}).Where("tenant_id = ? AND id = ? AND version = ?", tenantID, rule.ID, rule.Version-1).
		Select("version", "applies_to", "name", "kind", "field", "pattern", "condition", "severity", "message_en", "message_zh", "active",
			"position", "updated_at").Updates(r)
	switch {
	case postgres.Violates(res.Error, "validation_rules_name_key"):
		return ErrNameTaken
	case res.Error != nil:
		return fmt.Errorf("update validation rule %s: %w", rule.ID, res.Error)
	case res.RowsAffected != 1:
		return fmt.Errorf("update validation rule %s: %d rows had its version", rule.ID, res.RowsAffected)
	}
	return nil
}

func remove(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID) error {
	if _, err := q.Exec(ctx, `DELETE FROM validation_rules WHERE tenant_id = $1 AND id = $2`, tenantID, id); err != nil {
		return fmt.Errorf("delete validation rule %s: %w", id, err)
	}
	return nil
}

func count(ctx context.Context, q postgres.Querier, tenantID int32) (n int, err error) {
	if err := q.QueryRow(ctx, `SELECT count(*) FROM validation_rules WHERE tenant_id = $1`, tenantID).Scan(&n); err != nil {
		return 0, fmt.Errorf("count validation rules: %w", err)
	}
	return n, nil
}
