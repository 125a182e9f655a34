package customer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/postgres"
)

// row is a line of table customers with its external ids; nothing outside the store sees it.
type row struct {
	TenantID       int32     `gorm:"primaryKey"`
	ID             uuid.UUID `gorm:"primaryKey"`
	Version        int64
	Kind           string
	Name           string
	Stage          string
	SourceChannel  *string
	SourceDetail   *string
	SourceCampaign *string
	Owner          *string
	Country        *string
	Province       *string
	City           *string
	Industry       *string
	CreatedAt      time.Time
	UpdatedAt      time.Time `gorm:"autoUpdateTime:false"`
	DeletedAt      *time.Time
	MergedInto     *uuid.UUID
	Attributes     []byte
	ExternalIDs    json.RawMessage `gorm:"column:external_ids;->"` // read only: a list of [source, id]
	SortKey        *string         `gorm:"->"`                     // read only: the text of what a list was sorted by
}

func (row) TableName() string { return "customers" }

// columns reads a whole row of c; external ids come in the same statement, so that a read is one round trip.
const columns = `c.tenant_id, c.id, c.version, c.kind, c.name, c.stage, c.source_channel, c.source_detail, c.source_campaign,
	c.owner, c.country, c.province, c.city, c.industry, c.created_at, c.updated_at, c.deleted_at, c.merged_into, c.attributes,
	(SELECT coalesce(json_agg(json_build_array(e.source, e.external_id) ORDER BY e.source, e.external_id), '[]') FROM external_ids e
		WHERE e.tenant_id = c.tenant_id AND e.customer_id = c.id) AS external_ids`

func toRow(tenantID int32, c Customer) row {
	attributes, err := json.Marshal(c.Attributes)
	if err != nil || c.Attributes == nil {
		attributes = []byte("{}")
	}
	return row{TenantID: tenantID, ID: c.ID, Version: c.Version, Kind: string(c.Kind), Name: c.Name, Stage: string(c.Stage),
		SourceChannel: orNull(c.Source.Channel), SourceDetail: orNull(c.Source.Detail), SourceCampaign: orNull(c.Source.Campaign),
		Owner: orNull(c.Owner), Country: orNull(c.Country), Province: orNull(c.Province), City: orNull(c.City),
		Industry: orNull(c.Industry), CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt, DeletedAt: c.DeletedAt,
		MergedInto: c.MergedInto, Attributes: attributes}
}

func (r row) customer() Customer {
	c := Customer{ID: r.ID, Version: r.Version, Kind: Kind(r.Kind), Name: r.Name, Stage: Stage(r.Stage),
		Source: Source{Channel: orEmpty(r.SourceChannel), Detail: orEmpty(r.SourceDetail), Campaign: orEmpty(r.SourceCampaign)},
		Owner:  orEmpty(r.Owner), Country: orEmpty(r.Country), Province: orEmpty(r.Province), City: orEmpty(r.City),
		Industry: orEmpty(r.Industry), CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(), DeletedAt: r.DeletedAt,
		MergedInto: r.MergedInto, Attributes: Attributes{}, ExternalIDs: []ExternalID{}}
	if len(r.Attributes) > 2 { // more than {}
		_ = json.Unmarshal(r.Attributes, &c.Attributes) // the database holds JSON alone
	}
	var pairs [][2]string
	if err := json.Unmarshal(r.ExternalIDs, &pairs); err == nil {
		for _, p := range pairs {
			c.ExternalIDs = append(c.ExternalIDs, ExternalID{p[0], p[1]})
		}
	}
	if c.DeletedAt != nil {
		at := c.DeletedAt.UTC()
		c.DeletedAt = &at
	}
	return c
}

