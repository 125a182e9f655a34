package rule

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// lockClass is the first key of the advisory lock that kezi_rules shares; the second one is the tenant's id.
const lockClass = 1803252336

// Engine evaluates the rules of all subjects.
type Engine struct {
	db       *postgres.DB
	jobs     *jobs.Service
	tenants  *tenant.Service
	now      func() time.Time
	subjects []Subject // an order that decides nothing
	runs     Runs
	programs programs
}

// NewEngine makes an engine without subjects, and the handler of its jobs.
func NewEngine(db *postgres.DB, work *jobs.Service, tenants *tenant.Service, now func() time.Time) *Engine {
	e := &Engine{db: db, jobs: work, tenants: tenants, now: now, programs: programs{of: map[int32]*program{}}}
	work.Handle(jobKind, e.Work)
	return e
}

// Add makes the engine apply a subject's rules. It is for the wiring of the program, before the first transaction.
func (e *Engine) Add(s Subject) { e.subjects = append(e.subjects, s) }

// touched is what a transaction did, as its notes tell.
type touched struct {
	call      tenant.Call
	customers map[uuid.UUID]bool
	changed   set
	means     set
	event     string // the one type of event that led here
}

func read(notes []any) (touched, error) {
	t := touched{customers: map[uuid.UUID]bool{}, changed: set{}, means: set{}}
	sets, told, said := false, set{}, false
	types := set{}
	for _, n := range notes {
		n, ok := n.(event.Noted)
		if !ok {
			continue
		}
		if t.call.Tenant.ID != 0 && t.call.Tenant.ID != n.Call.Tenant.ID {
			return touched{}, errors.New("a transaction changed customers of two tenants")
		}
		if t.call.Tenant.Zone == nil {
			t.call = n.Call
		}
		t.means.add(n.Means...)
		for _, id := range n.Customers {
			t.customers[id] = true
		}
		switch {
		case len(n.Customers) == 0:
			t.means.add(meaningOf(n.Type)...)
			if families, ok := setChanges[n.Type]; ok {
				said = true
				told.add(families...)
				types.add(n.Type)
			}
		case n.Type == "":
			sets = true
		default:
			t.changed.add(changedBy(n.Type)...)
			types.add(n.Type)
		}
	}
	if sets && !said {
		told.add(everything)
	}
	if sets {
		maps.Copy(t.changed, told)
	}
	if len(types) == 1 {
		for name := range types {
			t.event = name
		}
	}
	return t, nil
}

// Settle is the [postgres.Settler] that makes the rules true again of every customer that a transaction touched.
func (e *Engine) Settle(ctx context.Context, tx postgres.Tx, notes []any) error {
	t, err := read(notes)
	if err != nil {
		return err
	}
	if len(t.means) > 0 {
		if err := e.meant(ctx, tx, t.call, t.means); err != nil {
			return err
		}
	}
	if len(t.customers) == 0 || len(t.changed) == 0 {
		return nil
	}
	m := moment{cause: Write, event: t.event, now: e.now(), customers: sorted(t.customers), one: len(t.customers) == 1}
	o, call, err := e.judge(ctx, tx, t.call, m, t.changed, func(r judged) bool { return t.changed.any(r.Reads) })
	if err != nil || o.changes == 0 {
		return err
	}
	ev := event.Event{Type: "customers.classified", SubjectType: "change_set", SubjectID: call.ChangeSet.String(), Changed: o.fields}
	if m.one {
		id := m.customers[0]
		ev = event.Event{Type: "customer.classified", SubjectType: "customer", SubjectID: id.String(), CustomerID: &id,
			Changed: o.fields, Previous: o.previous}
	}
	if err := event.Record(ctx, tx, call, m.now, ev); err != nil || m.one {
		return err
	}
	tx.Note(event.Noted{Call: call, Type: ev.Type, Changed: o.fields, Customers: m.customers})
	return nil
}

// moment is what differs from one execution of a plan to the next.
type moment struct {
	cause     Cause
	event     string
	now       time.Time
	customers []uuid.UUID
	one       bool
	held      bool      // whether the customers are locked for certain
	after     uuid.UUID // in place of customers: all with higher ids
	given     *given    // what was decided about them, when that is known
}

