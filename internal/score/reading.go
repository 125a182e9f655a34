package score

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/metric"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// live is a model with a run whose scores are computed anew for single customers.
type live struct {
	force
	no       int64
	model    uuid.UUID
	by       scorer
	partRuns []int64 // composite: of each part, 0 where there is none
}

// reading is one statement that reads all that some models need to know of some customers, and what their scores are. Its
// text holds the runs' numbers, so that the database plans it for the few partitions they name.
type reading struct {
	models  []live  // parts before their composites
	windows []int   // of days, each once; columns of the statement follow their order
	rules   []int   // places in models of those of kind rules
	others  []int64 // runs of parts that are not among models
	sql     string
	args    []any // from the fifth value on

	adjust func(m live, c *subject) // changes what is known of a customer before a model scores it; may be nil
}

// fixedArgs is how many values of the statement come before those of conditions: tenant, day, the beginning of time,
// customers.
const fixedArgs = 4

// newReading prepares to read for models on a day, of which l is the language.
func newReading(models []live, l condition.Language, day tenant.Day) (*reading, error) {
	r := &reading{}
	for _, m := range models {
		r.add(m, models)
	}
	sql, joins := strings.Builder{}, strings.Builder{}
	sql.WriteString(`SELECT c.id, c.deleted_at IS NOT NULL OR c.merged_into IS NOT NULL, f.x, f.t_x, f.t, f.spend, f.repeat_spend, c.kind = 'company'`)
	// Each OFFSET 0 has its table read by the key for one customer after the other, whatever the statistics say.
	joins.WriteString(` FROM unnest($4::uuid[]) u (id)
		CROSS JOIN LATERAL (SELECT c.* FROM customers c WHERE c.tenant_id = $1 AND c.id = u.id OFFSET 0) c
		CROSS JOIN LATERAL (SELECT m.* FROM customer_metrics m WHERE m.tenant_id = $1 AND m.customer_id = u.id OFFSET 0) m
		LEFT JOIN LATERAL (` + factsOfOne + `) f ON m.purchase_days > 0 AND $3::date IS NOT NULL`)
	for i, m := range r.models {
		fmt.Fprintf(&sql, `, s%d.value, s%d.band, s%d.label, s%d.inputs, s%d.as_of, s%d.scored_at`, i, i, i, i, i, i)
		fmt.Fprintf(&joins, scoreOfOne, m.no, "s", i)
		if days := m.params.WindowDays; days > 0 && !slices.Contains(r.windows, days) {
			r.windows = append(r.windows, days)
		}
		if m.summary.Kind == Rules {
			r.rules = append(r.rules, i)
		}
		for n, p := range m.params.Parts {
			no := m.partRuns[n]
			if !slices.ContainsFunc(r.models, func(x live) bool { return x.summary.Key == p.Score }) && no != 0 && !slices.Contains(r.others, no) {
				r.others = append(r.others, no)
			}
		}
	}
	for i, days := range r.windows {
		fmt.Fprintf(&sql, `, w%d.days, w%d.spend`, i, i)
		fmt.Fprintf(&joins, ` LEFT JOIN LATERAL (`+windowOfOne+`) w%d ON m.purchase_days > 0`, days, i)
	}
	for i, no := range r.others {
		fmt.Fprintf(&sql, `, p%d.value`, i)
		fmt.Fprintf(&joins, scoreOfOne, no, "p", i)
	}
	for _, at := range r.rules {
		given, err := givenRules(l, r.models[at].params.Rules, day)
		if err != nil {
			return nil, err
		}
		text, args := given.Numbered(fixedArgs + len(r.args) + 1)
		sql.WriteString(", " + text)
		r.args = append(r.args, args...)
	}
	r.sql = sql.String() + joins.String()
	return r, nil
}

// scoreOfOne is the score of customer u by the run of a number, as a name with a number.
const scoreOfOne = ` LEFT JOIN LATERAL (SELECT s.* FROM scores s WHERE s.tenant_id = $1 AND s.run_no = %d AND s.customer_id = u.id OFFSET 0) %s%d ON true`

// add puts m behind its parts.
func (r *reading) add(m live, models []live) {
	if slices.ContainsFunc(r.models, func(x live) bool { return x.no == m.no }) {
		return
	}
	for _, p := range m.params.Parts {
		if at := slices.IndexFunc(models, func(x live) bool { return x.summary.Key == p.Score }); at >= 0 {
			r.add(models[at], models)
		}
	}
	r.models = append(r.models, m)
}

// windowOfOne is the purchase days and the spend of customer m within the last so many days up to the day $2.
const windowOfOne = `SELECT count(DISTINCT t.day)::integer AS days, greatest(coalesce(sum(t.base_amount), 0) -
		(SELECT coalesce(sum(r.base_amount), 0) FROM transaction_returns r
			JOIN transactions t ON t.tenant_id = r.tenant_id AND t.customer_id = r.customer_id AND t.id = r.transaction_id
			WHERE r.tenant_id = m.tenant_id AND r.customer_id = m.customer_id AND ` + metric.Purchase + ` AND r.day <= $2 AND r.day > $2::date - %[1]d), 0)::bigint AS spend
	FROM transactions t WHERE t.tenant_id = m.tenant_id AND t.customer_id = m.customer_id AND ` + metric.Purchase + ` AND t.day <= $2 AND t.day > $2::date - %[1]d`

