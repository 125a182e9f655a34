package score

import (
	"fmt"
	"strings"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/tenant"
)

// givenRules is SQL over c and m for the inputs of a rules score, see Rule. l is of the scoring day.
func givenRules(l condition.Language, rules []Rule, asOf tenant.Day) (filter.Expr, error) {
	parts := []filter.Expr{filter.SQL(`ARRAY[`)}
	for i, r := range rules {
		if i > 0 {
			parts = append(parts, filter.SQL(`, `))
		}
		holds, err := l.Catalogue.Compile(r.Condition, l.Env)
		if f := fault.Of(err); f != nil {
			return filter.Expr{}, f.Below(ruleAt(i) + "/condition")
		}
		if err != nil {
			return filter.Expr{}, fmt.Errorf("compile rule %s: %w", r.Name, err)
		}
		parts = append(parts, filter.SQL(`CASE WHEN `), holds, filter.SQL(` THEN 1 ELSE 0 END, `))
		if r.HalfLifeDays == 0 {
			parts = append(parts, filter.SQL(`-1`))
			continue
		}
		parts = append(parts, filter.SQL(`coalesce(greatest(?::date - greatest(`, asOf.Time))
		for n, f := range counted(r.Condition) {
			f.Function = filter.Last
			f.Of = sourceOf(f.Of)
			reasons, err := l.Catalogue.Explain(filter.Leaf{Fact: &f, Op: filter.IsNotNull}, l.Env)
			if err != nil {
				return filter.Expr{}, fmt.Errorf("compile the age of rule %s: %w", r.Name, err)
			}
			if n > 0 {
				parts = append(parts, filter.SQL(`, `))
			}
			parts = append(parts, filter.SQL(`(`), reasons[0].Seen, filter.SQL(`)[1]::date`))
		}
		parts = append(parts, filter.SQL(`), 0), -1)`))
	}
	return filter.Concat(append(parts, filter.SQL(`]::double precision[]`))...), nil
}

// sourceOf is the source of facts that a function is of, such as transactions of transactions.amount.
func sourceOf(of string) string {
	source, _, _ := strings.Cut(of, ".")
	return source
}
