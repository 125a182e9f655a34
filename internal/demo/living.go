package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/bulk"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/importer"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/score"
	"github.com/kezi-io/kezi/internal/tag"
	"github.com/kezi-io/kezi/internal/tenant"
	"github.com/kezi-io/kezi/internal/transaction"
)

// enliven does with the customers what people would do through the API. Jobs run one after the other, so that their
// events come in the same order everywhere.
func (d *Demo) enliven(ctx context.Context, t tenant.Tenant, anchor tenant.Day, w world) error {
	ids := pins{}
	for _, do := range []func() error{
		func() error { return d.keepClean(ctx, t, ids) },
		func() error { return d.edit(ctx, t, w) },
		func() error { return d.know(ctx, t, anchor, w, ids) },
		func() error { return d.tag(ctx, t, w, ids) },
		func() error { return d.upload(ctx, t, anchor, w, ids) },
		func() error { return d.score(ctx, t, ids) },
		func() error { return d.place(ctx, t, ids) },
		func() error { return d.divide(ctx, t, w, ids) },
		func() error { return d.classify(ctx, t, w, ids) },
	} {
		if err := do(); err != nil {
			return err
		}
	}
	return pin(ctx, d.s.DB, t.ID, ids)
}

// edit changes the first customer and her last order, so that both have a history.
func (d *Demo) edit(ctx context.Context, t tenant.Tenant, w world) error {
	c := call(t, writer, editChangeSet)
	_, err := d.s.Customers.Update(ctx, c, w.people[0].ID, nil, customer.Change{Province: patch.Set("上海"), City: patch.Set("上海"),
		Attributes: patch.Set(customer.Attributes{"member_card": "VIP-0001"})})
	if err != nil {
		return fmt.Errorf("change a customer: %w", err)
	}
	for _, o := range w.orders {
		if o.who == 0 && o.at.day == -1 {
			paid := transaction.Paid
			if _, err := d.s.Transactions.Update(ctx, c, o.id, nil, transaction.Change{Status: &paid}); err != nil {
				return fmt.Errorf("change a transaction: %w", err)
			}
		}
	}
	return nil
}

// label is a tag with who carries it.
type label struct {
	tag.Draft
	reason string
	on     func(p person, did summary) bool
}

// summary is what a customer's orders add up to.
type summary struct {
	purchases, last   int // last is a day
	yuan              int64
	inStores, inBulks int
}

var labels = []struct {
	tag.GroupDraft
	labels []label
}{
	{tag.GroupDraft{Key: "value", Name: "价值", Color: "#b45309", Exclusive: true, Position: 1}, []label{
		{tag.Draft{Key: "vip", Name: "贵宾", Description: "重点维护"}, "消费额与活跃度", func(p person, s summary) bool {
			return s.last > -120 && (p.Kind == customer.Person && s.yuan > 3_500 || s.yuan > 12_000)
		}},
		{tag.Draft{Key: "growing", Name: "成长客户", Description: "近期多次购买"}, "近期多次购买", func(p person, s summary) bool {
			return s.last > -120 && s.purchases >= 4 && (p.Kind == customer.Person && s.yuan <= 3_500 || p.Kind == customer.Company && s.yuan <= 12_000)
		}},
		{tag.Draft{Key: "sleeping", Name: "沉睡客户", Description: "半年以上未购买", Color: "#64748b"}, "半年以上未购买", func(_ person, s summary) bool {
			return s.purchases >= 2 && s.last < -182
		}},
	}},
	{tag.GroupDraft{Key: "preference", Name: "偏好", Color: "#0f766e", Position: 2}, []label{
		{tag.Draft{Key: "store_fan", Name: "门店常客"}, "多数订单来自门店", func(_ person, s summary) bool {
			return s.purchases >= 3 && 2*s.inStores > s.purchases
		}},
		{tag.Draft{Key: "online", Name: "线上购买"}, "订单均来自线上", func(p person, s summary) bool {
			return p.Kind == customer.Person && s.purchases >= 2 && s.inStores == 0
		}},
		{tag.Draft{Key: "bulk_buyer", Name: "大宗采购", Description: "单次四十件以上"}, "单次四十件以上", func(_ person, s summary) bool {
			return s.inBulks > 0
		}},
	}},
	{tag.GroupDraft{Key: "region", Name: "区域", Color: "#2563eb", Exclusive: true, Position: 3}, []label{
		{tag.Draft{Key: "east", Name: "华东"}, "按所在城市", inRegion("east")},
		{tag.Draft{Key: "south", Name: "华南"}, "按所在城市", inRegion("south")},
		{tag.Draft{Key: "north", Name: "北方"}, "按所在城市", inRegion("north")},
		{tag.Draft{Key: "west", Name: "中西部"}, "按所在城市", inRegion("west")},
	}},
}

func inRegion(key string) func(person, summary) bool {
	return func(p person, _ summary) bool { return p.region == key }
}

