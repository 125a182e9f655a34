package tier

import (
	"context"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/rule"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Policy is how the definition moves customers.
func (d Definition) Policy() Policy { return d.policy() }

// Moved is what the statement that moves everybody makes of the placements that stand, by customer, for judgements that are
// given instead of made, and who certainly stays; nothing is written.
func Moved(ctx context.Context, q postgres.Querier, t tenant.Tenant, s Scheme, today tenant.Day, judged map[uuid.UUID]Judgement) (map[uuid.UUID]Standing, map[uuid.UUID]Move, map[uuid.UUID]bool, error) {
	var ids []uuid.UUID
	var packed []int
	for id, j := range judged {
		n := j.Now*byNow + j.Then*byThen
		if j.Keeps {
			n++
		}
		ids, packed = append(ids, id), append(packed, n)
	}
	j := judge{definition: s.Definition, scheme: s.ID, tenant: t, today: today}
	rules := []rule.Rule{{ID: s.ID, Field: "tiers." + s.Key, Terms: j}}
	differs := Rules{}.Differs(t.ID, rules)
	sql, args := filter.Concat(filter.SQL(`WITH judged AS (SELECT customer_id, false AS gone, ARRAY[n] AS tier FROM unnest(?::uuid[], ?::integer[]) j (customer_id, n)),`, ids, packed),
		next(rules, false),
		filter.SQL(` SELECT j.customer_id, rank, next_since, next_downgrade_on, next_period_ends_on, next_stepped_on, move, `), differs.Where,
		filter.SQL(` FROM tier_next x JOIN judged j ON j.customer_id = x.customer_id`), differs.Join).Numbered(1)
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, nil, nil, err
	}
	defer rows.Close()
	found, moves, stays := map[uuid.UUID]Standing{}, map[uuid.UUID]Move{}, map[uuid.UUID]bool{}
	for rows.Next() {
		var id uuid.UUID
		var s Standing
		var move string
		var differs bool
		if err := rows.Scan(&id, &s.Rank, &s.EnteredOn, &s.DowngradeOn, &s.PeriodEndsOn, &s.SteppedOn, &move, &differs); err != nil {
			return nil, nil, nil, err
		}
		found[id], moves[id], stays[id] = s, Move(move), !differs
	}
	return found, moves, stays, rows.Err()
}