func insert(ctx context.Context, q postgres.Querier, tenantID int32, c Customer) error {
	r := toRow(tenantID, c)
	if err := q.Session(ctx).Create(&r).Error; err != nil {
		return fmt.Errorf("insert customer %s: %w", c.ID, err)
	}
	_, err := q.Exec(ctx, `INSERT INTO customer_metrics (tenant_id, customer_id) VALUES ($1, $2)`, tenantID, c.ID)
	if err != nil {
		return fmt.Errorf("insert the metrics of customer %s: %w", c.ID, err)
	}
	for _, id := range c.ExternalIDs {
		holder, _, err := claim(ctx, q, tenantID, id, c.ID, c.CreatedAt)
		if err != nil {
			return err
		}
		if holder != c.ID {
			return ErrExternalIDTaken
		}
	}
	return nil
}

func update(ctx context.Context, q postgres.Querier, tenantID int32, c Customer) error {
	res := q.Session(ctx).Model(&row{}).Where("tenant_id = ? AND id = ? AND version = ?", tenantID, c.ID, c.Version-1).
		Select("version", "kind", "name", "stage", "source_channel", "source_detail", "source_campaign", "owner", "country",
			"province", "city", "industry", "attributes", "updated_at", "deleted_at").
		Updates(toRow(tenantID, c))
	switch {
	case res.Error != nil:
		return fmt.Errorf("update customer %s: %w", c.ID, res.Error)
	case res.RowsAffected != 1:
		return fmt.Errorf("update customer %s: %d rows had its version", c.ID, res.RowsAffected)
	}
	return nil
}

func get(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID) (Customer, error) {
	c, err := byID(ctx, q, tenantID, id)
	if err != nil {
		return Customer{}, err
	}
	// A survivor may have been merged away itself; chains are short.
	for c.MergedInto != nil {
		c, err = byID(ctx, q, tenantID, *c.MergedInto)
		if err != nil {
			return Customer{}, err
		}
	}
	if c.DeletedAt != nil {
		return Customer{}, ErrNotFound
	}
	return c, nil
}

// lock reads a customer, deleted or not, and keeps others from changing it until the transaction ends. It reads in a
// second statement: the first may have waited, and its snapshot would be from before.
func lock(ctx context.Context, tx postgres.Tx, tenantID int32, id uuid.UUID) (Customer, error) {
	_, err := tx.Exec(ctx, `SELECT FROM customers WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE`, tenantID, id)
	if err != nil {
		return Customer{}, fmt.Errorf("lock customer %s: %w", id, err)
	}
	return byID(ctx, tx, tenantID, id)
}

// byID reads one customer, deleted or merged or not. It scans by hand: this is the hottest read, and going through
// GORM's reflection takes as long as everything else together.
func byID(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID) (Customer, error) {
	var r row
	err := q.QueryRow(ctx, `SELECT `+columns+` FROM customers c WHERE c.tenant_id = $1 AND c.id = $2`, tenantID, id).Scan(
		&r.TenantID, &r.ID, &r.Version, &r.Kind, &r.Name, &r.Stage, &r.SourceChannel, &r.SourceDetail, &r.SourceCampaign,
		&r.Owner, &r.Country, &r.Province, &r.City, &r.Industry, &r.CreatedAt, &r.UpdatedAt, &r.DeletedAt, &r.MergedInto, &r.Attributes, &r.ExternalIDs)
	switch {
	case postgres.IsNone(err):
		return Customer{}, ErrNotFound
	case err != nil:
		return Customer{}, fmt.Errorf("read customer %s: %w", id, err)
	}
	return r.customer(), nil
}

func many(ctx context.Context, q postgres.Querier, tenantID int32, ids []uuid.UUID) ([]Customer, error) {
	if len(ids) == 0 {
		return []Customer{}, nil
	}
	var rows []row
	err := q.Session(ctx).Raw(`SELECT `+columns+` FROM customers c
		WHERE c.tenant_id = ? AND c.id IN ? AND c.deleted_at IS NULL`, tenantID, ids).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read %d customers: %w", len(ids), err)
	}
	byID := make(map[uuid.UUID]row, len(rows))
	for _, r := range rows {
		byID[r.ID] = r
	}
	found := make([]Customer, 0, len(rows))
	for _, id := range ids {
		if r, ok := byID[id]; ok {
			found = append(found, r.customer())
			delete(byID, id) // an id asked for twice is answered once
		}
	}
	return found, nil
}

