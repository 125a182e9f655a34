package score_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/score"
)

// A deleted model's history is removed by a job, range of customers by range, which goes on where it was broken off.
func TestDeletedModelLeavesItsHistoryToAJob(t *testing.T) {
	t.Parallel()
	b := on(t, postgrestest.Fresh(t))
	b.work(t)
	rows := make([]purchase, 4500)
	for i := range rows {
		rows[i] = purchase{customer: fmt.Sprint("c", i), day: "2026-01-01", cents: 100}
	}
	b.buy(t, rows)
	exec := func(sql string, args ...any) {
		_, err := b.db.Exec(b.ctx, sql, args...)
		require.NoError(t, err)
	}
	for _, key := range []string{"rfm", "other"} {
		b.model(t, key, score.RFM, "2026-01-02", score.ParamsChange{})
		b.run(t, key, score.Request{})
	}
	exec(`INSERT INTO score_history SELECT s.tenant_id, s.customer_id, r.model_id, s.scored_at - n * interval '1 day', s.run_no, s.as_of, s.value, s.band, s.label, s.inputs
		FROM scores s JOIN score_runs r ON r.tenant_id = s.tenant_id AND r.run_no = s.run_no CROSS JOIN generate_series(1, 2) n
		WHERE s.tenant_id = $1`, b.call.Tenant.ID)
	// left counts the lines of the model that has the key now; of those that are no more for none.
	left := func(key string) (n int) {
		err := b.db.QueryRow(b.ctx, `SELECT count(*) FROM score_history h LEFT JOIN score_models m ON m.tenant_id = h.tenant_id AND m.id = h.model_id
			WHERE h.tenant_id = $1 AND coalesce(m.key, '') = $2`, b.call.Tenant.ID, key).Scan(&n)
		require.NoError(t, err)
		return n
	}
	require.Equal(t, 9000, left("rfm"))

	// The line of the last customer is held, so that the job stands in the middle.
	hold, err := b.db.Pool().Begin(b.ctx)
	require.NoError(t, err)
	defer hold.Rollback(context.WithoutCancel(b.ctx)) //nolint:errcheck // the end of the test
	_, err = hold.Exec(postgres.ForAllTenants(b.ctx), `SELECT FROM score_history WHERE tenant_id = $1
		AND customer_id = (SELECT id FROM customers WHERE tenant_id = $1 ORDER BY id DESC LIMIT 1) FOR UPDATE`, b.call.Tenant.ID)
	require.NoError(t, err)

	require.NoError(t, b.svc.Delete(b.ctx, b.call, "rfm", nil))
	b.model(t, "rfm", score.RFM, "2026-01-02", score.ParamsChange{})
	require.Zero(t, left("rfm"), "a new model of the key has no history")
	require.Eventually(t, func() bool {
		var n int
		err := b.db.QueryRow(b.ctx, `SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE datname = current_database() AND query LIKE 'DELETE FROM %' AND wait_event_type = 'Lock'`).Scan(&n)
		require.NoError(t, err)
		return n == 1
	}, 20*time.Second, 10*time.Millisecond)
	require.Equal(t, 1000, left(""), "what was removed before the connection broke stays removed")
	require.NoError(t, hold.Rollback(b.ctx))
	require.Eventually(t, func() bool { return left("") == 0 }, 30*time.Second, 10*time.Millisecond)
	require.Equal(t, 9000, left("other"))
	require.Eventually(t, func() bool {
		var status jobs.Status
		err := b.db.QueryRow(b.ctx, `SELECT status FROM jobs WHERE tenant_id = $1 AND kind = 'score_removal'`, b.call.Tenant.ID).Scan(&status)
		require.NoError(t, err)
		return status == jobs.Succeeded
	}, 20*time.Second, 10*time.Millisecond)
}
