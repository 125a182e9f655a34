package filter_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
)

func at(s string) time.Time {
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return v
}

func TestCompile(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, sql string
		args      []any
	}{
		{`spend_total >= 1000`, `c.spend >= ?::bigint`, []any{int64(100000)}},
		{`spend_total >= "129.9"`, `c.spend >= ?::bigint`, []any{int64(12990)}},
		{`spend_total != -0.01`, `c.spend IS DISTINCT FROM ?::bigint`, []any{int64(-1)}},
		{`orders = 9007199254740993`, `c.orders = ?::bigint`, []any{int64(9007199254740993)}},
		{`ratio > 0.30000000000000004`, `c.ratio > ?::numeric`, []any{"0.30000000000000004"}},
		{`orders IN (1, 2)`, `c.orders = ANY(?::bigint[])`, []any{"{1,2}"}},
		{`city NOT IN ("a", "b\"\\c")`, `(c.city = ANY(?::text[])) IS NOT TRUE`, []any{`{"a","b\"\\c"}`}},
		{`city = null`, `c.city IS NULL`, nil},
		{`NOT city = null`, `c.city IS NOT NULL`, nil},
		{`NOT orders < 3`, `(c.orders < ?::bigint) IS NOT TRUE`, []any{int64(3)}},
		{`NOT (city = "a" AND orders != 3)`, `(c.city IS DISTINCT FROM ?::text OR c.orders = ?::bigint)`, []any{"a", int64(3)}},
		{`city:"%_\\"`, `lower(c.city) LIKE lower(?::text)`, []any{`%\%\_\\%`}},
		{`name = "A*"`, `c.name_folded LIKE lower(?::text)`, []any{`A%`}},
		{`nick:"a"`, `(strpos(c.name_folded, lower(?)) > 0)`, []any{`a`}},
		{`birthday = today-1m`, `c.birthday = ?::date`, []any{"2026-02-28"}},
		{`created_at >= "2026-01-01"`, `c.created_at >= ?::timestamptz`, []any{at("2025-12-31T16:00:00Z")}},
		{`created_at <= today`, `c.created_at < ?::timestamptz`, []any{at("2026-03-31T16:00:00Z")}},
		{`created_at != today`, `((c.created_at >= ?::timestamptz AND c.created_at < ?::timestamptz)) IS NOT TRUE`,
			[]any{at("2026-03-30T16:00:00Z"), at("2026-03-31T16:00:00Z")}},
		{`created_at > "2026-01-01T00:00:00+08:00"`, `c.created_at > ?::timestamptz`, []any{at("2025-12-31T16:00:00Z")}},
		{`subscribed = true`, `c.subscribed = ?::boolean`, []any{true}},
		{`tiers.value >= "potential"`, `c.tier = ANY(?::text[])`, []any{`{"potential","high"}`}},
		{`tiers.value < "ordinary"`, `c.tier = ANY(?::text[])`, []any{`{}`}},
		{`NOT tags:"vip"`, `NOT (EXISTS (SELECT 1 FROM person_tags ct WHERE ct.person_id = c.id AND ct.tag = ?::text))`, []any{"vip"}},
		{`scores.clv.band != "a" OR scores.churn != null`,
			`(NOT (EXISTS (SELECT 1 FROM person_scores s WHERE s.person_id = c.id AND s.model_id = ? AND s.band = ?::text AND s.model_id <> ?))` +
				` OR (EXISTS (SELECT 1 FROM person_scores s WHERE s.person_id = c.id AND s.model_id = ? AND s.value IS NOT NULL AND s.model_id <> ?)))`,
			[]any{int32(7), "a", int32(-7), int32(8), int32(-8)}},
	} {
		_, e, err := people.CompileText(c.text, env)
		require.NoError(t, err, c.text)
		sql, args := e.Where()
		require.Equal(t, c.sql, sql, c.text)
		require.Equal(t, c.args, args, c.text)
	}
}

func TestPartsStandInTheText(t *testing.T) {
	t.Parallel()
	sql, args := filter.SQL("a = ? AND run_no = ? AND b = ?", 1, filter.Part(12), "x").Where()
	require.Equal(t, "a = ? AND run_no = 12 AND b = ?", sql)
	require.Equal(t, []any{1, "x"}, args)
}