func (w world) summaries() []summary {
	all := make([]summary, len(w.people))
	for i := range all {
		all[i].last = -history * 2
	}
	for _, o := range w.orders {
		if !o.status.purchase() {
			continue
		}
		s := &all[o.who]
		base, _ := o.amount.Convert("CNY", w.rateOn(o.amount.Currency, o.at.day))
		s.purchases++
		s.last, s.yuan = max(s.last, o.at.day), s.yuan+base.Minor/100
		if o.channel == "store" {
			s.inStores++
		}
		if o.units >= 40 {
			s.inBulks++
		}
	}
	return all
}

func (d *Demo) tag(ctx context.Context, t tenant.Tenant, w world, ids pins) error {
	did := w.summaries()
	n := 0
	for i, g := range labels {
		group, err := d.s.Tags.CreateGroup(ctx, call(t, operator, editChangeSet), g.GroupDraft)
		if err != nil {
			return fmt.Errorf("make tag group %s: %w", g.Key, err)
		}
		ids[group.ID] = groupIDs.at(i)
		for _, l := range g.labels {
			l.GroupID = &group.ID
			made, _, err := d.s.Tags.Create(ctx, call(t, operator, editChangeSet), l.Draft)
			if err != nil {
				return fmt.Errorf("make tag %s: %w", l.Key, err)
			}
			ids[made.ID] = tagIDs.at(n)
			changeSet := tagChangeSet
			changeSet[15] += byte(n) //nolint:gosec // there are ten tags
			if n == 0 {
				changeSet = vipChangeSet
				if _, err := d.s.Tags.Put(ctx, call(t, writer, editChangeSet), w.people[0].ID, made.ID, tag.Terms{Reason: "老客户"}); err != nil {
					return fmt.Errorf("put tag %s on a customer: %w", l.Key, err)
				}
			}
			var on []uuid.UUID
			for who, p := range w.people {
				if l.on(p, did[who]) {
					on = append(on, p.ID)
				}
			}
			many := tag.Many{Target: bulk.Target{Customers: on}, Adding: true, Reason: l.reason}
			if _, _, err := d.s.Tags.Bulk(ctx, call(t, operator, changeSet), made.ID, many, false); err != nil {
				return fmt.Errorf("put tag %s on customers: %w", l.Key, err)
			}
			n++
		}
	}
	return nil
}

// automatic are the tags with a condition; the first one is suppressed for the first customer.
var automatic = []struct {
	tag.Draft
	text string
}{
	{tag.Draft{Key: "regular", Name: "常客", Description: "至少在两个不同日期购买", Color: "#7c3aed", Position: 1}, `purchase_days >= 2`},
	{tag.Draft{Key: "shanghai_regular", Name: "上海常客", Description: "常客中的上海客户", Position: 2}, `tags:"regular" AND city = "上海"`},
	{tag.Draft{Key: "new_buyer", Name: "新购客户", Description: "最近 60 天内首次购买", Position: 3}, `first_purchase_on >= today-60d`},
}

// classify makes the automatic tags.
func (d *Demo) classify(ctx context.Context, t tenant.Tenant, w world, ids pins) error {
	c := call(t, operator, ruleChangeSet)
	group, err := d.s.Tags.CreateGroup(ctx, c, tag.GroupDraft{Key: "behaviour", Name: "购买行为", Color: "#7c3aed", Position: 4})
	if err != nil {
		return fmt.Errorf("make a tag group: %w", err)
	}
	ids[group.ID] = groupIDs.at(len(labels))
	for i, a := range automatic {
		if a.Condition, err = filter.Parse(a.text); err != nil {
			return fmt.Errorf("read the condition of tag %s: %w", a.Key, err)
		}
		a.GroupID = &group.ID
		made, job, err := d.s.Tags.Create(ctx, c, a.Draft)
		if err != nil {
			return fmt.Errorf("make tag %s: %w", a.Key, err)
		}
		ids[made.ID], ids[job.ID] = tagIDs.at(10+i), jobIDs.at(40+i)
		if err := d.wait(ctx, t, *job); err != nil {
			return err
		}
		if i == 0 {
			if err := d.s.Tags.Remove(ctx, call(t, writer, ruleChangeSet), w.people[0].ID, made.ID, "大客户另行维护"); err != nil {
				return fmt.Errorf("take tag %s off a customer: %w", a.Key, err)
			}
		}
	}
	return nil
}

