package transaction

import (
	"context"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/product"
	"github.com/kezi-io/kezi/internal/tenant"
)

// MaxItems is how many items an order may have.
const MaxItems = 500

// Quantity is in thousandths of a product's unit: 1500 is one and a half.
type Quantity int64

// MaxQuantity is a billion units.
const MaxQuantity Quantity = 1_000_000_000_000

// Item is one line of an order. Sku, name and category are those that the product had when the line was written; a sku
// that no product has is kept as text. Amounts are minor units of the order's currency.
type Item struct {
	Line      int // from 1
	ProductID *uuid.UUID
	SKU       string
	Name      string
	Category  string
	Quantity  Quantity
	UnitPrice *int64
	Discount  int64 // on the line
	Amount    int64 // unit price times quantity, less discount
}

// ItemDraft is what a caller may say about a line: the product by id or sku, or just a name.
type ItemDraft struct {
	ProductID           *uuid.UUID
	SKU, Name, Category string
	Quantity            Quantity
	UnitPrice           *money.Money // the product's list price unless it or the amount is told
	Discount            *money.Money
	Amount              *money.Money // what the others come to unless told
}

// Price is unit times quantity, rounded half up; ok is false beyond what an amount may be.
func (q Quantity) Price(unit int64) (minor int64, ok bool) {
	n := new(big.Int).Mul(big.NewInt(unit), big.NewInt(int64(q)))
	n.Add(n, big.NewInt(500)).Quo(n, big.NewInt(1000))
	return n.Int64(), n.IsInt64() && n.Int64() <= money.MaxMinor
}

// share is part of the whole of an amount, rounded half up.
func share(amount int64, part, whole Quantity) int64 {
	n := new(big.Int).Mul(big.NewInt(2*amount), big.NewInt(int64(part)))
	n.Add(n, big.NewInt(int64(whole))).Quo(n, big.NewInt(2*int64(whole)))
	return n.Int64()
}

// units is how many pieces items come to: a broken quantity, such as 1.25 kg, is one.
func units(items []Item) *int {
	var n int64
	for _, i := range items {
		if i.Quantity%1000 == 0 {
			n += int64(i.Quantity / 1000)
		} else {
			n++
		}
	}
	total := int(min(n, int64(MaxQuantity/1000)))
	return &total
}

// cart is lines of an order on their way to be items.
type cart struct {
	drafts   []ItemDraft
	products map[uuid.UUID]product.Product
	bySKU    map[string]product.Product
	currency string
}

// open looks up the products that drafts name.
func open(ctx context.Context, q postgres.Querier, tenantID int32, drafts []ItemDraft) (cart, error) {
	c := cart{drafts: drafts, products: map[uuid.UUID]product.Product{}, bySKU: map[string]product.Product{}}
	var ids []uuid.UUID
	var skus []string
	for i := range drafts {
		d := &c.drafts[i]
		d.SKU, d.Name, d.Category = strings.TrimSpace(d.SKU), strings.TrimSpace(d.Name), product.TidyCategory(d.Category)
		if d.ProductID != nil {
			ids = append(ids, *d.ProductID)
		} else if d.SKU != "" {
			skus = append(skus, d.SKU)
		}
	}
	if len(ids)+len(skus) == 0 {
		return c, nil
	}
	found, err := product.Find(ctx, q, tenantID, ids, skus)
	for _, p := range found {
		c.products[p.ID], c.bySKU[p.SKU] = p, p
	}
	return c, err
}

// currencyOf is the one that lines are in: of the order's amount where it is told, else of the first amount of a line,
// else of a list price, else the base currency.
func (c *cart) currencyOf(amount *money.Money, base string) string {
	if amount != nil {
		return amount.Currency
	}
	for _, d := range c.drafts {
		for _, m := range []*money.Money{d.Amount, d.UnitPrice} {
			if m != nil {
				return m.Currency
			}
		}
	}
	for _, d := range c.drafts {
		if p, ok := c.product(d); ok && p.Price != nil {
			return p.Price.Currency
		}
	}
	return base
}

