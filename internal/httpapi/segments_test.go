package httpapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/app/apptest"
	"github.com/kezi-io/kezi/internal/postgrestest"
)

// evaluated waits for the job that puts what was made to everybody; it may have ended before the answer.
func evaluated(t *testing.T, c *apptest.Client, made object) {
	t.Helper()
	if job, ok := made["evaluation"].(object)["job_id"].(string); ok {
		c.Wait(t, job)
	}
}

// S0-13, S0-15
func TestBuiltInSegmentsMeanWhatTheirNamesSay(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, postgrestest.DB(t))
	c := s.Client(t)
	for name, bought := range map[string]struct {
		amount string
		ago    []int // days
	}{
		"large and often": {"900.00", []int{300, 200, 100, 10}},
		"often":           {"10.00", []int{300, 200, 100, 10}},
		"all of late":     {"20.00", []int{4, 3, 2, 1}},
		"one large":       {"90000.00", []int{10}},
		"once":            {"30.00", []int{10}}, "once, too": {"40.00", []int{10}}, "and once": {"50.00", []int{10}},
	} {
		var made object
		c.OK(t, "POST", "/v1/customers", object{"kind": "person", "name": name}, &made)
		for _, ago := range bought.ago {
			day := time.Now().AddDate(0, 0, -ago).Format(time.DateOnly)
			c.OK(t, "POST", "/v1/transactions", object{"customer_id": made["id"], "occurred_on": day, "amount": object{"amount": bought.amount, "currency": "CNY"}}, nil)
		}
	}
	for preset, want := range map[string][]any{"high_value": {"large and often"}, "loyal": {"large and often", "often"}} {
		var made, page object
		c.OK(t, "POST", "/v1/segments", object{"preset": preset}, &made)
		evaluated(t, c, made)
		c.OK(t, "GET", "/v1/segments/"+preset+"/members", nil, &page)
		names := []any{}
		for _, m := range page["items"].([]any) {
			names = append(names, m.(object)["name"])
		}
		require.ElementsMatch(t, want, names, "%s: %s", preset, made["filter_text"])
	}
}

