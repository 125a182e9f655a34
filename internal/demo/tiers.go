package demo

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/tenant"
	"github.com/kezi-io/kezi/internal/tier"
)

// place makes the tier schemes: two presets, with a draft of one that would be stricter; and one that has just become
// stricter, so that some customers are in their days of grace.
func (d *Demo) place(ctx context.Context, t tenant.Tenant, ids pins) error {
	c := call(t, operator, tierChangeSet)
	done := []uuid.UUID{jobIDs.at(3)}
	for i := range 3 {
		done = append(done, jobIDs.at(5+len(parts)+i))
	}
	evaluated := func(s tier.Scheme) error {
		job, err := jobs.Of(ctx, d.s.DB, t, "tier", s.ID.String())
		if err != nil {
			return fmt.Errorf("look for the job of tier scheme %s: %w", s.Key, err)
		}
		ids[job.ID], done = done[0], done[1:]
		return d.wait(ctx, t, job)
	}
	activity := tier.Draft{Key: "activity", Name: "活跃度", Terms: tier.Terms{GraceDays: new(30), Tiers: active("today-180d")}}
	for i, draft := range []tier.Draft{{Key: tier.Value, Preset: tier.Value}, {Key: tier.Membership, Preset: tier.Membership}, activity} {
		made, err := d.s.Tiers.Create(ctx, c, draft)
		if err != nil {
			return fmt.Errorf("make tier scheme %s: %w", draft.Key, err)
		}
		ids[made.ID] = schemeIDs.at(i)
		if err := evaluated(made); err != nil {
			return err
		}
	}
	if _, err := d.s.Tiers.PutDraft(ctx, c, tier.Membership, nil, tier.Terms{Downgrade: new(tier.Direct)}); err != nil {
		return fmt.Errorf("draft a tier scheme: %w", err)
	}
	changed, err := d.s.Tiers.Update(ctx, c, activity.Key, nil, tier.Change{Terms: tier.Terms{Tiers: active("today-90d")}})
	if err != nil {
		return fmt.Errorf("change a tier scheme: %w", err)
	}
	return evaluated(changed)
}

// active are tiers by the day of the last purchase.
func active(since string) []tier.TierDraft {
	bought := filter.Leaf{Field: "last_purchase_on", Op: filter.Gte, Values: []filter.Value{filter.String(since)}}
	raw, _ := bought.MarshalJSON() // a leaf of one day can be written
	return []tier.TierDraft{{Key: "active", Name: "活跃", Condition: raw}, {Key: "quiet", Name: "沉寂"}}
}
