package importer

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/seal"
)

// chunkSize is the size of a chunk: what an upload and a worker each keep of a file in memory.
const chunkSize = 512 << 10

// beginUpload makes upload the one that counts, and drops what earlier ones left. Fails with ErrHasContent.
func beginUpload(ctx context.Context, q postgres.Querier, tenantID int32, id, upload uuid.UUID, gzipped bool, now time.Time) error {
	tag, err := q.Exec(ctx, `UPDATE imports SET status = 'uploading', upload_id = $3, gzipped = $4, updated_at = $5,
			version = version + 1
		WHERE tenant_id = $1 AND id = $2 AND status IN ('created', 'uploading')`, tenantID, id, upload, gzipped, now)
	switch {
	case err != nil:
		return fmt.Errorf("begin an upload of import %s: %w", id, err)
	case tag.RowsAffected() == 0:
		return ErrHasContent
	}
	return dropContent(ctx, q, tenantID, id)
}

// chunkPlace is what a piece of an upload is bound to.
func chunkPlace(upload uuid.UUID, seq int) string {
	return seal.At("import_chunks", upload, "data") + ":" + strconv.Itoa(seq)
}

// addChunk stores one piece of an upload, sealed: files are full of names and numbers. The lock on the import makes a later upload wait before it deletes, so
// that no piece is left behind. Fails with ErrSuperseded.
func addChunk(ctx context.Context, q postgres.Querier, tenantID int32, id, upload uuid.UUID, seq int, data seal.Sealed) error {
	tag, err := q.Exec(ctx, `INSERT INTO import_chunks (tenant_id, import_id, upload_id, seq, data, sealed)
		SELECT i.tenant_id, i.id, i.upload_id, $4, $5, true FROM imports i
		WHERE i.tenant_id = $1 AND i.id = $2 AND i.upload_id = $3 AND i.status = 'uploading' FOR SHARE`,
		tenantID, id, upload, seq, []byte(data))
	switch {
	case err != nil:
		return fmt.Errorf("store chunk %d of import %s: %w", seq, id, err)
	case tag.RowsAffected() == 0:
		return ErrSuperseded
	}
	return nil
}

// endUpload hands the import over to its job. Fails with ErrSuperseded.
func endUpload(ctx context.Context, q postgres.Querier, tenantID int32, id, upload, job uuid.UUID, bytes int64, now time.Time) error {
	tag, err := q.Exec(ctx, `UPDATE imports SET status = 'queued', job_id = $4, bytes_total = $5, updated_at = $6,
			version = version + 1
		WHERE tenant_id = $1 AND id = $2 AND upload_id = $3 AND status = 'uploading'`, tenantID, id, upload, job, bytes, now)
	switch {
	case err != nil:
		return fmt.Errorf("end the upload of import %s: %w", id, err)
	case tag.RowsAffected() == 0:
		return ErrSuperseded
	}
	return nil
}

// abortUpload undoes an upload that broke off, unless a later one has taken its place.
func abortUpload(ctx context.Context, q postgres.Querier, tenantID int32, id, upload uuid.UUID, now time.Time) error {
	tag, err := q.Exec(ctx, `UPDATE imports SET status = 'created', upload_id = NULL, gzipped = false, updated_at = $4,
			version = version + 1
		WHERE tenant_id = $1 AND id = $2 AND upload_id = $3 AND status = 'uploading'`, tenantID, id, upload, now)
	if err != nil {
		return fmt.Errorf("undo an upload of import %s: %w", id, err)
	}
	if tag.RowsAffected() == 0 {
		return nil
	}
	return dropContent(ctx, q, tenantID, id)
}

// dropForsaken undoes the uploads that began before since: the processes that took them in are gone.
func dropForsaken(ctx context.Context, q postgres.Querier, tenantID int32, since, now time.Time) error {
	_, err := q.Exec(ctx, `WITH gone AS (UPDATE imports SET status = 'created', upload_id = NULL, gzipped = false,
				updated_at = $3, version = version + 1
			WHERE tenant_id = $1 AND status = 'uploading' AND updated_at < $2 RETURNING id)
		DELETE FROM import_chunks c USING gone WHERE c.tenant_id = $1 AND c.import_id = gone.id`, tenantID, since, now)
	if err != nil {
		return fmt.Errorf("drop forsaken uploads: %w", err)
	}
	return nil
}

// dropContent forgets the file and what is only of use while it is read.
func dropContent(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID) error {
	for _, table := range []string{"import_chunks", "import_row_counts"} {
		_, err := q.Exec(ctx, `DELETE FROM `+table+` WHERE tenant_id = $1 AND import_id = $2`, tenantID, id)
		if err != nil {
			return fmt.Errorf("drop the content of import %s: %w", id, err)
		}
	}
	return nil
}

// chunks reads an upload in order.
type chunks struct {
	ctx                context.Context
	q                  postgres.Querier
	keys               *seal.Keys
	tenantID           int32
	importID, uploadID uuid.UUID
	seq                int
	data               []byte
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.data) == 0 {
		var sealed bool
		err := c.q.QueryRow(c.ctx, `SELECT data, sealed FROM import_chunks
			WHERE tenant_id = $1 AND import_id = $2 AND upload_id = $3 AND seq = $4`,
			c.tenantID, c.importID, c.uploadID, c.seq).Scan(&c.data, &sealed)
		switch {
		case postgres.IsNone(err):
			return 0, io.EOF
		case err != nil:
			return 0, fmt.Errorf("read chunk %d of import %s: %w", c.seq, c.importID, err)
		}
		if sealed { // others are from before files were
			plain, err := c.keys.Open(c.data, chunkPlace(c.uploadID, c.seq))
			if err != nil {
				return 0, fmt.Errorf("read chunk %d of import %s: %w", c.seq, c.importID, err)
			}
			c.data = []byte(plain)
		}
		c.seq++
	}
	n := copy(p, c.data)
	c.data = c.data[n:]
	return n, nil
}
