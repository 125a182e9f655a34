package quality_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/app/apptest"
	"github.com/kezi-io/kezi/internal/metric"
	"github.com/kezi-io/kezi/internal/postgrestest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

type object = map[string]any

type bench struct {
	*apptest.Client
	server *apptest.Server
}

func setup(t *testing.T) bench {
	t.Helper()
	s := apptest.Start(t, postgrestest.DB(t))
	return bench{s.Client(t), s}
}

func (b bench) rule(t *testing.T, r object) string {
	t.Helper()
	if r["applies_to"] == nil {
		r["applies_to"] = "customer"
	}
	if r["name"] == nil {
		r["name"] = fmt.Sprint(r["kind"], r["field"], r["condition"])
	}
	return b.OK(t, "POST", "/v1/validation-rules", r, nil).Header.Get("Location")
}

func (b bench) completeness(t *testing.T, path string) int {
	t.Helper()
	var q struct{ Completeness int }
	b.OK(t, "GET", path+"/quality", nil, &q)
	return q.Completeness
}

// trueToTheRecords fails when a stored completeness is not what the records say.
func (b bench) trueToTheRecords(t *testing.T) {
	t.Helper()
	wrong, _, err := metric.Verify(postgrestest.Context(t, b.Tenant), b.server.DB, b.Tenant.ID, 10)
	require.NoError(t, err)
	require.Empty(t, wrong)
	var unmeasured int
	require.NoError(t, b.server.DB.QueryRow(postgrestest.Context(t, b.Tenant), `SELECT count(*) FROM customer_metrics
		WHERE tenant_id = $1 AND completeness IS NULL`, b.Tenant.ID).Scan(&unmeasured))
	require.Zero(t, unmeasured)
}

// S0-58 S0-59
func TestRulesBlockAndWarn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.OK(t, "POST", "/v1/field-definitions", object{"applies_to": "customer", "key": "card", "label": "卡", "type": "text"}, nil)
	old := b.OK(t, "POST", "/v1/customers", object{"kind": "person", "name": "旧人"}, nil).Header.Get("Location")
	b.rule(t, object{"kind": "required", "field": "owner", "applies_to": "company", "severity": "block", "name": "须有负责人",
		"message": object{"zh": "请指定负责人"}})
	b.rule(t, object{"kind": "pattern", "field": "attributes.card", "pattern": "VIP-[0-9]+", "severity": "block"})
	b.rule(t, object{"kind": "required", "field": "source", "severity": "warn"})
	warned := b.rule(t, object{"kind": "condition", "severity": "block", "name": "活跃须有城市",
		"condition": object{"or": []object{{"field": "stage", "op": "ne", "value": "active"}, {"field": "city", "op": "is_not_null"}}}})

	for name, c := range map[string]struct {
		body          object
		pointer, code string
	}{
		"required":  {object{"kind": "company", "name": "某公司"}, "/owner", "rule_required"},
		"pattern":   {object{"kind": "person", "name": "张三", "attributes": object{"card": "VIP-x"}}, "/attributes/card", "rule_pattern"},
		"condition": {object{"kind": "person", "name": "张三", "stage": "active"}, "", "rule_condition"},
	} {
		t.Run(name, func(t *testing.T) {
			p := b.Refused(t, 422, "invalid", "POST", "/v1/customers", c.body)
			require.Len(t, p.Errors, 1)
			require.Equal(t, c.pointer, p.Errors[0].Pointer)
			require.Equal(t, c.code, p.Errors[0].Code)
		})
	}
	p := b.Refused(t, 422, "invalid", "POST", "/v1/customers", object{"kind": "company", "name": "某公司"}, "Accept-Language", "en")
	require.Equal(t, "请指定负责人", p.Errors[0].Detail, "a language that is missing gets the other one")
	var list, c, batch object
	b.OK(t, "GET", "/v1/customers", nil, &list)
	require.Len(t, list["items"], 1, "what is refused leaves nothing behind")

	path := b.OK(t, "POST", "/v1/customers", object{"kind": "person", "name": "张三", "stage": "active", "city": "上海"}, &c).Header.Get("Location")
	require.Len(t, c["warnings"], 1)
	w := c["warnings"].([]any)[0].(object)
	require.Equal(t, "/source", w["pointer"])
	require.Contains(t, w["detail"], "source")
	require.NotEmpty(t, w["rule"])
	b.Refused(t, 422, "invalid", "PATCH", path, object{"city": nil})
	b.OK(t, "PATCH", path, object{"source": object{"channel": "store"}}, &c)
	require.Nil(t, c["warnings"])
	b.OK(t, "GET", path, nil, &c)
	require.Equal(t, "上海", c["city"])
	require.Nil(t, c["warnings"], "a read warns of nothing")
	b.OK(t, "PATCH", old, object{"name": "旧人二"}, &c)
	require.Len(t, c["warnings"], 1)

	b.OK(t, "POST", "/v1/customers/batch", object{"items": []object{
		{"source": "s", "external_id": "1", "customer": object{"kind": "company", "name": "甲"}},
		{"source": "s", "external_id": "2", "customer": object{"kind": "company", "name": "乙", "owner": "李"}}}}, &batch)
	require.Equal(t, "failed", batch["items"].([]any)[0].(object)["status"])
	require.Equal(t, "created", batch["items"].([]any)[1].(object)["status"])
	require.Len(t, batch["items"].([]any)[1].(object)["warnings"], 1)

	b.OK(t, "PATCH", warned, object{"active": false}, nil)
	b.OK(t, "PATCH", path, object{"city": nil}, nil)
	b.OK(t, "DELETE", warned, nil, nil)
	b.Refused(t, 404, "validation_rule_not_found", "GET", warned, nil)
}

