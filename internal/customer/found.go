package customer

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
)

// Search is the customers that a text finds. They are given as ids, or where they are too many for that, as a condition.
type Search struct {
	Exact  []uuid.UUID // those that the text names as a whole; a list begins with them
	Others []uuid.UUID // the others, when Many is zero
	Many   filter.Expr // else a condition over n, a customer's row of customer_search,
	AtHand filter.Expr // the same as it is quickest for a row that is at hand, and not to be found: by its texts alone,
	Guess  int64       // and about how many there are
	Signs  bool        // Many holds only where a name has other characters than ASCII
	Names  int         // how many names to look at in their order, before the found ones are gathered and sorted
}

// few tells whether the ids of all are known.
func (s *Search) few() bool { return s != nil && s.Many.IsZero() }

// The groups of a list of found customers, in this order.
const (
	exactly = "a"
	partly  = "b"
)

// groups are the parts of a list, each with the way to read it.
func (query Query) groups() []group {
	s := query.Search
	if s == nil {
		return []group{{read: among(filter.Expr{})}}
	}
	rest := group{partly, among(ids(s.Others))}
	if !s.few() {
		rest.read = s.readMany
	}
	return []group{{exactly, among(ids(s.Exact))}, rest}
}

// among reads the customers whose ids source selects, or all.
func among(source filter.Expr) reader {
	return func(ctx context.Context, q postgres.Querier, tenantID int32, query Query, phase string, after page.Key, limit int) ([]row, error) {
		if sql, args := source.Where(); sql != "" && args[0] == noIDs {
			return nil, nil
		}
		return read(ctx, q, tenantID, query, source, phase, after, limit)
	}
}

const noIDs = "{}"

func ids(of []uuid.UUID) filter.Expr { return filter.SQL("unnest(?::uuid[]) f (id)", array(of)) }

// array is the text of a uuid[].
func array(ids []uuid.UUID) string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	return "{" + strings.Join(texts, ",") + "}"
}

// all selects the ids f of everybody found; zero when nothing was searched for.
func (s *Search) all(tenantID int32) filter.Expr {
	switch {
	case s == nil:
		return filter.Expr{}
	case s.few():
		return filter.SQL("unnest(?::uuid[] || ?::uuid[]) f (id)", array(s.Exact), array(s.Others))
	}
	return matching(tenantID, s.Many)
}

// matching selects the ids f of the customers whose names fulfil a condition over n.
func matching(tenantID int32, condition filter.Expr) filter.Expr {
	return filter.Concat(filter.SQL("(SELECT n.customer_id AS id FROM customer_search n WHERE n.tenant_id = ? AND (", tenantID), condition,
		filter.SQL(") OFFSET 0) f")) // by its terms, whatever the planner thinks of the rest
}

// others leaves out those that are found exactly.
func (s *Search) others(condition filter.Expr) filter.Expr {
	if len(s.Exact) == 0 {
		return condition
	}
	return filter.AllOf(condition, filter.SQL("n.customer_id <> ALL (?::uuid[])", array(s.Exact)))
}

// readMany reads a page of customers of whom there are too many to sort. Two ways lead there: to walk the customers in
// the order wanted and look at each one's names, which is quick where the found ones lie anywhere in that order; and to
// gather them all and sort. The planner can't tell which is quicker, since that depends on where they lie, and when it
// walks in vain it walks the whole tenant. So the walk has an end, after which they are gathered.
func (s *Search) readMany(ctx context.Context, q postgres.Querier, tenantID int32, query Query, phase string, after page.Key, limit int) ([]row, error) {
	if err := tune(ctx, q, walking); err != nil {
		return nil, err
	}
	walk := s.walk
	if query.Sort.ByName {
		walk = s.walkNames
	}
	rows, err := walk(ctx, q, tenantID, query, phase, after, limit)
	if err != nil || len(rows) == limit {
		return rows, err
	}
	if err := tune(ctx, q, gathering); err != nil {
		return nil, err
	}
	source := s.others(s.Many)
	if query.Sort.ByName {
		beyond, err := beyond(query.Sort, after)
		if err != nil {
			return nil, err
		}
		source = filter.AllOf(source, beyond)
		rows, err := s.firstNames(ctx, q, tenantID, query, source, limit)
		if err != nil || len(rows) == limit {
			return rows, err
		}
	}
	return read(ctx, q, tenantID, query, matching(tenantID, source), phase, after, limit)
}

