package tier

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/rule"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Simulation is what would follow from activating a definition now.
type Simulation struct {
	Definition Definition
	Customers  int64
	Unchanged  int64
	Up, Down   int64 // by the order of the simulated tiers
	Placed     int64 // who have no tier now, or one that would be gone
	Grace      int64 // of the unchanged: who fail, and would come down after the days of grace or in steps
	Movements  []Movement
	Movers     page.Of[Mover]
}

// Movement is how many customers would go from one tier to another, or stay where From and To are the same.
type Movement struct {
	From, To  string // keys; From is empty for who has no tier now
	Customers int64
}

// Mover is a customer whose tier would be another.
type Mover struct {
	CustomerID  uuid.UUID
	Name        string
	From, To    string
	DowngradeOn *tenant.Day // when the next step down would follow
}

// Simulate judges everybody by terms applied to the definition in force, or by the stored draft when there are none, as
// activating them would at this moment, and writes nothing. A page after the first one has movers only. Fails with
// ErrNotFound, ErrNoDraft, or fault.ErrInvalid.
func (s *Service) Simulate(ctx context.Context, t tenant.Tenant, key string, terms Terms, req page.Request) (Simulation, error) {
	x, err := get(ctx, s.db, t.ID, key)
	if err != nil {
		return Simulation{}, err
	}
	before := x
	switch {
	case !terms.empty():
		var v fault.Validator
		base := x.Definition
		if !x.Active() && x.Draft != nil {
			base = *x.Draft
		}
		if x.Definition, err = s.apply(ctx, s.db, t, &v, key, base, terms); err != nil {
			return Simulation{}, err
		}
		if err := v.Err(); err != nil {
			return Simulation{}, err
		}
	case x.Draft != nil:
		x.Definition = *x.Draft
	default:
		return Simulation{}, ErrNoDraft
	}
	after := uuid.Nil
	if req.After != nil {
		if after, err = uuid.Parse(req.After[0]); err != nil {
			return Simulation{}, page.ErrCursor
		}
	}
	j, err := s.judge(ctx, s.db, t, x)
	if err != nil {
		return Simulation{}, err
	}
	out := Simulation{Definition: x.Definition}
	if req.After == nil {
		if err := j.matrix(ctx, s.db, before, &out); err != nil {
			return Simulation{}, err
		}
	}
	out.Movers, err = j.movers(ctx, s.db, before, after, req.Limit)
	return out, err
}

// everybody is SQL for the common table expressions that end in tier_next, over the customers with higher ids.
func (j judge) everybody(after uuid.UUID) (filter.Expr, error) {
	decide, err := j.decide()
	if err != nil {
		return filter.Expr{}, err
	}
	return filter.Concat(filter.SQL(`WITH judged AS (SELECT c.id AS customer_id, false AS gone, ARRAY[(`), decide, filter.SQL(`)]::integer[] AS tier
			FROM customers c JOIN customer_metrics m ON m.tenant_id = c.tenant_id AND m.customer_id = c.id
			WHERE c.tenant_id = ?::integer AND c.id > ?::uuid AND c.deleted_at IS NULL AND c.merged_into IS NULL),`, j.tenant.ID, after),
		next([]rule.Rule{{ID: j.scheme, Terms: j}}, true)), nil
}

// names are the tiers of a scheme as SQL can look them up: ids, and their keys.
func (s Scheme) names() (ids []uuid.UUID, keys []string) {
	for _, t := range s.Tiers {
		ids, keys = append(ids, t.ID), append(keys, t.Key)
	}
	return ids, keys
}

func (j judge) matrix(ctx context.Context, q postgres.Querier, before Scheme, out *Simulation) error {
	all, err := j.everybody(uuid.Nil)
	if err != nil {
		return err
	}
	ids, keys := before.names()
	sql, args := filter.Concat(all, filter.SQL(` SELECT coalesce((?::text[])[array_position(?::uuid[], x.tier_id)], ''), x.keys[x.shown], x.showed, x.shown,
			count(*), count(*) FILTER (WHERE x.move = 'fails')
		FROM tier_next x GROUP BY 1, 2, 3, 4 ORDER BY x.showed NULLS FIRST, x.shown`, keys, ids)).Numbered(1)
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return fmt.Errorf("simulate scheme %s: %w", before.Key, err)
	}
	defer rows.Close()
	out.Movements = []Movement{}
	for rows.Next() {
		var m Movement
		var from *int
		var to int
		var failing int64
		if err := rows.Scan(&m.From, &m.To, &from, &to, &m.Customers, &failing); err != nil {
			return fmt.Errorf("simulate scheme %s: %w", before.Key, err)
		}
		out.Movements = append(out.Movements, m)
		out.Customers += m.Customers
		switch {
		case from == nil:
			out.Placed += m.Customers
		case to < *from:
			out.Up += m.Customers
		case to > *from:
			out.Down += m.Customers
		default:
			out.Unchanged += m.Customers
			out.Grace += failing
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("simulate scheme %s: %w", before.Key, err)
	}
	return nil
}

