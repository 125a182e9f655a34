package importer

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
)

// row is a line of table imports; nothing outside this file sees it.
type row struct {
	TenantID          int32     `gorm:"primaryKey"`
	ID                uuid.UUID `gorm:"primaryKey"`
	Version           int64
	Type              string
	Source            string
	Format            string
	Encoding          string
	Mapping           json.RawMessage
	Currency          *string
	RegistrationCheck string
	Status            string
	JobID             *uuid.UUID
	ChangeSet         uuid.UUID
	Actor             string
	UploadID          *uuid.UUID
	Gzipped           bool
	BytesTotal        int64
	RowsRead          int64
	Created           int64
	Updated           int64
	Unchanged         int64
	Failed            int64
	Warned            int64
	CustomersCreated  int64
	Blind             bool
	ErrorCode         *string
	ErrorEn           *string
	ErrorZh           *string
	CreatedAt         time.Time
	UpdatedAt         time.Time
}

func (row) TableName() string { return "imports" }

// selected reads imports i with their jobs j. While the import's own end is not written its status is the job's, so
// that a job which was cancelled or gave up never leaves an import that seems to run; both versions only rise, and
// so does their sum.
const selected = `SELECT i.tenant_id, i.id, i.version + coalesce(j.version, 0) AS version, i.type, i.source, i.format, i.encoding,
		i.mapping, i.currency, CASE i.status WHEN 'queued' THEN coalesce(j.status, i.status) ELSE i.status END AS status,
		i.job_id, i.change_set, i.actor, i.upload_id, i.gzipped, i.bytes_total, i.rows_read, i.created, i.updated, i.unchanged,
		i.failed, i.warned, i.registration_check, i.customers_created, i.blind, i.error_code, i.error_en, i.error_zh, i.created_at,
		greatest(i.updated_at, j.started_at, j.finished_at) AS updated_at
	FROM imports i LEFT JOIN jobs j ON j.tenant_id = i.tenant_id AND j.id = i.job_id `

func toRow(tenantID int32, im Import) (row, error) {
	mapping, err := json.Marshal(im.Mapping)
	if err != nil {
		return row{}, fmt.Errorf("write the mapping of import %s: %w", im.ID, err)
	}
	r := row{TenantID: tenantID, ID: im.ID, Version: im.Version, Type: string(im.Type), Source: im.Source, Format: im.Format,
		Encoding: im.Encoding, Mapping: mapping, Status: string(im.Status), JobID: im.JobID, ChangeSet: im.ChangeSet,
		Actor: im.Actor, Gzipped: im.gzipped, BytesTotal: im.Bytes, RowsRead: im.Counts.Rows, Created: im.Counts.Created,
		Updated: im.Counts.Updated, Unchanged: im.Counts.Unchanged, Failed: im.Counts.Failed, Warned: im.Counts.Warned, RegistrationCheck: im.RegistrationCheck,
		CustomersCreated: im.Counts.CustomersCreated, Blind: im.blind, CreatedAt: im.CreatedAt, UpdatedAt: im.UpdatedAt}
	if im.Currency != "" {
		r.Currency = &im.Currency
	}
	if im.upload != uuid.Nil {
		r.UploadID = &im.upload
	}
	if im.Error != nil {
		r.ErrorCode, r.ErrorEn, r.ErrorZh = &im.Error.Code, &im.Error.Detail.En, &im.Error.Detail.Zh
	}
	return r, nil
}

func (r row) imported() (Import, error) {
	im := Import{ID: r.ID, Version: r.Version, Type: Type(r.Type), Source: r.Source, Format: r.Format, Encoding: r.Encoding,
		Status: Status(r.Status), JobID: r.JobID, ChangeSet: r.ChangeSet, Actor: r.Actor, Bytes: r.BytesTotal,
		Counts: Counts{Rows: r.RowsRead, Created: r.Created, Updated: r.Updated, Unchanged: r.Unchanged, Failed: r.Failed, Warned: r.Warned,
			CustomersCreated: r.CustomersCreated},
		RegistrationCheck: r.RegistrationCheck, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(), gzipped: r.Gzipped, blind: r.Blind}
	if err := json.Unmarshal(r.Mapping, &im.Mapping); err != nil {
		return Import{}, fmt.Errorf("read the mapping of import %s: %w", r.ID, err)
	}
	if r.Currency != nil {
		im.Currency = *r.Currency
	}
	if r.UploadID != nil {
		im.upload = *r.UploadID
	}
	if r.ErrorCode != nil && r.ErrorEn != nil && r.ErrorZh != nil {
		im.Error = &Problem{Code: *r.ErrorCode, Detail: fault.T(*r.ErrorEn, *r.ErrorZh)}
	}
	return im, nil
}