// A rule about what stands beside the record looks at the whole of what was sent.
func TestRulesAboutContactPoints(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.rule(t, object{"kind": "required", "field": "contact_points.phone", "severity": "block"})
	body := object{"kind": "person", "name": "张三"}
	p := b.Refused(t, 422, "invalid", "POST", "/v1/customers", body)
	require.Equal(t, "/contact_points", p.Errors[0].Pointer)
	var list object
	b.OK(t, "GET", "/v1/customers", nil, &list)
	require.Empty(t, list["items"])
	body["contact_points"] = []object{{"kind": "email", "value": "a@example.com"}, {"kind": "phone", "value": "13812345678"}}
	path := b.OK(t, "POST", "/v1/customers", body, nil).Header.Get("Location")
	b.OK(t, "PATCH", path, object{"name": "李四"}, nil)
	b.OK(t, "PUT", "/v1/customers/by-external-id/s/1", body, nil)
	b.Refused(t, 422, "invalid", "PUT", "/v1/customers/by-external-id/s/2", object{"name": "x"})
	b.rule(t, object{"kind": "required", "field": "external_ids", "severity": "block"})
	body["contact_points"] = []object{{"kind": "phone", "value": "13812345679"}}
	p = b.Refused(t, 422, "invalid", "POST", "/v1/customers", body)
	require.Equal(t, "/external_ids", p.Errors[0].Pointer)
	body["external_ids"] = []object{{"source": "s", "external_id": "3"}}
	b.OK(t, "POST", "/v1/customers", body, nil)
	b.trueToTheRecords(t)
}

