package attribute_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/app/apptest"
	"github.com/kezi-io/kezi/internal/postgrestest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

type object = map[string]any

// bench is a running service and a caller in a tenant of its own.
type bench struct {
	*apptest.Client
	server *apptest.Server
}

func setup(t *testing.T) bench {
	t.Helper()
	return on(t, apptest.Start(t, postgrestest.DB(t)))
}

func on(t *testing.T, s *apptest.Server) bench {
	t.Helper()
	return bench{s.In(t, s.Client(t).Tenant, "customers:read", "customers:write", "transactions:read", "transactions:write", "tenant:read",
		"tenant:write", "tiers:read", "tiers:write", "tags:read", "scores:read", "events:read", "jobs:read", "imports:write", "pii:read"), s}
}

// define makes a field and answers its path.
func (b bench) define(t *testing.T, d object) string {
	t.Helper()
	if d["applies_to"] == nil {
		d["applies_to"] = "customer"
	}
	if d["label"] == nil {
		d["label"] = d["key"]
	}
	return b.OK(t, "POST", "/v1/field-definitions", d, nil).Header.Get("Location")
}

// make is a new person with attributes.
func (b bench) make(t *testing.T, attributes object) (path string, answer object) {
	t.Helper()
	if attributes == nil {
		attributes = object{}
	}
	path = b.OK(t, "POST", "/v1/customers", object{"kind": "person", "name": "张三", "attributes": attributes}, &answer).Header.Get("Location")
	return path, answer
}

// found are the names of the customers that a filter finds.
func (b bench) found(t *testing.T, filter string) int {
	t.Helper()
	var list object
	b.OK(t, "POST", "/v1/customers/search", object{"filter_text": filter}, &list)
	return len(list["items"].([]any))
}

