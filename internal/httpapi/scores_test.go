package httpapi_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/app/apptest"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/tenant"
)

func TestScores(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, postgrestest.DB(t))
	// bought makes customers who bought twice and answers the id of the first.
	bought := func(t *testing.T, c *apptest.Client) string {
		var first string
		for i := range 12 {
			id := fmt.Sprintf("B-%d", i)
			var made object
			c.OK(t, "POST", "/v1/customers", object{"kind": "person", "name": "买家" + id,
				"external_ids": []object{{"source": "shop", "external_id": id}}}, &made)
			if i == 0 {
				first = made["id"].(string)
			}
			for n, day := range []string{fmt.Sprintf("2026-01-%02d", i+1), fmt.Sprintf("2026-02-%02d", 2*i+1)} {
				c.OK(t, "POST", "/v1/transactions", object{"customer": object{"source": "shop", "external_id": id}, "occurred_on": day,
					"amount": object{"amount": fmt.Sprintf("%d.90", 10+7*i+n), "currency": "CNY"}}, nil)
			}
		}
		return first
	}
	run := func(t *testing.T, c *apptest.Client, key string, body any) object {
		t.Helper()
		var job, r object
		a := c.OK(t, "POST", "/v1/score-models/"+key+"/runs", body, &job)
		require.Equal(t, 202, a.Status)
		require.Equal(t, "score_run", job["subject"].(object)["type"])
		require.Eventually(t, func() bool {
			var j object
			c.OK(t, "GET", a.Header.Get("Location"), nil, &j)
			return j["status"] != "queued" && j["status"] != "running"
		}, 20*time.Second, 10*time.Millisecond)
		c.OK(t, "GET", "/v1/score-models/"+key+"/runs/"+job["subject"].(object)["id"].(string), nil, &r)
		return r
	}

	rules := func(field, op string, value any) object {
		return object{"params": object{"rules": []object{{"name": "r", "points": 5, "condition": object{"field": field, "op": op, "value": value}}}}}
	}
	model := func(key, field, op string, value any) object {
		m := rules(field, op, value)
		m["key"], m["kind"] = key, "rules"
		return m
	}
	t.Run("NothingDependsOnItself", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		segment := func(key, filter string) object {
			return object{"key": key, "name": key, "basis": "value", "filter_text": filter}
		}
		c.OK(t, "POST", "/v1/segments", segment("a", `purchase_count >= 9`), nil)
		c.OK(t, "POST", "/v1/score-models", model("m", "segments", "has", "a"), nil)
		p := c.Refused(t, 409, "rule_cycle", "PATCH", "/v1/segments/a", object{"filter_text": "scores.m < 1"})
		require.Contains(t, p.Detail, "scores.m → segments.a → scores.m")
		// By way of a tag of an exclusive group, and of a condition to keep a tier.
		var g, x object
		c.OK(t, "POST", "/v1/tag-groups", object{"key": "g", "name": "g", "exclusive": true}, &g)
		c.OK(t, "POST", "/v1/tags", object{"key": "x", "name": "x", "group_id": g["id"], "filter_text": `city = "上海"`}, &x)
		c.OK(t, "PATCH", "/v1/score-models/m", rules("tags", "has", "x"), nil)
		c.Refused(t, 409, "rule_cycle", "POST", "/v1/tags", object{"key": "y", "name": "y", "group_id": g["id"], "filter_text": "scores.m > 1"})
		c.OK(t, "POST", "/v1/tier-schemes", object{"key": "s", "name": "s", "tiers": []object{{"key": "high", "name": "h",
			"condition": object{"field": "city", "op": "eq", "value": "上海"}, "keep": object{"field": "scores.m", "op": "gt", "value": 1}}, {"key": "low", "name": "l"}}}, nil)
		c.Refused(t, 409, "score_cycle", "PATCH", "/v1/score-models/m", rules("tiers.s", "eq", "high"))
		// What conditions of scores name stays.
		c.Refused(t, 409, "tag_in_condition", "DELETE", "/v1/tags/"+x["id"].(string), nil)
	})
	t.Run("RulesFollowWhatOtherRulesDecide", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		var who object
		c.OK(t, "POST", "/v1/customers", object{"kind": "person", "name": "随动", "city": "北京"}, &who)
		c.OK(t, "POST", "/v1/segments", object{"key": "a", "name": "a", "basis": "geographic", "filter_text": `city = "上海"`}, nil)
		c.OK(t, "POST", "/v1/score-models", model("m", "segments", "has", "a"), nil)
		run(t, c, "m", object{})
		score := func() any {
			var out object
			c.OK(t, "GET", "/v1/customers/"+who["id"].(string)+"/scores/m", nil, &out)
			return out["value"]
		}
		require.InDelta(t, 0, score(), 0)
		c.OK(t, "PATCH", "/v1/customers/"+who["id"].(string), object{"city": "上海"}, nil)
		require.InDelta(t, 5, score(), 0, "in the same commit")
		c.OK(t, "PATCH", "/v1/segments/a", object{"filter_text": `city = "广州"`}, nil)
		require.Eventually(t, func() bool { return score() == 0.0 }, 20*time.Second, 10*time.Millisecond, "after the job")
	})
	t.Run("ConditionsNameWhatIsThere", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		p := c.Refused(t, 422, "invalid", "POST", "/v1/score-models", model("m", "tags", "has", "nope"))
		require.Equal(t, "/params/rules/0/condition/value", p.Errors[0].Pointer)
		c.Refused(t, 422, "invalid", "POST", "/v1/score-models", model("m", "segments", "has", "nope"))
		c.Refused(t, 422, "filter_value", "POST", "/v1/validation-rules", object{"name": "v", "kind": "condition", "severity": "warn", "applies_to": "customer", "message": object{"en": "m", "zh": "m"},
			"condition": object{"field": "tags", "op": "has", "value": "nope"}})
		c.Refused(t, 422, "filter_value", "POST", "/v1/filters/parse", object{"filter_text": `segments:"nope"`})
	})
	t.Run("WhatIsTakenFromOthers", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		bought(t, c)
		var m, r object
		c.OK(t, "POST", "/v1/score-models", object{"key": "clv", "kind": "clv", "params": object{"horizon_months": 6}}, nil)
		c.OK(t, "PATCH", "/v1/score-models/clv", object{"params": object{"family": "bg_nbd"}}, nil)
		c.OK(t, "PATCH", "/v1/score-models/clv", object{"params": object{"family": nil}}, &m)
		require.Equal(t, "mbg_nbd", m["params"].(object)["family"], "null takes the default")
		c.OK(t, "POST", "/v1/score-models", object{"key": "churn", "kind": "churn"}, nil)
		p := c.Refused(t, 422, "invalid", "POST", "/v1/score-models", object{"key": "p", "kind": "potential", "params": object{"clv_model": "clv", "horizon_months": 3}})
		require.Equal(t, "/params/horizon_months", p.Errors[0].Pointer)
		p = c.Refused(t, 422, "invalid", "POST", "/v1/score-models", object{"key": "p", "kind": "potential", "params": object{"clv_model": "churn"}})
		require.Equal(t, []string{"clv"}, p.Errors[0].Accepted)
		c.OK(t, "POST", "/v1/score-models", object{"key": "p", "kind": "potential", "params": object{"clv_model": "clv"}}, &m)
		require.NotContains(t, m["params"], "horizon_months", "it is the other model's")
		c.OK(t, "PATCH", "/v1/score-models/p", object{"params": object{"clv_model": nil, "horizon_months": 3}}, &m)
		require.InDelta(t, 3, m["params"].(object)["horizon_months"], 0)
		require.Equal(t, "mbg_nbd", m["params"].(object)["family"])

		run(t, c, "churn", nil)
		c.OK(t, "POST", "/v1/score-models", object{"key": "c", "kind": "composite", "params": object{"missing": "zero", "parts": []object{{"score": "churn", "min": 1e12}}}}, nil)
		c.OK(t, "PATCH", "/v1/score-models/c", object{"params": object{"missing": nil}}, &m)
		require.Equal(t, "skip", m["params"].(object)["missing"])
		run(t, c, "c", nil)
		c.OK(t, "GET", "/v1/score-models/c", nil, &m)
		c.OK(t, "GET", "/v1/score-models/c/runs/"+m["current_run_id"].(string), nil, &r)
		require.Equal(t, "limits_crossed", r["calibration"].(object)["diagnostics"].([]any)[0].(object)["code"])
	})
	t.Run("FromModelToExplanation", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		id := bought(t, c)
		for _, kind := range []string{"rfm", "clv", "churn"} {
			var m object
			a := c.OK(t, "POST", "/v1/score-models", object{"key": kind, "kind": kind, "clock": object{"mode": "fixed", "day": "2026-06-30"}}, &m)
			require.Equal(t, `"1"`, a.Header.Get("ETag"))
			require.Equal(t, "/v1/score-models/"+kind, a.Header.Get("Location"))
			r := run(t, c, kind, nil)
			require.Equal(t, "succeeded", r["status"], kind)
			require.Equal(t, true, r["current"])
			require.InDelta(t, 12, r["scored"], 0)
			c.OK(t, "GET", a.Header.Get("Location"), nil, &m)
			require.Equal(t, r["id"], m["current_run_id"])
			var list struct {
				Items      []object
				NextCursor *string `json:"next_cursor"`
			}
			path := "/v1/score-models/" + kind + "/runs/" + r["id"].(string) + "/scores?limit=7"
			c.OK(t, "GET", path, nil, &list)
			require.Len(t, list.Items, 7)
			next := *list.NextCursor
			c.OK(t, "GET", path+"&cursor="+next, nil, &list)
			require.Len(t, list.Items, 5)
			c.Refused(t, 400, "cursor_invalid", "GET", "/v1/score-models/"+kind+"/runs?cursor="+next, nil)
			c.OK(t, "GET", "/v1/customers?limit=1000&sort=-scores."+kind, nil, &list)
			require.GreaterOrEqual(t, len(list.Items), 12, "those without a score come last")
			c.OK(t, "GET", "/v1/customers?filter=scores."+kind+".band%20%3E%3D%201", nil, &list)
			require.Len(t, list.Items, 12)
		}
		var zh, en struct{ Items []object }
		c.OK(t, "GET", "/v1/customers/"+id+"/scores", nil, &en)
		c.OK(t, "GET", "/v1/customers/"+id+"/scores", nil, &zh, "Accept-Language", "zh-CN")
		require.Len(t, en.Items, 3)
		for i := range en.Items {
			require.NotEqual(t, en.Items[i]["explanation"].(object)["text"], zh.Items[i]["explanation"].(object)["text"])
			require.Equal(t, en.Items[i]["value"], zh.Items[i]["value"])
		}
		c.OK(t, "POST", "/v1/score-models/rfm/runs?validate_only=true", object{}, nil)
		var runs struct{ Items []object }
		c.OK(t, "GET", "/v1/score-models/rfm/runs", nil, &runs)
		require.Len(t, runs.Items, 1, "validation leaves nothing behind")
	})

	t.Run("WhatIsToComeAndWhatIsAtRisk", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		id := bought(t, c)
		predictions := "/v1/customers/" + id + "/predictions"
		var list struct{ Items []object }
		c.OK(t, "GET", "/v1/customers?sort=-value_at_risk&filter=value_at_risk%20%3E%3D%200", nil, &list)
		require.Empty(t, list.Items, "the field is known before there is a score")
		c.Refused(t, 409, "no_model_to_predict_with", "GET", predictions, nil)
		for _, kind := range []string{"clv", "churn", "value_at_risk"} {
			c.OK(t, "POST", "/v1/score-models", object{"key": kind, "kind": kind, "clock": object{"mode": "fixed", "day": "2026-06-30"}}, nil)
		}
		c.Refused(t, 409, "score_parts_missing", "POST", "/v1/score-models/value_at_risk/runs", object{})
		for _, kind := range []string{"clv", "churn"} {
			require.Equal(t, "succeeded", run(t, c, kind, nil)["status"])
		}
		value := func(o object, key string) float64 {
			for _, s := range o["scores"].([]any) {
				if s.(object)["key"] == key {
					return s.(object)["value"].(float64)
				}
			}
			return -1
		}
		require.Eventually(t, func() bool {
			c.OK(t, "GET", "/v1/customers?sort=-value_at_risk&expand=scores&filter=value_at_risk%20%3E%200.01", nil, &list)
			return len(list.Items) == 12
		}, 20*time.Second, 20*time.Millisecond, "it follows its parts by itself")
		for i, o := range list.Items {
			require.InDelta(t, value(o, "clv")*value(o, "churn"), value(o, "value_at_risk"), 0.0051)
			if i > 0 {
				require.LessOrEqual(t, value(o, "value_at_risk"), value(list.Items[i-1], "value_at_risk"))
			}
		}
		s.In(t, c.Tenant, "customers:read").Refused(t, 403, "scope_missing", "GET", "/v1/customers?sort=-value_at_risk", nil)
		s.In(t, c.Tenant, "customers:read").Refused(t, 403, "scope_missing", "GET", "/v1/customers?filter=value_at_risk%20%3E%200", nil)

		var p object
		c.OK(t, "GET", predictions+"?horizon_days=3650", nil, &p)
		require.Equal(t, "clv", p["kind"])
		require.Equal(t, "2026-06-30", p["as_of"])
		require.Equal(t, "CNY", p["prediction"].(object)["expected_spend"].(object)["currency"])
		c.OK(t, "GET", predictions+"?model=churn", nil, &p)
		require.Equal(t, "churn", p["kind"])
		wrong := c.Refused(t, 422, "invalid", "GET", predictions+"?model=value_at_risk", nil)
		require.Equal(t, []string{"churn", "clv"}, wrong.Errors[0].Accepted)
		wrong = c.Refused(t, 422, "invalid", "GET", predictions+"?model=chorn", nil)
		require.Equal(t, "model", wrong.Errors[0].Parameter)
		require.Contains(t, wrong.Errors[0].Detail, "churn")
		c.Refused(t, 400, "contract_violation", "GET", predictions+"?horizon_days=3651", nil)
		c.Refused(t, 400, "contract_violation", "GET", predictions+"?model=%27%3B--", nil)
		var never object
		c.OK(t, "POST", "/v1/customers", object{"kind": "person", "name": "没有买过"}, &never)
		p = nil
		c.OK(t, "GET", "/v1/customers/"+never["id"].(string)+"/predictions", nil, &p)
		require.NotContains(t, p, "prediction")

		// What is tried stays within what a database and a reader can hold.
		whatIf := "/v1/customers/" + id + "/scores/clv/what-if"
		for pointer, tried := range map[string]object{
			"/until":                       {"until": "2026-06-29"},
			"/until\t":                     {"until": "2036-07-15"},
			"/purchases/0/on":              {"purchases": []object{{"amount": "1.00", "on": "2026-07-02"}}, "until": "2026-07-01"},
			"/purchases/1/on":              {"purchases": []object{{"amount": "1.00"}, {"amount": "1.00", "on": "2026-06-29"}}},
			"/purchases/0/amount":          {"purchases": []object{{"amount": "1.005"}}},
			"/inputs/nonsense~1~0":         {"inputs": object{"nonsense/~": 1}},
			"/inputs/repeat_purchase_days": {"inputs": object{"repeat_purchase_days": -1}},
			"/inputs/weeks_observed":       {"inputs": object{"weeks_observed": 1e308}},
			"/inputs/mean_repeat_spend":    {"inputs": object{"mean_repeat_spend": 1e308}},
		} {
			require.Equal(t, strings.TrimSpace(pointer), c.Refused(t, 422, "invalid", "POST", whatIf, tried).Errors[0].Pointer)
		}
		many := make([]object, 101)
		for i := range many {
			many[i] = object{"amount": "100000000000.00"}
		}
		c.Refused(t, 400, "contract_violation", "POST", whatIf, object{"purchases": many})
		c.Refused(t, 400, "contract_violation", "POST", whatIf, object{"purchases": []object{{"amount": "1000000000000"}}})
		var then object
		c.OK(t, "POST", whatIf, object{"purchases": many[1:], "until": "2026-07-30"}, &then)
		require.Greater(t, then["then"].(object)["value"], 0.0)

		// All models in one job, which two callers can't start at once.
		c.Refused(t, 400, "contract_violation", "POST", "/v1/score-runs", object{"activate": true})
		s.In(t, c.Tenant, "scores:read").Refused(t, 403, "scope_missing", "POST", "/v1/score-runs", object{})
		s.Client(t).Refused(t, 409, "score_runs_none", "POST", "/v1/score-runs", object{})
		var job, all object
		started := c.OK(t, "POST", "/v1/score-runs", object{"recalibrate": false}, &job)
		require.Equal(t, 202, started.Status)
		require.Equal(t, "tenant", job["subject"].(object)["type"])
		if again := c.Do(t, "POST", "/v1/score-runs", object{}); again.Status != 202 { // unless all have ended by now
			require.Contains(t, string(again.Body), "score_runs_none")
		}
		all = c.Wait(t, job["id"].(string))
		require.Equal(t, "succeeded", all["status"])
		require.InDelta(t, 0, all["counts"].(object)["failed"], 0)
		c.OK(t, "GET", "/v1/score-models/clv/runs?limit=2", nil, &list)
		require.Contains(t, []any{list.Items[0]["job_id"], list.Items[1]["job_id"]}, job["id"])

		var m object
		c.OK(t, "GET", "/v1/score-models/value_at_risk", nil, &m)
		path := "/runs/" + m["current_run_id"].(string) + "/validation"
		c.Refused(t, 409, "score_run_not_validated", "GET", "/v1/score-models/value_at_risk"+path, nil)
		c.Refused(t, 404, "score_run_not_found", "GET", "/v1/score-models/clv"+path, nil)
		c.OK(t, "GET", "/v1/score-models/clv", nil, &m)
		path = "/v1/score-models/clv/runs/" + m["current_run_id"].(string) + "/validation"
		c.OK(t, "GET", path+"?holdout_days=30", nil, &m)
		require.Equal(t, true, m["refitted"])
		c.Refused(t, 422, "too_few_repeat_buyers", "GET", path+"?holdout_days=1000", nil)
	})

	t.Run("AtRiskFollowsEachWrite", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		id := bought(t, c)
		for _, kind := range []string{"clv", "churn", "value_at_risk"} {
			c.OK(t, "POST", "/v1/score-models", object{"key": kind, "kind": kind}, nil)
		}
		for _, kind := range []string{"clv", "churn"} {
			require.Equal(t, "succeeded", run(t, c, kind, nil)["status"])
		}
		values := func() map[string]float64 {
			var list struct{ Items []object }
			c.OK(t, "GET", "/v1/customers/"+id+"/scores", nil, &list)
			all := map[string]float64{}
			for _, s := range list.Items {
				all[s["key"].(string)] = s["value"].(float64)
			}
			return all
		}
		require.Eventually(t, func() bool { return len(values()) == 3 }, 20*time.Second, 20*time.Millisecond)
		before := values()
		c.OK(t, "POST", "/v1/transactions", object{"customer_id": id, "occurred_at": time.Now().UTC().Add(-time.Minute).Format(time.RFC3339),
			"amount": object{"amount": "888.00", "currency": "CNY"}}, nil)
		after := values()
		require.NotEqual(t, before["value_at_risk"], after["value_at_risk"]) //nolint:testifylint // as they are
		require.InDelta(t, after["clv"]*after["churn"], after["value_at_risk"], 0.0051)
		var p object
		c.OK(t, "GET", "/v1/customers/"+id+"/predictions", nil, &p)
		require.InDelta(t, 2, p["prediction"].(object)["inputs"].(object)["repeat_purchase_days"], 0, "a look ahead knows today's purchase")
	})

	// The figures scale with the currency's unit, and a likelihood that runs to its boundary ends and says so.
	t.Run("AnotherCurrencyAndScale", func(t *testing.T) {
		t.Parallel()
		yen := func(c *tenant.Creation) { c.Currency = "JPY" }
		c := s.Client(t, yen)
		var batch []object
		// Everyone buys every seventh day: nobody ever leaves, and all are alike.
		for i := range 40 {
			for k := range 12 {
				batch = append(batch, object{"customer": object{"source": "shop", "external_id": fmt.Sprintf("Y-%d", i)}, "occurred_on": time.Date(2026, 1, 1+7*k, 0, 0, 0, 0, time.UTC).Format(time.DateOnly),
					"source": "pos", "external_id": fmt.Sprintf("%d-%d", i, k), "amount": object{"amount": fmt.Sprint((80 + i + k) * 1_000_000), "currency": "JPY"}})
			}
		}
		for i := range 40 {
			c.OK(t, "POST", "/v1/customers", object{"kind": "person", "name": "顾客", "external_ids": []object{{"source": "shop", "external_id": fmt.Sprintf("Y-%d", i)}}}, nil)
		}
		c.OK(t, "POST", "/v1/transactions/batch", object{"items": batch}, nil)
		for _, family := range []string{"mbg_nbd", "bg_nbd", "pareto_nbd"} {
			c.OK(t, "POST", "/v1/score-models", object{"key": family, "kind": "clv", "params": object{"family": family},
				"clock": object{"mode": "fixed", "day": "2026-03-25"}}, nil)
			r := run(t, c, family, nil)
			require.Equal(t, "succeeded", r["status"])
			calibration := r["calibration"].(object)
			require.Equal(t, "JPY", calibration["units"].(object)["money"])
			require.Contains(t, fmt.Sprint(calibration["diagnostics"]), "purchase_model_boundary")
			var list struct{ Items []object }
			c.OK(t, "GET", "/v1/score-models/"+family+"/runs/"+r["id"].(string)+"/scores", nil, &list)
			require.Len(t, list.Items, 40)
			for _, o := range list.Items {
				// Some 50 purchases of about a hundred million yen each.
				require.InDelta(t, 4.7e9, o["value"], 1.5e9)
				require.Equal(t, o["value"], math.Trunc(o["value"].(float64)), "yen have no fraction") //nolint:testifylint // exactly
			}
			var p object
			c.OK(t, "GET", "/v1/customers/"+list.Items[0]["customer_id"].(string)+"/predictions?model="+family+"&horizon_days=365", nil, &p)
			require.InDelta(t, 52, p["prediction"].(object)["expected_purchases"], 6)
		}
	})

	t.Run("ChangedByMergePatch", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		c.OK(t, "POST", "/v1/score-models", object{"key": "m", "kind": "clv", "params": object{"horizon_months": 6, "family": "bg_nbd"}}, nil)
		c.Refused(t, 409, "score_model_key_taken", "POST", "/v1/score-models", object{"key": "m", "kind": "clv"})
		p := c.Refused(t, 422, "invalid", "PATCH", "/v1/score-models/m", object{"params": object{"window_days": 3}})
		require.Equal(t, "/params/window_days", p.Errors[0].Pointer)
		var m object
		c.OK(t, "PATCH", "/v1/score-models/m", object{"params": object{"discount_rate_monthly": 0.02, "horizon_months": nil}}, &m, "If-Match", `"1"`)
		require.Equal(t, object{"family": "bg_nbd", "horizon_months": 12.0, "discount_rate_monthly": 0.02, "recalibrate_days": 7.0}, m["params"])
		require.InDelta(t, 2, m["model_version"], 0)
		c.Refused(t, 412, "version_mismatch", "DELETE", "/v1/score-models/m", nil, "If-Match", `"1"`)
		c.OK(t, "DELETE", "/v1/score-models/m", nil, nil, "If-Match", `"2"`)
		c.Refused(t, 404, "score_model_not_found", "GET", "/v1/score-models/m", nil)
	})

	t.Run("TooFewToFit", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		c.OK(t, "POST", "/v1/score-models", object{"key": "m", "kind": "churn"}, nil)
		r := run(t, c, "m", object{})
		require.Equal(t, "failed", r["status"])
		var job object
		c.OK(t, "GET", "/v1/jobs/"+r["job_id"].(string), nil, &job)
		require.Equal(t, "too_few_repeat_buyers", job["error"].(object)["code"])
		require.Equal(t, "too_few_repeat_buyers", r["error"].(object)["code"])
		require.Contains(t, r["error"].(object)["detail"], "fewer than 10 customers")
		c.OK(t, "GET", "/v1/score-models/m/runs/"+r["id"].(string), nil, &r, "Accept-Language", "zh")
		require.Contains(t, r["error"].(object)["detail"], "少于 10 个")
		c.Refused(t, 409, "score_run_not_succeeded", "POST", "/v1/score-models/m/runs/"+r["id"].(string)+"/activate", nil)
		c.Refused(t, 422, "invalid", "POST", "/v1/score-models/m/runs", object{"as_of": "2999-01-01"})
	})
}
