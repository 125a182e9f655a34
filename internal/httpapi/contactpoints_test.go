package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/app/apptest"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/postgrestest"
)

type point struct {
	ID         string
	CustomerID string `json:"customer_id"`
	Version    int
	Kind       string
	Value      string
	Given      string
	Masked     bool
	NumberType string `json:"number_type"`
	Primary    bool
	Valid      bool
	Consent    string
	VerifiedAt string `json:"verified_at"`
	Label      string
}

type place struct {
	ID                                string
	Version                           int
	Country, Province, City, District string
	Street, PostalCode, AreaType      string
	Primary, Masked                   bool
}

type withParts struct {
	ID, Name, City, Province, Country string
	Version                           int
	ContactPoints                     []point `json:"contact_points"`
	Addresses                         []place
}

// blind is the same caller without pii:read.
func blind(t *testing.T, s *apptest.Server, c *apptest.Client) *apptest.Client {
	t.Helper()
	return s.In(t, c.Tenant, "customers:read", "customers:write", "tenant:read", "events:read", "imports:read", "imports:write", "jobs:read")
}

func newCustomer(t *testing.T, c *apptest.Client, name string) string {
	t.Helper()
	var made struct{ ID string }
	c.OK(t, "POST", "/v1/customers", map[string]any{"kind": "person", "name": name}, &made)
	return "/v1/customers/" + made.ID
}

