package importer

import (
	"strconv"
	"strings"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/region"
	"github.com/kezi-io/kezi/internal/tenant"
	"github.com/kezi-io/kezi/internal/transaction"
)

// What can be wrong with a row as a whole.
var (
	badQuotes = Problem{"bad_quotes", fault.T(
		`quotes are not as RFC 4180 says: a value with a quote in it stands in quotes, and its own quotes are doubled`,
		`引号不符合 RFC 4180：含引号的值须加引号，其中的引号须写两遍`)}
	rowTooLong = Problem{"row_too_large", fault.T("the row has more than 1 MiB", "该行超过 1 MiB")}
)

// What can be wrong with a value.
var (
	valueMissing = Problem{"required", fault.T("a value is needed here", "此列不能为空")}
	badText      = Problem{"bad_text", fault.T("a NUL character can't be stored", "不能包含 NUL 字符")}
	badDate      = Problem{"bad_date", fault.T(
		"there is no such day or moment; send YYYY-MM-DD, YYYY-MM-DD HH:MM:SS or an RFC 3339 moment",
		"没有这个日期或时间；请使用 YYYY-MM-DD、YYYY-MM-DD HH:MM:SS 或 RFC 3339 时间")}
	inFuture        = Problem{"in_future", transaction.InFuture}
	implausibleDate = Problem{"out_of_range", tenant.Implausible}
	dayLeftOut      = Problem{"bad_date", tenant.LeftOut}
	badMinor        = Problem{"bad_amount", fault.T("not an amount in minor units: a whole number, such as 12990",
		"不是以最小货币单位表示的金额：须为整数，例如 12990")}
	badUnits = Problem{"bad_units", fault.T("not a whole number from 0 to 1000000000, such as 2",
		"不是 0 到 1000000000 之间的整数，例如 2")}
	negative        = Problem{"negative", fault.T("it can't be negative", "不能为负数")}
	amountTooLarge  = Problem{"amount_too_large", money.TooLarge}
	baseTooLarge    = Problem{"amount_too_large", money.BaseTooLarge}
	currencyUnknown = Problem{"currency_unknown", money.UnknownCurrency}
	badCountry      = Problem{"bad_country", region.NoCountry}
)

// What can be wrong with an item.
var (
	productMissing = Problem{"required", fault.T("quantity, unit_price and discount are of a product: give sku or product_name",
		"quantity、unit_price 和 discount 属于商品明细：请给出 sku 或 product_name")}
	badQuantity = Problem{"bad_quantity", fault.T("not a number from 0.001 to 1000000000 with at most three decimal places, such as 2",
		"不是 0.001 到 1000000000 之间、最多三位小数的数，例如 2")}
	amountDiffers = Problem{"amount_differs", fault.T("unit_price times quantity less discount is not the amount",
		"单价乘数量减折扣与金额不符")}
)

// What can be wrong with a row against what is stored.
var (
	orderHasItems = Problem{"order_has_items", fault.T(
		"the order has items that this row does not describe, so its amount stays; change it by the API",
		"该订单有此行未描述的明细，金额不能由导入更改；请通过接口修改")}
	belowReturned = Problem{"below_returned", fault.T("more than that has been returned of the order", "低于该订单已退货金额")}
	afterReturn   = Problem{"after_return", fault.T("a return of the order is before that day", "该订单已有退货早于此日期")}
	currencyFixed = Problem{"currency_fixed", fault.T("the order has payments or returns in another currency", "该订单已有其他币种的付款或退货")}

	customerDeleted = Problem{"customer_deleted", fault.T(
		"the customer is deleted; bring it back first", "该客户已删除；请先恢复")}
	customerDiffers = Problem{"customer_differs", fault.T(
		"the transaction of this external id belongs to another customer", "该外部编号的交易属于另一个客户")}
	idRepeated = Problem{"external_id_repeated", fault.T(
		"an earlier row of the file has this external id and other values; an order of several items comes by POST /v1/transactions/batch",
		"文件中更早的一行有相同的外部编号但值不同；含多个商品的订单请用 POST /v1/transactions/batch 导入")}
)

func fieldCount(have, want int) Problem {
	return Problem{"field_count", fault.T("the row has "+strconv.Itoa(have)+" values, the header "+strconv.Itoa(want),
		"该行有 "+strconv.Itoa(have)+" 个值，表头有 "+strconv.Itoa(want)+" 列")}
}

func tooLong(most int) Problem {
	return Problem{"too_long", fault.T("longer than "+strconv.Itoa(most)+" characters", "超过 "+strconv.Itoa(most)+" 个字符")}
}

func unknownValue(accepted []string) Problem {
	all := strings.Join(accepted, ", ")
	return Problem{"unknown_value", fault.T("send one of "+all, "请使用其中之一："+all)}
}

func rateMissing(currency, base string) Problem {
	return Problem{"rate_missing", fault.T("there is no rate from "+currency+" to "+base+" on or before the day; add one and import again",
		"当日及之前没有 "+currency+" 兑 "+base+" 的汇率；请添加后重新导入")}
}
