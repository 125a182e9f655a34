package rule

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

const (
	// chunk is how many customers one transaction changes.
	chunk = 10_000

	// portion is how many bytes of what rules decided are kept in memory at once, roughly.
	portion = 32 << 20

	// few is how many customers are not shared out among writers.
	few = 1000

	// writers is how many chunks are written at a time: the database works on one with one processor.
	writers = 2
)

// sweep puts rules to everybody. One statement reads all customers as they are at one moment and finds those for whom something
// is to be written, which are few against all; then they are locked, chunk by chunk, and what was decided about them is
// written, but for those whom a writer has touched since: they are judged anew.
//
// For that the sweep makes itself known before it reads. Whoever settles later notes its customers in rule_touched, and
// whoever settled earlier has committed, because the sweep waited for all of them.
type sweep struct {
	engine *Engine
	run    *jobs.Run
	id     uuid.UUID
	want   func(judged) bool
	cause  Cause

	program *program   // what it decides by
	levels  [][]judged // what it wants of each of the program's levels
	sets    [][]judged // the same, compiled for everybody

	began         time.Time
	from, follows map[string]int64 // by field of a score: the run by which rules were decided, if that is known, and the one in force
	narrowed      bool             // whether it has to look at nobody but the moved
	moved         []uuid.UUID

	mutex   sync.Mutex
	changed int64
	fields  set
}

// given is what was decided about the customers of a moment: by subject, as many numbers for each customer as the subject has
// rules.
type given struct {
	gone    []bool
	decided [][]int32
}

// decidedBy stands among the values of a statement for what was decided by the rules of a subject.
type decidedBy int

