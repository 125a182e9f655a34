package httpapi_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/app/apptest"
	"github.com/kezi-io/kezi/internal/postgrestest"
)

type object = map[string]any

func TestCustomers(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, postgrestest.DB(t))

	// S0-53, S1-69, S3-06, S3-09: a person with name, city and a source that is a store
	t.Run("LifeOfOne", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		var made object
		a := c.OK(t, "POST", "/v1/customers", object{"kind": "person", "name": " 张建国 ", "city": "上海",
			"source": object{"channel": "store", "detail": "南京东路店"}, "external_ids": []object{{"source": "shop", "external_id": "A-1"}}}, &made)
		require.Equal(t, http.StatusCreated, a.Status)
		require.Equal(t, `"1"`, a.Header.Get("ETag"))
		path := a.Header.Get("Location")
		require.Equal(t, "/v1/customers/"+made["id"].(string), path)
		require.Equal(t, "张建国", made["name"], "spaces around a name mean nothing")
		require.Equal(t, "prospect", made["stage"])

		var read object
		a = c.OK(t, "GET", path, nil, &read)
		require.Equal(t, made, read)
		require.Equal(t, http.StatusNotModified, c.Do(t, "GET", path, nil, "If-None-Match", a.Header.Get("ETag")).Status)
		c.OK(t, "GET", "/v1/customers/by-external-id/shop/A-1", nil, &read)
		require.Equal(t, made, read)

		a = c.OK(t, "PATCH", path, object{"city": nil, "stage": "active"}, &read, "If-Match", `"1"`)
		require.Equal(t, `"2"`, a.Header.Get("ETag"))
		require.NotContains(t, read, "city")
		require.Equal(t, "张建国", read["name"])
		c.Refused(t, 412, "version_mismatch", "PATCH", path, object{"city": "北京"}, "If-Match", `"1"`)
		a = c.OK(t, "PATCH", path, object{"stage": "active"}, nil)
		require.Equal(t, `"2"`, a.Header.Get("ETag"), "a patch without effect keeps the version")

		c.Refused(t, 412, "version_mismatch", "DELETE", path, nil, "If-Match", `"1"`)
		require.Equal(t, http.StatusNoContent, c.OK(t, "DELETE", path, nil, nil).Status)
		c.Refused(t, 404, "customer_not_found", "GET", path, nil)
		c.Refused(t, 404, "customer_not_found", "PATCH", path, object{"city": "北京"})
		c.Refused(t, 409, "customer_deleted", "PUT", "/v1/customers/by-external-id/shop/A-1", object{"name": "x"})
		c.OK(t, "POST", path+"/undelete", nil, &read)
		require.InDelta(t, 4, read["version"], 0)
		c.OK(t, "GET", path, nil, nil)
	})

	t.Run("RefusedWritesLeaveNothing", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		p := c.Refused(t, 400, "contract_violation", "POST", "/v1/customers", object{"kind": "robot", "nmae": "x"})
		places := map[string]string{}
		for _, e := range p.Errors {
			places[e.Pointer] = e.Code
		}
		require.Equal(t, map[string]string{"/kind": "unknown_value", "/nmae": "unknown_member", "/name": "required"}, places)
		for body, code := range map[string]string{
			`{"kind":"person","name":"a\u0000b"}`:               "bad_json",
			`{"kind":"person","name":"a","name":"b"}`:           "bad_json",
			`{"kind":"person","name":"a"} extra`:                "bad_json",
			`{"kind":"person","name":"`:                         "bad_json",
			"{\"kind\":\"person\",\"name\":\"\xff\"}":           "bad_json",
			strings.Repeat(`[`, 100) + strings.Repeat(`]`, 100): "bad_json",
		} {
			p := c.Refused(t, 400, "contract_violation", "POST", "/v1/customers", []byte(body))
			require.Equal(t, code, p.Errors[0].Code, body)
		}
		c.Refused(t, 422, "invalid", "POST", "/v1/customers", object{"kind": "person", "name": "   "})
		c.Refused(t, 413, "body_too_large", "POST", "/v1/customers", []byte(`{"kind":"person","name":"`+strings.Repeat("x", 10<<20)+`"}`))
		c.Refused(t, 415, "media_type_unsupported", "POST", "/v1/customers", []byte("name=x"), "Content-Type", "application/x-www-form-urlencoded")
		p = c.Refused(t, 400, "contract_violation", "GET", "/v1/customers?limt=3", nil)
		require.Contains(t, p.Errors[0].Detail, "limit")
		c.Refused(t, 400, "contract_violation", "GET", "/v1/customers?limit=0", nil)
		c.Refused(t, 400, "contract_violation", "GET", "/v1/customers?limit=x", nil)
		c.Refused(t, 405, "method_not_allowed", "PUT", "/v1/customers", nil)
		c.Refused(t, 404, "no_such_path", "GET", "/v1/nothing", nil)
		c.OK(t, "POST", "/v1/customers", object{"kind": "person", "name": "first", "external_ids": []object{{"source": "a", "external_id": "1"}}}, nil)
		c.Refused(t, 409, "external_id_taken", "POST", "/v1/customers",
			object{"kind": "person", "name": "second", "external_ids": []object{{"source": "a", "external_id": "2"}, {"source": "a", "external_id": "1"}}})
		c.Refused(t, 404, "customer_not_found", "GET", "/v1/customers/by-external-id/a/2", nil)
		var list object
		c.OK(t, "GET", "/v1/customers?total=exact", nil, &list)
		require.InDelta(t, 1, list["total"], 0)
	})

	// S0-54, S4-10
	t.Run("HundredFirstUpsertsMakeOne", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		ids := make([]string, 100)
		var group sync.WaitGroup
		for i := range ids {
			group.Go(func() {
				var made object
				c.OK(t, "PUT", "/v1/customers/by-external-id/shop/same", object{"name": "同一人", "city": fmt.Sprint(i % 3)}, &made)
				ids[i] = made["id"].(string)
			})
		}
		group.Wait()
		for _, id := range ids {
			require.Equal(t, ids[0], id)
		}
	})

	t.Run("BatchReportsEachItem", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		var out struct{ Items []object }
		item := func(id, name string) object {
			return object{"source": "s", "external_id": id, "customer": object{"name": name}}
		}
		c.OK(t, "POST", "/v1/customers/batch", object{"items": []object{item("1", "甲"), item("2", " "), item("1", "乙"), item("3", "丙")}}, &out)
		status := func(i int) any { return out.Items[i]["status"] }
		require.Equal(t, []any{"created", "failed", "failed", "created"}, []any{status(0), status(1), status(2), status(3)})
		require.Equal(t, "batch_key_repeated", out.Items[2]["problem"].(object)["code"])
		c.Refused(t, 404, "customer_not_found", "GET", "/v1/customers/by-external-id/s/2", nil)
		c.OK(t, "POST", "/v1/customers/batch", object{"items": []object{item("1", "甲"), item("3", "丁")}}, &out)
		require.Equal(t, []any{"unchanged", "updated"}, []any{status(0), status(1)})
		// Whatever an item is, it is an outcome and the others are written.
		for _, path := range []string{"/v1/customers/batch", "/v1/transactions/batch"} {
			c.Refused(t, 400, "contract_violation", "POST", path, object{"items": "all"})
			c.Refused(t, 400, "contract_violation", "POST", path, object{"items": []object{}})
			c.Refused(t, 400, "contract_violation", "POST", path, object{"items": []any{5}, "mode": "all"})
			c.OK(t, "POST", path, object{"items": []any{5, nil, []any{}, object{"nmae": 1}}}, &out)
			for i, o := range out.Items {
				require.Equal(t, "failed", o["status"])
				p := o["problem"].(object)
				require.Equal(t, "contract_violation", p["code"])
				require.Contains(t, p["errors"].([]any)[0].(object)["pointer"], fmt.Sprint("/items/", i))
			}
		}
		pointer := func(i int) any {
			return out.Items[i]["problem"].(object)["errors"].([]any)[0].(object)["pointer"]
		}
		mistyped, unknown := item("5", "x"), item("6", "x")
		mistyped["customer"].(object)["name"] = nil
		unknown["customer"].(object)["nmae"] = "x"
		c.OK(t, "POST", "/v1/customers/batch", object{"items": []object{mistyped, item("4", "戊"), unknown, item("7", " ")}}, &out)
		require.Equal(t, []any{"failed", "created", "failed", "failed"}, []any{status(0), status(1), status(2), status(3)})
		require.Equal(t, []any{"/items/0/customer/name", "/items/2/customer/nmae", "/items/3/customer/name"}, []any{pointer(0), pointer(2), pointer(3)})
		order := func(amount any) object {
			return object{"customer": object{"source": "s", "external_id": "4"}, "occurred_on": "2026-02-01", "amount": amount}
		}
		money := object{"amount": "1.00", "currency": "CNY"}
		c.OK(t, "POST", "/v1/transactions/batch", object{"items": []object{order(1), order(money), order(object{"amount": "1.005", "currency": "CNY"})}}, &out)
		require.Equal(t, []any{"failed", "created", "failed"}, []any{status(0), status(1), status(2)})
		require.Equal(t, []any{"/items/0/amount", "/items/2/amount/amount"}, []any{pointer(0), pointer(2)})
		c.OK(t, "POST", "/v1/customers/batch", object{"items": []object{item("1", "甲"), item("3", "丁")}}, &out)
		var got struct {
			Items   []object
			Missing []string
		}
		absent := "01890a5d-ac96-774b-bcce-b302099a0000"
		c.OK(t, "POST", "/v1/customers/batch-get", object{"ids": []any{out.Items[1]["id"], absent, out.Items[0]["id"]}}, &got)
		require.Equal(t, "丁", got.Items[0]["name"])
		require.Equal(t, []string{absent}, got.Missing)
	})

	t.Run("PagesMeetWithoutGapOnEqualKeys", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		items := []object{}
		for i := range 53 {
			city := any([]string{"上海", "杭州"}[i%2])
			if i%5 == 0 {
				city = nil
			}
			items = append(items, object{"source": "s", "external_id": fmt.Sprint(i), "customer": object{"name": "同名", "city": city}})
		}
		c.OK(t, "POST", "/v1/customers/batch", object{"items": items}, nil)
		for _, sort := range []string{"name", "-name", "city", "-city", "-created_at", "spend_total", "-last_purchase_on"} {
			seen := map[string]int{}
			cursor, last := "", ""
			for range 20 {
				var p struct {
					Items   []object
					Next    string `json:"next_cursor"`
					HasMore bool   `json:"has_more"`
				}
				c.OK(t, "GET", "/v1/customers?limit=7&sort="+sort+cursor, nil, &p)
				for _, i := range p.Items {
					seen[i["id"].(string)]++
				}
				require.Equal(t, p.HasMore, p.Next != "")
				if !p.HasMore {
					break
				}
				cursor = "&cursor=" + p.Next
				last = cursor
			}
			require.Len(t, seen, 53, sort)
			for id, n := range seen {
				require.Equal(t, 1, n, id)
			}
			c.Refused(t, 400, "cursor_invalid", "GET", "/v1/customers?sort=updated_at"+last, nil)
		}
		p := c.Refused(t, 422, "sort_unknown", "GET", "/v1/customers?sort=shoe_size", nil)
		require.Equal(t, "sort", p.Errors[0].Parameter)
	})

	// S3-03
	t.Run("FilterInBothForms", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		for _, city := range []string{"上海", "杭州", "北京"} {
			c.OK(t, "POST", "/v1/customers", object{"kind": "person", "name": "客户" + city, "city": city}, nil)
		}
		names := func(list []object) (n []string) {
			for _, i := range list {
				n = append(n, i["name"].(string))
			}
			return n
		}
		var p struct {
			Items  []object
			Total  int
			Cursor string `json:"next_cursor"`
		}
		c.OK(t, "GET", "/v1/customers?sort=name&total=exact&fields=city&filter="+url.QueryEscape(`city IN ("上海", "杭州") AND spend_total < 1`), nil, &p)
		require.Equal(t, []string{"客户上海", "客户杭州"}, names(p.Items))
		require.Equal(t, 2, p.Total)
		require.NotContains(t, p.Items[0], "stage")
		c.OK(t, "POST", "/v1/customers/search", object{"sort": "name", "filter": object{"not": object{"field": "city", "op": "eq", "value": "北京"}}}, &p)
		require.Equal(t, []string{"客户上海", "客户杭州"}, names(p.Items))
		refused := c.Refused(t, 422, "filter_unknown_field", "GET", "/v1/customers?filter="+url.QueryEscape(`citty = "x"`), nil)
		require.Equal(t, "filter", refused.Errors[0].Parameter)
		require.Contains(t, refused.Errors[0].Detail, "city")
		refused = c.Refused(t, 422, "filter_unknown_field", "POST", "/v1/customers/search", object{"filter": object{"and": []object{
			{"field": "city", "op": "eq", "value": "x"}, {"field": "citty", "op": "eq", "value": "x"}}}})
		require.Equal(t, "/filter/and/1/field", refused.Errors[0].Pointer)
		c.Refused(t, 422, "filter_twice", "POST", "/v1/customers/search", object{"filter_text": `city = "x"`, "filter": object{"field": "city", "op": "eq", "value": "x"}})
		c.Refused(t, 400, "filter_syntax", "GET", "/v1/customers?filter="+url.QueryEscape(`city = "x" AND city = "y" OR city = "z"`), nil)
	})
}
