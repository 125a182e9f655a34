package segment_test

import (
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/bulk"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/rule"
	"github.com/kezi-io/kezi/internal/segment"
)

func TestMembershipFollowsEachWrite(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.customer(t, customer.Registration{City: "上海"})
	bob := b.customer(t, customer.Registration{City: "北京"})
	b.segment(t, "shanghai", `city = "上海"`)
	b.segment(t, "buyers", `purchase_count >= 1 AND (city = "上海" OR spend_total >= 1000)`)
	require.Equal(t, []string{"shanghai"}, b.in(t, ada))
	require.Empty(t, b.in(t, bob))

	b.buy(t, bob, 500, 1)
	require.Empty(t, b.in(t, bob))
	b.buy(t, bob, 500, 1)
	require.Equal(t, []string{"buyers"}, b.in(t, bob))
	b.move(t, bob, "上海")
	require.Equal(t, []string{"buyers", "shanghai"}, b.in(t, bob))
	require.NoError(t, b.customers.Delete(b.ctx, b.call, bob, nil))
	require.Empty(t, b.in(t, bob))
	_, err := b.customers.Undelete(b.ctx, b.call, bob)
	require.NoError(t, err)
	require.Equal(t, []string{"buyers", "shanghai"}, b.in(t, bob))
	passed := b.passages(t, bob)
	require.Len(t, passed, 6)
	slices.Sort(passed[2:4]) // what one write does has no order
	slices.Sort(passed[4:6])
	require.Equal(t, []string{"+buyers write transaction.created", "+shanghai write customer.updated", "-buyers gone customer.deleted",
		"-shanghai gone customer.deleted", "+buyers write customer.undeleted", "+shanghai write customer.undeleted"}, passed)
	require.Equal(t, []string{"shanghai"}, b.in(t, b.customer(t, customer.Registration{City: "上海"})), "a new one is judged as well")

	log, err := b.svc.LogOfCustomer(b.ctx, b.call.Tenant, bob, page.Request{Limit: 10})
	require.NoError(t, err)
	require.Len(t, log.Items, 6)
	require.Equal(t, "purchase_count >= 1", log.Items[5].Leaf.Text(), "of what a purchase changes, the first")
	require.Equal(t, `city = "上海"`, log.Items[4].Leaf.Text())
	require.Nil(t, log.Items[3].Leaf)
	b.verify(t)
}

func TestSegmentsReadSegments(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.segment(t, "a", `city = "上海"`)
	b.segment(t, "b", `city = "上海" AND NOT segments:"a"`)
	b.segment(t, "c", `segments:"a" AND stage = "active"`)
	b.segment(t, "d", `NOT segments IN ("b", "c")`)
	ada := b.customer(t, customer.Registration{Stage: customer.Active})
	require.Equal(t, []string{"d"}, b.in(t, ada))
	b.move(t, ada, "上海")
	require.Equal(t, []string{"a", "c"}, b.in(t, ada))
	require.Equal(t, []string{"+d write customer.created", "+a write customer.updated", "+c write customer.updated", "-d write customer.updated"},
		b.passages(t, ada), "nobody passes through b for a moment")

	b.change(t, "a", segment.Change{Condition: node(t, `city = "杭州"`)})
	require.Equal(t, []string{"b"}, b.in(t, ada), "the job of a has everybody judged who reads it")
	b.verify(t)

	_, _, err := b.svc.Update(b.ctx, b.call, "a", nil, segment.Change{Condition: node(t, `segments:"d"`)})
	require.ErrorIs(t, err, rule.ErrCycle)
	require.ErrorContains(t, err, "segments.a → segments.d → segments.b → segments.a")
	_, _, err = b.svc.Update(b.ctx, b.call, "a", nil, segment.Change{Condition: node(t, `segments:"nobody"`)})
	require.ErrorIs(t, err, filter.ErrValue)
	_, _, err = b.svc.Update(b.ctx, b.call, "a", nil, segment.Change{Archived: new(true)})
	require.ErrorIs(t, err, segment.ErrInUse)
	require.ErrorContains(t, b.svc.Delete(b.ctx, b.call, "b", nil), "segment d")
	require.NoError(t, b.svc.Delete(b.ctx, b.call, "d", nil))
	require.Equal(t, []string{"b"}, b.in(t, ada))
}

func TestStaticSegments(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.list(t, "guests")
	b.segment(t, "invited", `segments:"guests" AND city = "上海"`)
	ada, bob := b.customer(t, customer.Registration{City: "上海"}), b.customer(t, customer.Registration{City: "北京"})
	missing := uuid.Must(uuid.NewV7())
	r, job, err := b.svc.Pick(b.ctx, b.call, "guests", segment.Bulk{Adding: true, Target: bulk.Target{Customers: []uuid.UUID{ada, bob, missing, ada}}})
	require.NoError(t, err)
	require.Nil(t, job)
	require.Equal(t, bulk.Result{Changed: 2, Missing: []uuid.UUID{missing}}, r)
	require.Equal(t, []string{"guests", "invited"}, b.in(t, ada))
	require.Equal(t, []string{"guests"}, b.in(t, bob))
	require.NoError(t, b.customers.Delete(b.ctx, b.call, ada, nil))
	require.Empty(t, b.in(t, ada))
	_, err = b.customers.Undelete(b.ctx, b.call, ada)
	require.NoError(t, err)
	require.Equal(t, []string{"guests", "invited"}, b.in(t, ada), "one that is brought back is on its lists again")
	r, _, err = b.svc.Pick(b.ctx, b.call, "guests", segment.Bulk{Target: bulk.Target{Condition: node(t, `city = "上海"`)}})
	require.NoError(t, err)
	require.Equal(t, 1, r.Changed)
	require.Empty(t, b.in(t, ada))
	require.Equal(t, []string{"+guests list segment.listed", "+invited write segment.listed", "-guests gone customer.deleted", "-invited gone customer.deleted",
		"+guests write customer.undeleted", "+invited write customer.undeleted", "-guests list segment.unlisted", "-invited write segment.unlisted"}, b.passages(t, ada))
	_, _, err = b.svc.Pick(b.ctx, b.call, "invited", segment.Bulk{Adding: true, Target: bulk.Target{Customers: []uuid.UUID{ada}}})
	require.ErrorIs(t, err, segment.ErrDynamic)
}

func TestArchiveAndRestore(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.customer(t, customer.Registration{City: "上海"})
	b.segment(t, "shanghai", `city = "上海"`)
	b.change(t, "shanghai", segment.Change{Archived: new(true)})
	require.Empty(t, b.in(t, ada))
	b.change(t, "shanghai", segment.Change{Archived: new(false), Name: new("上海客户")})
	require.Equal(t, []string{"shanghai"}, b.in(t, ada))
	require.Equal(t, []string{"+shanghai rule_change ", "-shanghai archived ", "+shanghai rule_change "}, b.passages(t, ada))
	x, err := b.svc.Get(b.ctx, b.call.Tenant, "shanghai")
	require.NoError(t, err)
	same, job, err := b.svc.Update(b.ctx, b.call, "shanghai", patch.Expected{x.Version}, segment.Change{Name: new("上海客户")})
	require.NoError(t, err)
	require.Nil(t, job)
	require.Equal(t, x.Version, same.Version)
}
