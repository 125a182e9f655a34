package httpapi_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/app/apptest"
	"github.com/kezi-io/kezi/internal/postgrestest"
)

// S2-06, S2-07: who pays how is what the preset credit reads.
func TestTiersOverHTTP(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, postgrestest.DB(t))
	c := s.Client(t)
	day := func(ago int) string { return time.Now().AddDate(0, 0, -ago).UTC().Format(time.DateOnly) }
	yuan := func(n int) object { return object{"amount": fmt.Sprintf("%d.00", n), "currency": "CNY"} }
	pay := func(id any, spent int, bills ...object) {
		var order object
		c.OK(t, "POST", "/v1/transactions", object{"customer_id": id, "occurred_on": day(60), "amount": yuan(spent)}, &order)
		for _, b := range bills {
			c.OK(t, "POST", "/v1/transactions/"+order["id"].(string)+"/payments", b, nil)
		}
	}
	prompt := object{"due_on": day(30), "amount_due": yuan(1), "paid_on": day(31), "amount_paid": yuan(1)}
	late := object{"due_on": day(30), "amount_due": yuan(1), "paid_on": day(10), "amount_paid": yuan(1)}
	overdue := object{"due_on": day(30), "amount_due": yuan(1)}
	ids := map[string]string{}
	for _, name := range []string{"prompt", "unknown", "slow", "owing"} {
		var made object
		c.OK(t, "POST", "/v1/customers", object{"kind": "company", "name": name}, &made)
		ids[name] = made["id"].(string)
	}
	pay(ids["prompt"], 4000, prompt, prompt, prompt)
	pay(ids["slow"], 1500, late, late, late)
	pay(ids["owing"], 900, overdue, overdue)

	tiers := func(t *testing.T, scheme string) map[string]any {
		t.Helper()
		at := map[string]any{}
		for name, id := range ids {
			var placed object
			c.OK(t, "GET", "/v1/customers/"+id+"/tiers", nil, &placed)
			for _, p := range placed["items"].([]any) {
				if p := p.(object); p["scheme"] == scheme {
					at[name] = p["key"]
				}
			}
		}
		return at
	}
	settle := func(t *testing.T, scheme string) {
		t.Helper()
		var job object
		c.OK(t, "POST", "/v1/tier-schemes/"+scheme+"/evaluate", nil, &job)
		require.Equal(t, "succeeded", c.Wait(t, job["id"].(string))["status"])
	}
	for _, preset := range []string{"credit", "membership"} {
		c.OK(t, "POST", "/v1/tier-schemes", object{"key": preset, "preset": preset}, nil)
		settle(t, preset)
	}
	require.Equal(t, map[string]any{"prompt": "a", "unknown": "b", "slow": "c", "owing": "d"}, tiers(t, "credit"))
	require.Equal(t, map[string]any{"prompt": "gold", "unknown": "ordinary", "slow": "silver", "owing": "ordinary"}, tiers(t, "membership"))

	t.Run("RightOnTheNextReadAfterAWrite", func(t *testing.T) {
		pay(ids["owing"], 2500)
		require.Equal(t, "gold", tiers(t, "membership")["owing"])
		var log object
		c.OK(t, "GET", "/v1/customers/"+ids["owing"]+"/tier-history", nil, &log)
		newest := log["items"].([]any)[0].(object)
		require.Equal(t, []any{"ordinary", "gold", "up", "write", "transaction.created"},
			[]any{newest["from"], newest["to"], newest["change"], newest["cause"], newest["event_type"]})
	})
	t.Run("WhatIsMissingForATier", func(t *testing.T) {
		var path object
		c.OK(t, "GET", "/v1/customers/"+ids["slow"]+"/tiers/membership/path-to?tier=gold", nil, &path)
		require.Equal(t, false, path["reached"])
		step := path["alternatives"].([]any)[0].([]any)[0].(object)
		require.Equal(t, []any{"1500.00"}, step["seen"])
		require.Equal(t, "1500.00", step["difference"])
		pay(ids["slow"], 1500)
		require.Equal(t, "gold", tiers(t, "membership")["slow"], "what the path said suffices")
	})
	t.Run("SimulatedBeforeItCounts", func(t *testing.T) {
		var would, now object
		stricter := object{"tiers": []object{{"key": "gold", "name": "金", "condition": object{"field": "spend_total", "op": "gte", "value": "5000"}},
			{"key": "ordinary", "name": "普通"}}, "downgrade": "direct", "downgrade_at": "at_once", "grace_days": 0}
		before := tiers(t, "membership")
		c.OK(t, "POST", "/v1/tier-schemes/membership/simulate", stricter, &would)
		require.Equal(t, before, tiers(t, "membership"), "nothing was written")
		require.InDelta(t, 4, would["customers"], 0)
		c.OK(t, "PUT", "/v1/tier-schemes/membership/draft", stricter, nil)
		c.OK(t, "POST", "/v1/tier-schemes/membership/activate", nil, nil)
		settle(t, "membership")
		c.OK(t, "GET", "/v1/tier-schemes/membership/distribution", nil, &now)
		to := map[any]float64{}
		for _, m := range would["movements"].([]any) {
			to[m.(object)["to"]] += m.(object)["customers"].(float64)
		}
		for _, i := range now["items"].([]any) {
			require.InDelta(t, to[i.(object)["key"]], i.(object)["customers"], 0, i)
		}
	})
	t.Run("ByHandBeatsTheRules", func(t *testing.T) {
		manual := "/v1/customers/" + ids["unknown"] + "/tiers/credit/manual"
		c.OK(t, "PUT", manual, object{"tier": "a", "until": "2199-12-31", "reason": "老客户"}, nil)
		require.Equal(t, "a", tiers(t, "credit")["unknown"])
		c.OK(t, "DELETE", manual, nil, nil)
		require.Equal(t, "b", tiers(t, "credit")["unknown"])
		c.Refused(t, 404, "tier_not_placed_by_hand", "DELETE", manual, nil)
		c.Refused(t, 422, "invalid", "PUT", manual, object{"tier": "z", "reason": "x"})
		c.Refused(t, 422, "invalid", "PUT", manual, object{"tier": "a", "until": "2001-01-01", "reason": "x"})
	})
	t.Run("RefusedWithThePlace", func(t *testing.T) {
		spends := func(n string) object { return object{"field": "spend_total", "op": "gte", "value": n} }
		p := c.Refused(t, 422, "invalid", "POST", "/v1/tier-schemes", object{"key": "x", "tiers": []object{
			{"key": "high", "name": "h", "condition": spends("100")}, {"key": "middle", "name": "m", "condition": spends("200")}, {"key": "low", "name": "l"}}})
		require.Equal(t, "/tiers/1/condition", p.Errors[0].Pointer, "whoever has 200 has 100")
		c.Refused(t, 422, "invalid", "POST", "/v1/tier-schemes", object{"key": "x", "preset": "credit", "tiers": []object{{"key": "a", "name": "a"}, {"key": "b", "name": "b"}}})
		p = c.Refused(t, 422, "invalid", "POST", "/v1/tier-schemes", object{"key": "x", "tiers": []object{
			{"key": "high", "name": "h", "condition": object{"field": "tiers.x", "op": "eq", "value": "low"}}, {"key": "low", "name": "l"}}})
		require.Equal(t, "own_tier", p.Errors[0].Code)
		c.OK(t, "POST", "/v1/tier-schemes", object{"key": "ring", "draft": true, "tiers": []object{{"key": "a", "name": "a", "condition": spends("1")},
			{"key": "b", "name": "b", "strategy": "新品优先", "benefits": []object{{"kind": "early_access", "name": "提前购"}}}}}, nil)
		c.OK(t, "POST", "/v1/tier-schemes/ring/activate", nil, nil)
		var member, placed object // S0-64, S0-65, S4-36
		c.OK(t, "POST", "/v1/customers", object{"kind": "person", "name": "会员"}, &member)
		c.OK(t, "GET", "/v1/customers/"+member["id"].(string)+"/tiers", nil, &placed)
		require.Contains(t, fmt.Sprint(placed["items"]), "early_access")
		require.Contains(t, fmt.Sprint(placed["items"]), "新品优先")
		c.OK(t, "POST", "/v1/segments", object{"key": "ring", "name": "ring", "basis": "value", "filter_text": `tiers.ring = "a"`}, nil)
		p = c.Refused(t, 409, "rule_cycle", "PATCH", "/v1/tier-schemes/ring", object{"tiers": []object{
			{"key": "a", "name": "a", "condition": object{"field": "segments", "op": "has", "value": "ring"}}, {"key": "b", "name": "b"}}})
		require.Equal(t, "/tiers", p.Errors[0].Pointer)
		p = c.Refused(t, 422, "invalid", "POST", "/v1/tier-schemes", object{"key": "x", "tiers": []object{{"key": "a", "name": "a", "condition": object{"and": []object{
			{"field": "spend_total", "op": "gte", "value": "5000"}, {"field": "spend_total", "op": "lt", "value": "1000"},
		}}}, {"key": "b", "name": "b"}}})
		require.Equal(t, "filter_contradiction", p.Errors[0].Code)
		require.Equal(t, "/tiers/0/condition/and/0/field", p.Errors[0].Pointer)
		require.Equal(t, "/tiers/0/condition/and/1/field", p.Errors[1].Pointer)
		c.Refused(t, 404, "tier_scheme_not_found", "GET", "/v1/tier-schemes/x", nil)
		c.Refused(t, 409, "tier_draft_missing", "POST", "/v1/tier-schemes/credit/activate", nil)
	})
	t.Run("ANarrowTokenDoesNotLearnByTiers", func(t *testing.T) {
		c.OK(t, "POST", "/v1/score-models", object{"key": "clv", "kind": "clv"}, nil)
		narrow := s.In(t, c.Tenant, "tiers:read", "tiers:write", "customers:read")
		narrow.Refused(t, 403, "scope_missing", "POST", "/v1/tier-schemes", object{"key": "x", "preset": "value"})
		c.OK(t, "POST", "/v1/tier-schemes", object{"key": "value", "preset": "value"}, nil)
		narrow.Refused(t, 403, "scope_missing", "GET", "/v1/customers/"+ids["slow"]+"/tiers/value/path-to?tier=high", nil)
	})
}