// S0-08 S3-04 S3-05
func TestValuesOfEveryType(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.OK(t, "PUT", "/v1/exchange-rates/USD/2020-01-01", object{"rate": "7"}, nil)
	_, other := b.make(t, nil)
	id := other["id"].(string)
	choices := []object{{"key": "gold", "label": "金卡"}, {"key": "old", "label": "旧卡", "archived": true}, {"key": "silver", "label": "银卡"}}
	for _, d := range []object{
		{"key": "card", "type": "text", "validation": object{"pattern": "VIP-[0-9]{4}", "max_length": 20}},
		{"key": "area", "type": "number", "unit": "m²", "validation": object{"min": "0.5", "max": "100000000000000000"}},
		{"key": "budget", "type": "money", "validation": object{"max": "1000"}},
		{"key": "visit_on", "type": "date", "validation": object{"min": "2020-01-01"}},
		{"key": "wholesale", "type": "boolean"},
		{"key": "level", "type": "choice", "choices": choices},
		{"key": "cards", "type": "multi_choice", "choices": choices, "validation": object{"max_length": 2}},
		{"key": "introduced_by", "type": "reference"},
	} {
		b.define(t, d)
	}
	for _, c := range []struct {
		key    string
		given  any
		stored any    // nil where it is refused
		code   string // of the refusal
		filter string // finds it
	}{
		{"card", " VIP-0042 ", "VIP-0042", "", `attributes.card = "VIP-0042" AND attributes.card:"0042"`},
		{"card", "VIP-0042x", nil, "pattern", ""},
		{"card", "xVIP-0042", nil, "pattern", ""},
		{"card", "", nil, "bad_length", ""},
		{"card", strings.Repeat("a", 21), nil, "bad_length", ""},
		{"card", "a\u0001b", nil, "bad_text", ""},
		{"card", 5, nil, "bad_text", ""},
		{"card", object{"x": 1}, nil, "bad_text", ""},
		{"area", json.Number("12345678901234567.125000"), json.Number("12345678901234567.125"), "", `attributes.area = 12345678901234567.125`},
		{"area", "0.1e1", json.Number("1"), "", `attributes.area < 1.5`},
		{"area", json.Number("1e999999999"), nil, "bad_number", ""},
		{"area", 0.1, nil, "out_of_range", ""},
		{"area", "many", nil, "bad_number", ""},
		{"area", []int{1}, nil, "bad_number", ""},
		{"budget", object{"amount": "12.50", "currency": "USD"}, object{"amount": "12.50", "currency": "USD"}, "", `attributes.budget = 87.5`},
		{"budget", object{"amount": "142.86", "currency": "USD"}, nil, "out_of_range", ""},
		{"budget", object{"amount": "1", "currency": "JPY"}, nil, "rate_missing", ""},
		{"budget", object{"amount": "1.234", "currency": "CNY"}, nil, "too_precise", ""},
		{"budget", object{"amount": "1", "currency": "CNY", "base": 5}, nil, "bad_money", ""},
		{"budget", "12.50", nil, "bad_money", ""},
		{"visit_on", "2026-02-28", "2026-02-28", "", `attributes.visit_on >= "2026-02-01" AND attributes.visit_on < "2026-03-01"`},
		{"visit_on", "2026-02-30", nil, "bad_date", ""},
		{"visit_on", "2019-12-31", nil, "out_of_range", ""},
		{"wholesale", true, true, "", `attributes.wholesale = true`},
		{"wholesale", "true", nil, "bad_boolean", ""},
		{"level", "gold", "gold", "", `attributes.level = "gold"`},
		{"level", "old", nil, "unknown_choice", ""},
		{"level", "金卡", nil, "unknown_choice", ""},
		{"cards", []string{"silver", "gold", "silver"}, []any{"gold", "silver"}, "", `attributes.cards:"silver" AND attributes.cards IN ("gold")`},
		{"cards", []string{}, nil, "bad_length", ""},
		{"cards", []string{"gold", "platinum"}, nil, "unknown_choice", ""},
		{"cards", "gold", nil, "bad_choices", ""},
		{"introduced_by", strings.ToUpper(id), id, "", `attributes.introduced_by = "` + id + `"`},
		{"introduced_by", "01890a5d-ac96-774b-bcce-b302099a0000", nil, "customer_not_found", ""},
		{"introduced_by", 7, nil, "bad_reference", ""},
	} {
		t.Run(fmt.Sprint(c.key, " ", c.given), func(t *testing.T) {
			body := object{"kind": "person", "name": "李四", "attributes": object{c.key: c.given}}
			if c.stored == nil {
				p := b.Refused(t, 422, "invalid", "POST", "/v1/customers", body)
				require.Equal(t, c.code, p.Errors[0].Code)
				require.True(t, strings.HasPrefix(p.Errors[0].Pointer, "/attributes/"+c.key), p.Errors[0].Pointer)
				return
			}
			a := b.OK(t, "POST", "/v1/customers", body, nil)
			path := a.Header.Get("Location")
			for _, raw := range [][]byte{a.Body, b.OK(t, "GET", path, nil, nil).Body} {
				var answer struct{ Attributes map[string]json.RawMessage }
				require.NoError(t, json.Unmarshal(raw, &answer))
				want, err := json.Marshal(c.stored)
				require.NoError(t, err)
				if n, number := c.stored.(json.Number); number {
					require.Equal(t, string(n), string(answer.Attributes[c.key]), "digit by digit")
				}
				require.JSONEq(t, string(want), string(answer.Attributes[c.key]))
			}
			require.Equal(t, 1, b.found(t, c.filter), c.filter)
			b.OK(t, "PATCH", path, object{"attributes": object{c.key: c.given}}, &body)
			require.InDelta(t, 1, body["version"], 0, "the same value is no change")
			b.OK(t, "PATCH", path, object{"attributes": object{c.key: nil}}, &body)
			require.Empty(t, body["attributes"])
			require.Zero(t, b.found(t, c.filter))
		})
	}
}