func TestNumbered(t *testing.T) {
	t.Parallel()
	_, e, err := people.CompileText(`created_at = today AND tags:"$1"`, env)
	require.NoError(t, err)
	sql, args := e.Numbered(9)
	require.Equal(t, `((c.created_at >= $9::timestamptz AND c.created_at < $10::timestamptz) AND `+
		`(EXISTS (SELECT 1 FROM person_tags ct WHERE ct.person_id = c.id AND ct.tag = $11::text)))`, sql)
	require.Len(t, args, 3)
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text     string
		code     *fault.Fault
		want     string
		accepted []string
	}{
		{`spend_totel > 1`, filter.ErrUnknownField, "at character 1: there is no such field; the nearest is spend_total", []string{"spend_total"}},
		{`orders > 1 AND scores.clw > 1`, filter.ErrUnknownField, "at character 16: there is no such field; the nearest is scores.clv", []string{"scores.clv"}},
		{`城市 = "上海"`, filter.ErrUnknownField, "at character 1: there is no such field; the nearest is city", []string{"city"}},
		{`zzzzzzzz = 1`, filter.ErrUnknownField, "at character 1: there is no such field; /v1/filter-fields lists them", nil},
		{`tags = "vip"`, filter.ErrOperator, "at character 6: this field takes has, in, not_in, is_null, is_not_null", []string{"has", "in", "not_in", "is_null", "is_not_null"}},
		{`subscribed > true`, filter.ErrOperator, "at character 12: this field takes eq, ne", []string{"eq", "ne", "is_null", "is_not_null"}},
		{`name = null`, filter.ErrOperator, "at character 6: this field takes eq, ne, in, not_in, has, contains, starts_with", []string{"eq", "ne", "in", "not_in", "has", "contains", "starts_with"}},
		{`city = 5`, filter.ErrValue, `at character 8: expected text in quotes, such as "上海"`, nil},
		{`city IN ("a", true)`, filter.ErrValue, `at character 15: expected text in quotes`, nil},
		{`spend_total > 1.005`, filter.ErrValue, "at character 15: expected an amount in CNY with at most 2 decimals, such as 1000.00", nil},
		{`spend_total > "1,000"`, filter.ErrValue, "at character 15: expected an amount", nil},
		{`spend_total > 92233720368547758.08`, filter.ErrValue, "at character 15: expected an amount", nil},
		{`orders > 1.0`, filter.ErrValue, "at character 10: expected a whole number such as 3", nil},
		{`orders > 9223372036854775808`, filter.ErrValue, "at character 10: expected a whole number", nil},
		{`orders > true`, filter.ErrValue, "at character 10: expected a whole number", nil},
		{`ratio > "1e5"`, filter.ErrValue, "at character 9: expected a number such as 1000.5", nil},
		{`ratio > "NaN"`, filter.ErrValue, "at character 9: expected a number", nil},
		{`birthday > "2026-02-29"`, filter.ErrValue, `at character 12: expected a day such as "2026-01-31", or today`, nil},
		{`birthday > "0000-01-01"`, filter.ErrValue, "at character 12: expected a day", nil},
		{`birthday > today+9999y`, filter.ErrValue, "at character 12: expected a day", nil},
		{`birthday > "2026-01-01T00:00:00Z"`, filter.ErrValue, "at character 12: expected a day", nil},
		{`created_at > "2026-01-01T00:00:00"`, filter.ErrValue, "at character 14: expected a day such as", nil},
		{`created_at > "2026-01-01T00:00:00.0000001Z"`, filter.ErrValue, "at character 14: expected a day such as", nil},
		{`created_at > "2026-01-01T7:00:00Z"`, filter.ErrValue, "at character 14: expected a day such as", nil},
		{`subscribed = "true"`, filter.ErrValue, "at character 14: expected true or false, without quotes", nil},
		{`stage = "New"`, filter.ErrValue, `at character 9: there is no such choice; the nearest is new`, []string{"new", "active", "lost"}},
		{`owner = "1"`, filter.ErrValue, "at character 9: expected a UUID", nil},
		{`owner = "{01890a5d-ac96-774b-bcce-b302099a8057}"`, filter.ErrValue, "at character 9: expected a UUID", nil},
	} {
		_, _, err := people.CompileText(c.text, env)
		require.ErrorIs(t, err, c.code, c.text)
		f := fault.Of(err)
		require.Len(t, f.Fields, 1, c.text)
		require.True(t, strings.HasPrefix(f.Fields[0].Detail.En, c.want), "%s: %s", c.text, f.Fields[0].Detail.En)
		require.NotEmpty(t, f.Fields[0].Detail.Zh)
		require.Equal(t, c.accepted, f.Fields[0].Accepted, c.text)
	}
}

func TestCompilePointsIntoTheFormThatWasSent(t *testing.T) {
	t.Parallel()
	raw := `{"and":[{"or":[{"field":"city","op":"in","values":["a",1]}]},{"not":{"field":"orders","op":"has","value":1}},{"field":"nope","op":"eq","value":1}]}`
	n, _, err := people.CompileJSON([]byte(raw), env)
	require.NotNil(t, n)
	pointers := func(err error) (all []string) {
		for _, f := range fault.Of(err).Fields {
			all = append(all, f.Pointer)
		}
		return all
	}
	require.ErrorIs(t, err, filter.ErrValue)
	require.Equal(t, []string{"/and/0/or/0/values/1", "/and/1/not/op", "/and/2/field"}, pointers(err))

	_, err = people.Compile(n, env)
	require.Equal(t, []string{"/and/0/values/1", "/and/1/not/op", "/and/2/field"}, pointers(err))

	_, _, err = people.CompileText(n.Text(), env)
	f := fault.Of(filter.InParameter(err, "filter"))
	require.Len(t, f.Fields, 3)
	require.Equal(t, "filter", f.Fields[2].Parameter)
	require.Empty(t, f.Fields[2].Pointer)
}

