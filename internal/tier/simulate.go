package tier

import (
	"context"
	"fmt"

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

// names are the tiers from the highest, as SQL can look them up: ids, and their keys.
func (d Definition) names() (ids []uuid.UUID, keys []string) {
	for _, t := range d.Tiers {
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
