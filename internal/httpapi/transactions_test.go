package httpapi_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/app/apptest"
	"github.com/kezi-io/kezi/internal/postgrestest"
)

func TestTransactions(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, postgrestest.DB(t))
	buyer := func(t *testing.T, c *apptest.Client) string {
		var made object
		c.OK(t, "POST", "/v1/customers", object{"kind": "person", "name": "买家", "external_ids": []object{{"source": "shop", "external_id": "B-1"}}}, &made)
		return made["id"].(string)
	}
	order := func(amount, currency, day string) object {
		return object{"customer": object{"source": "shop", "external_id": "B-1"}, "occurred_on": day, "amount": object{"amount": amount, "currency": currency}}
	}

	// S3-13, S3-15, S4-14, S4-32
	t.Run("MetricsAreTrueAtOnce", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		id := buyer(t, c)
		metrics := func() (m object) {
			c.OK(t, "GET", "/v1/customers/"+id+"/metrics", nil, &m)
			return m
		}
		require.InDelta(t, 0, metrics()["purchase_count"], 0)
		c.OK(t, "POST", "/v1/transactions", order("10.50", "CNY", "2026-02-01"), nil)
		var second object
		c.OK(t, "POST", "/v1/transactions", order("20", "CNY", "2026-02-11"), &second)
		c.OK(t, "POST", "/v1/transactions", order("5", "CNY", "2026-02-11"), nil)
		m := metrics()
		require.Equal(t, object{"amount": "35.50", "currency": "CNY"}, m["spend_total"])
		require.InDelta(t, 3, m["purchase_count"], 0)
		require.InDelta(t, 2, m["purchase_days"], 0)
		require.InDelta(t, 10, m["purchase_cycle_days"], 0)
		path := "/v1/transactions/" + second["id"].(string)
		c.OK(t, "PATCH", path, object{"status": "cancelled"}, nil, "If-Match", `"1"`)
		require.Equal(t, object{"amount": "15.50", "currency": "CNY"}, metrics()["spend_total"])
		c.Refused(t, 412, "version_mismatch", "PATCH", path, object{"status": "paid"}, "If-Match", `"1"`)
		var list struct{ Items []object }
		c.OK(t, "GET", "/v1/customers?sort=-spend_total&expand=metrics&filter=spend_total%20%3E%3D%2015.5", nil, &list)
		require.Equal(t, id, list.Items[0]["id"])
		require.Equal(t, "15.50", list.Items[0]["metrics"].(object)["spend_total"].(object)["amount"])
	})

	t.Run("DaysAreTheTenants", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		buyer(t, c)
		body := order("1", "CNY", "")
		delete(body, "occurred_on")
		body["occurred_at"] = "2026-02-28T16:30:00Z" // 00:30 of 1 March in Shanghai
		var made object
		c.OK(t, "POST", "/v1/transactions", body, &made)
		require.Equal(t, "2026-03-01", made["occurred_on"])
	})

	t.Run("BadInput", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		id := buyer(t, c)
		bad := func(status int, pointer, code string, change func(object)) {
			t.Helper()
			body := order("10", "CNY", "2026-02-01")
			change(body)
			top := "invalid"
			if status == 400 {
				top = "contract_violation"
			}
			p := c.Refused(t, status, top, "POST", "/v1/transactions", body)
			require.Equal(t, pointer, p.Errors[0].Pointer)
			require.Equal(t, code, p.Errors[0].Code)
		}
		bad(400, "/occurred_on", "bad_date", func(b object) { b["occurred_on"] = "2026-02-31" })
		bad(400, "/units", "too_small", func(b object) { b["units"] = -1 })
		bad(422, "/amount/currency", "currency_unknown", func(b object) { b["amount"] = object{"amount": "1", "currency": "XYZ"} })
		bad(422, "/amount/currency", "rate_missing", func(b object) { b["amount"] = object{"amount": "1", "currency": "USD"} })
		bad(422, "/amount/amount", "too_precise", func(b object) { b["amount"] = object{"amount": "1.001", "currency": "CNY"} })
		bad(422, "/amount/amount", "negative", func(b object) { b["amount"] = object{"amount": "-1", "currency": "CNY"} })
		bad(422, "/customer_id", "one_of", func(b object) { b["customer_id"] = id })
		bad(422, "/customer", "customer_not_found", func(b object) { b["customer"] = object{"source": "shop", "external_id": "nobody"} })
		bad(422, "/occurred_at", "required", func(b object) { delete(b, "occurred_on") })
		var list struct{ Items []object }
		c.OK(t, "GET", "/v1/transactions", nil, &list)
		require.Empty(t, list.Items)
	})

	t.Run("OtherCurrenciesCountAtTheDaysRate", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		buyer(t, c)
		require.Equal(t, 201, c.OK(t, "PUT", "/v1/exchange-rates/USD/2026-01-01", object{"rate": "6"}, nil).Status)
		require.Equal(t, 200, c.OK(t, "PUT", "/v1/exchange-rates/USD/2026-01-01", object{"rate": "7"}, nil).Status)
		require.Equal(t, 200, c.OK(t, "PUT", "/v1/exchange-rates/USD/2026-01-01", object{"rate": "7.0"}, nil).Status)
		a := c.OK(t, "PUT", "/v1/exchange-rates/USD/2026-02-01", object{"rate": "7.1"}, nil)
		require.Equal(t, `"1"`, a.Header.Get("ETag"))
		var made object
		c.OK(t, "POST", "/v1/transactions", order("10.01", "USD", "2026-01-31"), &made)
		require.Equal(t, object{"amount": "70.07", "currency": "CNY"}, made["base_amount"])
		c.OK(t, "POST", "/v1/transactions", order("10.01", "USD", "2026-02-01"), &made)
		require.Equal(t, object{"amount": "71.07", "currency": "CNY"}, made["base_amount"], "71.071 rounds to the fen")
		c.Refused(t, 422, "invalid", "POST", "/v1/transactions", order("1", "USD", "2025-12-31"))
		var rates struct{ Items []object }
		c.OK(t, "GET", "/v1/exchange-rates?currency=USD", nil, &rates)
		require.Equal(t, "7.1", rates.Items[0]["rate"])
		c.Refused(t, 422, "invalid", "PUT", "/v1/exchange-rates/CNY/2026-02-01", object{"rate": "2"})
		c.Refused(t, 422, "invalid", "PUT", "/v1/exchange-rates/USD/2026-02-01", object{"rate": "0"})
		c.Refused(t, 409, "tenant_fixed", "PATCH", "/v1/tenant", object{"currency": "USD"})
	})

	t.Run("ExternalIDOnceAndPaged", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		buyer(t, c)
		for i := range 9 {
			body := order("1", "CNY", "2026-02-01")
			body["source"], body["external_id"] = "shop", fmt.Sprint(i)
			c.OK(t, "POST", "/v1/transactions", body, nil)
		}
		body := order("1", "CNY", "2026-02-01")
		body["source"], body["external_id"] = "shop", "3"
		c.Refused(t, 409, "transaction_exists", "POST", "/v1/transactions", body)
		seen := map[any]bool{}
		next := ""
		for range 5 {
			var p struct {
				Items []object
				Next  string `json:"next_cursor"`
			}
			c.OK(t, "GET", "/v1/transactions?limit=2"+next, nil, &p)
			for _, i := range p.Items {
				seen[i["id"]] = true
			}
			next = "&cursor=" + p.Next
		}
		require.Len(t, seen, 9)
	})
}
