package score

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// modelRow is a line of table score_models with the id of the run in force; nothing outside the store sees it.
type modelRow struct {
	ID           uuid.UUID
	Key          string
	Version      int64
	Revision     int
	Name         string
	Kind         string
	Params       json.RawMessage
	ClockDay     *time.Time
	CurrentRunID *uuid.UUID
	RetiredAt    *time.Time
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

const modelSelect = `SELECT m.id, m.key, m.version, m.revision, m.name, m.kind, m.params, m.clock_day, r.id AS current_run_id,
		m.retired_at, m.created_at, m.updated_at
	FROM score_models m LEFT JOIN score_runs r ON r.tenant_id = m.tenant_id AND r.run_no = m.current_run
	WHERE m.tenant_id = ?`

func (r modelRow) model() (Model, error) {
	m := Model{ID: r.ID, Key: r.Key, Version: r.Version, Revision: r.Revision, Name: r.Name, Kind: Kind(r.Kind),
		CurrentRun: r.CurrentRunID, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC()}
	m.RetiredAt = postgres.UTC(r.RetiredAt)
	if r.ClockDay != nil {
		m.Clock.Fixed = &tenant.Day{Time: *r.ClockDay}
	}
	var err error
	m.Params, err = readParams(m.Kind, r.Params)
	return m, err
}

func insertModel(ctx context.Context, q postgres.Querier, tenantID int32, m Model) error {
	params, err := writeParams(m.Kind, m.Params)
	if err != nil {
		return err
	}
	_, err = q.Exec(ctx, `INSERT INTO score_models (tenant_id, id, key, version, revision, name, kind, params, clock_day,
			created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)`,
		tenantID, m.ID, m.Key, m.Version, m.Revision, m.Name, string(m.Kind), params, day(m.Clock.Fixed), m.CreatedAt)
	switch {
	case postgres.Violates(err, "score_models_key_key"):
		return ErrKeyTaken
	case err != nil:
		return fmt.Errorf("insert score model %s: %w", m.Key, err)
	}
	return nil
}

func updateModel(ctx context.Context, q postgres.Querier, tenantID int32, m Model) error {
	params, err := writeParams(m.Kind, m.Params)
	if err != nil {
		return err
	}
	tag, err := q.Exec(ctx, `UPDATE score_models SET version = $3, revision = $4, name = $5, params = $6, clock_day = $7,
			updated_at = $8, retired_at = $9 WHERE tenant_id = $1 AND id = $2 AND version = $3 - 1`,
		tenantID, m.ID, m.Version, m.Revision, m.Name, params, day(m.Clock.Fixed), m.UpdatedAt, m.RetiredAt)
	switch {
	case err != nil:
		return fmt.Errorf("update score model %s: %w", m.Key, err)
	case tag.RowsAffected() != 1:
		return fmt.Errorf("update score model %s: %d rows had its version", m.Key, tag.RowsAffected())
	}
	return nil
}

func oneModel(ctx context.Context, q postgres.Querier, tenantID int32, key string) (Model, error) {
	var r modelRow
	err := q.Session(ctx).Raw(modelSelect+` AND m.key = ?`, tenantID, key).Take(&r).Error
	switch {
	case postgres.IsNone(err):
		return Model{}, ErrNotFound
	case err != nil:
		return Model{}, fmt.Errorf("read score model %s: %w", key, err)
	}
	return r.model()
}

func models(ctx context.Context, q postgres.Querier, tenantID int32) ([]Model, error) {
	var rows []modelRow
	if err := q.Session(ctx).Raw(modelSelect+` ORDER BY m.key`, tenantID).Scan(&rows).Error; err != nil {
		return nil, fmt.Errorf("list score models: %w", err)
	}
	all := make([]Model, len(rows))
	for i, r := range rows {
		var err error
		if all[i], err = r.model(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// lockModel reads a model and keeps others from changing it or its runs until the transaction ends. It reads in a
// second statement: the first may have waited, and its snapshot would be from before.
func lockModel(ctx context.Context, tx postgres.Tx, tenantID int32, key string) (Model, error) {
	_, err := tx.Exec(ctx, `SELECT FROM score_models WHERE tenant_id = $1 AND key = $2 FOR UPDATE`, tenantID, key)
	if err != nil {
		return Model{}, fmt.Errorf("lock score model %s: %w", key, err)
	}
	return oneModel(ctx, tx, tenantID, key)
}

// lockIdle locks models as lockModel does, but for those that others have locked, and answers which.
func lockIdle(ctx context.Context, tx postgres.Tx, tenantID int32, ids []uuid.UUID) ([]uuid.UUID, error) {
	rows, err := tx.Query(ctx, `SELECT id FROM score_models WHERE tenant_id = $1 AND id = ANY($2) FOR UPDATE SKIP LOCKED`, tenantID, ids)
	if err != nil {
		return nil, fmt.Errorf("lock score models: %w", err)
	}
	idle, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("lock score models: %w", err)
	}
	return idle, nil
}

// deleteModel deletes a locked model with its runs and their scores, but for its history.
func deleteModel(ctx context.Context, tx postgres.Tx, tenantID int32, m Model, now time.Time) error {
	if err := dropScores(ctx, tx, tenantID, []uuid.UUID{m.ID}, 0, now, time.Second); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `WITH runs AS (DELETE FROM score_runs WHERE tenant_id = $1 AND model_id = $2),
		revisions AS (DELETE FROM score_model_revisions WHERE tenant_id = $1 AND model_id = $2)
		DELETE FROM score_models WHERE tenant_id = $1 AND id = $2`, tenantID, m.ID)
	if err != nil {
		return fmt.Errorf("delete score model %s: %w", m.Key, err)
	}
	return nil
}

// runRow is a line of table score_runs with what its model and job say about it; nothing outside the store sees it.
type runRow struct {
	ID          uuid.UUID
	RunNo       int64
	ModelID     uuid.UUID
	ModelKey    string
	Revision    int
	Kind        string
	Params      json.RawMessage
	AsOf        time.Time
	Activate    bool
	Status      string
	Current     bool
	Kept        bool
	JobID       uuid.UUID
	Version     int64
	Calibration json.RawMessage
	Customers   int64
	Scored      int64
	CreatedAt   time.Time
	FinishedAt  *time.Time
	ErrorCode   *string
	ErrorEn     string
	ErrorZh     string

	CalibratedBy *uuid.UUID
	CalibratedOn *time.Time
	Recalibrate  bool
	Live         bool
}

// runSelect shows a run that has not ended by its own as its job stands, so that one whose job was cancelled, or broke,
// is never shown as waiting. The two versions only grow, so their sum grows with every change of either.
const runSelect = `SELECT r.id, r.run_no, r.model_id, m.key AS model_key, r.revision, r.kind, r.params, r.as_of, r.activate,
		CASE r.status WHEN 'queued' THEN coalesce(j.status, 'failed') ELSE r.status END AS status,
		m.current_run IS NOT DISTINCT FROM r.run_no AS current, r.status = 'succeeded' AND r.dropped_at IS NULL AS kept,
		r.job_id, r.version + coalesce(j.version, 0) AS version, r.calibration, r.customers, r.scored, r.created_at,
		coalesce(r.finished_at, j.finished_at) AS finished_at, coalesce(r.error_code, j.error_code) AS error_code,
		coalesce(r.error_en, j.error_detail, '') AS error_en, coalesce(r.error_zh, j.error_detail, '') AS error_zh, r.calibrated_by, r.calibrated_on, r.recalibrate, r.live
	FROM score_runs r JOIN score_models m ON m.tenant_id = r.tenant_id AND m.id = r.model_id
	LEFT JOIN jobs j ON j.tenant_id = r.tenant_id AND j.id = r.job_id
	WHERE r.tenant_id = ?`

func (r runRow) run() (Run, error) {
	run := Run{ID: r.ID, ModelKey: r.ModelKey, Revision: r.Revision, Kind: Kind(r.Kind), AsOf: tenant.Day{Time: r.AsOf},
		Status: jobs.Status(r.Status), Current: r.Current, Kept: r.Kept, JobID: r.JobID, Version: r.Version,
		Customers: r.Customers, Scored: r.Scored, CreatedAt: r.CreatedAt.UTC(), no: r.RunNo, model: r.ModelID, activate: r.Activate,
		FinishedAt: postgres.UTC(r.FinishedAt), CalibratedBy: r.CalibratedBy, Live: r.Live, recalibrate: r.Recalibrate}
	if r.CalibratedOn != nil {
		run.CalibratedOn = &tenant.Day{Time: *r.CalibratedOn}
	}
	if r.ErrorCode != nil && run.Status == jobs.Failed {
		run.Failure = &Diagnostic{*r.ErrorCode, fault.T(r.ErrorEn, r.ErrorZh)}
	}
	var err error
	if run.Params, err = readParams(run.Kind, r.Params); err != nil {
		return Run{}, err
	}
	if len(r.Calibration) > 0 {
		run.Calibration, err = readCalibration(r.Calibration)
	}
	return run, err
}

// inProgress reports whether a run of the model has neither ended by itself nor lost its job.
func inProgress(ctx context.Context, q postgres.Querier, tenantID int32, model uuid.UUID) (bool, error) {
	var yes bool
	err := q.QueryRow(ctx, `SELECT EXISTS (SELECT FROM score_runs r JOIN jobs j ON j.tenant_id = r.tenant_id AND j.id = r.job_id
		WHERE r.tenant_id = $1 AND r.model_id = $2 AND r.status = 'queued' AND j.status IN ('queued', 'running'))`,
		tenantID, model).Scan(&yes)
	if err != nil {
		return false, fmt.Errorf("look for runs in progress: %w", err)
	}
	return yes, nil
}

func insertRun(ctx context.Context, q postgres.Querier, tenantID int32, r Run) error {
	params, err := writeParams(r.Kind, r.Params)
	if err != nil {
		return err
	}
	var cal json.RawMessage
	if r.Calibration != nil {
		if cal, err = writeCalibration(*r.Calibration); err != nil {
			return err
		}
	}
	_, err = q.Exec(ctx, `INSERT INTO score_runs (tenant_id, id, model_id, revision, kind, params, as_of, activate, status, job_id,
			version, created_at, calibration, calibrated_by, calibrated_on, recalibrate, live)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'queued', $9, 1, $10, $11, $12, $13, $14, $15)`,
		tenantID, r.ID, r.model, r.Revision, string(r.Kind), params, r.AsOf.Time, r.activate, r.JobID, r.CreatedAt, cal,
		r.CalibratedBy, day(r.CalibratedOn), r.recalibrate, r.Live)
	if err != nil {
		return fmt.Errorf("insert score run %s: %w", r.ID, err)
	}
	return nil
}

// oneRun is a run; of any model when key is empty.
func oneRun(ctx context.Context, q postgres.Querier, tenantID int32, key string, id uuid.UUID) (Run, error) {
	var r runRow
	err := q.Session(ctx).Raw(runSelect+` AND r.id = ? AND (? = '' OR m.key = ?)`, tenantID, id, key, key).Take(&r).Error
	switch {
	case postgres.IsNone(err):
		return Run{}, ErrRunNotFound
	case err != nil:
		return Run{}, fmt.Errorf("read score run %s: %w", id, err)
	}
	return r.run()
}

// runsOf are the runs that a job is to do, in the order asked for.
func runsOf(ctx context.Context, q postgres.Querier, tenantID int32, job uuid.UUID) ([]Run, error) {
	var rows []runRow
	if err := q.Session(ctx).Raw(runSelect+` AND r.job_id = ? ORDER BY r.run_no`, tenantID, job).Scan(&rows).Error; err != nil {
		return nil, fmt.Errorf("read the runs of job %s: %w", job, err)
	}
	all := make([]Run, len(rows))
	for i, r := range rows {
		var err error
		if all[i], err = r.run(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func runs(ctx context.Context, q postgres.Querier, tenantID int32, key string, req page.Request) (page.Of[Run], error) {
	sql, args := runSelect+` AND m.key = ?`, []any{tenantID, key}
	if req.After != nil {
		no, err := strconv.ParseInt(req.After[0], 10, 64)
		if err != nil {
			return page.Of[Run]{}, page.ErrCursor
		}
		sql, args = sql+` AND r.run_no < ?`, append(args, no)
	}
	var rows []runRow
	err := q.Session(ctx).Raw(sql+` ORDER BY r.run_no DESC LIMIT ?`, append(args, req.Limit+1)...).Scan(&rows).Error
	if err != nil {
		return page.Of[Run]{}, fmt.Errorf("list the runs of score model %s: %w", key, err)
	}
	var bad error
	p := page.Cut(rows, req.Limit, func(r runRow) page.Key { return page.Key{strconv.FormatInt(r.RunNo, 10)} }, func(r runRow) Run {
		run, err := r.run()
		if err != nil {
			bad = err
		}
		return run
	})
	return p, bad
}

// succeed ends a run with what it found.
func succeed(ctx context.Context, q postgres.Querier, tenantID int32, r Run, now time.Time) error {
	cal, err := writeCalibration(*r.Calibration)
	if err != nil {
		return err
	}
	_, err = q.Exec(ctx, `UPDATE score_runs SET status = 'succeeded', version = version + 1, calibration = $3, customers = $4,
			scored = $5, finished_at = $6, calibrated_by = coalesce(calibrated_by, id), calibrated_on = coalesce(calibrated_on, as_of)
		WHERE tenant_id = $1 AND id = $2`, tenantID, r.ID, cal, r.Customers, r.Scored, now)
	if err != nil {
		return fmt.Errorf("end score run %s: %w", r.ID, err)
	}
	return nil
}

// fail ends a run without scores; false says that it had ended before.
func fail(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID, why *fault.Fault, now time.Time) (bool, error) {
	tag, err := q.Exec(ctx, `UPDATE score_runs SET status = 'failed', version = version + 1, finished_at = $3, error_code = $4, error_en = $5, error_zh = $6
		WHERE tenant_id = $1 AND id = $2 AND status = 'queued'`, tenantID, id, now, why.Code, why.Message.En, why.Message.Zh)
	if err != nil {
		return false, fmt.Errorf("end score run %s: %w", id, err)
	}
	return tag.RowsAffected() == 1, nil
}

// setCurrent makes the run the one in force. The model must be locked.
func setCurrent(ctx context.Context, q postgres.Querier, tenantID int32, model uuid.UUID, runNo int64, now time.Time) error {
	// Both runs show whether they are in force, so both get a new version.
	_, err := q.Exec(ctx, `WITH runs AS (UPDATE score_runs SET version = version + 1,
			in_force_at = CASE WHEN run_no = $3 THEN $4 ELSE in_force_at END, archived_at = CASE WHEN run_no <> $3 THEN archived_at END WHERE tenant_id = $1 AND run_no IN
			($3, (SELECT current_run FROM score_models WHERE tenant_id = $1 AND id = $2)))
		UPDATE score_models SET current_run = $3, version = version + 1, updated_at = $4 WHERE tenant_id = $1 AND id = $2`,
		tenantID, model, runNo, now)
	if err != nil {
		return fmt.Errorf("put score run number %d into force: %w", runNo, err)
	}
	return nil
}

// day is a nullable date column.
func day(d *tenant.Day) *time.Time {
	if d == nil {
		return nil
	}
	return &d.Time
}

func insertRevision(ctx context.Context, q postgres.Querier, call tenant.Call, m Model) error {
	params, err := writeParams(m.Kind, m.Params)
	if err != nil {
		return err
	}
	_, err = q.Exec(ctx, `INSERT INTO score_model_revisions (tenant_id, model_id, revision, params, actor, created_at)
		VALUES ($1, $2, $3, $4, $5, $6)`, call.Tenant.ID, m.ID, m.Revision, params, call.Actor, m.UpdatedAt)
	if err != nil {
		return fmt.Errorf("insert revision %d of score model %s: %w", m.Revision, m.Key, err)
	}
	return nil
}

func revisions(ctx context.Context, q postgres.Querier, tenantID int32, m Model) ([]Revision, error) {
	rows, err := q.Query(ctx, `SELECT revision, params, actor, created_at FROM score_model_revisions
		WHERE tenant_id = $1 AND model_id = $2 ORDER BY revision DESC`, tenantID, m.ID)
	if err != nil {
		return nil, fmt.Errorf("read the revisions of score model %s: %w", m.Key, err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r Revision, err error) {
		var params []byte
		if err := row.Scan(&r.Revision, &params, &r.Actor, &r.CreatedAt); err != nil {
			return r, err
		}
		r.CreatedAt = r.CreatedAt.UTC()
		r.Params, err = readParams(m.Kind, params)
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the revisions of score model %s: %w", m.Key, err)
	}
	return all, nil
}

// lockClass is the first key of the advisory lock that kezi_scoring shares; the second one is the tenant's id.
const lockClass = 1803252337

// alone waits for those who re-score customers and makes the caller the only one who changes what scores are computed by
// until its transaction ends. It is taken before any lock on a model.
func alone(ctx context.Context, tx postgres.Tx, tenantID int32) error {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1, $2)`, lockClass, tenantID); err != nil {
		return fmt.Errorf("wait for those who re-score customers: %w", err)
	}
	return nil
}

// partRuns are the numbers of the runs that a composite's run takes its parts from; 0 where there is none. For the clock's
// day it is the run in force, whatever its day, since customers' writes have moved its scores on; for another the newest
// one of that very day.
func partRuns(ctx context.Context, q postgres.Querier, tenantID int32, r Run) ([]int64, error) {
	keys := make([]string, len(r.Params.Parts))
	for i, p := range r.Params.Parts {
		keys[i] = p.Score
	}
	var runs []int64
	err := q.QueryRow(ctx, `SELECT array_agg(coalesce(CASE WHEN $4 THEN m.current_run ELSE (SELECT max(r.run_no) FROM score_runs r
				WHERE r.tenant_id = m.tenant_id AND r.model_id = m.id AND r.as_of = $3 AND r.status = 'succeeded' AND r.dropped_at IS NULL) END, 0) ORDER BY k.n)
		FROM unnest($2::text[]) WITH ORDINALITY k (key, n) LEFT JOIN score_models m ON m.tenant_id = $1 AND m.key = k.key`,
		tenantID, keys, r.AsOf.Time, r.Live).Scan(&runs)
	if err != nil {
		return nil, fmt.Errorf("look for the runs of a composite's parts: %w", err)
	}
	return runs, nil
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