// begin makes a sweep known. Without rules that are wanted it has no levels.
func (e *Engine) begin(ctx context.Context, run *jobs.Run, want func(judged) bool, cause Cause) (*sweep, error) {
	s := &sweep{engine: e, run: run, id: uuid.New(), want: want, cause: cause, fields: set{}, began: e.now()}
	t := run.Call.Tenant
	err := e.db.InTx(ctx, func(tx postgres.Tx) error {
		if err := e.Alone(ctx, tx, t); err != nil {
			return err
		}
		var err error
		if s.program, _, err = e.inForce(ctx, tx, run.Call, []uuid.UUID{}); err != nil || s.program == nil {
			return err
		}
		language, err := condition.ForLater(ctx, tx, t, e.now())
		if err != nil {
			return err
		}
		language.Env.Facts = filter.Everybody
		sets, err := e.rules(ctx, tx, t, language)
		if err != nil {
			return err
		}
		s.levels, s.sets = make([][]judged, len(s.program.levels)), make([][]judged, len(s.program.levels))
		for i, level := range s.program.levels {
			for _, r := range level {
				at := slices.IndexFunc(sets, func(set judged) bool { return set.subject == r.subject && set.ID == r.ID })
				if want(r) && at >= 0 {
					s.levels[i], s.sets[i] = append(s.levels[i], r), append(s.sets[i], sets[at])
				}
			}
		}
		if err := forget(ctx, tx, t.ID, run.Job.ID); err != nil { // attempts that died
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO rule_runs (tenant_id, id, job_id) VALUES ($1, $2, $3)`, t.ID, s.id, run.Job.ID)
		if err != nil {
			return fmt.Errorf("make a sweep known: %w", err)
		}
		if run.Job.SubjectType == meaning {
			return s.leave(ctx, tx, t.ID, named(run.Job))
		}
		return nil
	})
	if err == nil && len(s.from) > 0 {
		if err = s.narrow(ctx, named(run.Job)); err != nil {
			err = errors.Join(err, s.abandon(ctx))
		}
	}
	return s, err
}

// forget ends the sweeps of a job, and of jobs that ended without doing so.
func forget(ctx context.Context, tx postgres.Tx, tenantID int32, job uuid.UUID) error {
	_, err := tx.Exec(ctx, `WITH over AS (DELETE FROM rule_runs r WHERE r.tenant_id = $1 AND (r.job_id = $2 OR NOT EXISTS
				(SELECT FROM jobs j WHERE j.tenant_id = r.tenant_id AND j.id = r.job_id AND j.status IN ('queued', 'running'))) RETURNING r.id)
		DELETE FROM rule_touched t USING over WHERE t.tenant_id = $1 AND t.run_id = over.id`, tenantID, job)
	if err != nil {
		return fmt.Errorf("forget a sweep: %w", err)
	}
	return nil
}

// abandon is the end of a sweep that failed: nobody tells it of customers any more.
func (s *sweep) abandon(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	tenantID := s.run.Call.Tenant.ID
	_, err := s.engine.db.Exec(ctx, `WITH over AS (DELETE FROM rule_runs WHERE tenant_id = $1 AND id = $2 RETURNING id)
		DELETE FROM rule_touched t USING over WHERE t.tenant_id = $1 AND t.run_id = over.id`, tenantID, s.id)
	if err != nil {
		return fmt.Errorf("forget a sweep: %w", err)
	}
	return nil
}

// level sweeps one of the program's levels. What rules of higher levels decide otherwise then is written with it.
func (s *sweep) level(ctx context.Context, level int, progress func(part float64) float64) error {
	if s.narrowed {
		return s.writeAll(ctx, level, s.moved, nil, progress)
	}
	q, err := s.engine.question(s.run.Call.Tenant.ID, s.sets[level])
	if err != nil {
		return err
	}
	for after := uuid.Nil; ; {
		ids, all, err := s.read(ctx, q, after)
		if err != nil {
			return err
		}
		if err := s.writeAll(ctx, level, ids, &all, progress); err != nil {
			return err
		}
		if len(ids) < q.limit {
			return nil
		}
		after = ids[len(ids)-1]
	}
}

// question is the statement that puts rules to everybody and finds who differs, in the order of their ids.
type question struct {
	plan
	subjects []int // whose rules they are; each is a column
	limit    int
}

func (e *Engine) question(tenantID int32, rules []judged) (question, error) {
	q := question{limit: portion / (24 + 4*len(rules))}
	gone := filter.SQL(`(c.deleted_at IS NOT NULL OR c.merged_into IS NOT NULL)`)
	decided := []filter.Expr{filter.SQL(`SELECT c.id AS customer_id, `), gone, filter.SQL(` AS gone`)}
	var joins, differs, columns []filter.Expr
	for i, rules := range e.bySubject(rules) {
		if len(rules) == 0 {
			continue
		}
		name, err := nameOf(e.subjects[i])
		if err != nil {
			return question{}, err
		}
		q.subjects = append(q.subjects, i)
		decided = append(decided, filter.SQL(`, `), decisions(rules, gone), filter.SQL(` AS `), name)
		columns = append(columns, filter.SQL(`, j.`), name)
		d := e.subjects[i].Differs(tenantID, rules)
		joins, differs = append(joins, d.Join), append(differs, d.Where)
	}
	judged := filter.Concat(decided...)
	// OFFSET 0 keeps what was decided from being computed again for each use.
	judged = filter.Concat(judged, filter.SQL(` FROM customers c LEFT JOIN customer_metrics m ON m.tenant_id = c.tenant_id AND m.customer_id = c.id`),
		judged.Gathered(), filter.SQL(` WHERE c.tenant_id = ?::integer AND c.id > ?::uuid OFFSET 0`, Tenant, after))
	q.sql, q.args = filter.Concat(filter.SQL(`SELECT j.customer_id, j.gone`), filter.Concat(columns...), filter.SQL(` FROM (`), judged,
		filter.SQL(`) j`), filter.Concat(joins...),
		filter.SQL(` WHERE `), filter.AnyOf(differs...), filter.SQL(` ORDER BY 1 LIMIT ?::integer`, q.limit)).Numbered(1)
	return q, nil
}

// read puts the question to the customers with higher ids: who differs, and what was decided about them.
func (s *sweep) read(ctx context.Context, q question, after uuid.UUID) (ids []uuid.UUID, all given, err error) {
	m := moment{now: s.engine.now(), after: after}
	err = s.engine.db.InTx(ctx, func(tx postgres.Tx) error {
		ids, all = nil, given{decided: make([][]int32, len(s.engine.subjects))}
		// Everybody is read once and joined as a whole: a plan for a few of them, which statistics that lag behind suggest,
		// would take the square of the time.
		_, err := tx.Exec(ctx, `SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('jit', 'off', true),
			set_config('enable_nestloop', 'off', true), set_config('work_mem', '64MB', true), set_config('max_parallel_workers_per_gather', '1', true),
			set_config('parallel_tuple_cost', '0.01', true)`)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, q.sql, q.values(m, s.run.Call)...)
		if err != nil {
			return err
		}
		defer rows.Close()
		var id uuid.UUID
		var gone bool
		into, decided := []any{&id, &gone}, make([][]int32, len(q.subjects))
		for i := range decided {
			into = append(into, &decided[i])
		}
		for rows.Next() {
			if err := rows.Scan(into...); err != nil {
				return err
			}
			ids, all.gone = append(ids, id), append(all.gone, gone)
			for i, subject := range q.subjects {
				all.decided[subject] = append(all.decided[subject], decided[i]...)
			}
		}
		return rows.Err()
	})
	if err != nil {
		return nil, given{}, fmt.Errorf("put rules to everybody: %w", err)
	}
	return ids, all, nil
}

// writeAll writes what was decided about customers who differed, chunks side by side; without what was decided they are judged.
func (s *sweep) writeAll(ctx context.Context, level int, ids []uuid.UUID, what *given, progress func(part float64) float64) error {
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(writers)
	ended, size := 0, min(chunk, max(len(ids)/writers+1, few)) // one chunk would leave the other writers nothing to do
	for from := 0; from < len(ids) && within.Err() == nil; from += size {
		to := min(from+size, len(ids))
		group.Go(func() error {
			o, err := s.write(within, level, ids[from:to], what.part(from, to, len(ids)), func(o outcome) (float64, int64) {
				s.mutex.Lock()
				defer s.mutex.Unlock()
				return progress(float64(ended+to-from) / float64(len(ids))), s.changed + o.changes
			})
			if err != nil {
				return err
			}
			s.mutex.Lock()
			defer s.mutex.Unlock()
			ended += to - from
			s.changed += o.changes
			s.fields.add(o.fields...)
			return nil
		})
	}
	return group.Wait()
}

// write writes what was decided about a chunk, and answers what that changed. so says how far the sweep is with it, and how much
// it has changed.
func (s *sweep) write(ctx context.Context, level int, ids []uuid.UUID, what *given, so func(outcome) (float64, int64)) (all outcome, err error) {
	e, call := s.engine, s.run.Call
	m := moment{cause: s.cause, now: e.now(), held: true}
	err = e.db.InTx(ctx, func(tx postgres.Tx) error {
		all = outcome{}
		touched, err := s.hold(ctx, tx, ids)
		if err != nil {
			return err
		}
		p, call, err := e.inForce(ctx, tx, call, []uuid.UUID{})
		if err != nil || p == nil {
			return err
		}
		// Other sweeps read these customers before this one changes them.
		_, err = tx.Exec(ctx, `INSERT INTO rule_touched (tenant_id, run_id, customer_id)
			SELECT r.tenant_id, r.id, c.id FROM rule_runs r CROSS JOIN unnest($3::uuid[]) c (id) WHERE r.tenant_id = $1 AND r.id <> $2
			ON CONFLICT DO NOTHING`, call.Tenant.ID, s.id, ids)
		if err != nil {
			return fmt.Errorf("tell other sweeps: %w", err)
		}
		m := m
		if rules, at := s.still(p, level); rules != nil {
			err = s.walk(ctx, tx, call, p, at, rules, m, ids, what, touched, &all)
		} else {
			m.customers = ids
			err = e.walk(ctx, tx, call, p, 0, m, nil, s.want, &all)
		}
		if err != nil {
			return err
		}
		part, changed := so(all)
		return s.run.Step(ctx, tx, part, map[string]int64{"changed": changed})
	})
	return all, err
}

// still are the rules of a level in a program, and where they stand in it, if they decide there what they decided when everybody
// was read: most changes of rules are of others.
func (s *sweep) still(p *program, level int) ([]judged, int) {
	if p.same(s.program) {
		return s.levels[level], level
	}
	if p.tenant != s.program.tenant || p.day != s.program.day {
		return nil, 0
	}
	at := -1
	rules := make([]judged, 0, len(s.levels[level]))
	for _, r := range s.levels[level] {
		for l, others := range p.levels {
			i := slices.IndexFunc(others, func(o judged) bool { return o.subject == r.subject && o.ID == r.ID })
			if i >= 0 && (at < 0 || at == l) && reflect.DeepEqual(r.Decide, others[i].Decide) && reflect.DeepEqual(r.parts(), others[i].parts()) {
				at, rules = l, append(rules, others[i])
			}
		}
	}
	if len(rules) != len(s.levels[level]) {
		return nil, 0
	}
	return rules, at
}

// hold locks customers and answers whom writers have touched.
func (s *sweep) hold(ctx context.Context, tx postgres.Tx, ids []uuid.UUID) (map[uuid.UUID]bool, error) {
	tenantID := s.run.Call.Tenant.ID
	_, err := tx.Exec(ctx, `SELECT set_config('enable_seqscan', 'off', true), set_config('work_mem', '64MB', true)`)
	if err != nil {
		return nil, fmt.Errorf("lock customers: %w", err)
	}
	if _, err = tx.Exec(ctx, `SELECT count(*) FROM (SELECT FROM customers WHERE tenant_id = $1 AND id = ANY($2) ORDER BY id FOR NO KEY UPDATE) c`,
		tenantID, ids); err != nil {
		return nil, fmt.Errorf("lock customers: %w", err)
	}
	// One by one (LIMIT), however small the planner thinks the table.
	rows, err := tx.Query(ctx, `SELECT c.id FROM unnest($3::uuid[]) c (id) CROSS JOIN LATERAL (SELECT FROM rule_touched t
		WHERE t.tenant_id = $1 AND t.run_id = $2 AND t.customer_id = c.id LIMIT 1) t
		WHERE EXISTS (SELECT FROM rule_touched WHERE tenant_id = $1 AND run_id = $2)`, tenantID, s.id, ids)
	if err != nil {
		return nil, fmt.Errorf("look whom writers touched: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("look whom writers touched: %w", err)
	}
	touched := make(map[uuid.UUID]bool, len(found))
	for _, id := range found {
		touched[id] = true
	}
	return touched, nil
}

// walk writes what was decided on a level, judges those anew who were touched, and evaluates what follows on higher levels.
func (s *sweep) walk(ctx context.Context, tx postgres.Tx, call tenant.Call, p *program, level int, rules []judged, m moment, ids []uuid.UUID, what *given, touched map[uuid.UUID]bool, all *outcome) error {
	e := s.engine
	known := m
	switch {
	case what == nil:
		m.customers = ids
	case len(touched) == 0:
		known.customers, known.given = ids, what
	default:
		for _, id := range ids {
			if touched[id] {
				m.customers = append(m.customers, id)
			}
		}
		known.customers, known.given = what.without(ids, touched)
	}
	for _, m := range []moment{known, m} {
		if len(m.customers) == 0 {
			continue
		}
		stmt, err := e.plan(p, rules, set{}, m)
		if err != nil {
			return err
		}
		o, err := stmt.run(ctx, tx, call, m)
		if err != nil {
			return err
		}
		all.add(o)
	}
	return e.walk(ctx, tx, call, p, level+1, m, nil, func(judged) bool { return false }, all)
}

// customers is how many there are.
func (s *sweep) customers(ctx context.Context) (n int64, err error) {
	err = s.engine.db.QueryRow(ctx, `SELECT count(*) FROM customers WHERE tenant_id = $1`, s.run.Call.Tenant.ID).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count customers: %w", err)
	}
	return n, nil
}

// end tells of what the sweep changed, and that it is over.
func (s *sweep) end(ctx context.Context) error {
	total, err := int64(len(s.moved)), error(nil)
	if !s.narrowed {
		if total, err = s.customers(ctx); err != nil {
			return err
		}
	}
	err = s.engine.db.InTx(ctx, func(tx postgres.Tx) error {
		if err := s.engine.Alone(ctx, tx, s.run.Call.Tenant); err != nil { // nobody is about to tell it of somebody
			return err
		}
		if err := s.followed(ctx, tx); err != nil {
			return err
		}
		return forget(ctx, tx, s.run.Call.Tenant.ID, s.run.Job.ID)
	})
	if err != nil {
		return err
	}
	// No longer alone: whoever holds the row of the rule may be waiting for the rules.
	return s.engine.db.InTx(ctx, func(tx postgres.Tx) error {
		if err := s.engine.ended(ctx, tx, s.run, s.fields); err != nil {
			return err
		}
		return s.run.Step(ctx, tx, 1, map[string]int64{"customers": total, "changed": s.changed})
	})
}

// part is what was decided about some of many customers, if anything was.
func (g *given) part(from, to, many int) *given {
	if g == nil {
		return nil
	}
	p := &given{gone: g.gone[from:to], decided: make([][]int32, len(g.decided))}
	for i, all := range g.decided {
		each := len(all) / many
		p.decided[i] = all[from*each : to*each]
	}
	return p
}

// without is what was decided about the customers that are not left out.
func (g *given) without(ids []uuid.UUID, out map[uuid.UUID]bool) ([]uuid.UUID, *given) {
	var kept []uuid.UUID
	left := given{decided: make([][]int32, len(g.decided))}
	for n, id := range ids {
		if out[id] {
			continue
		}
		kept, left.gone = append(kept, id), append(left.gone, g.gone[n])
		for i, all := range g.decided {
			each := len(all) / len(ids)
			left.decided[i] = append(left.decided[i], all[n*each:(n+1)*each]...)
		}
	}
	return kept, &left
}

// asGiven is how a statement comes to customers about whom everything was decided before.
func asGiven() (decided func(subject int, rules []Rule) filter.Expr, from filter.Expr) {
	return func(subject int, rules []Rule) filter.Expr {
			return filter.SQL(`(?::integer[])[(g.n - 1) * ?::integer + 1 : g.n * ?::integer]`, decidedBy(subject), len(rules), len(rules))
		}, filter.SQL(` FROM unnest(?::uuid[], ?::boolean[]) WITH ORDINALITY c (id, gone, n)
			CROSS JOIN LATERAL (SELECT c.gone, c.n::integer) g (gone, n)`, Customers, gone)
}