// beyond is the condition over n that a name is behind the last one of a page; always true where there was none.
func beyond(by Sort, after page.Key) (filter.Expr, error) {
	if after == nil {
		return filter.SQL("true"), nil
	}
	id, err := uuid.Parse(after[len(after)-1])
	if err != nil || len(after) != 3 {
		return filter.Expr{}, page.ErrCursor
	}
	if by.Down {
		return filter.SQL("(n.name, n.customer_id) < (?, ?)", after[1], id), nil
	}
	return filter.SQL("(n.name, n.customer_id) > (?, ?)", after[1], id), nil
}

// spareNames are gathered beyond a page, for customers that are deleted or that other conditions leave out.
const spareNames = 1000

// firstNames gathers the found ones in the order of names, which stand beside what they are found by: so only the first
// of them are looked up as customers. It may read less than a page where more conditions leave most of them out.
func (s *Search) firstNames(ctx context.Context, q postgres.Querier, tenantID int32, query Query, source filter.Expr, limit int) ([]row, error) {
	direction := ""
	if query.Sort.Down {
		direction = " DESC"
	}
	var w statement
	w.add("SELECT "+columns+", f.k AS sort_key FROM (SELECT n.customer_id AS id, n.name AS k FROM customer_search n WHERE n.tenant_id = ? AND (", tenantID)
	w.expr(source)
	w.add(") ORDER BY n.name"+direction+", n.customer_id"+direction+" LIMIT ?", limit+spareNames)
	w.add(") f CROSS JOIN LATERAL (SELECT * FROM customers c WHERE c.tenant_id = ? AND c.id = f.id LIMIT 1) c", tenantID)
	if query.Metrics {
		w.add(" CROSS JOIN LATERAL (SELECT * FROM customer_metrics m WHERE m.tenant_id = ? AND m.customer_id = f.id LIMIT 1) m", tenantID)
	}
	w.add(" WHERE true")
	w.living(query)
	w.where(query.Where)
	w.add(" ORDER BY f.k"+direction+", f.id"+direction+" LIMIT ?", limit)
	return w.rows(ctx, q, valued)
}

// What the indexes in the order of names hold: those whose texts fit into one, those with other characters than ASCII
// apart from those without; and the long ones.
const (
	withSigns    = `least(octet_length(n.name_text) - char_length(n.name_text), 1) = 1 AND ` + shortNames
	withoutSigns = `least(octet_length(n.name_text) - char_length(n.name_text), 1) = 0 AND ` + shortNames
	shortNames   = `octet_length(n.name) + octet_length(n.name_text) + octet_length(n.pinyin_text) <= 2000`
	longNames    = `octet_length(n.name) + octet_length(n.name_text) + octet_length(n.pinyin_text) > 2000`
)

// walkNames walks the names in their order and looks up those customers who are found by them. The indexes hold all that
// decides, so that passing a name by takes no more than a look.
func (s *Search) walkNames(ctx context.Context, q postgres.Querier, tenantID int32, query Query, _ string, after page.Key, limit int) ([]row, error) {
	from, err := beyond(query.Sort, after)
	if err != nil {
		return nil, err
	}
	direction := ""
	if query.Sort.Down {
		direction = " DESC"
	}
	parts := []string{withSigns, withoutSigns, longNames}
	if s.Signs {
		parts = []string{withSigns, longNames}
	}
	var w statement
	w.add("SELECT " + columns + ", n.name AS sort_key FROM (SELECT * FROM (SELECT * FROM (")
	for i, part := range parts {
		if i > 0 {
			w.add(" UNION ALL ")
		}
		// Each in order by itself, so that they are merged and not sorted.
		w.add("(SELECT n.name, n.customer_id, n.name_text, n.pinyin_text FROM customer_search n WHERE n.tenant_id = ? AND "+part+" AND ", tenantID)
		w.expr(from)
		w.add(" ORDER BY n.name" + direction + ", n.customer_id" + direction + ")")
	}
	order := " ORDER BY n.name" + direction + ", n.customer_id" + direction + " LIMIT ?"
	w.add(") n"+order, s.Names)
	w.add(") n WHERE ")
	w.expr(s.others(s.AtHand))
	w.add(order, limit+spareNames)
	w.add(") n CROSS JOIN LATERAL (SELECT * FROM customers c WHERE c.tenant_id = ? AND c.id = n.customer_id LIMIT 1) c", tenantID)
	if query.Metrics {
		w.add(" CROSS JOIN LATERAL (SELECT * FROM customer_metrics m WHERE m.tenant_id = ? AND m.customer_id = n.customer_id LIMIT 1) m", tenantID)
	}
	w.add(" WHERE true")
	w.living(query)
	w.where(query.Where)
	w.add(order, limit)
	return w.rows(ctx, q, valued)
}

