package importer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// jobKind names the job and its subject.
const jobKind = "import"

const (
	maxErrors  = 100_000 // errors kept of one import
	batchBytes = 4 << 20 // of rows in memory
)

// run does an import. It reads the file twice: first to see that it can be read and which rows may be twins, then
// batch by batch into the database, after the rows that an earlier attempt has committed.
func (s *Service) run(ctx context.Context, run *jobs.Run) error {
	id, err := uuid.Parse(run.Job.SubjectID)
	if err != nil {
		return fmt.Errorf("the import of job %s: %w", run.Job.ID, err)
	}
	im, err := get(ctx, s.db, run.Call.Tenant.ID, id)
	if err != nil {
		return err
	}
	run.Call.Blind = im.blind
	err = s.do(ctx, run, im)
	switch {
	case err == nil || fileFault(err) != nil || errors.Is(err, ErrRange):
		return err
	case errors.Is(err, tenant.ErrChanged): // not as a fault, which would be the end: the next attempt reads the tenant again
		return fmt.Errorf("import %s: %s", id, err.Error())
	case strings.HasPrefix(postgres.Code(err), "22"): // what is wrong with the data no attempt heals
		return errors.Join(s.fail(ctx, run, im, ErrRange), err)
	}
	// A job that is being cancelled has no later attempt that could write the import's end.
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	return errors.Join(err, s.db.InTx(after, func(tx postgres.Tx) error { return s.settle(after, tx, run.Call, run.Job.ID) }))
}

func (s *Service) do(ctx context.Context, run *jobs.Run, im Import) error {
	switch {
	case im.Status == Succeeded: // and the process died before it could say so
		return nil
	case im.Error != nil:
		return storedFault(*im.Error)
	}
	tenantID := run.Call.Tenant.ID
	twins, err := survey(ctx, s.content(ctx, tenantID, im), im)
	if bad := fileFault(err); bad != nil {
		return s.fail(ctx, run, im, bad)
	}
	if err != nil {
		return err
	}
	f, err := open(s.content(ctx, tenantID, im), im)
	if err != nil {
		return err
	}
	kept, err := countErrors(ctx, s.db, tenantID, im.ID)
	if err != nil {
		return err
	}
	p := &parser{im: im, tenant: run.Call.Tenant, now: s.now(), file: f, texts: map[string]string{},
		rates: rates{q: s.db, tenantID: tenantID, known: map[string][]rate{}}}
	for done := im.Counts; ; {
		b := &batch{service: s, run: run, im: im, parser: p, file: f, twins: twins}
		more, err := b.read(ctx, done.Rows)
		if err != nil {
			return err
		}
		if done, kept, err = b.commit(ctx, done, kept, !more); err != nil || !more {
			return err
		}
	}
}

// fail ends the import for a reason that trying again does not change, and answers it.
func (s *Service) fail(ctx context.Context, run *jobs.Run, im Import, why *fault.Fault) error {
	call := run.Call
	call.ChangeSet = im.ChangeSet
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		now, err := get(ctx, tx, call.Tenant.ID, im.ID) // how far it came
		if err != nil {
			return err
		}
		if err := run.Step(ctx, tx, run.Job.Progress, now.Counts.document()); err != nil {
			return err
		}
		if err := s.record(ctx, tx, call, im.ID, Failed); err != nil {
			return err
		}
		return end(ctx, tx, call.Tenant.ID, im.ID, Failed, &Problem{why.Code, why.Message}, s.now())
	})
	if err != nil {
		return err
	}
	return why
}

func (s *Service) content(ctx context.Context, tenantID int32, im Import) io.Reader {
	return &chunks{ctx: ctx, q: s.db, keys: s.keys, tenantID: tenantID, importID: im.ID, uploadID: im.upload}
}

// batch is the rows of one transaction.
type batch struct {
	service *Service
	run     *jobs.Run
	im      Import
	parser  *parser
	file    *file
	twins   *twins

	rows    int64 // rows read, good and bad
	facts   []fact
	people  []person
	errs    []RowError
	refused int64 // rows with errors
}

