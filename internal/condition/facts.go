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

var transactions = filter.NewCatalogue(
	filter.Field{Name: "amount", Type: filter.TypeMoney, Label: fault.T("Amount", "金额"), Column: filter.SQL("t.base_amount")},
	filter.Field{Name: "units", Type: filter.TypeInteger, Label: fault.T("Units", "件数"), Nullable: true, Column: filter.SQL("t.units")},
	filter.Field{Name: "status", Type: filter.TypeChoice, Label: fault.T("Status", "状态"), Choices: transaction.Statuses, Column: filter.SQL("t.status")},
	filter.Field{Name: "channel", Type: filter.TypeText, Label: fault.T("Channel", "渠道"), Nullable: true, Column: filter.SQL("t.channel")},
	filter.Field{Name: "returned", Type: filter.TypeMoney, Label: fault.T("Returned", "已退货金额"), Column: filter.SQL("t.base_returned")},
	filter.Field{Name: "payment_method", Type: filter.TypeChoice, Label: fault.T("Payment method", "支付方式"), Choices: transaction.Methods,
		Nullable: true, Column: filter.SQL("t.payment_method")},
	filter.Field{Name: "store", Type: filter.TypeText, Label: fault.T("Store", "门店"), Nullable: true, Column: filter.SQL("t.store")},
	filter.Field{Name: "source", Type: filter.TypeText, Label: fault.T("Source", "来源系统"), Column: filter.SQL("t.source")},
	filter.Field{Name: "currency", Type: filter.TypeText, Label: fault.T("Currency", "币种"), Column: filter.SQL("t.currency")},
	filter.Field{Name: "day", Type: filter.TypeDate, Label: fault.T("Local day", "当地日期"), Column: filter.SQL("t.day")},
	filter.Field{Name: "occurred_at", Type: filter.TypeTime, Label: fault.T("Instant", "发生时间"), Column: filter.SQL("t.occurred_at")},
)
