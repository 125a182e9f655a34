package httpapi_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/app/apptest"
	"github.com/kezi-io/kezi/internal/postgrestest"
)

func TestConditionsOverHTTP(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, postgrestest.DB(t))
	c := s.Client(t)
	var person, other, out object
	c.OK(t, "POST", "/v1/customers", object{"kind": "person", "name": "张三", "city": "上海"}, &person)
	c.OK(t, "POST", "/v1/customers", object{"kind": "person", "name": "李四"}, &other)
	id := person["id"].(string)
	for _, order := range []object{
		{"occurred_on": "2026-02-01", "channel": "web", "amount": object{"amount": "300.50", "currency": "CNY"}},
		{"occurred_on": "2026-02-03", "channel": "store", "amount": object{"amount": "700.00", "currency": "CNY"}},
		{"occurred_on": "2026-02-03", "channel": "web", "status": "cancelled", "amount": object{"amount": "9000.00", "currency": "CNY"}},
	} {
		order["customer_id"] = id
		c.OK(t, "POST", "/v1/transactions", order, nil)
	}

	t.Run("BothFormsFindTheSame", func(t *testing.T) {
		t.Parallel()
		var parsed, listed, searched object
		text := `sum(transactions.amount, "2026-01-01..2026-12-31", "channel = 'web'") >= 300 AND count(orders, "all", "status = 'cancelled'") = 1`
		c.OK(t, "POST", "/v1/filters/parse", object{"filter_text": text}, &parsed)
		require.ElementsMatch(t, []any{"orders", "orders.status", "transactions.amount", "transactions.channel"}, parsed["fields"])
		c.OK(t, "GET", "/v1/customers?filter="+url.QueryEscape(text), nil, &listed)
		c.OK(t, "POST", "/v1/customers/search", object{"filter": parsed["filter"]}, &searched)
		require.Equal(t, listed["items"], searched["items"])
		require.Len(t, listed["items"], 1)
		require.Equal(t, id, listed["items"].([]any)[0].(object)["id"])
		var again object
		c.OK(t, "POST", "/v1/filters/parse", object{"filter": parsed["filter"]}, &again)
		require.Equal(t, parsed, again)
	})
	t.Run("ExplainedLeafByLeaf", func(t *testing.T) {
		t.Parallel()
		var out object
		text := `city = "杭州" AND (spend_total >= 1000 OR last(transactions) < "2026-01-01")`
		c.OK(t, "POST", "/v1/filters/explain", object{"customer_id": id, "filter_text": text}, &out)
		require.Equal(t, false, out["matches"])
		require.Equal(t, []any{
			object{"pointer": "/and/0", "text": `city = "杭州"`, "holds": false, "seen": []any{"上海"}},
			object{"pointer": "/and/1/or/0", "text": `spend_total >= 1000`, "holds": true, "seen": []any{"1000.50"}},
			object{"pointer": "/and/1/or/1", "text": `last(transactions) < "2026-01-01"`, "holds": false, "seen": []any{"2026-02-03"}},
		}, out["leaves"])
		c.OK(t, "POST", "/v1/filters/explain", object{"customer_id": other["id"], "filter_text": `NOT ` + "city:*"}, &out)
		require.Equal(t, true, out["matches"])
		require.Empty(t, out["leaves"].([]any)[0].(object)["seen"])
	})
	t.Run("RefusedWithThePlace", func(t *testing.T) {
		t.Parallel()
		c.Refused(t, 422, "filter_missing", "POST", "/v1/filters/parse", object{})
		c.Refused(t, 422, "filter_twice", "POST", "/v1/filters/parse", object{"filter_text": "city:*", "filter": object{"field": "city", "op": "is_null"}})
		p := c.Refused(t, 422, "filter_unknown_field", "POST", "/v1/filters/parse", object{"filter_text": `sum(transactions.amout) > 1`})
		require.Contains(t, p.Errors[0].Detail, "at character 5")
		require.Equal(t, 4, p.Errors[0].Offset)
		p = c.Refused(t, 422, "filter_unknown_field", "POST", "/v1/filters/explain", object{"customer_id": id,
			"filter": object{"function": "count", "of": "transactions", "where": object{"field": "chanel", "op": "eq", "value": "x"}, "op": "gt", "value": "1"}})
		require.Equal(t, "/filter/where/field", p.Errors[0].Pointer)
		require.Contains(t, p.Errors[0].Detail, "channel")
	})
	t.Run("WhatANarrowTokenMayNotRead", func(t *testing.T) {
		t.Parallel()
		narrow := s.In(t, c.Tenant, "customers:read")
		narrow.Refused(t, 403, "scope_missing", "POST", "/v1/filters/explain", object{"customer_id": id, "filter_text": `count(orders, "all", "amount > 1") > 0`})
		narrow.Refused(t, 403, "scope_missing", "GET", "/v1/customers?filter="+url.QueryEscape(`max(transactions.amount) > 1`), nil)
	})
	for _, path := range []string{"/v1/tags", "/v1/score-models", "/v1/field-definitions", "/v1/tier-schemes"} {
		body := map[string]object{"/v1/tags": {"key": "regular", "name": "常客"}, "/v1/score-models": {"key": "rfm", "kind": "rfm"},
			"/v1/field-definitions": {"applies_to": "customer", "key": "roast", "label": "烘焙度", "type": "choice", "choices": []object{{"key": "light", "label": "浅"}}},
			"/v1/tier-schemes":      {"key": "value", "preset": "membership"}}[path]
		c.OK(t, "POST", path, body, nil)
	}
	c.OK(t, "GET", "/v1/filter-fields", nil, &out, "Accept-Language", "zh")
	parses := func(source, example string) {
		if source != "" {
			example = `count(` + source + `, "all", '` + strings.ReplaceAll(strings.ReplaceAll(example, `\`, `\\`), `'`, `\'`) + `') >= 1`
		}
		c.OK(t, "POST", "/v1/filters/parse", object{"filter_text": example}, nil)
	}
	offered := 0
	for _, f := range out["items"].([]any) {
		require.NotEmpty(t, f.(object)["label"], f)
		if example, ok := f.(object)["example"].(string); ok {
			parses("", example)
			offered++
		}
	}
	require.Greater(t, offered, 50)
	for _, s := range out["sources"].([]any) {
		for _, f := range s.(object)["fields"].([]any) {
			require.NotEmpty(t, f.(object)["label"], f)
			if example, ok := f.(object)["example"].(string); ok {
				parses(s.(object)["name"].(string), example)
			}
		}
	}
	require.Contains(t, fmt.Sprint(out["items"]), `tags:"regular"`)
	require.NotContains(t, fmt.Sprint(out["items"]), `segments:"`, "there is none")
	require.Contains(t, out["sources"].([]any)[0].(object)["measures"], "transactions.amount")
	c.OK(t, "GET", "/v1/filter-fields", nil, &out)
	require.NotEmpty(t, out["operators"].([]any)[0].(object)["label"])
	buildForms(t, c, out)
}

// buildForms makes every comparison that a form made of the catalogue alone could offer.
func buildForms(t *testing.T, c *apptest.Client, known object) {
	t.Helper()
	named := func(member string) map[string]object {
		all := map[string]object{}
		for _, o := range known[member].([]any) {
			require.NotEmpty(t, o.(object)["name"])
			all[o.(object)["name"].(string)] = o.(object)
		}
		return all
	}
	operators, types, limits := named("operators"), named("types"), known["limits"].(object)
	samples := map[string]any{"number": 1000.5, "integer": 3, "money": 1000, "score": 0.5, "date": "2026-01-31", "time": "2026-01-31", "boolean": true,
		"uuid": "01890a5d-ac96-774b-bcce-b302099a8057"}
	leaves := []object{}
	add := func(kind string, field, leaf object) {
		require.Contains(t, types, kind)
		var value any = "茶"
		if choices, _ := field["choices"].([]any); len(choices) > 0 {
			value = choices[0]
		} else if sample, ok := samples[kind]; ok {
			value = sample
		} else if at, ok := field["choices_at"].(string); ok {
			var list object
			c.OK(t, "GET", at, nil, &list)
			if len(list["items"].([]any)) == 0 {
				return
			}
			value = list["items"].([]any)[0].(object)["key"]
		}
		for _, op := range leaf["operators"].([]any) {
			values := []any{value}
			if types[kind]["relative_days"] == true && operators[op.(string)]["takes"] == "one" {
				values = append(values, "today-90d")
				require.Regexp(t, limits["relative_day"], "today-90d")
			}
			for _, v := range values {
				made := object{"op": op}
				for _, member := range []string{"field", "function", "of", "window", "where"} {
					if leaf[member] != nil {
						made[member] = leaf[member]
					}
				}
				switch operators[op.(string)]["takes"] {
				case "one":
					made["value"] = v
				case "many":
					made["values"] = []any{v}
				}
				leaves = append(leaves, made)
			}
		}
	}
	for _, f := range known["items"].([]any) {
		f := f.(object)
		add(f["type"].(string), f, object{"field": f["name"], "operators": f["operators"]})
	}
	for _, s := range known["sources"].([]any) {
		source := s.(object)
		of := map[string]object{}
		for _, f := range source["fields"].([]any) {
			of[source["name"].(string)+"."+f.(object)["name"].(string)] = f.(object)
		}
		for name, function := range named("functions") {
			if function["of"] == "source" {
				for _, w := range known["windows"].([]any) {
					require.Regexp(t, w.(object)["pattern"], w.(object)["example"])
					if w.(object)["name"] != "qualification" {
						add(function["type"].(string), object{}, object{"function": name, "of": source["name"], "window": w.(object)["example"], "operators": function["operators"]})
					}
				}
				continue
			}
			for _, m := range source["measures"].([]any) {
				require.NotEmpty(t, of[m.(string)]["label"], m)
				add(of[m.(string)]["type"].(string), object{}, object{"function": name, "of": m, "operators": function["operators"]})
			}
		}
	}
	require.Greater(t, len(leaves), 500)
	most := int(limits["comparisons"].(float64))
	for len(leaves) > 0 {
		n := min(most, len(leaves))
		c.OK(t, "POST", "/v1/filters/parse", object{"filter": object{"and": leaves[:n]}}, nil)
		leaves = leaves[n:]
	}
	c.Refused(t, 422, "filter_limit", "POST", "/v1/filters/parse", object{"filter": object{"field": "city", "op": "in", "values": make([]string, int(limits["values"].(float64))+1)}})
}