func (c *cart) product(d ItemDraft) (product.Product, bool) {
	if d.ProductID != nil {
		p, ok := c.products[*d.ProductID]
		return p, ok
	}
	p, ok := c.bySKU[d.SKU]
	return p, ok && d.SKU != ""
}

// items prices the lines; what is wrong with them is recorded. sum is what they add up to.
func (c *cart) items(v *fault.Validator) (items []Item, sum int64) {
	v.Check(len(c.drafts) <= MaxItems, "/items", "too_many", fault.T("an order has at most 500 items", "一个订单最多 500 个明细"))
	for n, d := range c.drafts[:min(len(c.drafts), MaxItems)] {
		item := c.item(v, "/items/"+strconv.Itoa(n), d)
		item.Line = n + 1
		items, sum = append(items, item), sum+item.Amount
	}
	return items, sum
}

func (c *cart) item(v *fault.Validator, at string, d ItemDraft) Item {
	item := Item{ProductID: d.ProductID, SKU: d.SKU, Name: d.Name, Category: d.Category, Quantity: d.Quantity}
	p, known := c.product(d)
	if known {
		v.Check(d.SKU == "" || d.SKU == p.SKU, at+"/sku", "differs",
			fault.T("the product of this product_id has another sku", "该 product_id 对应的商品 SKU 不同"))
		item.ProductID, item.SKU = &p.ID, p.SKU
		if item.Name == "" {
			item.Name = p.Name
		}
		if item.Category == "" {
			item.Category = p.Category
		}
	} else {
		v.Check(d.ProductID == nil, at+"/product_id", product.ErrNotFound.Code, product.ErrNotFound.Message)
	}
	if item.Name == "" {
		item.Name = item.SKU
	}
	v.Check(item.Name != "" || d.ProductID != nil, at+"/name", "required",
		fault.T("give product_id, sku or name", "请给出 product_id、sku 或 name"))
	product.CheckCategory(v, at+"/category", item.Category)
	v.Check(d.Quantity > 0 && d.Quantity <= MaxQuantity, at+"/quantity", "out_of_range",
		fault.T("must be from 0.001 to 1000000000", "必须在 0.001 到 1000000000 之间"))
	item.Discount = c.minor(v, at+"/discount", d.Discount)
	if d.UnitPrice != nil {
		unit := c.minor(v, at+"/unit_price", d.UnitPrice)
		item.UnitPrice = &unit
	} else if d.Amount == nil && known && p.Price != nil && p.Price.Currency == c.currency {
		item.UnitPrice = &p.Price.Minor
	}
	if item.UnitPrice == nil {
		if v.Check(d.Amount != nil, at+"/unit_price", "required",
			fault.T("give unit_price or amount: there is no list price in the order's currency", "请给出 unit_price 或 amount：该商品没有订单币种的标价")) {
			item.Amount = c.minor(v, at+"/amount", d.Amount)
		}
		return item
	}
	gross, ok := d.Quantity.Price(*item.UnitPrice)
	if !v.Check(ok, at+"/unit_price", "amount_too_large", money.TooLarge) {
		return item
	}
	if item.Amount = gross - item.Discount; !v.Check(item.Amount >= 0, at+"/discount", "too_large",
		fault.T("more than the line costs", "折扣大于该行金额")) {
		item.Amount = 0
	}
	if d.Amount != nil {
		told := c.minor(v, at+"/amount", d.Amount)
		// Systems round differently: within one minor unit theirs holds.
		v.Check(max(told-item.Amount, item.Amount-told) <= 1, at+"/amount", "amount_differs",
			fault.T("unit_price times quantity less discount is "+c.decimal(item.Amount), "单价乘数量减折扣应为 "+c.decimal(item.Amount)))
		item.Amount = told
	}
	return item
}

