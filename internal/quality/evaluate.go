package quality

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/postgres"
)

// question is rules as one SELECT over c and m: a truth value for each rule that SQL decides, and a text for each
// whose pattern is matched here, so that all patterns mean what RE2 says.
type question struct {
	truths, texts []Rule
	patterns      []*regexp.Regexp
	sql           string
	args          []any
}

// ask makes the question. A rule that no longer means anything, because what it names is gone, is left out: it must not
// stop every write. Its placeholders follow the first two.
func ask(l condition.Language, rules []Rule) question {
	var q question
	var truths, texts []string
	add := func(to *[]string, e filter.Expr, form string) {
		sql, args := e.Numbered(3 + len(q.args))
		q.args = append(q.args, args...)
		*to = append(*to, fmt.Sprintf(form, sql))
	}
	for _, r := range rules {
		switch r.Kind {
		case Condition:
			if e, err := l.Catalogue.Compile(r.Condition, l.Env); err == nil {
				add(&truths, e, "(%s) IS TRUE")
				q.truths = append(q.truths, r)
			}
		case Required:
			if e, ok := present(l, r.Field); ok {
				add(&truths, e, "(%s) IS TRUE")
				q.truths = append(q.truths, r)
			}
		case Pattern:
			f, ok := l.Catalogue.Field(r.Field)
			pattern, err := regexp.Compile(anchored(r.Pattern))
			if ok && err == nil && f.Type == filter.TypeText && f.Exists.IsZero() {
				add(&texts, f.Column, "(%s)::text")
				q.texts, q.patterns = append(q.texts, r), append(q.patterns, pattern)
			}
		}
	}
	q.sql = "ARRAY[" + strings.Join(truths, ", ") + "]::boolean[], ARRAY[" + strings.Join(texts, ", ") + "]::text[]"
	return q
}

// answer is what one customer answers.
type answer struct {
	id     uuid.UUID
	kind   string
	truths []bool
	texts  []*string
}

// broken are the rules that the customer breaks.
func (q question) broken(a answer) []Rule {
	var broken []Rule
	for i, r := range q.truths {
		if r.covers(a.kind) && !a.truths[i] {
			broken = append(broken, r)
		}
	}
	for i, r := range q.texts {
		if r.covers(a.kind) && a.texts[i] != nil && !q.patterns[i].MatchString(*a.texts[i]) {
			broken = append(broken, r)
		}
	}
	return broken
}

// each asks the customers of from, which selects c and m, and calls do with what each answers. from's placeholders come
// first and its values are given.
func (q question) each(ctx context.Context, db postgres.Querier, from string, values []any, do func(answer)) error {
	rows, err := db.Query(ctx, "SELECT c.id, c.kind, "+q.sql+" "+from, append(values, q.args...)...)
	if err != nil {
		return fmt.Errorf("ask the validation rules: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var a answer
		if err := rows.Scan(&a.id, &a.kind, &a.truths, &a.texts); err != nil {
			return fmt.Errorf("ask the validation rules: %w", err)
		}
		do(a)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("ask the validation rules: %w", err)
	}
	return nil
}

// Where the customers come from: as they would be, or as they are stored.
const (
	unwritten = `FROM json_populate_recordset(NULL::customers, $2) c
		CROSS JOIN LATERAL (SELECT * FROM customer_metrics m WHERE m.tenant_id = c.tenant_id AND m.customer_id = c.id
			UNION ALL SELECT * FROM json_populate_record(NULL::customer_metrics, '` + nothingYet + `')
			ORDER BY customer_id LIMIT 1) m WHERE c.tenant_id = $1`
	written = `FROM unnest($2::uuid[]) x (id)
		CROSS JOIN LATERAL (SELECT * FROM customers c WHERE c.tenant_id = $1 AND c.id = x.id) c
		CROSS JOIN LATERAL (SELECT * FROM customer_metrics m WHERE m.tenant_id = $1 AND m.customer_id = x.id) m`
	everybody = `FROM customers c JOIN customer_metrics m ON m.tenant_id = c.tenant_id AND m.customer_id = c.id
		WHERE c.tenant_id = $1 AND c.deleted_at IS NULL AND c.merged_into IS NULL AND ($2 = 'customer' OR c.kind = $2)`
)

// nothingYet are the metrics of a customer that is yet to be made.
const nothingYet = `{"purchase_count": 0, "purchase_days": 0, "spend_total": 0, "first_day_spend": 0, "units_total": 0,
	"return_count": 0, "returns_total": 0, "on_time_payments": 0, "late_payments": 0, "days_late_max": 0, "days_late_total": 0,
	"open_payments": 0, "open_amount": 0}`

// verdict parts broken rules into what refuses a write and what it is warned of.
func verdict(broken []Rule) (blocks, warnings []fault.Field) {
	for _, r := range broken {
		if r.Severity == Block {
			blocks = append(blocks, r.place())
		} else {
			warnings = append(warnings, r.place())
		}
	}
	return blocks, warnings
}
