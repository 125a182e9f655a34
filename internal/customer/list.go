package customer

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

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
	Deleted bool // the deleted ones instead
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
}

// phase of a list over a nullable sort key: first the customers with a value, then the others by id alone.
const (
	valued    = "v"
	valueless = "n"
)

// list reads a page. Its condition, sort and joins are SQL from source code with bound values.
func list(ctx context.Context, q postgres.Querier, tenantID int32, query Query) (page.Of[Customer], error) {
	limit := query.Page.Limit + 1
	phase := valued
	after := query.Page.After
	if after != nil {
		phase = after[0]
	}
	var rows []row
	if phase == valued {
		part, err := read(ctx, q, tenantID, query, valued, after, limit)
		if err != nil {
			return page.Of[Customer]{}, err
		}
		rows = part
		after = nil
	}
	if query.Sort.Nullable && len(rows) < limit {
		part, err := read(ctx, q, tenantID, query, valueless, after, limit-len(rows))
		if err != nil {
			return page.Of[Customer]{}, err
		}
		rows = append(rows, part...)
	}
	p := page.Cut(rows, query.Page.Limit, row.key, row.customer)
	err := count(ctx, q, tenantID, query, &p)
	return p, err
}

// key is where a page that ends in r ends.
func (r row) key() page.Key {
	if r.SortKey == nil {
		return page.Key{valueless, r.ID.String()}
	}
	return page.Key{valued, *r.SortKey, r.ID.String()}
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

func read(ctx context.Context, q postgres.Querier, tenantID int32, query Query, phase string, after page.Key, limit int) ([]row, error) {
	direction, beyond := "ASC", ">"
	if query.Sort.Down {
		direction, beyond = "DESC", "<"
	}
	var s statement
	s.add("SELECT " + columns)
	if phase == valued {
		s.add(", (")
		s.expr(query.Sort.Column)
		s.add(")::text AS sort_key")
	}
	from(&s, tenantID, query, phase)
	if after != nil {
		id, err := uuid.Parse(after[len(after)-1])
		if err != nil || (phase == valued) != (len(after) == 3) {
			return nil, page.ErrCursor
		}
		if phase == valued {
			s.add(" AND (")
			s.expr(query.Sort.Column)
			s.add(", ")
			s.expr(query.Sort.ID)
			s.add(") "+beyond+" (?::"+query.Sort.Type+", ?)", after[1], id)
		} else {
			s.add(" AND c.id "+beyond+" ?", id)
		}
	}
	s.add(" ORDER BY ")
	if phase == valued {
		s.expr(query.Sort.Column)
		s.add(" " + direction + ", ")
		s.expr(query.Sort.ID)
	} else {
		s.add("c.id")
	}
	s.add(" "+direction+" LIMIT ?", limit)
	var rows []row
	if err := postgres.Replanned(q.Session(ctx)).Raw(s.sql.String(), s.args...).Scan(&rows).Error; err != nil {
		return nil, fmt.Errorf("list customers: %w", err)
	}
	return rows, nil
}

// from writes FROM and WHERE of one phase; an empty phase is all customers, for counting.
func from(s *statement, tenantID int32, query Query, phase string) {
	s.add(" FROM customers c")
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
	s.add(" WHERE c.tenant_id = ? AND c.deleted_at IS ", tenantID)
	if query.Deleted {
		s.add("NOT ")
	}
	s.add("NULL AND c.merged_into IS NULL")
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
	if !query.Where.IsZero() {
		s.add(" AND (")
		s.expr(query.Where)
		s.add(")")
	}
}

// count fills the total of a page when it was asked for.
func count(ctx context.Context, q postgres.Querier, tenantID int32, query Query, p *page.Of[Customer]) error {
	var s statement
	switch query.Page.Total {
	case page.TotalExact:
		s.add("SELECT count(*)")
		from(&s, tenantID, query, "")
		var n int64
		if err := postgres.Replanned(q.Session(ctx)).Raw(s.sql.String(), s.args...).Scan(&n).Error; err != nil {
			return fmt.Errorf("count customers: %w", err)
		}
		p.Total = &n
	case page.TotalEstimate:
		s.add("EXPLAIN (FORMAT JSON) SELECT 1")
		from(&s, tenantID, query, "")
		var raw string
		if err := postgres.Replanned(q.Session(ctx)).Raw(s.sql.String(), s.args...).Row().Scan(&raw); err != nil {
			return fmt.Errorf("estimate customers: %w", err)
		}
		var plan []struct {
			Plan struct {
				Rows float64 `json:"Plan Rows"`
			}
		}
		if err := json.Unmarshal([]byte(raw), &plan); err != nil || len(plan) != 1 {
			return fmt.Errorf("read the estimate of customers: %w", err)
		}
		n := int64(plan[0].Plan.Rows)
		// The planner never says 0; on the only page the truth is at hand.
		if query.Page.After == nil && p.Next == nil {
			n = int64(len(p.Items))
		}
		p.Total, p.Estimate = &n, true
	}
	return nil
}

// Sorts are the customer's own fields that a list can be sorted by.
func Sorts() map[string]Sort {
	id := filter.SQL("c.id")
	return map[string]Sort{
		"created_at": {Column: filter.SQL("c.created_at"), ID: id, Type: "timestamptz"},
		"updated_at": {Column: filter.SQL("c.updated_at"), ID: id, Type: "timestamptz"},
		"name":       {Column: filter.SQL("c.name"), ID: id, Type: "text"},
		"city":       {Column: filter.SQL("c.city"), ID: id, Type: "text", Nullable: true},
		"owner":      {Column: filter.SQL("c.owner"), ID: id, Type: "text", Nullable: true},
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