// Find is the id of the customer that a system knows as id, or ErrNotFound.
func Find(ctx context.Context, q postgres.Querier, tenantID int32, id ExternalID) (uuid.UUID, error) {
	var found uuid.UUID
	err := q.QueryRow(ctx, `SELECT customer_id FROM external_ids WHERE tenant_id = $1 AND source = $2 AND external_id = $3`,
		tenantID, id.Source, id.ID).Scan(&found)
	switch {
	case postgres.IsNone(err):
		return uuid.Nil, ErrNotFound
	case err != nil:
		return uuid.Nil, fmt.Errorf("look up an external id: %w", err)
	}
	return found, nil
}

// claim gives the external id to customer want, or answers who has it. A concurrent claim is waited for, so one wins.
func claim(ctx context.Context, q postgres.Querier, tenantID int32, id ExternalID, want uuid.UUID, now time.Time) (holder uuid.UUID, fresh bool, err error) {
	for {
		tag, err := q.Exec(ctx, `INSERT INTO external_ids (tenant_id, source, external_id, customer_id, created_at)
			VALUES ($1, $2, $3, $4, $5) ON CONFLICT ON CONSTRAINT external_ids_pkey DO NOTHING`,
			tenantID, id.Source, id.ID, want, now)
		if err != nil {
			return uuid.Nil, false, fmt.Errorf("claim an external id: %w", err)
		}
		if tag.RowsAffected() == 1 {
			return want, true, nil
		}
		holder, err = Find(ctx, q, tenantID, id)
		if !errors.Is(err, ErrNotFound) {
			return holder, false, err
		}
		// Released between the two statements: it is free again.
	}
}

func release(ctx context.Context, tx postgres.Tx, tenantID int32, id ExternalID) error {
	_, err := tx.Exec(ctx, `DELETE FROM external_ids WHERE tenant_id = $1 AND source = $2 AND external_id = $3`,
		tenantID, id.Source, id.ID)
	if err != nil {
		return fmt.Errorf("release an external id: %w", err)
	}
	return nil
}

func compare(a, b ExternalID) int {
	if c := strings.Compare(a.Source, b.Source); c != 0 {
		return c
	}
	return strings.Compare(a.ID, b.ID)
}

func sorted(ids []ExternalID) []ExternalID {
	s := slices.Clone(ids)
	if s == nil {
		s = []ExternalID{}
	}
	slices.SortFunc(s, compare)
	return s
}

func documents(ids []ExternalID) []map[string]string {
	d := make([]map[string]string, len(ids))
	for i, id := range ids {
		d[i] = map[string]string{"source": id.Source, "external_id": id.ID}
	}
	return d
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// Hold locks a customer until the transaction ends, as everybody who writes facts about it does, and answers its id:
// the survivor's, when it was merged away. Fails with ErrNotFound, also for a deleted one.
func Hold(ctx context.Context, tx postgres.Tx, tenantID int32, id uuid.UUID) (uuid.UUID, error) {
	for {
		var deleted *time.Time
		var survivor *uuid.UUID
		err := tx.QueryRow(ctx, `SELECT deleted_at, merged_into FROM customers WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE`,
			tenantID, id).Scan(&deleted, &survivor)
		switch {
		case postgres.IsNone(err):
			return uuid.Nil, ErrNotFound
		case err != nil:
			return uuid.Nil, fmt.Errorf("lock customer %s: %w", id, err)
		case survivor != nil:
			id = *survivor
		case deleted != nil:
			return uuid.Nil, ErrNotFound
		default:
			return id, nil
		}
	}
}
