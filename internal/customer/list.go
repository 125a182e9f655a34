package customer

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
)

// Query asks for customers.
type Query struct {
	Page    page.Request
	Where   filter.Expr // over c, and m where Metrics is set; zero takes everybody
	Metrics bool        // whether Where needs m, the customer's metrics
	Sort    Sort
	Deleted bool    // the deleted ones instead
	Search  *Search // only those that were found; nil for everybody

	sample float64 // percent of the table's pages to read; 0 and 100 are all
}

// Sort is the order of a list, ended by the id in the same direction so that it is total. Customers without a value
// come last either way.
type Sort struct {
	Column   filter.Expr // over c, m and what Join adds
	Type     string      // SQL type that the column's text is cast back to
	Join     filter.Expr // more to select from: an inner JOIN that leaves customers without a value out; zero for none
	ID       filter.Expr // the customer's id in the table of Column, so that one index serves both
	Metrics  bool        // whether Column needs m
	Nullable bool
	Down     bool
	ByName   bool // customers found by a piece of their names lie together in this order
}

// phase of a list over a nullable sort key: first the customers with a value, then the others by id alone.
const (
	valued    = "v"
	valueless = "n"
)

// list reads a page. Its condition, sort and joins are SQL from source code with bound values.
func list(ctx context.Context, q postgres.Querier, tenantID int32, query Query) (page.Of[Customer], error) {
	limit := query.Page.Limit + 1
	after := query.Page.After
	var rows []row
	for _, g := range query.groups() {
		if after != nil && g.name != "" {
			if after[0] > g.name { // groups are in the order of their names
				continue
			}
			if after[0] != g.name {
				return page.Of[Customer]{}, page.ErrCursor
			}
			after = after[1:]
		}
		part, err := g.list(ctx, q, tenantID, query, after, limit-len(rows))
		if err != nil {
			return page.Of[Customer]{}, err
		}
		for i := range part {
			part[i].Group = g.name
		}
		rows, after = append(rows, part...), nil
		if len(rows) == limit {
			break
		}
	}
	p := page.Cut(rows, query.Page.Limit, row.key, row.customer)
	err := count(ctx, q, tenantID, query, &p)
	return p, err
}

// group is the customers of a list that come before those of the next group, whatever the sort key.
type group struct {
	name string // empty when the list has one group only
	read reader
}

// reader reads rows of one phase.
type reader func(ctx context.Context, q postgres.Querier, tenantID int32, query Query, phase string, after page.Key, limit int) ([]row, error)

func (g group) list(ctx context.Context, q postgres.Querier, tenantID int32, query Query, after page.Key, limit int) ([]row, error) {
	phase := valued
	if len(after) > 0 {
		phase = after[0]
	}
	var rows []row
	if phase == valued {
		part, err := g.read(ctx, q, tenantID, query, valued, after, limit)
		if err != nil {
			return nil, err
		}
		rows, after = part, nil
	}
	if query.Sort.Nullable && len(rows) < limit {
		part, err := g.read(ctx, q, tenantID, query, valueless, after, limit-len(rows))
		if err != nil {
			return nil, err
		}
		rows = append(rows, part...)
	}
	return rows, nil
}

// key is where a page that ends in r ends.
func (r row) key() page.Key {
	var k page.Key
	if r.Group != "" {
		k = page.Key{r.Group}
	}
	if r.SortKey == nil {
		return append(k, valueless, r.ID.String())
	}
	return append(k, valued, *r.SortKey, r.ID.String())
}

// statement is SQL under construction with its bound values in order.
type statement struct {
	sql  strings.Builder
	args []any
}

func (s *statement) add(sql string, args ...any) {
	s.sql.WriteString(sql)
	s.args = append(s.args, args...)
}

func (s *statement) expr(e filter.Expr) {
	sql, args := e.Where()
	s.add(sql, args...)
}

// numbered is the statement with $n in the place of each ?, which is never anything else here.
func (s *statement) numbered() (string, []any) {
	var b strings.Builder
	for i, part := range strings.Split(s.sql.String(), "?") {
		if i > 0 {
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(i))
		}
		b.WriteString(part)
	}
	return b.String(), s.args
}

