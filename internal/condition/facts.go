package condition

import (
	"github.com/kezi-io/kezi/internal/attribute"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/transaction"
)

// facts are what functions count and sum, of one tenant. A purchase is a transaction that was paid, whatever became of it
// later but for a cancellation or a refund; orders are all transactions, and items the lines of purchases. own are the
// tenant's own fields of transactions.
func facts(tenantID int32, own attribute.Fields) []filter.Source {
	over := attribute.Over{Fields: own, Attributes: filter.SQL("t.attributes")}
	source := func(name string, label fault.Text, from, which filter.Expr, fields *filter.Catalogue) filter.Source {
		return filter.Source{Name: name, Label: label, From: from, Day: filter.SQL("t.day"), Fields: fields.With(over),
			Own:      filter.Concat(filter.SQL("t.tenant_id = c.tenant_id AND t.customer_id = c.id"), which),
			Customer: filter.SQL("t.customer_id"), All: filter.Concat(filter.SQL("t.tenant_id = ?::integer", tenantID), which)}
	}
	const bought = " AND t.status IN ('paid', 'to_ship', 'shipped', 'completed')"
	return []filter.Source{
		source(Transactions, fault.T("Purchase", "购买"), filter.SQL("transactions t"), filter.SQL(bought), transactions),
		source(orders, fault.T("Order of any status", "任意状态的订单"), filter.SQL("transactions t"), filter.SQL(""), transactions),
		source(items, fault.T("Line of a purchase", "购买明细"), filter.SQL(`transactions t JOIN transaction_items i ON i.tenant_id = t.tenant_id
			AND i.customer_id = t.customer_id AND i.transaction_id = t.id`), filter.SQL(bought), lines),
	}
}

// A line is of its category and of all above: 咖啡/挂耳 is 咖啡 too.
const categories = `(SELECT array_to_string(s[1:n], '/') AS path FROM string_to_array(i.category, '/') s, generate_series(1, cardinality(s)) n) x`

// lines are what can be asked of a line of a purchase. Its amount in the base currency is its share of the order's.
var lines = filter.NewCatalogue(labelled([]filter.Field{
	{Name: "amount", Type: filter.TypeMoney, Label: fault.T("Amount of the line", "明细金额"), Column: filter.SQL(
		"CASE WHEN t.amount > 0 THEN round(i.amount::numeric * t.base_amount / t.amount)::bigint ELSE 0 END")},
	{Name: "quantity", Type: filter.TypeNumber, Label: fault.T("Quantity", "数量"), Column: filter.SQL("i.quantity / 1000.0")},
	{Name: "product.category", Type: filter.TypeText, Label: fault.T("Category of the product, or one above", "商品类目（含上级类目）"), Nullable: true,
		Column: filter.SQL("x.path"), Exists: filter.SQL("EXISTS (SELECT 1 FROM " + categories + " WHERE %s)"), Example: example("咖啡")},
	{Name: "product.sku", Type: filter.TypeText, Label: fault.T("SKU of the product", "商品 SKU"), Nullable: true, Column: filter.SQL("i.sku"), Example: example("COFFEE-01")},
	{Name: "product.name", Type: filter.TypeText, Label: fault.T("Name of the product", "商品名称"), Column: filter.SQL("i.name"), Example: example("挂耳咖啡")},
	{Name: "channel", Type: filter.TypeText, Label: fault.T("Channel", "渠道"), Nullable: true, Column: filter.SQL("t.channel")},
	{Name: "store", Type: filter.TypeText, Label: fault.T("Store", "门店"), Nullable: true, Column: filter.SQL("t.store")},
	{Name: "day", Type: filter.TypeDate, Label: fault.T("Local day", "当地日期"), Column: filter.SQL("t.day")},
})...)

// has is of an order that one of its lines has.
const has = `EXISTS (SELECT 1 FROM transaction_items i WHERE i.tenant_id = t.tenant_id AND i.customer_id = t.customer_id
	AND i.transaction_id = t.id AND %s)`