// S0-59
func TestARuleIsTriedFirst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 5 {
		c := object{"kind": []string{"person", "company"}[i%2], "name": "x"}
		if i < 2 {
			c["city"] = "杭州"
		}
		b.OK(t, "POST", "/v1/customers", c, nil)
	}
	draft := object{"applies_to": "person", "name": "城市", "kind": "required", "field": "city", "severity": "block"}
	b.OK(t, "POST", "/v1/field-definitions", object{"applies_to": "person", "key": "size", "label": "尺码", "type": "text"}, nil)
	b.rule(t, object{"applies_to": "person", "kind": "required", "field": "attributes.size", "severity": "warn"})
	b.rule(t, object{"applies_to": "company", "kind": "required", "field": "company.legal_name", "severity": "warn"})
	var trial object
	b.OK(t, "POST", "/v1/validation-rules/check", draft, &trial)
	require.InDelta(t, 3, trial["customers"], 0)
	require.InDelta(t, 2, trial["violating"], 0)
	require.Len(t, trial["samples"], 2)
	path := b.rule(t, draft)
	b.OK(t, "POST", path+"/check", object{"applies_to": "customer"}, &trial)
	require.InDelta(t, 5, trial["customers"], 0)
	require.InDelta(t, 3, trial["violating"], 0)
	b.OK(t, "POST", path+"/check", object{"kind": "pattern", "pattern": "上海|北京"}, &trial)
	require.InDelta(t, 1, trial["violating"], 0, "what has no text matches")
	for name, r := range map[string]object{
		"no field":          {"applies_to": "person", "name": "x", "kind": "required", "severity": "warn"},
		"unknown field":     {"applies_to": "person", "name": "x", "kind": "required", "field": "ctiy", "severity": "warn"},
		"always there":      {"applies_to": "person", "name": "x", "kind": "required", "field": "name", "severity": "warn"},
		"sealed":            {"applies_to": "person", "name": "x", "kind": "pattern", "field": "contact_points.phone", "pattern": "1", "severity": "warn"},
		"pattern":           {"applies_to": "person", "name": "x", "kind": "pattern", "field": "city", "pattern": "(", "severity": "warn"},
		"pattern of number": {"applies_to": "person", "name": "x", "kind": "pattern", "field": "purchase_count", "pattern": "1", "severity": "warn"},
		"of companies":      {"applies_to": "customer", "name": "x", "kind": "required", "field": "company.legal_name", "severity": "block"},
		"of companies, too": {"applies_to": "person", "name": "x", "kind": "required", "field": "registration_number", "severity": "warn"},
		"of people":         {"applies_to": "company", "name": "x", "kind": "required", "field": "attributes.size", "severity": "warn"},
		"both":              {"applies_to": "person", "name": "x", "kind": "required", "field": "city", "pattern": "a", "severity": "warn"},
	} {
		t.Run(name, func(t *testing.T) {
			b.Refused(t, 422, "invalid", "POST", "/v1/validation-rules", r)
			b.Refused(t, 422, "invalid", "POST", "/v1/validation-rules/check", r)
		})
	}
	b.Refused(t, 422, "filter_unknown_field", "POST", "/v1/validation-rules", object{"applies_to": "person", "name": "y", "kind": "condition",
		"condition": object{"field": "ctiy", "op": "eq", "value": "x"}, "severity": "warn"})
	b.Refused(t, 409, "validation_rule_name_taken", "POST", "/v1/validation-rules", draft)
}

