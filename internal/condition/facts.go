package condition

import (
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/transaction"
)

// facts are what functions count and sum. A purchase is a transaction that was paid, whatever became of it later but
// for a cancellation or a refund; orders are all transactions.
var facts = []filter.Source{
	{Name: "transactions", Label: fault.T("Purchase", "购买"), From: filter.SQL("transactions t"), Day: filter.SQL("t.day"), Fields: transactions,
		Own: filter.SQL("t.tenant_id = c.tenant_id AND t.customer_id = c.id AND t.status IN ('paid', 'to_ship', 'shipped', 'completed')")},
	{Name: "orders", Label: fault.T("Order of any status", "任意状态的订单"), From: filter.SQL("transactions t"), Day: filter.SQL("t.day"), Fields: transactions,
		Own: filter.SQL("t.tenant_id = c.tenant_id AND t.customer_id = c.id")},
}

var transactions = filter.NewCatalogue(labelled([]filter.Field{
	{Name: "amount", Type: filter.TypeMoney, Label: fault.T("Amount", "金额"), Column: filter.SQL("t.base_amount")},
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
	{Name: "occurred_at", Type: filter.TypeTime, Label: fault.T("Instant", "发生时间"), Column: filter.SQL("t.occurred_at")},
})...)
