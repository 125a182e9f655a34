package customer_test

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/postgrestest"
)

func TestEverySortKeyHasItsIndex(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, name := range slices.Sorted(maps.Keys(customer.Sorts())) {
		s := customer.Sorts()[name]
		column, _ := s.Column.Where()
		where := ""
		if s.Nullable {
			where = " AND " + column + " IS NOT NULL"
		}
		plan := b.plan(`SELECT c.id FROM customers c WHERE c.tenant_id = $1 AND c.deleted_at IS NULL` + where + ` ORDER BY ` + column + `, c.id LIMIT 50`)
		require.NotContains(t, plan, "Sort", name)
		require.Contains(t, plan, "Index", name)
	}
}

// As the owner of the tables: under row-level security the database looks into texts only after it knows whose a row is, and
// sorts.
func TestLargeNamesAreWalkedInTheOrderOfAnIndex(t *testing.T) { // S3-03
	t.Parallel()
	b := setup(t)
	for _, part := range customer.NameParts() {
		plan := b.plan(`SELECT n.name, n.customer_id FROM customer_search n WHERE n.tenant_id = $1 AND ` + part +
			` AND (n.name, n.customer_id) > ('x', '00000000-0000-0000-0000-000000000000') ORDER BY n.name, n.customer_id LIMIT 50`)
		require.NotContains(t, plan, "Sort", part)
		require.Regexp(t, "customer_search_(name|long)_idx", plan)
	}
}

// plan is how the database would read the tenant's rows if tables were not as small as those of a test: what it could do
// is asked, and not what is cheapest for a handful of rows.
func (b bench) plan(sql string) string {
	b.Helper()
	ctx := postgrestest.Context(b.T, b.call.Tenant)
	var plan strings.Builder
	err := b.db.InTx(ctx, func(tx postgres.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT set_config(x, 'off', true) FROM unnest(ARRAY['enable_seqscan', 'enable_bitmapscan', 'enable_sort']) x`); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `EXPLAIN `+sql, b.call.Tenant.ID)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				return err
			}
			plan.WriteString(line + "\n")
		}
		return rows.Err()
	})
	require.NoError(b, err)
	return plan.String()
}

func TestBatchesInAnyOrderDoNotDeadlock(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := postgrestest.Context(t, b.call.Tenant)
	items := func(owner string) (all []customer.Item) {
		for _, id := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
			all = append(all, customer.Item{ID: customer.ExternalID{Source: "s", ID: id}, Change: customer.Change{Owner: patch.Set(owner), Name: &id}})
		}
		return all
	}
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			mine := items(string(rune('A' + i)))
			if i%2 == 1 {
				slices.Reverse(mine)
			}
			for range 5 {
				results, err := b.svc.Batch(ctx, b.call, mine)
				require.NoError(t, err)
				for _, r := range results {
					require.NoError(t, r.Err)
				}
			}
		})
	}
	group.Wait()
	require.Equal(t, 8, b.number(`SELECT count(*) FROM customers WHERE tenant_id = $1`))
	require.Equal(t, 0, b.number(`SELECT count(*) FROM customers c WHERE tenant_id = $1 AND version <> (SELECT count(*) FROM events e
		WHERE e.tenant_id = c.tenant_id AND e.customer_id = c.id)`), "each version has its event")
}

func TestARefusedItemOfABatchLeavesItsKeyFree(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := postgrestest.Context(t, b.call.Tenant)
	blank, name := " ", "x"
	id := customer.ExternalID{Source: "s", ID: "1"}
	results, err := b.svc.Batch(ctx, b.call, []customer.Item{{ID: id, Change: customer.Change{Name: &blank}}})
	require.NoError(t, err)
	require.Error(t, results[0].Err)
	require.Zero(t, b.number(`SELECT count(*) FROM external_ids WHERE tenant_id = $1`))
	_, outcome, err := b.svc.Put(ctx, b.call, id, nil, false, customer.Change{Name: &name})
	require.NoError(t, err)
	require.Equal(t, customer.Created, outcome)
}
