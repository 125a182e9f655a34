package tag

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/bulk"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
)

// strength is how a row is locked while it is read.
type strength string

const (
	unlocked strength = ""
	sharing  strength = " FOR SHARE"         // nobody may change it
	changing strength = " FOR NO KEY UPDATE" // nor share it; new rows may still refer to it
	deleting strength = " FOR UPDATE"
)

// groupRow is a line of table tag_groups.
type groupRow struct {
	TenantID  int32     `gorm:"primaryKey"`
	ID        uuid.UUID `gorm:"primaryKey"`
	Version   int64
	Key       string
	Name      string
	Color     string
	Exclusive bool
	Position  int
	CreatedAt time.Time
	UpdatedAt time.Time `gorm:"autoUpdateTime:false"` // the service tells the time
}

func (groupRow) TableName() string { return "tag_groups" }

func toGroupRow(tenantID int32, g Group) groupRow {
	return groupRow{TenantID: tenantID, ID: g.ID, Version: g.Version, Key: g.Key, Name: g.Name, Color: g.Color,
		Exclusive: g.Exclusive, Position: g.Position, CreatedAt: g.CreatedAt, UpdatedAt: g.UpdatedAt}
}

func (r groupRow) group() Group {
	return Group{ID: r.ID, Version: r.Version, Key: r.Key, Name: r.Name, Color: r.Color, Exclusive: r.Exclusive,
		Position: r.Position, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC()}
}

func groups(ctx context.Context, q postgres.Querier, tenantID int32) ([]Group, error) {
	var rows []groupRow
	if err := q.Session(ctx).Where("tenant_id = ?", tenantID).Order("position, name, id").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("list tag groups: %w", err)
	}
	all := make([]Group, len(rows))
	for i, r := range rows {
		all[i] = r.group()
	}
	return all, nil
}

func getGroup(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID, lock strength) (Group, error) {
	var r groupRow
	err := q.Session(ctx).Raw(`SELECT * FROM tag_groups WHERE tenant_id = ? AND id = ?`+string(lock), tenantID, id).Take(&r).Error
	switch {
	case postgres.IsNone(err):
		return Group{}, ErrGroupNotFound
	case err != nil:
		return Group{}, fmt.Errorf("read tag group %s: %w", id, err)
	}
	return r.group(), nil
}

func insertGroup(ctx context.Context, q postgres.Querier, tenantID int32, g Group) error {
	r := toGroupRow(tenantID, g)
	err := q.Session(ctx).Create(&r).Error
	switch {
	case postgres.Violates(err, "tag_groups_key_key"):
		return ErrGroupKeyTaken
	case err != nil:
		return fmt.Errorf("insert tag group %s: %w", g.ID, err)
	}
	return nil
}

func updateGroup(ctx context.Context, q postgres.Querier, tenantID int32, g Group) error {
	res := q.Session(ctx).Model(&groupRow{}).Where("tenant_id = ? AND id = ? AND version = ?", tenantID, g.ID, g.Version-1).
		Select("version", "name", "color", "exclusive", "position", "updated_at").Updates(toGroupRow(tenantID, g))
	switch {
	case res.Error != nil:
		return fmt.Errorf("update tag group %s: %w", g.ID, res.Error)
	case res.RowsAffected != 1:
		return fmt.Errorf("update tag group %s: %d rows had its version", g.ID, res.RowsAffected)
	}
	return nil
}

func removeGroup(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID) error {
	if _, err := q.Exec(ctx, `DELETE FROM tag_groups WHERE tenant_id = $1 AND id = $2`, tenantID, id); err != nil {
		return fmt.Errorf("delete tag group %s: %w", id, err)
	}
	return nil
}

// members is how many tags a group has.
func members(ctx context.Context, q postgres.Querier, tenantID int32, group uuid.UUID) (n int64, err error) {
	err = q.QueryRow(ctx, `SELECT count(*) FROM tags WHERE tenant_id = $1 AND group_id = $2`, tenantID, group).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count the tags of group %s: %w", group, err)
	}
	return n, nil
}

// doubles is how many customers carry two or more tags of a group that no condition can take off.
func doubles(ctx context.Context, q postgres.Querier, tenantID int32, group uuid.UUID, now time.Time) (n int64, err error) {
	err = q.QueryRow(ctx, `SELECT count(*) FROM (SELECT FROM customer_tags ct
			JOIN tags t ON t.tenant_id = ct.tenant_id AND t.id = ct.tag_id
		WHERE ct.tenant_id = $1 AND t.group_id = $2 AND (ct.expires_at IS NULL OR ct.expires_at > $3)
			AND NOT (ct.source = 'rule' AND t.condition IS NOT NULL AND t.archived_at IS NULL)
		GROUP BY ct.customer_id HAVING count(*) > 1) d`, tenantID, group, now).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("look for customers with two tags of group %s: %w", group, err)
	}
	return n, nil
}

