package filter_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/filter"
)

// holds is what a condition means, said a second time in plain Go.
func holds(n filter.Node, p person) bool {
	switch n := n.(type) {
	case filter.And:
		return !slices.ContainsFunc(n, func(c filter.Node) bool { return !holds(c, p) })
	case filter.Or:
		return slices.ContainsFunc(n, func(c filter.Node) bool { return holds(c, p) })
	case filter.Not:
		return !holds(n.Node, p)
	case filter.Leaf:
		return leafHolds(n, p)
	}
	panic("no such node")
}

func leafHolds(l filter.Leaf, p person) bool {
	if l.Field == "tags" {
		has := func(v filter.Value) bool { return slices.Contains(p.tags, v.Text) }
		switch l.Op {
		case filter.Has, filter.In:
			return slices.ContainsFunc(l.Values, has)
		case filter.NotIn:
			return !slices.ContainsFunc(l.Values, has)
		case filter.IsNull:
			return len(p.tags) == 0
		}
		return len(p.tags) > 0
	}
	value, present := p.values[l.Field]
	equal := func(v filter.Value) bool {
		below, above := sides(l.Field, value, v)
		return !below && !above
	}
	switch l.Op {
	case filter.IsNull:
		return !present
	case filter.IsNotNull:
		return present
	case filter.Ne, filter.NotIn:
		return !present || !slices.ContainsFunc(l.Values, equal)
	}
	if !present {
		return false
	}
	switch l.Op {
	case filter.Eq, filter.In:
		return slices.ContainsFunc(l.Values, equal)
	case filter.Has, filter.Contains:
		return strings.Contains(strings.ToLower(value.(string)), strings.ToLower(l.Values[0].Text))
	case filter.StartsWith:
		return strings.HasPrefix(strings.ToLower(value.(string)), strings.ToLower(l.Values[0].Text))
	}
	below, above := sides(l.Field, value, l.Values[0])
	switch l.Op {
	case filter.Lt:
		return below
	case filter.Lte:
		return !above
	case filter.Gt:
		return above
	}
	return !below
}

// sides tells whether a person's value lies below or above v.
func sides(field string, value any, v filter.Value) (below, above bool) {
	f, _ := people.Field(field)
	switch value := value.(type) {
	case int64:
		other := whole(v.Text)
		if f.Type == filter.TypeMoney {
			other = minor(v.Text)
		}
		return value < other, value > other
	case float64:
		return value < decimal(v.Text), value > decimal(v.Text)
	case bool:
		return value != (v.Text == "true"), false
	case time.Time:
		if at, err := time.Parse(time.RFC3339Nano, v.Text); err == nil {
			return value.Before(at), value.After(at)
		}
		local := value.In(shanghai).Format(time.DateOnly)
		return local < plainDay(v.Text), local > plainDay(v.Text)
	case string:
		switch f.Type {
		case filter.TypeDate:
			return value < plainDay(v.Text), value > plainDay(v.Text)
		case filter.TypeTier:
			a, b := slices.Index(f.Choices, value), slices.Index(f.Choices, v.Text)
			return a < b, a > b
		}
		return value != v.Text, false
	}
	panic("no such value")
}

// plainDay knows the relative days of the generator by heart, so that it shares no arithmetic with the code.
func plainDay(s string) string {
	known := map[string]string{"today": "2026-03-31", "today-1d": "2026-03-30", "today-1w": "2026-03-24",
		"today-1m": "2026-02-28", "today+1m": "2026-04-30", "today-25m": "2024-02-29"}
	if day, ok := known[s]; ok {
		return day
	}
	return s
}

