package filter_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/filter"
)

// TestReasonsAddUpToTheCondition takes random conditions apart: what their leaves say of a person, put together again, is
// what the condition as a whole says.
func TestReasonsAddUpToTheCondition(t *testing.T) {
	t.Parallel()
	conn := openTestDB(t)
	r := rand.New(rand.NewPCG(7, 7))
	var all []person
	for id := range 20 {
		all = append(all, randomPerson(r, id))
	}
	tables(t, conn, all)
	for i := range 200 {
		n, p := randomNode(r, i%4), pick(r, all)
		reasons, err := people.Explain(n, env)
		require.NoError(t, err, n.Text())
		var held []bool
		for _, reason := range reasons {
			sql, args := reason.Holds.Numbered(2)
			seen, more := reason.Seen.Numbered(2 + len(args))
			var holds bool
			var values []string
			err := conn.QueryRow(t.Context(), "SELECT "+sql+", "+seen+" FROM people c WHERE c.id = $1", append(append([]any{p.id}, args...), more...)...).
				Scan(&holds, &values)
			require.NoError(t, err, sql+seen)
			require.Equal(t, leafHolds(reason.Leaf, p), holds, reason.Leaf.Text())
			if _, present := p.values[reason.Leaf.Field]; present {
				require.Len(t, values, 1)
			}
			held = append(held, holds)
		}
		require.Equal(t, holds(n, p), filter.Evaluate(n, held), n.Text())
	}
}

func TestWhatAReasonSees(t *testing.T) {
	t.Parallel()
	conn := openTestDB(t)
	tables(t, conn, []person{{id: 1, values: map[string]any{"name": "张伟", "spend_total": int64(12345), "created_at": env.Now}, tags: []string{"vip", "wholesale"},
		visits: []visit{{day: "2026-03-01", amount: 500, channel: "web"}, {day: "2026-03-31", amount: 700, channel: "web"}}}})
	for text, want := range map[string][]string{
		`name = "李娜"`: {"张伟"}, `spend_total > 1`: {"123.45"}, `created_at > today`: {"2026-03-30T18:00:00.000000Z"}, `city = "上海"`: {}, `tags:"old"`: {"vip", "wholesale"},
		`sum(visits.amount, "90d", "channel = 'web'") > 1`: {"12.00"}, `last(visits) < today`: {"2026-03-31"}, `min(visits.guests) > 1`: {},
	} {
		n, err := filter.Parse(text)
		require.NoError(t, err)
		reasons, err := people.Explain(n, env)
		require.NoError(t, err)
		sql, args := reasons[0].Seen.Numbered(2)
		var seen []string
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT "+sql+" FROM people c WHERE c.id = $1", append([]any{1}, args...)...).Scan(&seen))
		require.Equal(t, want, seen, text)
	}
	n, err := filter.ParseJSON([]byte(`{"and":[{"field":"name","op":"eq","value":"a"},{"not":{"field":"spend_total","op":"gt","value":"1"}}]}`))
	require.NoError(t, err)
	reasons, err := people.Explain(n, env)
	require.NoError(t, err)
	require.Equal(t, "/and/1/not", reasons[1].Pointer)
}