func TestKeysThatNobodyDefined(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.define(t, object{"key": "member_card", "label": "会员卡", "type": "text"})
	b.define(t, object{"key": "employees_n", "type": "number", "applies_to": "company"})
	b.define(t, object{"key": "till", "type": "text", "applies_to": "transaction"})
	for key, want := range map[string]string{"member_crad": "member_card", "会员卡": "member_card", "'; DROP TABLE customers; --": "",
		"a/b~c": "", strings.Repeat("k", 5000): "", "till": "", "employees_n": "company"} {
		p := b.Refused(t, 422, "invalid", "POST", "/v1/customers", object{"kind": "person", "name": "张三", "attributes": object{key: "x"}})
		require.Len(t, p.Errors, 1)
		if want != "" {
			require.Contains(t, p.Errors[0].Detail, want)
		}
	}
	var list object
	b.OK(t, "GET", "/v1/customers", nil, &list)
	require.Empty(t, list["items"], "a refused write leaves nothing behind")
	_, company := b.make(t, nil)
	require.Empty(t, company["attributes"])
	b.OK(t, "POST", "/v1/customers", object{"kind": "company", "name": "某公司", "attributes": object{"employees_n": 5, "member_card": "x"}}, nil)
}

// S0-08
func TestRequiredAndDefault(t *testing.T) {
	t.Parallel()
	b := setup(t)
	old, _ := b.make(t, nil)
	b.define(t, object{"key": "region", "type": "choice", "choices": []object{{"key": "east", "label": "东"}, {"key": "west", "label": "西"}},
		"required": true, "default": "east"})
	b.define(t, object{"key": "grade", "type": "number", "required": true})
	p := b.Refused(t, 422, "invalid", "POST", "/v1/customers", object{"kind": "person", "name": "x"})
	require.Equal(t, "/attributes/grade", p.Errors[0].Pointer)
	require.Equal(t, "required", p.Errors[0].Code)
	path, made := b.make(t, object{"grade": 1})
	require.Equal(t, object{"region": "east", "grade": 1.0}, made["attributes"])
	b.Refused(t, 422, "invalid", "PATCH", path, object{"attributes": object{"grade": nil}})
	b.Refused(t, 422, "invalid", "PATCH", path, object{"attributes": nil})
	b.OK(t, "PATCH", path, object{"attributes": object{"region": "west"}}, nil)
	b.OK(t, "PATCH", old, object{"name": "what has never had the value may be changed without it"}, nil)
	b.Refused(t, 422, "invalid", "PUT", "/v1/customers/by-external-id/shop/1", object{"name": "x"})
	b.OK(t, "PUT", "/v1/customers/by-external-id/shop/1", object{"name": "x", "attributes": object{"grade": "2.50"}}, &made)
	require.Equal(t, object{"region": "east", "grade": 2.5}, made["attributes"])
	var batch object
	b.OK(t, "POST", "/v1/customers/batch", object{"items": []object{
		{"source": "shop", "external_id": "1", "customer": object{"attributes": object{"grade": "three"}}},
		{"source": "shop", "external_id": "2", "customer": object{"name": "y", "attributes": object{"grade": 3}}}}}, &batch)
	require.Equal(t, "failed", batch["items"].([]any)[0].(object)["status"])
	require.Equal(t, "created", batch["items"].([]any)[1].(object)["status"])
}

