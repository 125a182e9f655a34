package customer

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Move is one step of a customer's stages.
type Move struct {
	ID     uuid.UUID
	From   Stage // empty for the first one
	To     Stage
	At     time.Time
	Actor  string // who was calling
	Cause  Cause  // by which way
	Reason string
}

// stageRow is a line of table customer_stages.
type stageRow struct {
	CustomerID uuid.UUID `json:"customer_id"`
	ID         uuid.UUID `json:"id"`
	FromStage  *string   `json:"from_stage"`
	ToStage    string    `json:"to_stage"`
	At         time.Time `json:"at"`
	Actor      string    `json:"actor"`
	Cause      string    `json:"cause"`
	Reason     *string   `json:"reason"`
	ChangeSet  uuid.UUID `json:"change_set"`
}

const stageColumns = `customer_id, id, from_stage, to_stage, at, actor, cause, reason, change_set`

// stageRows are the moves of those writes that make one, as JSON.
func stageRows(call tenant.Call, writes []*Write) ([]byte, error) {
	rows := []stageRow{}
	for _, w := range writes {
		r := stageRow{CustomerID: w.After.ID, ID: uuid.Must(uuid.NewV7()), ToStage: string(w.After.Stage), At: w.After.UpdatedAt, Actor: call.Actor,
			Cause: string(w.Cause), Reason: postgres.Null(w.Reason), ChangeSet: call.ChangeSet}
		if w.Before != nil {
			if w.Before.Stage == w.After.Stage {
				continue
			}
			r.FromStage = postgres.Null(string(w.Before.Stage))
		}
		rows = append(rows, r)
	}
	raw, err := json.Marshal(rows)
	if err != nil {
		return nil, fmt.Errorf("write the stages of %d customers: %w", len(writes), err)
	}
	return raw, nil
}

func addStages(ctx context.Context, tx postgres.Tx, call tenant.Call, writes []*Write) error {
	raw, err := stageRows(call, writes)
	if err != nil || string(raw) == "[]" {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO customer_stages (tenant_id, `+stageColumns+`)
		SELECT $1, `+stageColumns+` FROM json_populate_recordset(NULL::customer_stages, $2)`, call.Tenant.ID, raw)
	if err != nil {
		return fmt.Errorf("write the stages of %d customers: %w", len(writes), err)
	}
	return nil
}

// Stages is a page of the customer's moves, newest first. Fails with ErrNotFound.
func (s *Service) Stages(ctx context.Context, t tenant.Tenant, id uuid.UUID, req page.Request) (page.Of[Move], error) {
	c, err := get(ctx, s.db, t.ID, id)
	if err != nil {
		return page.Of[Move]{}, err
	}
	// Ids are UUIDv7, made under the customer's lock: their order is that of the moves.
	before := uuid.Max
	if req.After != nil {
		if before, err = uuid.Parse(req.After[0]); err != nil {
			return page.Of[Move]{}, page.ErrCursor
		}
	}
	rows, err := s.db.Query(ctx, `SELECT id, coalesce(from_stage, ''), to_stage, at, actor, cause, coalesce(reason, '')
		FROM customer_stages WHERE tenant_id = $1 AND customer_id = $2 AND id < $3 ORDER BY id DESC LIMIT $4`,
		t.ID, c.ID, before, req.Limit+1)
	if err != nil {
		return page.Of[Move]{}, fmt.Errorf("read the stages of customer %s: %w", id, err)
	}
	moves, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (Move, error) {
		var m Move
		err := r.Scan(&m.ID, &m.From, &m.To, &m.At, &m.Actor, &m.Cause, &m.Reason)
		m.At = m.At.UTC()
		return m, err
	})
	if err != nil {
		return page.Of[Move]{}, fmt.Errorf("read the stages of customer %s: %w", id, err)
	}
	return page.Cut(moves, req.Limit, func(m Move) page.Key { return page.Key{m.ID.String()} }, func(m Move) Move { return m }), nil
}