// S0-03 S0-57
func TestCompletenessFollowsEveryWrite(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.OK(t, "POST", "/v1/field-definitions", object{"applies_to": "customer", "key": "card", "label": "卡", "type": "text"}, nil)
	var w, q object
	b.OK(t, "PUT", "/v1/completeness-weights/person", object{"fields": []object{{"field": "contact_points.phone", "weight": 3},
		{"field": "city", "weight": 2}, {"field": "attributes.card", "weight": 1}, {"field": "addresses", "weight": 1}}}, &w)
	require.InDelta(t, 1, w["version"], 0)
	b.Wait(t, w["job_id"].(string))
	b.OK(t, "PUT", "/v1/completeness-weights/person", object{"fields": w["fields"]}, &w)
	require.Nil(t, w["job_id"], "the same weights start nothing")

	path := b.OK(t, "POST", "/v1/customers", object{"kind": "person", "name": "张三"}, nil).Header.Get("Location")
	require.Equal(t, 0, b.completeness(t, path))
	b.OK(t, "PATCH", path, object{"city": "上海"}, nil)
	require.Equal(t, 28, b.completeness(t, path), "2 of 7, rounded down")
	phone := b.OK(t, "POST", path+"/contact-points", object{"kind": "phone", "value": "13812345678"}, nil).Header.Get("Location")
	require.Equal(t, 71, b.completeness(t, path))
	b.OK(t, "PATCH", path, object{"attributes": object{"card": "1"}}, nil)
	require.Equal(t, 85, b.completeness(t, path))
	b.OK(t, "POST", path+"/addresses", object{"city": "上海", "street": "南京东路 1 号"}, nil)
	require.Equal(t, 100, b.completeness(t, path))
	b.OK(t, "DELETE", phone, nil, nil)
	require.Equal(t, 57, b.completeness(t, path))
	b.OK(t, "GET", path+"/quality", nil, &q)
	require.Equal(t, "contact_points.phone", q["missing"].([]any)[0].(object)["field"])
	require.NotEmpty(t, q["basic"].(object)["changed_at"])
	require.Empty(t, q["behaviour"])
	b.trueToTheRecords(t)

	b.OK(t, "PUT", "/v1/completeness-weights/person", object{"fields": []object{{"field": "city", "weight": 1}}}, &w)
	b.Wait(t, w["job_id"].(string))
	require.Equal(t, 100, b.completeness(t, path))
	b.trueToTheRecords(t)
	var list object
	b.OK(t, "GET", "/v1/customers?filter=completeness+%3E%3D+100&sort=-completeness", nil, &list)
	require.Len(t, list["items"], 1)

	for _, fields := range [][]object{
		{{"field": "ctiy", "weight": 1}}, {{"field": "company.legal_name", "weight": 1}}, {{"field": "attributes.none", "weight": 1}},
		{{"field": "city", "weight": 1}, {"field": "city", "weight": 2}},
	} {
		b.Refused(t, 422, "invalid", "PUT", "/v1/completeness-weights/person", object{"fields": fields})
	}
	b.Refused(t, 412, "version_mismatch", "PUT", "/v1/completeness-weights/person", object{"fields": []object{{"field": "city", "weight": 2}}}, "If-Match", `"1"`)
}

// The names of the contract's lists count: what stands in them, and not what is known to be wrong.
//
// S0-03 S0-57 S4-12
func TestWhatStandsBesideACompanyCounts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var w, q object
	b.OK(t, "PUT", "/v1/completeness-weights/company", object{"fields": []object{{"field": "contact_points.email", "weight": 4},
		{"field": "contacts", "weight": 3}, {"field": "addresses", "weight": 2}, {"field": "company.registration_number", "weight": 1}}}, &w)
	b.Wait(t, w["job_id"].(string))
	path := b.OK(t, "POST", "/v1/customers", object{"kind": "company", "name": "某公司", "city": "杭州市",
		"company": object{"registration_number": "91440300708461136t"}}, nil).Header.Get("Location")
	require.Equal(t, 10, b.completeness(t, path))
	b.OK(t, "GET", path+"/quality", nil, &q)
	require.Equal(t, []any{object{"field": "city", "given": "杭州市"}, object{"field": "company.registration_number", "given": "91440300708461136t"}},
		q["normalized"])
	contact := b.OK(t, "POST", path+"/contacts", object{"name": "王芳"}, nil).Header.Get("Location")
	require.Equal(t, 40, b.completeness(t, path))
	b.OK(t, "POST", path+"/addresses", object{"city": "杭州", "street": "文三路 1 号"}, nil)
	require.Equal(t, 60, b.completeness(t, path))
	point := b.OK(t, "POST", path+"/contact-points", object{"kind": "email", "value": "a@example.com"}, nil).Header.Get("Location")
	require.Equal(t, 100, b.completeness(t, path))
	b.OK(t, "PATCH", point, object{"valid": false}, nil)
	require.Equal(t, 60, b.completeness(t, path))
	b.OK(t, "DELETE", contact, nil, nil)
	require.Equal(t, 30, b.completeness(t, path))
	var batch object
	b.OK(t, "POST", "/v1/customers/batch", object{"items": []object{
		{"source": "s", "external_id": "1", "customer": object{"kind": "company", "name": "甲"}},
		{"source": "s", "external_id": "2", "customer": object{"kind": "company", "name": "乙", "contact_points": []object{{"kind": "email", "value": "b@example.com"}}}}}}, &batch)
	for i, percent := range []int{0, 40} {
		require.Equal(t, percent, b.completeness(t, "/v1/customers/"+batch["items"].([]any)[i].(object)["id"].(string)))
	}
	b.trueToTheRecords(t)
}

