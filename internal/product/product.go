// Package product is what is sold: a catalogue that lines of orders refer to.
package product

import (
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/search"
)

var (
	ErrNotFound = fault.New(fault.NotFound, "product_not_found", "no such product", "没有这个商品")
	ErrSKUTaken = fault.New(fault.Conflict, "sku_taken", "another product already has this sku", "该 SKU 已被其他商品使用")
	ErrInUse    = fault.New(fault.Conflict, "product_in_use",
		"orders name the product; set its status to retired instead", "已有订单引用该商品；请改为将其状态设为 retired（停售）")
	ErrRelationNotFound = fault.New(fault.NotFound, "product_relation_not_found", "the products are not related so", "两个商品之间没有这种关系")
	ErrRelationSelf     = fault.New(fault.Invalid, "product_relation_self", "a product is not related to itself", "商品不能与自身建立关系")
	ErrRelationCircle   = fault.New(fault.Conflict, "product_relation_circular",
		"the other product is already, by way of others or directly, an upgrade of this one", "对方商品已直接或间接是该商品的升级款，不能成环")
	ErrRelationsFull = fault.New(fault.Conflict, "product_relations_full",
		"the product has as many relations as it can: 1000", "该商品的关系数量已达上限 1000")
)

// Status says whether a product is sold.
type Status string

// The statuses. A retired product stays on the orders that name it.
const (
	Active  Status = "active"
	Retired Status = "retired"
)

// Product is something that is sold. Empty texts are values that nobody gave.
type Product struct {
	ID          uuid.UUID
	Version     int64
	SKU         string // unique within its tenant
	Name        string
	Category    string // a path whose steps are parted by a slash: 咖啡/挂耳
	Brand       string
	Unit        string // what a quantity counts: piece, kg
	Description string
	Price       *money.Money // list price of one unit
	Status      Status
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// Draft is what a caller may say about a new product.
type Draft struct {
	SKU, Name, Category, Brand, Unit, Description string
	Price                                         *money.Money
	Status                                        Status // active unless told
}

// Change is a merge patch of a product.
type Change struct {
	SKU, Name                          *string
	Category, Brand, Unit, Description patch.Field[string]
	Price                              patch.Field[money.Money]
	Status                             *Status
}

// Query asks for products in the order of their skus.
type Query struct {
	Page     page.Request
	Words    string // each is in the sku or the name, whatever its case and characters
	Category string // this one and those below it
	Status   Status
}

// Searched is what a product of that sku and name is searched by.
func Searched(sku, name string) string { return search.Fold(sku) + "\n" + search.Fold(name) }

// RelationKind is how one product is related to another.
type RelationKind string

// The kinds, read as "the product is an upgrade of the related one". Similar holds both ways.
const (
	UpgradeOf   RelationKind = "upgrade_of"
	AccessoryOf RelationKind = "accessory_of"
	Similar     RelationKind = "similar"
)

// Relation is one relation as a product has it.
type Relation struct {
	Kind      RelationKind
	Incoming  bool // the other product is the upgrade or accessory, this one what it is for
	Other     Product
	CreatedAt time.Time
}

// apply makes the change and answers the fields that it changed with their values before.
func (c Change) apply(p *Product) (previous map[string]any) {
	before := *p
	patch.Keep(&p.SKU, c.SKU)
	patch.Keep(&p.Name, c.Name)
	c.Category.Into(&p.Category)
	c.Brand.Into(&p.Brand)
	c.Unit.Into(&p.Unit)
	c.Description.Into(&p.Description)
	patch.Keep(&p.Status, c.Status)
	if c.Price.Given {
		p.Price = c.Price.Value
	}
	p.tidy()
	previous = map[string]any{}
	note := func(name string, before, after string) {
		if before != after {
			previous[name] = before
		}
	}
	note("sku", before.SKU, p.SKU)
	note("name", before.Name, p.Name)
	note("category", before.Category, p.Category)
	note("brand", before.Brand, p.Brand)
	note("unit", before.Unit, p.Unit)
	note("description", before.Description, p.Description)
	note("status", string(before.Status), string(p.Status))
	if (before.Price == nil) != (p.Price == nil) || (p.Price != nil && *before.Price != *p.Price) {
		previous["price"] = priceDocument(before.Price)
	}
	return previous
}

func priceDocument(m *money.Money) any {
	if m == nil {
		return nil
	}
	return map[string]string{"amount": m.Decimal(), "currency": m.Currency}
}

// document is the product as the contract shows it, for the event of its end.
func (p Product) document() map[string]any {
	return map[string]any{"sku": p.SKU, "name": p.Name, "category": p.Category, "brand": p.Brand, "unit": p.Unit,
		"description": p.Description, "price": priceDocument(p.Price), "status": string(p.Status)}
}

// tidy takes away spaces that nobody means, also around the steps of the category.
func (p *Product) tidy() {
	for _, s := range []*string{&p.SKU, &p.Name, &p.Brand, &p.Unit, &p.Description} {
		*s = strings.TrimSpace(*s)
	}
	p.Category = TidyCategory(p.Category)
}

// TidyCategory is a category path without spaces around its steps.
func TidyCategory(path string) string {
	if path = strings.TrimSpace(path); path == "" {
		return ""
	}
	steps := strings.Split(path, "/")
	for i := range steps {
		steps[i] = strings.TrimSpace(steps[i])
	}
	return strings.Join(steps, "/")
}

// maxSteps bounds a category's depth.
const maxSteps = 10

// CheckCategory records what is wrong with a tidy category path.
func CheckCategory(v *fault.Validator, pointer, path string) {
	if path == "" {
		return
	}
	steps := strings.Split(path, "/")
	v.Check(len(steps) <= maxSteps, pointer, "too_deep",
		fault.T("a category has at most "+strconv.Itoa(maxSteps)+" steps", "类别路径最多 "+strconv.Itoa(maxSteps)+" 级"))
	for _, s := range steps {
		if !v.Check(s != "", pointer, "bad_category", fault.T("a step of the category is empty; write it as 咖啡/挂耳",
			"类别路径中有空的一级；请写成“咖啡/挂耳”的形式")) {
			return
		}
	}
}

func (p *Product) check() error {
	var v fault.Validator
	v.Check(p.SKU != "", "/sku", "required", fault.T("a product needs a sku", "商品必须有 SKU"))
	v.Check(p.Name != "", "/name", "required", fault.T("a product needs a name", "商品必须有名称"))
	CheckCategory(&v, "/category", p.Category)
	if p.Price != nil {
		v.Check(p.Price.Minor >= 0, "/price/amount", "negative", fault.T("must not be below 0", "不能小于 0"))
	}
	return v.Err()
}
