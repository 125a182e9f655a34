package tier

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/tenant"
)

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