// read is one customer as a reading finds it.
type read struct {
	subject
	gone    bool
	old     []*kept // by model; nil without a score
	windows []window
	others  []*float64
	rules   [][]float64
}

type window struct {
	days  *int
	spend *int64
}

func (r *reading) values(tenantID int32, day tenant.Day, now time.Time, customers []uuid.UUID) []any {
	args := []any{tenantID, day.Time, tenant.Day{}.Time, customers}
	for _, a := range r.args {
		if a == (filter.Now{}) {
			a = now
		}
		args = append(args, a)
	}
	return args
}

func (r *reading) scan(rows pgx.Rows) ([]read, error) {
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (read, error) {
		c := read{old: make([]*kept, len(r.models)), windows: make([]window, len(r.windows)), others: make([]*float64, len(r.others)),
			rules: make([][]float64, len(r.rules))}
		var f factRow
		into := []any{&c.id, &c.gone, &f.x, &f.tx, &f.t, &f.spend, &f.repeatSpend, &f.company}
		type nullable struct {
			value    *float64
			band     *int
			label    *string
			inputs   []float64
			asOf, at *time.Time
		}
		old := make([]nullable, len(r.models))
		for i := range old {
			into = append(into, &old[i].value, &old[i].band, &old[i].label, &old[i].inputs, &old[i].asOf, &old[i].at)
		}
		for i := range c.windows {
			into = append(into, &c.windows[i].days, &c.windows[i].spend)
		}
		for i := range c.others {
			into = append(into, &c.others[i])
		}
		for i := range c.rules {
			into = append(into, &c.rules[i])
		}
		if err := row.Scan(into...); err != nil {
			return c, err
		}
		if f.x != nil {
			days := *f.x + 1
			f.windowDays, f.windowSpend = &days, f.spend
			f.into(&c.subject)
		}
		for i, o := range old {
			if o.value != nil {
				c.old[i] = &kept{no: r.models[i].no, value: *o.value, band: *o.band, label: *o.label, inputs: o.inputs,
					asOf: tenant.Day{Time: *o.asOf}, scoredAt: *o.at}
			}
		}
		return c, nil
	})
}

// rate scores customers by all models: an answer for each model, in their order, with one score for each customer.
func (r *reading) rate(ctx context.Context, customers []read) ([][]rated, error) {
	all := make([][]rated, len(r.models))
	subjects := make([]subject, len(customers))
	for i, m := range r.models {
		for n, c := range customers {
			subjects[n] = c.subject
			switch {
			case m.summary.Kind == Rules:
				subjects[n].given = c.rules[slices.Index(r.rules, i)]
			case m.summary.Kind.joins():
				subjects[n].given = r.parts(m, all, n, c)
			case m.params.WindowDays > 0 && c.bought:
				w := c.windows[slices.Index(r.windows, m.params.WindowDays)]
				subjects[n].windowDays, subjects[n].windowSpend = *w.days, *w.spend
			}
			if r.adjust != nil {
				r.adjust(m, &subjects[n])
			}
		}
		var err error
		if all[i], err = m.by.rate(ctx, subjects); err != nil {
			return nil, fmt.Errorf("score by model %s: %w", m.summary.Key, err)
		}
		for n, c := range customers {
			if c.gone {
				all[i][n] = rated{}
			}
		}
	}
	return all, nil
}

// parts are the inputs of a composite for the n-th customer: scores just computed, or those in force of other models.
func (r *reading) parts(m live, all [][]rated, n int, c read) []float64 {
	given := make([]float64, 2*len(m.params.Parts))
	put := func(i int, value float64) { given[2*i], given[2*i+1] = 1, value }
	for i, p := range m.params.Parts {
		if at := slices.IndexFunc(r.models, func(x live) bool { return x.summary.Key == p.Score }); at >= 0 {
			if x := all[at][n]; x.ok {
				put(i, x.value)
			}
		} else if at := slices.Index(r.others, m.partRuns[i]); at >= 0 && c.others[at] != nil {
			put(i, *c.others[at])
		}
	}
	return given
}

// readFor reads customers. The statement is planned once for all calls: only its values differ.
func (r *reading) readFor(ctx context.Context, q postgres.Querier, t tenant.Tenant, day tenant.Day, now time.Time, customers []uuid.UUID) ([]read, error) {
	rows, err := q.Query(ctx, r.sql, r.values(t.ID, day, now, customers)...)
	if err != nil {
		return nil, fmt.Errorf("read what scores are made of: %w", err)
	}
	found, err := r.scan(rows)
	if err != nil {
		return nil, fmt.Errorf("read what scores are made of: %w", err)
	}
	return found, nil
}
