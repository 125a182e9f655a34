package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// row is a line of table jobs; nothing outside this file sees it.
type row struct {
	TenantID    int32     `gorm:"primaryKey"`
	ID          uuid.UUID `gorm:"primaryKey"`
	Kind        string
	Status      string
	Progress    float64
	SubjectType string
	SubjectID   string
	Counts      json.RawMessage
	ErrorCode   *string
	ErrorDetail *string
	Actor       string
	ChangeSet   uuid.UUID
	Attempt     int
	Version     int64
	CreatedAt   time.Time
	StartedAt   *time.Time
	FinishedAt  *time.Time
}

func (row) TableName() string { return "jobs" }

func (r row) job() Job {
	j := Job{ID: r.ID, Kind: r.Kind, Status: Status(r.Status), Progress: r.Progress, SubjectType: r.SubjectType,
		SubjectID: r.SubjectID, Counts: map[string]int64{}, Actor: r.Actor, ChangeSet: r.ChangeSet, Attempt: r.Attempt,
		Version: r.Version, CreatedAt: r.CreatedAt, StartedAt: r.StartedAt, FinishedAt: r.FinishedAt}
	if r.ErrorCode != nil {
		j.ErrorCode = *r.ErrorCode
	}
	if r.ErrorDetail != nil {
		j.ErrorDetail = *r.ErrorDetail
	}
	if err := json.Unmarshal(r.Counts, &j.Counts); err != nil {
		j.Counts = map[string]int64{} // only this package writes it
	}
	return j
}

func insert(ctx context.Context, q postgres.Querier, tenantID int32, j Job) error {
	r := row{TenantID: tenantID, ID: j.ID, Kind: j.Kind, Status: string(j.Status), SubjectType: j.SubjectType,
		SubjectID: j.SubjectID, Counts: json.RawMessage("{}"), Actor: j.Actor, ChangeSet: j.ChangeSet, Version: j.Version,
		CreatedAt: j.CreatedAt}
	if err := q.Session(ctx).Create(&r).Error; err != nil {
		return fmt.Errorf("insert job %s: %w", j.ID, err)
	}
	return nil
}

func get(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID) (Job, error) {
	var r row
	err := q.Session(ctx).Where("tenant_id = ? AND id = ?", tenantID, id).Take(&r).Error
	switch {
	case postgres.IsNone(err):
		return Job{}, ErrNotFound
	case err != nil:
		return Job{}, fmt.Errorf("read job %s: %w", id, err)
	}
	return r.job(), nil
}

func list(ctx context.Context, q postgres.Querier, tenantID int32, query Query) (page.Of[Job], error) {
	// UUIDv7 ids are in the order of creation, so the primary key alone pages newest first.
	db := q.Session(ctx).Where("tenant_id = ?", tenantID).Order("id DESC").Limit(query.Page.Limit + 1)
	if len(query.Status) > 0 {
		db = db.Where("status IN ?", query.Status)
	}
	if query.Kind != "" {
		db = db.Where("kind = ?", query.Kind)
	}
	if query.Page.After != nil {
		db = db.Where("id < ?", query.Page.After[0])
	}
	var rows []row
	if err := db.Find(&rows).Error; err != nil {
		return page.Of[Job]{}, fmt.Errorf("list jobs: %w", err)
	}
	return page.Cut(rows, query.Page.Limit, func(r row) page.Key { return page.Key{r.ID.String()} }, row.job), nil
}

// take makes the job this attempt's. It answers false when the job has ended or another attempt is alive.
func take(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID, now, alive time.Time) (Job, bool, error) {
	var r row
	err := q.Session(ctx).Raw(`UPDATE jobs SET status = 'running', attempt = attempt + 1, heartbeat_at = ?,
			started_at = coalesce(started_at, ?), version = version + 1
		WHERE tenant_id = ? AND id = ? AND (status = 'queued' OR (status = 'running' AND heartbeat_at < ?))
		RETURNING *`, now, now, tenantID, id, alive).Take(&r).Error
	switch {
	case postgres.IsNone(err):
		return Job{}, false, nil
	case err != nil:
		return Job{}, false, fmt.Errorf("take job %s: %w", id, err)
	}
	return r.job(), true, nil
}

// own is the condition under which an attempt may still write: nobody has taken over or cancelled.
func own(db *gorm.DB, tenantID int32, j Job) *gorm.DB {
	return db.Model(&row{}).Where("tenant_id = ? AND id = ? AND attempt = ? AND status = 'running' AND NOT cancelling",
		tenantID, j.ID, j.Attempt)
}