// S3-05
func TestAChangedDefinitionBreaksNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	def := b.define(t, object{"key": "code", "type": "text"})
	bad, _ := b.make(t, object{"code": "abc"})
	b.make(t, object{"code": "2026-02-03"})
	b.make(t, object{"code": "2026-02-31"})
	b.make(t, object{"code": "12"})
	b.make(t, nil)

	var report object
	b.OK(t, "POST", def+"/check", object{"required": true, "validation": object{"pattern": "[0-9]+"}}, &report)
	require.InDelta(t, 4, report["values"], 0)
	require.InDelta(t, 3, report["failing"], 0)
	require.InDelta(t, 1, report["missing"], 0)
	require.Equal(t, "pattern", report["samples"].([]any)[0].(object)["code"])
	b.OK(t, "POST", def+"/check", object{}, &report)
	require.InDelta(t, 0, report["failing"], 0)
	b.Refused(t, 422, "invalid", "POST", def+"/check", object{"validation": object{"pattern": "("}})

	for _, kind := range []struct {
		change object
		filter string
		finds  int
	}{
		{object{"type": "date"}, `attributes.code >= "2026-01-01"`, 1},
		{object{"type": "number"}, `attributes.code > 1`, 0},
		{object{"type": "boolean"}, `attributes.code = true`, 0},
		{object{"type": "money"}, `attributes.code > 1`, 0},
		{object{"type": "reference"}, `attributes.code = null`, 5},
		{object{"type": "choice", "choices": []object{{"key": "12", "label": "十二"}}}, `attributes.code = "12"`, 1},
		{object{"type": "multi_choice"}, `attributes.code:"12"`, 0},
	} {
		b.OK(t, "PATCH", def, kind.change, nil)
		require.Equal(t, kind.finds, b.found(t, kind.filter), "a condition never fails on old values: %s", kind.filter)
	}
	b.OK(t, "PATCH", def, object{"type": "number", "choices": []object{}}, nil)
	var read object
	b.OK(t, "GET", bad, nil, &read)
	require.Equal(t, object{"code": "abc"}, read["attributes"], "what is stored can be read")
	b.OK(t, "PATCH", bad, object{"name": "别的"}, &read)
	require.Equal(t, object{"code": "abc"}, read["attributes"], "a change elsewhere does not touch it")
	b.OK(t, "PATCH", bad, object{"name": "再来", "attributes": object{"code": "abc"}}, nil)
	b.Refused(t, 422, "invalid", "PATCH", bad, object{"attributes": object{"code": "abd"}})
	b.OK(t, "PATCH", bad, object{"attributes": object{"code": 7}}, nil)

	b.OK(t, "PATCH", def, object{"archived": true}, nil)
	b.Refused(t, 422, "invalid", "PATCH", bad, object{"attributes": object{"code": 8}})
	require.Equal(t, 1, b.found(t, `attributes.code = 7`), "an archived field can be asked about")
	b.OK(t, "PATCH", bad, object{"attributes": object{"code": nil}}, nil)
}

func TestDeletingAField(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, postgrestest.Fresh(t))
	b := on(t, s)
	b.OK(t, "DELETE", b.define(t, object{"key": "unused", "type": "text"}), nil, nil)
	def := b.define(t, object{"key": "code", "type": "text"})
	path, _ := b.make(t, object{"code": "a"})
	p := b.Refused(t, 409, "field_definition_in_use", "DELETE", def, nil)
	require.Contains(t, p.Detail, "1 records")
	b.OK(t, "PATCH", def, object{"archived": true}, nil)
	b.OK(t, "POST", "/v1/tier-schemes", object{"key": "k", "name": "k", "tiers": []object{
		{"key": "a", "name": "a", "condition": object{"field": "attributes.code", "op": "eq", "value": "a"}}, {"key": "b", "name": "b"}}}, nil)
	p = b.Refused(t, 409, "field_definition_in_condition", "DELETE", def, nil)
	require.Contains(t, p.Detail, "k")
	b.Refused(t, 409, "field_definition_in_condition", "PATCH", def, object{"type": "date"})
	b.OK(t, "DELETE", "/v1/tier-schemes/k", nil, nil)
	b.OK(t, "DELETE", def, nil, nil)
	b.Refused(t, 404, "field_definition_not_found", "GET", def, nil)
	var read, list object
	b.OK(t, "GET", path, nil, &read)
	require.Empty(t, read["attributes"], "nobody sees the values from then on")
	b.OK(t, "GET", "/v1/jobs", nil, &list)
	b.Wait(t, list["items"].([]any)[0].(object)["id"].(string))
	var n int
	require.NoError(t, s.DB.QueryRow(postgrestest.Context(t, b.Tenant), `SELECT count(*) FROM customers WHERE tenant_id = $1 AND attributes <> '{}'`, b.Tenant.ID).Scan(&n))
	require.Zero(t, n)
	b.define(t, object{"key": "code", "type": "number"})
}

