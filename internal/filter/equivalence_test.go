package filter_test

import (
	"math"
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
	if l.Fact != nil {
		return factHolds(l, p)
	}
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

// windows are those of the generator, known by heart as plainDay's days are.
var windows = map[string][2]string{"": {"0001-01-01", "9999-12-31"}, "1d": {"2026-03-31", "2026-03-31"}, "90d": {"2026-01-01", "2026-03-31"},
	"1w": {"2026-03-25", "2026-03-31"}, "3m": {"2026-01-01", "2026-03-31"}, "2y": {"2024-04-01", "2026-03-31"},
	"2026-02-28..2026-03-30": {"2026-02-28", "2026-03-30"}, "today-1m..today": {"2026-02-28", "2026-03-31"}, "2024-02-29..2024-02-29": {"2024-02-29", "2024-02-29"}}

func factHolds(l filter.Leaf, p person) bool {
	f := l.Fact
	var number []float64
	var seen []string
	for _, v := range p.visits {
		w := windows[f.Window]
		asPerson := person{values: map[string]any{"channel": v.channel, "amount": v.amount}}
		if v.guests != nil {
			asPerson.values["guests"] = *v.guests
		}
		if v.day < w[0] || v.day > w[1] || f.Where != nil && !visitHolds(f.Where, asPerson) {
			continue
		}
		seen = append(seen, v.day)
		switch {
		case f.Of == "visits.amount":
			number = append(number, float64(v.amount)/100)
		case f.Of == "visits.guests" && v.guests != nil:
			number = append(number, float64(*v.guests))
		}
	}
	slices.Sort(seen)
	var sum float64
	for _, n := range number {
		sum += n
	}
	total := len(seen)
	switch f.Function {
	case filter.Count:
		return compares(l.Op, float64(total), decimal(l.Values[0].Text))
	case filter.Days:
		return compares(l.Op, float64(len(slices.Compact(seen))), decimal(l.Values[0].Text))
	case filter.Sum:
		return compares(l.Op, sum, decimal(l.Values[0].Text))
	case filter.First, filter.Last:
		if len(seen) == 0 {
			return l.Op == filter.Ne
		}
		day := seen[0]
		if f.Function == filter.Last {
			day = seen[len(seen)-1]
		}
		return compares(l.Op, float64(strings.Compare(day, plainDay(l.Values[0].Text))), 0)
	}
	if len(number) == 0 {
		return l.Op == filter.Ne
	}
	value := map[filter.Function]float64{filter.Avg: sum / float64(len(number)), filter.Min: slices.Min(number), filter.Max: slices.Max(number)}[f.Function]
	return compares(l.Op, value, decimal(l.Values[0].Text))
}

func visitHolds(n filter.Node, p person) bool {
	if l, ok := n.(filter.Leaf); ok && l.Op != filter.IsNull {
		if l.Field == "channel" {
			return p.values["channel"] == l.Values[0].Text
		}
		return p.values["amount"].(int64) >= minor(l.Values[0].Text)
	} else if ok {
		_, there := p.values[l.Field]
		return !there
	}
	return slices.ContainsFunc(n.(filter.Or), func(c filter.Node) bool { return visitHolds(c, p) })
}

func compares(op filter.Op, a, b float64) bool {
	if math.Abs(a-b) < 1e-6 {
		a = b
	}
	return map[filter.Op]bool{filter.Eq: a == b, filter.Ne: a != b, filter.Lt: a < b, filter.Lte: a <= b, filter.Gt: a > b, filter.Gte: a >= b}[op]
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
		CREATE TEMP TABLE person_visits (person_id bigint, day date, amount bigint, guests integer, channel text);
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
		for _, s := range p.visits {
			b.Queue(`INSERT INTO person_visits VALUES ($1,$2::text::date,$3,$4,$5)`, p.id, s.day, s.amount, s.guests, s.channel)
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

		for how, facts := range map[string]filter.Gathering{"everybody": filter.Everybody, "each": filter.Each} {
			together := env
			together.Facts = facts
			e, err = people.Compile(n, together)
			require.NoError(t, err, n.Text())
			sql, args = filter.Concat(filter.SQL("SELECT c.id FROM people c"), e.Gathered(), filter.SQL(" WHERE "), e, filter.SQL(" ORDER BY c.id")).Numbered(1)
			rows, err = conn.Query(t.Context(), sql, args...)
			require.NoError(t, err, sql)
			got, err = pgx.CollectRows(rows, pgx.RowTo[int])
			require.NoError(t, err, sql)
			require.Equal(t, want, got, "%s: %s\n%s", how, n.Text(), sql)
		}
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
