package httpapi_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/app/apptest"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/timeline"
)

// S0-06, S0-07, S0-38, S2-05, S3-38, S4-05, S1-07, S1-08, S2-34
func TestProfileAndTimeline(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, postgrestest.DB(t))
	c := s.Client(t)
	var person, order, note, profile, page object
	c.OK(t, "POST", "/v1/customers", object{"kind": "person", "name": "张三", "city": "上海",
		"person":         object{"interests": []string{"茶"}, "preferences": object{"style": "简约"}},
		"contact_points": []object{{"kind": "phone", "value": "13800138000"}}}, &person)
	id := person["id"].(string)
	for _, o := range []object{
		{"occurred_at": "2026-02-02T02:30:00Z", "channel": "web", "payment_method": "alipay", "items": []object{
			{"name": "挂耳咖啡", "category": "咖啡/挂耳", "quantity": 2, "unit_price": object{"amount": "50.00", "currency": "CNY"}}}},
		{"occurred_on": "2026-02-09", "channel": "web", "amount": object{"amount": "30.00", "currency": "CNY"}},
		{"occurred_on": "2026-02-10", "channel": "store", "status": "cancelled", "amount": object{"amount": "900.00", "currency": "CNY"}},
	} {
		o["customer_id"] = id
		c.OK(t, "POST", "/v1/transactions", o, &order)
	}
	c.OK(t, "POST", "/v1/customers/"+id+"/notes", object{"kind": "special_request", "body": "送货前请先发短信"}, &note)
	c.OK(t, "PATCH", "/v1/customers/"+id, object{"stage": "active"}, nil)

	c.OK(t, "GET", "/v1/customers/"+id+"/profile", nil, &profile)
	require.Empty(t, profile["missing_scopes"])
	basic, behaviour, preference := profile["basic"].(object), profile["behaviour"].(object), profile["preference"].(object)
	require.Equal(t, "张三", basic["customer"].(object)["name"])
	require.Len(t, basic["contact_points"], 1)
	require.Len(t, basic["notes"], 1)
	require.InDelta(t, 2, behaviour["metrics"].(object)["purchase_count"], 0)
	require.Equal(t, []any{object{"value": "web", "count": 2.0, "amount": object{"amount": "130.00", "currency": "CNY"}}}, behaviour["channels"])
	require.Equal(t, []any{object{"value": "1", "count": 2.0, "amount": object{"amount": "130.00", "currency": "CNY"}}}, behaviour["weekdays"], "both were Mondays")
	require.Equal(t, "10", behaviour["hours"].([]any)[0].(object)["value"], "02:30 UTC is 10:30 in Shanghai")
	require.Equal(t, []any{"茶"}, preference["interests"])
	require.Equal(t, "咖啡", preference["categories"].([]any)[0].(object)["value"])
	require.Contains(t, profile, "value")

	narrow := s.In(t, c.Tenant, "customers:read")
	narrow.OK(t, "GET", "/v1/customers/"+id+"/profile?sections=basic,value", nil, &profile)
	require.ElementsMatch(t, []any{"scores:read", "tiers:read", "tags:read"}, profile["missing_scopes"])
	require.NotContains(t, profile, "behaviour")
	require.Equal(t, "+86138****8000", profile["basic"].(object)["contact_points"].([]any)[0].(object)["value"])

	kinds := func(list object) (all []any) {
		for _, e := range list["items"].([]any) {
			all = append(all, e.(object)["kind"])
		}
		return all
	}
	c.OK(t, "GET", "/v1/customers/"+id+"/timeline?kind=order,note", nil, &page)
	require.Equal(t, []any{"note", "order", "order", "order"}, kinds(page), "newest first")
	require.Equal(t, "2026-02-10", page["items"].([]any)[1].(object)["on"])
	var whole []any
	cursor := ""
	for range 20 {
		c.OK(t, "GET", "/v1/customers/"+id+"/timeline?limit=2"+cursor, nil, &page)
		whole = append(whole, page["items"].([]any)...)
		if page["has_more"] != true {
			break
		}
		cursor = "&cursor=" + page["next_cursor"].(string)
	}
	c.OK(t, "GET", "/v1/customers/"+id+"/timeline?limit=1000", nil, &page)
	require.Equal(t, page["items"], whole, "pages of two are the whole")
	require.Contains(t, kinds(page), any("stage"))
	require.Contains(t, kinds(page), any("change"))
	for _, k := range timeline.Kinds { // each alone, and page by page, is what the whole has of it
		var alone []any
		for _, e := range page["items"].([]any) {
			if e.(object)["kind"] == string(k) {
				alone = append(alone, e)
			}
		}
		var of object
		var got []any
		for cursor, more := "", true; more; {
			c.OK(t, "GET", "/v1/customers/"+id+"/timeline?limit=1&kind="+string(k)+cursor, nil, &of)
			got = append(got, of["items"].([]any)...)
			if more = of["has_more"].(bool); more {
				cursor = "&cursor=" + of["next_cursor"].(string)
			}
		}
		require.Equal(t, alone, got, k)
	}
	narrow.OK(t, "GET", "/v1/customers/"+id+"/timeline", nil, &page)
	require.NotContains(t, kinds(page), any("order"))
	narrow.Refused(t, http.StatusForbidden, "scope_missing", "GET", "/v1/customers/"+id+"/timeline?kind=order", nil)
}

// S0-54, S2-30, S0-74
func TestOnlineAndInStoreTheyAreOneCustomer(t *testing.T) {
	t.Parallel()
	c := apptest.Start(t, postgrestest.DB(t)).Client(t)
	var member, order, profile, page object
	c.OK(t, "PUT", "/v1/customers/by-external-id/webshop/w-7", object{"kind": "person", "name": "李雷"}, &member)
	id := member["id"].(string)
	c.OK(t, "PUT", "/v1/customers/"+id+"/external-ids/till/card-7", nil, nil)
	for source, of := range map[string]string{"webshop": "w-7", "till": "card-7"} {
		channel := map[string]string{"webshop": "web", "till": "store"}[source]
		c.OK(t, "POST", "/v1/transactions", object{"customer": object{"source": source, "external_id": of}, "occurred_on": "2026-02-02",
			"channel": channel, "amount": object{"amount": "50.00", "currency": "CNY"}}, &order)
		require.Equal(t, id, order["customer_id"])
	}
	c.OK(t, "GET", "/v1/customers/"+id+"/profile", nil, &profile)
	behaviour := profile["behaviour"].(object)
	require.Len(t, behaviour["channels"], 2)
	require.Equal(t, object{"amount": "100.00", "currency": "CNY"}, behaviour["metrics"].(object)["spend_total"])

	c.OK(t, "PATCH", "/v1/customers/"+id, object{"owner": "han"}, nil)
	c.OK(t, "GET", "/v1/customers?owner=han&filter="+url.QueryEscape("spend_total >= 100"), nil, &page)
	require.Len(t, page["items"], 1, "whom their service person finds")

	c.OK(t, "POST", "/v1/customers", object{"kind": "person", "name": "韩梅梅"}, &member)
	c.Refused(t, http.StatusConflict, "external_id_taken", "PUT", "/v1/customers/"+member["id"].(string)+"/external-ids/till/card-7", nil)
}
