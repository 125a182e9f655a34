package tier

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// row is a line of table tier_schemes with its tiers; nothing outside the store sees it.
type row struct {
	TenantID      int32     `gorm:"primaryKey"`
	ID            uuid.UUID `gorm:"primaryKey"`
	Version       int64
	Key           string
	Name          string
	Preset        string
	Revision      int
	Qualification string
	WindowMonths  int
	WindowDays    int
	Downgrade     string
	DowngradeAt   string
	GraceDays     int
	Draft         json.RawMessage // a document
	EvaluatedAt   *time.Time
	CreatedAt     time.Time
	UpdatedAt     time.Time       `gorm:"autoUpdateTime:false"` // the service tells the time
	Tiers         json.RawMessage `gorm:"column:tiers;->"`      // read only: a list of tierDocument
}

func (row) TableName() string { return "tier_schemes" }

// tierRow is a line of table tiers.
type tierRow struct {
	TenantID  int32     `gorm:"primaryKey"`
	SchemeID  uuid.UUID `gorm:"primaryKey"`
	ID        uuid.UUID `gorm:"primaryKey"`
	Rank      int
	Key       string
	Name      string
	Condition json.RawMessage
	Keep      json.RawMessage
	Strategy  string
	Benefits  json.RawMessage
}

func (tierRow) TableName() string { return "tiers" }

// columns reads a whole row of s; its tiers come in the same statement and so are of the same version.
const columns = `s.*,
	(SELECT json_agg(json_build_object('id', r.id, 'key', r.key, 'name', r.name, 'condition', r.condition, 'keep', r.keep,
			'strategy', r.strategy, 'benefits', r.benefits) ORDER BY r.rank)
		FROM tiers r WHERE r.tenant_id = s.tenant_id AND r.scheme_id = s.id) AS tiers`

func toRow(tenantID int32, s Scheme) (row, error) {
	r := row{TenantID: tenantID, ID: s.ID, Version: s.Version, Key: s.Key, Name: s.Name, Preset: s.Preset, Revision: s.Revision,
		Qualification: string(s.Window), WindowMonths: s.Months, WindowDays: s.Days, Downgrade: string(s.Downgrade),
		DowngradeAt: string(s.DowngradeAt), GraceDays: s.GraceDays, EvaluatedAt: s.EvaluatedAt, CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt}
	if s.Draft == nil {
		return r, nil
	}
	var err error
	if r.Draft, err = json.Marshal(s.Draft.document()); err != nil {
		return row{}, fmt.Errorf("write the draft of scheme %s: %w", s.Key, err)
	}
	return r, nil
}

func (r row) scheme() (Scheme, error) {
	s := Scheme{ID: r.ID, Version: r.Version, Key: r.Key, Name: r.Name, Preset: r.Preset, Revision: r.Revision, CreatedAt: r.CreatedAt.UTC(),
		UpdatedAt: r.UpdatedAt.UTC(), EvaluatedAt: postgres.UTC(r.EvaluatedAt)}
	d := document{Window: Window(r.Qualification), Months: r.WindowMonths, Days: r.WindowDays, Downgrade: Downgrade(r.Downgrade),
		DowngradeAt: Moment(r.DowngradeAt), GraceDays: r.GraceDays}
	if r.Tiers != nil {
		if err := json.Unmarshal(r.Tiers, &d.Tiers); err != nil {
			return Scheme{}, fmt.Errorf("read the tiers of scheme %s: %w", r.Key, err)
		}
	}
	var err error
	if s.Definition, err = d.definition(); err != nil {
		return Scheme{}, fmt.Errorf("read the tiers of scheme %s: %w", r.Key, err)
	}
	if r.Draft == nil {
		return s, nil
	}
	draft, err := readDocument(r.Draft)
	if err != nil {
		return Scheme{}, fmt.Errorf("read the draft of scheme %s: %w", r.Key, err)
	}
	s.Draft = &draft
	return s, nil
}

func readDocument(raw json.RawMessage) (Definition, error) {
	var d document
	if err := json.Unmarshal(raw, &d); err != nil {
		return Definition{}, err
	}
	return d.definition()
}

