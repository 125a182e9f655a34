package condition

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/postgres"
)

// Explanation tells why a customer fits a condition or not.
type Explanation struct {
	Matches bool
	Leaves  []Leaf
}

// Leaf is what one comparison of the condition found.
type Leaf struct {
	Pointer, Text string
	Comparison    filter.Leaf
	Type          filter.Type // of what is compared
	Unit          string      // of its numbers: the base currency for money
	Holds         bool
	Seen          []string // amounts in major units of the base currency, instants in UTC; empty where there are none
}

// Explain evaluates n for one customer in one statement, so that all leaves tell of the same moment.
func (l Language) Explain(ctx context.Context, q postgres.Querier, tenantID int32, customerID uuid.UUID, n filter.Node) (Explanation, error) {
	reasons, err := l.Catalogue.Explain(n, l.Env)
	if err != nil {
		return Explanation{}, err
	}
	columns, args := []string{}, []any{tenantID, customerID}
	for _, r := range reasons {
		for _, e := range []filter.Expr{r.Holds, r.Seen} {
			sql, more := e.Numbered(len(args) + 1)
			columns, args = append(columns, sql), append(args, more...)
		}
	}
	found := make([]any, 0, len(columns))
	e := Explanation{Leaves: make([]Leaf, len(reasons))}
	for i, r := range reasons {
		e.Leaves[i] = Leaf{Pointer: r.Pointer, Text: r.Leaf.Text(), Comparison: r.Leaf, Type: r.Type, Unit: r.Unit}
		found = append(found, &e.Leaves[i].Holds, &e.Leaves[i].Seen)
	}
	err = q.QueryRow(ctx, `SELECT `+strings.Join(columns, ", ")+` FROM customers c
		JOIN customer_metrics m ON m.tenant_id = c.tenant_id AND m.customer_id = c.id
		WHERE c.tenant_id = $1 AND c.id = $2`, args...).Scan(found...)
	if err != nil {
		return Explanation{}, fmt.Errorf("explain a condition for customer %s: %w", customerID, err)
	}
	holds := make([]bool, len(e.Leaves))
	for i, leaf := range e.Leaves {
		holds[i] = leaf.Holds
	}
	e.Matches = filter.Evaluate(n, holds)
	return e, nil
}