func progress(ctx context.Context, q postgres.Querier, tenantID int32, j Job, now time.Time) error {
	counts, err := json.Marshal(j.Counts)
	if err != nil {
		return fmt.Errorf("write the counts of job %s: %w", j.ID, err)
	}
	res := own(q.Session(ctx), tenantID, j).Updates(map[string]any{"progress": j.Progress, "counts": counts,
		"heartbeat_at": now, "version": gorm.Expr("version + 1")})
	switch {
	case res.Error != nil:
		return fmt.Errorf("write the progress of job %s: %w", j.ID, res.Error)
	case res.RowsAffected == 0:
		return errLost
	}
	return nil
}

func heartbeat(ctx context.Context, q postgres.Querier, tenantID int32, j Job, now time.Time) error {
	res := own(q.Session(ctx), tenantID, j).Updates(map[string]any{"heartbeat_at": now})
	switch {
	case res.Error != nil:
		return fmt.Errorf("keep job %s alive: %w", j.ID, res.Error)
	case res.RowsAffected == 0:
		return errLost
	}
	return nil
}

// finish ends the job as this attempt left it; a job asked to stop ends as cancelled.
func finish(ctx context.Context, q postgres.Querier, tenantID int32, j Job) error {
	_, err := q.Exec(ctx, `UPDATE jobs SET status = CASE WHEN cancelling AND $4 <> 'succeeded' THEN 'cancelled' ELSE $4 END,
			progress = CASE WHEN $4 = 'succeeded' THEN 1 ELSE progress END,
			error_code = $5, error_detail = $6, finished_at = $7, version = version + 1
		WHERE tenant_id = $1 AND id = $2 AND attempt = $3 AND status = 'running'`,
		tenantID, j.ID, j.Attempt, string(j.Status), nilIfEmpty(j.ErrorCode), nilIfEmpty(j.ErrorDetail), j.FinishedAt)
	if err != nil {
		return fmt.Errorf("finish job %s: %w", j.ID, err)
	}
	return nil
}

func cancel(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID, now time.Time) error {
	_, err := q.Exec(ctx, `UPDATE jobs SET cancelling = true, version = version + 1,
			status = CASE status WHEN 'queued' THEN 'cancelled' ELSE status END,
			finished_at = CASE status WHEN 'queued' THEN $3 ELSE finished_at END
		WHERE tenant_id = $1 AND id = $2 AND status IN ('queued', 'running') AND NOT cancelling`, tenantID, id, now)
	if err != nil {
		return fmt.Errorf("cancel job %s: %w", id, err)
	}
	return nil
}

type abandoned struct {
	TenantID int32
	ID       uuid.UUID
}

// orphans are running jobs whose worker has not been heard of since.
func orphans(ctx context.Context, q postgres.Querier, since time.Time) ([]abandoned, error) {
	var rows []abandoned
	err := q.Session(ctx).Raw(`SELECT tenant_id, id FROM jobs
		WHERE status = 'running' AND heartbeat_at < ? LIMIT 100`, since).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("look for abandoned jobs: %w", err)
	}
	return rows, nil
}

func nilIfEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// Query asks for jobs.
type Query struct {
	Page   page.Request
	Status []Status
	Kind   string
}

// Of is the newest job about a subject, or ErrNotFound.
func Of(ctx context.Context, q postgres.Querier, t tenant.Tenant, subjectType, subjectID string) (Job, error) {
	var r row
	err := q.Session(ctx).Where("tenant_id = ? AND subject_type = ? AND subject_id = ?", t.ID, subjectType, subjectID).
		Order("id DESC").Limit(1).Take(&r).Error
	switch {
	case postgres.IsNone(err):
		return Job{}, ErrNotFound
	case err != nil:
		return Job{}, fmt.Errorf("read the job of %s %s: %w", subjectType, subjectID, err)
	}
	return r.job(), nil
}

// requeue gives a job back so that the queue's next try can take it.
func requeue(ctx context.Context, q postgres.Querier, tenantID int32, j Job) error {
	_, err := q.Exec(ctx, `UPDATE jobs SET status = CASE WHEN cancelling THEN 'cancelled' ELSE 'queued' END, version = version + 1
		WHERE tenant_id = $1 AND id = $2 AND attempt = $3 AND status = 'running'`, tenantID, j.ID, j.Attempt)
	if err != nil {
		return fmt.Errorf("give job %s back: %w", j.ID, err)
	}
	return nil
}