func (m moment) of(arg any, call tenant.Call) any {
	switch arg := arg.(type) {
	case filter.Now:
		return m.now
	case decidedBy:
		return m.given.decided[arg]
	case Value:
		switch arg {
		case Tenant:
			return call.Tenant.ID
		case Customers:
			return m.customers
		case Actor:
			return call.Actor
		case ChangeSet:
			return call.ChangeSet
		case Because:
			return string(m.cause)
		case Event:
			return m.event
		case gone:
			return m.given.gone
		case after:
			return m.after
		}
	}
	return arg
}

// inForce is the program by which a transaction may judge customers until it ends, and the call with its tenant; nil when
// there are no rules. It locks the customers.
func (e *Engine) inForce(ctx context.Context, tx postgres.Tx, call tenant.Call, lock []uuid.UUID) (*program, tenant.Call, error) {
	var version *uuid.UUID
	if err := tx.QueryRow(ctx, `SELECT kezi_rules($1, $2)`, call.Tenant.ID, lock).Scan(&version); err != nil {
		return nil, call, fmt.Errorf("keep the rules as they are: %w", err)
	}
	if version == nil {
		return nil, call, nil
	}
	if call.Tenant.Zone == nil { // housekeeping knows its tenants by number
		var err error
		if call.Tenant, err = e.tenants.ByID(ctx, call.Tenant.ID); err != nil {
			return nil, call, err
		}
	}
	p, err := e.program(ctx, tx, call.Tenant, *version)
	return p, call, err
}

// judge evaluates the rules that want selects for m's customers, level by level: a rule that reads what others have just
// decided anew is evaluated too. It answers everything that changed, and the call with its tenant.
func (e *Engine) judge(ctx context.Context, tx postgres.Tx, call tenant.Call, m moment, changed set, want func(judged) bool) (outcome, tenant.Call, error) {
	lock := m.customers
	if m.held {
		lock = []uuid.UUID{}
	}
	p, call, err := e.inForce(ctx, tx, call, lock)
	if p == nil || err != nil {
		return outcome{}, call, err
	}
	all := outcome{previous: map[string]any{}}
	err = e.walk(ctx, tx, call, p, 0, m, changed, want, &all)
	return all, call, err
}

// walk evaluates from a level on. What all says already was decided before.
func (e *Engine) walk(ctx context.Context, tx postgres.Tx, call tenant.Call, p *program, from int, m moment, changed set, want func(judged) bool, all *outcome) error {
	everybody, moved, decided := m.customers, map[uuid.UUID]bool{}, set{}
	note := func(o outcome) {
		decided.add(o.fields...)
		for _, id := range o.customers {
			moved[id] = true
		}
	}
	note(*all)
	for _, level := range p.levels[from:] {
		var rules []judged
		wanted := false
		for _, r := range level {
			asked := want(r)
			wanted = wanted || asked
			if asked || len(decided) > 0 && decided.any(r.Reads) {
				rules = append(rules, r)
			}
		}
		if len(rules) == 0 {
			continue
		}
		m.customers = everybody
		if !wanted {
			m.customers = sorted(moved)
		}
		liked := maps.Clone(decided)
		maps.Copy(liked, changed)
		stmt, err := e.plan(p, rules, liked, m)
		if err != nil {
			return err
		}
		o, err := stmt.run(ctx, tx, call, m)
		if err != nil {
			return err
		}
		all.add(o)
		note(o)
	}
	slices.Sort(all.fields)
	all.fields = slices.Compact(all.fields)
	return nil
}

// Changed is told in the transaction that changes a subject's rule, or makes or deletes one, after the change: writers wait
// for its commit and then judge by the rules as they are. It starts the job that evaluates the rule for everybody, unless
// the rule is gone. Fails with ErrCycle.
func (e *Engine) Changed(ctx context.Context, tx postgres.Tx, call tenant.Call, subject string, rule uuid.UUID, gone bool) (*jobs.Job, error) {
	if err := e.flip(ctx, tx, call.Tenant); err != nil || gone {
		return nil, err
	}
	rules, err := e.compile(ctx, tx, call.Tenant)
	if err != nil {
		return nil, err
	}
	if err := e.acyclic(ctx, tx, call.Tenant, rules); err != nil {
		return nil, err
	}
	job, err := e.jobs.Start(ctx, tx, call, jobs.Spec{Kind: jobKind, SubjectType: subject, SubjectID: rule.String()})
	return &job, err
}