// read takes the next rows of the file, and answers false at its end. The first skip rows of the file are passed over.
func (b *batch) read(ctx context.Context, skip int64) (more bool, err error) {
	var values [][]byte
	for size := 0; int(b.rows) < b.service.batch && size < batchBytes; {
		rec, err := b.file.csv.next()
		switch {
		case errors.Is(err, io.EOF):
			return false, nil
		case err != nil:
			return false, err
		}
		if b.file.rows++; b.file.rows <= skip {
			continue
		}
		b.rows++
		size += len(rec.raw)
		if rec.wrong != nil {
			b.refuse(RowError{Line: rec.line, Problem: *rec.wrong})
			continue
		}
		if len(rec.fields) != len(b.file.header) {
			b.refuse(RowError{Line: rec.line, Problem: fieldCount(len(rec.fields), len(b.file.header))})
			continue
		}
		values = b.file.values(rec, values[:0])
		if err := b.add(ctx, rec.line, values); err != nil {
			return false, err
		}
	}
	return true, nil
}

func (b *batch) refuse(errs ...RowError) {
	b.errs = append(b.errs, errs...)
	b.refused++
}

func (b *batch) add(ctx context.Context, line int64, values [][]byte) error {
	p := b.parser
	p.errs, p.line = p.errs[:0], line
	known := identity{line: line, hash: b.file.hash(values)}
	known.twin = b.twins.maybe(known.hash)
	if b.im.Type == Customers {
		r := p.person(values)
		known.id = r.id
		r.identity = known
		if len(p.errs) == 0 {
			b.people = append(b.people, r)
			return nil
		}
	} else {
		f, err := p.fact(ctx, values)
		if err != nil {
			return err
		}
		known.id = f.id
		f.identity = known
		if len(p.errs) == 0 {
			b.facts = append(b.facts, f)
			return nil
		}
	}
	b.refuse(p.errs...)
	return nil
}

// outcome is what became of a batch.
type outcome struct {
	Counts
	errs    []RowError
	touched []uuid.UUID // customers that were made or changed, or whose metrics were
}

func (o *outcome) refuse(errs ...RowError) {
	o.errs = append(o.errs, errs...)
	o.Failed++
}

// commit writes the batch in one transaction together with how far the import now is: after a crash the next attempt
// goes on behind it, without a row lost or repeated. last ends the import.
func (b *batch) commit(ctx context.Context, done Counts, kept int, last bool) (Counts, int, error) {
	s, call := b.service, b.run.Call
	call.ChangeSet = b.im.ChangeSet
	var total Counts
	var errs []RowError
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		var out outcome
		var err error
		if b.im.Type == Customers {
			out, err = b.writePeople(ctx, tx)
		} else if err = tenant.Hold(ctx, tx, call.Tenant); err == nil {
			out, err = b.writeFacts(ctx, tx)
		}
		if err != nil {
			return err
		}
		out.Rows = b.rows
		out.Failed += b.refused
		total = done.plus(out.Counts)
		errs = append(append([]RowError{}, b.errs...), out.errs...)
		errs = errs[:min(len(errs), maxErrors-kept)]
		if err := keepErrors(ctx, tx, call.Tenant.ID, b.im.ID, errs); err != nil {
			return err
		}
		if err := touch(ctx, tx, call, out.touched); err != nil {
			return err
		}
		if err := advance(ctx, tx, call.Tenant.ID, b.im.ID, done, total, s.now()); err != nil {
			return err
		}
		progress := 1.0
		if last {
			if err := s.record(ctx, tx, call, b.im.ID, Succeeded); err != nil {
				return err
			}
			if err := end(ctx, tx, call.Tenant.ID, b.im.ID, Succeeded, nil, s.now()); err != nil {
				return err
			}
		} else {
			progress = float64(b.file.counted.n) / float64(max(b.im.Bytes, 1))
		}
		return b.run.Step(ctx, tx, progress, total.document())
	})
	return total, kept + len(errs), err
}

// ordinals answers, for each row that the file may have more than once, how many equal ones came before it.
func (b *batch) ordinals(ctx context.Context, tx postgres.Tx, n int, row func(int) identity) (map[int]int32, error) {
	at := map[hash]int{}
	var hashes [][]byte
	var count []int32
	before := map[int]int32{}
	for i := range n {
		r := row(i)
		if !r.twin {
			continue
		}
		j, ok := at[r.hash]
		if !ok {
			j = len(hashes)
			at[r.hash] = j
			hashes, count = append(hashes, bytes.Clone(r.hash[:])), append(count, 0)
		}
		before[i] = count[j]
		count[j]++
	}
	earlier, err := seen(ctx, tx, b.run.Call.Tenant.ID, b.im.ID, hashes, count)
	if err != nil {
		return nil, err
	}
	for i := range before {
		h := row(i).hash
		before[i] += earlier[string(h[:])]
	}
	return before, nil
}
