package importer

import (
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// longestUpload is beyond the time that the contract gives an upload: one that began earlier is no more.
const longestUpload = 2 * time.Hour

// Upload takes the file of an import in and starts its job. A chunk is stored as soon as it is there, in a
// transaction of its own: a slow sender holds none open. An upload that fails leaves nothing behind, and a new one
// takes the place of one that is still running, which is what somebody wants whose connection was lost.
//
// Fails with ErrNotFound, ErrHasContent, ErrSuperseded, ErrGzip, ErrTooLarge, or ErrBroken when the body broke off.
func (s *Service) Upload(ctx context.Context, call tenant.Call, id uuid.UUID, body io.Reader, gzipped bool) (jobs.Job, error) {
	im, err := get(ctx, s.db, call.Tenant.ID, id)
	if err != nil {
		return jobs.Job{}, err
	}
	upload := uuid.Must(uuid.NewV7())
	err = s.db.InTx(ctx, func(tx postgres.Tx) error {
		if err := s.tidyUp(ctx, tx, call); err != nil {
			return err
		}
		return beginUpload(ctx, tx, call.Tenant.ID, id, upload, gzipped, s.now())
	})
	if err != nil {
		return jobs.Job{}, err
	}
	job, err := s.take(ctx, call, im, upload, body, gzipped)
	if err != nil {
		// The sender may be gone; what came of the file must go as well.
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, s.db.InTx(undo, func(tx postgres.Tx) error {
			return abortUpload(undo, tx, call.Tenant.ID, id, upload, s.now())
		}))
		return jobs.Job{}, err
	}
	return job, nil
}

func (s *Service) take(ctx context.Context, call tenant.Call, im Import, upload uuid.UUID, body io.Reader, gzipped bool) (jobs.Job, error) {
	in := &incoming{r: body}
	out := &chunkWriter{buf: make([]byte, 0, chunkSize), store: func(seq int, data []byte) error {
		sealed, err := s.keys.Seal(string(data), chunkPlace(upload, seq))
		if err != nil {
			return err
		}
		return addChunk(ctx, s.db, call.Tenant.ID, im.ID, upload, seq, sealed)
	}}
	size, err := receive(in, out, gzipped)
	switch {
	case out.err != nil:
		return jobs.Job{}, out.err
	case in.err != nil:
		var tooLarge *http.MaxBytesError
		if errors.As(in.err, &tooLarge) {
			return jobs.Job{}, ErrTooLarge
		}
		return jobs.Job{}, ErrBroken
	case err != nil:
		return jobs.Job{}, err
	}
	call.ChangeSet = im.ChangeSet
	var job jobs.Job
	err = s.db.InTx(ctx, func(tx postgres.Tx) error {
		var err error
		job, err = s.jobs.Start(ctx, tx, call, jobs.Spec{Kind: jobKind, SubjectType: jobKind, SubjectID: im.ID.String()})
		if err != nil {
			return err
		}
		return endUpload(ctx, tx, call.Tenant.ID, im.ID, upload, job.ID, size, s.now())
	})
	return job, err
}

// receive copies the body to out as it comes and answers its unpacked size. Compressed bytes are unpacked on the way
// to see that they are whole, and stored as they came.
func receive(in io.Reader, out *chunkWriter, gzipped bool) (int64, error) {
	var size int64
	var err error
	if gzipped {
		var plain *gzip.Reader
		if plain, err = gzip.NewReader(io.TeeReader(in, out)); err == nil {
			size, err = io.Copy(io.Discard, io.LimitReader(plain, MaxBytes+1))
		}
		var corrupt flate.CorruptInputError
		if errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) || errors.Is(err, io.EOF) ||
			errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &corrupt) {
			err = ErrGzip
		}
	} else {
		size, err = io.Copy(out, io.LimitReader(in, MaxBytes+1))
	}
	if err != nil {
		return 0, err
	}
	if size > MaxBytes {
		return 0, ErrTooLarge
	}
	return size, out.flush()
}

// incoming remembers why the body could not be read further, which unpacking would report as its own failure.
type incoming struct {
	r   io.Reader
	err error
}

func (i *incoming) Read(p []byte) (int, error) {
	n, err := i.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		i.err = err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) { // which some readers wrap io.EOF for
		i.err = err
	}
	return n, err
}

// chunkWriter cuts what it is given into chunks.
type chunkWriter struct {
	buf   []byte
	seq   int
	store func(seq int, data []byte) error
	err   error
}

func (w *chunkWriter) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		n := min(len(p), cap(w.buf)-len(w.buf))
		w.buf = append(w.buf, p[:n]...)
		p, written = p[n:], written+n
		if len(w.buf) == cap(w.buf) {
			if err := w.flush(); err != nil {
				return written, err
			}
		}
	}
	return written, nil
}

func (w *chunkWriter) flush() error {
	if w.err != nil || len(w.buf) == 0 {
		return w.err
	}
	w.err = w.store(w.seq, w.buf)
	w.seq++
	w.buf = w.buf[:0]
	return w.err
}

// tidyUp writes the end of imports that ended without their own doing, and drops the uploads of processes that are
// no more. It runs with every upload: what is left behind in between costs room and nothing else.
func (s *Service) tidyUp(ctx context.Context, tx postgres.Tx, call tenant.Call) error {
	now := s.now()
	if err := dropForsaken(ctx, tx, call.Tenant.ID, now.Add(-longestUpload), now); err != nil {
		return err
	}
	return s.settle(ctx, tx, call, uuid.Nil)
}

// settle ends imports as their jobs have ended, with the event that stands for what they had changed.
func (s *Service) settle(ctx context.Context, tx postgres.Tx, call tenant.Call, stopping uuid.UUID) error {
	now := s.now()
	ended, err := settle(ctx, tx, call.Tenant.ID, stopping, now)
	if err != nil {
		return err
	}
	for _, a := range ended {
		call.ChangeSet = a.changeSet
		if err := s.record(ctx, tx, call, a.id, a.status); err != nil {
			return err
		}
	}
	return nil
}

// record writes the import's one event: who was changed is read by its change set.
func (s *Service) record(ctx context.Context, tx postgres.Tx, call tenant.Call, id uuid.UUID, status Status) error {
	return event.Record(ctx, tx, call, s.now(), event.Event{Type: "import." + string(status), SubjectType: jobKind,
		SubjectID: id.String()})
}