// row is a line of table tags.
type row struct {
	TenantID    int32     `gorm:"primaryKey"`
	ID          uuid.UUID `gorm:"primaryKey"`
	Version     int64
	GroupID     *uuid.UUID
	Key         string
	Name        string
	Description string
	Color       *string
	Position    int
	Condition   json.RawMessage
	EvaluatedAt *time.Time
	ArchivedAt  *time.Time
	CreatedAt   time.Time
	UpdatedAt   time.Time `gorm:"autoUpdateTime:false"` // the service tells the time
	Customers   int64     `gorm:"->"`                   // read only: counted
}

func (row) TableName() string { return "tags" }

func toRow(tenantID int32, t Tag) (row, error) {
	r := row{TenantID: tenantID, ID: t.ID, Version: t.Version, GroupID: t.GroupID, Key: t.Key, Name: t.Name,
		Description: t.Description, Position: t.Position, EvaluatedAt: t.EvaluatedAt, ArchivedAt: t.ArchivedAt,
		CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt}
	if t.Color != "" {
		r.Color = &t.Color
	}
	var err error
	r.Condition, err = bulk.Encode(t.Condition)
	return r, err
}

func (r row) tag() (Tag, error) {
	t := Tag{ID: r.ID, Version: r.Version, GroupID: r.GroupID, Key: r.Key, Name: r.Name, Description: r.Description,
		Position: r.Position, EvaluatedAt: postgres.UTC(r.EvaluatedAt), ArchivedAt: postgres.UTC(r.ArchivedAt),
		Customers: r.Customers, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC()}
	if r.Color != nil {
		t.Color = *r.Color
	}
	var err error
	if t.Condition, err = bulk.Decode(r.Condition); err != nil {
		return Tag{}, fmt.Errorf("read the condition of tag %s: %w", r.Key, err)
	}
	return t, nil
}

// carriers is how many customers carry tag t: what is kept, without expired assignments that nobody has removed yet.
// FILTER, not WHERE: before the tables are analyzed, the condition would lead the planner to a partial index that does
// not hold the id.
const carriers = `coalesce((SELECT sum(k.change)::bigint FROM tag_carriers k WHERE k.tenant_id = t.tenant_id AND k.tag_id = t.id), 0)
	- (SELECT count(*) FILTER (WHERE c.deleted_at IS NULL AND c.merged_into IS NULL)
		FROM customer_tags ct JOIN customers c ON c.tenant_id = ct.tenant_id AND c.id = ct.customer_id
		WHERE ct.tenant_id = t.tenant_id AND ct.tag_id = t.id AND ct.expires_at <= ?) AS customers`

func get(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID, lock strength, now time.Time) (Tag, error) {
	if lock != unlocked {
		// The lock is a statement of its own: the count is then taken after whoever held it has committed.
		_, err := q.Exec(ctx, `SELECT FROM tags WHERE tenant_id = $1 AND id = $2`+string(lock), tenantID, id)
		if err != nil {
			return Tag{}, fmt.Errorf("lock tag %s: %w", id, err)
		}
	}
	var r row
	err := q.Session(ctx).Raw(`SELECT t.*, `+carriers+` FROM tags t WHERE t.tenant_id = ? AND t.id = ?`, now, tenantID, id).Take(&r).Error
	switch {
	case postgres.IsNone(err):
		return Tag{}, ErrNotFound
	case err != nil:
		return Tag{}, fmt.Errorf("read tag %s: %w", id, err)
	}
	return r.tag()
}

// listed is a row of a list with what it was sorted by.
type listed struct {
	Row          row       `gorm:"embedded"` // GORM passes over an embedded field without a name of its own: row is unexported
	SortPosition int       `gorm:"->"`
	SortGroup    uuid.UUID `gorm:"->"`
}

func (r listed) key() page.Key {
	return page.Key{strconv.Itoa(r.SortPosition), r.SortGroup.String(), strconv.Itoa(r.Row.Position), r.Row.Name, r.Row.ID.String()}
}

// The order of lists. Tags without a group come last: no group has the highest position, nor the highest id.
const (
	sortPosition = `coalesce(g.position, 2147483647)`
	sortGroup    = `coalesce(t.group_id, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)`
)