func (j judge) movers(ctx context.Context, q postgres.Querier, before Scheme, after uuid.UUID, limit int) (page.Of[Mover], error) {
	all, err := j.everybody(after)
	if err != nil {
		return page.Of[Mover]{}, err
	}
	ids, keys := before.names()
	sql, args := filter.Concat(all, filter.SQL(` SELECT x.customer_id, c.name, coalesce((?::text[])[array_position(?::uuid[], x.tier_id)], ''), x.keys[x.shown],
			x.next_downgrade_on
		FROM (SELECT * FROM tier_next WHERE showed IS DISTINCT FROM shown ORDER BY customer_id LIMIT ?::integer) x
			JOIN customers c ON c.tenant_id = ?::integer AND c.id = x.customer_id ORDER BY x.customer_id`, keys, ids, limit+1, j.tenant.ID)).Numbered(1)
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return page.Of[Mover]{}, fmt.Errorf("simulate scheme %s: %w", before.Key, err)
	}
	defer rows.Close()
	var found []Mover
	for rows.Next() {
		var m Mover
		if err := rows.Scan(&m.CustomerID, &m.Name, &m.From, &m.To, &m.DowngradeOn); err != nil {
			return page.Of[Mover]{}, fmt.Errorf("simulate scheme %s: %w", before.Key, err)
		}
		found = append(found, m)
	}
	if err := rows.Err(); err != nil {
		return page.Of[Mover]{}, fmt.Errorf("simulate scheme %s: %w", before.Key, err)
	}
	return page.Cut(found, limit, func(m Mover) page.Key { return page.Key{m.CustomerID.String()} }, func(m Mover) Mover { return m }), nil
}

// Descent is a customer whose downgrade is coming.
type Descent struct {
	CustomerID uuid.UUID
	Name       string
	From, To   string     // keys of the tiers by the rules
	On         tenant.Day // the day of the downgrade
	Grace      bool       // the condition has failed; otherwise it fails if nothing changes by the end of the period
}

// Descents are the customers whose downgrade is coming within so many days unless they fulfil their tier's condition by
// then, by day: those in their days of grace, and those whose condition would fail if their period ended today. Fails with
// ErrNotFound or ErrInactive.
func (s *Service) Descents(ctx context.Context, t tenant.Tenant, key string, within int, req page.Request) (page.Of[Descent], error) {
	x, err := get(ctx, s.db, t.ID, key)
	if err != nil {
		return page.Of[Descent]{}, err
	}
	if !x.Active() {
		return page.Of[Descent]{}, ErrInactive
	}
	day, id := tenant.Day{Time: time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)}, uuid.Nil
	if req.After != nil {
		if day, err = tenant.ParseDay(req.After[0]); err == nil && len(req.After) == 2 {
			id, err = uuid.Parse(req.After[1])
		}
		if err != nil || len(req.After) != 2 {
			return page.Of[Descent]{}, page.ErrCursor
		}
	}
	j, err := s.judge(ctx, s.db, t, x)
	if err != nil {
		return page.Of[Descent]{}, err
	}
	entry, err := j.entry(j.current())
	if err != nil {
		return page.Of[Descent]{}, err
	}
	keeps, err := j.keeps(j.current())
	if err != nil {
		return page.Of[Descent]{}, err
	}
	ids, keys := x.names()
	p := x.policy()
	last := plus(j.today, within)
	sql, args := filter.Concat(filter.SQL(`WITH near AS MATERIALIZED (
			SELECT p.customer_id, p.downgrade_on AS day, true AS grace, `), earned, filter.SQL(` AS tier_id FROM tier_placements p
				WHERE p.tenant_id = ?::integer AND p.scheme_id = ?::uuid AND p.downgrade_on <= ?::date
			UNION ALL SELECT p.customer_id, p.period_ends_on + 1 + ?::integer, false, `, t.ID, x.ID, last, p.Grace), earned, filter.SQL(` FROM tier_placements p
				WHERE p.tenant_id = ?::integer AND p.scheme_id = ?::uuid AND ?::boolean AND p.downgrade_on IS NULL
					AND p.period_ends_on BETWEEN ?::date AND ?::date - 1 - ?::integer),
		held AS (SELECT n.customer_id, n.day, n.grace, c.name, array_position(?::uuid[], n.tier_id) AS rank, `,
		t.ID, x.ID, p.Periodic, j.today, last, p.Grace, ids), entry, filter.SQL(` AS entry, `), keeps, filter.SQL(` AS keeps
			FROM near n JOIN customers c ON c.tenant_id = ?::integer AND c.id = n.customer_id AND c.deleted_at IS NULL AND c.merged_into IS NULL
				JOIN customer_metrics m ON m.tenant_id = c.tenant_id AND m.customer_id = c.id
			WHERE (n.day, n.customer_id) > (?::date, ?::uuid))
		SELECT customer_id, name, (?::text[])[rank], (?::text[])[CASE WHEN ?::text = 'one_step' THEN rank + 1 ELSE greatest(entry, rank + 1) END], day, grace
		FROM held WHERE grace OR entry > rank AND keeps = 0 ORDER BY day, customer_id LIMIT ?::integer`,
		t.ID, day, id, keys, keys, string(p.Downgrade), req.Limit+1)).Numbered(1)
	rows, err := s.db.Query(ctx, sql, args...)
	if err != nil {
		return page.Of[Descent]{}, fmt.Errorf("look for coming downgrades in %s: %w", key, err)
	}
	defer rows.Close()
	var found []Descent
	for rows.Next() {
		var d Descent
		if err := rows.Scan(&d.CustomerID, &d.Name, &d.From, &d.To, &d.On, &d.Grace); err != nil {
			return page.Of[Descent]{}, fmt.Errorf("look for coming downgrades in %s: %w", key, err)
		}
		found = append(found, d)
	}
	if err := rows.Err(); err != nil {
		return page.Of[Descent]{}, fmt.Errorf("look for coming downgrades in %s: %w", key, err)
	}
	return page.Cut(found, req.Limit, func(d Descent) page.Key { return page.Key{d.On.String(), d.CustomerID.String()} },
		func(d Descent) Descent { return d }), nil
}
