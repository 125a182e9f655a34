package demo

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/bulk"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/segment"
	"github.com/kezi-io/kezi/internal/tenant"
)

// parts are the segments; the first one is what the contract's examples name.
var parts = []struct {
	segment.Draft
	text string
}{
	{segment.Draft{Key: "shanghai", Name: "上海客户", Description: "所在城市为上海", Basis: segment.Geographic, Strategy: "邀请参加上海门店的品鉴活动",
		Benefits: []segment.Benefit{{Kind: "event", Name: "门店品鉴会", Details: "每季度一次"}}}, `city = "上海"`},
	{segment.Draft{Preset: "loyal"}, ""},
	{segment.Draft{Preset: "dormant"}, ""},
	{segment.Draft{Key: "shanghai_loyal", Name: "上海忠诚客户", Description: "上海客户中的忠诚客户", Basis: segment.Behavioural,
		Strategy: "由门店店长一对一维护"}, `segments:"shanghai" AND segments:"loyal"`},
	{segment.Draft{Key: "salon", Name: "茶艺沙龙名单", Description: "线下沙龙报名客户", Basis: segment.Psychographic, Static: true,
		Strategy: "活动后三天内回访"}, ""},
}

// divide makes the segments and puts the first customers on the list of the static one.
func (d *Demo) divide(ctx context.Context, t tenant.Tenant, w world, ids pins) error {
	c := call(t, operator, partChangeSet)
	for i, p := range parts {
		var err error
		if p.text != "" {
			if p.Condition, err = filter.Parse(p.text); err != nil {
				return fmt.Errorf("read the condition of segment %s: %w", p.Key, err)
			}
		}
		draft, err := d.s.Segments.Complete(ctx, t, p.Draft)
		if err != nil {
			return fmt.Errorf("complete segment %s: %w", p.Preset, err)
		}
		made, job, err := d.s.Segments.Create(ctx, c, draft)
		if err != nil {
			return fmt.Errorf("make segment %s: %w", draft.Key, err)
		}
		ids[made.ID], ids[job.ID] = partIDs.at(i), jobIDs.at(5+i)
		if err := d.wait(ctx, t, *job); err != nil {
			return err
		}
	}
	var guests []uuid.UUID
	for _, p := range w.people[:4] {
		guests = append(guests, p.ID)
	}
	_, _, err := d.s.Segments.Pick(ctx, call(t, writer, partChangeSet), "salon", segment.Bulk{Adding: true, Target: bulk.Target{Customers: guests}, Reason: "线下报名"})
	if err != nil {
		return fmt.Errorf("put customers on a list: %w", err)
	}
	return nil
}