func insert(ctx context.Context, q postgres.Querier, tenantID int32, im Import) error {
	r, err := toRow(tenantID, im)
	if err != nil {
		return err
	}
	if err := q.Session(ctx).Create(&r).Error; err != nil {
		return fmt.Errorf("insert import %s: %w", im.ID, err)
	}
	return nil
}

func get(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID) (Import, error) {
	var r row
	err := q.Session(ctx).Raw(selected+`WHERE i.tenant_id = ? AND i.id = ?`, tenantID, id).Take(&r).Error
	switch {
	case postgres.IsNone(err):
		return Import{}, ErrNotFound
	case err != nil:
		return Import{}, fmt.Errorf("read import %s: %w", id, err)
	}
	return r.imported()
}

func list(ctx context.Context, q postgres.Querier, tenantID int32, req page.Request) (page.Of[Import], error) {
	// UUIDv7 ids are in the order of creation, so the primary key alone pages newest first.
	before := "ffffffff-ffff-ffff-ffff-ffffffffffff"
	if req.After != nil {
		before = req.After[0]
	}
	var rows []row
	err := q.Session(ctx).Raw(selected+`WHERE i.tenant_id = ? AND i.id < ? ORDER BY i.id DESC LIMIT ?`,
		tenantID, before, req.Limit+1).Scan(&rows).Error
	if err != nil {
		return page.Of[Import]{}, fmt.Errorf("list imports: %w", err)
	}
	var bad error
	p := page.Cut(rows, req.Limit, func(r row) page.Key { return page.Key{r.ID.String()} }, func(r row) Import {
		im, err := r.imported()
		if err != nil {
			bad = err
		}
		return im
	})
	return p, bad
}

type errorRow struct {
	Line                                    int64
	Col, Code, Severity, DetailEn, DetailZh string
}

func listErrors(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID, req page.Request) (page.Of[RowError], error) {
	line, col, code := int64(0), "", ""
	if len(req.After) == 3 {
		var err error
		if line, err = strconv.ParseInt(req.After[0], 10, 64); err != nil {
			return page.Of[RowError]{}, page.ErrCursor
		}
		col, code = req.After[1], req.After[2]
	}
	var rows []errorRow
	err := q.Session(ctx).Raw(`SELECT line, col, code, severity, detail_en, detail_zh FROM import_errors
		WHERE tenant_id = ? AND import_id = ? AND (line, col, code) > (?, ?, ?) ORDER BY line, col, code LIMIT ?`,
		tenantID, id, line, col, code, req.Limit+1).Scan(&rows).Error
	if err != nil {
		return page.Of[RowError]{}, fmt.Errorf("list the errors of import %s: %w", id, err)
	}
	return page.Cut(rows, req.Limit,
		func(r errorRow) page.Key { return page.Key{strconv.FormatInt(r.Line, 10), r.Col, r.Code} },
		func(r errorRow) RowError {
			return RowError{Line: r.Line, Column: r.Col, Warning: r.Severity == warning, Problem: Problem{r.Code, fault.T(r.DetailEn, r.DetailZh)}}
		}), nil
}

// warning is the severity of what did not keep a row from being written.
const warning = "warning"

// keepErrors stores what is wrong with rows.
func keepErrors(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID, errs []RowError) error {
	if len(errs) == 0 {
		return nil
	}
	lines, cols, codes := make([]int64, len(errs)), make([]string, len(errs)), make([]string, len(errs))
	en, zh, severities := make([]string, len(errs)), make([]string, len(errs)), make([]string, len(errs))
	for i, e := range errs {
		severities[i] = "error"
		if e.Warning {
			severities[i] = warning
		}
		lines[i], cols[i], codes[i], en[i], zh[i] = e.Line, e.Column, e.Code, e.Detail.En, e.Detail.Zh
	}
	_, err := q.Exec(ctx, `INSERT INTO import_errors (tenant_id, import_id, line, col, code, detail_en, detail_zh, severity)
		SELECT $1, $2, * FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[]) ON CONFLICT DO NOTHING`,
		tenantID, id, lines, cols, codes, en, zh, severities)
	if err != nil {
		return fmt.Errorf("keep the errors of import %s: %w", id, err)
	}
	return nil
}

