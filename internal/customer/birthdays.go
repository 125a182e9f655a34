package customer

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// rollChunk is how many birthdays one transaction moves.
const rollChunk = 1000

// RollBirthdays moves the stored next birthdays of a tenant that lie behind its local day to the year after. Whoever
// reads a customer sees the right day at any moment, for it is computed from the birthday; the stored one is for conditions and
// sorts. It changes no version and writes no event: nothing was said about the customer.
func (s *Service) RollBirthdays(ctx context.Context, t tenant.Tenant) error {
	today := t.Today(s.now())
	for more := true; more; {
		err := s.db.InTx(ctx, func(tx postgres.Tx) error {
			ids, next, err := passed(ctx, tx, t.ID, today)
			if err != nil {
				return err
			}
			more = len(ids) == rollChunk
			return move(ctx, tx, t.ID, ids, next)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// passed locks customers whose stored next birthday is over, and answers the one after. Who is locked by somebody else
// is left for the next time, so that housekeeping never waits and its order of locks does not matter.
func passed(ctx context.Context, tx postgres.Tx, tenantID int32, today tenant.Day) (ids []uuid.UUID, next []time.Time, err error) {
	rows, err := tx.Query(ctx, `SELECT id, details->'birthday' FROM customers
		WHERE tenant_id = $1 AND deleted_at IS NULL AND next_birthday_on < $2
		ORDER BY next_birthday_on, id LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED`, tenantID, today.Time, rollChunk)
	if err != nil {
		return nil, nil, fmt.Errorf("find birthdays that are over: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id uuid.UUID
		var raw []byte
		if err := rows.Scan(&id, &raw); err != nil {
			return nil, nil, fmt.Errorf("find birthdays that are over: %w", err)
		}
		var d birthdayDoc
		if err := json.Unmarshal(raw, &d); err != nil {
			return nil, nil, fmt.Errorf("read the birthday of customer %s: %w", id, err)
		}
		ids, next = append(ids, id), append(next, d.birthday().Next(today).Time)
	}
	if err := rows.Err(); err != nil {
		return nil, nil, fmt.Errorf("find birthdays that are over: %w", err)
	}
	return ids, next, nil
}

func move(ctx context.Context, tx postgres.Tx, tenantID int32, ids []uuid.UUID, next []time.Time) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `UPDATE customers c SET next_birthday_on = x.next FROM unnest($2::uuid[], $3::date[]) x (id, next)
		WHERE c.tenant_id = $1 AND c.id = x.id`, tenantID, ids, next)
	if err != nil {
		return fmt.Errorf("move %d birthdays: %w", len(ids), err)
	}
	return nil
}
