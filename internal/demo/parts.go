package demo

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/contact"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/note"
	"github.com/kezi-io/kezi/internal/relation"
	"github.com/kezi-io/kezi/internal/tenant"
)

// know writes down what is known of some customers beside their purchases: whom to talk to at the tea company, its group
// and its partners, and notes. The contract's examples speak of 王芳, who is the first customer, and of that company.
func (d *Demo) know(ctx context.Context, t tenant.Tenant, anchor tenant.Day, w world, ids pins) error {
	c := call(t, writer, editChangeSet)
	companies := w.companies()
	ada, tea := w.people[0].ID, w.people[1].ID
	if err := d.introduce(ctx, c, tea, ada, ids); err != nil {
		return err
	}
	day := func(offset int) *tenant.Day { at := dayAt(anchor, offset); return &at }
	for i, r := range []struct {
		self uuid.UUID
		relation.Draft
	}{
		{tea, relation.Draft{Type: relation.Subsidiary, OtherID: companies[0], Note: "茶具业务", Since: day(-1900)}},
		{tea, relation.Draft{Type: relation.Subsidiary, OtherID: companies[1], Since: day(-700)}},
		{companies[0], relation.Draft{Type: relation.Subsidiary, OtherID: companies[2], Since: day(-300)}},
		{tea, relation.Draft{Type: relation.Supplier, OtherID: companies[3], Note: "包装材料"}},
		{ada, relation.Draft{Type: relation.Household, OtherID: w.people[2].ID}},
		{companies[4], relation.Draft{Type: relation.Referrer, OtherID: ada}},
	} {
		made, err := d.s.Relations.Create(ctx, c, r.self, r.Draft)
		if err != nil {
			return fmt.Errorf("relate customers: %w", err)
		}
		ids[made.ID] = relationIDs.at(i)
	}
	for i, n := range []struct {
		who uuid.UUID
		note.Draft
	}{
		{ada, note.Draft{Kind: note.SpecialRequest, Body: "送货前请先发短信，不要打电话", Pinned: true}},
		{ada, note.Draft{Kind: note.General, Body: "喜欢明前龙井，常买来送长辈"}},
		{tea, note.Draft{Kind: note.History, Body: "首次合作：春节礼盒定制八百份", OccurredOn: day(-540)}},
		{tea, note.Draft{Kind: note.Solution, Body: "按季供货，礼盒印客户标识，月结三十天"}},
		{tea, note.Draft{Kind: note.Prospect, Body: "明年计划新开十二家门店，可谈年度框架"}},
	} {
		made, err := d.s.Notes.Create(ctx, c, n.who, n.Draft)
		if err != nil {
			return fmt.Errorf("write a note: %w", err)
		}
		ids[made.ID] = noteIDs.at(i)
	}
	return nil
}

func (d *Demo) introduce(ctx context.Context, c tenant.Call, tea, ada uuid.UUID, ids pins) error {
	for i, who := range []contact.Draft{
		{Name: "周敏", Title: "采购总监", Department: "采购部", Gender: "female", DecisionRole: "decision_maker", Primary: true, Remark: "每周三上午开会"},
		{Name: "钱伟", Title: "财务经理", Department: "财务部", Gender: "male", DecisionRole: "finance"},
		{Name: "王芳", Title: "门店顾问", DecisionRole: "user", PersonID: &ada},
	} {
		made, err := d.s.Contacts.Create(ctx, c, tea, who)
		if err != nil {
			return fmt.Errorf("introduce a contact: %w", err)
		}
		ids[made.ID] = contactIDs.at(i)
	}
	return nil
}

// companies are those after the first one.
func (w world) companies() (ids []uuid.UUID) {
	for _, p := range w.people[2:] {
		if p.Kind == customer.Company {
			ids = append(ids, p.ID)
		}
	}
	return ids
}
