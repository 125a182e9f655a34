package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	importPairs  = 3
	importTarget = 0.4
	memoryTarget = 32 << 20
	memoryTimes  = 10
	// pollEvery is half of what kezi import waits between two looks at its job.
	pollEvery = 50 * time.Millisecond
)

// measureImport compares an import through the API, from the first request to the job's end, with plain SQL that
// leaves the same behind. Each side works on a database of its own that was empty.
func (b *bench) measureImport(ctx context.Context) error {
	var took, spent [2][]float64 // spent is processor time of the database
	var own, ratios []float64    // own is processor time of the service
	for pair := range importPairs {
		var names [2]string
		var seconds [2]float64
		for turn := range 2 {
			side := (pair + turn) % 2
			name, err := b.fresh(ctx, "import")
			if err != nil {
				return err
			}
			names[side] = name
			// What the one before left to the checkpointer must not be paid for by the next.
			if err := b.admin(ctx, "CHECKPOINT"); err != nil {
				return err
			}
			var d time.Duration
			before := b.databaseTime()
			if side == 0 {
				var m importMeasure
				m, err = b.importByAPI(ctx, name, b.file.path)
				d, own = m.took, append(own, m.spent.Seconds())
			} else {
				d, err = b.importPlainly(ctx, name, b.file)
			}
			if err != nil {
				return err
			}
			// Connections that end are counted a moment later.
			time.Sleep(100 * time.Millisecond)
			spent[side] = append(spent[side], (b.databaseTime() - before).Seconds())
			seconds[side] = d.Seconds()
		}
		if err := b.sameContent(ctx, names); err != nil {
			return err
		}
		for _, name := range names {
			if err := b.drop(ctx, name); err != nil {
				return err
			}
		}
		took[0], took[1] = append(took[0], seconds[0]), append(took[1], seconds[1])
		ratios = append(ratios, seconds[1]/seconds[0])
	}
	progress("import: seconds of kezi: %s, of plain SQL: %s", joined(took[0]), joined(took[1]))
	b.report.add("import of the CDNOW master", fmt.Sprintf("%.2f s", median(took[0])), fmt.Sprintf("%.2f s", median(took[1])),
		median(ratios), importTarget)
	b.report.note("import: POST, PUT and the job to its end, median of %d alternating pairs (%s), a new database each. Reference: "+
		"COPY into a temporary table and an INSERT ... SELECT per table, in one transaction.", importPairs, spread(ratios))
	if median(spent[0]) > 0 {
		b.report.note("import: processor time, which other work on the machine disturbs less: %.2f s of the service and %.2f s of its "+
			"database, %.2f s of the database by plain SQL (%.2f).", median(own), median(spent[0]), median(spent[1]),
			median(spent[1])/(median(own)+median(spent[0])))
	}
	return nil
}

// measureMemory compares the peak of the service's resident memory for the master and for ten times as many rows of
// ten times as many customers.
func (b *bench) measureMemory(ctx context.Context) error {
	large := filepath.Join(b.dir, "large.csv.gz")
	if err := b.file.times(memoryTimes, large); err != nil {
		return err
	}
	var peaks [2]int64
	var took [2]time.Duration
	for i, path := range []string{b.file.path, large} {
		name, err := b.fresh(ctx, "memory")
		if err != nil {
			return err
		}
		m, err := b.importByAPI(ctx, name, path)
		if err != nil {
			return err
		}
		took[i], peaks[i] = m.took, m.peak
		if peaks[i] == 0 {
			b.report.note("memory: not measured, this system does not tell the peak of a process's memory.")
			return nil
		}
		if err := b.drop(ctx, name); err != nil {
			return err
		}
	}
	more := peaks[1] - peaks[0]
	b.report.lines = append(b.report.lines, line{fmt.Sprintf("memory of an import %d times as large", memoryTimes), mebibytes(peaks[1]),
		mebibytes(peaks[0]), fmt.Sprintf("%+.1f MB", float64(more)/(1<<20)), "<= +32 MB", verdict(more <= memoryTarget)})
	b.report.note("memory: peak resident set (VmHWM) of the service's process; the database and the sender are others. The file "+
		"of %d times the customers took %.1f s, the other one %.1f s.", memoryTimes, took[1].Seconds(), took[0].Seconds())
	return nil
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/(1<<20)) }

// importMeasure is what an import through the API took; spent and peak are 0 where the system does not tell.
type importMeasure struct {
	took  time.Duration
	spent time.Duration // processor time of the service's process
	peak  int64         // of its memory
}

