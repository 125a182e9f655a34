package httpapi_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/app/apptest"
	"github.com/kezi-io/kezi/internal/auth"
	"github.com/kezi-io/kezi/internal/postgrestest"
)

func TestTagsOverHTTP(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, postgrestest.DB(t))
	c := s.Client(t)
	var group, made, person, list object
	c.OK(t, "POST", "/v1/tag-groups", object{"key": "level", "name": "级别", "exclusive": true}, &group)
	a := c.OK(t, "POST", "/v1/tags", object{"key": "vip", "name": "贵宾", "group_id": group["id"]}, &made)
	path := a.Header.Get("Location")
	seen := c.OK(t, "GET", path, nil, nil).Header.Get("ETag")
	require.Equal(t, http.StatusNotModified, c.Do(t, "GET", path, nil, "If-None-Match", seen).Status)

	c.OK(t, "POST", "/v1/customers", object{"kind": "person", "name": "张三"}, &person)
	id := person["id"].(string)
	c.OK(t, "PUT", "/v1/customers/"+id+"/tags/"+made["id"].(string), object{"reason": "老客户"}, nil)
	var now object
	a = c.OK(t, "GET", path, nil, &now, "If-None-Match", seen)
	require.Equal(t, http.StatusOK, a.Status, "the count changed, so the old ETag is not what it shows")
	require.InDelta(t, 1, now["customers"], 0)
	c.OK(t, "PATCH", path, object{"name": "重要客户"}, nil, "If-Match", a.Header.Get("ETag"))
	c.Refused(t, 412, "version_mismatch", "PATCH", path, object{"name": "x"}, "If-Match", a.Header.Get("ETag"))

	c.OK(t, "GET", "/v1/customers?tag=vip&expand=tags", nil, &list)
	require.Equal(t, id, list["items"].([]any)[0].(object)["id"])
	require.Equal(t, "老客户", list["items"].([]any)[0].(object)["tags"].([]any)[0].(object)["reason"])
	var bulk object
	c.OK(t, "POST", path+"/bulk", object{"action": "remove", "customer_ids": []string{id, "01890a5d-ac96-774b-bcce-b302099a0000"}}, &bulk)
	require.InDelta(t, 1, bulk["changed"], 0)
	require.Equal(t, []any{"01890a5d-ac96-774b-bcce-b302099a0000"}, bulk["missing"])
	c.OK(t, "GET", "/v1/change-sets/"+bulk["change_set"].(string)+"/items", nil, &list)
	require.Len(t, list["items"], 1)
	c.OK(t, "DELETE", path, nil, nil)
	c.Refused(t, 404, "tag_not_found", "GET", path, nil)
}

func TestAutomaticTagsOverHTTP(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, postgrestest.DB(t))
	c := s.Client(t)
	var made, person, list object
	c.OK(t, "POST", "/v1/customers", object{"kind": "person", "name": "张三", "city": "上海"}, &person)
	of := "/v1/customers/" + person["id"].(string)
	c.OK(t, "POST", "/v1/tags", object{"key": "local", "name": "本地", "filter_text": `city = "杭州"`, "position": 2}, &made)
	require.Equal(t, true, made["automatic"])
	require.Equal(t, object{"field": "city", "op": "eq", "value": "杭州"}, made["filter"])
	path := "/v1/tags/" + made["id"].(string)
	c.OK(t, "PATCH", of, object{"city": "杭州"}, nil)
	c.OK(t, "GET", of+"/tags", nil, &list)
	require.Equal(t, "rule", list["items"].([]any)[0].(object)["source"])
	c.OK(t, "DELETE", of+"/tags/"+made["id"].(string)+"?reason=moved", nil, nil)
	c.OK(t, "GET", of+"/tags", nil, &list)
	require.Empty(t, list["items"])
	require.Equal(t, "moved", list["suppressed"].([]any)[0].(object)["reason"])
	c.OK(t, "POST", of+"/tags/"+made["id"].(string)+"/lift", nil, nil)
	c.Refused(t, 404, "tag_suppression_not_found", "POST", of+"/tags/"+made["id"].(string)+"/lift", nil)
	c.OK(t, "GET", of+"/tags/history?limit=2", nil, &list)
	require.Equal(t, []any{"assigned", "lifted"}, []any{list["items"].([]any)[0].(object)["action"], list["items"].([]any)[1].(object)["action"]})
	c.OK(t, "GET", of+"/tags/history?limit=2&cursor="+list["next_cursor"].(string), nil, &list)
	require.Equal(t, "suppressed", list["items"].([]any)[0].(object)["action"])
	c.OK(t, "GET", path+"/history", nil, &list)
	require.Len(t, list["items"], 4)

	// Who stores a condition has to be allowed to read what it reads.
	narrow := *c
	narrow.Token = s.Sign(t, auth.Claims{Subject: "narrow", Tenant: c.Tenant.Name, Scopes: []string{"tags:read", "tags:write", "customers:read", "customers:write"}, TTL: time.Hour})
	for method, target := range map[string]string{"POST": "/v1/tags", "PATCH": path} {
		body := object{"filter_text": `sum(transactions.amount, "90d") >= 5`}
		if method == "POST" {
			body["key"], body["name"] = "x", "x"
		}
		require.Equal(t, 403, narrow.Do(t, method, target, body).Status)
	}
	require.Equal(t, 403, narrow.Do(t, "POST", path+"/bulk", object{"action": "put", "filter_text": `count(transactions, "90d") >= 5`}).Status)
	require.Equal(t, 403, narrow.Do(t, "POST", "/v1/tags/presets", object{"preset": "region"}).Status)

	for _, text := range []string{`city = "x'; DROP TABLE tags; --" OR`, `nonsense = 1`, `tags:"a" AND city = "b" OR city = "c"`, `city = ?`, `1=1`, "\u0000"} {
		require.Contains(t, []int{400, 422}, c.Do(t, "POST", path+"/bulk", object{"action": "put", "filter_text": text}).Status, text)
		require.Contains(t, []int{400, 422}, c.Do(t, "PATCH", path, object{"filter_text": text}).Status, text)
	}
	var r object
	c.OK(t, "POST", path+"/bulk", object{"action": "put", "filter_text": `name = "'; DELETE FROM customer_tags; --"`}, &r)
	require.InDelta(t, 0, r["changed"], 0)
	c.Refused(t, 422, "invalid", "POST", path+"/bulk", object{"action": "put"})
	c.OK(t, "POST", path+"/bulk?validate_only=true", object{"action": "remove", "filter_text": `city = "杭州"`}, &r)
	require.InDelta(t, 1, r["changed"], 0)
	c.OK(t, "GET", path+"/dependents", nil, &list)
	require.Empty(t, list["items"])
	c.Refused(t, 409, "rule_cycle", "PATCH", path, object{"filter_text": `NOT tags:"local"`})
}