// S0-04, S2-04, S3-08
func TestContactPoints(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, postgrestest.DB(t))
	t.Run("AValueIsNormalisedShownAndMasked", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		base := newCustomer(t, c, "王芳")
		var p, q point
		a := c.OK(t, "POST", base+"/contact-points", map[string]any{"kind": "phone", "value": "138 0013 8000", "label": "手机"}, &p)
		require.Equal(t, base+"/contact-points/"+p.ID, a.Header.Get("Location"))
		require.Equal(t, []any{"+8613800138000", "138 0013 8000", "mobile", true, true, "unknown", false},
			[]any{p.Value, p.Given, p.NumberType, p.Primary, p.Valid, p.Consent, p.Masked})
		c.OK(t, "POST", base+"/contact-points", map[string]any{"kind": "email", "value": "Wang.Fang@EXAMPLE.com"}, &q)
		require.Equal(t, "Wang.Fang@example.com", q.Value)
		require.Equal(t, "Wang.Fang@EXAMPLE.com", q.Given)

		other := blind(t, s, c)
		masked := other.OK(t, "GET", base+"/contact-points/"+p.ID, nil, &q)
		require.Equal(t, "+86138****8000", q.Value)
		require.True(t, q.Masked)
		require.Empty(t, q.Given)
		full := c.OK(t, "GET", base+"/contact-points/"+p.ID, nil, nil)
		require.NotEqual(t, full.Header.Get("ETag"), masked.Header.Get("ETag"))
		require.Equal(t, http.StatusOK, c.Do(t, "GET", base+"/contact-points/"+p.ID, nil, "If-None-Match", masked.Header.Get("ETag")).Status,
			"who may see more now is not told that nothing changed")
		require.Equal(t, http.StatusNotModified, c.Do(t, "GET", base+"/contact-points/"+p.ID, nil, "If-None-Match", full.Header.Get("ETag")).Status)

		// A caller who may not see values writes all the same, by the ETag seen, and a form that sends back the mask changes nothing.
		other.OK(t, "PATCH", base+"/contact-points/"+p.ID, map[string]any{"value": "+86138****8000", "label": "工作"}, &q, "If-Match", masked.Header.Get("ETag"))
		require.Equal(t, []any{2, "+86138****8000", "工作"}, []any{q.Version, q.Value, q.Label})
		c.OK(t, "GET", base+"/contact-points/"+p.ID, nil, &q)
		require.Equal(t, "+8613800138000", q.Value)
	})
	t.Run("NoValueIsFoundWhereItDoesNotBelong", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		base := newCustomer(t, c, "李娜")
		values := []string{"13912345678", "li.na.secret@example.com", "lina_wechat_88", "南京东路8888号"}
		var p point
		a := c.OK(t, "POST", base+"/contact-points", map[string]any{"kind": "phone", "value": values[0]}, &p, "Idempotency-Key", "k1")
		require.Contains(t, string(a.Body), values[0])
		c.OK(t, "POST", base+"/contact-points", map[string]any{"kind": "email", "value": values[1]}, nil)
		c.OK(t, "POST", base+"/contact-points", map[string]any{"kind": "wechat", "value": values[2]}, nil)
		c.OK(t, "POST", base+"/addresses", map[string]any{"city": "上海", "street": values[3]}, nil)
		c.OK(t, "PATCH", base+"/contact-points/"+p.ID, map[string]any{"value": "13912345679"}, nil)
		again := c.OK(t, "POST", base+"/contact-points", map[string]any{"kind": "phone", "value": values[0]}, nil, "Idempotency-Key", "k1")
		require.Equal(t, string(a.Body), string(again.Body), "the stored answer is replayed")
		c.Refused(t, 422, "idempotency_key_reused", "POST", base+"/contact-points", map[string]any{"kind": "phone", "value": "13912345670"}, "Idempotency-Key", "k1")
		// Replayed to somebody who may see less, it would tell the value.
		less := blind(t, s, c)
		less.Refused(t, 422, "idempotency_key_reused", "POST", base+"/contact-points", map[string]any{"kind": "phone", "value": values[0]}, "Idempotency-Key", "k1")

		ctx := postgrestest.Context(t, c.Tenant)
		rows, err := s.DB.Query(postgres.ForAllTenants(ctx), `SELECT table_name FROM information_schema.columns
			WHERE column_name = 'tenant_id' AND table_schema = 'public' AND table_name NOT LIKE 'score%'`)
		require.NoError(t, err)
		var tables []string
		for rows.Next() {
			var name string
			require.NoError(t, rows.Scan(&name))
			tables = append(tables, name)
		}
		require.NoError(t, rows.Err())
		require.Contains(t, tables, "contact_points")
		for _, table := range tables {
			for _, v := range append(values, "13912345679", "1391234") {
				var n int
				// Bytes are looked at as text, whatever they are; sealed ones show nothing of what they hold.
				err := s.DB.QueryRow(ctx, fmt.Sprintf(`SELECT count(*) FROM %s t WHERE tenant_id = $1 AND
					(position($2 IN t::text) > 0 OR position(encode(convert_to($2, 'UTF8'), 'hex') IN t::text) > 0)`, table), c.Tenant.ID, v).Scan(&n)
				require.NoError(t, err)
				require.Zero(t, n, "table %s has a value in plain text", table)
			}
		}
		// Nor does a mistake get it in.
		_, err = s.DB.Exec(ctx, `UPDATE contact_points SET value = convert_to('+8613912345678 and enough of it to be long', 'UTF8') WHERE tenant_id = $1`, c.Tenant.ID)
		require.True(t, postgres.Violates(err, "contact_points_value_sealed"), "%v", err)
		// A ciphertext that is put into another row does not open there.
		_, err = s.DB.Exec(ctx, `UPDATE contact_points p SET value = o.value FROM contact_points o
			WHERE p.tenant_id = $1 AND o.tenant_id = $1 AND p.kind = 'email' AND o.kind = 'wechat'`, c.Tenant.ID)
		require.NoError(t, err)
		require.Equal(t, http.StatusInternalServerError, c.Do(t, "GET", base+"/contact-points", nil).Status)
	})
	t.Run("TheSameValueTwiceIsRefusedOnOneCustomerOnly", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		one, two := newCustomer(t, c, "a"), newCustomer(t, c, "b")
		phone := map[string]any{"kind": "phone", "value": "13700000001"}
		c.OK(t, "POST", one+"/contact-points", phone, nil)
		c.OK(t, "POST", two+"/contact-points", phone, nil)
		p := c.Refused(t, 409, "contact_point_exists", "POST", one+"/contact-points", map[string]any{"kind": "phone", "value": "+86 137-0000-0001"})
		require.NotContains(t, fmt.Sprint(p), "137")
		c.OK(t, "POST", one+"/contact-points", map[string]any{"kind": "email", "value": "A@example.com"}, nil)
		c.Refused(t, 409, "contact_point_exists", "POST", one+"/contact-points", map[string]any{"kind": "email", "value": "a@EXAMPLE.com"})
		c.OK(t, "POST", one+"/contact-points", map[string]any{"kind": "fax", "value": "13700000001"}, nil)
	})
	t.Run("OnePrimaryPerKind", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		base := newCustomer(t, c, "a")
		var first, second, mail point
		c.OK(t, "POST", base+"/contact-points", map[string]any{"kind": "phone", "value": "13700000001"}, &first)
		c.OK(t, "POST", base+"/contact-points", map[string]any{"kind": "phone", "value": "13700000002"}, &second)
		c.OK(t, "POST", base+"/contact-points", map[string]any{"kind": "email", "value": "a@example.com"}, &mail)
		require.Equal(t, []bool{true, false, true}, []bool{first.Primary, second.Primary, mail.Primary})
		c.OK(t, "PATCH", base+"/contact-points/"+second.ID, map[string]any{"primary": true}, &second)
		c.OK(t, "GET", base+"/contact-points/"+first.ID, nil, &first)
		c.OK(t, "GET", base+"/contact-points/"+mail.ID, nil, &mail)
		require.Equal(t, []bool{false, true, true}, []bool{first.Primary, second.Primary, mail.Primary})
		require.Equal(t, 2, first.Version)
	})
	t.Run("ANewValueIsNotVerifiedAndNoEffectIsNone", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		base := newCustomer(t, c, "a")
		var p point
		at := time.Now().UTC().Add(-time.Hour).Format(time.RFC3339)
		c.OK(t, "POST", base+"/contact-points", map[string]any{"kind": "phone", "value": "13700000001", "verified_at": at, "valid": false}, &p)
		require.Equal(t, []any{at, false}, []any{p.VerifiedAt, p.Valid})
		c.OK(t, "PATCH", base+"/contact-points/"+p.ID, map[string]any{"value": "+86 137 0000 0001", "valid": false, "verified_at": at}, &p)
		require.Equal(t, 1, p.Version)
		c.OK(t, "PATCH", base+"/contact-points/"+p.ID, map[string]any{"value": "13700000009"}, &p)
		require.Equal(t, []any{2, "", true}, []any{p.Version, p.VerifiedAt, p.Valid})
		refused := c.Refused(t, 422, "invalid", "PATCH", base+"/contact-points/"+p.ID,
			map[string]any{"value": "12345", "verified_at": time.Now().Add(time.Hour).Format(time.RFC3339)})
		require.Len(t, refused.Errors, 2)
		c.Refused(t, 412, "version_mismatch", "PATCH", base+"/contact-points/"+p.ID, map[string]any{"label": "x"}, "If-Match", `"1"`)
		c.Refused(t, 422, "invalid", "PATCH", base+"/contact-points/"+p.ID, map[string]any{"contact_id": "01890a5d-ac96-774b-bcce-b302099c8001"})
		c.OK(t, "DELETE", base+"/contact-points/"+p.ID, nil, nil)
		c.Refused(t, 404, "contact_point_not_found", "GET", base+"/contact-points/"+p.ID, nil)
	})
	t.Run("AnImpossiblePhoneSaysWhatIsAccepted", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		base := newCustomer(t, c, "a")
		for _, bad := range []string{"12345", "1390000000", "95588", "8888 8888", "+999 12345678", "1-800-FLOWERS", strings.Repeat("9", 300), "' OR 1=1 --", "\u202e13800138000x"} {
			p := c.Refused(t, 422, "invalid", "POST", base+"/contact-points", map[string]any{"kind": "phone", "value": bad})
			require.Len(t, p.Errors, 1)
			require.Equal(t, "/value", p.Errors[0].Pointer)
			require.Equal(t, "bad_phone", p.Errors[0].Code)
			require.Contains(t, p.Errors[0].Detail, "131 2345 6789")
			require.NotContains(t, p.Errors[0].Detail, bad)
		}
	})
	t.Run("TheTenantsRegionIsWhereNumbersAreFrom", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		base := newCustomer(t, c, "a")
		c.Refused(t, 422, "invalid", "PATCH", "/v1/tenant", map[string]any{"region": "XX"})
		var in struct {
			Region  string
			Version int
		}
		c.OK(t, "GET", "/v1/tenant", nil, &in)
		require.Equal(t, "CN", in.Region)
		c.OK(t, "PATCH", "/v1/tenant", map[string]any{"region": "US"}, &in)
		require.Equal(t, "US", in.Region)
		var p point
		c.OK(t, "POST", base+"/contact-points", map[string]any{"kind": "phone", "value": "(202) 555-0100"}, &p)
		require.Equal(t, "+12025550100", p.Value)
	})
	t.Run("AContactOfACompanyHasItsOwn", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		base := newCustomer(t, c, "a")
		var person struct{ ID string }
		c.OK(t, "POST", base+"/contacts", map[string]any{"name": "周经理"}, &person)
		var own, p point
		c.OK(t, "POST", base+"/contact-points", map[string]any{"kind": "phone", "value": "13700000001"}, &own)
		c.OK(t, "POST", base+"/contact-points", map[string]any{"kind": "phone", "value": "13700000001", "contact_id": person.ID}, &p)
		require.True(t, p.Primary, "of the contact's phones")
		require.True(t, own.Primary)
		c.Refused(t, 409, "contact_point_exists", "PATCH", base+"/contact-points/"+p.ID, map[string]any{"contact_id": nil})
		var list struct{ Items []point }
		c.OK(t, "GET", base+"/contact-points?contact_id="+person.ID, nil, &list)
		require.Len(t, list.Items, 1)
		c.OK(t, "DELETE", base+"/contacts/"+person.ID, nil, nil)
		c.OK(t, "GET", base+"/contact-points", nil, &list)
		require.Len(t, list.Items, 1, "what was the contact's goes with the contact")
		require.Equal(t, own.ID, list.Items[0].ID)
	})
	t.Run("WhoSeesMasksLearnsNothingByTrying", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		base := newCustomer(t, c, "a")
		var person struct{ ID string }
		c.OK(t, "POST", base+"/contacts", map[string]any{"name": "周经理"}, &person)
		var hidden, other point
		c.OK(t, "POST", base+"/contact-points", map[string]any{"kind": "phone", "value": "13800138000", "verified_at": "2026-01-02T03:04:05Z"}, &hidden)
		c.OK(t, "POST", base+"/contact-points", map[string]any{"kind": "email", "value": "Info@example.com"}, nil)
		c.OK(t, "POST", base+"/contact-points", map[string]any{"kind": "phone", "value": "13900001111", "contact_id": person.ID}, &other)
		eye := blind(t, s, c)
		guesses := []string{"13800138000", "138 0013 8000", "13800148000"} // the first two are the value, the third looks like it
		answers := map[string]bool{}
		note := func(what string, a apptest.Answer) {
			var body map[string]any
			require.NoError(t, json.Unmarshal(a.Body, &body))
			delete(body, "request_id")
			delete(body, "updated_at")
			answers[fmt.Sprint(what, a.Status, body)] = true
		}
		for _, dry := range []string{"?validate_only=true", ""} {
			for _, guess := range guesses {
				note("post", eye.Do(t, "POST", base+"/contact-points"+dry, map[string]any{"kind": "phone", "value": guess}))
				note("move", eye.Do(t, "PATCH", base+"/contact-points/"+other.ID+dry, map[string]any{"value": guess, "contact_id": nil}))
				note("inline", eye.Do(t, "PATCH", base+dry, map[string]any{"contact_points": []any{map[string]any{"kind": "phone", "value": guess}}}))
			}
		}
		for _, guess := range guesses {
			note("value", eye.Do(t, "PATCH", base+"/contact-points/"+hidden.ID+"?validate_only=true", map[string]any{"value": guess}))
		}
		require.Len(t, answers, 4, "one answer of each way, whatever is tried: %v", answers)
		eye.Refused(t, 409, "contact_point_exists", "POST", base+"/contact-points", map[string]any{"kind": "email", "value": "Inge@example.com"})
		eye.OK(t, "POST", base+"/contact-points", map[string]any{"kind": "phone", "value": "13600001111"}, nil)
		eye.OK(t, "POST", base+"/contact-points", map[string]any{"kind": "phone", "value": "13800148000", "contact_id": person.ID}, nil)
		// What is sent together is told apart, and what was shown goes back as it is.
		var made withParts
		eye.OK(t, "POST", "/v1/customers", map[string]any{"kind": "person", "name": "李四", "contact_points": []any{
			map[string]any{"kind": "email", "value": "lisi@example.com"}, map[string]any{"kind": "email", "value": "liwu@example.com"}}}, &made)
		require.Len(t, made.ContactPoints, 2)
		var same point
		eye.OK(t, "PATCH", base+"/contact-points/"+hidden.ID, map[string]any{"value": "+86138****8000"}, &same)
		require.Equal(t, hidden.Version, same.Version)
		eye.OK(t, "PATCH", base+"/contact-points/"+hidden.ID, map[string]any{"value": "13800138000"}, &same)
		require.Greater(t, same.Version, hidden.Version, "for all they know it is another one")
		c.Refused(t, 409, "contact_point_exists", "POST", base+"/contact-points", map[string]any{"kind": "phone", "value": "13800138000"})
		c.OK(t, "POST", base+"/contact-points", map[string]any{"kind": "phone", "value": "13800148000"}, nil)
	})
	t.Run("LookupFindsEverybodyWithExactlyThisValue", func(t *testing.T) {
		t.Parallel()
		c, stranger := s.Client(t), s.Client(t)
		one, two, gone := newCustomer(t, c, "a"), newCustomer(t, c, "b"), newCustomer(t, c, "c")
		for _, base := range []string{one, two, gone} {
			c.OK(t, "POST", base+"/contact-points", map[string]any{"kind": "phone", "value": "0571-87654321 转 802"}, nil)
		}
		c.OK(t, "DELETE", gone, nil, nil)
		c.OK(t, "POST", one+"/contact-points", map[string]any{"kind": "email", "value": "Info@Example.com"}, nil)
		type match struct {
			Customer     struct{ ID string }
			ContactPoint point `json:"contact_point"`
		}
		var found struct {
			Items      []match
			NextCursor string `json:"next_cursor"`
		}
		find := func(caller *apptest.Client, body map[string]any) []match {
			caller.OK(t, "POST", "/v1/contact-points/lookup", body, &found)
			return found.Items
		}
		require.Len(t, find(c, map[string]any{"value": "+86 571 8765 4321"}), 2, "without the extension too")
		require.Len(t, find(c, map[string]any{"value": "0571-87654321-802", "kind": "phone"}), 2)
		require.Empty(t, find(c, map[string]any{"value": "0571-87654321-803", "kind": "phone"}))
		require.Empty(t, find(c, map[string]any{"value": "0571-87654322"}))
		require.Len(t, find(c, map[string]any{"value": "info@example.com"}), 1)
		require.Equal(t, "/v1/customers/"+found.Items[0].Customer.ID, one)
		require.Empty(t, find(stranger, map[string]any{"value": "info@example.com"}), "another tenant")
		require.Len(t, find(c, map[string]any{"value": "0571-87654321", "limit": 1}), 1)
		require.NotEmpty(t, found.NextCursor)
		require.Len(t, find(c, map[string]any{"value": "0571-87654321", "limit": 1, "cursor": found.NextCursor}), 1)
		c.Refused(t, 422, "invalid", "POST", "/v1/contact-points/lookup", map[string]any{"value": "??"})
		blind(t, s, c).Refused(t, 403, "scope_missing", "POST", "/v1/contact-points/lookup", map[string]any{"value": "info@example.com"})
	})
}

