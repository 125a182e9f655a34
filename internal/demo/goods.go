package demo

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/money"
)

// good is a product; fen is its list price.
type good struct {
	sku, name, category, brand, unit string
	fen                              int64
	relation                         string // to the good before it; empty for none
}

// teaAndCoffee is what the demo company sells. The contract's examples speak of the first two.
var teaAndCoffee = []good{
	{"COF-DRIP-10", "云南挂耳咖啡 10 包", "咖啡/挂耳", "云岭", "盒", 6495, ""},
	{"COF-DRIP-20", "云南挂耳咖啡 20 包", "咖啡/挂耳", "云岭", "盒", 11900, "upgrade_of"},
	{"COF-BEAN-250", "保山小粒咖啡豆 250 克", "咖啡/咖啡豆", "云岭", "袋", 5800, ""},
	{"COF-BEAN-1000", "保山小粒咖啡豆 1 千克", "咖啡/咖啡豆", "云岭", "袋", 19800, "upgrade_of"},
	{"COF-GRIND", "手摇磨豆机", "器具/咖啡器具", "谷雨", "台", 25800, "accessory_of"},
	{"TEA-LJ-100", "明前龙井 100 克", "茶叶/绿茶", "西湖", "罐", 45900, ""},
	{"TEA-LJ-250", "雨前龙井 250 克", "茶叶/绿茶", "西湖", "罐", 39900, "similar"},
	{"TEA-PU-357", "熟普洱饼 357 克", "茶叶/普洱", "勐海", "饼", 22800, ""},
	{"TEA-POT", "紫砂壶", "器具/茶具", "宜兴", "把", 68000, "accessory_of"},
	{"GIFT-BOX", "节日礼盒", "礼盒", "客资", "盒", 16800, ""},
}

// item is a line of an order; what it costs in minor units of the order's currency.
type item struct {
	good                         int
	quantity                     int64
	unit, discount, amount, line int64
}

// bill is a payment of an order, its days counted from the anchor; paid is 0 while it is open.
type bill struct {
	id        uuid.UUID
	due, paid int
	method    string
	reference string
}

// comeback is a return of some of an order's first line.
type comeback struct {
	id       uuid.UUID
	day      int
	quantity int64
	amount   int64
	reason   string
}

var (
	methods = []string{"wechat_pay", "alipay", "card", "cash"}
	stores  = []string{"南京东路店", "徐家汇店", "湖滨店"}
	reasons = []string{"包装破损", "口味不合", "拍错规格"}
)

// sell gives every order what was bought, how it was paid, and what came back of it. All follows from the order's place,
// so that it is the same everywhere.
func (w *world) sell() {
	bills, returns := 0, 0
	for i := range w.orders {
		o := &w.orders[i]
		company := w.people[o.who].Kind == customer.Company
		o.items = w.lines(i, *o)
		o.method = methods[(i+o.units)%len(methods)]
		if company {
			o.method = "bank_transfer"
		}
		if o.channel == "store" {
			o.store = stores[o.who%len(stores)]
		}
		if !o.status.purchase() {
			continue
		}
		if i == 0 || company {
			b := bill{id: billIDs.at(bills), due: o.at.day + 30, method: o.method, reference: fmt.Sprintf("INV-%05d", bills+1)}
			if i == 0 { // that of the examples: late
				b.due = o.at.day
			}
			if lag := []int{-3, 0, 6, -8, 2, -1}[bills%6]; bills == 0 {
				b.paid = b.due + 6
			} else if b.due+lag < 0 && bills%17 != 5 {
				b.paid = b.due + lag
			}
			o.bills = append(o.bills, b)
			bills++
		}
		if back := o.at.day + 6; i == 0 || i%43 == 7 && o.units > 1 && back < 0 {
			first := o.items[0]
			o.returns = append(o.returns, comeback{id: returnIDs.at(returns), day: back, quantity: 1,
				amount: (2*first.amount + first.quantity) / (2 * first.quantity), reason: reasons[returns%len(reasons)]})
			returns++
		}
	}
}

// lines are the items of the order at place i: pieces of one good, and one of another where there are three or more.
func (w *world) lines(i int, o order) []item {
	n := int64(o.units)
	main := item{line: 1, good: (i*7 + o.units) % len(w.goods), quantity: n, amount: o.amount.Minor}
	if i == 0 {
		main.good = 0
	}
	if n < 3 {
		return []item{main.priced()}
	}
	extra := item{line: 2, good: (main.good + 3) % len(w.goods), quantity: 1, amount: o.amount.Minor / (n + 2)}
	main.quantity, main.amount = n-1, o.amount.Minor-extra.amount
	return []item{main.priced(), extra.priced()}
}

// priced is the line with a unit price, and the discount that its pieces leave.
func (i item) priced() item {
	i.unit = (i.amount + i.quantity - 1) / i.quantity
	i.discount = i.unit*i.quantity - i.amount
	return i
}

// base is an amount of a day in the base currency.
func (w world) base(m money.Money, currency string, day int) (money.Money, bool) {
	if m.Currency == currency {
		return m, true
	}
	return m.Convert(currency, w.rateOn(m.Currency, day))
}

// returned is what came back of an order, in its currency and in the base currency.
func (w world) returned(o order, currency string) (minor, base int64) {
	for _, r := range o.returns {
		b, _ := w.base(money.Money{Minor: r.amount, Currency: o.amount.Currency}, currency, r.day)
		minor, base = minor+r.amount, base+b.Minor
	}
	return minor, base
}
