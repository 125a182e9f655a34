package rule

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// program is the rules of one tenant, compiled. It is good for one version of the rules and one local day.
type program struct {
	version uuid.UUID
	tenant  int64 // version of the tenant: its zone and currency are part of what conditions mean
	day     tenant.Day
	levels  [][]judged // a rule that reads what others decide stands on a later level than they

	mutex sync.Mutex
	plans map[string]*plan
}

// same reports whether both decide alike.
func (p *program) same(other *program) bool {
	return p.version == other.version && p.tenant == other.tenant && p.day == other.day
}

// judged is a rule and whose it is.
type judged struct {
	Rule
	subject int // of the engine's subjects
}

// programs keeps the latest program of each tenant. It is only ever a copy of what the database says: one that a
// transaction compiled from changes of its own bears a version that is never seen again when they are taken back.
type programs struct {
	mutex sync.Mutex
	of    map[int32]*program
}

func (p *programs) get(id int32) *program {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.of[id]
}

func (p *programs) put(id int32, prog *program) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.of[id] = prog
}

// compile reads the rules of all subjects.
func (e *Engine) compile(ctx context.Context, q postgres.Querier, t tenant.Tenant) ([]judged, error) {
	language, err := condition.ForLater(ctx, q, t, e.now())
	if err != nil {
		return nil, err
	}
	language.Env.Facts = filter.Each
	return e.rules(ctx, q, t, language)
}

func (e *Engine) rules(ctx context.Context, q postgres.Querier, t tenant.Tenant, language condition.Language) ([]judged, error) {
	var all []judged
	for i, s := range e.subjects {
		rules, err := s.Rules(ctx, q, t, language)
		if err != nil {
			return nil, fmt.Errorf("compile the rules of %s: %w", s.Name(), err)
		}
		for _, r := range rules {
			all = append(all, judged{r, i})
		}
	}
	return all, nil
}

// program is what decides about t's customers today; version is that of the rules, read under the lock.
func (e *Engine) program(ctx context.Context, q postgres.Querier, t tenant.Tenant, version uuid.UUID) (*program, error) {
	today := t.Today(e.now())
	if p := e.programs.get(t.ID); p != nil && p.version == version && p.tenant == t.Version && p.day == today {
		return p, nil
	}
	rules, err := e.compile(ctx, q, t)
	if err != nil {
		return nil, err
	}
	p := &program{version: version, tenant: t.Version, day: today, plans: map[string]*plan{}}
	if p.levels, err = levelled(rules); err != nil {
		return nil, err
	}
	e.programs.put(t.ID, p)
	return p, nil
}

// levelled puts rules on levels. Fails with ErrCycle naming the way from a rule to itself.
func levelled(rules []judged) ([][]judged, error) {
	of := map[string]int{}
	for i, r := range rules {
		for _, p := range r.parts() {
			of[p.Field] = i
		}
	}
	const walking = -1
	level := make(map[int]int, len(rules))
	var path []string // the fields by which one rule led to the next
	var on []int      // these rules
	var walk func(i int, field string) (int, error)
	walk = func(i int, field string) (int, error) {
		if l, ok := level[i]; ok {
			if l == walking {
				return 0, cycle(append(slices.Clone(path[slices.Index(on, i):]), field))
			}
			return l, nil
		}
		level[i] = walking
		path, on = append(path, field), append(on, i)
		deepest := 0
		for _, name := range rules[i].Reads {
			j, ok := of[name]
			if !ok {
				continue
			}
			below, err := walk(j, name)
			if err != nil {
				return 0, err
			}
			deepest = max(deepest, below+1)
		}
		path, on = path[:len(path)-1], on[:len(on)-1]
		level[i] = deepest
		return deepest, nil
	}
	var levels [][]judged
	for i, r := range rules {
		l, err := walk(i, r.Field)
		if err != nil {
			return nil, err
		}
		for len(levels) <= l {
			levels = append(levels, nil)
		}
		levels[l] = append(levels[l], r)
	}
	return levels, nil
}

