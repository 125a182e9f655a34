package filter_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
)

func TestParse(t *testing.T) {
	t.Parallel()
	vip := filter.Leaf{Field: "tags", Op: filter.Has, Values: []filter.Value{filter.String("vip")}}
	city := filter.Leaf{Field: "city", Op: filter.Eq, Values: []filter.Value{filter.String("上海")}}
	one := func(field string, op filter.Op, values ...filter.Value) filter.Leaf {
		return filter.Leaf{Field: field, Op: op, Values: values}
	}
	for _, c := range []struct {
		text, printed string // printed is empty where it equals text
		want          filter.Node
	}{
		{`tags:"vip"`, ``, vip},
		{`  ( ( tags : 'vip' ) ) `, `tags:"vip"`, vip},
		{`tags:"vip" AND city = "上海"`, ``, filter.And{vip, city}},
		{`tags:"vip" or city="上海" Or tags:"vip"`, `tags:"vip" OR city = "上海" OR tags:"vip"`, filter.Or{vip, city, vip}},
		{`tags:"vip" AND (city = "上海" OR NOT city = "上海")`, ``, filter.And{vip, filter.Or{city, filter.Not{Node: city}}}},
		{`(tags:"vip" AND city = "上海") AND tags:"vip"`, ``, filter.And{filter.And{vip, city}, vip}},
		{`not (tags:"vip" AND city = "上海")`, `NOT (tags:"vip" AND city = "上海")`, filter.Not{Node: filter.And{vip, city}}},
		{`NOT NOT tags:"vip"`, ``, filter.Not{Node: filter.Not{Node: vip}}},
		{`spend_total >= 1000`, ``, one("spend_total", filter.Gte, filter.Number("1000"))},
		{`spend_total>=-0.50`, `spend_total >= -0.50`, one("spend_total", filter.Gte, filter.Number("-0.50"))},
		{`spend_total<+007`, `spend_total < 7`, one("spend_total", filter.Lt, filter.Number("7"))},
		{`spend_total > "1000.00"`, ``, one("spend_total", filter.Gt, filter.String("1000.00"))},
		{`spend_total <= 9007199254740993`, ``, one("spend_total", filter.Lte, filter.Number("9007199254740993"))},
		{`city IN ("上海", '杭州')`, `city IN ("上海", "杭州")`, one("city", filter.In, filter.String("上海"), filter.String("杭州"))},
		{`city not in ("a",1,true)`, `city NOT IN ("a", 1, true)`, one("city", filter.NotIn, filter.String("a"), filter.Number("1"), filter.Bool(true))},
		{`city = NULL`, `city = null`, one("city", filter.IsNull)},
		{`city != null`, ``, one("city", filter.IsNotNull)},
		{`city:*`, `city != null`, one("city", filter.IsNotNull)},
		{`subscribed = TRUE`, `subscribed = true`, one("subscribed", filter.Eq, filter.Bool(true))},
		{`name:"伟"`, ``, one("name", filter.Has, filter.String("伟"))},
		{`name = "张*"`, ``, one("name", filter.StartsWith, filter.String("张"))},
		{`name = "*伟*"`, ``, one("name", filter.Contains, filter.String("伟"))},
		{`name != "张*"`, `NOT name = "张*"`, filter.Not{Node: one("name", filter.StartsWith, filter.String("张"))}},
		{`name = "\*\\*"`, ``, one("name", filter.StartsWith, filter.String(`*\`))},
		{`name = "a\*"`, ``, one("name", filter.Eq, filter.String("a*"))},
		{`name = 'it\'s "x"'`, `name = "it's \"x\""`, one("name", filter.Eq, filter.String(`it's "x"`))},
		{`name = "他说“好”（对）"`, ``, one("name", filter.Eq, filter.String("他说“好”（对）"))},
		{"name = \"a\nb\"", `name = "a\nb"`, one("name", filter.Eq, filter.String("a\nb"))},
		{`created_at >= today-90d`, ``, one("created_at", filter.Gte, filter.String("today-90d"))},
		{`created_at >= Today + 1M`, `created_at >= today+1m`, one("created_at", filter.Gte, filter.String("today+1m"))},
		{`created_at = "today"`, `created_at = today`, one("created_at", filter.Eq, filter.String("today"))},
		{`scores.clv.band = "a"`, ``, one("scores.clv.band", filter.Eq, filter.String("a"))},
		{`城市 = "上海"`, ``, one("城市", filter.Eq, filter.String("上海"))},
	} {
		n, err := filter.Parse(c.text)
		require.NoError(t, err, c.text)
		require.Equal(t, c.want, n, c.text)
		if c.printed == "" {
			c.printed = c.text
		}
		require.Equal(t, c.printed, n.Text())
	}
}

func TestParseSaysWhereItStops(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("(", 11) + "a = 1" + strings.Repeat(")", 11)
	for _, c := range []struct {
		text string
		code *fault.Fault
		want string
	}{
		{``, filter.ErrSyntax, "at character 1: expected a field name"},
		{`a = 1 AND`, filter.ErrSyntax, "at character 10: expected a field name"},
		{`a = 1 AND b = 2 OR c = 3`, filter.ErrSyntax, "at character 17: AND and OR side by side need parentheses"},
		{`a = 1 OR b = 2 AND c = 3`, filter.ErrSyntax, "at character 16: AND and OR"},
		{`(a = 1`, filter.ErrSyntax, "at character 7: expected AND, OR or )"},
		{`a = 1)`, filter.ErrSyntax, "at character 6: expected AND, OR or the end"},
		{`a = 1 b = 2`, filter.ErrSyntax, "at character 7: expected AND, OR or the end"},
		{`城市 = “上海”`, filter.ErrSyntax, `at character 6: this is a full-width or typographic character; write the ASCII "`},
		{`（a = 1）`, filter.ErrSyntax, "at character 1: this is a full-width"},
		{`a`, filter.ErrSyntax, "at character 2: expected an operator"},
		{`a is null`, filter.ErrSyntax, "at character 3: expected an operator: =, !=, <, <=, >, >=, :, IN or NOT IN; instead of is write = null, != null"},
		{`a contains "x"`, filter.ErrSyntax, "at character 3: expected an operator: =, !=, <, <=, >, >=, :, IN or NOT IN; instead of contains write :"},
		{`a 包含 "x"`, filter.ErrSyntax, "at character 3: expected an operator: =, !=, <, <=, >, >=, :, IN or NOT IN; instead of 包含 write :"},
		{`a == 1`, filter.ErrSyntax, "at character 3: write ="},
		{`a <> 1`, filter.ErrSyntax, "at character 3: write !="},
		{`a = 1 && b = 2`, filter.ErrSyntax, "at character 7: write AND"},
		{`-a = 1`, filter.ErrSyntax, "at character 1: write NOT"},
		{`a = berlin`, filter.ErrSyntax, "at character 5: expected a value: text in quotes"},
		{`a < null`, filter.ErrSyntax, "at character 5: expected a value"},
		{`a IN ()`, filter.ErrSyntax, "at character 7: expected a value"},
		{`a IN (1`, filter.ErrSyntax, "at character 8: expected , or )"},
		{`a NOT 1`, filter.ErrSyntax, "at character 7: expected IN"},
		{`a IN 1`, filter.ErrSyntax, "at character 6: expected a list"},
		{`a = "x`, filter.ErrSyntax, "at character 5: this quote is never closed"},
		{`a = "x\d"`, filter.ErrSyntax, `at character 7: after \ comes`},
		{`a = "x\`, filter.ErrSyntax, `at character 7: after \ comes`},
		{`a = "x*y"`, filter.ErrSyntax, "at character 7: a * stands at the end"},
		{`a = "*y"`, filter.ErrSyntax, "at character 6: a * stands at the end"},
		{`a = "*"`, filter.ErrSyntax, "at character 6: a * stands"},
		{`a = "**"`, filter.ErrSyntax, "at character 6: a * stands"},
		{`a:"x*"`, filter.ErrSyntax, "at character 5: a * is a wildcard only after = and !="},
		{`a = 1e3`, filter.ErrSyntax, "at character 5: a number is digits"},
		{`a = 1.`, filter.ErrSyntax, "at character 5: a number"},
		{`a = 2026-01-31`, filter.ErrSyntax, `at character 5: a day stands in quotes; write "2026-01-31"`},
		{`a = today-90`, filter.ErrSyntax, "at character 5: a relative day"},
		{`a = today-90days`, filter.ErrSyntax, "at character 5: a relative day"},
		{`total(visits) > 1`, filter.ErrSyntax, "at character 1: there is no such function"},
		{`count("visits") > 1`, filter.ErrSyntax, "at character 7: expected what the function"},
		{`count() > 1`, filter.ErrSyntax, "at character 7: expected what the function"},
		{`count(visits, 90d) > 1`, filter.ErrSyntax, `at character 15: a window stands in quotes; write "90d"`},
		{`count(visits, 90) > 1`, filter.ErrSyntax, `at character 15: a window stands in quotes; write "90d"`},
		{`sum(visits.amount, 2026-01-01..2026-12-31, "a = 1") > 1`, filter.ErrSyntax, `at character 20: a window stands in quotes; write "2026-01-01..2026-12-31"`},
		{`count(visits, all) > 1`, filter.ErrSyntax, `at character 15: a window stands in quotes; write "all"`},
		{`count(visits, recently) > 1`, filter.ErrSyntax, "at character 15: expected a window in quotes"},
		{`a > 90d`, filter.ErrSyntax, `at character 5: a number has no unit; write a relative day as today-90d and a window in quotes, "90d"`},
		{`count(visits, "") > 1`, filter.ErrSyntax, "at character 15: expected a window"},
		{`count(visits, "90") > 1`, filter.ErrValue, "at character 15: a window is such as"},
		{`count(visits, "90d", channel = 'x') > 1`, filter.ErrSyntax, "at character 22: expected a filter in quotes"},
		{`count(visits, "90d", "channel == 'x'") > 1`, filter.ErrSyntax, "at character 31: write ="},
		{`count(visits, "90d", "channel = 'x") > 1`, filter.ErrSyntax, "at character 33: this quote is never closed"},
		{`count(visits, "90d", "channel = ") > 1`, filter.ErrSyntax, "at character 33: expected a value"},
		{`count(visits, "90d", "a = \"上\" b") > 1`, filter.ErrSyntax, "at character 33: expected AND, OR or the closing quote"},
		{`a = 1 AND count(visits, "90d", "count(visits) > 1") > 1`, filter.ErrSyntax, "at character 33: the condition within a function"},
		{`count(visits, "90d", "a = 'x'", 3) > 1`, filter.ErrSyntax, "at character 31: expected"},
		{`null = 1`, filter.ErrSyntax, "at character 1: expected a field name"},
		{"a = 1 \x00", filter.ErrSyntax, "at character 7: this character"},
		{"a = \"上\xff\"", filter.ErrSyntax, "at character 7: this is not UTF-8"},
		{"a = \"\x00\"", filter.ErrValue, "at character 5: text is UTF-8 without the character NUL"},
		{`b = 1 AND a:""`, filter.ErrValue, "at character 13: one character or more"},
		{deep, filter.ErrLimit, "at character 11: nested deeper than 10 levels"},
		{strings.Repeat("NOT ", 11) + "a = 1", filter.ErrLimit, "at character 41: nested deeper"},
		{"b = 1 AND " + strings.Repeat("NOT ", 10) + "a = 1", filter.ErrLimit, "at character 51: nested deeper"},
		{strings.Repeat("a = 1 AND ", 200) + "a = 1", filter.ErrLimit, "at character 2001: more than 200 comparisons"},
		{"a IN (" + strings.Repeat("1,", 1000) + "1)", filter.ErrLimit, "at character 7: more than 1000 values"},
		{strings.Repeat(" ", 20_001), filter.ErrLimit, "at character 20001: longer than 20000 characters"},
		{"a = " + strings.Repeat("9", 41), filter.ErrSyntax, "at character 5: a number"},
		{strings.Repeat("a", 101) + " = 1", filter.ErrSyntax, "at character 1: a field name"},
	} {
		_, err := filter.Parse(c.text)
		require.ErrorIs(t, err, c.code, c.text)
		f := fault.Of(err)
		require.Len(t, f.Fields, 1)
		require.True(t, strings.HasPrefix(f.Fields[0].Detail.En, c.want), "%s: %s", c.text, f.Fields[0].Detail.En)
		require.NotEmpty(t, f.Fields[0].Detail.Zh)
		require.Equal(t, c.code.Code, f.Fields[0].Code)
	}
}

func TestBothFormsSayTheSame(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(160, 6901))
	for i := range 1200 {
		n := randomNode(r, i%6)
		roundTrip(t, n)
	}
}

// roundTrip demands that n comes back from both forms.
func roundTrip(t *testing.T, n filter.Node) {
	t.Helper()
	again, err := filter.Parse(n.Text())
	require.NoError(t, err, n.Text())
	require.Equal(t, n, again, n.Text())
	raw, err := n.MarshalJSON()
	require.NoError(t, err)
	again, err = filter.ParseJSON(raw)
	require.NoError(t, err, string(raw))
	require.Equal(t, n, again, string(raw))
}

func TestFields(t *testing.T) {
	t.Parallel()
	n, err := filter.Parse(`b = 1 AND (a.x = 2 OR NOT b = 3) AND c:"d"`)
	require.NoError(t, err)
	require.Equal(t, []string{"a.x", "b", "c"}, n.Fields())
}