// tables makes temporary tables of people.
func tables(t *testing.T, conn *pgx.Conn, all []person) {
	t.Helper()
	_, err := conn.Exec(t.Context(), `
		CREATE TEMP TABLE people (id bigint PRIMARY KEY, name text, name_folded text GENERATED ALWAYS AS (lower(name)) STORED,
			city text, spend bigint, orders bigint, ratio double precision, birthday date, created_at timestamptz,
			subscribed boolean, stage text, owner uuid, tier text);
		CREATE TEMP TABLE person_tags (person_id bigint, tag text);
		CREATE TEMP TABLE person_scores (person_id bigint, model_id integer, value numeric, band text)`)
	require.NoError(t, err)
	var b pgx.Batch
	for _, p := range all {
		v := p.values
		b.Queue(`INSERT INTO people VALUES ($1,$2,DEFAULT,$3,$4,$5,$6,$7::text::date,$8,$9,$10,$11::text::uuid,$12)`, p.id, v["name"], v["city"],
			v["spend_total"], v["orders"], v["ratio"], v["birthday"], v["created_at"], v["subscribed"], v["stage"], v["owner"], v["tiers.value"])
		for _, tag := range p.tags {
			b.Queue(`INSERT INTO person_tags VALUES ($1,$2)`, p.id, tag)
		}
		for key, id := range map[string]int32{"clv": 7, "churn": 8} {
			b.Queue(`INSERT INTO person_scores VALUES ($1,$2,$3,$4)`, p.id, id, v["scores."+key], v["scores."+key+".band"])
		}
	}
	require.NoError(t, conn.SendBatch(t.Context(), &b).Close())
}

// TestSQLMeansWhatTheConditionSays compares random conditions on random people, absent values among them.
func TestSQLMeansWhatTheConditionSays(t *testing.T) {
	t.Parallel()
	conn := openTestDB(t)
	r := rand.New(rand.NewPCG(2026, 4))
	var all []person
	for id := range 80 {
		all = append(all, randomPerson(r, id))
	}
	tables(t, conn, all)
	some := 0
	for i := range 1000 {
		n := randomNode(r, i%4)
		e, err := people.Compile(n, env)
		require.NoError(t, err, n.Text())
		want := []int{}
		for _, p := range all {
			if holds(n, p) {
				want = append(want, p.id)
			}
		}
		if len(want) > 0 && len(want) < len(all) {
			some++
		}
		sql, args := e.Numbered(2)
		rows, err := conn.Query(t.Context(), "SELECT c.id FROM people c WHERE c.id >= $1 AND "+sql+" ORDER BY c.id", append([]any{0}, args...)...)
		require.NoError(t, err, sql)
		got, err := pgx.CollectRows(rows, pgx.RowTo[int])
		require.NoError(t, err, sql)
		require.Equal(t, want, got, "%s\n%s", n.Text(), sql)
	}
	require.Greater(t, some, 400, "most conditions should tell people apart")
}

func TestAnIndexServesComparisons(t *testing.T) {
	t.Parallel()
	conn := openTestDB(t)
	tables(t, conn, nil)
	_, err := conn.Exec(t.Context(), `
		CREATE INDEX ON people (spend); CREATE INDEX ON people (orders); CREATE INDEX ON people (birthday);
		CREATE INDEX ON people (created_at); CREATE INDEX ON people (city); CREATE INDEX ON people (owner);
		CREATE INDEX ON people (ratio); SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan`)
	require.NoError(t, err)
	for _, text := range []string{
		`spend_total >= 1000`, `orders < 3`, `birthday = today`, `created_at = today`, `created_at >= today-90d`,
		`city = "上海"`, `city IN ("上海", "杭州")`, `owner = "01890a5d-ac96-774b-bcce-b302099a8057"`, `ratio > 0.5`, `city = null`,
		`NOT (spend_total != 5 OR city = "上海")`,
	} {
		_, e, err := people.CompileText(text, env)
		require.NoError(t, err)
		sql, args := e.Numbered(1)
		rows, err := conn.Query(t.Context(), "EXPLAIN SELECT c.id FROM people c WHERE "+sql, args...)
		require.NoError(t, err)
		plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		require.Contains(t, strings.Join(plan, "\n"), "Index Cond", text)
	}
}
