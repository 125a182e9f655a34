package score

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// predicting is a model of purchases with its run in force.
type predicting struct {
	key         string
	kind        Kind
	params      Params
	live        bool // its scores are of today
	run         uuid.UUID
	asOf        tenant.Day
	calibrated  tenant.Day
	calibration Calibration
}

// modelInForce is the clv or churn model of a key; the first one when key is empty, clv before churn. Fails with ErrNoPrediction.
func modelInForce(ctx context.Context, q postgres.Querier, tenantID int32, key string) (predicting, error) {
	var f predicting
	var asOf, learned time.Time
	var params, calibration []byte
	err := q.QueryRow(ctx, `SELECT m.key, r.kind, r.params, m.clock_day IS NULL AND r.live, r.id, r.as_of, coalesce(r.calibrated_on, r.as_of), r.calibration
		FROM score_models m JOIN score_runs r ON r.tenant_id = m.tenant_id AND r.run_no = m.current_run
		WHERE m.tenant_id = $1 AND m.kind IN ('clv', 'churn') AND ($2 = '' OR m.key = $2)
		ORDER BY m.kind DESC, m.key LIMIT 1`, tenantID, key).
		Scan(&f.key, &f.kind, &params, &f.live, &f.run, &asOf, &learned, &calibration)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return f, ErrNoPrediction
	case err != nil:
		return f, fmt.Errorf("read the model to predict with: %w", err)
	}
	f.asOf, f.calibrated = tenant.Day{Time: asOf}, tenant.Day{Time: learned}
	if f.params, err = readParams(f.kind, params); err != nil {
		return f, err
	}
	cal, err := readCalibration(calibration)
	if err != nil {
		return f, err
	}
	f.calibration = *cal
	return f, nil
}

// factOf is what one customer did up to a day; false for who has not bought.
func factOf(ctx context.Context, q postgres.Querier, tenantID int32, customer uuid.UUID, asOf tenant.Day) (fact, bool, error) {
	var f fact
	err := q.QueryRow(ctx, `SELECT x, t_x, t, spend, repeat_spend, company FROM (`+factsOf("AND t.customer_id = $4", "AND r.customer_id = $4")+`) f`,
		tenantID, asOf.Time, windowStart(asOf, 0).Time, customer).Scan(&f.x, &f.tx, &f.t, &f.spend, &f.repeatSpend, &f.company)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return f, false, nil
	case err != nil:
		return f, false, fmt.Errorf("read the facts of customer %s: %w", customer, err)
	}
	return f, true, nil
}