// read reads from the customers that source selects ids f of, or from all where it is zero.
func read(ctx context.Context, q postgres.Querier, tenantID int32, query Query, source filter.Expr, phase string, after page.Key, limit int) ([]row, error) {
	var s statement
	s.add("SELECT " + columns)
	if phase == valued {
		s.add(", (")
		s.expr(query.Sort.Column)
		s.add(")::text AS sort_key")
	}
	s.from(tenantID, query, source, phase)
	s.where(query.Where)
	if err := s.page(query.Sort, phase, after, limit); err != nil {
		return nil, err
	}
	return s.rows(ctx, q, phase)
}

// rows are what a statement of columns answers, in the phase valued followed by the sort key.
func (s *statement) rows(ctx context.Context, q postgres.Querier, phase string) ([]row, error) {
	sql, args := s.numbered()
	// Planned for the values of this call, as postgres.Replanned says.
	found, err := q.Query(ctx, sql, append([]any{pgx.QueryExecModeCacheDescribe}, args...)...)
	if err != nil {
		return nil, fmt.Errorf("list customers: %w", err)
	}
	rows, err := pgx.CollectRows(found, func(one pgx.CollectableRow) (row, error) {
		var r row
		targets := r.targets()
		if phase == valued {
			targets = append(targets, &r.SortKey)
		}
		return r, one.Scan(targets...)
	})
	if err != nil {
		return nil, fmt.Errorf("list customers: %w", err)
	}
	return rows, nil
}

// page writes where a page begins, its order and its end.
func (s *statement) page(by Sort, phase string, after page.Key, limit int) error {
	direction, beyond := "ASC", ">"
	if by.Down {
		direction, beyond = "DESC", "<"
	}
	if after != nil {
		id, err := uuid.Parse(after[len(after)-1])
		if err != nil || (phase == valued) != (len(after) == 3) {
			return page.ErrCursor
		}
		if phase == valued {
			s.add(" AND (")
			s.expr(by.Column)
			s.add(", ")
			s.expr(by.ID)
			s.add(") "+beyond+" (?::"+by.Type+", ?)", after[1], id)
		} else {
			s.add(" AND c.id "+beyond+" ?", id)
		}
	}
	s.add(" ORDER BY ")
	if phase == valued {
		s.expr(by.Column)
		s.add(" " + direction + ", ")
		s.expr(by.ID)
	} else {
		s.add("c.id")
	}
	s.add(" "+direction+" LIMIT ?", limit)
	return nil
}

// from writes FROM and WHERE of one phase; an empty phase is all customers, for counting.
func (s *statement) from(tenantID int32, query Query, source filter.Expr, phase string) {
	customers := "customers c"
	if query.sample > 0 && query.sample < 100 {
		customers += fmt.Sprintf(" TABLESAMPLE SYSTEM (%f) REPEATABLE (0)", query.sample)
	}
	s.add(" FROM ")
	if source.IsZero() {
		s.add(customers)
	} else {
		s.expr(source)
		s.add(" JOIN "+customers+" ON c.tenant_id = ? AND c.id = f.id", tenantID)
	}
	if query.Metrics || (query.Sort.Metrics && phase != "") {
		s.add(" JOIN customer_metrics m ON m.tenant_id = c.tenant_id AND m.customer_id = c.id")
	}
	joined := !query.Sort.Join.IsZero()
	switch {
	case joined && phase == valued:
		s.add(" JOIN ")
		s.expr(query.Sort.Join)
	case joined && phase == valueless:
		s.add(" LEFT JOIN ")
		s.expr(query.Sort.Join)
	}
	s.add(" WHERE c.tenant_id = ?", tenantID)
	s.living(query)
	switch {
	case phase == valued && query.Sort.Nullable && !joined:
		s.add(" AND ")
		s.expr(query.Sort.Column)
		s.add(" IS NOT NULL")
	case phase == valueless:
		s.add(" AND ")
		s.expr(query.Sort.Column)
		s.add(" IS NULL")
	}
}

func (s *statement) where(e filter.Expr) {
	if !e.IsZero() {
		s.add(" AND (")
		s.expr(e)
		s.add(")")
	}
}

