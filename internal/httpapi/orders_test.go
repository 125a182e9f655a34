package httpapi_test

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/app/apptest"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/product"
)

func cny(amount string) object { return object{"amount": amount, "currency": "CNY"} }

// shop is a client whose tenant has one customer, B-1.
type shop struct {
	*apptest.Client
	buyer string
}

func newShop(t *testing.T, s *apptest.Server) shop {
	c := s.Client(t)
	var made object
	c.OK(t, "POST", "/v1/customers", object{"kind": "person", "name": "买家", "external_ids": []object{{"source": "shop", "external_id": "B-1"}}}, &made)
	return shop{c, made["id"].(string)}
}

// order records one and answers it and its path.
func (s shop) order(t *testing.T, body object) (made object, path string) {
	t.Helper()
	full := object{"customer": object{"source": "shop", "external_id": "B-1"}, "occurred_on": "2026-02-01"}
	for k, v := range body {
		full[k] = v
	}
	s.OK(t, "POST", "/v1/transactions", full, &made)
	return made, "/v1/transactions/" + made["id"].(string)
}

func (s shop) metrics(t *testing.T) (m object) {
	t.Helper()
	s.OK(t, "GET", "/v1/customers/"+s.buyer+"/metrics", nil, &m)
	return m
}

// S1-65 S2-07 S3-13 S3-14 S3-15 S3-16 S3-17
func TestOrders(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, postgrestest.DB(t))

	t.Run("ConditionsAskWhatWasBought", func(t *testing.T) {
		t.Parallel()
		c := newShop(t, s)
		var field object
		c.OK(t, "POST", "/v1/field-definitions", object{"applies_to": "transaction", "key": "gift_note", "label": "赠言", "type": "text", "sensitivity": "personal"}, &field)
		c.OK(t, "PUT", "/v1/products/by-sku/A-1", object{"name": "挂耳", "category": "coffee/drip", "price": cny("30")}, nil)
		_, path := c.order(t, object{"items": []object{{"sku": "A-1", "quantity": 1}, {"name": "茶", "quantity": 2.5, "amount": cny("70")}},
			"attributes": object{"gift_note": "贺"}})
		c.OK(t, "POST", path+"/returns", object{"returned_on": "2026-02-02", "amount": cny("40")}, nil)
		finds := func(condition string) bool {
			var found struct{ Items []object }
			c.OK(t, "POST", "/v1/customers/search", object{"filter_text": condition}, &found)
			return len(found.Items) == 1
		}
		for condition, want := range map[string]bool{
			`sum(transactions.amount, "all", "product.category = 'coffee'") >= 100`:  true,
			`sum(transactions.amount, "all", "product.category = 'tea'") > 0`:        false,
			`sum(items.amount, "all", "product.category = 'coffee'") = 30`:           true,
			`sum(items.amount, "all", "product.category = 'coffee/drip'") = 30`:      true,
			`count(items, "all", "product.category = 'cof'") > 0`:                    false,
			`count(items, "all", "product.category = null") = 1`:                     true,
			`sum(items.quantity, "all", "product.name = '*茶*'") = 2.5`:               true,
			`last(transactions, "all", "product.sku = 'A-1'") = "2026-02-01"`:        true,
			`sum(transactions.amount) = 100 AND sum(transactions.net_amount) = 60`:   true,
			`count(transactions, "all", "attributes.gift_note = '贺'") = 1`:           true,
			`count(orders, "all", "NOT attributes.gift_note IN ('贺', '寿')") > 0`:     false,
			`max(items.amount, "2026-02-02..2026-03-01") = null AND kind = "person"`: true,
		} {
			require.Equal(t, want, finds(condition), condition)
		}
		masked := s.In(t, c.Tenant, "customers:read", "transactions:read")
		masked.Refused(t, 403, "scope_missing", "POST", "/v1/customers/search", object{"filter_text": `count(transactions, "all", "attributes.gift_note = '贺'") = 1`})
		c.OK(t, "POST", "/v1/score-models", object{"key": "gifts", "kind": "rules", "params": object{"rules": []object{{"name": "gift", "points": 5,
			"condition": object{"function": "count", "of": "transactions", "where": object{"field": "attributes.gift_note", "op": "eq", "value": "贺"}, "op": "gte", "value": 1}}}}}, nil)
		at := "/v1/field-definitions/" + field["id"].(string)
		c.Refused(t, 409, "field_definition_in_condition", "DELETE", at, nil)
		c.Refused(t, 409, "field_definition_in_condition", "PATCH", at, object{"type": "number"})
	})
	t.Run("ItemsMakeTheAmount", func(t *testing.T) {
		t.Parallel()
		c := newShop(t, s)
		for key, kind := range map[string]string{"gift": "boolean", "note": "text"} {
			c.OK(t, "POST", "/v1/field-definitions", object{"applies_to": "transaction", "key": key, "label": key, "type": kind}, nil)
		}
		c.OK(t, "PUT", "/v1/products/by-sku/A-1", object{"name": "挂耳", "category": " 咖啡 / 挂耳 ", "price": cny("10.50")}, nil)
		made, path := c.order(t, object{"items": []object{{"sku": "A-1", "quantity": 2}, {"sku": "unknown", "quantity": 1.25, "unit_price": cny("4")},
			{"name": "包装", "quantity": 1, "amount": cny("3")}}, "discount": cny("4"), "shipping": cny("8"), "payment_method": "wechat_pay",
			"store": "一号店", "channel": "store", "attributes": object{"gift": true}})
		require.Equal(t, cny("33.00"), made["amount"])
		require.InDelta(t, 4, made["units"], 0)
		items := made["items"].([]any)
		require.Equal(t, "咖啡/挂耳", items[0].(object)["category"])
		require.Nil(t, items[1].(object)["product_id"])
		var read object
		c.OK(t, "GET", path, nil, &read)
		require.Equal(t, made, read)

		c.OK(t, "PATCH", path, object{"discount": nil, "attributes": object{"gift": nil, "note": "x"}, "delivery": object{"carrier": "顺丰"}}, &read)
		require.Equal(t, cny("37.00"), read["amount"])
		require.Equal(t, object{"note": "x"}, read["attributes"])
		p := c.Refused(t, 422, "invalid", "PATCH", path, object{"amount": cny("36")})
		require.Equal(t, "amount_differs", p.Errors[0].Code)
		a := c.OK(t, "PATCH", path, object{"amount": cny("37.00")}, &read)
		require.Equal(t, `"2"`, a.Header.Get("ETag"), "nothing changed")
		c.OK(t, "PATCH", path, object{"items": nil, "payment_method": nil}, &read)
		require.Nil(t, read["items"])
		require.Nil(t, read["payment_method"])
		require.Equal(t, cny("37.00"), read["amount"])
	})

	t.Run("StatusHasAHistory", func(t *testing.T) {
		t.Parallel()
		c := newShop(t, s)
		_, path := c.order(t, object{"amount": cny("10"), "status": "pending"})
		var read object
		c.OK(t, "PATCH", path, object{"status": "paid"}, nil)
		c.OK(t, "PATCH", path, object{"status": "shipped", "delivery": object{"carrier": "顺丰", "tracking_number": "SF1"}}, &read)
		require.Equal(t, "in_transit", read["delivery"].(object)["state"])
		require.NotNil(t, read["delivery"].(object)["shipped_at"])
		p := c.Refused(t, 422, "invalid", "PATCH", path, object{"status": "paid"})
		require.Equal(t, "transition_needs_reason", p.Errors[0].Code)
		p = c.Refused(t, 422, "invalid", "PATCH", path, object{"status": "pending", "status_reason": "误"})
		require.Equal(t, "transition_forbidden", p.Errors[0].Code)
		c.OK(t, "PATCH", path, object{"status": "paid", "status_reason": "误发"}, nil)
		var list struct{ Items []object }
		c.OK(t, "GET", path+"/statuses", nil, &list)
		require.Len(t, list.Items, 4)
		require.Equal(t, "pending", list.Items[0]["to"])
		require.Nil(t, list.Items[0]["from"])
		require.Equal(t, "误发", list.Items[3]["reason"])
		require.Equal(t, "tester", list.Items[3]["actor"])
	})

	t.Run("ReturnsReduceSpendNotPurchases", func(t *testing.T) {
		t.Parallel()
		c := newShop(t, s)
		_, path := c.order(t, object{"items": []object{{"name": "x", "quantity": 3, "amount": cny("10")}}})
		var back object
		c.OK(t, "POST", path+"/returns", object{"returned_on": "2026-02-03", "items": []object{{"line": 1, "quantity": 1}}, "reason": "破损"}, &back)
		require.Equal(t, cny("3.33"), back["amount"])
		m := c.metrics(t)
		require.Equal(t, cny("6.67"), m["spend_total"])
		require.InDelta(t, 1, m["purchase_count"], 0)
		require.Equal(t, cny("3.33"), m["returns_total"])
		c.Refused(t, 409, "items_returned", "PATCH", path, object{"items": []object{}})
		c.Refused(t, 422, "invalid", "POST", path+"/returns", object{"items": []object{{"line": 1, "quantity": 2.5}}})
		c.Refused(t, 422, "invalid", "POST", path+"/returns", object{"items": []object{{"line": 2, "quantity": 1}}})
		c.Refused(t, 422, "invalid", "POST", path+"/returns", object{"amount": cny("6.68")})
		c.Refused(t, 422, "invalid", "POST", path+"/returns", object{"amount": cny("1"), "returned_on": "2026-01-31"})
		c.OK(t, "POST", path+"/returns", object{"items": []object{{"line": 1, "quantity": 2}}}, &back)
		require.Equal(t, cny("6.67"), back["amount"], "the parts of a line add up to it")
		require.Equal(t, cny("0.00"), c.metrics(t)["spend_total"])
		require.Equal(t, 204, c.Do(t, "DELETE", path+"/returns/"+back["id"].(string), nil).Status)
		require.Equal(t, cny("6.67"), c.metrics(t)["spend_total"])
		c.OK(t, "PATCH", path, object{"status": "cancelled"}, nil)
		require.Equal(t, cny("0.00"), c.metrics(t)["spend_total"])
		c.Refused(t, 409, "not_a_purchase", "POST", path+"/returns", object{"amount": cny("1")})
	})

	t.Run("ReturnsGiveBackWhatWasPaid", func(t *testing.T) {
		t.Parallel()
		c := newShop(t, s)
		_, path := c.order(t, object{"items": []object{{"name": "x", "quantity": 2, "unit_price": cny("100")}, {"name": "y", "quantity": 1, "unit_price": cny("100")}},
			"discount": cny("100"), "shipping": cny("8")})
		var back object
		for _, want := range []string{"66.67", "66.66"} {
			c.OK(t, "POST", path+"/returns", object{"items": []object{{"line": 1, "quantity": 1}}}, &back)
			require.Equal(t, cny(want), back["amount"], "with the line's part of the discount")
		}
		c.OK(t, "POST", path+"/returns", object{"items": []object{{"line": 2, "quantity": 1}}}, &back)
		require.Equal(t, cny("66.67"), back["amount"])
		require.Equal(t, cny("8.00"), c.metrics(t)["spend_total"], "the shipping is not given back")
		c.OK(t, "POST", path+"/returns", object{"amount": cny("8")}, nil)
	})

	t.Run("NothingIsPaidOrReturnedTomorrow", func(t *testing.T) {
		t.Parallel()
		c := newShop(t, s)
		_, path := c.order(t, object{"amount": cny("100")})
		later := time.Now().AddDate(0, 0, 2).Format(time.DateOnly)
		p := c.Refused(t, 422, "invalid", "POST", path+"/returns", object{"amount": cny("1"), "returned_on": later})
		require.Equal(t, "in_future", p.Errors[0].Code)
		p = c.Refused(t, 422, "invalid", "POST", path+"/payments", object{"due_on": later, "amount_due": cny("1"), "paid_on": later})
		require.Equal(t, "in_future", p.Errors[0].Code)
		require.Equal(t, "/paid_on", p.Errors[0].Pointer)
		c.OK(t, "POST", path+"/payments", object{"due_on": later, "amount_due": cny("1")}, nil)
	})

	t.Run("PaymentsFallDue", func(t *testing.T) {
		t.Parallel()
		c := newShop(t, s)
		_, path := c.order(t, object{"amount": cny("100")})
		var late, open object
		c.OK(t, "POST", path+"/payments", object{"due_on": "2026-02-10", "amount_due": cny("60"), "paid_on": "2026-02-15"}, &late)
		require.Equal(t, "paid", late["status"])
		require.InDelta(t, 5, late["days_late"], 0)
		a := c.OK(t, "POST", path+"/payments", object{"due_on": "2020-01-01", "amount_due": cny("40"), "amount_paid": cny("15"), "paid_on": "2020-01-01"}, &open)
		require.Equal(t, "overdue", open["status"])
		m := c.metrics(t)
		require.Equal(t, cny("25.00"), m["overdue_amount"])
		require.InDelta(t, 1, m["late_payments"], 0)
		for filter, n := range map[string]int{"overdue_amount >= 25": 1, "overdue_payments = 0": 0, "days_overdue > 100 AND late_payments = 1": 1, "open_due_on < today": 1} {
			var list struct{ Items []object }
			c.OK(t, "POST", "/v1/customers/search", object{"filter_text": filter, "sort": "open_due_on"}, &list)
			require.Len(t, list.Items, n, filter)
		}
		var list struct{ Items []object }
		c.OK(t, "GET", "/v1/customers/"+c.buyer+"/payments?status=overdue,open&limit=1", nil, &list)
		require.Len(t, list.Items, 1)
		require.Equal(t, open["id"], list.Items[0]["id"])
		payment := path + "/payments/" + open["id"].(string)
		c.OK(t, "PATCH", payment, object{"paid_on": "2026-02-20", "amount_paid": cny("40")}, &open, "If-Match", a.Header.Get("ETag"))
		require.Equal(t, "paid", open["status"])
		c.Refused(t, 412, "version_mismatch", "PATCH", payment, object{"paid_on": nil}, "If-Match", a.Header.Get("ETag"))
		require.Equal(t, cny("0.00"), c.metrics(t)["overdue_amount"])
		c.Refused(t, 422, "invalid", "POST", path+"/payments", object{"due_on": "2026-02-10", "amount_due": object{"amount": "1", "currency": "USD"}})
		c.Refused(t, 422, "invalid", "PATCH", payment, object{"amount_paid": cny("41")})
		require.Equal(t, 204, c.Do(t, "DELETE", payment, nil).Status)
		c.Refused(t, 404, "payment_not_found", "GET", payment, nil)
	})

	t.Run("ListFiltersBothWays", func(t *testing.T) {
		t.Parallel()
		c := newShop(t, s)
		for i := range 12 {
			c.order(t, object{"occurred_on": fmt.Sprintf("2026-02-%02d", 1+i/4), "items": []object{{"sku": fmt.Sprint("S", i%3), "quantity": 1, "unit_price": cny(fmt.Sprint(10 + i))}},
				"payment_method": []string{"cash", "card"}[i%2], "store": "一号店"})
		}
		read := func(query string) (ids []string) {
			cursor := ""
			for {
				var p struct {
					Items []object
					Next  string `json:"next_cursor"`
				}
				c.OK(t, "GET", "/v1/customers/"+c.buyer+"/transactions?limit=5&"+query+cursor, nil, &p)
				for _, i := range p.Items {
					ids = append(ids, i["id"].(string))
				}
				if p.Next == "" {
					return ids
				}
				cursor = "&cursor=" + p.Next
			}
		}
		all := read("sort=occurred_at&expand=items")
		require.Len(t, all, 12)
		down := read("sort=-occurred_at")
		for i := range all {
			require.Equal(t, all[i], down[11-i])
		}
		require.Len(t, read("payment_method=cash&sku=S0"), 2)
		require.Len(t, read("amount_at_least=15&amount_at_most=17.00"), 3)
		require.Len(t, read("store=%E4%B8%80%E5%8F%B7%E5%BA%97&from=2026-02-02&until=2026-02-02"), 4)
		require.Empty(t, read("channel=web"))
		c.Refused(t, 400, "cursor_invalid", "GET", "/v1/transactions?cursor=abc", nil)
	})

	t.Run("SalesAddUp", func(t *testing.T) {
		t.Parallel()
		c := newShop(t, s)
		_, path := c.order(t, object{"items": []object{{"sku": "A", "category": "咖啡", "quantity": 2, "unit_price": cny("10")},
			{"sku": "B", "category": "茶", "quantity": 1, "unit_price": cny("10")}}, "discount": cny("1"), "payment_method": "cash"})
		c.order(t, object{"occurred_on": "2026-03-01", "amount": cny("5")})
		c.order(t, object{"occurred_on": "2026-03-01", "amount": cny("7"), "status": "pending"})
		c.OK(t, "POST", path+"/returns", object{"returned_on": "2026-03-02", "items": []object{{"line": 1, "quantity": 1}}}, nil)
		sum := func(query string) (lines []string) {
			var r struct {
				Items []object
				Total object
			}
			c.OK(t, "GET", "/v1/transactions/summary?from=2026-01-01&until=2026-12-31&"+query, nil, &r)
			for _, g := range append(r.Items, r.Total) {
				key, _ := g["key"].(string)
				lines = append(lines, fmt.Sprintf("%s %v %v %v", key, g["orders"], g["sales"].(object)["amount"], g["returned"].(object)["amount"]))
			}
			return lines
		}
		require.Equal(t, []string{"2026-02 1 29.00 0.00", "2026-03 1 5.00 9.67", " 2 34.00 9.67"}, sum("group_by=month"))
		require.Equal(t, []string{"A 1 19.33 9.67", "B 1 9.67 0.00", " 1 5.00 0.00", " 2 34.00 9.67"}, sum("group_by=product"))
		require.Equal(t, []string{"咖啡 1 19.33 9.67", "茶 1 9.67 0.00", " 1 5.00 0.00", " 2 34.00 9.67"}, sum("group_by=category"))
		require.Equal(t, []string{"cash 1 29.00 9.67", " 1 5.00 0.00", " 2 34.00 9.67"}, sum("group_by=payment_method"))
		require.Equal(t, []string{" 0 0.00 0.00"}, sum("group_by=day&customer_id="+uuid.NewString()))
		c.Refused(t, 422, "invalid", "GET", "/v1/transactions/summary?from=2026-02-02&until=2026-02-01", nil)
	})

	t.Run("BatchTellsEachItem", func(t *testing.T) {
		t.Parallel()
		c := newShop(t, s)
		item := func(id, amount string) object {
			return object{"customer": object{"source": "shop", "external_id": "B-1"}, "source": "till", "external_id": id, "occurred_on": "2026-02-01", "amount": cny(amount)}
		}
		stranger := item("9", "1")
		stranger["customer"] = object{"source": "shop", "external_id": "nobody"}
		var r struct{ Items []object }
		c.OK(t, "POST", "/v1/transactions/batch", object{"items": []object{item("1", "10"), item("1", "11"), stranger, item("2", "1.001"), item("3", "5")}}, &r)
		var got []string
		for _, i := range r.Items {
			code := ""
			if p, ok := i["problem"].(object); ok {
				code = p["code"].(string)
			}
			got = append(got, i["status"].(string)+" "+code)
		}
		require.Equal(t, "created ", got[0])
		require.Equal(t, "created ", got[4])
		for _, i := range []int{1, 2, 3} {
			require.True(t, strings.HasPrefix(got[i], "failed "), got[i])
		}
		require.Equal(t, cny("15.00"), c.metrics(t)["spend_total"])
		c.OK(t, "POST", "/v1/transactions/batch", object{"items": []object{item("1", "10")}}, &r)
		require.Equal(t, "transaction_exists", r.Items[0]["problem"].(object)["code"])
	})

	t.Run("HostileOrders", func(t *testing.T) {
		t.Parallel()
		c, other := newShop(t, s), newShop(t, s)
		var theirs object
		other.OK(t, "POST", "/v1/products", object{"sku": "T", "name": "t"}, &theirs)
		bad := func(code string, item object) {
			t.Helper()
			a := c.Do(t, "POST", "/v1/transactions", object{"customer_id": c.buyer, "occurred_on": "2026-02-01", "items": []object{item}})
			require.Contains(t, []int{400, 422}, a.Status, "%s", a.Body)
			require.Contains(t, string(a.Body), code)
		}
		bad("product_not_found", object{"product_id": theirs["id"], "quantity": 1})
		bad("too_precise", object{"name": "x", "quantity": 0.0001, "unit_price": cny("1")})
		bad("amount_too_large", object{"name": "x", "quantity": 1e9, "unit_price": cny("99999999999")})
		bad("required", object{"quantity": 1, "unit_price": cny("1")})
		bad("required", object{"sku": "zzz", "quantity": 1})
		bad("too_large", object{"name": "x", "quantity": 1, "unit_price": cny("1"), "discount": cny("2")})
		bad("currency_differs", object{"name": "x", "quantity": 1, "unit_price": cny("1"), "discount": object{"amount": "1", "currency": "USD"}})
		bad("bad_category", object{"name": "x", "quantity": 1, "amount": cny("1"), "category": "a//b"})
		bad("", object{"name": "'; DROP TABLE products; --", "quantity": -1, "amount": cny("1")})
		many := make([]object, 501)
		for i := range many {
			many[i] = object{"name": "x", "quantity": 1, "amount": cny("1")}
		}
		require.Equal(t, 400, c.Do(t, "POST", "/v1/transactions", object{"customer_id": c.buyer, "occurred_on": "2026-02-01", "items": many}).Status)
		made, _ := c.order(t, object{"items": many[:500]})
		require.Equal(t, cny("500.00"), made["amount"])
		_, path := other.order(t, object{"amount": cny("1")})
		for _, p := range []string{path, path + "/payments", path + "/returns", path + "/statuses", "/v1/products/" + theirs["id"].(string), "/v1/customers/" + other.buyer + "/payments"} {
			require.Equal(t, 404, c.Do(t, "GET", p, nil).Status, p)
		}
	})
}

