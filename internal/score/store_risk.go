package score

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// holdParts keeps the runs in force of all models that can be parts until the transaction ends: whoever puts another one
// into force waits.
func holdParts(ctx context.Context, tx postgres.Tx, tenantID int32) error {
	_, err := tx.Exec(ctx, `SELECT FROM score_models WHERE tenant_id = $1 AND kind IN ('clv', 'churn') ORDER BY id FOR SHARE`, tenantID)
	if err != nil {
		return fmt.Errorf("hold the parts of value at risk: %w", err)
	}
	return nil
}

// parts are the scores that value at risk is made of on a day: for each model the run in force, or where that is of a
// later day the newest one kept that is not. Keys that p leaves open become those of the first models of their kind that
// have a run in force. Fails with ErrNoParts.
func parts(ctx context.Context, q postgres.Querier, tenantID int32, p *Params, asOf tenant.Day) (clv, churn Part, err error) {
	one := func(kind Kind, key *string) (Part, error) {
		var x Part
		var day time.Time
		err := q.QueryRow(ctx, `SELECT m.key, r.id, r.as_of, r.run_no
			FROM score_models m JOIN score_runs r ON r.tenant_id = m.tenant_id AND r.model_id = m.id
			WHERE m.tenant_id = $1 AND m.kind = $2 AND ($3 = '' AND m.current_run IS NOT NULL OR m.key = $3)
				AND r.status = 'succeeded' AND r.dropped_at IS NULL AND r.as_of <= $4
			ORDER BY m.key, r.run_no = m.current_run DESC NULLS LAST, r.as_of DESC, r.run_no DESC LIMIT 1`,
			tenantID, string(kind), *key, asOf.Time).Scan(&x.Key, &x.RunID, &day, &x.no)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return x, ErrNoParts
		case err != nil:
			return x, fmt.Errorf("read a part of value at risk: %w", err)
		}
		x.AsOf = tenant.Day{Time: day}
		*key = x.Key
		return x, nil
	}
	if clv, err = one(CLV, &p.CLVModel); err != nil {
		return clv, churn, err
	}
	churn, err = one(Churn, &p.ChurnModel)
	return clv, churn, err
}

// risks are the tenant's value_at_risk models, locked until the transaction ends, but not for those who hold what
// conditions name.
func risks(ctx context.Context, tx postgres.Tx, tenantID int32) ([]Model, error) {
	_, err := tx.Exec(ctx, `SELECT FROM score_models WHERE tenant_id = $1 AND kind = $2 ORDER BY id FOR NO KEY UPDATE`, tenantID, string(AtRisk))
	if err != nil {
		return nil, fmt.Errorf("lock the models of value at risk: %w", err)
	}
	var rows []modelRow
	err = tx.Session(ctx).Raw(modelSelect+` AND m.kind = ? ORDER BY m.key`, tenantID, string(AtRisk)).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("list the models of value at risk: %w", err)
	}
	all := make([]Model, len(rows))
	for i, r := range rows {
		if all[i], err = r.model(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// stageRisk scores everyone who has both parts, all in the database, and answers the limits of the bands. See riskValue.
func stageRisk(ctx context.Context, tx postgres.Tx, tenantID int32, clv, churn Part, scale float64) (map[string][]float64, error) {
	if err := makeStage(ctx, tx); err != nil {
		return nil, err
	}
	_, err := tx.Exec(ctx, `INSERT INTO score_stage (customer_id, value, label, inputs)
		SELECT v.customer_id, floor(v.value * l.value * $4 + 0.5) / $4, '', ARRAY[v.value, l.value]
		FROM scores v JOIN scores l ON l.tenant_id = v.tenant_id AND l.customer_id = v.customer_id AND l.run_no = $3
		JOIN customers c ON c.tenant_id = v.tenant_id AND c.id = v.customer_id
		WHERE v.tenant_id = $1 AND v.run_no = $2 AND c.deleted_at IS NULL AND c.merged_into IS NULL`,
		tenantID, clv.no, churn.no, scale)
	if err != nil {
		return nil, fmt.Errorf("stage value at risk: %w", err)
	}
	limits, err := quantiles(ctx, tx, `value`, `score_stage`)
	if err != nil || limits == nil {
		return map[string][]float64{}, err
	}
	return map[string][]float64{"value": limits}, nil
}

// waiting reports whether a run of the model as of that day or a later one has not begun yet.
func waiting(ctx context.Context, q postgres.Querier, tenantID int32, run Run) (bool, error) {
	var yes bool
	err := q.QueryRow(ctx, `SELECT EXISTS (SELECT FROM score_runs r JOIN jobs j ON j.tenant_id = r.tenant_id AND j.id = r.job_id
		WHERE r.tenant_id = $1 AND r.model_id = $2 AND r.as_of >= $3 AND r.status = 'queued' AND j.status = 'queued')`,
		tenantID, run.model, run.AsOf.Time).Scan(&yes)
	if err != nil {
		return false, fmt.Errorf("look for waiting runs: %w", err)
	}
	return yes, nil
}
