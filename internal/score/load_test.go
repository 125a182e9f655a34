package score_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/score"
)

// What a process has loaded when it is killed goes with the job that nobody begins again.
func TestSweepDropsWhatIsAbandoned(t *testing.T) {
	t.Parallel()
	b := on(t, postgrestest.Fresh(t)) // nobody works there
	b.model(t, "rfm", score.RFM, "2026-01-01", score.ParamsChange{})
	j, err := b.svc.Start(b.ctx, b.call, "rfm", score.Request{})
	require.NoError(t, err)
	_, err = b.db.Exec(b.ctx, `SELECT kezi_score_partition(run_no) FROM score_runs WHERE tenant_id = $1`, b.call.Tenant.ID)
	require.NoError(t, err)
	all := postgres.ForAllTenants(b.ctx)
	require.NoError(t, b.svc.Sweep(all))
	require.Equal(t, 1, b.partitions(t), "its job may begin any moment")
	_, err = b.jobs.Cancel(b.ctx, b.call.Tenant, j.ID)
	require.NoError(t, err)
	require.NoError(t, b.svc.Sweep(all))
	require.Zero(t, b.partitions(t))
}

// The planner knows that a customer has one score in a run. Without that, it expects many times as many pairs of two runs as there
// are customers, and joins them the slow way.
func TestThePlannerKnowsThatACustomerHasOneScoreInARun(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const customers = 2000
	var rows []purchase
	for i := range customers {
		rows = append(rows, purchase{strconv.Itoa(i), "2026-01-01", 100, ""})
	}
	b.buy(t, rows)
	b.model(t, "rfm", score.RFM, "2026-02-01", score.ParamsChange{})
	b.run(t, "rfm", score.Request{})
	b.run(t, "rfm", score.Request{})
	var numbers []int64
	err := b.db.QueryRow(b.ctx, `SELECT array_agg(run_no) FROM score_runs WHERE tenant_id = $1`, b.call.Tenant.ID).Scan(&numbers)
	require.NoError(t, err)
	var plan []struct {
		Plan struct {
			Rows int `json:"Plan Rows"`
		}
	}
	var raw []byte
	err = b.db.QueryRow(b.ctx, fmt.Sprintf(`EXPLAIN (FORMAT json) SELECT FROM scores s JOIN scores b ON b.tenant_id = s.tenant_id AND b.customer_id = s.customer_id
		AND b.run_no = %d WHERE s.tenant_id = %d AND s.run_no = %d`, numbers[0], b.call.Tenant.ID, numbers[1])).Scan(&raw)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &plan))
	require.InDelta(t, customers, plan[0].Plan.Rows, customers/2)
}

// A process that is killed after it has loaded a run leaves a table and its grades; the next attempt makes both anew.
func TestAnAttemptThatDiedAfterLoadingIsNoHindrance(t *testing.T) {
	t.Parallel()
	b := on(t, postgrestest.Fresh(t)) // nobody works there yet
	b.buy(t, []purchase{{"a", "2026-01-01", 100, ""}})
	b.model(t, "rfm", score.RFM, "2026-01-02", score.ParamsChange{})
	job, err := b.svc.Start(b.ctx, b.call, "rfm", score.Request{})
	require.NoError(t, err)
	var no int64
	require.NoError(t, b.db.QueryRow(b.ctx, `SELECT run_no FROM score_runs WHERE tenant_id = $1`, b.call.Tenant.ID).Scan(&no))
	_, err = b.db.Exec(b.ctx, `SELECT kezi_score_partition($1)`, no)
	require.NoError(t, err)
	_, err = b.db.Exec(b.ctx, `INSERT INTO score_grades (tenant_id, run_no, part, loaded_at, names, grades) VALUES ($1, $2, 0, now(), '{}', '')`, b.call.Tenant.ID, no)
	require.NoError(t, err)
	b.work(t)
	require.Equal(t, jobs.Succeeded, b.wait(t, "rfm", job).Status)
	var attempts int
	require.NoError(t, b.db.QueryRow(b.ctx, `SELECT attempt FROM jobs WHERE tenant_id = $1 AND id = $2`, b.call.Tenant.ID, job.ID).Scan(&attempts))
	require.Equal(t, 1, attempts)
}
