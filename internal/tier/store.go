package tier

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// row is a line of table tier_schemes with its tiers; nothing outside the store sees it.
type row struct {
	TenantID    int32     `gorm:"primaryKey"`
	ID          uuid.UUID `gorm:"primaryKey"`
	Version     int64
	Key         string
	Name        string
	EvaluatedAt *time.Time
	CreatedAt   time.Time
	UpdatedAt   time.Time       `gorm:"autoUpdateTime:false"` // the service tells the time
	Tiers       json.RawMessage `gorm:"column:tiers;->"`      // read only: a list of tierDocument
}

func (row) TableName() string { return "tier_schemes" }

// tierDocument is a line of table tiers as columns reads it.
type tierDocument struct {
	ID        uuid.UUID       `json:"id"`
	Key       string          `json:"key"`
	Name      string          `json:"name"`
	Condition json.RawMessage `json:"condition"` // null in the last tier
}

// tierRow is a line of table tiers.
type tierRow struct {
	TenantID  int32     `gorm:"primaryKey"`
	SchemeID  uuid.UUID `gorm:"primaryKey"`
	ID        uuid.UUID `gorm:"primaryKey"`
	Rank      int
	Key       string
	Name      string
	Condition json.RawMessage
}

func (tierRow) TableName() string { return "tiers" }

// columns reads a whole row of s; its tiers come in the same statement and so are of the same version.
const columns = `s.tenant_id, s.id, s.version, s.key, s.name, s.evaluated_at, s.created_at, s.updated_at,
	(SELECT json_agg(json_build_object('id', r.id, 'key', r.key, 'name', r.name, 'condition', r.condition) ORDER BY r.rank)
		FROM tiers r WHERE r.tenant_id = s.tenant_id AND r.scheme_id = s.id) AS tiers`

func toRow(tenantID int32, s Scheme) row {
	return row{TenantID: tenantID, ID: s.ID, Version: s.Version, Key: s.Key, Name: s.Name, EvaluatedAt: s.EvaluatedAt,
		CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt}
}

func (r row) scheme() (Scheme, error) {
	s := Scheme{ID: r.ID, Version: r.Version, Key: r.Key, Name: r.Name, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC()}
	if r.EvaluatedAt != nil {
		at := r.EvaluatedAt.UTC()
		s.EvaluatedAt = &at
	}
	var tiers []tierDocument
	if err := json.Unmarshal(r.Tiers, &tiers); err != nil {
		return Scheme{}, fmt.Errorf("read the tiers of scheme %s: %w", r.Key, err)
	}
	for _, d := range tiers {
		t := Tier{ID: d.ID, Key: d.Key, Name: d.Name}
		if string(d.Condition) != "null" {
			var err error
			if t.Condition, err = filter.ParseJSON(d.Condition); err != nil {
				return Scheme{}, fmt.Errorf("read the condition of tier %s of scheme %s: %w", d.Key, r.Key, err)
			}
		}
		s.Tiers = append(s.Tiers, t)
	}
	return s, nil
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
	r := toRow(tenantID, s)
	err := q.Session(ctx).Create(&r).Error
	switch {
	case postgres.Violates(err, "tier_schemes_key_key"):
		return ErrKeyTaken
	case err != nil:
		return fmt.Errorf("insert tier scheme %s: %w", s.Key, err)
	}
	return insertTiers(ctx, q, tenantID, s)
}

func insertTiers(ctx context.Context, q postgres.Querier, tenantID int32, s Scheme) error {
	rows := make([]tierRow, len(s.Tiers))
	for i, t := range s.Tiers {
		rows[i] = tierRow{TenantID: tenantID, SchemeID: s.ID, ID: t.ID, Rank: i + 1, Key: t.Key, Name: t.Name}
		if t.Condition != nil {
			raw, err := json.Marshal(t.Condition)
			if err != nil {
				return fmt.Errorf("write the condition of tier %s: %w", t.Key, err)
			}
			rows[i].Condition = raw
		}
	}
	if err := q.Session(ctx).Create(&rows).Error; err != nil {
		return fmt.Errorf("insert the tiers of scheme %s: %w", s.Key, err)
	}
	return nil
}