// upload imports a file of yesterday's orders of another till, in which some rows are wrong.
func (d *Demo) upload(ctx context.Context, t tenant.Tenant, anchor tenant.Day, w world, ids pins) error {
	file, keys := tillFile(anchor, w)
	c := call(t, writer, importChangeSet)
	im, err := d.s.Imports.Create(ctx, c, importer.Creation{Type: importer.Transactions, Source: "shop", Currency: "CNY",
		Mapping: map[string]string{"customer_external_id": "customer_id", "occurred_at": "date", "amount_minor": "amount_cents",
			"external_id": "order_no", "units": "units", "channel": "channel"}})
	if err != nil {
		return fmt.Errorf("begin an import: %w", err)
	}
	job, err := d.s.Imports.Upload(ctx, c, im.ID, strings.NewReader(file), false)
	if err != nil {
		return fmt.Errorf("upload a file: %w", err)
	}
	ids[im.ID], ids[im.ChangeSet], ids[job.ID] = fileIDs.at(0), importChangeSet, jobIDs.at(4)
	if err := d.wait(ctx, t, job); err != nil {
		return err
	}
	made, err := transactionsOf(ctx, d.s.DB, t.ID, "shop", keys)
	if err != nil {
		return err
	}
	if len(made) != len(keys) {
		return fmt.Errorf("the import made %d transactions of %d good rows", len(made), len(keys))
	}
	for i, id := range made {
		ids[id] = orderIDs.at(len(w.orders) + i)
	}
	return nil
}

// tillFile is the file, and the order numbers of its good rows.
func tillFile(anchor tenant.Day, w world) (file string, keys []string) {
	rng := rand.New(rand.NewPCG(20260101, 3))
	var b strings.Builder
	b.WriteString("order_no,customer_id,date,amount_cents,units,channel\n")
	for who := 3; len(keys) < 40; who += 7 {
		p := w.people[who]
		if p.Kind != customer.Person || p.Stage != customer.Active {
			continue
		}
		keys = append(keys, fmt.Sprintf("T7-%04d", len(keys)+1))
		fmt.Fprintf(&b, "%s,%s,%s,%d,%d,store\n", keys[len(keys)-1], p.ExternalIDs[0].ID, dayAt(anchor, -1-len(keys)%2),
			990+rng.IntN(6000)*10, 1+rng.IntN(4))
		switch len(keys) {
		case 11:
			fmt.Fprintf(&b, "T7-9001,%s,%d-02-31,12900,1,store\n", p.ExternalIDs[0].ID, anchor.Year()-1)
		case 19:
			fmt.Fprintf(&b, "T7-9002,%s,%s,-5900,1,store\n", p.ExternalIDs[0].ID, dayAt(anchor, -1))
		case 27:
			fmt.Fprintf(&b, "T7-9003,,%s,8800,1,store\n", dayAt(anchor, -1))
		case 33:
			fmt.Fprintf(&b, "T7-9004,%s,%s,六十八,1,store\n", p.ExternalIDs[0].ID, dayAt(anchor, -1))
		}
	}
	return b.String(), keys
}

func (d *Demo) score(ctx context.Context, t tenant.Tenant, ids pins) error {
	for i, m := range []score.Creation{
		{Key: "clv", Name: "客户终身价值", Kind: score.CLV}, {Key: "rfm", Name: "RFM 价值分群", Kind: score.RFM}, {Key: "churn", Name: "九十天流失", Kind: score.Churn},
		{Key: "potential", Name: "客户潜力", Kind: score.Potential, Params: score.ParamsChange{CLVModel: patch.Set("clv")}},
		{Key: "engagement", Name: "活跃积分", Kind: score.Rules}, {Key: "worth", Name: "客户价值综合分", Kind: score.Composite},
		{Key: "value_at_risk", Name: "风险价值", Kind: score.AtRisk},
	} {
		c := call(t, operator, scoreChangeSet)
		if _, err := d.s.Scores.Create(ctx, c, m); err != nil {
			return fmt.Errorf("make score model %s: %w", m.Key, err)
		}
		job, err := d.s.Scores.Start(ctx, c, m.Key, score.Request{})
		if err != nil {
			return fmt.Errorf("run score model %s: %w", m.Key, err)
		}
		run, err := uuid.Parse(job.SubjectID)
		if err != nil {
			return fmt.Errorf("read the run of score model %s: %w", m.Key, err)
		}
		if ids[run] = runIDs.at(i); i < 3 {
			ids[job.ID] = jobIDs.at(i)
		} else {
			ids[job.ID] = jobIDs.at(20 + i)
		}
		if err := d.wait(ctx, t, job); err != nil {
			return err
		}
	}
	return nil
}

// patience is how long a job of this size may take on a machine that has other things to do.
const patience = 2 * time.Minute

// wait follows a job to its end.
func (d *Demo) wait(ctx context.Context, t tenant.Tenant, job jobs.Job) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the %s job, which is %s: %w", job.Kind, job.Status, ctx.Err())
		case <-tick.C:
		}
		var err error
		if job, err = d.s.Jobs.Get(ctx, t, job.ID); err != nil {
			return err
		}
		switch {
		case job.Status == jobs.Succeeded:
			return nil
		case job.Status.Ended():
			return fmt.Errorf("the %s job %s: %s %s", job.Kind, job.Status, job.ErrorCode, job.ErrorDetail)
		}
	}
}