// S3-14
func TestProducts(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, postgrestest.DB(t))
	c := newShop(t, s)
	ids := map[string]string{}
	for _, sku := range []string{"a-1", "A-2", "b_1"} {
		var made object
		c.OK(t, "POST", "/v1/products", object{"sku": sku, "name": "品名 " + sku, "category": map[bool]string{true: "茶/绿茶", false: "茶"}[sku == "a-1"]}, &made)
		ids[sku] = made["id"].(string)
	}
	c.Refused(t, 409, "sku_taken", "POST", "/v1/products", object{"sku": "a-1", "name": "x"})
	count := func(query string) int {
		var list struct{ Items []object }
		c.OK(t, "GET", "/v1/products?"+query, nil, &list)
		return len(list.Items)
	}
	require.Equal(t, 2, count("q=A-"))
	require.Equal(t, 3, count("q=%E5%93%81"))
	require.Equal(t, 0, count("q=%25"))
	require.Equal(t, 1, count("q=b_"))
	c.OK(t, "PUT", "/v1/products/by-sku/COF-DRIP-30", object{"name": "雲南掛耳咖啡 30 包"}, nil)
	for _, q := range []string{"挂耳", "掛耳咖啡", "咖啡30", "drip", "DRIP-30", "cof-", "Ｃｏｆ 云南"} {
		require.Equal(t, 1, count("q="+url.QueryEscape(q)), q)
	}
	require.Equal(t, 0, count("q="+url.QueryEscape("挂耳 绿茶")))
	c.OK(t, "PUT", "/v1/products/by-sku/COF-DRIP-30", object{"name": "龙井"}, nil)
	require.Equal(t, 0, count("q="+url.QueryEscape("挂耳")))
	_, err := s.DB.Exec(postgrestest.Context(t, c.Tenant), `UPDATE products SET folded = NULL WHERE tenant_id = $1`, c.Tenant.ID)
	require.NoError(t, err)
	require.NoError(t, product.Fill(postgres.ForAllTenants(t.Context()), s.DB))
	require.Equal(t, 1, count("q="+url.QueryEscape("龍井")))
	c.OK(t, "DELETE", "/v1/products/"+func() string {
		var p object
		c.OK(t, "GET", "/v1/products/by-sku/COF-DRIP-30", nil, &p)
		return p["id"].(string)
	}(), nil, nil)
	require.Equal(t, 3, count("category=%E8%8C%B6"))
	require.Equal(t, 1, count("category=%E8%8C%B6/%E7%BB%BF%E8%8C%B6"))

	relation := func(a, kind, b string) string { return "/v1/products/" + ids[a] + "/relations/" + kind + "/" + ids[b] }
	c.OK(t, "PUT", relation("A-2", "upgrade_of", "a-1"), nil, nil)
	c.OK(t, "PUT", relation("b_1", "upgrade_of", "A-2"), nil, nil)
	c.Refused(t, 409, "product_relation_circular", "PUT", relation("a-1", "upgrade_of", "b_1"), nil)
	c.Refused(t, 422, "product_relation_self", "PUT", relation("a-1", "similar", "a-1"), nil)
	c.OK(t, "PUT", relation("b_1", "similar", "a-1"), nil, nil)
	var list struct{ Items []object }
	c.OK(t, "GET", "/v1/products/"+ids["a-1"]+"/relations", nil, &list)
	require.Len(t, list.Items, 2)
	require.Equal(t, "outgoing", list.Items[0]["direction"], "similar holds both ways")
	require.Equal(t, "incoming", list.Items[1]["direction"])
	require.Equal(t, "A-2", list.Items[1]["product"].(object)["sku"])
	require.Equal(t, 204, c.Do(t, "DELETE", relation("a-1", "similar", "b_1"), nil).Status)

	c.order(t, object{"items": []object{{"product_id": ids["a-1"], "quantity": 1, "amount": cny("1")}}})
	c.Refused(t, 409, "product_in_use", "DELETE", "/v1/products/"+ids["a-1"], nil)
	c.OK(t, "PATCH", "/v1/products/"+ids["a-1"], object{"status": "retired"}, nil)
	require.Equal(t, 204, c.Do(t, "DELETE", "/v1/products/"+ids["b_1"], nil).Status)

	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { c.Do(t, "PUT", "/v1/products/by-sku/race", object{"name": "同时"}) })
	}
	all.Wait()
	require.Equal(t, 1, count("q=race"))
}
