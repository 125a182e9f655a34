package quality

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/attribute"
	"github.com/kezi-io/kezi/internal/completeness"
	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Missing is a weighted field without a value.
type Missing struct {
	Field     string
	Label     fault.Text
	Weight    int
	Kind      string // of the customers; in a report over all of them
	Customers int64  // who lack it; in a report over all of them
}

// Violation is a rule that is broken now.
type Violation struct {
	Rule      Rule
	Place     fault.Field
	Customers int64 // who break it; in a report over all of them
}

// Freshness is when data of each sort last changed; nil where there is none. Basic is the record, contact points,
// addresses and contacts; behaviour is transactions; financial is payments and a company's annual revenue.
type Freshness struct{ Basic, Behaviour, Financial *time.Time }

// Report is how good the record of one customer is.
type Report struct {
	Customer     customer.Customer
	Completeness *int // percent; nil until it is computed
	Missing      []Missing
	Violations   []Violation
	Freshness    Freshness
	AsOf         time.Time
}

// The instants of Freshness, over c. What was never written has NULL, which greatest leaves aside.
const (
	basicAt = `greatest(c.updated_at,
		(SELECT max(p.updated_at) FROM contact_points p WHERE p.tenant_id = c.tenant_id AND p.customer_id = c.id),
		(SELECT max(a.updated_at) FROM addresses a WHERE a.tenant_id = c.tenant_id AND a.customer_id = c.id),
		(SELECT max(k.updated_at) FROM contacts k WHERE k.tenant_id = c.tenant_id AND k.customer_id = c.id))`
	behaviourAt = `(SELECT max(t.updated_at) FROM transactions t WHERE t.tenant_id = c.tenant_id AND t.customer_id = c.id)`
	financialAt = `greatest((SELECT max(p.updated_at) FROM transaction_payments p WHERE p.tenant_id = c.tenant_id AND p.customer_id = c.id),
		CASE WHEN c.annual_revenue IS NOT NULL THEN greatest(c.created_at, (SELECT max(e.occurred_at) FROM events e
			WHERE e.tenant_id = c.tenant_id AND e.customer_id = c.id AND e.seq IS NOT NULL AND 'company.annual_revenue' = ANY(e.changed))) END)`
)

// Of is the report on one customer, or on the survivor that it was merged into. Fails with customer.ErrNotFound.
func (s *Service) Of(ctx context.Context, t tenant.Tenant, id uuid.UUID) (Report, error) {
	c, err := customer.NewService(s.db, s.now).Get(ctx, t, id)
	if err != nil {
		return Report{}, err
	}
	r := Report{Customer: c, Missing: []Missing{}, Violations: []Violation{}, AsOf: s.now()}
	weights, err := completeness.Of(ctx, s.db, t.ID)
	if err != nil {
		return Report{}, err
	}
	w := weights[0]
	if c.Kind == customer.Company {
		w = weights[1]
	}
	labels, err := s.labels(ctx, t)
	if err != nil {
		return Report{}, err
	}
	presence, args, err := presences(w, 3)
	if err != nil {
		return Report{}, err
	}
	var have []bool
	err = s.db.QueryRow(ctx, `SELECT m.completeness, ARRAY[`+strings.Join(presence, ", ")+`], `+basicAt+`, `+behaviourAt+`, `+financialAt+`
		FROM customers c JOIN customer_metrics m ON m.tenant_id = c.tenant_id AND m.customer_id = c.id
		WHERE c.tenant_id = $1 AND c.id = $2`, append([]any{t.ID, c.ID}, args...)...).
		Scan(&r.Completeness, &have, &r.Freshness.Basic, &r.Freshness.Behaviour, &r.Freshness.Financial)
	if err != nil {
		return Report{}, fmt.Errorf("read the quality of customer %s: %w", c.ID, err)
	}
	for i, x := range w.Fields {
		if !have[i] {
			r.Missing = append(r.Missing, Missing{Field: x.Field, Label: labels.of(x.Field), Weight: x.Weight})
		}
	}
	rules, l, err := s.all(ctx, s.db, t)
	if err != nil {
		return Report{}, err
	}
	q := ask(l, rules)
	return r, q.each(ctx, s.db, written, []any{t.ID, []uuid.UUID{c.ID}}, func(a answer) {
		for _, rule := range q.broken(a) {
			r.Violations = append(r.Violations, Violation{Rule: rule, Place: rule.place()})
		}
	})
}

// presences are predicates over c, one per weighted field.
func presences(w completeness.Weights, first int) (sql []string, args []any, err error) {
	for _, x := range w.Fields {
		f, ok := completeness.Find(x.Field)
		if !ok {
			return nil, nil, fmt.Errorf("quality: there is no field %q", x.Field)
		}
		p, values := f.Present().Numbered(first + len(args))
		sql, args = append(sql, "("+p+")"), append(args, values...)
	}
	return sql, args, nil
}

// all are the active rules with the language to ask them in.
func (s *Service) all(ctx context.Context, q postgres.Querier, t tenant.Tenant) ([]Rule, condition.Language, error) {
	rules, err := active(ctx, q, t.ID)
	if err != nil {
		return nil, condition.Language{}, err
	}
	l, err := condition.For(ctx, q, t, s.now())
	return rules, l, err
}

// names are what people call a tenant's own fields.
type names map[string]string

func (s *Service) labels(ctx context.Context, t tenant.Tenant) (names, error) {
	own, err := attribute.Of(ctx, s.db, t.ID, attribute.Customers)
	if err != nil {
		return nil, err
	}
	n := names{}
	for _, d := range own {
		n["attributes."+d.Key] = d.Label
	}
	return n, nil
}

