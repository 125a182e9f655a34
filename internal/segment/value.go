package segment

import (
	"context"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/tenant"
)

// ErrModelUnknown is answered when a value is asked by a model that has none.
var ErrModelUnknown = fault.New(fault.Invalid, "segment_score_unknown", "there is no clv model of this key with a run in force",
	"没有此键且已有生效批次的 clv 模型")

// Value is what a segment's customers are worth.
type Value struct {
	Customers, Buyers, Purchases int64
	Spend                        money.Money
	Expected                     *Expected // nil without a score model in force
}

// Expected is the sum of a clv score.
type Expected struct {
	Model     string
	Customers int64       // who have a score
	Value     money.Money // over the model's horizon
}

// Value adds up what the segment's customers have spent and, with scores, what they are expected to spend by a clv model: the
// one named, or the first one in force. Fails with ErrNotFound, or ErrModelUnknown when the one named has no run in force.
func (s *Service) Value(ctx context.Context, t tenant.Tenant, key string, scores bool, model string) (Value, error) {
	x, err := get(ctx, s.db, t.ID, key, unlocked)
	if err != nil {
		return Value{}, err
	}
	v, err := spent(ctx, s.db, t, x)
	if err != nil || !scores {
		return v, err
	}
	found, run, err := clvRun(ctx, s.db, t.ID, model)
	switch {
	case err != nil:
		return Value{}, err
	case run == 0 && model != "":
		return Value{}, ErrModelUnknown.AtParameter("score", ErrModelUnknown.Code, ErrModelUnknown.Message)
	case run == 0:
		return v, nil
	}
	e, err := expected(ctx, s.db, t, x, found, run)
	if err != nil {
		return Value{}, err
	}
	v.Expected = &e
	return v, nil
}