func (c *cart) decimal(minor int64) string {
	return money.Money{Minor: minor, Currency: c.currency}.Decimal()
}

// minor is an amount of the order's currency, at least 0; nil is 0.
func (c *cart) minor(v *fault.Validator, at string, m *money.Money) int64 {
	return minorOf(v, at, m, c.currency)
}

func minorOf(v *fault.Validator, at string, m *money.Money, currency string) int64 {
	if m == nil {
		return 0
	}
	ok := v.Check(m.Currency == currency, at+"/currency", "currency_differs",
		fault.T("must be in the order's currency, "+currency, "必须与订单币种 "+currency+" 一致"))
	ok = v.Check(m.Minor >= 0, at+"/amount", "negative", fault.T("must not be below 0", "不能小于 0")) && ok
	if !ok {
		return 0
	}
	return m.Minor
}

// fill gives t the items of drafts and what follows from them: its amount, unless that was told, and its units. told is
// the amount that the caller gave. Without drafts, items that t has already keep their sum.
func (s *Service) fill(ctx context.Context, tx postgres.Tx, of tenant.Tenant, t *Transaction, told *money.Money, discount, shipping patch.Field[money.Money], drafts *[]ItemDraft, unitsTold bool) error {
	var v fault.Validator
	sum := t.Amount.Minor + t.Discount - t.Shipping // of the items that are stored
	currency := t.Amount.Currency
	if told != nil {
		currency = told.Currency
	}
	if drafts != nil {
		c, err := open(ctx, tx, of.ID, *drafts)
		if err != nil {
			return err
		}
		if t.Amount.Currency == "" || len(*drafts) > 0 {
			currency = c.currencyOf(told, of.Currency)
		}
		c.currency = currency
		if t.Items, sum = c.items(&v); t.Items == nil {
			t.Items = []Item{}
		}
		t.Lines = len(t.Items)
		if t.Lines > 0 && !unitsTold {
			t.Units = units(t.Items)
		}
	} else if t.Lines > 0 {
		v.Check(currency == t.Amount.Currency, "/amount/currency", "currency_fixed", currencyFixed)
	}
	if discount.Given {
		t.Discount = minorOf(&v, "/discount", discount.Value, currency)
	}
	if shipping.Given {
		t.Shipping = minorOf(&v, "/shipping", shipping.Value, currency)
	}
	switch {
	case t.Lines > 0:
		total := money.Money{Minor: sum - t.Discount + t.Shipping, Currency: currency}
		v.Check(total.Minor >= 0, "/discount", "too_large", fault.T("more than the items cost", "折扣大于明细合计"))
		v.Check(total.Minor <= money.MaxMinor, "/items", "amount_too_large", money.TooLarge)
		if told != nil && v.Err() == nil {
			v.Check(*told == total, "/amount", "amount_differs", fault.T(
				fmt.Sprintf("the items less discount plus shipping come to %s; leave amount away or give that", total.Decimal()),
				fmt.Sprintf("明细合计减折扣加运费应为 %s；请省略 amount 或给出该值", total.Decimal())))
		}
		t.Amount = total
	case told != nil:
		t.Amount = *told
		v.Check(told.Minor >= 0, "/amount/amount", "negative", fault.T("must not be below 0", "不能小于 0"))
	default:
		v.Check(t.Amount.Currency != "", "/amount", "required", fault.T("give amount or items", "请给出 amount 或 items"))
	}
	return v.Err()
}

// ReadQuantity is a quantity as a number; exact is false when it has more than three decimal places.
func ReadQuantity(f float64) (q Quantity, exact bool) {
	n := math.Round(f * 1000)
	return Quantity(n), math.Abs(f*1000-n) < 1e-4
}

// Decimal is the quantity as a number.
func (q Quantity) Decimal() float64 { return float64(q) / 1000 }