// S2-19
func TestPaymentsAreFinancialData(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var c, q object
	path := b.OK(t, "POST", "/v1/customers", object{"kind": "person", "name": "张三"}, &c).Header.Get("Location")
	order := b.OK(t, "POST", "/v1/transactions", object{"customer_id": c["id"], "amount": object{"amount": "10.00", "currency": b.Tenant.Currency},
		"occurred_at": "2026-01-01T08:00:00Z"}, nil).Header.Get("Location")
	b.OK(t, "GET", path+"/quality", nil, &q)
	require.NotEmpty(t, q["behaviour"])
	require.Empty(t, q["financial"])
	b.OK(t, "POST", order+"/payments", object{"due_on": "2026-02-01", "amount_due": object{"amount": "10.00", "currency": b.Tenant.Currency}}, nil)
	b.OK(t, "GET", path+"/quality", nil, &q)
	require.InDelta(t, 0, q["financial"].(object)["age_days"], 0)
}

// A rule about metrics is asked of a customer who has bought nothing yet, also in a batch, where one that breaks a rule
// about what stands beside the record is refused alone.
//
// S0-58
func TestRulesAboutTheRestHoldInBatches(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.rule(t, object{"kind": "required", "field": "contact_points.phone", "severity": "block", "name": "电话"})
	b.rule(t, object{"kind": "condition", "condition": object{"field": "purchase_count", "op": "lt", "value": 1}, "severity": "warn", "name": "未购买"})
	var batch object
	b.OK(t, "POST", "/v1/customers/batch", object{"items": []object{
		{"source": "s", "external_id": "1", "customer": object{"kind": "person", "name": "甲"}},
		{"source": "s", "external_id": "2", "customer": object{"kind": "person", "name": "乙", "contact_points": []object{{"kind": "phone", "value": "13812345678"}}}}}}, &batch)
	items := batch["items"].([]any)
	require.Equal(t, "failed", items[0].(object)["status"])
	require.Equal(t, "created", items[1].(object)["status"])
	require.Nil(t, items[1].(object)["warnings"])
	b.OK(t, "POST", "/v1/customers/batch", object{"items": []object{{"source": "s", "external_id": "2", "customer": object{"name": "丙"}}}}, &batch)
	require.Equal(t, "updated", batch["items"].([]any)[0].(object)["status"], "the phone is there already")
	b.trueToTheRecords(t)
}

