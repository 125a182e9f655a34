package httpapi_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/app/apptest"
	"github.com/kezi-io/kezi/internal/postgrestest"
)

func TestRequestsAreTakenToTheLetter(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, postgrestest.DB(t))
	person := object{"kind": "person", "name": "n"}

	t.Run("HalfClosedConnectionGetsItsAnswer", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		for range 10 {
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://")) //nolint:noctx // closed below
			require.NoError(t, err)
			_, err = fmt.Fprintf(conn, "POST /v1/customers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"+
				"Content-Type: application/json\r\nContent-Length: 28\r\n\r\n{\"kind\":\"person\",\"name\":\"n\"}", c.Token)
			require.NoError(t, err)
			require.NoError(t, conn.(*net.TCPConn).CloseWrite())
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusCreated, res.StatusCode)
			require.NoError(t, res.Body.Close())
			require.NoError(t, conn.Close())
		}
		var list object
		c.OK(t, "GET", "/v1/customers?total=exact", nil, &list)
		require.InDelta(t, 10, list["total"], 0)
	})
	t.Run("BooleansAreTrueOrFalse", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		for _, v := range []string{"1", "TRUE", "t", "0", "yes"} {
			p := c.Refused(t, 400, "contract_violation", "POST", "/v1/customers?validate_only="+v, person)
			require.Equal(t, "wrong_type", p.Errors[0].Code)
			c.Refused(t, 400, "contract_violation", "GET", "/v1/customers?deleted="+v, nil)
		}
		c.OK(t, "GET", "/v1/customers?deleted=true", nil, nil)
		var list object
		c.OK(t, "GET", "/v1/customers?total=exact", nil, &list)
		require.InDelta(t, 0, list["total"], 0)
	})
	t.Run("BadPercentEncoding", func(t *testing.T) {
		t.Parallel()
		s.Client(t).Refused(t, 400, "bad_query", "GET", "/v1/customers?filter=%zz", nil)
	})
	t.Run("ExpandSortAndFilterNeedTheirScopes", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		c.OK(t, "POST", "/v1/score-models", object{"key": "x", "kind": "clv"}, nil)
		var made object
		c.OK(t, "POST", "/v1/customers", person, &made)
		one := "/v1/customers/" + made["id"].(string)
		reader := s.In(t, c.Tenant, "customers:read")
		for call, scope := range map[string]string{
			one + "?expand=scores":         "scores:read",
			"/v1/customers?sort=-scores.x": "scores:read",
			"/v1/customers?sort=scores.x":  "scores:read",
			"/v1/customers?filter=" + url.QueryEscape(`city = "x" AND scores.x > 1`): "scores:read",
			one + "?expand=tiers":                                   "tiers:read",
			"/v1/customers?expand=tags":                             "tags:read",
			"/v1/customers?tag=vip":                                 "tags:read",
			"/v1/customers?filter=" + url.QueryEscape(`tags:"vip"`): "tags:read",
			"/v1/customers?expand=metrics":                          "",
			"/v1/customers?sort=-created_at":                        "",
		} {
			if scope == "" {
				reader.OK(t, "GET", call, nil, nil)
				continue
			}
			require.Contains(t, reader.Refused(t, 403, "scope_missing", "GET", call, nil).Detail, scope, call)
		}
	})
	t.Run("CursorIsBoundToDeleted", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		c.OK(t, "POST", "/v1/customers", person, nil)
		c.OK(t, "POST", "/v1/customers", person, nil)
		var list object
		c.OK(t, "GET", "/v1/customers?limit=1", nil, &list)
		c.OK(t, "GET", "/v1/customers?limit=1&cursor="+list["next_cursor"].(string), nil, nil)
		a := c.Do(t, "GET", "/v1/customers?limit=1&deleted=true&cursor="+list["next_cursor"].(string), nil)
		require.Equal(t, 400, a.Status, "%s", a.Body)
	})
	t.Run("AnyExistingVersion", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		path := "/v1/customers/by-external-id/shop/1"
		c.Refused(t, 412, "version_mismatch", "PUT", path, person, "If-Match", "*")
		c.Refused(t, 400, "if_none_match_unsupported", "PUT", path, person, "If-None-Match", "*")
		c.OK(t, "PUT", path, person, nil)
		c.OK(t, "PUT", path, person, nil, "If-Match", "*")
		c.Refused(t, 412, "version_mismatch", "PUT", path, person, "If-Match", `"-1"`)
	})
	t.Run("JSON", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		p := c.Refused(t, 400, "contract_violation", "POST", "/v1/customers", []byte(`{"kind":"person","name":"\ud800"}`))
		require.Equal(t, "bad_json", p.Errors[0].Code)
		for body, at := range map[string][2]string{
			`{"kind":"person","name":"a","name":"b"}`:                                  {"/name", "the object has this member twice"},
			`{"kind":"person","name":"a","attributes":{"a/b":{"x":1,"x":2}}}`:          {"/attributes/a~1b/x", "twice"},
			`{"kind":"person","name":"a","aliases":["x","\u0000"]}`:                    {"/aliases/1", "U+0000"},
			`{"kind":"person","name":"a","aliases":["\ud83d\ude00","\ud83d"]}`:         {"/aliases/1", "surrogate"},
			`{"kind":"person","name":"a","attributes":{"\udc00":1}}`:                   {"/attributes", "surrogate"},
			`{"kind":"person","name":"😀", "x":}`:                                       {"", "cannot be read after character 33"},
			`{"kind":"person"} {}`:                                                     {"", "something follows"},
			`{"attributes":` + strings.Repeat(`[`, 70) + strings.Repeat(`]`, 70) + `}`: {"/attributes" + strings.Repeat("/0", 64), "nested too deeply"},
		} {
			p := c.Refused(t, 400, "contract_violation", "POST", "/v1/customers", []byte(body))
			require.Equal(t, at[0], p.Errors[0].Pointer, body)
			require.Contains(t, p.Errors[0].Detail, at[1], body)
		}
		p = c.Refused(t, 422, "invalid", "POST", "/v1/transactions", object{"customer_id": "01890a5d-ac96-774b-bcce-b302099a8057",
			"occurred_on": "2026-01-01", "amount": object{"amount": "1.5", "currency": "JPY"}})
		require.Equal(t, "more decimal places than the currency has: JPY has 0", p.Errors[0].Detail)
		p = c.Refused(t, 415, "media_type_unsupported", "POST", "/v1/customers", []byte(`{}`), "Content-Type", "text/plain")
		require.Equal(t, []string{"application/json"}, p.Errors[0].Accepted)
		p = c.Refused(t, 415, "media_type_unsupported", "PATCH", "/v1/tenant", []byte(`{}`), "Content-Type", "text/plain")
		require.Equal(t, []string{"application/json", "application/merge-patch+json"}, p.Errors[0].Accepted)
		for _, media := range []string{"application/json", "application/merge-patch+json"} {
			c.OK(t, "PATCH", "/v1/tenant", []byte(`{}`), nil, "Content-Type", media)
		}
		c.OK(t, "POST", "/v1/customers", []byte(`{"kind":"person","name":"\ud83d\ude00"}`), nil)
		c.OK(t, "POST", "/v1/customers/search", []byte(`{"limit":1e1}`), nil)
		c.OK(t, "POST", "/v1/customers/search", []byte(`{"limit":10.0}`), nil)
		p = c.Refused(t, 400, "contract_violation", "POST", "/v1/customers/search", []byte(`{"limit":1.5}`))
		require.Equal(t, "/limit", p.Errors[0].Pointer)
		p = c.Refused(t, 400, "contract_violation", "POST", "/v1/customers", object{"kind": "person", "name": "n", "zzzzzz": 1})
		require.Contains(t, p.Errors[0].Detail, "external_ids")
		p = c.Refused(t, 400, "contract_violation", "POST", "/v1/customers", object{"kind": "person", "name": ""})
		require.Equal(t, "must have at least 1 character", p.Errors[0].Detail)
	})
	t.Run("ContentCoding", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		p := c.Refused(t, 415, "media_type_unsupported", "POST", "/v1/customers", person, "Content-Encoding", "gzip")
		require.Equal(t, "Content-Encoding", p.Errors[0].Parameter)
		c.OK(t, "POST", "/v1/customers", person, nil, "Content-Encoding", "Identity")
		const none = "/v1/imports/01890a5d-ac96-774b-bcce-b30209900008/content"
		c.Refused(t, 404, "import_not_found", "PUT", none, []byte("a"), "Content-Encoding", "GZIP", "Content-Type", "application/octet-stream")
	})
	t.Run("LanguageOfAnAnswer", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		a := c.Do(t, "GET", "/v1/customers?limit=x", nil, "Accept-Language", "zh-TW,en;q=0.5")
		require.Equal(t, "zh", a.Header.Get("Content-Language"))
		require.Contains(t, a.Header.Values("Vary"), "Accept-Language")
		require.Contains(t, string(a.Body), "请求")
	})
	t.Run("HeadIsGetWithoutBody", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		var made object
		a := c.OK(t, "POST", "/v1/customers", person, &made)
		path := a.Header.Get("Location")
		get, head := c.OK(t, "GET", path, nil, nil), c.OK(t, "HEAD", path, nil, nil)
		require.Equal(t, get.Header.Get("ETag"), head.Header.Get("ETag"))
		require.Empty(t, head.Body)
		require.Equal(t, http.StatusNotModified, c.Do(t, "HEAD", path, nil, "If-None-Match", get.Header.Get("ETag")).Status)
		require.Equal(t, 404, c.Do(t, "HEAD", "/v1/customers/01890a5d-ac96-774b-bcce-b30209900001", nil).Status)
		c.Token = ""
		require.Equal(t, 401, c.Do(t, "HEAD", path, nil).Status)
	})
	t.Run("OneAuthorizationHeader", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/v1/me", nil)
		require.NoError(t, err)
		req.Header["Authorization"] = []string{"Bearer " + c.Token, "Bearer other"}
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer res.Body.Close() //nolint:errcheck // read to its end
		require.Equal(t, 400, res.StatusCode)
	})
	t.Run("NewTenantHasNoLocation", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		operator := s.In(t, c.Tenant, "tenants:admin")
		a := operator.OK(t, "POST", "/v1/tenants", object{"name": "brand-new", "title": "New", "currency": "CNY", "time_zone": "Asia/Shanghai"}, nil)
		require.Empty(t, a.Header.Get("Location"), "/v1/tenant is the caller's own")
		require.Equal(t, `"1"`, a.Header.Get("ETag"))
	})
}