// living are those customers c that a list is of.
func (s *statement) living(query Query) {
	s.add(" AND c.deleted_at IS ")
	if query.Deleted {
		s.add("NOT ")
	}
	s.add("NULL AND c.merged_into IS NULL")
}

// A walk ends after so many customers for each row wanted, within limits.
const (
	stepsPerRow = 300
	leastSteps  = 5_000
	mostSteps   = 30_000
)

func (s *Search) walk(ctx context.Context, q postgres.Querier, tenantID int32, query Query, phase string, after page.Key, limit int) ([]row, error) {
	// The customers in their order, without the condition, which could be a selective one and make the walk long.
	bare := query
	bare.Metrics = false
	var w statement
	w.add("SELECT " + columns)
	if phase == valued {
		w.add(", w.k::text AS sort_key")
	}
	w.add(" FROM (SELECT ")
	if phase == valued {
		w.expr(query.Sort.ID)
		w.add(" AS id, (")
		w.expr(query.Sort.Column)
		w.add(") AS k")
	} else {
		w.add("c.id")
	}
	w.from(tenantID, bare, filter.Expr{}, phase)
	steps := min(max(limit*stepsPerRow, leastSteps), mostSteps)
	if err := w.page(query.Sort, phase, after, steps); err != nil {
		return nil, err
	}
	// A lateral query with a limit stays where it is: one look per customer, in the order of the walk.
	w.add(") w CROSS JOIN LATERAL (SELECT n.customer_id AS id FROM customer_search n WHERE n.tenant_id = ? AND n.customer_id = w.id AND (", tenantID)
	w.expr(s.others(s.AtHand))
	w.add(") LIMIT 1) f CROSS JOIN LATERAL (SELECT * FROM customers c WHERE c.tenant_id = ? AND c.id = f.id LIMIT 1) c", tenantID)
	if query.Metrics {
		w.add(" CROSS JOIN LATERAL (SELECT * FROM customer_metrics m WHERE m.tenant_id = ? AND m.customer_id = f.id LIMIT 1) m", tenantID)
	}
	w.add(" WHERE true")
	w.where(query.Where)
	direction := ""
	if query.Sort.Down {
		direction = " DESC"
	}
	w.add(" ORDER BY ")
	if phase == valued {
		w.add("w.k" + direction + ", ")
	}
	w.add("w.id"+direction+" LIMIT ?", limit)
	return w.rows(ctx, q, phase)
}

// tuning keeps the planner from plans that its estimates make attractive and hashes of names then make slow.
type tuning map[string]string

var (
	looking = tuning{"plan_cache_mode": "force_custom_plan", "enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off",
		"max_parallel_workers_per_gather": "0", "enable_bitmapscan": "on", "enable_sort": "on"}
	walking = tuning{"enable_bitmapscan": "off", "enable_sort": "off"}
	// Gathering a tenth of all names reads most pages of their table: two workers halve that.
	gathering = tuning{"enable_bitmapscan": "on", "enable_sort": "on", "max_parallel_workers_per_gather": "2",
		"parallel_setup_cost": "100", "parallel_tuple_cost": "0"}
)

// To start workers takes as long as counting thousands of customers does: the planner, which expects a tenth of that, takes
// some for every middling count.
const workersPay = "20000"

// Tune prepares a transaction for looking up customers by the terms of their names, and by other keys. Where there is
// one way for all values they are planned once, since planning for hashes of names takes longer than to look for them.
// Of several words the rarest should lead, which only a plan for these very words knows.
func Tune(ctx context.Context, q postgres.Querier, oneWay bool) error {
	if oneWay {
		return tune(ctx, q, looking.with("plan_cache_mode", "force_generic_plan"))
	}
	return tune(ctx, q, looking)
}

func (t tuning) with(name, value string) tuning {
	all := maps.Clone(t)
	if all == nil {
		all = tuning{}
	}
	all[name] = value
	return all
}

// tune holds until the end of the transaction.
func tune(ctx context.Context, q postgres.Querier, t tuning) error {
	var b strings.Builder
	args := make([]any, 0, 2*len(t))
	for _, name := range slices.Sorted(maps.Keys(t)) {
		fmt.Fprintf(&b, ", set_config($%d, $%d, true)", len(args)+1, len(args)+2)
		args = append(args, name, t[name])
	}
	if _, err := q.Exec(ctx, "SELECT "+strings.TrimPrefix(b.String(), ", "), args...); err != nil {
		return fmt.Errorf("prepare a search: %w", err)
	}
	return nil
}
