package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/app/apptest"
	"github.com/kezi-io/kezi/internal/postgrestest"
)

// someone makes a customer and answers the path of what belongs to it.
func someone(t *testing.T, c *apptest.Client, kind, name string) (id, path string) {
	t.Helper()
	var made object
	c.OK(t, "POST", "/v1/customers", object{"kind": kind, "name": name}, &made)
	return made["id"].(string), "/v1/customers/" + made["id"].(string)
}

func names(list object, member string) (found []string) {
	for _, item := range list["items"].([]any) {
		found = append(found, fmt.Sprint(item.(object)[member]))
	}
	return found
}

func TestContactsOverHTTP(t *testing.T) { // S2-32, S3-07
	t.Parallel()
	c := apptest.Start(t, postgrestest.DB(t)).Client(t)
	_, company := someone(t, c, "company", "杭州西湖茶叶有限公司")
	person, _ := someone(t, c, "person", "王芳")
	var made, now, list object
	a := c.OK(t, "POST", company+"/contacts", object{"name": "周敏", "title": "采购总监", "gender": "female", "decision_role": "decision_maker",
		"primary": true, "person_id": person}, &made)
	require.Equal(t, http.StatusCreated, a.Status)
	at := a.Header.Get("Location")
	require.Equal(t, company+"/contacts/"+made["id"].(string), at)
	a = c.OK(t, "GET", at, nil, &now)
	require.Equal(t, made, now)
	require.Equal(t, http.StatusNotModified, c.Do(t, "GET", at, nil, "If-None-Match", a.Header.Get("ETag")).Status)
	c.OK(t, "PATCH", at, object{"gender": nil, "decision_role": nil, "person_id": nil, "title": nil, "department": "财务部"}, &now, "If-Match", `"1"`)
	require.Equal(t, "财务部", now["department"])
	for _, gone := range []string{"gender", "decision_role", "person_id", "title"} {
		require.NotContains(t, now, gone)
	}
	c.Refused(t, 412, "version_mismatch", "PATCH", at, object{"name": "x"}, "If-Match", `"1"`)
	c.Refused(t, 412, "version_mismatch", "DELETE", at, nil, "If-Match", `"1"`)
	c.Refused(t, 400, "contract_violation", "PATCH", at, object{"version": 7})
	c.Refused(t, 400, "contract_violation", "POST", company+"/contacts", object{"name": "a", "decision_role": "king"})
	c.Refused(t, 400, "contract_violation", "POST", company+"/contacts", object{"name": strings.Repeat("长", 201)})
	c.Refused(t, 422, "invalid", "POST", company+"/contacts", object{"name": "a", "person_id": strings.TrimPrefix(company, "/v1/customers/")})

	c.OK(t, "POST", company+"/contacts?validate_only=true", object{"name": "试", "primary": true}, nil)
	first := c.OK(t, "POST", company+"/contacts", object{"name": "钱伟", "primary": true}, &made, "Idempotency-Key", "a")
	again := c.OK(t, "POST", company+"/contacts", object{"name": "钱伟", "primary": true}, nil, "Idempotency-Key", "a")
	require.Equal(t, first.Body, again.Body)
	c.OK(t, "GET", company+"/contacts", nil, &list)
	require.Equal(t, []string{"钱伟", "周敏"}, names(list, "name"), "the primary one first")
	c.OK(t, "GET", company+"/contacts?limit=1", nil, &list)
	cursor := list["next_cursor"].(string)
	c.OK(t, "GET", company+"/contacts?limit=1&cursor="+cursor, nil, &list)
	require.Equal(t, []string{"周敏"}, names(list, "name"))
	require.Equal(t, false, list["has_more"])
	c.Refused(t, 400, "cursor_invalid", "GET", "/v1/customers/"+person+"/contacts?cursor="+cursor, nil)
	c.OK(t, "DELETE", at, nil, nil)
	c.Refused(t, 404, "contact_not_found", "GET", at, nil)
	c.Refused(t, 404, "contact_not_found", "GET", "/v1/customers/"+person+"/contacts/"+made["id"].(string), nil)
}

func TestNotesOverHTTP(t *testing.T) { // S3-31, S3-33, S3-34, S2-34, S0-75
	t.Parallel()
	s := apptest.Start(t, postgrestest.DB(t))
	c := s.Client(t)
	_, who := someone(t, c, "person", "王芳")
	hostile := `<script>alert(1)</script>'; DROP TABLE notes; --` + "\u202e"
	var made, now, list object
	a := c.OK(t, "POST", who+"/notes", object{"kind": "special_request", "body": hostile, "pinned": true}, &made)
	at := a.Header.Get("Location")
	require.Equal(t, hostile, made["body"], "plain text is kept as it is")
	require.Equal(t, "tester", made["author"])
	for _, kind := range []string{"solution", "history", "prospect", "general"} {
		c.OK(t, "POST", who+"/notes", object{"kind": kind, "body": strings.Repeat("字", 10000), "occurred_on": "2019-05-01"}, &now)
		require.Equal(t, "2019-05-01", now["occurred_on"])
	}
	c.OK(t, "GET", who+"/notes", nil, &list)
	require.Equal(t, []string{"special_request", "general", "prospect", "history", "solution"}, names(list, "kind"), "pinned first, then the newest")
	c.OK(t, "GET", who+"/notes?kind=history,prospect", nil, &list)
	require.Equal(t, []string{"prospect", "history"}, names(list, "kind"))
	c.Refused(t, 400, "contract_violation", "GET", who+"/notes?kind=gossip", nil)
	c.Refused(t, 400, "contract_violation", "POST", who+"/notes", object{"body": strings.Repeat("字", 10001)})
	c.Refused(t, 400, "contract_violation", "POST", who+"/notes", object{"body": "x", "author": "somebody else"})
	c.Refused(t, 422, "invalid", "POST", who+"/notes", object{"body": " \u200b "})
	c.Refused(t, 422, "invalid", "PATCH", at, object{"occurred_on": "0001-01-01"})
	c.OK(t, "PATCH", at, object{"body": "改了", "occurred_on": nil}, &now, "If-Match", a.Header.Get("ETag"))
	require.InDelta(t, 2, now["version"], 0)
	c.OK(t, "PATCH", at, object{"body": " 改了 "}, &now)
	require.InDelta(t, 2, now["version"], 0, "without effect")

	reader := s.In(t, c.Tenant, "customers:read")
	reader.OK(t, "GET", at, nil, nil)
	reader.Refused(t, 403, "scope_missing", "PATCH", at, object{"body": "x"})
	stranger := s.Client(t)
	stranger.Refused(t, 404, "customer_not_found", "GET", at, nil)
	c.OK(t, "DELETE", at, nil, nil)
	c.Refused(t, 404, "note_not_found", "DELETE", at, nil)
}

