package tenant

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
)

// row is a line of table tenants; nothing outside this file sees it.
type row struct {
	ID        int32 `gorm:"primaryKey;autoIncrement"`
	Name      string
	Title     string
	Currency  string
	TimeZone  string
	Region    string
	Version   int64
	CreatedAt time.Time
	UpdatedAt time.Time `gorm:"autoUpdateTime:false"`
}

func (row) TableName() string { return "tenants" }

func (r row) tenant() (Tenant, error) {
	zone, err := time.LoadLocation(r.TimeZone)
	if err != nil {
		return Tenant{}, fmt.Errorf("tenant %s: %w", r.Name, err)
	}
	return Tenant{ID: r.ID, Name: r.Name, Title: r.Title, Currency: r.Currency, Zone: zone, Region: r.Region, Version: r.Version,
		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC()}, nil
}

func toRow(t Tenant) row {
	return row{ID: t.ID, Name: t.Name, Title: t.Title, Currency: t.Currency, TimeZone: t.Zone.String(), Region: t.Region, Version: t.Version,
		CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt}
}

func insert(ctx context.Context, q postgres.Querier, t Tenant) (Tenant, error) {
	r := toRow(t)
	err := q.Session(ctx).Create(&r).Error
	switch {
	case postgres.Violates(err, "tenants_name_key"):
		return Tenant{}, ErrNameTaken
	case err != nil:
		return Tenant{}, fmt.Errorf("insert tenant %s: %w", t.Name, err)
	}
	return r.tenant()
}

func byName(ctx context.Context, q postgres.Querier, name string) (Tenant, error) {
	return one(q.Session(ctx).Where("name = ?", name))
}

func byID(ctx context.Context, q postgres.Querier, id int32) (Tenant, error) {
	return one(q.Session(ctx).Where("id = ?", id))
}

func locked(ctx context.Context, q postgres.Querier, id int32) (Tenant, error) {
	return one(q.Session(ctx).Raw("SELECT * FROM tenants WHERE id = ? FOR UPDATE", id))
}

func one(db *gorm.DB) (Tenant, error) {
	var r row
	err := db.Take(&r).Error
	switch {
	case postgres.IsNone(err):
		return Tenant{}, ErrUnknown
	case err != nil:
		return Tenant{}, fmt.Errorf("read a tenant: %w", err)
	}
	return r.tenant()
}

func update(ctx context.Context, q postgres.Querier, t Tenant) error {
	r := toRow(t)
	err := q.Session(ctx).Model(&row{}).Where("id = ?", t.ID).
		Select("title", "currency", "time_zone", "region", "version", "updated_at").Updates(r).Error
	if err != nil {
		return fmt.Errorf("update tenant %s: %w", t.Name, err)
	}
	return nil
}

// Hold keeps t's currency and zone as they are until the transaction ends, or fails with ErrChanged when they are no
// longer what the caller computes with. Every transaction that writes facts calls it before anything else it locks;
// such transactions do not wait for each other, only Change and they do.
func Hold(ctx context.Context, tx postgres.Tx, t Tenant) error {
	var currency, zone string
	err := tx.QueryRow(ctx, `SELECT currency, time_zone FROM tenants WHERE id = $1 FOR KEY SHARE`, t.ID).Scan(&currency, &zone)
	switch {
	case postgres.IsNone(err):
		return ErrUnknown
	case err != nil:
		return fmt.Errorf("hold tenant %s: %w", t.Name, err)
	case currency != t.Currency || zone != t.Zone.String():
		return ErrChanged.Retry(int(cacheFor / time.Second))
	}
	return nil
}

// settled reports whether anything was computed in the tenant's currency or zone.
func settled(ctx context.Context, q postgres.Querier, id int32) (bool, error) {
	var yes bool
	err := q.QueryRow(ctx, `SELECT EXISTS (SELECT FROM transactions WHERE tenant_id = $1)
		OR EXISTS (SELECT FROM exchange_rates WHERE tenant_id = $1)
		OR EXISTS (SELECT FROM customers WHERE tenant_id = $1 AND annual_revenue IS NOT NULL)`, id).Scan(&yes)
	if err != nil {
		return false, fmt.Errorf("look for facts of tenant %d: %w", id, err)
	}
	return yes, nil
}

func list(ctx context.Context, q postgres.Querier, req page.Request) (page.Of[Tenant], error) {
	db := q.Session(ctx).Order("name").Limit(req.Limit + 1)
	if req.After != nil {
		db = db.Where("name > ?", req.After[0])
	}
	var rows []row
	if err := db.Find(&rows).Error; err != nil {
		return page.Of[Tenant]{}, fmt.Errorf("list tenants: %w", err)
	}
	var bad error
	p := page.Cut(rows, req.Limit, func(r row) page.Key { return page.Key{r.Name} }, func(r row) Tenant {
		t, err := r.tenant()
		if err != nil {
			bad = err
		}
		return t
	})
	return p, bad
}
