package tier

import (
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/rule"
)

// next is SQL for the common table expression tier_next: what [Policy.Next] makes of the judgements in judged, one row for each
// customer and scheme. It is that function step by step, each step a SELECT from the one before.
func next(rules []rule.Rule, everybody bool) filter.Expr {
	first := rules[0].Terms.(judge) //nolint:errcheck // Rules made it
	kept := filter.SQL(`MATERIALIZED`)
	if everybody {
		kept = filter.SQL(`NOT MATERIALIZED`) // it is read once, and a million rows of it would be written down
	}

	// The best tier that can be entered, and the day on which one who fails leaves.
	best := filter.Concat(filter.SQL(`SELECT v.*, least(v.now_rank, v.then_rank) AS best,
			CASE WHEN v.periodic THEN v.period_ends_on + 1 + v.grace ELSE coalesce(v.downgrade_on, v.today + v.grace) END AS due
		FROM (`), standing(rules, first, everybody), filter.SQL(`) v`))

	// The Move; unknown where the conditions no longer mean anything.
	move := filter.Concat(filter.SQL(`SELECT w.*, CASE WHEN w.decided = 0 THEN 'unknown' WHEN w.stands IS NULL THEN 'placed' WHEN w.best < w.stands THEN 'up'
			WHEN w.keeps OR w.then_rank <= w.stands OR w.downgrade = 'none' THEN 'keeps'
			WHEN w.today < w.due OR w.downgrade = 'one_step' AND w.stepped_on IS NOT DISTINCT FROM w.today THEN 'fails'
			ELSE 'down' END AS move
		FROM (`), best, filter.SQL(`) w`))

	// Where it leads.
	moved := filter.Concat(filter.SQL(`SELECT x.*, x.move IN ('placed', 'up', 'down') AS moved,
			CASE WHEN x.move IN ('placed', 'up', 'down') THEN x.today ELSE x.since END AS next_since,
			CASE WHEN x.move IN ('placed', 'up') THEN x.best WHEN x.move <> 'down' THEN x.stands
				WHEN x.downgrade = 'one_step' THEN x.stands + 1 ELSE x.then_rank END AS rank
		FROM (`), move, filter.SQL(`) x OFFSET 0`))

	// What the placement says then.
	return filter.Concat(filter.SQL(`
		tier_next AS `), kept, filter.SQL(` (SELECT y.*, CASE WHEN y.by_hand THEN y.manual_rank ELSE y.rank END AS shown,
			CASE WHEN y.move = 'fails' THEN y.due WHEN y.move = 'unknown' THEN y.downgrade_on END AS next_downgrade_on,
			CASE WHEN y.move = 'down' AND y.downgrade = 'one_step' THEN y.today ELSE y.stepped_on END AS next_stepped_on,
			CASE WHEN y.move IN ('unknown', 'fails') THEN y.period_ends_on WHEN NOT y.periodic OR y.rank = cardinality(y.ids) THEN NULL
				WHEN y.moved OR y.period_ends_on IS NULL OR y.period_ends_on < y.today THEN kezi_period_start(CASE y.kind
					WHEN 'calendar_year' THEN ?::date WHEN 'anniversary' THEN y.anniversary ELSE y.next_since END, y.months, y.days, y.today, 1) - 1
				ELSE y.period_ends_on END AS next_period_ends_on
		FROM (`, century), moved, filter.SQL(`) y)`))
}

