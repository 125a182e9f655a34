package score_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/score"
)

// nights scores everybody on as many days in a row.
func (l *living) nights(t *testing.T, key string, n int) (all []score.Run) {
	t.Helper()
	for range n {
		l.set(l.now().AddDate(0, 0, 1))
		all = append(all, l.run(t, key, score.Request{Keep: true}))
	}
	return all
}

// archived are the customers of whom the history has lines of a run, with the time of the last.
func (l *living) archived(t *testing.T, r score.Run) map[uuid.UUID]time.Time {
	t.Helper()
	//nolint:rowserrcheck // ForEachRow does
	rows, err := l.db.Query(l.ctx, `SELECT h.customer_id, h.scored_at FROM score_history h JOIN score_runs r ON r.tenant_id = h.tenant_id AND r.run_no = h.run_no
		WHERE h.tenant_id = $1 AND r.id = $2 ORDER BY 2`, l.call.Tenant.ID, r.ID)
	require.NoError(t, err)
	found := map[uuid.UUID]time.Time{}
	var id uuid.UUID
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&id, &at}, func() error { found[id] = at.UTC(); return nil })
	require.NoError(t, err)
	return found
}

// While scores are copied into the history, the model is nobody's: it can be changed, another run can come into force, and customers
// buy. A run that came into force meanwhile is archived again later, with what was scored between its loading and that moment.
func TestNobodyWaitsForTheArchive(t *testing.T) {
	t.Parallel()
	l := live(t, 40)
	l.create(t, score.Creation{Key: "rfm", Kind: score.RFM})
	before := l.nights(t, "rfm", 5)
	next := map[uuid.UUID]score.Scored{}
	for _, s := range l.scores(t, "rfm", before[1]) {
		next[s.CustomerID] = s
	}
	var moved, still []uuid.UUID
	for _, s := range l.scores(t, "rfm", before[0]) {
		if n := next[s.CustomerID]; n.Band != s.Band || n.Label != s.Label {
			moved = append(moved, s.CustomerID)
		} else {
			still = append(still, s.CustomerID)
		}
	}
	require.NotEmpty(t, moved)
	l.set(l.now().AddDate(0, 0, 1))
	var job jobs.Job
	paid, caughtUp := map[string]time.Time{}, map[string]time.Time{} // by customer when they were scored
	err := l.db.InTx(l.ctx, func(tx postgres.Tx) error {
		// Who archives a line waits for the end of another who has the same.
		_, err := tx.Exec(l.ctx, `INSERT INTO score_history (tenant_id, customer_id, model_id, scored_at, run_no, as_of, value, band, label, inputs)
			SELECT s.tenant_id, s.customer_id, r.model_id, s.scored_at, s.run_no, s.as_of, s.value, s.band, s.label, s.inputs
			FROM scores s JOIN score_runs r ON r.tenant_id = s.tenant_id AND r.run_no = s.run_no WHERE s.tenant_id = $1 AND r.id = $2
				AND s.customer_id = ANY($3)`, l.call.Tenant.ID, before[0].ID, moved)
		require.NoError(t, err)
		job, err = l.svc.Start(l.ctx, l.call, "rfm", score.Request{Keep: true})
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			var waits bool
			err := l.db.QueryRow(l.ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
				AND query ~ '^INSERT INTO score.history')`).Scan(&waits)
			return err == nil && waits
		}, time.Minute, 5*time.Millisecond)

		ctx, cancel := context.WithTimeout(l.ctx, 30*time.Second)
		defer cancel()
		l.set(l.now().Add(time.Second))
		r, err := l.svc.Activate(ctx, l.call, "rfm", before[0].ID)
		require.NoError(t, err)
		require.True(t, r.Current)
		for _, name := range l.names {
			if slices.Contains(still, l.id(name)) {
				l.pay(t, name, 1, l.daysAgo(0))
				if l.score(t, name, "rfm").ScoredAt.Equal(l.now()) { // its value is another one
					paid[name] = l.now()
				}
			}
		}
		l.set(l.now().Add(time.Second))
		return context.Canceled
	})
	require.ErrorIs(t, err, context.Canceled)
	sixth := l.wait(t, "rfm", job)
	require.True(t, sixth.Current)
	for _, name := range l.names {
		if l.score(t, name, "rfm").ScoredAt.Equal(l.now()) {
			caughtUp[name] = l.now()
		}
	}
	var archived *time.Time
	require.NoError(t, l.db.QueryRow(l.ctx, `SELECT archived_at FROM score_runs WHERE tenant_id = $1 AND id = $2`, l.call.Tenant.ID, before[0].ID).Scan(&archived))
	require.Nil(t, archived, "it was in force since")
	require.NotEmpty(t, paid)
	require.NotEmpty(t, caughtUp)

	later := l.nights(t, "rfm", 6)
	for name, at := range paid {
		require.Equal(t, at, l.archived(t, before[0])[l.id(name)], "scored by it while it was in force again")
	}
	for name, at := range caughtUp {
		require.Equal(t, at, l.archived(t, sixth)[l.id(name)], "scored after it was loaded, before it came into force")
	}
	p, err := l.svc.History(l.ctx, l.call.Tenant, l.id("c001"), "rfm", page.Request{Limit: 50})
	require.NoError(t, err)
	require.Equal(t, later[5].ID, l.newest(t, "rfm").ID)
	for _, s := range p.Items {
		l.exact(t, s)
	}
}

// A night's scores come into force although their forerunners can't be put away; the next night does that.
func TestAnArchiveThatFailsDoesNotKeepANightFromComingIntoForce(t *testing.T) {
	t.Parallel()
	if postgrestest.RowSecurity() {
		t.Skip("the role of this run can't make triggers")
	}
	l := live(t, 40)
	l.create(t, score.Creation{Key: "rfm", Kind: score.RFM})
	before := l.nights(t, "rfm", 5)
	for _, sql := range []string{
		`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not now'; END $$`,
		`CREATE TRIGGER refuse BEFORE INSERT ON score_history FOR EACH ROW EXECUTE FUNCTION refuse()`,
	} {
		_, err := l.db.Exec(l.ctx, sql)
		require.NoError(t, err)
	}
	r := l.nights(t, "rfm", 1)[0]
	require.Equal(t, jobs.Succeeded, r.Status)
	require.True(t, r.Current)
	require.Empty(t, l.archived(t, before[0]))
	_, err := l.db.Exec(l.ctx, `DROP TRIGGER refuse ON score_history`)
	require.NoError(t, err)
	l.nights(t, "rfm", 1)
	require.NotEmpty(t, l.archived(t, before[0]))
}
