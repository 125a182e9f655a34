package transaction

import (
	"maps"
	"slices"
	"time"

	"github.com/kezi-io/kezi/internal/money"
)

// difference is the fields that changed with their values before, as the contract shows them.
func difference(before, after Transaction) map[string]any {
	previous := changedAttributes(before.Attributes, after.Attributes)
	note := func(name string, changed bool, value any) {
		if changed {
			previous[name] = value
		}
	}
	note("status", before.Status != after.Status, before.Status)
	note("amount", before.Amount != after.Amount, document(before.Amount.Minor, before.Amount.Currency))
	note("discount", before.Discount != after.Discount, document(before.Discount, before.Amount.Currency))
	note("shipping", before.Shipping != after.Shipping, document(before.Shipping, before.Amount.Currency))
	note("units", !same(before.Units, after.Units), before.Units)
	note("payment_method", before.PaymentMethod != after.PaymentMethod, before.PaymentMethod)
	note("channel", before.Channel != after.Channel, before.Channel)
	note("store", before.Store != after.Store, before.Store)
	note("occurred_at", !before.OccurredAt.Equal(after.OccurredAt) || before.DateOnly != after.DateOnly, before.OccurredAt)
	note("delivery/carrier", before.Delivery.Carrier != after.Delivery.Carrier, before.Delivery.Carrier)
	note("delivery/tracking_number", before.Delivery.TrackingNumber != after.Delivery.TrackingNumber, before.Delivery.TrackingNumber)
	note("delivery/shipped_at", !sameTime(before.Delivery.ShippedAt, after.Delivery.ShippedAt), before.Delivery.ShippedAt)
	note("delivery/delivered_at", !sameTime(before.Delivery.DeliveredAt, after.Delivery.DeliveredAt), before.Delivery.DeliveredAt)
	if !slices.EqualFunc(before.Items, after.Items, Item.equal) {
		lines := make([]map[string]any, len(before.Items))
		for i, item := range before.Items {
			lines[i] = item.document(before.Amount.Currency)
		}
		previous["items"] = lines
	}
	return previous
}

func same[T comparable](a, b *T) bool { return (a == nil) == (b == nil) && (a == nil || *a == *b) }

func sameTime(a, b *time.Time) bool { return (a == nil) == (b == nil) && (a == nil || a.Equal(*b)) }

func (i Item) equal(o Item) bool {
	plain := func(x Item) Item { x.ProductID, x.UnitPrice = nil, nil; return x }
	return plain(i) == plain(o) && same(i.ProductID, o.ProductID) && same(i.UnitPrice, o.UnitPrice)
}

func document(minor int64, currency string) map[string]string {
	return map[string]string{"amount": money.Money{Minor: minor, Currency: currency}.Decimal(), "currency": currency}
}

func (i Item) document(currency string) map[string]any {
	d := map[string]any{"line": i.Line, "name": i.Name, "quantity": float64(i.Quantity) / 1000, "amount": document(i.Amount, currency)}
	if i.ProductID != nil {
		d["product_id"] = i.ProductID
	}
	optional := map[string]any{}
	if i.SKU != "" {
		optional["sku"] = i.SKU
	}
	if i.Category != "" {
		optional["category"] = i.Category
	}
	if i.UnitPrice != nil {
		optional["unit_price"] = document(*i.UnitPrice, currency)
	}
	if i.Discount > 0 {
		optional["discount"] = document(i.Discount, currency)
	}
	maps.Copy(d, optional)
	return d
}