func countErrors(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID) (n int, err error) {
	err = q.QueryRow(ctx, `SELECT count(*) FROM import_errors WHERE tenant_id = $1 AND import_id = $2`, tenantID, id).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count the errors of import %s: %w", id, err)
	}
	return n, nil
}

// advance writes how far the import is. It fails when another worker has been here since from was read.
func advance(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID, from, to Counts, now time.Time) error {
	tag, err := q.Exec(ctx, `UPDATE imports SET rows_read = $4, created = $5, updated = $6, unchanged = $7, failed = $8,
			customers_created = $9, updated_at = $10, warned = $11, version = version + 1
		WHERE tenant_id = $1 AND id = $2 AND rows_read = $3 AND status = 'queued'`,
		tenantID, id, from.Rows, to.Rows, to.Created, to.Updated, to.Unchanged, to.Failed, to.CustomersCreated, now, to.Warned)
	switch {
	case err != nil:
		return fmt.Errorf("write the progress of import %s: %w", id, err)
	case tag.RowsAffected() != 1:
		return fmt.Errorf("write the progress of import %s: somebody else has moved it", id)
	}
	return nil
}

// end writes how the import has ended, and p when its file can't be read, and lets go of the file.
func end(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID, status Status, p *Problem, now time.Time) error {
	var code, en, zh *string
	if p != nil {
		code, en, zh = &p.Code, &p.Detail.En, &p.Detail.Zh
	}
	_, err := q.Exec(ctx, `UPDATE imports SET status = $3, error_code = $4, error_en = $5, error_zh = $6, updated_at = $7,
			version = version + 1
		WHERE tenant_id = $1 AND id = $2`, tenantID, id, string(status), code, en, zh, now)
	if err != nil {
		return fmt.Errorf("end import %s: %w", id, err)
	}
	return dropContent(ctx, q, tenantID, id)
}

// abandoned is an import that ended, or never began, without its own doing.
type abandoned struct {
	id, changeSet uuid.UUID
	status        Status
}

// settle writes the end of imports whose job has ended for them: cancelled, or given up after all tries. stopping
// is a job that is being cancelled right now, by whom its handler is.
func settle(ctx context.Context, q postgres.Querier, tenantID int32, stopping uuid.UUID, now time.Time) ([]abandoned, error) {
	rows, err := q.Query(ctx, `UPDATE imports i SET status = CASE WHEN j.cancelling THEN 'cancelled' ELSE j.status END,
			version = i.version + 1, updated_at = $3
		FROM jobs j WHERE i.tenant_id = $1 AND i.status = 'queued' AND j.tenant_id = i.tenant_id AND j.id = i.job_id
			AND (j.status IN ('failed', 'cancelled') OR (j.id = $2 AND j.cancelling))
		RETURNING i.id, i.change_set, i.status`, tenantID, stopping, now)
	if err != nil {
		return nil, fmt.Errorf("settle imports: %w", err)
	}
	defer rows.Close()
	var all []abandoned
	for rows.Next() {
		var a abandoned
		if err := rows.Scan(&a.id, &a.changeSet, &a.status); err != nil {
			return nil, fmt.Errorf("settle imports: %w", err)
		}
		all = append(all, a)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("settle imports: %w", err)
	}
	rows.Close()
	for _, a := range all {
		if err := dropContent(ctx, q, tenantID, a.id); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// seen adds n rows of each hash to those that the import has had, and answers how many there were before.
func seen(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID, hashes [][]byte, n []int32) (map[string]int32, error) {
	before := make(map[string]int32, len(hashes))
	if len(hashes) == 0 {
		return before, nil
	}
	rows, err := q.Query(ctx, `INSERT INTO import_row_counts AS c (tenant_id, import_id, row_hash, seen)
		SELECT $1, $2, x.hash, x.n FROM unnest($3::bytea[], $4::integer[]) x (hash, n)
		ON CONFLICT ON CONSTRAINT import_row_counts_pkey DO UPDATE SET seen = c.seen + excluded.seen
		RETURNING row_hash, seen`, tenantID, id, hashes, n)
	if err != nil {
		return nil, fmt.Errorf("count the twins of import %s: %w", id, err)
	}
	defer rows.Close()
	for rows.Next() {
		var hash []byte
		var total int32
		if err := rows.Scan(&hash, &total); err != nil {
			return nil, fmt.Errorf("count the twins of import %s: %w", id, err)
		}
		before[string(hash)] = total
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("count the twins of import %s: %w", id, err)
	}
	for i, h := range hashes {
		before[string(h)] -= n[i]
	}
	return before, nil
}
