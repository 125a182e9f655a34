package httpapi_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/app/apptest"
	"github.com/kezi-io/kezi/internal/postgrestest"
)

type customerPage struct {
	Items     []object
	HasMore   bool   `json:"has_more"`
	Next      string `json:"next_cursor"`
	Total     *int64
	Estimate  *bool `json:"total_is_estimate"`
	Estimates *bool `json:"facets_are_estimates"`
	Facets    []struct {
		Field, Label string
		Values       []struct {
			Value, Label string
			Count        int
		}
		Missing int
		Other   *int
	}
	Unmatched []struct{ Token, Reason, Detail string }
}

func (p customerPage) names() []string {
	all := []string{}
	for _, i := range p.Items {
		all = append(all, i["name"].(string))
	}
	return all
}

func TestFindingCustomers(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, postgrestest.DB(t))
	c := s.Client(t)
	for _, body := range []object{
		{"kind": "person", "name": "张建国", "stage": "active", "city": "上海", "owner": "li", "source": object{"channel": "store"}, "external_ids": []object{{"source": "crm", "external_id": "K-100"}}},
		{"kind": "person", "name": "张建国华", "stage": "lead", "city": "杭州", "owner": "li"},
		{"kind": "person", "name": "曾國藩", "stage": "lead", "city": "上海", "province": "上海"},
		{"kind": "company", "name": "华信（集团）股份有限公司", "city": "北京", "industry": "软件"},
		{"kind": "person", "name": "Sonia Johnson"},
	} {
		c.OK(t, "POST", "/v1/customers", body, nil)
	}
	list := func(t *testing.T, query string) customerPage {
		t.Helper()
		var p customerPage
		c.OK(t, "GET", "/v1/customers?sort=created_at&"+query, nil, &p, "Accept-Language", "zh")
		return p
	}
	q := func(t *testing.T, text string) []string { return list(t, "q="+url.QueryEscape(text)).names() }

	t.Run("OneBox", func(t *testing.T) { // S3-03
		t.Parallel()
		require.Equal(t, []string{"张建国", "张建国华"}, q(t, "建国"))
		require.Equal(t, []string{"张建国", "张建国华"}, q(t, "zjg"))
		require.Equal(t, []string{"张建国华"}, q(t, "zhangjianguohua"))
		require.Equal(t, []string{"曾國藩"}, q(t, "zengguofan"))
		require.Equal(t, []string{"曾國藩"}, q(t, "曾国藩"))
		require.Equal(t, []string{"华信（集团）股份有限公司"}, q(t, "华信有限公司"))
		require.Equal(t, []string{"Sonia Johnson"}, q(t, "son"))
		require.Equal(t, []string{"张建国"}, q(t, "k-100"))
		require.Equal(t, []string{"Sonia Johnson"}, q(t, strings.ToUpper(list(t, "q=son").Items[0]["id"].(string))))
		require.Len(t, q(t, " \t"), 5, "white space asks for nothing")
	})
	t.Run("TextWithinNamesIsFoundAsItStands", func(t *testing.T) { // S3-03
		t.Parallel()
		for needle, want := range map[string][]string{"*建国*": {"张建国", "张建国华"}, "張*": {}, "*國*": {"曾國藩"}, "SON*": {"Sonia Johnson"},
			"*a j*": {"Sonia Johnson"}, "*（集*": {"华信（集团）股份有限公司"}, "*hns*": {"Sonia Johnson"}} {
			require.ElementsMatch(t, want, list(t, "filter="+url.QueryEscape(`name = "`+needle+`"`)).names(), needle)
		}
		require.Len(t, list(t, "facets=city&total=exact&filter="+url.QueryEscape(`name != "*建国*"`)).Items, 3)
	})
	t.Run("TheExactOneComesFirst", func(t *testing.T) { // S3-03
		t.Parallel()
		p := list(t, "q="+url.QueryEscape("张建国华")+"&limit=1")
		require.Equal(t, []string{"张建国华"}, p.names())
		var all []string
		cursor := ""
		for {
			var p customerPage
			c.OK(t, "GET", "/v1/customers?sort=created_at&limit=1&total=estimate&q="+url.QueryEscape("张建国")+cursor, nil, &p)
			all = append(all, p.names()...)
			require.EqualValues(t, 2, *p.Total)
			require.False(t, *p.Estimate, "few are counted exactly")
			if !p.HasMore {
				break
			}
			cursor = "&cursor=" + p.Next
		}
		require.Equal(t, []string{"张建国", "张建国华"}, all)
		first := list(t, "limit=1&q="+url.QueryEscape("建国"))
		c.Refused(t, 400, "cursor_invalid", "GET", "/v1/customers?sort=created_at&limit=1&q=zjg&cursor="+first.Next, nil)
	})
	t.Run("NothingFoundIsExplained", func(t *testing.T) { // S3-03
		t.Parallel()
		p := list(t, "q="+url.QueryEscape("张 xyz"))
		require.Len(t, p.Unmatched, 1)
		require.Equal(t, "xyz", p.Unmatched[0].Token)
		require.Equal(t, "not_found", p.Unmatched[0].Reason)
		require.Contains(t, p.Unmatched[0].Detail, "没有")
		require.Equal(t, "left_out", list(t, "stage=lost&q="+url.QueryEscape("张")).Unmatched[0].Reason)
		require.Nil(t, list(t, "q="+url.QueryEscape("张")).Unmatched)
		require.Empty(t, list(t, "q="+url.QueryEscape("%_\\' OR 1=1 --")).Items)
		require.Empty(t, list(t, "q="+url.QueryEscape("☆")).Items)
		require.NotNil(t, list(t, "q=%20").Items)
		c.Refused(t, 400, "contract_violation", "GET", "/v1/customers?q="+strings.Repeat("a", 201), nil)
	})
	t.Run("Narrowing", func(t *testing.T) { // S3-03
		t.Parallel()
		for query, want := range map[string][]string{
			"stage=lead": {"张建国华", "曾國藩"},
			"stage=lead&stage=active&city=" + url.QueryEscape("上海"):            {"张建国", "曾國藩"},
			"city=" + url.QueryEscape("上海") + "&city=" + url.QueryEscape("北京"): {"张建国", "曾國藩", "华信（集团）股份有限公司"},
			"owner=li&source=store":                {"张建国"},
			"kind=company":                         {"华信（集团）股份有限公司"},
			"industry=" + url.QueryEscape("软件"):    {"华信（集团）股份有限公司"},
			"province=" + url.QueryEscape("浙江"):    {"张建国华"},
			"created_to=2020-01-01":                {},
			"updated_from=2020-01-01&kind=company": {"华信（集团）股份有限公司"},
			"last_purchase_from=2020-01-01":        {},
			"kind=person&filter=" + url.QueryEscape(`city = "杭州"`) + "&q=zhang": {"张建国华"},
		} {
			require.Equal(t, want, list(t, query).names(), query)
		}
		p := c.Refused(t, 422, "invalid", "GET", "/v1/customers?tier=high", nil)
		require.Equal(t, "tier", p.Errors[0].Parameter)
		p = c.Refused(t, 422, "filter_unknown_field", "GET", "/v1/customers?tier=nobody:high", nil)
		require.Equal(t, "tier", p.Errors[0].Parameter)
		c.OK(t, "POST", "/v1/tags", object{"key": "vip_gold", "name": "金卡"}, nil)
		c.OK(t, "POST", "/v1/segments", object{"key": "salon", "name": "沙龙", "basis": "psychographic", "static": true}, nil)
		require.Empty(t, list(t, "tag=vip_gold&segment=salon").Items)
		for query, at := range map[string][2]string{
			"tag=vip_gold&tag=vip_golt":                           {"tag", "vip_gold"},
			"segment=saloon":                                      {"segment", "salon"},
			"filter=" + url.QueryEscape(`tags IN ("vip-gold")`):   {"filter", "at character 10: there is no such choice; the nearest is vip_gold"},
			"filter=" + url.QueryEscape(`NOT segments:"zalon"`):   {"filter", "at character 14: there is no such choice; the nearest is salon"},
			"filter=" + url.QueryEscape(`tags:"x"`) + "&tag=nope": {"filter", "at character 6"},
		} {
			p = c.Refused(t, 422, "filter_value", "GET", "/v1/customers?"+query, nil)
			require.Equal(t, at[0], p.Errors[0].Parameter, query)
			require.Contains(t, p.Errors[0].Detail, at[1], query)
		}
		p = c.Refused(t, 422, "filter_value", "POST", "/v1/customers/search", object{"filter": object{"field": "tags", "op": "has", "value": "vip"}})
		require.Equal(t, "/filter/value", p.Errors[0].Pointer)
		require.Equal(t, []string{"vip_gold"}, p.Errors[0].Accepted)
		c.Refused(t, 422, "filter_value", "POST", "/v1/segments/preview", object{"filter_text": `tags:"vip"`})
		c.OK(t, "PATCH", "/v1/segments/salon", object{"archived": true}, nil)
		c.Refused(t, 422, "filter_value", "GET", "/v1/customers?segment=salon", nil)
		c.OK(t, "GET", "/v1/segments/salon/members", nil, nil)
		c.Refused(t, 400, "contract_violation", "GET", "/v1/customers?created_from=yesterday", nil)
		c.Refused(t, 400, "contract_violation", "GET", "/v1/customers?stage=nowhere", nil)
	})
	t.Run("Facets", func(t *testing.T) { // S3-03
		t.Parallel()
		p := list(t, "facets=stage,city,tags,tiers&q=zhang")
		require.False(t, *p.Estimates)
		require.Equal(t, "stage", p.Facets[0].Field)
		require.Equal(t, "线索", p.Facets[0].Values[1].Label)
		require.Equal(t, 1, p.Facets[0].Values[1].Count)
		require.Len(t, p.Facets, 3, "a tenant without tier schemes has no facets of tiers")
		require.Equal(t, "tags", p.Facets[2].Field)
		require.Equal(t, 2, p.Facets[2].Missing)
		p = list(t, "facets=city,industry")
		require.Equal(t, "上海", p.Facets[0].Values[0].Value)
		require.Equal(t, 2, p.Facets[0].Values[0].Count)
		require.Equal(t, 1, p.Facets[0].Missing)
		require.Equal(t, 0, *p.Facets[0].Other)
		require.Equal(t, 4, p.Facets[1].Missing)

		var body customerPage
		c.OK(t, "POST", "/v1/customers/search", object{"q": "张", "facets": []string{"kind"}, "filter": object{"field": "stage", "op": "eq", "value": "lead"}}, &body)
		require.Equal(t, []string{"张建国华"}, body.names())
		require.Equal(t, "Person", body.Facets[0].Values[0].Label)

		few := s.In(t, c.Tenant, "customers:read")
		few.Refused(t, 403, "scope_missing", "GET", "/v1/customers?facets=tags", nil)
		few.Refused(t, 403, "scope_missing", "GET", "/v1/customers?facets=city,tiers", nil)
		few.Refused(t, 403, "scope_missing", "GET", "/v1/customers?tag=vip", nil)
		few.OK(t, "GET", "/v1/customers?facets=city,stage", nil, nil)
		require.Empty(t, func() []object {
			var p customerPage
			s.Client(t).OK(t, "GET", "/v1/customers?q=zhang", nil, &p)
			return p.Items
		}(), "another tenant finds nobody")
	})
}