// S3-08, S0-04: a company card in one call, all of it or nothing
func TestACustomerWithItsPartsInOneCall(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, postgrestest.DB(t))
	card := func() map[string]any {
		return map[string]any{"kind": "company", "name": "杭州西湖茶叶有限公司",
			"contact_points": []any{map[string]any{"kind": "phone", "value": "0571-87654321"}, map[string]any{"kind": "fax", "value": "0571-87654322"},
				map[string]any{"kind": "email", "value": "info@example.com"}, map[string]any{"kind": "social", "platform": "douyin", "value": "@xihucha"}},
			"addresses": []any{map[string]any{"province": "浙江", "city": "杭州", "district": "西湖", "street": "龙井路 1 号", "postal_code": "310013", "area_type": "tourist"}}}
	}
	t.Run("WhatIsWrongOfIt", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		for platform, code := range map[string]string{"抖 音!": "bad_platform", "": "platform_missing"} {
			wrong := card()
			social := map[string]any{"kind": "social", "value": "@xihucha"}
			if platform != "" {
				social["platform"] = platform
			}
			wrong["contact_points"] = []any{social}
			p := c.Refused(t, 422, "invalid", "POST", "/v1/customers", wrong)
			require.Equal(t, "/contact_points/0/platform", p.Errors[0].Pointer)
			require.Equal(t, code, p.Errors[0].Code)
		}
		// Marks that turn the text around, or hide, are left away; a city of another province is told.
		var made map[string]any
		c.OK(t, "POST", "/v1/customers", map[string]any{"kind": "person", "name": "\u202e李\u2066四\u200b", "province": "浙江", "city": "苏州"}, &made)
		require.Equal(t, "李四", made["name"])
		warning := made["warnings"].([]any)[0].(map[string]any)
		require.Equal(t, []any{"city_elsewhere", "/city"}, []any{warning["code"], warning["pointer"]})
		require.Contains(t, warning["detail"], "江苏")
	})
	t.Run("AllOfIt", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		var made withParts
		a := c.OK(t, "POST", "/v1/customers", card(), &made)
		require.Len(t, made.ContactPoints, 4)
		require.Len(t, made.Addresses, 1)
		require.Equal(t, []any{"CN", "浙江", "杭州"}, []any{made.Country, made.Province, made.City}, "the primary address is where the customer is")
		require.Equal(t, fmt.Sprintf("%q", fmt.Sprint(made.Version)), a.Header.Get("ETag"))
		var read withParts
		blind(t, s, c).OK(t, "GET", "/v1/customers/"+made.ID+"?expand=contact_points,addresses", nil, &read)
		require.Equal(t, "+86571****4321", read.ContactPoints[0].Value)
		require.Equal(t, "i***@example.com", read.ContactPoints[2].Value)
		require.Equal(t, []any{"***", "杭州", true}, []any{read.Addresses[0].Street, read.Addresses[0].City, read.Addresses[0].Masked})
	})
	t.Run("OrNothing", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		bad := card()
		bad["contact_points"] = []any{map[string]any{"kind": "phone", "value": "0571-87654321"}, map[string]any{"kind": "phone", "value": "12345"},
			map[string]any{"kind": "email", "value": "nobody"}}
		p := c.Refused(t, 422, "invalid", "POST", "/v1/customers", bad)
		require.Len(t, p.Errors, 2)
		require.Equal(t, "/contact_points/1/value", p.Errors[0].Pointer)
		require.Equal(t, "/contact_points/2/value", p.Errors[1].Pointer)
		bad["contact_points"] = []any{map[string]any{"kind": "phone", "value": "0571-87654321"}, map[string]any{"kind": "phone", "value": "(0571)87654321"}}
		p = c.Refused(t, 409, "contact_point_exists", "POST", "/v1/customers", bad)
		require.Equal(t, "/contact_points/1/value", p.Errors[0].Pointer)
		bad = card()
		bad["addresses"] = []any{map[string]any{"city": "杭州", "postal_code": "31001"}}
		p = c.Refused(t, 422, "invalid", "POST", "/v1/customers", bad)
		require.Equal(t, "/addresses/0/postal_code", p.Errors[0].Pointer)
		var list struct{ Items []any }
		c.OK(t, "GET", "/v1/customers", nil, &list)
		require.Empty(t, list.Items)
		c.OK(t, "POST", "/v1/customers?validate_only=true", card(), nil)
		c.OK(t, "GET", "/v1/customers", nil, &list)
		require.Empty(t, list.Items)
	})
	t.Run("PutAndBatchAddWhatIsNotThereYet", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		var made withParts
		put := func(status int) {
			a := c.OK(t, "PUT", "/v1/customers/by-external-id/shop/A-1", card(), &made)
			require.Equal(t, status, a.Status)
		}
		put(201)
		version := made.Version
		put(200)
		require.Equal(t, version, made.Version)
		require.Len(t, made.ContactPoints, 4)
		var out struct {
			Items []struct {
				Status  string
				Problem apptest.Problem
			}
		}
		batch := func(points ...any) string {
			c.OK(t, "POST", "/v1/customers/batch", map[string]any{"items": []any{map[string]any{"source": "shop", "external_id": "A-1",
				"customer": map[string]any{"contact_points": points}}}}, &out)
			return out.Items[0].Status
		}
		require.Equal(t, "unchanged", batch(map[string]any{"kind": "phone", "value": "+8657187654321"}))
		require.Equal(t, "updated", batch(map[string]any{"kind": "phone", "value": "13700000001"}, map[string]any{"kind": "phone", "value": "137-0000-0001"}))
		require.Equal(t, "failed", batch(map[string]any{"kind": "phone", "value": "13700000002"}, map[string]any{"kind": "phone", "value": "137"}))
		require.Equal(t, "/items/0/customer/contact_points/1/value", out.Items[0].Problem.Errors[0].Pointer)
		c.OK(t, "GET", "/v1/customers/"+made.ID+"?expand=contact_points", nil, &made)
		require.Len(t, made.ContactPoints, 5)
		c.OK(t, "PATCH", "/v1/customers/"+made.ID, map[string]any{"contact_points": []any{map[string]any{"kind": "qq", "value": "100001"}}}, &made)
		require.Len(t, made.ContactPoints, 6)
	})
	t.Run("AHundredOfThem", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		var points []any
		for i := range 100 {
			points = append(points, map[string]any{"kind": "phone", "value": fmt.Sprintf("137%08d", i)})
		}
		var made withParts
		start := time.Now()
		c.OK(t, "POST", "/v1/customers", map[string]any{"kind": "person", "name": "a", "contact_points": points}, &made)
		t.Logf("a customer with 100 contact points: %v", time.Since(start))
		require.Len(t, made.ContactPoints, 100)
		start = time.Now()
		c.OK(t, "GET", "/v1/customers/"+made.ID+"?expand=contact_points", nil, &made)
		t.Logf("read with all of them: %v", time.Since(start))
		require.Len(t, made.ContactPoints, 100)
	})
}

