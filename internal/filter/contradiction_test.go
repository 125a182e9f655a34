package filter_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
)

// ruling compiles rules.
func ruling() filter.Env {
	rules := env
	rules.Rule = true
	return rules
}

func TestARuleThatNobodyCanFulfilIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`spend_total >= 5000 AND spend_total < 1000`,
		`spend_total > 5 AND spend_total <= 5.00`,
		`stage = "new" AND stage = "lost"`,
		`stage IN ("new", "lost") AND orders > 1 AND stage NOT IN ("lost", "new")`,
		`city = "上海" AND city = null`,
		`city:"海" AND city = null`,
		`orders = 3 AND orders IN (1, 2)`,
		`orders = 3 AND (city = "x" AND (orders > 3 OR stage = "new") AND orders > 4)`,
		`birthday > today-30d AND birthday < today-8w`,
		`birthday >= "2026-02-01" AND birthday <= "2026-01-31"`,
		`created_at = "2026-02-01" AND created_at > "2026-02-01"`,
		`subscribed = true AND subscribed = false`,
		`tiers.value < "high" AND tiers.value = "high"`,
		`count(visits, "90d") >= 3 AND count(visits, "90d") = 0`,
		`min(visits.amount) = null AND min(visits.amount) > 1`,
		`(orders > 1 AND orders < 1) OR (orders = 2 AND orders = 3)`,
	} {
		_, _, err := people.CompileText(text, ruling())
		require.ErrorIs(t, err, filter.ErrContradiction, text)
		require.Len(t, fault.Of(err).Fields, 2, text)
		_, _, err = people.CompileText(text, env)
		require.NoError(t, err, "asked once, it is nobody: %s", text)
	}
	_, _, err := people.CompileText(`city:"海" AND (spend_total >= 5000 AND spend_total < 1000)`, ruling())
	require.Equal(t, "at character 15: this and spend_total < 1000 exclude each other", fault.Of(err).Fields[0].Detail.En)
	require.Equal(t, "at character 39: this and spend_total >= 5000 exclude each other", fault.Of(err).Fields[1].Detail.En)
	n, err := filter.Parse(`city:"海" AND (stage = "new" AND stage = "lost")`)
	require.NoError(t, err)
	_, err = people.Compile(n, ruling())
	require.Equal(t, "/and/1/and/0/field", fault.Of(err).Fields[0].Pointer)
	require.Equal(t, "/and/1/and/1/field", fault.Of(err).Fields[1].Pointer)
}

func TestARuleThatSomebodyMayFulfilIsTaken(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`tags:"a" AND tags:"b"`, // of which one may have several
		`tags:"a" AND tags NOT IN ("b")`,
		`spend_total >= 1000 AND spend_total <= 1000`,
		`(orders > 1 AND orders < 1) OR stage = "new"`,
		`NOT (orders > 1 AND orders < 1)`,
		`city = null AND city != "上海"`,
		`orders = null AND orders NOT IN (1)`,
		`count(visits, "90d") >= 3 AND count(visits, "30d") = 0`,
		`count(visits, "90d", "channel = 'web'") >= 3 AND count(visits, "90d") < 9`,
		`count(visits, "90d", "amount > 1 AND amount < 1") = 0`,
		`birthday >= today-1m AND birthday < today-30d`,      // in March
		`birthday <= today-90d AND birthday >= "2026-12-01"`, // next year
		`created_at = "2026-02-01" AND created_at < "2026-02-01T08:00:00Z"`,
		`city = "SH" AND city:"sh"`,
		`ratio = 1 AND ratio = 1.0`,
	} {
		_, _, err := people.CompileText(text, ruling())
		require.NoError(t, err, text)
	}
}

func TestNoRuleIsRefusedThatSomebodyFulfils(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 11))
	var all []person
	for id := range 120 {
		all = append(all, randomPerson(r, id))
	}
	refused := 0
	for range 20_000 {
		x := randomLeaf(r)
		y := randomLeaf(r)
		for !x.SameOperand(y) && x.Fact == nil {
			y = randomLeaf(r)
		}
		if x.Fact != nil { // the same fact compared otherwise
			y = x
			y.Op = pick(r, []filter.Op{filter.Eq, filter.Ne, filter.Lt, filter.Lte, filter.Gt, filter.Gte})
			y.Values = []filter.Value{filter.Number(pick(r, []string{"0", "1", "2", "3"}))}
			if x.Fact.Function == filter.First || x.Fact.Function == filter.Last {
				y.Values = []filter.Value{filter.String("2026-02-28")}
			}
		}
		n := filter.And{x, y}
		if _, err := people.Compile(n, ruling()); err == nil {
			continue
		}
		refused++
		require.False(t, slices.ContainsFunc(all, func(p person) bool { return holds(n, p) }), n.Text())
	}
	require.Greater(t, refused, 1000)
}
