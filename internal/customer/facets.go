package customer

import (
	"context"
	"fmt"
	"math"

	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Facet is a way to divide customers by a value that they have.
type Facet struct {
	Value filter.Expr // text, over c; or with Join over what it adds
	Label filter.Expr // over what Join adds; zero for none
	Join  filter.Expr // a LEFT JOIN to h, whose id is the customer's
	Many  bool        // whether a customer may have several values
}

// Count is how many customers have a value.
type Count struct {
	Value, Label string // the label is empty where the facet has none
	Customers    int64
}

// Counts are the values of one facet, the most frequent first.
type Counts struct {
	Values  []Count
	Missing int64  // customers without a value
	Other   *int64 // customers of all other values; nil where customers have several
}

// Panel is the counts of several facets.
type Panel struct {
	Facets   []Counts
	Estimate bool // whether they were counted in a sample
}

// The bounds of counting.
const (
	mostValues   = 50      // of one facet
	countedWhole = 100_000 // customers; of more than that a sample is counted,
	sampled      = 40_000  // of about this size
	gathered     = 30_000  // customers that a search finds; of more the sample is searched
)

// Facets counts the customers of a query by facets, in one statement.
func (s *Service) Facets(ctx context.Context, t tenant.Tenant, q Query, facets []Facet) (Panel, error) {
	q.Page, q.Sort = page.Request{}, Sort{}
	var p Panel
	err := s.patiently(ctx, nil, func(tx postgres.Tx) error {
		var err error
		p, err = countFacets(ctx, tx, t.ID, q, facets)
		return err
	})
	return p, err
}

// countable is where to count: all of a query's customers, or a sample where they are too many.
func countable(ctx context.Context, q postgres.Querier, tenantID int32, query Query) (source filter.Expr, percent float64, err error) {
	source, percent = query.Search.all(tenantID), 100
	if query.Search.few() {
		return source, percent, tune(ctx, q, looking)
	}
	if query.Search != nil {
		if query.Search.Guess <= gathered {
			return source, percent, tune(ctx, q, looking)
		}
		query.Where = filter.Expr{} // each customer of the sample is looked at, found or not
	}
	query.Search = nil
	n, err := expected(ctx, q, tenantID, query)
	if n > countedWhole {
		source, percent = filter.Expr{}, 100*sampled/float64(n)
	}
	return source, percent, err
}

func countFacets(ctx context.Context, q postgres.Querier, tenantID int32, query Query, facets []Facet) (Panel, error) {
	source, percent, err := countable(ctx, q, tenantID, query)
	if err != nil {
		return Panel{}, err
	}
	query.sample = percent
	var s statement
	s.add("WITH h AS MATERIALIZED (SELECT c.id")
	for i, f := range facets {
		if f.Join.IsZero() {
			s.add(", (")
			s.expr(f.Value)
			s.add(fmt.Sprintf(") AS f%d", i))
		}
	}
	s.from(tenantID, query, source, "")
	s.where(query.Where)
	if percent < 100 && query.Search != nil {
		s.where(filter.Concat(filter.SQL(`EXISTS (SELECT FROM customer_search n WHERE n.tenant_id = ? AND n.customer_id = c.id AND (`, tenantID),
			query.Search.Many, filter.SQL(") OFFSET 0)")))
	}
	s.add(") SELECT -1 AS facet, NULL AS value, NULL AS label, count(*) AS customers FROM h")
	for i, f := range facets {
		// One more row than values, for the customers without one, who come first.
		if f.Join.IsZero() {
			s.add(fmt.Sprintf(` UNION ALL (SELECT %d, f%d, NULL, count(*) FROM h GROUP BY 2 ORDER BY f%d IS NULL DESC, 4 DESC, 2 LIMIT %d)`,
				i, i, i, mostValues+1))
			continue
		}
		s.add(fmt.Sprintf(" UNION ALL (SELECT facet, value, label, count(*) FROM (SELECT %d AS facet, ", i))
		s.expr(f.Value)
		s.add(" AS value, ")
		s.expr(f.Label)
		s.add(" AS label FROM h ")
		s.expr(f.Join)
		s.add(fmt.Sprintf(") x GROUP BY 1, 2, 3 ORDER BY value IS NULL DESC, 4 DESC, 2 LIMIT %d)", mostValues+1))
	}
	var rows []struct {
		Facet        int
		Value, Label *string
		Customers    int64
	}
	if err := q.Session(ctx).Raw(s.sql.String(), s.args...).Scan(&rows).Error; err != nil {
		return Panel{}, fmt.Errorf("count facets: %w", err)
	}
	p := Panel{Facets: make([]Counts, len(facets)), Estimate: percent < 100}
	scaled := func(n int64) int64 { return int64(math.Round(float64(n) * 100 / percent)) }
	var total int64
	for _, r := range rows {
		switch {
		case r.Facet < 0:
			total = r.Customers
		case r.Value == nil:
			p.Facets[r.Facet].Missing = scaled(r.Customers)
		default:
			c := &p.Facets[r.Facet]
			if len(c.Values) < mostValues {
				c.Values = append(c.Values, Count{*r.Value, postgres.Value(r.Label), scaled(r.Customers)})
			}
		}
	}
	for i, f := range facets {
		if f.Many {
			continue
		}
		other := scaled(total) - p.Facets[i].Missing
		for _, v := range p.Facets[i].Values {
			other -= v.Customers
		}
		other = max(other, 0) // rounding
		p.Facets[i].Other = &other
	}
	return p, nil
}