// S1-05, S3-09, S4-12
func TestAddresses(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, postgrestest.DB(t))
	customerOf := func(t *testing.T, c *apptest.Client, base string) []any {
		var read withParts
		c.OK(t, "GET", base, nil, &read)
		return []any{read.Country, read.Province, read.City, read.Version}
	}
	t.Run("StandardNamesAndWhatWasWritten", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		base := newCustomer(t, c, "王芳")
		var a struct {
			place
			Given      map[string]string
			PostalCode string `json:"postal_code"`
			AreaType   string `json:"area_type"`
		}
		c.OK(t, "POST", base+"/addresses", map[string]any{"province": "浙江省", "city": "杭州市", "district": "西湖区", "street": " 龙井路  1 号 ",
			"postal_code": "３１００１３", "area_type": "tourist"}, &a)
		require.Equal(t, []any{"CN", "浙江", "杭州", "西湖区", "龙井路 1 号", "310013", "tourist", true},
			[]any{a.Country, a.Province, a.City, a.District, a.Street, a.PostalCode, a.AreaType, a.Primary})
		require.Equal(t, map[string]string{"province": "浙江省", "city": "杭州市"}, a.Given)
		require.Equal(t, []any{"CN", "浙江", "杭州", 2}, customerOf(t, c, base), "one change of the customer")
		c.Refused(t, 409, "address_exists", "POST", base+"/addresses", map[string]any{"city": "杭州", "district": "西湖区", "street": "龙井路1号"})
		var list struct{ Items []place }
		c.OK(t, "GET", base+"/addresses?area_type=residential", nil, &list)
		require.Empty(t, list.Items)
	})
	t.Run("ThePrimaryOneSaysWhereTheCustomerIs", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		base := newCustomer(t, c, "王芳")
		var one, two place
		c.OK(t, "POST", base+"/addresses", map[string]any{"city": "杭州", "street": "a 路"}, &one)
		c.OK(t, "POST", base+"/addresses", map[string]any{"city": "成都市", "street": "b 路"}, &two)
		require.Equal(t, []any{"CN", "浙江", "杭州", 2}, customerOf(t, c, base), "another address moves nobody")
		c.OK(t, "PATCH", base+"/addresses/"+two.ID, map[string]any{"primary": true}, &two)
		require.Equal(t, []any{"CN", "四川", "成都", 3}, customerOf(t, c, base))
		c.OK(t, "GET", base+"/addresses/"+one.ID, nil, &one)
		require.False(t, one.Primary)
		c.OK(t, "PATCH", base+"/addresses/"+two.ID, map[string]any{"province": nil, "city": "北京"}, &two)
		require.Equal(t, []any{"CN", "北京", "北京", 4}, customerOf(t, c, base))
		var three place
		c.OK(t, "POST", base+"/addresses", map[string]any{"province": "浙江省", "city": "杭州", "district": "西湖区", "primary": false}, &three)
		three = place{ID: three.ID}
		c.OK(t, "PATCH", base+"/addresses/"+three.ID, map[string]any{"city": "深圳"}, &three)
		require.Equal(t, []any{"广东", "深圳", ""}, []any{three.Province, three.City, three.District}, "the rest of the place follows the city")
		c.OK(t, "PATCH", base+"/addresses/"+two.ID, map[string]any{"label": "家"}, &two)
		c.OK(t, "PATCH", base, map[string]any{"city": "上海", "province": "上海"}, nil)
		c.OK(t, "PATCH", base+"/addresses/"+two.ID, map[string]any{"label": "新家"}, &two)
		require.Equal(t, []any{"CN", "上海", "上海", 5}, customerOf(t, c, base), "the last writer wins; a label moves nobody")
	})
	t.Run("BadOnesAreRefused", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		base := newCustomer(t, c, "a")
		for pointer, body := range map[string]map[string]any{"/street": {"label": "x"}, "/country": {"country": "ZZ", "city": "a"}, "/postal_code": {"city": "杭州", "postal_code": "31001"}} {
			p := c.Refused(t, 422, "invalid", "POST", base+"/addresses", body)
			require.Equal(t, pointer, p.Errors[0].Pointer)
		}
		c.OK(t, "POST", base+"/addresses", map[string]any{"country": "GB", "city": "London", "postal_code": "SW1A 1AA"}, nil)
		c.Refused(t, 400, "contract_violation", "POST", base+"/addresses", map[string]any{"city": strings.Repeat("长", 101)})
		c.Refused(t, 400, "contract_violation", "POST", base+"/addresses", map[string]any{"city": "a", "area_type": "moon"})
	})
	t.Run("TheStreetIsMaskedAndKept", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		base := newCustomer(t, c, "a")
		var a place
		c.OK(t, "POST", base+"/addresses", map[string]any{"city": "上海", "street": "南京东路100号3栋502室"}, &a)
		other := blind(t, s, c)
		seen := other.OK(t, "GET", base+"/addresses/"+a.ID, nil, &a)
		require.Equal(t, []any{"南京***", "上海"}, []any{a.Street, a.City})
		other.OK(t, "PATCH", base+"/addresses/"+a.ID, map[string]any{"street": "南京***", "label": "x"}, &a, "If-Match", seen.Header.Get("ETag"))
		other.Refused(t, 422, "invalid", "PATCH", base+"/addresses/"+a.ID, map[string]any{"street": "北京***"})
		c.OK(t, "GET", base+"/addresses/"+a.ID, nil, &a)
		require.Equal(t, "南京东路100号3栋502室", a.Street)

		// Whoever may not see it learns from no answer whether a guess is right.
		const right, wrong = "南京东路100号3栋502室", "南京西路200号1栋101室"
		for _, guess := range []string{right, wrong} {
			var tried struct{ Version int }
			other.OK(t, "PATCH", base+"/addresses/"+a.ID+"?validate_only=true", map[string]any{"street": guess}, &tried)
			require.Equal(t, 3, tried.Version, guess)
			other.Refused(t, 409, "address_exists", "POST", base+"/addresses?validate_only=true", map[string]any{"city": "上海", "street": guess})
			other.OK(t, "PATCH", base+"?validate_only=true", map[string]any{"addresses": []any{map[string]any{"city": "上海", "street": guess}}}, &tried)
			require.Equal(t, 2, tried.Version, guess)
		}
		c.Refused(t, 409, "address_exists", "POST", base+"/addresses", map[string]any{"city": "上海", "street": right})
		other.OK(t, "POST", base+"/addresses", map[string]any{"city": "上海", "street": "北京西路200号1栋101室"}, nil)
		c.OK(t, "POST", base+"/addresses", map[string]any{"city": "上海", "street": wrong}, nil)
	})
}