// S0-03: whatever happens to records in whatever order, the stored percentage is what they say.
func TestCompletenessOfRandomHistories(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rng := rand.New(rand.NewPCG(1, 2))
	var paths, points []string
	for range 60 {
		at := ""
		if len(paths) > 0 {
			at = paths[rng.IntN(len(paths))]
		}
		switch n := rng.IntN(8); {
		case n == 0 || at == "":
			paths = append(paths, b.OK(t, "POST", "/v1/customers", object{"kind": []string{"person", "company"}[rng.IntN(2)], "name": "x",
				"city": "杭州"}, nil).Header.Get("Location"))
		case n == 1:
			b.OK(t, "PATCH", at, object{"owner": []any{"李", nil}[rng.IntN(2)], "source": object{"channel": "store"}}, nil)
		case n == 2:
			b.OK(t, "PATCH", at, object{"kind": []string{"person", "company"}[rng.IntN(2)]}, nil)
		case n == 3:
			points = append(points, b.OK(t, "POST", at+"/contact-points", object{"kind": "email",
				"value": fmt.Sprintf("a%d@example.com", rng.Int())}, nil).Header.Get("Location"))
		case n == 4 && len(points) > 0:
			i := rng.IntN(len(points))
			b.Do(t, "DELETE", points[i], nil) // or its customer is deleted
		case n == 5:
			b.OK(t, "POST", at+"/addresses", object{"city": "杭州", "street": fmt.Sprint("路", rng.Int())}, nil)
		case n == 6:
			b.OK(t, "DELETE", at, nil, nil)
			b.OK(t, "POST", at+"/undelete", nil, nil)
		default:
			b.OK(t, "PATCH", at, object{"industry": "茶叶"}, nil)
		}
	}
	b.trueToTheRecords(t)
}

// S0-03 S2-19
func TestTheReportOnEverybody(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.rule(t, object{"kind": "required", "field": "city", "severity": "warn", "name": "城市"})
	var o, c object
	b.OK(t, "GET", "/v1/data-quality", nil, &o)
	require.InDelta(t, 0, o["customers"], 0)
	for i := range 4 {
		body := object{"kind": "person", "name": "x"}
		if i == 0 {
			body["city"] = "杭州"
		}
		b.OK(t, "POST", "/v1/customers", body, &c)
	}
	b.OK(t, "POST", "/v1/transactions", object{"customer_id": c["id"], "amount": object{"amount": "1", "currency": b.Tenant.Currency},
		"occurred_at": "2026-01-01T08:00:00Z"}, nil)
	b.OK(t, "GET", "/v1/data-quality?stale_days=30", nil, &o)
	require.InDelta(t, 4, o["customers"], 0)
	require.InDelta(t, 2.5, o["average_completeness"], 0.01)
	require.Len(t, o["distribution"], 11)
	require.InDelta(t, 3, o["distribution"].([]any)[0].(object)["customers"], 0)
	require.InDelta(t, 1, o["distribution"].([]any)[1].(object)["customers"], 0)
	require.InDelta(t, 3, o["violations"].([]any)[0].(object)["customers"], 0)
	require.InDelta(t, 3, o["behaviour"].(object)["never"], 0)
	require.InDelta(t, 0, o["basic"].(object)["stale"], 0)
	for _, m := range o["missing"].([]any) {
		if m := m.(object); m["kind"] == "person" && m["field"] == "city" {
			require.InDelta(t, 3, m["customers"], 0)
		}
	}
}

func TestWhatRulesNameIsNotDeletedBelowThem(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, key := range []string{"a", "b", "c"} {
		b.OK(t, "POST", "/v1/field-definitions", object{"applies_to": "customer", "key": key + "_field", "label": key, "type": "text"}, nil)
	}
	b.rule(t, object{"kind": "required", "field": "attributes.a_field", "severity": "warn"})
	b.rule(t, object{"kind": "condition", "condition": object{"field": "attributes.b_field", "op": "ne", "value": "x"}, "severity": "warn"})
	b.OK(t, "PUT", "/v1/completeness-weights/person", object{"fields": []object{{"field": "attributes.c_field", "weight": 1}}}, nil)
	var list object
	b.OK(t, "GET", "/v1/field-definitions", nil, &list)
	for _, d := range list["items"].([]any) {
		b.Refused(t, 409, "field_definition_in_condition", "DELETE", "/v1/field-definitions/"+d.(object)["id"].(string), nil)
	}
}
