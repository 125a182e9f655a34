package filter_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
)

// hostile are values that break quoting somewhere.
var hostile = []string{
	`'; DROP TABLE people; --`, `" OR 1=1 --`, `\`, `\'`, `\"`, `/* x */`, `$1`, `$$x$$`, `?`, `??`, `%s`, `%`, `{}`, `{"a",NULL}`, `NULL`,
	"\n--", "\u2028", "\ufeff", "＇", "*", `\*`, "@name", "today-1d", "E'\\x41'", "U&\"\\0061\"", strings.Repeat("'", 500),
}

// TestNoWordOfACallerBecomesSQL compiles the same tree with harmless and with hostile values: the SQL must be the same
// but for what the kind of the value decides.
func TestNoWordOfACallerBecomesSQL(t *testing.T) {
	t.Parallel()
	for _, op := range []filter.Op{filter.Eq, filter.Ne, filter.In, filter.NotIn, filter.Has, filter.Contains, filter.StartsWith} {
		for _, field := range []string{"city", "name", "nick"} {
			leaf := func(s string) filter.Leaf {
				return filter.Leaf{Field: field, Op: op, Values: []filter.Value{filter.String(s)}}
			}
			want, err := people.Compile(leaf("a"), env)
			require.NoError(t, err)
			wantSQL, _ := want.Numbered(1)
			for _, s := range hostile {
				n := leaf(s)
				roundTrip(t, n)
				e, err := people.Compile(n, env)
				require.NoError(t, err)
				sql, args := e.Numbered(1)
				require.Equal(t, wantSQL, sql)
				require.Len(t, args, 1)
			}
		}
	}
}

// TestTheDatabaseReadsHostileValuesAsText asks PostgreSQL itself.
func TestTheDatabaseReadsHostileValuesAsText(t *testing.T) {
	t.Parallel()
	conn := openTestDB(t)
	var all []person
	for i, s := range hostile {
		all = append(all, person{id: i, values: map[string]any{"name": s, "city": s}, tags: []string{s}})
	}
	tables(t, conn, all)
	for i, s := range hostile {
		for _, l := range []filter.Leaf{
			{Field: "city", Op: filter.Eq}, {Field: "city", Op: filter.In}, {Field: "tags", Op: filter.Has},
			{Field: "city", Op: filter.Contains}, {Field: "name", Op: filter.StartsWith}, {Field: "nick", Op: filter.Contains},
		} {
			l.Values = []filter.Value{filter.String(s)}
			e, err := people.Compile(l, env)
			require.NoError(t, err)
			sql, args := e.Numbered(2)
			var found bool
			require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) = 1 FROM people c WHERE id = $1 AND "+sql, append([]any{i}, args...)...).Scan(&found))
			require.True(t, found, l.Text())
		}
	}
}

// sqlOf is the SQL of e, whose placeholders must be as many as its values.
func sqlOf(e filter.Expr) string {
	sql, args := e.Where()
	if strings.Count(sql, "?") != len(args) {
		panic("placeholders and values differ: " + sql)
	}
	return sql
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`spend_total >= 1000 AND tags:"vip" AND (city = "上海" OR city = "杭州")`, `NOT (a NOT IN ("x", 'y', 1))`,
		`created_at >= today-90d AND birthday < "2026-01-31"`, `name = "张*" OR name != "*\*\\\"*"`, `scores.clv.band = null`, `city:*`,
		"a = \"\x00\"", "a = \xff", `a = “x”`, `((((((((((((a=1))))))))))))`, `a = '$1' -- ?`, `a /* */ = 1`, `count(x, "90d") > 1`, `sum(visits.amount, "all", "channel = 'a\\*' OR guests != null") >= 1`, `last(visits, "today-1y..today") = null`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, e, err := people.CompileText(text, env)
		if err != nil {
			require.NotNil(t, fault.Of(err), "every refusal is a fault: %v", err)
			for _, place := range fault.Of(err).Fields {
				require.NotEmpty(t, place.Detail.Zh)
				require.True(t, utf8.ValidString(place.Detail.En))
			}
		}
		if n == nil {
			return
		}
		if utf8.RuneCountInString(n.Text()) <= filter.MaxText {
			roundTrip(t, n)
		}
		if err == nil {
			onlyOwnSQL(t, n, e)
		}
	})
}

func FuzzParseJSON(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		raw, err := randomNode(r, 3).MarshalJSON()
		require.NoError(f, err)
		f.Add(raw)
	}
	f.Add([]byte(`{"and":[{"field":"a","op":"eq","value":1e9}],"x":{}}`))
	f.Add([]byte(`{"field":"city","op":"eq","value":"\ud800"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		n, e, err := people.CompileJSON(raw, env)
		if err != nil {
			require.NotNil(t, fault.Of(err), "every refusal is a fault: %v", err)
		}
		if n == nil {
			return
		}
		if utf8.RuneCountInString(n.Text()) <= filter.MaxText {
			roundTrip(t, n)
		}
		if err == nil {
			onlyOwnSQL(t, n, e)
		}
	})
}

// onlyOwnSQL demands that the SQL has no word but those of the test catalogue and of the compiler.
func onlyOwnSQL(t *testing.T, n filter.Node, e filter.Expr) {
	t.Helper()
	sql := sqlOf(e)
	for _, word := range strings.FieldsFunc(sql, func(r rune) bool { return strings.ContainsRune(" ()?:[],", r) }) {
		require.True(t, slices.Contains(ownWords, word), "%q in %s of %s", word, sql, n.Text())
	}
}

var ownWords = strings.Fields(`AND OR NOT IS NULL TRUE DISTINCT FROM ANY LIKE EXISTS SELECT 1 WHERE = < <= > >= <> 0 lower strpos starts_with
	text numeric bigint date timestamptz boolean uuid person_tags person_scores ct s ct.person_id s.person_id s.model_id ct.tag s.value s.band
	* person_visits v v.person_id v.day v.amount v.guests v.channel count DISTINCT coalesce sum avg min max BETWEEN 0
	c.id c.city c.name c.name_folded c.spend c.orders c.ratio c.birthday c.created_at c.subscribed c.stage c.owner c.tier`)