// importByAPI runs a service on the database and imports the file as kezi import does.
func (b *bench) importByAPI(ctx context.Context, database, path string) (m importMeasure, err error) {
	p, err := b.spawn(ctx, roleService, database)
	if err != nil {
		return importMeasure{}, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	// The workers may still be starting; a service that runs has done so long ago.
	time.Sleep(500 * time.Millisecond)
	file, err := os.Open(path)
	if err != nil {
		return importMeasure{}, err
	}
	defer file.Close() //nolint:errcheck // it is only read

	idle := p.processorTime()
	began := time.Now()
	created, err := json.Marshal(map[string]any{"type": "transactions", "source": "cdnow", "currency": "USD",
		"mapping": map[string]string{"customer_external_id": "customer_id", "occurred_at": "date", "amount_minor": "amount_cents",
			"units": "units"}})
	if err != nil {
		return importMeasure{}, err
	}
	var im, job struct {
		ID     string         `json:"id"`
		Status string         `json:"status"`
		Counts map[string]int `json:"counts"`
		Error  any            `json:"error"`
	}
	err = b.call(ctx, p, http.MethodPost, "/v1/imports", bytes.NewReader(created), http.Header{"Content-Type": {"application/json"}}, &im)
	if err != nil {
		return importMeasure{}, err
	}
	err = b.call(ctx, p, http.MethodPut, "/v1/imports/"+im.ID+"/content", file,
		http.Header{"Content-Type": {"application/octet-stream"}, "Content-Encoding": {"gzip"}}, &job)
	if err != nil {
		return importMeasure{}, err
	}
	for job.Status != "succeeded" {
		if job.Status == "failed" || job.Status == "cancelled" {
			return importMeasure{}, fmt.Errorf("the import's job %s: %v", job.Status, job.Error)
		}
		select {
		case <-ctx.Done():
			return importMeasure{}, ctx.Err()
		case <-time.After(pollEvery):
		}
		if err := b.call(ctx, p, http.MethodGet, "/v1/jobs/"+job.ID, nil, nil, &job); err != nil {
			return importMeasure{}, err
		}
	}
	m = importMeasure{time.Since(began), p.processorTime() - idle, p.peak()}
	if job.Counts["failed"] != 0 || job.Counts["created"] != job.Counts["rows"] {
		return importMeasure{}, fmt.Errorf("not every row of %s was imported: %v", path, job.Counts)
	}
	return m, nil
}

// call sends a request to the service and decodes its answer into out.
func (b *bench) call(ctx context.Context, p *process, method, path string, body io.Reader, header http.Header, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+p.address+path, body)
	if err != nil {
		return err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	req.Header.Set("Authorization", "Bearer "+b.token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %d %s", method, path, res.StatusCode, answer)
	}
	return json.Unmarshal(answer, out)
}

// contents are what both sides must have left behind: everything but ids and times of creation, which are each one's
// own. Each answers a number of rows and a digest; rows that hang on nothing would be missing from the digest and are
// seen by their number.
var contents = []struct{ what, sql string }{
	{"customers", `SELECT (SELECT count(*) FROM customers), md5(string_agg(x.r, E'\n' ORDER BY x.r)) FROM
		(SELECT (e.source, e.external_id, c.tenant_id, c.version, c.kind, c.name, c.stage, c.source_channel, c.source_detail,
				c.source_campaign, c.owner, c.country, c.province, c.city, c.industry, c.deleted_at, c.merged_into)::text AS r
			FROM customers c JOIN external_ids e ON e.customer_id = c.id) x`},
	{"external ids", `SELECT count(*), md5(string_agg(tenant_id || source || external_id, E'\n' ORDER BY source, external_id)) FROM external_ids`},
	{"metrics", `SELECT (SELECT count(*) FROM customer_metrics), md5(string_agg(x.r, E'\n' ORDER BY x.r)) FROM
		(SELECT (e.external_id, m.tenant_id, m.purchase_count, m.purchase_days, m.spend_total, m.first_day_spend, m.units_total,
				m.first_purchase_on, m.last_purchase_on)::text AS r
			FROM customer_metrics m JOIN external_ids e USING (customer_id)) x`},
	{"transactions with their keys", `SELECT (SELECT count(*) FROM transactions), md5(string_agg(x.r, E'\n' ORDER BY x.r)) FROM
		(SELECT (k.key, k.source, e.external_id, t.tenant_id, t.version, t.source, t.external_id, t.status, t.occurred_at, t.date_only,
				t.day, t.amount, t.currency, t.base_amount, t.units, t.channel)::text AS r
			FROM transactions t JOIN external_ids e USING (customer_id)
			JOIN transaction_keys k ON k.transaction_id = t.id AND k.customer_id = t.customer_id) x`},
	{"keys of transactions", `SELECT count(*), md5(string_agg(source || key, E'\n' ORDER BY source, key)) FROM transaction_keys`},
	{"items of change sets", `SELECT (SELECT count(*) FROM change_set_items), md5(string_agg(e.external_id, E'\n' ORDER BY e.external_id))
		FROM change_set_items JOIN external_ids e USING (customer_id)`},
}

// digest is what one of contents answers.
type digest struct {
	rows int64
	sum  string
}

// sameContent fails unless two databases hold the same.
func (b *bench) sameContent(ctx context.Context, names [2]string) error {
	var all [2][]digest
	for i, name := range names {
		var err error
		if all[i], err = b.digests(ctx, name); err != nil {
			return err
		}
	}
	for i, c := range contents {
		if ours, theirs := all[0][i], all[1][i]; ours != theirs {
			return fmt.Errorf("the %s differ: %d rows (%s) by the API, %d (%s) by plain SQL", c.what, ours.rows, ours.sum, theirs.rows, theirs.sum)
		}
	}
	return nil
}

func (b *bench) digests(ctx context.Context, database string) ([]digest, error) {
	conn, err := pgx.Connect(ctx, b.server.DSN(database))
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is open on it
	// Joining tables without statistics can take very long.
	if _, err := conn.Exec(ctx, "ANALYZE"); err != nil {
		return nil, err
	}
	all := make([]digest, len(contents))
	for i, c := range contents {
		if err := conn.QueryRow(ctx, c.sql).Scan(&all[i].rows, &all[i].sum); err != nil {
			return nil, fmt.Errorf("compare %s: %w", c.what, err)
		}
	}
	return all, nil
}