// count fills the total of a page when it was asked for.
func count(ctx context.Context, q postgres.Querier, tenantID int32, query Query, p *page.Of[Customer]) error {
	var s statement
	mode := query.Page.Total
	if mode == page.TotalEstimate && query.Search.few() && len(query.Search.Exact)+len(query.Search.Others) <= countedAnyway {
		mode = page.TotalExact // costs as little
	}
	if counted := mode == page.TotalExact || mode == page.TotalEstimate; counted && query.Page.After == nil && p.Next == nil {
		n := int64(len(p.Items)) // the page is all
		p.Total, p.Estimate = &n, mode == page.TotalEstimate
		return nil
	}
	switch mode {
	case page.TotalExact:
		s.add("SELECT count(*)")
		s.from(tenantID, query, query.Search.all(tenantID), "")
		s.where(query.Where)
		var n int64
		if err := postgres.Replanned(q.Session(ctx)).Raw(s.sql.String(), s.args...).Scan(&n).Error; err != nil {
			return fmt.Errorf("count customers: %w", err)
		}
		p.Total = &n
	case page.TotalEstimate:
		n, err := expected(ctx, q, tenantID, query)
		if err != nil {
			return err
		}
		p.Total, p.Estimate = &n, true
	}
	return nil
}

// countedAnyway is how many found customers are counted where an estimate would do.
const countedAnyway = 1000

// expected is about how many customers a query has. Found ones are guessed by their names, since the planner knows
// nothing of hashes: it takes those that always come together for a rare coincidence.
func expected(ctx context.Context, q postgres.Querier, tenantID int32, query Query) (int64, error) {
	explain := func(where filter.Expr) (int64, error) {
		var s statement
		s.add("EXPLAIN (FORMAT JSON) SELECT 1")
		s.from(tenantID, query, filter.Expr{}, "")
		s.where(where)
		return estimate(ctx, q, &s)
	}
	n, err := explain(query.Where)
	if query.Search == nil || err != nil {
		return n, err
	}
	found := query.Search.Guess
	if query.Search.few() {
		found = int64(len(query.Search.Exact) + len(query.Search.Others))
	}
	if query.Where.IsZero() && !query.Deleted {
		return found, nil
	}
	all, err := explain(filter.Expr{})
	return int64(float64(found) * min(1, float64(n)/float64(max(all, 1)))), err
}

// estimate is how many rows the planner expects of a statement, an EXPLAIN.
func estimate(ctx context.Context, q postgres.Querier, s *statement) (int64, error) {
	var raw string
	if err := q.Session(ctx).Raw(s.sql.String(), s.args...).Row().Scan(&raw); err != nil {
		return 0, fmt.Errorf("estimate customers: %w", err)
	}
	var plan []struct {
		Plan struct {
			Rows float64 `json:"Plan Rows"`
		}
	}
	if err := json.Unmarshal([]byte(raw), &plan); err != nil || len(plan) != 1 {
		return 0, fmt.Errorf("read the estimate of customers: %w", err)
	}
	return int64(plan[0].Plan.Rows), nil
}

// Sorts are the customer's own fields that a list can be sorted by: each has an index, for no depth may cost a sort.
// More would make every write dearer for what a condition finds as well.
func Sorts() map[string]Sort {
	id := filter.SQL("c.id")
	always := func(column filter.Expr, sqlType string) Sort { return Sort{Column: column, ID: id, Type: sqlType} }
	some := func(column filter.Expr, sqlType string) Sort {
		return Sort{Column: column, ID: id, Type: sqlType, Nullable: true}
	}
	name := always(filter.SQL("c.name"), "text")
	name.ByName = true
	return map[string]Sort{
		"created_at":       always(filter.SQL("c.created_at"), "timestamptz"),
		"updated_at":       always(filter.SQL("c.updated_at"), "timestamptz"),
		"name":             name,
		"stage":            always(filter.SQL("c.stage"), "text"),
		"city":             some(filter.SQL("c.city"), "text"),
		"owner":            some(filter.SQL("c.owner"), "text"),
		"next_birthday_on": some(filter.SQL("c.next_birthday_on"), "date"),
		"employees":        some(filter.SQL("c.employees"), "integer"),
		"annual_revenue":   some(filter.SQL("c.annual_revenue"), "bigint"),
		"registered_on":    some(filter.SQL("c.registered_on"), "date"),
	}
}

// ParseSort reads a sort parameter by the fields that it may name.
func ParseSort(text string, fields map[string]Sort, names []string) (Sort, error) {
	name, down := strings.CutPrefix(text, "-")
	s, ok := fields[name]
	if !ok {
		return Sort{}, ErrSortUnknown.AtParameter("sort", "sort_unknown", ErrSortUnknown.Message, slices.Sorted(slices.Values(names))...)
	}
	s.Down = down
	return s, nil
}
