package product

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/search"
)

// row is a line of table products.
type row struct {
	TenantID    int32     `gorm:"primaryKey"`
	ID          uuid.UUID `gorm:"primaryKey"`
	Version     int64
	SKU         string `gorm:"column:sku"`
	Name        string
	Category    *string
	Brand       *string
	Unit        *string
	Description *string
	Price       *int64
	Currency    *string
	Status      string
	Folded      *string // see Searched
	CreatedAt   time.Time
	UpdatedAt   time.Time `gorm:"autoUpdateTime:false"` // the service tells the time
}

func (row) TableName() string { return "products" }

func toRow(tenantID int32, p Product) row {
	r := row{TenantID: tenantID, ID: p.ID, Version: p.Version, SKU: p.SKU, Name: p.Name, Category: postgres.Null(p.Category),
		Brand: postgres.Null(p.Brand), Unit: postgres.Null(p.Unit), Description: postgres.Null(p.Description), Status: string(p.Status),
		CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt}
	folded := Searched(p.SKU, p.Name)
	r.Folded = &folded
	if p.Price != nil {
		r.Price, r.Currency = &p.Price.Minor, &p.Price.Currency
	}
	return r
}

func (r row) product() Product {
	p := Product{ID: r.ID, Version: r.Version, SKU: r.SKU, Name: r.Name, Category: postgres.Value(r.Category), Brand: postgres.Value(r.Brand),
		Unit: postgres.Value(r.Unit), Description: postgres.Value(r.Description), Status: Status(r.Status), CreatedAt: r.CreatedAt.UTC(),
		UpdatedAt: r.UpdatedAt.UTC()}
	if r.Price != nil {
		p.Price = &money.Money{Minor: *r.Price, Currency: *r.Currency}
	}
	return p
}

// get reads a product, locked as the SQL lock says.
func get(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID, lock string) (Product, error) {
	return one(ctx, q, `id = ?`+lock, tenantID, id)
}

func bySKU(ctx context.Context, q postgres.Querier, tenantID int32, sku, lock string) (Product, error) {
	return one(ctx, q, `sku = ?`+lock, tenantID, sku)
}

func one(ctx context.Context, q postgres.Querier, where string, args ...any) (Product, error) {
	var r row
	err := q.Session(ctx).Raw(`SELECT * FROM products WHERE tenant_id = ? AND `+where, args...).Take(&r).Error
	switch {
	case postgres.IsNone(err):
		return Product{}, ErrNotFound
	case err != nil:
		return Product{}, fmt.Errorf("read product %v: %w", args[1], err)
	}
	return r.product(), nil
}

// insert answers false when the sku is taken.
func insert(ctx context.Context, q postgres.Querier, tenantID int32, p Product) (bool, error) {
	r := toRow(tenantID, p)
	tag, err := q.Exec(ctx, `INSERT INTO products (tenant_id, id, version, sku, name, category, brand, unit, description, price,
			currency, status, folded, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
		ON CONFLICT ON CONSTRAINT products_sku_key DO NOTHING`, r.TenantID, r.ID, r.Version, r.SKU, r.Name, r.Category, r.Brand, r.Unit,
		r.Description, r.Price, r.Currency, r.Status, r.Folded, r.CreatedAt, r.UpdatedAt)
	if err != nil {
		return false, fmt.Errorf("insert product %s: %w", p.ID, err)
	}
	return tag.RowsAffected() == 1, nil
}

func update(ctx context.Context, q postgres.Querier, tenantID int32, p Product) error {
	res := q.Session(ctx).Model(&row{}).Where("tenant_id = ? AND id = ? AND version = ?", tenantID, p.ID, p.Version-1).
		Select("version", "sku", "name", "category", "brand", "unit", "description", "price", "currency", "status", "folded", "updated_at").
		Updates(toRow(tenantID, p))
	switch {
	case postgres.Violates(res.Error, "products_sku_key"):
		return ErrSKUTaken
	case res.Error != nil:
		return fmt.Errorf("update product %s: %w", p.ID, res.Error)
	case res.RowsAffected != 1:
		return fmt.Errorf("update product %s: %d rows had its version", p.ID, res.RowsAffected)
	}
	return nil
}