// standing is SQL for the Standing and the Judgement of each customer in each scheme, and the scheme's Policy beside them.
//
// For a part of the customers placements are looked up one by one, whatever the planner thought of the table when it planned
// for many executions; for everybody it may choose.
func standing(rules []rule.Rule, first judge, everybody bool) filter.Expr {
	tenantID, today := first.tenant.ID, first.today
	now, then := ranks(filter.SQL(`u.decided`))
	lookup := filter.SQL(` LIMIT 1`)
	if everybody {
		lookup = filter.SQL(``)
	}
	anniversary, customers := filter.SQL(`NULL::date`), filter.SQL(``)
	for _, r := range rules {
		j := r.Terms.(judge) //nolint:errcheck // Rules made it
		if p := j.definition.policy(); p.Periodic && p.Window == Anniversary {
			anniversary = j.anniversary()
			customers = filter.SQL(`
			CROSS JOIN LATERAL (SELECT * FROM customers c WHERE c.tenant_id = ?::integer AND c.id = j.customer_id`, tenantID)
			customers = filter.Concat(customers, lookup, filter.SQL(`) c
			CROSS JOIN LATERAL (SELECT * FROM customer_metrics m WHERE m.tenant_id = c.tenant_id AND m.customer_id = c.id`), lookup, filter.SQL(`) m`))
		}
	}
	return filter.Concat(filter.SQL(`SELECT j.customer_id, r.*, u.decided, `), now, filter.SQL(` AS now_rank, `), then, filter.SQL(` AS then_rank,
			u.decided % ?::integer = 1 AS keeps, ?::date AS today, p.place, p.place IS NOT NULL AS had, p.tier_id, array_position(r.ids, p.tier_id) AS showed,
			array_position(r.ids, `, byThen, today), earned, filter.SQL(`) AS stands, p.earned_tier_id, p.earned_on, p.placed_at,
			coalesce(p.earned_on, (p.placed_at AT TIME ZONE ?::text)::date) AS since, p.downgrade_on, p.period_ends_on, p.stepped_on,
			p.change_set, p.manual_tier_id, p.manual_reason, array_position(r.ids, p.manual_tier_id) AS manual_rank,
			p.manual_tier_id = ANY(r.ids) AND (p.manual_until IS NULL OR p.manual_until >= ?::date) AS by_hand, `, first.tenant.Zone.String(), today),
		anniversary, filter.SQL(` AS anniversary
		FROM judged j CROSS JOIN (VALUES `), policies(rules), filter.SQL(`)
				r (n, scheme_id, field, ids, keys, downgrade, periodic, grace, kind, months, days)
			CROSS JOIN LATERAL (SELECT j.tier[r.n] AS decided OFFSET 0) u
			LEFT JOIN LATERAL (SELECT p.ctid AS place, p.* FROM tier_placements p WHERE p.tenant_id = ?::integer AND p.customer_id = j.customer_id
				AND p.scheme_id = r.scheme_id`, tenantID), lookup, filter.SQL(`) p ON true`), customers, filter.SQL(`
		WHERE NOT j.gone OFFSET 0`))
}

// policies are SQL for the rows of VALUES with a scheme's number among the rules, its tiers from the highest, and its Policy.
func policies(rules []rule.Rule) filter.Expr {
	var rows []filter.Expr
	for i, r := range rules {
		d := r.Terms.(judge).definition //nolint:errcheck // Rules made it
		p := d.policy()
		ids, keys := d.names()
		if i > 0 {
			rows = append(rows, filter.SQL(`, `))
		}
		rows = append(rows, filter.SQL(`(?::integer, ?::uuid, ?::text, ?::uuid[], ?::text[], ?::text, ?::boolean, ?::integer, ?::text, ?::integer, ?::integer)`,
			i+1, r.ID, r.Field, ids, keys, string(p.Downgrade), p.Periodic, p.Grace, string(p.Window), p.Months, p.Days))
	}
	return filter.Concat(rows...)
}

// differs is SQL over a row x of tier_next for whom something is to be written.
var differs = filter.SQL(`(x.ids[x.shown] IS DISTINCT FROM x.tier_id OR x.rank IS DISTINCT FROM x.stands OR x.next_downgrade_on IS DISTINCT FROM x.downgrade_on
	OR x.next_period_ends_on IS DISTINCT FROM x.period_ends_on OR x.next_stepped_on IS DISTINCT FROM x.stepped_on
	OR x.manual_tier_id IS NOT NULL AND NOT x.by_hand)`)