func update(ctx context.Context, q postgres.Querier, tenantID int32, s Scheme) error {
	res := q.Session(ctx).Model(&row{}).Where("tenant_id = ? AND id = ? AND version = ?", tenantID, s.ID, s.Version-1).
		Select("version", "name", "evaluated_at", "updated_at").Updates(toRow(tenantID, s))
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

// Of are the tiers of customers by scheme; each customer has an entry.
func Of(ctx context.Context, q postgres.Querier, tenantID int32, ids []uuid.UUID) (map[uuid.UUID][]Placement, error) {
	found := make(map[uuid.UUID][]Placement, len(ids))
	for _, id := range ids {
		found[id] = []Placement{}
	}
	rows, err := q.Query(ctx, `SELECT p.customer_id, s.key, r.key, r.name, p.placed_at FROM tier_placements p
			JOIN tier_schemes s ON s.tenant_id = p.tenant_id AND s.id = p.scheme_id
			JOIN tiers r ON r.tenant_id = p.tenant_id AND r.scheme_id = p.scheme_id AND r.id = p.tier_id
		WHERE p.tenant_id = $1 AND p.customer_id = ANY($2) ORDER BY p.customer_id, s.key`, tenantID, ids)
	if err != nil {
		return nil, fmt.Errorf("read the tiers of %d customers: %w", len(ids), err)
	}
	defer rows.Close()
	for rows.Next() {
		var id uuid.UUID
		var p Placement
		if err := rows.Scan(&id, &p.Scheme, &p.Key, &p.Name, &p.PlacedAt); err != nil {
			return nil, fmt.Errorf("read the tiers of %d customers: %w", len(ids), err)
		}
		p.PlacedAt = p.PlacedAt.UTC()
		found[id] = append(found[id], p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the tiers of %d customers: %w", len(ids), err)
	}
	return found, nil
}

// live is how many customers there are that are not deleted.
func live(ctx context.Context, q postgres.Querier, tenantID int32) (n int64, err error) {
	err = q.QueryRow(ctx, `SELECT count(*) FROM customers
		WHERE tenant_id = $1 AND deleted_at IS NULL AND merged_into IS NULL`, tenantID).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count customers: %w", err)
	}
	return n, nil
}

// placeArgs is how many placeholders place has before those of the plan.
const placeArgs = 5

// outcome is what became of a chunk.
type outcome struct {
	placed, moved, unchanged int64
	touched                  []uuid.UUID // the placed and the moved
}

// place puts locked customers into their tiers, all by one statement. Who is in the right one already keeps since when;
// of those, the ones that this change set has put there in an earlier attempt are counted already.
func place(ctx context.Context, tx postgres.Tx, call tenant.Call, p plan, ids []uuid.UUID, now time.Time) (outcome, error) {
	before, err := changeSets(ctx, tx, call.Tenant.ID, p.scheme.ID, ids)
	if err != nil {
		return outcome{}, err
	}
	args := append([]any{call.Tenant.ID, p.scheme.ID, call.ChangeSet, now, ids}, p.args...)
	rows, err := tx.Query(ctx, `INSERT INTO tier_placements AS p (tenant_id, customer_id, scheme_id, tier_id, change_set, placed_at)
		SELECT c.tenant_id, c.id, $2::uuid, `+p.sql+`, $3::uuid, $4::timestamptz
		FROM customers c LEFT JOIN customer_metrics m ON m.tenant_id = c.tenant_id AND m.customer_id = c.id
		WHERE c.tenant_id = $1 AND c.id = ANY($5) ORDER BY c.id
		ON CONFLICT ON CONSTRAINT tier_placements_pkey DO UPDATE SET tier_id = excluded.tier_id,
			change_set = excluded.change_set, placed_at = excluded.placed_at
			WHERE p.tier_id IS DISTINCT FROM excluded.tier_id
		RETURNING p.customer_id`, args...)
	if err != nil {
		return outcome{}, fmt.Errorf("place %d customers in scheme %s: %w", len(ids), p.scheme.Key, err)
	}
	var o outcome
	if o.touched, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID]); err != nil {
		return outcome{}, fmt.Errorf("place %d customers in scheme %s: %w", len(ids), p.scheme.Key, err)
	}
	for _, id := range o.touched {
		if _, had := before[id]; had {
			o.moved++
		} else {
			o.placed++
		}
		delete(before, id)
	}
	for _, set := range before {
		if set != call.ChangeSet {
			o.unchanged++
		}
	}
	return o, nil
}

// changeSets are what put customers where they are in a scheme.
func changeSets(ctx context.Context, tx postgres.Tx, tenantID int32, scheme uuid.UUID, ids []uuid.UUID) (map[uuid.UUID]uuid.UUID, error) {
	rows, err := tx.Query(ctx, `SELECT customer_id, change_set FROM tier_placements
		WHERE tenant_id = $1 AND scheme_id = $2 AND customer_id = ANY($3)`, tenantID, scheme, ids)
	if err != nil {
		return nil, fmt.Errorf("read placements in scheme %s: %w", scheme, err)
	}
	defer rows.Close()
	found := map[uuid.UUID]uuid.UUID{}
	for rows.Next() {
		var id, set uuid.UUID
		if err := rows.Scan(&id, &set); err != nil {
			return nil, fmt.Errorf("read placements in scheme %s: %w", scheme, err)
		}
		found[id] = set
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read placements in scheme %s: %w", scheme, err)
	}
	return found, nil
}

// unplace removes up to limit placements of a scheme that is gone, in ascending order of the customers.
func unplace(ctx context.Context, tx postgres.Tx, tenantID int32, scheme uuid.UUID, limit int) ([]uuid.UUID, error) {
	rows, err := tx.Query(ctx, `SELECT customer_id FROM tier_placements
		WHERE tenant_id = $1 AND scheme_id = $2 ORDER BY customer_id LIMIT $3 FOR UPDATE`, tenantID, scheme, limit)
	if err != nil {
		return nil, fmt.Errorf("remove the placements of scheme %s: %w", scheme, err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("remove the placements of scheme %s: %w", scheme, err)
	}
	_, err = tx.Exec(ctx, `DELETE FROM tier_placements WHERE tenant_id = $1 AND scheme_id = $2 AND customer_id = ANY($3)`,
		tenantID, scheme, ids)
	if err != nil {
		return nil, fmt.Errorf("remove the placements of scheme %s: %w", scheme, err)
	}
	return ids, nil
}
