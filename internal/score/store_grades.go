package score

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/postgres"
)

// grades are the bands and labels that a run gives, as they are loaded: by block of the crowd and place in it a number, 0 for no
// score. With them two runs of a model are compared at a fraction of what it costs to join their partitions.
type grades struct {
	numbers map[grade]uint8 // some dozens, from 1 on
	of      [][]uint8
}

// grade is what somebody sees of a score at a glance.
type grade struct {
	band  int
	label string
}

// add puts the grades of a block behind those of the blocks before it.
func (g *grades) add(scores []rated) {
	all := make([]uint8, len(scores))
	for i, s := range scores {
		if !s.ok {
			continue
		}
		is := grade{s.band, s.label}
		n, known := g.numbers[is]
		if !known {
			n = uint8(len(g.numbers) + 1) //nolint:gosec // see numbers
			g.numbers[is] = n
		}
		all[i] = n
	}
	g.of = append(g.of, all)
}

// gradeSize is what one customer takes in column grades: the id, then the number.
const gradeSize = len(uuid.UUID{}) + 1

// keep writes the grades of a run, a row for each block. names[n-1] of column names belongs to the number n.
func (g *grades) keep(ctx context.Context, tx postgres.Tx, p *pass, no int64, loaded time.Time) error {
	names := make([]string, len(g.numbers))
	for is, n := range g.numbers {
		names[n-1] = strconv.Itoa(is.band) + " " + is.label
	}
	row := make([]byte, 0, chunk*gradeSize)
	for part, b := range p.crowd.blocks {
		row = row[:0]
		for i, n := range g.of[part] {
			if n > 0 {
				row = append(append(row, b.ids[i][:]...), n)
			}
		}
		_, err := tx.Exec(ctx, `INSERT INTO score_grades (tenant_id, run_no, part, loaded_at, names, grades) VALUES ($1, $2, $3, $4, $5, $6)`,
			p.tenant.ID, no, part, loaded, names, row)
		if err != nil {
			return fmt.Errorf("keep the grades of run number %d: %w", no, err)
		}
	}
	return nil
}

// comparison goes through the customers to whom two runs gave different bands or labels, or only one of them a score, as they were
// loaded, in ascending order of ids.
type comparison struct{ a, b *gradeReader }

// compare begins a comparison; false where the grades of a run are not known.
func compare(ctx context.Context, q postgres.Querier, tenantID int32, of, other int64) (comparison, bool, error) {
	c := comparison{&gradeReader{q: q, tenantID: tenantID, no: of}, &gradeReader{q: q, tenantID: tenantID, no: other}}
	for _, r := range []*gradeReader{c.a, c.b} {
		if known, err := r.next(ctx); err != nil || !known {
			return c, false, err
		}
	}
	return c, true, nil
}

// next are up to so many more customers; none at the end.
func (c comparison) next(ctx context.Context, most int) ([]uuid.UUID, error) {
	all := []uuid.UUID{}
	for len(all) < most && (len(c.a.rest) > 0 || len(c.b.rest) > 0) {
		first, also := c.a, c.b
		switch order := c.order(); {
		case order > 0:
			first, also = c.b, nil
		case order < 0:
			also = nil
		}
		if also == nil || also.name() != first.name() {
			all = append(all, uuid.UUID(first.id()))
		}
		for _, r := range []*gradeReader{first, also} {
			if r == nil {
				continue
			}
			if err := r.skip(ctx); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// order compares the customers in hand; whose run has no more comes last.
func (c comparison) order() int {
	switch {
	case len(c.b.rest) == 0:
		return -1
	case len(c.a.rest) == 0:
		return 1
	}
	return bytes.Compare(c.a.id(), c.b.id())
}

// rescored are up to so many customers after one id whom their own writes have scored anew, or taken a score from, since a run was
// loaded, in ascending order of ids.
func rescored(ctx context.Context, q postgres.Querier, tenantID int32, no int64, after uuid.UUID, most int) ([]uuid.UUID, error) {
	// With the number in its text, the statement is planned for the one partition.
	rows, err := q.Query(ctx, fmt.Sprintf(`SELECT s.customer_id FROM scores s WHERE s.tenant_id = $1 AND s.run_no = %d AND s.customer_id > $2
		AND s.scored_at > (SELECT g.loaded_at FROM score_grades g WHERE g.tenant_id = $1 AND g.run_no = %d LIMIT 1)
		UNION ALL SELECT customer_id FROM score_gone WHERE tenant_id = $1 AND run_no = %d AND customer_id > $2 ORDER BY 1 LIMIT $3`, no, no, no),
		tenantID, after, most)
	if err != nil {
		return nil, fmt.Errorf("look who was scored anew by run number %d: %w", no, err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("look who was scored anew by run number %d: %w", no, err)
	}
	return ids, nil
}

// InForce implements rule.Runs.
func (s *Service) InForce(ctx context.Context, q postgres.Querier, tenantID int32) (map[string]int64, error) {
	rows, err := q.Query(ctx, `SELECT key, current_run FROM score_models WHERE tenant_id = $1 AND current_run IS NOT NULL`, tenantID) //nolint:rowserrcheck // ForEachRow does
	if err != nil {
		return nil, fmt.Errorf("look which runs are in force: %w", err)
	}
	all, key, no := map[string]int64{}, "", int64(0)
	_, err = pgx.ForEachRow(rows, []any{&key, &no}, func() error { all[field(key)] = no; return nil })
	if err != nil {
		return nil, fmt.Errorf("look which runs are in force: %w", err)
	}
	return all, nil
}

// Moved implements rule.Runs.
func (s *Service) Moved(ctx context.Context, q postgres.Querier, tenantID int32, from, to int64, most int) ([]uuid.UUID, bool, error) {
	// Before the grades: of a run that is dropped meanwhile these are unknown.
	var all []uuid.UUID
	for _, no := range []int64{from, to} {
		some, err := rescored(ctx, q, tenantID, no, uuid.Nil, most+1)
		if err != nil {
			return nil, false, err
		}
		all = append(all, some...)
	}
	differing, known, err := compare(ctx, q, tenantID, from, to)
	if err != nil || !known {
		return nil, false, err
	}
	some, err := differing.next(ctx, most+1)
	all = append(all, some...)
	return all, len(all) <= most, err
}

// gradeReader reads the grades of a run, customers in ascending order of ids.
type gradeReader struct {
	q        postgres.Querier
	tenantID int32
	no       int64
	part     int
	names    []string
	rest     []byte // begins with the customer in hand; empty at the end
}

func (r *gradeReader) id() []byte   { return r.rest[:gradeSize-1] }
func (r *gradeReader) name() string { return r.names[r.rest[gradeSize-1]-1] }

// skip goes to the next customer.
func (r *gradeReader) skip(ctx context.Context) error {
	if r.rest = r.rest[gradeSize:]; len(r.rest) > 0 {
		return nil
	}
	_, err := r.next(ctx)
	return err
}

// next goes to the first customer of the next rows that have any; false when there are no more rows.
func (r *gradeReader) next(ctx context.Context) (bool, error) {
	for len(r.rest) == 0 {
		err := r.q.QueryRow(ctx, `SELECT names, grades FROM score_grades WHERE tenant_id = $1 AND run_no = $2 AND part = $3`,
			r.tenantID, r.no, r.part).Scan(&r.names, &r.rest)
		if errors.Is(err, pgx.ErrNoRows) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("read the grades of run number %d: %w", r.no, err)
		}
		r.part++
	}
	return true, nil
}