var transactions = filter.NewCatalogue(labelled([]filter.Field{
	{Name: "amount", Type: filter.TypeMoney, Label: fault.T("Amount before returns", "金额（未扣退货）"), Column: filter.SQL("t.base_amount")},
	{Name: "net_amount", Type: filter.TypeMoney, Label: fault.T("Amount after returns", "扣除退货后的金额"), Column: filter.SQL("t.base_amount - t.base_returned")},
	{Name: "units", Type: filter.TypeInteger, Label: fault.T("Units", "件数"), Nullable: true, Column: filter.SQL("t.units")},
	{Name: "status", Type: filter.TypeChoice, Label: fault.T("Status", "状态"), Choices: transaction.Statuses, Column: filter.SQL("t.status")},
	{Name: "channel", Type: filter.TypeText, Label: fault.T("Channel", "渠道"), Nullable: true, Column: filter.SQL("t.channel")},
	{Name: "returned", Type: filter.TypeMoney, Label: fault.T("Returned", "已退货金额"), Column: filter.SQL("t.base_returned")},
	{Name: "payment_method", Type: filter.TypeChoice, Label: fault.T("Payment method", "支付方式"), Choices: transaction.Methods,
		Nullable: true, Column: filter.SQL("t.payment_method")},
	{Name: "store", Type: filter.TypeText, Label: fault.T("Store", "门店"), Nullable: true, Column: filter.SQL("t.store")},
	{Name: "source", Type: filter.TypeText, Label: fault.T("Source", "来源系统"), Column: filter.SQL("t.source")},
	{Name: "currency", Type: filter.TypeText, Label: fault.T("Currency", "币种"), Column: filter.SQL("t.currency"), Example: example("CNY")},
	{Name: "hour", Type: filter.TypeInteger, Label: fault.T("Local hour, 0 to 23", "当地时刻（0–23 时）"), Nullable: true,
		Column: filter.SQL(`CASE WHEN NOT t.date_only THEN extract(hour FROM t.occurred_at AT TIME ZONE
			(SELECT z.time_zone FROM tenants z WHERE z.id = t.tenant_id))::bigint END`)},
	{Name: "weekday", Type: filter.TypeInteger, Label: fault.T("Weekday, 1 for Monday to 7", "星期（1 为周一，7 为周日）"),
		Column: filter.SQL("extract(isodow FROM t.day)::bigint")},
	{Name: "discount", Type: filter.TypeBoolean, Label: fault.T("With a discount", "有优惠"), Column: filter.SQL("t.discount > 0")},
	{Name: "day", Type: filter.TypeDate, Label: fault.T("Local day", "当地日期"), Column: filter.SQL("t.day")},
	{Name: "product.category", Type: filter.TypeText, Label: fault.T("Category of a product in it, or one above", "所含商品的类目（含上级类目）"), Nullable: true,
		Column: filter.SQL("x.path"), Exists: filter.SQL(`EXISTS (SELECT 1 FROM transaction_items i CROSS JOIN LATERAL ` + categories + `
			WHERE i.tenant_id = t.tenant_id AND i.customer_id = t.customer_id AND i.transaction_id = t.id AND %s)`), Example: example("咖啡")},
	{Name: "product.sku", Type: filter.TypeText, Label: fault.T("SKU of a product in it", "所含商品的 SKU"), Nullable: true, Column: filter.SQL("i.sku"),
		Exists: filter.SQL(has), Example: example("COFFEE-01")},
	{Name: "product.name", Type: filter.TypeText, Label: fault.T("Name of a product in it", "所含商品的名称"), Nullable: true, Column: filter.SQL("i.name"),
		Exists: filter.SQL(has), Example: example("挂耳咖啡")},
	{Name: "occurred_at", Type: filter.TypeTime, Label: fault.T("Instant", "发生时间"), Column: filter.SQL("t.occurred_at")},
})...)
