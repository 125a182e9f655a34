package tier

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Of are the tiers of customers by scheme; each customer has an entry.
func Of(ctx context.Context, q postgres.Querier, tenantID int32, ids []uuid.UUID) (map[uuid.UUID][]Placement, error) {
	found := make(map[uuid.UUID][]Placement, len(ids))
	for _, id := range ids {
		found[id] = []Placement{}
	}
	rows, err := q.Query(ctx, `SELECT p.customer_id, s.key, s.name, r.key, r.name, r.strategy, r.benefits, p.placed_at, coalesce(e.key, ''), p.downgrade_on, p.period_ends_on,
			h.key, p.manual_until, p.manual_reason, p.manual_actor, p.manual_at
		FROM tier_placements p JOIN tier_schemes s ON s.tenant_id = p.tenant_id AND s.id = p.scheme_id
			JOIN tiers r ON r.tenant_id = p.tenant_id AND r.scheme_id = p.scheme_id AND r.id = p.tier_id
			LEFT JOIN tiers e ON e.tenant_id = p.tenant_id AND e.scheme_id = p.scheme_id AND e.id = coalesce(p.earned_tier_id, CASE WHEN p.manual_tier_id IS NULL THEN p.tier_id END)
			LEFT JOIN tiers h ON h.tenant_id = p.tenant_id AND h.scheme_id = p.scheme_id AND h.id = p.manual_tier_id
		WHERE p.tenant_id = $1 AND p.customer_id = ANY($2) ORDER BY p.customer_id, s.key`, tenantID, ids)
	if err != nil {
		return nil, fmt.Errorf("read the tiers of %d customers: %w", len(ids), err)
	}
	defer rows.Close()
	for rows.Next() {
		var id uuid.UUID
		var p Placement
		var hand struct {
			tier, reason, actor *string
			until               *tenant.Day
			at                  *time.Time
		}
		err := rows.Scan(&id, &p.Scheme, &p.SchemeName, &p.Key, &p.Name, &p.Strategy, &p.Benefits, &p.PlacedAt, &p.Earned, &p.DowngradeOn, &p.PeriodEndsOn,
			&hand.tier, &hand.until, &hand.reason, &hand.actor, &hand.at)
		if err != nil {
			return nil, fmt.Errorf("read the tiers of %d customers: %w", len(ids), err)
		}
		p.PlacedAt = p.PlacedAt.UTC()
		if hand.tier != nil && hand.at != nil {
			p.Manual = &Manual{Tier: *hand.tier, Until: hand.until, Reason: *hand.reason, Actor: *hand.actor, At: hand.at.UTC()}
		}
		found[id] = append(found[id], p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the tiers of %d customers: %w", len(ids), err)
	}
	return found, nil
}

// unplace removes up to limit placements of a scheme that is gone, and answers whose they were.
func unplace(ctx context.Context, tx postgres.Tx, tenantID int32, scheme uuid.UUID, limit int) ([]uuid.UUID, error) {
	rows, err := tx.Query(ctx, `DELETE FROM tier_placements WHERE tenant_id = $1 AND ctid = ANY(ARRAY(SELECT ctid FROM tier_placements
		WHERE tenant_id = $1 AND scheme_id = $2 ORDER BY customer_id LIMIT $3 FOR UPDATE)) RETURNING customer_id`, tenantID, scheme, limit)
	if err != nil {
		return nil, fmt.Errorf("remove the placements of scheme %s: %w", scheme, err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("remove the placements of scheme %s: %w", scheme, err)
	}
	return ids, nil
}

// forget removes up to limit lines of the history of a scheme that is gone, and answers how many it were.
func forget(ctx context.Context, tx postgres.Tx, tenantID int32, scheme uuid.UUID, limit int) (int64, error) {
	tag, err := tx.Exec(ctx, `DELETE FROM tier_history WHERE tenant_id = $1 AND ctid = ANY(ARRAY(SELECT ctid
		FROM tier_history WHERE tenant_id = $1 AND scheme_id = $2 ORDER BY ord LIMIT $3))`, tenantID, scheme, limit)
	if err != nil {
		return 0, fmt.Errorf("remove the history of scheme %s: %w", scheme, err)
	}
	return tag.RowsAffected(), nil
}

// endingByHand are the schemes in which somebody was placed by hand until some day.
func endingByHand(ctx context.Context, q postgres.Querier, tenantID int32) ([]uuid.UUID, error) {
	rows, err := q.Query(ctx, `SELECT s.id FROM tier_schemes s WHERE s.tenant_id = $1 AND EXISTS (SELECT FROM tier_placements p
		WHERE p.tenant_id = s.tenant_id AND p.scheme_id = s.id AND p.manual_until IS NOT NULL)`, tenantID)
	if err != nil {
		return nil, fmt.Errorf("look for placements by hand: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("look for placements by hand: %w", err)
	}
	return ids, nil
}

// setManual keeps a placement by hand, or with nil takes it away, and answers the one before. The rules' engine then moves
// the customer.
func setManual(ctx context.Context, tx postgres.Tx, tenantID int32, customerID, scheme uuid.UUID, m *Manual, tierID *uuid.UUID, call tenant.Call, now time.Time) error {
	var until *tenant.Day
	var reason, actor *string
	var at *time.Time
	if m != nil {
		until, reason, actor, at = m.Until, &m.Reason, &m.Actor, &m.At
	}
	_, err := tx.Exec(ctx, `INSERT INTO tier_placements AS p (tenant_id, customer_id, scheme_id, change_set, placed_at, manual_tier_id, manual_until,
			manual_reason, manual_actor, manual_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT ON CONSTRAINT tier_placements_pkey DO UPDATE SET manual_tier_id = excluded.manual_tier_id, manual_until = excluded.manual_until,
			manual_reason = excluded.manual_reason, manual_actor = excluded.manual_actor, manual_at = excluded.manual_at,
			earned_tier_id = CASE WHEN p.manual_tier_id IS NULL THEN coalesce(p.earned_tier_id, p.tier_id) ELSE p.earned_tier_id END`,
		tenantID, customerID, scheme, call.ChangeSet, now, tierID, until, reason, actor, at)
	if err != nil {
		return fmt.Errorf("place customer %s by hand: %w", customerID, err)
	}
	return nil
}

// history is a page of what happened, newest first: in a scheme, or to a customer, in one scheme or all.
func history(ctx context.Context, q postgres.Querier, tenantID int32, scheme, customerID *uuid.UUID, req page.Request) (page.Of[Passage], error) {
	before, err := req.Before()
	if err != nil {
		return page.Of[Passage]{}, err
	}
	of, args := "h.scheme_id = $2", []any{tenantID, scheme, before, req.Limit + 1}
	if customerID != nil {
		of = "h.customer_id = $5 AND ($2::uuid IS NULL OR h.scheme_id = $2)"
		args = append(args, customerID)
	}
	rows, err := q.Query(ctx, `SELECT h.ord, h.customer_id, s.key, h.change, coalesce(h.from_tier, ''), coalesce(h.to_tier, ''), h.cause, h.event, h.reason,
			h.downgrade_on, h.actor, h.change_set, h.occurred_at
		FROM tier_history h JOIN tier_schemes s ON s.tenant_id = h.tenant_id AND s.id = h.scheme_id
		WHERE h.tenant_id = $1 AND `+of+` AND h.ord < $3 ORDER BY h.ord DESC LIMIT $4`, args...)
	if err != nil {
		return page.Of[Passage]{}, fmt.Errorf("read the history of tiers: %w", err)
	}
	lines, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (page.Line[Passage], error) {
		var l page.Line[Passage]
		e := &l.Entry
		err := row.Scan(&l.Ord, &e.CustomerID, &e.Scheme, &e.Change, &e.From, &e.To, &e.Cause, &e.Event, &e.Reason, &e.DowngradeOn, &e.Actor,
			&e.ChangeSet, &e.At)
		if err != nil {
			return l, err
		}
		e.At = e.At.UTC()
		return l, nil
	})
	if err != nil {
		return page.Of[Passage]{}, fmt.Errorf("read the history of tiers: %w", err)
	}
	return page.Log(lines, req.Limit), nil
}