func TestRelationsOverHTTP(t *testing.T) {
	t.Parallel()
	c := apptest.Start(t, postgrestest.DB(t)).Client(t)
	var ids, paths [4]string
	for i := range ids {
		ids[i], paths[i] = someone(t, c, "company", fmt.Sprint("公司 ", i))
	}
	var made, seen, now, list object
	a := c.OK(t, "POST", paths[0]+"/relations", object{"type": "subsidiary", "other_customer_id": ids[1], "note": "全资", "since": "2019-07-01"}, &made)
	at := a.Header.Get("Location")
	require.Equal(t, object{"id": ids[1], "kind": "company", "name": "公司 1"}, made["other"])
	there := paths[1] + "/relations/" + made["id"].(string)
	c.OK(t, "GET", there, nil, &seen)
	require.Equal(t, "parent", seen["type"])
	require.Equal(t, ids[0], seen["other"].(object)["id"])
	require.Equal(t, "全资", seen["note"])

	// The other one's new name shows at once, also to who asks with an ETag.
	tag := c.OK(t, "GET", at, nil, nil).Header.Get("ETag")
	require.Equal(t, http.StatusNotModified, c.Do(t, "GET", at, nil, "If-None-Match", tag).Status)
	c.OK(t, "PATCH", paths[1], object{"name": "新名"}, nil)
	c.OK(t, "GET", at, nil, &now, "If-None-Match", tag)
	require.Equal(t, "新名", now["other"].(object)["name"])
	c.OK(t, "PATCH", there, object{"note": nil}, &now, "If-Match", tag)
	require.NotContains(t, now, "note")
	c.Refused(t, 412, "version_mismatch", "PATCH", at, object{"note": "x"}, "If-Match", tag)
	c.Refused(t, 400, "contract_violation", "PATCH", at, object{"type": "partner"})

	c.OK(t, "POST", paths[2]+"/relations", object{"type": "parent", "other_customer_id": ids[1]}, nil)
	p := c.Refused(t, 422, "parent_circle", "POST", paths[0]+"/relations", object{"type": "parent", "other_customer_id": ids[2]})
	require.Contains(t, p.Detail, strings.Join([]string{ids[0], ids[2], ids[1], ids[0]}, " → "))
	require.Equal(t, "/other_customer_id", p.Errors[0].Pointer)
	c.Refused(t, 422, "invalid", "POST", paths[0]+"/relations", object{"type": "parent", "other_customer_id": ids[0]})
	p = c.Refused(t, 409, "parent_exists", "POST", paths[2]+"/relations", object{"type": "parent", "other_customer_id": ids[3]})
	require.Contains(t, p.Detail, ids[1])
	c.Refused(t, 409, "relation_exists", "POST", paths[1]+"/relations", object{"type": "subsidiary", "other_customer_id": ids[2]})
	c.OK(t, "POST", paths[1]+"/relations", object{"type": "partner", "other_customer_id": ids[3]}, nil)

	c.OK(t, "GET", paths[1]+"/relations", nil, &list)
	require.Equal(t, []string{"parent", "subsidiary", "partner"}, names(list, "type"))
	c.OK(t, "GET", paths[1]+"/relations?type=partner,subsidiary&limit=1", nil, &list)
	require.Equal(t, []string{"subsidiary"}, names(list, "type"))
	c.OK(t, "GET", paths[1]+"/relations?type=partner,subsidiary&limit=1&cursor="+list["next_cursor"].(string), nil, &list)
	require.Equal(t, []string{"partner"}, names(list, "type"))
	c.OK(t, "GET", paths[2]+"/hierarchy", nil, &now)
	require.Equal(t, []any{ids[0], ids[1], ids[2]}, now["path"])
	require.Equal(t, []string{"公司 0", "新名", "公司 2"}, names(now, "name"))

	c.OK(t, "DELETE", paths[1], nil, nil)
	c.OK(t, "GET", paths[0]+"/relations", nil, &list)
	require.Empty(t, list["items"])
	c.Refused(t, 404, "relation_not_found", "GET", at, nil)
	c.OK(t, "POST", paths[1]+"/undelete", nil, nil)
	c.OK(t, "DELETE", there, nil, nil)
	c.Refused(t, 404, "relation_not_found", "GET", at, nil)
}