func TestCompileChecksNodesThatNobodyParsed(t *testing.T) {
	t.Parallel()
	value := []filter.Value{filter.String("x")}
	for _, n := range []filter.Node{
		nil, filter.And{}, filter.Or{nil}, filter.Not{}, filter.Leaf{}, filter.Leaf{Field: "city", Op: filter.Eq},
		filter.Leaf{Field: "city", Op: filter.IsNull, Values: value}, filter.Leaf{Field: "city", Op: "like", Values: value},
		filter.Leaf{Field: "city", Op: filter.Eq, Values: append(value, value...)}, filter.Leaf{Field: "city", Op: filter.In},
		filter.Leaf{Field: "city", Op: filter.Eq, Values: []filter.Value{{}}}, filter.Leaf{Field: "city", Op: filter.Eq, Values: []filter.Value{filter.String("\xff")}},
		filter.Leaf{Field: "orders", Op: filter.Eq, Values: []filter.Value{filter.Number("1; DROP TABLE people")}},
	} {
		e, err := people.Compile(n, env)
		require.NotNil(t, fault.Of(err), "%#v", n)
		require.True(t, e.IsZero())
	}
	_, err := people.Compile(filter.Leaf{Field: "city", Op: filter.Eq, Values: value}, filter.Env{})
	require.Error(t, err)
	require.Nil(t, fault.Of(err), "a missing clock is not the caller's fault")
}

func TestMoneyFollowsTheCurrency(t *testing.T) {
	t.Parallel()
	jpy := filter.Env{Now: env.Now, Zone: time.UTC, Currency: "JPY", Digits: 0}
	_, e, err := people.CompileText(`spend_total > 1000`, jpy)
	require.NoError(t, err)
	_, args := e.Where()
	require.Equal(t, []any{int64(1000)}, args)
	_, _, err = people.CompileText(`spend_total > 1000.0`, jpy)
	require.ErrorIs(t, err, filter.ErrValue)
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	all := people.Describe(env)
	require.Len(t, all, len(people.Names()))
	byName := map[string]filter.Entry{}
	for _, e := range all {
		require.NotEmpty(t, e.Operators)
		byName[e.Name] = e
	}
	require.Equal(t, "city", all[0].Name)
	require.Equal(t, "CNY", byName["spend_total"].Unit)
	require.Equal(t, "orders", byName["orders"].Unit)
	require.Equal(t, filter.Number("1000.00"), byName["spend_total"].Example)
	require.Equal(t, []string{"new", "active", "lost"}, byName["stage"].Choices)
	require.Equal(t, filter.TypeScore, byName["scores.clv"].Type)
	require.NotContains(t, byName["name"].Operators, filter.IsNull)

	// Every example must be one that the field accepts.
	for _, e := range all {
		op := e.Operators[0]
		_, err := people.Compile(filter.Leaf{Field: e.Name, Op: op, Values: []filter.Value{e.Example}}, env)
		require.NoError(t, err, e.Name)
	}
}

func TestCatalogueRefusesWrongFields(t *testing.T) {
	t.Parallel()
	good := filter.Field{Name: "a", Type: filter.TypeText, Column: filter.SQL("c.a")}
	for _, spoil := range []func(*filter.Field){
		func(f *filter.Field) { f.Name = "a b" },
		func(f *filter.Field) { f.Name = "today" },
		func(f *filter.Field) { f.Type = "colour" },
		func(f *filter.Field) { f.Column = filter.Expr{} },
		func(f *filter.Field) { f.Exists = filter.SQL("EXISTS (SELECT 1)") },
	} {
		f := good
		spoil(&f)
		require.Panics(t, func() { filter.NewCatalogue(f) })
	}
	require.Panics(t, func() { filter.NewCatalogue(good, good) })
	require.Panics(t, func() { filter.SQL("c.doc ? 'x'") })
}

func TestOperatorsCanBeNarrowed(t *testing.T) {
	t.Parallel()
	c := filter.NewCatalogue(filter.Field{Name: "a", Type: filter.TypeInteger, Column: filter.SQL("c.a + 1"), Operators: []filter.Op{filter.Eq, filter.IsNull}})
	require.Equal(t, []filter.Op{filter.Eq}, c.Describe(env)[0].Operators)
	_, e, err := c.CompileText("a = 1", env)
	require.NoError(t, err)
	sql, _ := e.Where()
	require.Equal(t, "(c.a + 1) = ?::bigint", sql)
	_, _, err = c.CompileText("a > 1", env)
	require.ErrorIs(t, err, filter.ErrOperator)
}
