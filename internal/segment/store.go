package segment

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
)

// row is a line of table segments; nothing outside the store sees it.
type row struct {
	TenantID    int32     `gorm:"primaryKey"`
	ID          uuid.UUID `gorm:"primaryKey"`
	Version     int64
	Key         string
	Name        string
	Description string
	Basis       string
	Strategy    string
	Benefits    json.RawMessage
	Preset      string
	Condition   json.RawMessage
	Revision    int
	EvaluatedAt *time.Time
	ArchivedAt  *time.Time
	CreatedAt   time.Time
	UpdatedAt   time.Time `gorm:"autoUpdateTime:false"` // the service tells the time
}

func (row) TableName() string { return "segments" }

func toRow(tenantID int32, s Segment) (row, error) {
	r := row{TenantID: tenantID, ID: s.ID, Version: s.Version, Key: s.Key, Name: s.Name, Description: s.Description,
		Basis: string(s.Basis), Strategy: s.Strategy, Preset: s.Preset, Revision: s.Revision, EvaluatedAt: s.EvaluatedAt,
		ArchivedAt: s.ArchivedAt, CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt}
	var err error
	if r.Benefits, err = json.Marshal(s.Benefits); err != nil {
		return row{}, fmt.Errorf("write the benefits of segment %s: %w", s.Key, err)
	}
	if s.Condition == nil {
		return r, nil
	}
	if r.Condition, err = json.Marshal(s.Condition); err != nil {
		return row{}, fmt.Errorf("write the condition of segment %s: %w", s.Key, err)
	}
	return r, nil
}

func (r row) segment() (Segment, error) {
	s := Segment{ID: r.ID, Version: r.Version, Key: r.Key, Name: r.Name, Description: r.Description, Basis: Basis(r.Basis),
		Strategy: r.Strategy, Preset: r.Preset, Revision: r.Revision, EvaluatedAt: postgres.UTC(r.EvaluatedAt), ArchivedAt: postgres.UTC(r.ArchivedAt),
		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(), Benefits: []Benefit{}}
	if err := json.Unmarshal(r.Benefits, &s.Benefits); err != nil {
		return Segment{}, fmt.Errorf("read the benefits of segment %s: %w", r.Key, err)
	}
	if r.Condition == nil {
		return s, nil
	}
	var err error
	if s.Condition, err = filter.ParseJSON(r.Condition); err != nil {
		return Segment{}, fmt.Errorf("read the condition of segment %s: %w", r.Key, err)
	}
	return s, nil
}

func segments(rows []row) ([]Segment, error) {
	list := make([]Segment, len(rows))
	for i, r := range rows {
		var err error
		if list[i], err = r.segment(); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// all are a tenant's segments, archived ones included.
func all(ctx context.Context, q postgres.Querier, tenantID int32) ([]Segment, error) {
	var rows []row
	if err := q.Session(ctx).Where("tenant_id = ?", tenantID).Order("key").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("read segments: %w", err)
	}
	return segments(rows)
}

func list(ctx context.Context, q postgres.Querier, tenantID int32, query Query) (page.Of[Segment], error) {
	db := q.Session(ctx).Where("tenant_id = ?", tenantID).Order("key").Limit(query.Page.Limit + 1)
	if query.Basis != "" {
		db = db.Where("basis = ?", query.Basis)
	}
	if query.Archived {
		db = db.Where("archived_at IS NOT NULL")
	} else {
		db = db.Where("archived_at IS NULL")
	}
	if query.Page.After != nil {
		db = db.Where("key > ?", query.Page.After[0])
	}
	var rows []row
	if err := db.Find(&rows).Error; err != nil {
		return page.Of[Segment]{}, fmt.Errorf("list segments: %w", err)
	}
	p := page.Cut(rows, query.Page.Limit, func(r row) page.Key { return page.Key{r.Key} }, func(r row) row { return r })
	items, err := segments(p.Items)
	return page.Of[Segment]{Items: items, Next: p.Next}, err
}

// The strengths with which a segment is read.
const (
	unlocked = ""
	sharing  = " FOR SHARE"         // nobody may change it
	changing = " FOR NO KEY UPDATE" // nor share it
)

func get(ctx context.Context, q postgres.Querier, tenantID int32, key, strength string) (Segment, error) {
	var r row
	err := q.Session(ctx).Raw("SELECT * FROM segments WHERE tenant_id = ? AND key = ?"+strength, tenantID, key).Take(&r).Error
	switch {
	case postgres.IsNone(err):
		return Segment{}, ErrNotFound
	case err != nil:
		return Segment{}, fmt.Errorf("read segment %s: %w", key, err)
	}
	return r.segment()
}

func insert(ctx context.Context, q postgres.Querier, tenantID int32, s Segment) error {
	r, err := toRow(tenantID, s)
	if err != nil {
		return err
	}
	err = q.Session(ctx).Create(&r).Error
	switch {
	case postgres.Violates(err, "segments_key_key"): // the constraint decides, not a prior SELECT
		return ErrKeyTaken
	case err != nil:
		return fmt.Errorf("insert segment %s: %w", s.Key, err)
	}
	return insertCondition(ctx, q, tenantID, r)
}

func update(ctx context.Context, q postgres.Querier, tenantID int32, s Segment) error {
	r, err := toRow(tenantID, s)
	if err != nil {
		return err
	}
	res := q.Session(ctx).Model(&row{}).Where("tenant_id = ? AND id = ? AND version = ?", tenantID, s.ID, s.Version-1).
		Select("version", "name", "description", "basis", "strategy", "benefits", "condition", "revision", "archived_at", "updated_at").Updates(r)
	switch {
	case res.Error != nil:
		return fmt.Errorf("update segment %s: %w", s.Key, res.Error)
	case res.RowsAffected != 1:
		return fmt.Errorf("update segment %s: %d rows had its version", s.Key, res.RowsAffected)
	}
	return insertCondition(ctx, q, tenantID, r)
}

// insertCondition keeps the condition for the log; one of an old revision is there already.
func insertCondition(ctx context.Context, q postgres.Querier, tenantID int32, r row) error {
	if r.Condition == nil {
		return nil
	}
	_, err := q.Exec(ctx, `INSERT INTO segment_conditions (tenant_id, segment_id, revision, condition) VALUES ($1, $2, $3, $4)
		ON CONFLICT DO NOTHING`, tenantID, r.ID, r.Revision, r.Condition)
	if err != nil {
		return fmt.Errorf("keep the condition of segment %s: %w", r.Key, err)
	}
	return nil
}

func remove(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID) error {
	for _, sql := range []string{
		`DELETE FROM segment_conditions WHERE tenant_id = $1 AND segment_id = $2`,
		`DELETE FROM segments WHERE tenant_id = $1 AND id = $2`,
	} {
		if _, err := q.Exec(ctx, sql, tenantID, id); err != nil {
			return fmt.Errorf("delete segment %s: %w", id, err)
		}
	}
	return nil
}
