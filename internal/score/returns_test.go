package score_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/score"
)

// Returns lower money on their own day, take no purchase day away, and never make spend negative.
func TestReturnsLowerSpendAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.buy(t, []purchase{{"ada", "2026-01-01", 1000, ""}, {"ada", "2026-02-01", 500, ""}, {"bob", "2025-01-01", 9000, ""}, {"bob", "2026-02-01", 200, ""},
		{"cyd", "2026-02-01", 100, ""}})
	back := func(customer, bought, day string, cents int64) {
		_, err := b.db.Exec(b.ctx, `INSERT INTO transaction_returns (tenant_id, customer_id, id, transaction_id, day, amount, currency, base_amount, actor, created_at)
			SELECT tenant_id, customer_id, gen_random_uuid(), id, $4::date, $5, 'USD', $5, 'x', now() FROM transactions
			WHERE tenant_id = $1 AND customer_id = $2 AND day = $3::date`, b.call.Tenant.ID, b.id(customer), bought, day, cents)
		require.NoError(t, err)
	}
	back("ada", "2026-02-01", "2026-02-10", 100)
	back("ada", "2026-02-01", "2026-03-10", 300) // after the run's day
	back("bob", "2025-01-01", "2026-02-15", 8000)
	b.model(t, "rfm", score.RFM, "2026-03-01", score.ParamsChange{WindowDays: patch.Set(90)})
	r := b.run(t, "rfm", score.Request{})
	require.Equal(t, jobs.Succeeded, r.Status)
	inputs := func(customer string) map[string]float64 {
		all, err := b.svc.OfCustomer(b.ctx, b.call.Tenant, b.id(customer))
		require.NoError(t, err)
		require.Len(t, all, 1)
		return all[0].Inputs
	}
	require.Equal(t, map[string]float64{"recency_days": 28, "purchase_days": 2, "spend": 14}, inputs("ada"))
	require.Equal(t, map[string]float64{"recency_days": 28, "purchase_days": 1, "spend": 0}, inputs("bob"), "more came back than was bought in the window")
	require.Equal(t, map[string]float64{"recency_days": 28, "purchase_days": 1, "spend": 1}, inputs("cyd"))
}
