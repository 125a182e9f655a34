package httpapi_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/app/apptest"
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