// S0-39, S2-10
func TestSegmentsOverHTTP(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, postgrestest.DB(t))
	c := s.Client(t)
	var ada, bob, out object
	c.OK(t, "POST", "/v1/customers", object{"kind": "person", "name": "张三", "city": "上海"}, &ada)
	c.OK(t, "POST", "/v1/customers", object{"kind": "person", "name": "李四", "city": "杭州"}, &bob)
	c.OK(t, "POST", "/v1/transactions", object{"customer_id": ada["id"], "occurred_on": "2026-02-02", "amount": object{"amount": "600.00", "currency": "CNY"}}, nil)

	c.OK(t, "POST", "/v1/segments/preview", object{"filter_text": `city = "上海" AND spend_total >= 500`}, &out)
	require.InDelta(t, 1, out["customers"], 0)
	require.Equal(t, "张三", out["sample"].([]any)[0].(object)["name"])
	made := c.OK(t, "POST", "/v1/segments", object{"key": "shanghai", "name": "上海", "basis": "geographic", "filter_text": `city = "上海"`,
		"strategy": "门店品鉴会", "benefits": []object{{"kind": "event", "name": "品鉴会"}}}, &out)
	evaluated(t, c, out)
	c.OK(t, "POST", "/v1/segments", object{"key": "good", "name": "上海大客户", "basis": "value", "filter_text": `segments:"shanghai" AND spend_total >= 500`}, &out)
	evaluated(t, c, out)
	c.OK(t, "POST", "/v1/segments", object{"key": "salon", "name": "沙龙", "basis": "psychographic", "static": true}, nil)

	members := func(t *testing.T, key string) (names []any) {
		t.Helper()
		var page object
		c.OK(t, "GET", "/v1/segments/"+key+"/members", nil, &page)
		for _, m := range page["items"].([]any) {
			names = append(names, m.(object)["name"])
		}
		return names
	}
	require.Equal(t, []any{"张三"}, members(t, "good"))
	c.OK(t, "GET", "/v1/customers/"+ada["id"].(string)+"/segments", nil, &out) // S0-16, S1-02
	require.Equal(t, "门店品鉴会", out["items"].([]any)[1].(object)["strategy"])
	require.Equal(t, []any{object{"kind": "event", "name": "品鉴会"}}, out["items"].([]any)[1].(object)["benefits"])
	c.OK(t, "POST", "/v1/segments/salon/members", object{"action": "add", "customer_ids": []any{bob["id"], "01890a5d-ac96-774b-bcce-b302099a0000"}, "reason": "报名"}, &out)
	require.InDelta(t, 1, out["changed"], 0)
	require.Len(t, out["missing"], 1)
	c.OK(t, "POST", "/v1/segments/overlap", object{"keys": []string{"shanghai", "good", "salon"}}, &out)
	require.InDelta(t, 2, out["any"], 0)
	require.InDelta(t, 0, out["all"], 0)
	require.Equal(t, []any{1.0, 1.0, 0.0}, out["items"].([]any)[1].(object)["common"])
	c.OK(t, "GET", "/v1/segments/good/value", nil, &out)
	require.Equal(t, object{"amount": "600.00", "currency": "CNY"}, out["spend_total"])

	t.Run("ExplainedToThoseInsideAndOutside", func(t *testing.T) {
		var of object
		c.OK(t, "GET", "/v1/segments/good/explain?customer_id="+bob["id"].(string), nil, &of)
		require.Equal(t, false, of["member"])
		require.Equal(t, object{"pointer": "/and/0", "text": `segments:"shanghai"`, "holds": false, "seen": []any{"salon"}}, of["leaves"].([]any)[0])
		c.OK(t, "GET", "/v1/segments/salon/explain?customer_id="+bob["id"].(string), nil, &of)
		require.Equal(t, "报名", of["listed"].(object)["reason"])
	})
	t.Run("TrueOnTheNextReadAfterAWrite", func(t *testing.T) {
		c.OK(t, "PATCH", "/v1/customers/"+bob["id"].(string), object{"city": "上海"}, nil)
		require.ElementsMatch(t, []any{"张三", "李四"}, members(t, "shanghai"))
		var log object
		c.OK(t, "GET", "/v1/customers/"+bob["id"].(string)+"/segment-log", nil, &log)
		newest := log["items"].([]any)[0].(object)
		require.Equal(t, "shanghai", newest["segment_key"])
		require.Equal(t, `city = "上海"`, newest["decided_by"])
		require.Equal(t, "customer.updated", newest["event_type"])
	})
	t.Run("RefusedWithThePlace", func(t *testing.T) {
		p := c.Refused(t, 409, "segment_in_use", "DELETE", "/v1/segments/shanghai", nil)
		require.Contains(t, p.Detail, "segment good")
		p = c.Refused(t, 409, "rule_cycle", "PATCH", "/v1/segments/shanghai", object{"filter_text": `NOT segments:"good"`})
		require.Contains(t, p.Errors[0].Detail, "good")
		require.Equal(t, "/filter_text", p.Errors[0].Pointer, "where it was given")
		c.Refused(t, 409, "segment_key_taken", "POST", "/v1/segments", object{"key": "good", "name": "x", "basis": "value", "filter_text": "city:*"})
		c.Refused(t, 422, "segment_unknown", "POST", "/v1/segments/overlap", object{"keys": []string{"good", "gold"}})
		c.Refused(t, 409, "segment_dynamic", "POST", "/v1/segments/good/members", object{"action": "add", "customer_ids": []any{bob["id"]}})
		c.Refused(t, 409, "segment_static", "PATCH", "/v1/segments/salon", object{"filter_text": "city:*"})
		for text, want := range map[string]struct {
			status int
			code   string
		}{
			`city = "x" AND owner = "y" OR stage = "lead"`:               {400, "filter_syntax"},
			`city = 'a'; DROP TABLE tags;--`:                             {400, "filter_syntax"},
			`cty = "x"`:                                                  {422, "filter_unknown_field"},
			`spend_total = "x"`:                                          {422, "filter_value"},
			`spend_total >= 5000 AND spend_total < 1000`:                 {422, "filter_contradiction"},
			strings.Repeat("(", 50) + "city:*" + strings.Repeat(")", 50): {422, "filter_limit"},
		} {
			p := c.Refused(t, want.status, want.code, "POST", "/v1/segments", object{"key": "bad", "name": "x", "basis": "value", "filter_text": text})
			require.Equal(t, "/filter_text", p.Errors[0].Pointer)
			require.Contains(t, p.Errors[0].Detail, "at character")
		}
		c.Refused(t, 404, "segment_not_found", "GET", "/v1/segments/bad", nil)
	})
	t.Run("ConditionsOfANarrowToken", func(t *testing.T) {
		c.OK(t, "POST", "/v1/score-models", object{"key": "clv", "kind": "clv"}, nil)
		narrow := s.In(t, c.Tenant, "segments:read", "segments:write", "customers:read")
		asks := object{"key": "guess", "name": "x", "basis": "value", "filter_text": "scores.clv >= 1"}
		narrow.Refused(t, 403, "scope_missing", "POST", "/v1/segments", asks)
		narrow.Refused(t, 403, "scope_missing", "POST", "/v1/segments/preview", object{"filter_text": "scores.clv >= 1"})
		c.OK(t, "POST", "/v1/segments", asks, nil)
		narrow.Refused(t, 403, "scope_missing", "GET", "/v1/segments/guess/explain?customer_id="+bob["id"].(string), nil)
	})
	c.OK(t, "DELETE", "/v1/segments/good", nil, nil)
	c.OK(t, "DELETE", made.Header.Get("Location"), nil, nil)
	c.Refused(t, 404, "segment_not_found", "GET", "/v1/segments/good/members", nil)
}