func (n names) of(field string) fault.Text {
	if label, ok := n[field]; ok {
		return fault.T(label, label)
	}
	f, _ := completeness.Find(field)
	return f.Label
}

// Bucket is how many customers have a completeness between two percentages, both included.
type Bucket struct {
	From, To  int
	Customers int64
}

// Age is how current data of one sort is.
type Age struct {
	Stale int64 // customers whose data last changed longer ago than asked
	Never int64 // customers without any
}

// Overview is how good the records of all customers are.
type Overview struct {
	AsOf                        time.Time
	Customers                   int64
	Average                     *float64 // percent; nil without customers
	Buckets                     []Bucket // 0 to 9, 10 to 19, ..., 90 to 99, 100
	Missing                     []Missing
	Violations                  []Violation
	Basic, Behaviour, Financial Age
}

// Overview reports on all customers that are not deleted; data that last changed more than so many days ago is stale.
func (s *Service) Overview(ctx context.Context, t tenant.Tenant, staleDays int) (Overview, error) {
	o := Overview{AsOf: s.now(), Missing: []Missing{}, Violations: []Violation{}}
	if err := s.distribution(ctx, t, &o); err != nil {
		return o, err
	}
	if err := s.missing(ctx, t, &o); err != nil {
		return o, err
	}
	if err := s.violations(ctx, t, &o); err != nil {
		return o, err
	}
	err := s.ages(ctx, t, o.AsOf.AddDate(0, 0, -staleDays), &o)
	return o, err
}

const living = `customers c JOIN customer_metrics m ON m.tenant_id = c.tenant_id AND m.customer_id = c.id
	WHERE c.tenant_id = $1 AND c.deleted_at IS NULL AND c.merged_into IS NULL`

func (s *Service) distribution(ctx context.Context, t tenant.Tenant, o *Overview) error {
	var counts []int64
	err := s.db.QueryRow(ctx, `SELECT count(*), avg(m.completeness)::float8, ARRAY(SELECT count(*) FILTER (WHERE b.of = g.n)
			FROM (SELECT m.completeness / 10 AS of FROM `+living+`) b RIGHT JOIN generate_series(0, 10) g (n) ON b.of = g.n GROUP BY g.n ORDER BY g.n)
		FROM `+living, t.ID).Scan(&o.Customers, &o.Average, &counts)
	if err != nil {
		return fmt.Errorf("count customers by completeness: %w", err)
	}
	for i, n := range counts {
		o.Buckets = append(o.Buckets, Bucket{From: 10 * i, To: min(10*i+9, 100), Customers: n})
	}
	return nil
}

func (s *Service) missing(ctx context.Context, t tenant.Tenant, o *Overview) error {
	weights, err := completeness.Of(ctx, s.db, t.ID)
	if err != nil {
		return err
	}
	labels, err := s.labels(ctx, t)
	if err != nil {
		return err
	}
	for _, w := range weights {
		presence, args, err := presences(w, 3)
		if err != nil {
			return err
		}
		for i, p := range presence {
			presence[i] = "count(*) FILTER (WHERE NOT " + p + ")"
		}
		var counts []int64
		err = s.db.QueryRow(ctx, `SELECT ARRAY[`+strings.Join(presence, ", ")+`] FROM `+living+` AND c.kind = $2`,
			append([]any{t.ID, w.Kind}, args...)...).Scan(&counts)
		if err != nil {
			return fmt.Errorf("count what customers lack: %w", err)
		}
		for i, x := range w.Fields {
			o.Missing = append(o.Missing, Missing{Field: x.Field, Label: labels.of(x.Field), Weight: x.Weight, Kind: w.Kind, Customers: counts[i]})
		}
	}
	return nil
}

func (s *Service) violations(ctx context.Context, t tenant.Tenant, o *Overview) error {
	rules, l, err := s.all(ctx, s.db, t)
	if err != nil || len(rules) == 0 {
		return err
	}
	counts := map[uuid.UUID]int64{}
	q := ask(l, rules)
	err = q.each(ctx, s.db, everybody, []any{t.ID, string(attribute.Customers)}, func(a answer) {
		for _, r := range q.broken(a) {
			counts[r.ID]++
		}
	})
	for _, r := range rules {
		o.Violations = append(o.Violations, Violation{Rule: r, Place: r.place(), Customers: counts[r.ID]})
	}
	return err
}

func (s *Service) ages(ctx context.Context, t tenant.Tenant, before time.Time, o *Overview) error {
	rows, err := s.db.Query(ctx, `SELECT count(*) FILTER (WHERE x.at < $2), count(*) FILTER (WHERE x.at IS NULL)
		FROM (SELECT `+basicAt+` AS basic, `+behaviourAt+` AS behaviour, `+financialAt+` AS financial FROM `+living+`) f
		CROSS JOIN LATERAL (VALUES (1, f.basic), (2, f.behaviour), (3, f.financial)) x (n, at) GROUP BY x.n ORDER BY x.n`, t.ID, before)
	if err != nil {
		return fmt.Errorf("count customers by the age of their data: %w", err)
	}
	ages, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Age])
	if err != nil {
		return fmt.Errorf("count customers by the age of their data: %w", err)
	}
	if len(ages) == 3 {
		o.Basic, o.Behaviour, o.Financial = ages[0], ages[1], ages[2]
	}
	return nil
}