func remove(ctx context.Context, tx postgres.Tx, tenantID int32, id uuid.UUID) error {
	_, err := tx.Exec(ctx, `DELETE FROM product_relations WHERE tenant_id = $1 AND (product_id = $2 OR related_id = $2)`, tenantID, id)
	if err != nil {
		return fmt.Errorf("delete the relations of product %s: %w", id, err)
	}
	_, err = tx.Exec(ctx, `DELETE FROM products WHERE tenant_id = $1 AND id = $2`, tenantID, id)
	switch {
	case postgres.Violates(err, "transaction_items_product_fkey"): // the constraint decides, not a prior SELECT
		return ErrInUse
	case err != nil:
		return fmt.Errorf("delete product %s: %w", id, err)
	}
	return nil
}

func list(ctx context.Context, q postgres.Querier, tenantID int32, query Query) (page.Of[Product], error) {
	db := q.Session(ctx).Where("tenant_id = ?", tenantID).Order("sku").Limit(query.Page.Limit + 1)
	for word := range strings.FieldsSeq(query.Words) {
		db = db.Where("position(? IN folded) > 0", search.Fold(word))
	}
	if query.Category != "" {
		db = db.Where("(category = ? OR category LIKE ?)", query.Category, filter.EscapeLike(query.Category)+"/%")
	}
	if query.Status != "" {
		db = db.Where("status = ?", string(query.Status))
	}
	if after := query.Page.After; after != nil {
		db = db.Where("sku > ?", after[0])
	}
	var rows []row
	if err := db.Find(&rows).Error; err != nil {
		return page.Of[Product]{}, fmt.Errorf("list products: %w", err)
	}
	return page.Cut(rows, query.Page.Limit, func(r row) page.Key { return page.Key{r.SKU} }, row.product), nil
}

// fill is how many products are made searchable in one transaction.
const fill = 1000

// Fill makes products searchable that were stored before they were. The context is for all tenants.
func Fill(ctx context.Context, db *postgres.DB) error {
	for {
		var tenantID int32
		err := db.QueryRow(ctx, `SELECT tenant_id FROM products WHERE folded IS NULL LIMIT 1`).Scan(&tenantID)
		switch {
		case postgres.IsNone(err):
			return nil
		case err != nil:
			return fmt.Errorf("look for products that are not searchable: %w", err)
		}
		err = db.InTx(ctx, func(tx postgres.Tx) error {
			var rows []row
			err := tx.Session(ctx).Raw(`SELECT * FROM products WHERE tenant_id = ? AND folded IS NULL ORDER BY id LIMIT ? FOR NO KEY UPDATE`,
				tenantID, fill).Scan(&rows).Error
			if err != nil {
				return fmt.Errorf("read products that are not searchable: %w", err)
			}
			ids, folded := make([]uuid.UUID, len(rows)), make([]string, len(rows))
			for i, r := range rows {
				ids[i], folded[i] = r.ID, Searched(r.SKU, r.Name)
			}
			_, err = tx.Exec(ctx, `UPDATE products p SET folded = x.folded FROM unnest($2::uuid[], $3::text[]) x (id, folded)
				WHERE p.tenant_id = $1 AND p.id = x.id`, tenantID, ids, folded)
			if err != nil {
				return fmt.Errorf("make products searchable: %w", err)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
}

// Find are the products of ids and skus that exist.
func Find(ctx context.Context, q postgres.Querier, tenantID int32, ids []uuid.UUID, skus []string) ([]Product, error) {
	var rows []row
	err := q.Session(ctx).Where("tenant_id = ? AND (id IN ? OR sku IN ?)", tenantID, ids, skus).Find(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("look up products: %w", err)
	}
	all := make([]Product, len(rows))
	for i, r := range rows {
		all[i] = r.product()
	}
	return all, nil
}