func cycle(path []string) error {
	way := strings.Join(path, " → ")
	text := fault.T("the condition would depend on itself: "+way, "该条件会循环依赖自身："+way)
	return ErrCycle.Because(text.En, text.Zh).At("/filter", ErrCycle.Code, text)
}

// plan is one statement that puts rules to customers and writes what they decide. Its text depends on nothing else, so
// that the database plans it once for many writes.
type plan struct {
	sql  string
	args []any // Value and filter.Now stand for what differs from call to call
}

// plan is the statement for some of the rules; liked are the fields whose leaves count as what decided. For one customer it
// tells of each change; otherwise they are added up and noted as touched.
func (e *Engine) plan(p *program, rules []judged, liked set, m moment) (*plan, error) {
	var key strings.Builder
	relative := m.cause == NewDay
	fmt.Fprintf(&key, "%t %t %t %v", relative, m.one, m.given != nil, liked)
	for _, r := range rules {
		key.Write(r.ID[:])
		key.WriteByte(byte(r.subject))
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if found, ok := p.plans[key.String()]; ok {
		return found, nil
	}
	made, err := e.statement(rules, func(l filter.Leaf) bool {
		if relative {
			return condition.Relative(l)
		}
		return liked.any(condition.LeafReads(l))
	}, m.one, m.given != nil)
	if err != nil {
		return nil, err
	}
	if len(p.plans) >= maxPlans {
		clear(p.plans)
	}
	p.plans[key.String()] = made
	return made, nil
}

// maxPlans is more than the ways in which ordinary writes select rules.
const maxPlans = 100

func (e *Engine) statement(rules []judged, prefer func(filter.Leaf) bool, one, given bool) (*plan, error) {
	decided, from := customerByCustomer()
	if given {
		decided, from = asGiven()
	}
	sql := []filter.Expr{filter.SQL(`WITH judged AS MATERIALIZED (SELECT c.id AS customer_id, g.gone`)}
	var writes, changed []filter.Expr
	for i, rules := range e.bySubject(rules) {
		if len(rules) == 0 {
			continue
		}
		s := e.subjects[i]
		name, err := nameOf(s)
		if err != nil {
			return nil, err
		}
		sql = append(sql, filter.SQL(`, `), decided(i, rules), filter.SQL(` AS `), name)
		writes = append(writes, filter.SQL(`, `), s.Write(rules, prefer))
		if len(changed) > 0 {
			changed = append(changed, filter.SQL(` UNION ALL `))
		}
		of := filter.SQL(`SELECT customer_id, field FROM `)
		if one {
			of = filter.SQL(`SELECT customer_id, field, previous FROM `)
		}
		changed = append(changed, of, name, filter.SQL(`_changed`))
	}
	sql = append(append(sql, from, filter.Concat(sql...).Gathered(), filter.SQL(`)`)), writes...)
	sql = append(sql, filter.SQL(`, changed AS MATERIALIZED (`))
	sql = append(sql, changed...)
	sql = append(sql, filter.SQL(`)`))
	if one {
		sql = append(sql, filter.SQL(` SELECT customer_id, field, previous FROM changed ORDER BY field`))
	} else {
		sql = append(sql, filter.SQL(`, touched AS (INSERT INTO change_set_items (tenant_id, change_set_id, customer_id)
				SELECT ?::integer, ?::uuid, customer_id FROM changed ON CONFLICT DO NOTHING)
			SELECT (SELECT count(*) FROM changed), ARRAY(SELECT customer_id FROM changed GROUP BY 1), ARRAY(SELECT field FROM changed GROUP BY 1)`,
			Tenant, ChangeSet))
	}
	text, args := filter.Concat(sql...).Numbered(1)
	return &plan{text, args}, nil
}

// customerByCustomer is how a statement comes to its customers and to what a subject's rules decide about each. They are
// looked up one by one (LIMIT, which the planner leaves as it is): while the table is small it would rather read all of it
// and compare each with the whole list.
func customerByCustomer() (decided func(subject int, rules []Rule) filter.Expr, from filter.Expr) {
	return func(_ int, rules []Rule) filter.Expr { return decisions(rules, filter.SQL(`g.gone`)) },
		filter.SQL(` FROM unnest(?::uuid[]) x (id)
		CROSS JOIN LATERAL (SELECT * FROM customers c WHERE c.tenant_id = ?::integer AND c.id = x.id LIMIT 1) c
		CROSS JOIN LATERAL (SELECT * FROM customer_metrics m WHERE m.tenant_id = c.tenant_id AND m.customer_id = c.id LIMIT 1) m
		CROSS JOIN LATERAL (SELECT c.deleted_at IS NOT NULL OR c.merged_into IS NOT NULL AS gone OFFSET 0) g`, Customers, Tenant)
}

// decisions is what rules decide about the customer c, as an array.
func decisions(rules []Rule, gone filter.Expr) filter.Expr {
	all := []filter.Expr{filter.SQL(`CASE WHEN `), gone, filter.SQL(` THEN array_fill(0, ARRAY[?::integer]) ELSE ARRAY[`, len(rules))}
	for n, r := range rules {
		if n > 0 {
			all = append(all, filter.SQL(`,`))
		}
		all = append(all, filter.SQL(`(`), r.Decide, filter.SQL(`)`))
	}
	return filter.Concat(append(all, filter.SQL(`]::integer[] END`))...)
}

// bySubject are rules as the subjects take them, in the order of the engine's subjects.
func (e *Engine) bySubject(rules []judged) [][]Rule {
	all := make([][]Rule, len(e.subjects))
	for _, r := range rules {
		all[r.subject] = append(all[r.subject], r.Rule)
	}
	return all
}

// nameOf is a subject's name as SQL.
func nameOf(s Subject) (filter.Expr, error) {
	switch s.Name() {
	case "segment":
		return filter.SQL(`segment`), nil
	case "tag":
		return filter.SQL(`tag`), nil
	case "tier":
		return filter.SQL(`tier`), nil
	}
	return filter.Expr{}, fmt.Errorf("the engine does not know the subject %s", s.Name())
}

// outcome is what a statement changed.
type outcome struct {
	changes   int64
	customers []uuid.UUID
	fields    []string
	previous  map[string]any // of a single customer
}

func (o *outcome) add(more outcome) {
	o.changes += more.changes
	o.customers, o.fields = append(o.customers, more.customers...), append(o.fields, more.fields...)
	if o.previous == nil {
		o.previous = map[string]any{}
	}
	maps.Copy(o.previous, more.previous)
}

// values are what the plan is executed with.
func (p *plan) values(m moment, call tenant.Call) []any {
	values := make([]any, len(p.args))
	for i, a := range p.args {
		values[i] = m.of(a, call)
	}
	return values
}

// run executes the plan for locked customers.
func (p *plan) run(ctx context.Context, tx postgres.Tx, call tenant.Call, m moment) (outcome, error) {
	args := p.values(m, call)
	if !m.one {
		var o outcome
		if err := tx.QueryRow(ctx, p.sql, args...).Scan(&o.changes, &o.customers, &o.fields); err != nil {
			return outcome{}, fmt.Errorf("evaluate rules: %w", err)
		}
		return o, nil
	}
	rows, err := tx.Query(ctx, p.sql, args...)
	if err != nil {
		return outcome{}, fmt.Errorf("evaluate rules: %w", err)
	}
	defer rows.Close()
	o := outcome{previous: map[string]any{}}
	for rows.Next() {
		var id uuid.UUID
		var field string
		var previous json.RawMessage
		if err := rows.Scan(&id, &field, &previous); err != nil {
			return outcome{}, fmt.Errorf("evaluate rules: %w", err)
		}
		o.changes++
		o.customers, o.fields = []uuid.UUID{id}, append(o.fields, field)
		o.previous[field] = previous
	}
	if err := rows.Err(); err != nil {
		return outcome{}, fmt.Errorf("evaluate rules: %w", err)
	}
	return o, nil
}