func list(ctx context.Context, q postgres.Querier, tenantID int32) ([]Scheme, error) {
	var rows []row
	err := q.Session(ctx).Raw(`SELECT `+columns+` FROM tier_schemes s WHERE s.tenant_id = ? ORDER BY s.key`, tenantID).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("list tier schemes: %w", err)
	}
	all := make([]Scheme, len(rows))
	for i, r := range rows {
		if all[i], err = r.scheme(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func get(ctx context.Context, q postgres.Querier, tenantID int32, key string) (Scheme, error) {
	var r row
	err := q.Session(ctx).Raw(`SELECT `+columns+` FROM tier_schemes s WHERE s.tenant_id = ? AND s.key = ?`, tenantID, key).Take(&r).Error
	switch {
	case postgres.IsNone(err):
		return Scheme{}, ErrNotFound
	case err != nil:
		return Scheme{}, fmt.Errorf("read tier scheme %s: %w", key, err)
	}
	return r.scheme()
}

// lock reads a scheme and keeps others from changing it or placing anybody in it until the transaction ends. It reads
// in a second statement: the first may have waited, and its snapshot would be from before.
func lock(ctx context.Context, tx postgres.Tx, tenantID int32, key string) (Scheme, error) {
	_, err := tx.Exec(ctx, `SELECT FROM tier_schemes WHERE tenant_id = $1 AND key = $2 FOR UPDATE`, tenantID, key)
	if err != nil {
		return Scheme{}, fmt.Errorf("lock tier scheme %s: %w", key, err)
	}
	return get(ctx, tx, tenantID, key)
}

func insert(ctx context.Context, q postgres.Querier, tenantID int32, s Scheme) error {
	r, err := toRow(tenantID, s)
	if err != nil {
		return err
	}
	err = q.Session(ctx).Create(&r).Error
	switch {
	case postgres.Violates(err, "tier_schemes_key_key"):
		return ErrKeyTaken
	case err != nil:
		return fmt.Errorf("insert tier scheme %s: %w", s.Key, err)
	}
	return insertTiers(ctx, q, tenantID, s)
}

func insertTiers(ctx context.Context, q postgres.Querier, tenantID int32, s Scheme) error {
	if len(s.Tiers) == 0 {
		return nil
	}
	rows := make([]tierRow, len(s.Tiers))
	for i, t := range s.Tiers {
		rows[i] = tierRow{TenantID: tenantID, SchemeID: s.ID, ID: t.ID, Rank: i + 1, Key: t.Key, Name: t.Name, Condition: raw(t.Condition),
			Keep: raw(t.Keep), Strategy: t.Strategy}
		var err error
		if rows[i].Benefits, err = json.Marshal(t.Benefits); err != nil {
			return fmt.Errorf("write the benefits of tier %s: %w", t.Key, err)
		}
	}
	if err := q.Session(ctx).Create(&rows).Error; err != nil {
		return fmt.Errorf("insert the tiers of scheme %s: %w", s.Key, err)
	}
	return nil
}

func update(ctx context.Context, q postgres.Querier, tenantID int32, s Scheme) error {
	r, err := toRow(tenantID, s)
	if err != nil {
		return err
	}
	res := q.Session(ctx).Model(&row{}).Where("tenant_id = ? AND id = ? AND version = ?", tenantID, s.ID, s.Version-1).
		Select("version", "name", "revision", "qualification", "window_months", "window_days", "downgrade", "downgrade_at", "grace_days", "draft",
			"updated_at").Updates(r)
	switch {
	case res.Error != nil:
		return fmt.Errorf("update tier scheme %s: %w", s.Key, res.Error)
	case res.RowsAffected != 1:
		return fmt.Errorf("update tier scheme %s: %d rows had its version", s.Key, res.RowsAffected)
	}
	return nil
}

// replace writes the tiers anew; those with the same id keep their customers.
func replace(ctx context.Context, q postgres.Querier, tenantID int32, s Scheme) error {
	if _, err := q.Exec(ctx, `DELETE FROM tiers WHERE tenant_id = $1 AND scheme_id = $2`, tenantID, s.ID); err != nil {
		return fmt.Errorf("replace the tiers of scheme %s: %w", s.Key, err)
	}
	return insertTiers(ctx, q, tenantID, s)
}

func drop(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID) error {
	if _, err := q.Exec(ctx, `DELETE FROM tiers WHERE tenant_id = $1 AND scheme_id = $2`, tenantID, id); err != nil {
		return fmt.Errorf("delete the tiers of scheme %s: %w", id, err)
	}
	if _, err := q.Exec(ctx, `DELETE FROM tier_scheme_versions WHERE tenant_id = $1 AND scheme_id = $2`, tenantID, id); err != nil {
		return fmt.Errorf("delete the versions of scheme %s: %w", id, err)
	}
	if _, err := q.Exec(ctx, `DELETE FROM tier_schemes WHERE tenant_id = $1 AND id = $2`, tenantID, id); err != nil {
		return fmt.Errorf("delete tier scheme %s: %w", id, err)
	}
	return nil
}

func modelExists(ctx context.Context, q postgres.Querier, tenantID int32, key string) (exists bool, err error) {
	err = q.QueryRow(ctx, `SELECT EXISTS (SELECT FROM score_models WHERE tenant_id = $1 AND key = $2)`, tenantID, key).Scan(&exists)
	if err != nil {
		return false, fmt.Errorf("look for score model %s: %w", key, err)
	}
	return exists, nil
}

// inTier is how many customers that are not deleted a tier has.
func inTier(ctx context.Context, q postgres.Querier, tenantID int32, scheme, tier uuid.UUID) (n int64, err error) {
	err = q.QueryRow(ctx, `SELECT count(*) FILTER (WHERE c.deleted_at IS NULL AND c.merged_into IS NULL)
		FROM tier_placements p JOIN customers c ON c.tenant_id = p.tenant_id AND c.id = p.customer_id
		WHERE p.tenant_id = $1 AND p.scheme_id = $2 AND p.tier_id = $3`,
		tenantID, scheme, tier).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count the customers of tier %s: %w", tier, err)
	}
	return n, nil
}

func anyPlaced(ctx context.Context, q postgres.Querier, tenantID int32, scheme uuid.UUID) (some bool, err error) {
	err = q.QueryRow(ctx, `SELECT EXISTS (SELECT FROM tier_placements WHERE tenant_id = $1 AND scheme_id = $2)`, tenantID, scheme).Scan(&some)
	if err != nil {
		return false, fmt.Errorf("look for placements in scheme %s: %w", scheme, err)
	}
	return some, nil
}

// distribution counts customers by the tier that they are in, and all of them, at one moment.
func distribution(ctx context.Context, q postgres.Querier, tenantID int32, scheme uuid.UUID) (byTier map[uuid.UUID]int64, total int64, err error) {
	rows, err := q.Query(ctx, `SELECT r.id, count(*) FILTER (WHERE c.deleted_at IS NULL AND c.merged_into IS NULL)
		FROM tier_placements p JOIN tiers r ON r.tenant_id = p.tenant_id AND r.scheme_id = p.scheme_id AND r.id = p.tier_id
			JOIN customers c ON c.tenant_id = p.tenant_id AND c.id = p.customer_id
		WHERE p.tenant_id = $1 AND p.scheme_id = $2 GROUP BY r.id
		UNION ALL
		SELECT NULL, count(*) FROM customers WHERE tenant_id = $1 AND deleted_at IS NULL AND merged_into IS NULL`, tenantID, scheme)
	if err != nil {
		return nil, 0, fmt.Errorf("count the customers of scheme %s: %w", scheme, err)
	}
	defer rows.Close()
	byTier = map[uuid.UUID]int64{}
	for rows.Next() {
		var id *uuid.UUID
		var n int64
		if err := rows.Scan(&id, &n); err != nil {
			return nil, 0, fmt.Errorf("count the customers of scheme %s: %w", scheme, err)
		}
		if id == nil {
			total = n
		} else {
			byTier[*id] = n
		}
	}
	if err := rows.Err(); err != nil {
		return nil, 0, fmt.Errorf("count the customers of scheme %s: %w", scheme, err)
	}
	return byTier, total, nil
}

// insertRevision keeps a definition that comes into force.
func insertRevision(ctx context.Context, tx postgres.Tx, call tenant.Call, s Scheme, now time.Time) error {
	raw, err := json.Marshal(s.document())
	if err != nil {
		return fmt.Errorf("write the definition of scheme %s: %w", s.Key, err)
	}
	_, err = tx.Exec(ctx, `INSERT INTO tier_scheme_versions (tenant_id, scheme_id, revision, definition, actor, activated_at)
		VALUES ($1, $2, $3, $4, $5, $6)`, call.Tenant.ID, s.ID, s.Revision, raw, call.Actor, now)
	if err != nil {
		return fmt.Errorf("keep revision %d of scheme %s: %w", s.Revision, s.Key, err)
	}
	return nil
}

func revisions(ctx context.Context, q postgres.Querier, tenantID int32, scheme uuid.UUID) ([]Revision, error) {
	rows, err := q.Query(ctx, `SELECT revision, definition, actor, activated_at FROM tier_scheme_versions
		WHERE tenant_id = $1 AND scheme_id = $2 ORDER BY revision DESC`, tenantID, scheme)
	if err != nil {
		return nil, fmt.Errorf("read the revisions of scheme %s: %w", scheme, err)
	}
	defer rows.Close()
	found := []Revision{}
	for rows.Next() {
		var r Revision
		var raw json.RawMessage
		if err := rows.Scan(&r.Number, &raw, &r.Actor, &r.ActivatedAt); err != nil {
			return nil, fmt.Errorf("read the revisions of scheme %s: %w", scheme, err)
		}
		if r.Definition, err = readDocument(raw); err != nil {
			return nil, fmt.Errorf("read revision %d of scheme %s: %w", r.Number, scheme, err)
		}
		r.ActivatedAt = r.ActivatedAt.UTC()
		found = append(found, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the revisions of scheme %s: %w", scheme, err)
	}
	return found, nil
}
