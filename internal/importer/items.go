package importer

import (
	"math/big"
	"strings"

	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/transaction"
)

// item is the one line of an order that a row describes. A row is an order: one of several lines comes by the API.
type item struct {
	sku, name        string
	quantity         transaction.Quantity
	unit             *int64 // minor units of the order's currency
	discount, amount int64
}

// cells are the values of a row that are about its item.
type cells struct{ sku, name, quantity, unit, discount string }

func (c *cells) take(p *parser, field string, v []byte) {
	switch field {
	case "sku":
		c.sku = p.common(field, v, 100)
	case "product_name":
		c.name = p.common(field, v, 200)
	case "quantity":
		c.quantity = string(v)
	case "unit_price":
		c.unit = string(v)
	case "discount":
		c.discount = string(v)
	}
}

// priced gives f its item where the cells name a product, and answers the unit price as it was given. The item's amount
// is what unit price, quantity and discount come to.
func (c *cells) priced(p *parser, f *fact, currency string) string {
	if c.sku == "" && c.name == "" {
		if c.quantity+c.unit+c.discount != "" {
			p.refuse(c.first(p, "sku", "product_name"), productMissing)
		}
		return ""
	}
	i := &item{sku: c.sku, name: c.name, quantity: 1000}
	f.item = i
	if f.units != nil && *f.units > 0 {
		i.quantity = transaction.Quantity(*f.units) * 1000
	}
	if c.quantity != "" {
		r, ok := new(big.Rat).SetString(c.quantity)
		plain := strings.Trim(c.quantity, "0123456789.") == ""
		if ok && plain {
			r.Mul(r, big.NewRat(1000, 1))
		}
		if !ok || !plain || !r.IsInt() || r.Sign() <= 0 || r.Cmp(big.NewRat(int64(transaction.MaxQuantity), 1)) > 0 {
			p.refuse("quantity", badQuantity)
			return ""
		}
		i.quantity = transaction.Quantity(r.Num().Int64())
	}
	if f.units == nil {
		units := int32(1) // a broken quantity, such as 1.25 kg
		if i.quantity%1000 == 0 {
			units = int32(i.quantity / 1000) //nolint:gosec // at most a billion
		}
		f.units = &units
	}
	if !money.Known(currency) {
		return "" // refused with the amount
	}
	i.discount = p.minor("discount", c.discount, currency)
	if c.unit == "" {
		return ""
	}
	unit := p.minor("unit_price", c.unit, currency)
	i.unit = &unit
	gross, ok := i.quantity.Price(unit)
	switch {
	case !ok:
		p.refuse("unit_price", amountTooLarge)
	case gross < i.discount:
		p.refuse("discount", negative)
	default:
		i.amount = gross - i.discount
	}
	return c.unit
}

// settle gives the item the order's amount, which its price must not contradict.
func (c *cells) settle(p *parser, f *fact) {
	if f.item == nil || len(p.errs) > 0 {
		return
	}
	if apart := f.item.amount - f.amount.Minor; f.item.unit != nil && max(apart, -apart) > 1 { // systems round differently
		p.refuse("unit_price", amountDiffers)
	}
	f.item.amount = f.amount.Minor
}

// first is the first of fields that is mapped.
func (c *cells) first(p *parser, fields ...string) string {
	for _, f := range fields {
		if p.file.headerOf(f) != "" {
			return f
		}
	}
	return "quantity"
}

// minor is a decimal amount that is not negative; empty is 0.
func (p *parser) minor(field, value, currency string) int64 {
	if value == "" {
		return 0
	}
	m, wrong, detail := money.Parse(value, currency)
	switch {
	case wrong != "":
		p.refuse(field, Problem{wrong, detail})
	case m.Minor < 0:
		p.refuse(field, negative)
	default:
		return m.Minor
	}
	return 0
}
