package attribute

import (
	"context"

	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
	"github.com/kezi-io/kezi/internal/transaction"
)

// Transactional checks the attributes of every transaction that is written.
type Transactional struct{ Service *Service }

var _ transaction.Checks = Transactional{}

// CheckTransaction implements transaction.Checks.
func (c Transactional) CheckTransaction(ctx context.Context, tx postgres.Tx, t tenant.Tenant, after, before *transaction.Transaction) error {
	w := Write{Kind: string(Transactions), Fresh: before == nil}
	var stored map[string]any
	if before != nil {
		stored = before.Attributes
	}
	var err error
	if w.Patch, err = merge(stored, after.Attributes); err != nil || (len(w.Patch) == 0 && !w.Fresh) {
		return err
	}
	if w.Stored, err = encode(stored); err != nil {
		return err
	}
	outcomes, err := c.Service.Apply(ctx, tx, t, Transactions, []Write{w})
	if err != nil {
		return err
	}
	if outcomes[0].Err != nil {
		return outcomes[0].Err
	}
	values, err := decode(outcomes[0].Values)
	after.Attributes = values
	return err
}
