package score

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// NextDay starts runs of the models with a live clock for which a local day has begun: everybody is scored as of the new day
// by the calibration in force, or by a new one where that is as old as the model's parameters say. One job does all of a
// tenant's; a model that reads others comes after them. It is called again and again; a run that failed or was cancelled is not repeated
// before the next day. The context is for all tenants.
func (s *Service) NextDay(ctx context.Context) error {
	rows, err := s.db.Query(ctx, `SELECT DISTINCT m.tenant_id FROM score_models m
		JOIN score_runs r ON r.tenant_id = m.tenant_id AND r.run_no = m.current_run JOIN tenants t ON t.id = m.tenant_id
		WHERE m.clock_day IS NULL AND m.retired_at IS NULL AND r.as_of < ($1::timestamptz AT TIME ZONE t.time_zone)::date ORDER BY 1`, s.now())
	if err != nil {
		return fmt.Errorf("look for scores of another day: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil {
		return fmt.Errorf("look for scores of another day: %w", err)
	}
	all := s.Sweep(ctx)
	for _, id := range ids {
		own := postgres.WithTenant(ctx, id)
		t, err := s.tenants.ByID(own, id)
		if err == nil {
			err = s.nextDay(own, t)
		}
		all = errors.Join(all, err)
	}
	return all
}

// standing is where a model stands on a day.
type standing struct {
	Model
	asOf         tenant.Day  // of the run in force
	calibratedOn *tenant.Day // of its calibration
	tried        bool        // a run of the day has been asked for
	busy         bool        // a run is in progress
}

func (s *Service) nextDay(ctx context.Context, t tenant.Tenant) error {
	today := t.Today(s.now())
	all, err := standings(ctx, s.db, t.ID, today)
	if err != nil {
		return err
	}
	asked := map[string]Request{}
	for _, m := range all {
		if !m.tried && !m.busy && m.asOf.Before(today.Time) {
			keep := m.calibratedOn != nil && today.Before(m.calibratedOn.AddDate(0, 0, m.Params.RecalibrateDays))
			asked[m.Key] = Request{Keep: keep}
		}
	}
	// One that reads a model whose run is already under way waits for its end, and so does whatever reads that one.
	waits := func(m standing) bool {
		return slices.ContainsFunc(m.reads(), func(name string) bool {
			other, ok := all[strings.TrimPrefix(scoreOf(name), field(""))]
			_, with := asked[other.Key]
			return ok && !with && other.due(today)
		})
	}
	for left := true; left; {
		left = false
		for key := range asked {
			if waits(all[key]) {
				delete(asked, key)
				left = true
			}
		}
	}
	if len(asked) == 0 {
		return nil
	}
	call := tenant.Call{Tenant: t, Actor: "kezi", RequestID: "nightly", ChangeSet: uuid.Must(uuid.NewV7())}
	_, err = s.startSet(ctx, call, asked)
	if fault.Of(err) != nil { // somebody else has started, retired or deleted them
		return nil
	}
	return err
}

// due reports whether the model has yet to be scored as of today.
func (m standing) due(today tenant.Day) bool {
	return m.busy || !m.tried && m.asOf.Before(today.Time)
}

// standings are the active models with a live clock that have a run in force, by key.
func standings(ctx context.Context, q postgres.Querier, tenantID int32, today tenant.Day) (map[string]standing, error) {
	rows, err := q.Query(ctx, `SELECT m.key, m.kind, m.params, r.as_of, r.calibrated_on,
			EXISTS (SELECT FROM score_runs x WHERE x.tenant_id = m.tenant_id AND x.model_id = m.id AND x.as_of = $2 AND x.live),
			EXISTS (SELECT FROM score_runs x JOIN jobs j ON j.tenant_id = x.tenant_id AND j.id = x.job_id
				WHERE x.tenant_id = m.tenant_id AND x.model_id = m.id AND x.status = 'queued' AND j.status IN ('queued', 'running'))
		FROM score_models m JOIN score_runs r ON r.tenant_id = m.tenant_id AND r.run_no = m.current_run
		WHERE m.tenant_id = $1 AND m.clock_day IS NULL AND m.retired_at IS NULL`, tenantID, today.Time)
	if err != nil {
		return nil, fmt.Errorf("read where score models stand: %w", err)
	}
	defer rows.Close()
	all := map[string]standing{}
	for rows.Next() {
		var m standing
		var params []byte
		var calibrated *time.Time
		if err := rows.Scan(&m.Key, &m.Kind, &params, &m.asOf.Time, &calibrated, &m.tried, &m.busy); err != nil {
			return nil, fmt.Errorf("read where score models stand: %w", err)
		}
		if calibrated != nil {
			m.calibratedOn = &tenant.Day{Time: *calibrated}
		}
		if m.Params, err = readParams(m.Kind, params); err != nil {
			return nil, err
		}
		all[m.Key] = m
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read where score models stand: %w", err)
	}
	return all, nil
}

// How long the history is whole, and how long it has one score a week; later it has one a month.
const (
	wholeDays  = 35
	weeklyDays = 365
)

// thinned is in how many weeks all of the history is gone through: each week has its share of the customers.
const thinned = 4

// thin removes from the history of models what is older than it is kept for, of this week's share of the customers.
func (s *Service) thin(ctx context.Context, tenantID int32, models []uuid.UUID) error {
	now := s.now()
	_, week := now.ISOWeek()
	after := uuid.Nil
	for n := 0; ; n++ {
		var upTo *uuid.UUID
		err := s.db.QueryRow(ctx, `SELECT (SELECT id FROM (SELECT id FROM customers WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3) c
			ORDER BY id DESC LIMIT 1)`, tenantID, after, chunk).Scan(&upTo)
		if err != nil {
			return fmt.Errorf("thin the history of scores: %w", err)
		}
		if upTo == nil {
			return nil
		}
		if n%thinned == week%thinned {
			if err := s.thinSome(ctx, tenantID, models, after, *upTo, now); err != nil {
				return err
			}
		}
		after = *upTo
	}
}

// thinSome thins the history of the customers after one id up to another.
func (s *Service) thinSome(ctx context.Context, tenantID int32, models []uuid.UUID, after, upTo uuid.UUID, now time.Time) error {
	_, err := s.db.Exec(ctx, `DELETE FROM score_history h USING (SELECT customer_id, model_id, scored_at, row_number() OVER (PARTITION BY customer_id, model_id,
				CASE WHEN scored_at < $6 THEN date_trunc('month', scored_at) ELSE date_trunc('week', scored_at) END ORDER BY scored_at DESC) AS n
			FROM score_history WHERE tenant_id = $1 AND model_id = ANY($2) AND customer_id > $3 AND customer_id <= $4 AND scored_at < $5) d
		WHERE h.tenant_id = $1 AND h.customer_id = d.customer_id AND h.model_id = d.model_id AND h.scored_at = d.scored_at AND d.n > 1`,
		tenantID, models, after, upTo, now.AddDate(0, 0, -wholeDays), now.AddDate(0, 0, -weeklyDays))
	if err != nil {
		return fmt.Errorf("thin the history of scores: %w", err)
	}
	return nil
}
