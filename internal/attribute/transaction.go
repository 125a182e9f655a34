package attribute

import (
	"context"
	"strings"

	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
	"github.com/kezi-io/kezi/internal/transaction"
)

// Transactional checks the attributes of every transaction that is written.
type Transactional struct{ Service *Service }

var _ transaction.Checks = Transactional{}

// CheckTransaction implements transaction.Checks.
func (c Transactional) CheckTransaction(ctx context.Context, tx postgres.Tx, t tenant.Tenant, after, before *transaction.Transaction) (map[string]any, error) {
	w := Write{Kind: string(Transactions), Fresh: before == nil}
	var stored map[string]any
	if before != nil {
		stored = before.Attributes
	}
	var err error
	if w.Patch, err = merge(stored, after.Attributes); err != nil || (len(w.Patch) == 0 && !w.Fresh) {
		return nil, err
	}
	if w.Stored, err = encode(stored); err != nil {
		return nil, err
	}
	outcomes, err := c.Service.Apply(ctx, tx, t, Transactions, []Write{w})
	if err != nil {
		return nil, err
	}
	if outcomes[0].Err != nil {
		return nil, outcomes[0].Err
	}
	told := make(map[string]any, len(outcomes[0].Previous))
	for name, value := range outcomes[0].Previous {
		told[strings.Replace(name, ".", "/", 1)] = value
	}
	values, err := decode(outcomes[0].Values)
	after.Attributes = values
	return told, err
}
