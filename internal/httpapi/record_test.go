package httpapi_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/app/apptest"
	"github.com/kezi-io/kezi/internal/postgrestest"
)

// S0-01 S0-04 S0-06 S0-52 S0-53 S1-06 S1-08 S2-02 S2-03 S2-04 S2-31 S2-33 S3-06 S3-10 S3-11 S4-06 S4-07 S4-08 S4-09
func TestTheWholeRecord(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, postgrestest.DB(t))

	t.Run("PersonWithALunarBirthday", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		for key, kind := range map[string]string{"card": "text", "points": "number"} {
			c.OK(t, "POST", "/v1/field-definitions", object{"applies_to": "customer", "key": key, "label": key, "type": kind}, nil)
		}
		var made, read object
		a := c.OK(t, "POST", "/v1/customers", object{"kind": "person", "name": "王芳", "aliases": []string{"芳姐"}, "city": "杭州市", "stage": "lead",
			"stage_reason": "展会名片", "source": object{"channel": "research"}, "departments": []string{"华东"},
			"person": object{"gender": "female", "birthday": object{"calendar": "lunar", "year": 1988, "month": 8, "day": 15}, "income_band": "middle",
				"education": "bachelor", "occupation": "教师", "interests": []string{"茶"}, "preferences": object{"colour": []string{"藏青", "米白"}, "size": "M"}},
			"attributes": object{"card": "V1", "points": 12345678901234567}}, &made)
		path := a.Header.Get("Location")
		person := made["person"].(object)
		require.Equal(t, "1988-09-25", person["birthday"].(object)["solar_date"])
		require.NotEmpty(t, person["birthday"].(object)["next_on"])
		require.Equal(t, object{"colour": []any{"藏青", "米白"}, "size": "M"}, person["preferences"])
		require.Equal(t, object{"city": "杭州市"}, made["given"])
		require.Contains(t, string(c.OK(t, "GET", path, nil, &read).Body), "12345678901234567", "no digit is lost")
		require.Equal(t, made, read)
		a = c.OK(t, "PATCH", path, object{"person": object{"preferences": object{"size": nil, "style": "简约"}, "occupation": nil}, "add_aliases": []string{"小芳"}}, &read)
		require.Equal(t, `"2"`, a.Header.Get("ETag"))
		require.Equal(t, object{"colour": []any{"藏青", "米白"}, "style": "简约"}, read["person"].(object)["preferences"])
		require.NotContains(t, read["person"], "occupation")
		require.Equal(t, []any{"芳姐", "小芳"}, read["aliases"])
		var page struct{ Items []object }
		for _, filter := range []string{`gender = "female"`, `age >= 18 AND age < 120`, `born_on = "1988-09-25"`, `interests:"茶"`, `departments:"华东"`,
			`income_band IN ("low", "middle")`, `education = "bachelor"`, `next_birthday_on <= today+366d`, `source = "research"`, `occupation = null`, `aliases = "小芳"`} {
			c.OK(t, "GET", "/v1/customers?fields=person,aliases&filter="+url.QueryEscape(filter), nil, &page)
			require.Len(t, page.Items, 1, filter)
			c.OK(t, "GET", "/v1/customers?filter="+url.QueryEscape("NOT ("+filter+")"), nil, &page)
			require.Empty(t, page.Items, filter)
		}
		var stages struct{ Items []object }
		c.OK(t, "PATCH", path, object{"stage": "active", "stage_reason": "签约"}, nil)
		c.OK(t, "GET", path+"/stages", nil, &stages)
		require.Equal(t, "签约", stages.Items[0]["reason"])
		require.Equal(t, "lead", stages.Items[0]["from"])
		require.Equal(t, "展会名片", stages.Items[1]["reason"])
	})

	t.Run("CompanyCard", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		var made, read object
		a := c.OK(t, "POST", "/v1/customers", object{"kind": "company", "name": "深圳某某", "industry_code": "65",
			"company": object{"registration_number": "91440300708461136t", "legal_name": "深圳某某有限公司", "business_scope": "计算机软件", "employees": 120,
				"annual_revenue": object{"amount": "12000000.00", "currency": "CNY"}, "registered_on": "1998-11-11"}}, &made)
		path := a.Header.Get("Location")
		card := made["company"].(object)
		require.Equal(t, "91440300708461136T", card["registration_number"])
		require.Equal(t, true, card["registration_valid"])
		require.Equal(t, object{"amount": "12000000.00", "currency": "CNY"}, card["annual_revenue"])
		require.NotEmpty(t, made["industry"])
		c.OK(t, "GET", path, nil, &read)
		require.Equal(t, made, read)
		var page struct{ Items []object }
		for _, filter := range []string{`registration_number = "91440300708461136T"`, `legal_name = "*某某*"`, `employees >= 100`, `annual_revenue = 12000000`,
			`registered_on < "2000-01-01"`, `industry_code = "65"`, `interests = null`, `age = null`} {
			c.OK(t, "GET", "/v1/customers?filter="+url.QueryEscape(filter), nil, &page)
			require.Len(t, page.Items, 1, filter)
		}
		for _, sort := range []string{"stage", "employees", "-annual_revenue", "registered_on", "next_birthday_on"} {
			c.OK(t, "GET", "/v1/customers?sort="+sort, nil, &page)
			require.Len(t, page.Items, 1, sort)
		}
		p := c.Refused(t, 422, "invalid", "PATCH", path, object{"company": object{"registration_number": "914403007084611369"}})
		require.Equal(t, "/company/registration_number", p.Errors[0].Pointer)
		p = c.Refused(t, 422, "invalid", "PATCH", path, object{"person": object{"gender": "male"}})
		require.Equal(t, "/person", p.Errors[0].Pointer)
		p = c.Refused(t, 422, "invalid", "PATCH", path, object{"company": object{"annual_revenue": object{"amount": "1.234", "currency": "CNY"}}})
		require.Equal(t, "/company/annual_revenue/amount", p.Errors[0].Pointer)
		c.OK(t, "PATCH", path, object{"kind": "person", "company": nil}, &read)
		require.NotContains(t, read, "company")
	})

	t.Run("WhatTheContractRefuses", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		for pointer, body := range map[string]object{
			"/person/gender":          {"person": object{"gender": "robot"}},
			"/person/birthday/month":  {"person": object{"birthday": object{"calendar": "solar", "month": 13, "day": 1}}},
			"/person/nmae":            {"person": object{"nmae": 1}},
			"/company/employees":      {"company": object{"employees": -1}},
			"/company/legal_name":     {"company": object{"legal_name": strings.Repeat("名", 201)}},
			"/industry_scheme":        {"industry_scheme": "sic"},
			"/person/preferences/big": {"person": object{"preferences": object{"big": strings.Repeat("x", 201)}}},
		} {
			body["kind"], body["name"] = "person", "x"
			p := c.Refused(t, 400, "contract_violation", "POST", "/v1/customers", body)
			require.Equal(t, pointer, p.Errors[0].Pointer)
		}
		p := c.Refused(t, 422, "invalid", "POST", "/v1/customers", object{"kind": "person", "name": "x",
			"person": object{"birthday": object{"calendar": "lunar", "year": 2023, "month": 1, "day": 30}}})
		require.Equal(t, "/person/birthday/day", p.Errors[0].Pointer, "that month had 29 days")
	})
}