// S0-51: why a field is collected is said, and personal values are seen by those who may alone.
func TestGuardedValues(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, s := range []string{"public", "internal", "personal", "secret"} {
		b.define(t, object{"key": "k_" + s, "type": "text", "sensitivity": s, "purpose": "测试", "default": "默认-" + s})
	}
	path, made := b.make(t, object{"k_secret": "机密甲", "k_personal": "隐私甲"})
	require.Len(t, made["attributes"], 4)
	b.OK(t, "PATCH", path, object{"attributes": object{"k_secret": "机密乙", "k_personal": nil, "k_public": "公开乙"}}, nil)
	blind := b.server.In(t, b.Tenant, "customers:read", "customers:write", "tenant:read", "events:read")
	var read, list object
	blind.OK(t, "GET", path, nil, &read)
	require.Equal(t, object{"k_public": "公开乙", "k_internal": "默认-internal"}, read["attributes"])
	for _, answer := range []apptest.Answer{
		blind.OK(t, "GET", path+"?expand=metrics", nil, nil), blind.OK(t, "GET", "/v1/customers", nil, nil),
		blind.OK(t, "PATCH", path, object{"name": "新"}, nil), blind.OK(t, "GET", "/v1/field-definitions", nil, &list),
		blind.OK(t, "POST", "/v1/customers/batch-get", object{"ids": []any{made["id"]}}, nil),
	} {
		require.NotContains(t, string(answer.Body), "机密")
		require.NotContains(t, string(answer.Body), "默认-secret")
	}
	require.Len(t, list["items"], 4)
	blind.Refused(t, 403, "scope_missing", "POST", "/v1/customers/search", object{"filter_text": `attributes.k_secret = "机密乙"`})
	require.Equal(t, 1, b.found(t, `attributes.k_secret = "机密乙"`))
	// Nor does an answer tell whether a guess is right: not a version, not an outcome.
	var right, wrong, asIs object
	blind.OK(t, "PATCH", path+"?validate_only=true", object{"attributes": object{"k_secret": "机密乙"}}, &right)
	blind.OK(t, "PATCH", path+"?validate_only=true", object{"attributes": object{"k_secret": "错"}}, &wrong)
	blind.OK(t, "GET", path, nil, &asIs)
	require.Equal(t, wrong["version"], right["version"])
	require.NotEqual(t, asIs["version"], right["version"])
	b.OK(t, "PATCH", path+"?validate_only=true", object{"attributes": object{"k_secret": "机密乙"}}, &right)
	require.Equal(t, asIs["version"], right["version"], "who may see it is told")
	b.OK(t, "PUT", path+"/external-ids/shop/1", nil, &asIs)
	for guess, item := range map[string]object{"机密乙": {"k_secret": "机密乙"}, "错": {"k_secret": "错", "k_personal": nil}} {
		var out struct{ Items []object }
		blind.OK(t, "POST", "/v1/customers/batch?validate_only=true", object{"items": []object{{"source": "shop", "external_id": "1", "customer": object{"attributes": item}}}}, &out)
		require.Equal(t, "updated", out.Items[0]["status"], guess)
	}

	var events string
	require.NoError(t, b.server.DB.QueryRow(postgrestest.Context(t, b.Tenant), `SELECT string_agg(changed::text || previous::text, ' ') FROM events
		WHERE tenant_id = $1 AND type = 'customer.updated'`, b.Tenant.ID).Scan(&events))
	require.Contains(t, events, "attributes.k_secret")
	require.Contains(t, events, "默认-public")
	require.NotContains(t, events, "机密甲")
	require.NotContains(t, events, "隐私甲")
}

