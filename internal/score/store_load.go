package score

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// load makes the run's partition anew and copies everybody's scores into it, scored and encoded one block ahead of the
// database. Tables under row-level security refuse COPY: the partition comes under it when it is attached, before which
// nobody has the right to read it. The transaction is the run's own.
func (p *pass) load(ctx context.Context, tx postgres.Tx, r *scoring, now time.Time) error {
	if _, err := tx.Exec(ctx, `SELECT kezi_score_partition($1)`, r.no); err != nil {
		return fmt.Errorf("make the partition of run number %d: %w", r.no, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f := feed{ctx: ctx, blocks: make(chan []byte, 1), used: make(chan []byte, 2)}
	ended := make(chan error, 1)
	seen := grades{numbers: map[grade]uint8{}}
	go func() {
		defer close(f.blocks)
		ended <- p.encode(ctx, r, now, f, &seen)
	}()
	tag, err := tx.Pgx().Conn().PgConn().CopyFrom(ctx, &f, fmt.Sprintf(
		`COPY scores_%d (tenant_id, run_no, customer_id, value, band, label, inputs, as_of, scored_at) FROM STDIN (FORMAT binary, FREEZE)`, r.no))
	if err != nil {
		cancel() // nobody reads what is encoded
	}
	if failed := <-ended; failed != nil && (err == nil || !errors.Is(failed, context.Canceled)) {
		return failed // what came so far would be taken for all
	}
	if err != nil {
		return fmt.Errorf("load the scores of run number %d: %w", r.no, err)
	}
	r.Scored = tag.RowsAffected()
	if _, err := tx.Exec(ctx, `SELECT kezi_score_index($1)`, r.no); err != nil {
		return fmt.Errorf("index the scores of run number %d: %w", r.no, err)
	}
	return seen.keep(ctx, tx, p, r.no, now)
}

// attach makes a loaded partition one of all scores.
func attach(ctx context.Context, tx postgres.Tx, no int64) error {
	if _, err := tx.Exec(ctx, `SELECT kezi_score_attach($1)`, no); err != nil {
		return fmt.Errorf("attach the partition of run number %d: %w", no, err)
	}
	return nil
}

// feed reads blocks of bytes as they come, and gives their memory back.
type feed struct {
	ctx    context.Context //nolint:containedctx // a reader has no other way to hear of it
	blocks chan []byte
	used   chan []byte
	whole  []byte
	rest   []byte
}

// Read follows [io.Reader].
func (f *feed) Read(into []byte) (int, error) {
	for len(f.rest) == 0 {
		if f.whole != nil {
			select {
			case f.used <- f.whole:
			default:
			}
		}
		select {
		case next, more := <-f.blocks:
			if !more {
				return 0, io.EOF
			}
			f.whole, f.rest = next, next
		case <-f.ctx.Done():
			return 0, f.ctx.Err()
		}
	}
	n := copy(into, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

// encode scores block after block and writes the rows in the binary format of COPY, see its documentation.
func (p *pass) encode(ctx context.Context, r *scoring, now time.Time, to feed, seen *grades) error {
	send := func(b []byte) error {
		select {
		case to.blocks <- b:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := send(append([]byte("PGCOPY\n\xff\r\n\x00"), make([]byte, 8)...)); err != nil {
		return err
	}
	row := newScoreRow(p.tenant.ID, r.no, p.asOf, now)
	var in room
	for _, b := range p.crowd.blocks {
		scores, err := p.rate(ctx, r, b, &in)
		if err != nil {
			return err
		}
		seen.add(scores)
		var buf []byte
		select {
		case buf = <-to.used:
			buf = buf[:0]
		default:
		}
		for i, s := range scores {
			if s.ok {
				buf = row.append(buf, b.ids[i], s)
			}
		}
		if len(buf) == 0 {
			continue
		}
		if err := send(buf); err != nil {
			return err
		}
	}
	return send([]byte{0xff, 0xff})
}

// scoreRow is what all rows of a run have in common.
type scoreRow struct{ before, after []byte }

func newScoreRow(tenantID int32, no int64, asOf tenant.Day, now time.Time) scoreRow {
	const columns = 9
	epoch := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // of PostgreSQL's dates and times
	var s scoreRow
	s.before = binary.BigEndian.AppendUint16(nil, columns)
	s.before = binary.BigEndian.AppendUint32(s.before, 4)
	s.before = binary.BigEndian.AppendUint32(s.before, uint32(tenantID)) //nolint:gosec // its bits
	s.before = binary.BigEndian.AppendUint32(s.before, 8)
	s.before = binary.BigEndian.AppendUint64(s.before, uint64(no)) //nolint:gosec // its bits
	s.after = binary.BigEndian.AppendUint32(nil, 4)
	s.after = binary.BigEndian.AppendUint32(s.after, uint32(int32(asOf.Sub(epoch).Hours()/24))) //nolint:gosec // its bits
	s.after = binary.BigEndian.AppendUint32(s.after, 8)
	s.after = binary.BigEndian.AppendUint64(s.after, uint64(now.Sub(epoch).Microseconds())) //nolint:gosec // its bits
	return s
}

func (s scoreRow) append(b []byte, id uuid.UUID, r rated) []byte {
	const float8 = 701 // its oid
	to := binary.BigEndian
	b = append(b, s.before...)
	b = append(to.AppendUint32(b, 16), id[:]...)
	b = to.AppendUint64(to.AppendUint32(b, 8), math.Float64bits(r.value))
	b = to.AppendUint16(to.AppendUint32(b, 2), uint16(r.band))       //nolint:gosec // 1 to 5
	b = append(to.AppendUint32(b, uint32(len(r.label))), r.label...) //nolint:gosec // a word
	n := uint32(len(r.inputs))                                       //nolint:gosec // a few
	if n == 0 {
		b = to.AppendUint32(to.AppendUint32(to.AppendUint32(to.AppendUint32(b, 12), 0), 0), float8)
		return append(b, s.after...)
	}
	b = to.AppendUint32(b, 20+12*n)
	for _, v := range [...]uint32{1, 0, float8, n, 1} { // dimensions, no nulls, elements, length, first subscript
		b = to.AppendUint32(b, v)
	}
	for _, v := range r.inputs {
		b = to.AppendUint64(to.AppendUint32(b, 8), math.Float64bits(v))
	}
	return append(b, s.after...)
}

// loose are partitions that are not attached, by run: those being loaded, and those that a killed process has left.
const loose = `SELECT n.run_no FROM pg_class c CROSS JOIN LATERAL (SELECT substring(c.relname FROM 8)::bigint AS run_no OFFSET 0) n
	WHERE c.relkind = 'r' AND NOT c.relispartition AND c.relname ~ '^scores_[0-9]+$' AND pg_table_is_visible(c.oid)`

// dropLoose drops the partition of a run, if it is loose.
func dropLoose(ctx context.Context, tx postgres.Tx, no int64) error {
	var found bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (`+loose+` AND n.run_no = $1)`, no).Scan(&found); err != nil {
		return fmt.Errorf("look for what run number %d has loaded: %w", no, err)
	}
	if !found {
		return nil
	}
	return drop(ctx, tx, no)
}

// Sweep drops what runs have loaded that are no longer in progress: their process was killed, their job cancelled or their
// model deleted. The context is for all tenants.
func (s *Service) Sweep(ctx context.Context) error {
	rows, err := s.db.Query(ctx, loose+` AND NOT EXISTS (SELECT FROM score_runs r JOIN jobs j ON j.tenant_id = r.tenant_id AND j.id = r.job_id
		WHERE r.run_no = n.run_no AND r.status = 'queued' AND j.status IN ('queued', 'running'))`)
	if err != nil {
		return fmt.Errorf("look for abandoned scores: %w", err)
	}
	abandoned, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return fmt.Errorf("look for abandoned scores: %w", err)
	}
	for _, no := range abandoned {
		if err := s.db.InTx(ctx, func(tx postgres.Tx) error { return dropLoose(ctx, tx, no) }); err != nil {
			return err
		}
	}
	return nil
}