// ChangedFields is Changed for several rules, by fields that they read: one job evaluates them all. Fails with ErrCycle.
func (e *Engine) ChangedFields(ctx context.Context, tx postgres.Tx, call tenant.Call, fields ...string) (*jobs.Job, error) {
	if err := e.flip(ctx, tx, call.Tenant); err != nil {
		return nil, err
	}
	rules, err := e.compile(ctx, tx, call.Tenant)
	if err != nil {
		return nil, err
	}
	if err := e.acyclic(ctx, tx, call.Tenant, rules); err != nil {
		return nil, err
	}
	return e.follow(ctx, tx, call, rules, fields)
}

// acyclic fails with ErrCycle when a rule depends on itself, by other rules or by scores.
func (e *Engine) acyclic(ctx context.Context, q postgres.Querier, t tenant.Tenant, rules []judged) error {
	if _, err := levelled(rules); err != nil {
		return err
	}
	edges, err := condition.Edges(ctx, q, t.ID)
	if err != nil {
		return err
	}
	for name := range edges {
		if condition.Family(name) != condition.Scores {
			continue
		}
		if path := condition.Circle(edges, name); path != nil {
			return cycle(path)
		}
	}
	return nil
}

// follow starts the job that evaluates the rules that read one of the fields, if there are any.
func (e *Engine) follow(ctx context.Context, tx postgres.Tx, call tenant.Call, rules []judged, fields []string) (*jobs.Job, error) {
	s := set{}
	s.add(fields...)
	if !slices.ContainsFunc(rules, func(r judged) bool { return s.any(r.Reads) }) {
		return nil, nil
	}
	job, err := e.jobs.Start(ctx, tx, call, jobs.Spec{Kind: jobKind, SubjectType: meaning, SubjectID: s.String()})
	return &job, err
}

// Alone makes the caller the only one who changes rules or settles until its transaction ends. Who changes rules takes it
// before anything else, and so reads what others have changed.
func (e *Engine) Alone(ctx context.Context, tx postgres.Tx, t tenant.Tenant) error {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1, $2)`, lockClass, t.ID); err != nil {
		return fmt.Errorf("wait for those who use the rules: %w", err)
	}
	return nil
}

// flip gives the rules a new version. It is drawn, not counted: one that a transaction took back can't come again. A
// tenant's first rule begins with today, for which its own job evaluates it.
func (e *Engine) flip(ctx context.Context, tx postgres.Tx, t tenant.Tenant) error {
	if err := e.Alone(ctx, tx, t); err != nil {
		return err
	}
	now := e.now()
	_, err := tx.Exec(ctx, `INSERT INTO rule_states (tenant_id, version, day, evaluated_at, zone, currency) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT ON CONSTRAINT rule_states_pkey DO UPDATE SET version = excluded.version`,
		t.ID, uuid.New(), t.Today(now), now, t.Zone.String(), t.Currency)
	if err != nil {
		return fmt.Errorf("change the rules' version: %w", err)
	}
	return nil
}

// meant follows a change of what fields mean: one job evaluates every rule that reads them for everybody.
func (e *Engine) meant(ctx context.Context, tx postgres.Tx, call tenant.Call, fields set) error {
	if err := e.Alone(ctx, tx, call.Tenant); err != nil {
		return err
	}
	var some bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM rule_states WHERE tenant_id = $1)`, call.Tenant.ID).Scan(&some); err != nil {
		return fmt.Errorf("look for rules: %w", err)
	}
	if !some {
		return nil
	}
	runs, err := stands(ctx, tx, call.Tenant.ID)
	if err != nil {
		return err
	}
	if err := e.flip(ctx, tx, call.Tenant); err != nil {
		return err
	}
	supersede(runs, fields)
	rules, err := e.compile(ctx, tx, call.Tenant)
	if err != nil {
		return err
	}
	job, err := e.follow(ctx, tx, call, rules, slices.Collect(maps.Keys(fields)))
	if err != nil {
		return err
	}
	if job == nil && e.runs != nil { // rules to come will be decided by these runs
		inForce, err := e.runs.InForce(ctx, tx, call.Tenant.ID)
		if err != nil {
			return err
		}
		for name := range fields {
			if no := inForce[name]; no != 0 {
				runs[name] = stand{Run: no, Since: e.now()}
			}
		}
	}
	return keepStands(ctx, tx, call.Tenant.ID, runs)
}

func sorted(ids map[uuid.UUID]bool) []uuid.UUID {
	return slices.SortedFunc(maps.Keys(ids), postgres.CompareIDs)
}