// Who may not see a field may not keep a condition about it either: where customers stand by it tells the values.
//
// S0-51
func TestConditionsAboutGuardedFieldsAreForThoseWhoMaySee(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.define(t, object{"key": "salary", "type": "number", "sensitivity": "personal"})
	path, _ := b.make(t, object{"salary": 9000})
	blind := b.server.In(t, b.Tenant, "customers:read", "customers:write", "tenant:read", "tenant:write", "tiers:read", "tiers:write")
	condition := object{"field": "attributes.salary", "op": "gt", "value": 5000}
	scheme := object{"key": "rich", "tiers": []object{{"key": "high", "name": "高", "condition": object{"not": object{"or": []object{condition}}}},
		{"key": "low", "name": "低"}}}
	plain := object{"key": "plain", "tiers": []object{{"key": "high", "name": "高", "condition": object{"field": "name", "op": "eq", "value": "x"}},
		{"key": "low", "name": "低"}}}
	rule := object{"applies_to": "customer", "name": "r", "kind": "condition", "condition": condition, "severity": "warn"}
	blind.Refused(t, 403, "scope_missing", "POST", "/v1/tier-schemes", scheme)
	blind.OK(t, "POST", "/v1/tier-schemes", plain, nil)
	blind.Refused(t, 403, "scope_missing", "PATCH", "/v1/tier-schemes/plain", object{"tiers": scheme["tiers"]})
	blind.Refused(t, 403, "scope_missing", "POST", "/v1/validation-rules", rule)
	blind.Refused(t, 403, "scope_missing", "POST", "/v1/validation-rules/check", rule)
	blind.Refused(t, 403, "scope_missing", "POST", "/v1/validation-rules", object{"applies_to": "customer", "name": "p", "kind": "required",
		"field": "attributes.salary", "severity": "warn"})
	blind.Refused(t, 403, "scope_missing", "GET", "/v1/customers?filter=attributes.salary+%3E+1", nil)
	require.GreaterOrEqual(t, blind.Do(t, "GET", "/v1/customers?sort=-attributes.salary", nil).Status, 400)
	b.OK(t, "POST", "/v1/tier-schemes", scheme, nil)
	at := b.OK(t, "POST", "/v1/validation-rules", rule, nil).Header.Get("Location")
	blind.Refused(t, 403, "scope_missing", "PATCH", at, object{"condition": object{"field": "name", "op": "eq", "value": "x"}})
	blind.Refused(t, 403, "scope_missing", "POST", at+"/check", object{})
	blind.OK(t, "GET", path, nil, nil)
}

// S0-08 S0-51 S3-04
func TestAttributesOfTransactions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.OK(t, "PUT", "/v1/exchange-rates/USD/2020-01-01", object{"rate": "7"}, nil)
	for _, d := range []object{{"key": "weight", "type": "number"}, {"key": "insured", "type": "money"}, {"key": "recipient", "type": "text", "sensitivity": "personal"}} {
		d["applies_to"] = "transaction"
		b.define(t, d)
	}
	_, c := b.make(t, nil)
	body := object{"customer_id": c["id"], "amount": object{"amount": "10.00", "currency": b.Tenant.Currency}, "occurred_at": "2026-01-01T08:00:00Z",
		"attributes": object{"weihgt": 1}}
	p := b.Refused(t, 422, "invalid", "POST", "/v1/transactions", body)
	require.Equal(t, "/attributes/weihgt", p.Errors[0].Pointer)
	require.Contains(t, p.Errors[0].Detail, "weight", "the nearest is named")
	body["attributes"] = object{"weight": json.Number("12345678901234567.125"), "insured": object{"amount": "12.50", "currency": "USD"}, "recipient": "王隐私"}
	var made object
	answer := b.OK(t, "POST", "/v1/transactions", body, &made)
	require.Contains(t, string(answer.Body), "12345678901234567.125")
	path := answer.Header.Get("Location")
	require.Equal(t, object{"amount": "12.50", "currency": "USD"}, made["attributes"].(object)["insured"])
	b.OK(t, "PATCH", path, object{"attributes": object{"insured": object{"amount": "3", "currency": "USD"}, "recipient": "李隐私", "weight": 2}}, &made)
	require.Equal(t, object{"amount": "3.00", "currency": "USD"}, made["attributes"].(object)["insured"])
	var events string
	require.NoError(t, b.server.DB.QueryRow(postgrestest.Context(t, b.Tenant), `SELECT string_agg(changed::text || previous::text, ' ') FROM events
		WHERE tenant_id = $1 AND type = 'transaction.updated'`, b.Tenant.ID).Scan(&events))
	require.Contains(t, events, "attributes/recipient")
	require.Contains(t, events, "12.50")
	require.Contains(t, events, "12345678901234567.125")
	require.NotContains(t, events, "隐私")
	require.NotContains(t, events, "base")
	blind := b.server.In(t, b.Tenant, "transactions:read")
	require.NotContains(t, string(blind.OK(t, "GET", path, nil, nil).Body), "隐私")
}

func TestDefinitionsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.define(t, object{"key": "taken", "type": "text"})
	for name, c := range map[string]struct {
		status int
		code   string
		body   object
	}{
		"key taken by another kind": {409, "field_definition_key_taken", object{"key": "taken", "applies_to": "company", "type": "text"}},
		"built in":                  {422, "invalid", object{"key": "name", "type": "text"}},
		"upper case":                {400, "contract_violation", object{"key": "Abc", "type": "text"}},
		"no choices":                {422, "invalid", object{"key": "a", "type": "choice"}},
		"choices of a text":         {422, "invalid", object{"key": "a", "type": "text", "choices": []object{{"key": "a", "label": "a"}}}},
		"choice twice":              {422, "invalid", object{"key": "a", "type": "choice", "choices": []object{{"key": "a", "label": "a"}, {"key": "a", "label": "b"}}}},
		"pattern":                   {422, "invalid", object{"key": "a", "type": "text", "validation": object{"pattern": "(?<x"}}},
		"pattern that never ends":   {422, "invalid", object{"key": "a", "type": "text", "validation": object{"pattern": "((a{1000}){1000}){1000}"}}},
		"pattern of a number":       {422, "invalid", object{"key": "a", "type": "number", "validation": object{"pattern": "1"}}},
		"min above max":             {422, "invalid", object{"key": "a", "type": "number", "validation": object{"min": "2", "max": "1"}}},
		"min is no day":             {422, "invalid", object{"key": "a", "type": "date", "validation": object{"min": "2"}}},
		"default does not fit":      {422, "invalid", object{"key": "a", "type": "number", "default": "x"}},
		"unknown currency":          {422, "invalid", object{"key": "a", "type": "money", "unit": "XYZ"}},
		"blank label":               {422, "invalid", object{"key": "a", "label": " \u3000", "type": "text"}},
	} {
		if c.body["applies_to"] == nil {
			c.body["applies_to"] = "customer"
		}
		if c.body["label"] == nil {
			c.body["label"] = "x"
		}
		t.Run(name, func(t *testing.T) { b.Refused(t, c.status, c.code, "POST", "/v1/field-definitions", c.body) })
	}
	var list object
	b.OK(t, "GET", "/v1/field-definitions", nil, &list)
	require.Len(t, list["items"], 1)
	b.define(t, object{"key": "taken", "applies_to": "transaction", "type": "text"})
}

// S3-02 S3-04: a record of many fields shows those alone that were asked for.
func TestTwoHundredAttributes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	values := object{}
	for i := range 200 {
		key := fmt.Sprintf("f%03d", i)
		b.define(t, object{"key": key, "type": []string{"text", "number", "boolean"}[i%3]})
		values[key] = []any{"值", float64(i), true}[i%3]
	}
	path, made := b.make(t, values)
	require.Equal(t, values, made["attributes"])
	b.OK(t, "PATCH", path, object{"attributes": object{"f001": 5}}, &made)
	require.Len(t, made["attributes"], 200)
	b.Refused(t, 422, "invalid", "PATCH", path, object{"attributes": object{"f000": strings.Repeat("长", 5001)}})
	var sparse, whole object
	b.OK(t, "GET", path+"?fields=stage", nil, &sparse)
	require.Nil(t, sparse["attributes"])
	b.OK(t, "GET", path+"?fields=attributes", nil, &whole)
	require.Len(t, whole["attributes"], 200)
	require.Nil(t, whole["stage"])
	var fields object
	b.OK(t, "GET", "/v1/filter-fields", nil, &fields)
	require.Greater(t, len(fields["items"].([]any)), 200)
}
