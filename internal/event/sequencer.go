package event

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/kezi-io/kezi/internal/postgres"
)

// batch bounds one numbering transaction.
const batch = 5000

// idle is how long the sequencer waits for a wake-up before it looks by itself.
const idle = 2 * time.Second

// Sequencer numbers committed events. Any number of processes may run one: a lock lets one number at a time.
//
// An event becomes visible to the feed only by its number, and numbers are given to committed rows alone. So the
// feed has no gap, and nothing appears below a number that a reader has seen, however late its transaction commits.
type Sequencer struct {
	db  *postgres.DB
	log *slog.Logger
}

// NewSequencer numbers the events of db.
func NewSequencer(db *postgres.DB, log *slog.Logger) *Sequencer { return &Sequencer{db: db, log: log} }

// Run numbers events until ctx ends.
func (s *Sequencer) Run(ctx context.Context) {
	ctx = postgres.ForAllTenants(ctx)
	for ctx.Err() == nil {
		if err := s.listen(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("the event sequencer starts over", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}
}

func (s *Sequencer) listen(ctx context.Context) error {
	conn, err := s.db.Pool().Acquire(ctx)
	if err != nil {
		return fmt.Errorf("take a connection: %w", err)
	}
	// It listens, so it must not go back to the pool.
	listener := conn.Hijack()
	defer listener.Close(context.WithoutCancel(ctx)) //nolint:errcheck // it is given up either way
	if _, err := listener.Exec(ctx, "LISTEN "+channel); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	for {
		if err := s.Drain(ctx); err != nil {
			return err
		}
		wait, cancel := context.WithTimeout(ctx, idle)
		_, err := listener.WaitForNotification(wait)
		cancel()
		if err != nil && !errors.Is(wait.Err(), context.DeadlineExceeded) {
			return fmt.Errorf("wait for events: %w", err)
		}
	}
}

// Drain numbers everything that is committed now.
func (s *Sequencer) Drain(ctx context.Context) error {
	for {
		var n int64
		err := s.db.InTx(postgres.ForAllTenants(ctx), func(tx postgres.Tx) error {
			// The lock is a statement of its own: the next one's snapshot is then taken under it.
			if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('kezi_event_sequencer', 0))`); err != nil {
				return err
			}
			tag, err := tx.Exec(ctx, `
				WITH fresh AS (
					SELECT tenant_id, id, row_number() OVER (PARTITION BY tenant_id ORDER BY ord) AS n
					FROM (SELECT tenant_id, id, ord FROM events WHERE seq IS NULL ORDER BY ord LIMIT $1) e
				), per_tenant AS (
					SELECT tenant_id, max(n) AS n FROM fresh GROUP BY tenant_id
				), bumped AS (
					INSERT INTO event_sequences AS s (tenant_id, last_seq) SELECT tenant_id, n FROM per_tenant
					ON CONFLICT (tenant_id) DO UPDATE SET last_seq = s.last_seq + excluded.last_seq
					RETURNING tenant_id, last_seq
				)
				UPDATE events e SET seq = bumped.last_seq - per_tenant.n + fresh.n
				FROM fresh JOIN per_tenant USING (tenant_id) JOIN bumped USING (tenant_id)
				WHERE e.tenant_id = fresh.tenant_id AND e.id = fresh.id`, batch)
			n = tag.RowsAffected()
			return err
		})
		if err != nil {
			return fmt.Errorf("number events: %w", err)
		}
		if n < batch {
			return nil
		}
	}
}