// list reads a page in one statement; the counts are taken for the page's tags alone.
func list(ctx context.Context, q postgres.Querier, tenantID int32, query Query, now time.Time) (page.Of[Tag], error) {
	args := []any{tenantID}
	inner := `SELECT t.*, ` + sortPosition + ` AS sort_position, ` + sortGroup + ` AS sort_group
		FROM tags t LEFT JOIN tag_groups g ON g.tenant_id = t.tenant_id AND g.id = t.group_id WHERE t.tenant_id = ?`
	if query.Archived {
		inner += ` AND t.archived_at IS NOT NULL`
	} else {
		inner += ` AND t.archived_at IS NULL`
	}
	if query.Group != nil {
		inner += ` AND t.group_id = ?`
		args = append(args, *query.Group)
	}
	if after := query.Page.After; after != nil {
		place, err := parse(after)
		if err != nil {
			return page.Of[Tag]{}, err
		}
		inner += ` AND (` + sortPosition + `, ` + sortGroup + `, t.position, t.name, t.id) > (?, ?::uuid, ?, ?, ?)`
		args = append(args, place...)
	}
	inner += ` ORDER BY sort_position, sort_group, t.position, t.name, t.id LIMIT ?`
	args = append(args, query.Page.Limit+1, now)
	var rows []listed
	err := q.Session(ctx).Raw(`WITH t AS (`+inner+`)
		SELECT t.*, `+carriers+` FROM t
		ORDER BY sort_position, sort_group, position, name, id`, args...).Scan(&rows).Error
	if err != nil {
		return page.Of[Tag]{}, fmt.Errorf("list tags: %w", err)
	}
	p := page.Cut(rows, query.Page.Limit, listed.key, func(r listed) row { return r.Row })
	tags := make([]Tag, len(p.Items))
	for i, r := range p.Items {
		if tags[i], err = r.tag(); err != nil {
			return page.Of[Tag]{}, err
		}
	}
	return page.Of[Tag]{Items: tags, Next: p.Next}, nil
}

// parse reads the place in a list that a cursor tells.
func parse(k page.Key) ([]any, error) {
	if len(k) != 5 {
		return nil, page.ErrCursor
	}
	var place []any
	for i, part := range k {
		var value any
		var err error
		switch i {
		case 0, 2:
			value, err = strconv.ParseInt(part, 10, 32)
		case 1, 4:
			value, err = uuid.Parse(part)
		default:
			value = part
		}
		if err != nil {
			return nil, page.ErrCursor
		}
		place = append(place, value)
	}
	return place, nil
}

func insert(ctx context.Context, q postgres.Querier, tenantID int32, t Tag) error {
	r, err := toRow(tenantID, t)
	if err != nil {
		return err
	}
	err = q.Session(ctx).Create(&r).Error
	switch {
	case postgres.Violates(err, "tags_key_key"):
		return ErrKeyTaken
	case postgres.Violates(err, "tags_group_fkey"):
		return groupUnknown()
	case err != nil:
		return fmt.Errorf("insert tag %s: %w", t.ID, err)
	}
	return nil
}

func update(ctx context.Context, q postgres.Querier, tenantID int32, t Tag) error {
	r, err := toRow(tenantID, t)
	if err != nil {
		return err
	}
	res := q.Session(ctx).Model(&row{}).Where("tenant_id = ? AND id = ? AND version = ?", tenantID, t.ID, t.Version-1).
		Select("version", "group_id", "key", "name", "description", "color", "position", "condition", "archived_at", "updated_at").Updates(r)
	switch {
	case postgres.Violates(res.Error, "tags_key_key"):
		return ErrKeyTaken
	case postgres.Violates(res.Error, "tags_group_fkey"):
		return groupUnknown()
	case res.Error != nil:
		return fmt.Errorf("update tag %s: %w", t.ID, res.Error)
	case res.RowsAffected != 1:
		return fmt.Errorf("update tag %s: %d rows had its version", t.ID, res.RowsAffected)
	}
	return nil
}

func remove(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID) error {
	if _, err := q.Exec(ctx, `DELETE FROM tags WHERE tenant_id = $1 AND id = $2`, tenantID, id); err != nil {
		return fmt.Errorf("delete tag %s: %w", id, err)
	}
	if _, err := q.Exec(ctx, `DELETE FROM tag_carriers WHERE tenant_id = $1 AND tag_id = $2`, tenantID, id); err != nil {
		return fmt.Errorf("forget how many carried tag %s: %w", id, err)
	}
	return nil
}

// idOf is the id of a tag by its key, or ErrNotFound.
func idOf(ctx context.Context, q postgres.Querier, tenantID int32, key string) (id uuid.UUID, err error) {
	err = q.QueryRow(ctx, `SELECT id FROM tags WHERE tenant_id = $1 AND key = $2`, tenantID, key).Scan(&id)
	switch {
	case postgres.IsNone(err):
		return uuid.Nil, ErrNotFound
	case err != nil:
		return uuid.Nil, fmt.Errorf("look for tag %s: %w", key, err)
	}
	return id, nil
}
