package demo

import (
	"context"
	"fmt"

	"github.com/kezi-io/kezi/internal/attribute"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/quality"
	"github.com/kezi-io/kezi/internal/tenant"
)

// ownFields are what the company keeps of its customers and orders beside what everybody does.
var ownFields = []attribute.Draft{
	{AppliesTo: attribute.Customers, Key: "member_card", Label: "会员卡号", Type: attribute.Text, Purpose: "到店识别会员", Description: "卡面上的编号",
		Validation: attribute.Validation{Pattern: "VIP-[0-9]{4}"}, Position: 1},
	{AppliesTo: attribute.People, Key: "tea_taste", Label: "口味偏好", Type: attribute.MultiChoice, Purpose: "推荐新品", Position: 2,
		Choices: []attribute.Option{{Key: "light", Label: "清香"}, {Key: "rich", Label: "浓香"}, {Key: "floral", Label: "花香"}}},
	{AppliesTo: attribute.Companies, Key: "credit_days", Label: "账期", Type: attribute.Number, Unit: "天", Purpose: "应收账款管理", Position: 3,
		Validation: attribute.Validation{Min: "0", Max: "180"}},
	{AppliesTo: attribute.Transactions, Key: "gift_note", Label: "赠言", Type: attribute.Text, Purpose: "随单打印", Position: 4,
		Validation: attribute.Validation{MaxLength: 200}},
}

var rules = []quality.Draft{
	{AppliesTo: attribute.Companies, Name: "企业须填行业", Kind: quality.Required, Field: "industry", Severity: quality.Warn,
		Message: fault.Text{Zh: "请填写行业"}, Position: 1},
	{AppliesTo: attribute.Customers, Name: "须有联系方式", Kind: quality.Required, Field: "contact_points", Severity: quality.Warn, Position: 2},
}

// keepClean defines fields and rules.
func (d *Demo) keepClean(ctx context.Context, t tenant.Tenant, ids pins) error {
	c := call(t, operator, editChangeSet)
	for i, draft := range ownFields {
		made, err := d.s.Fields.Create(ctx, c, draft)
		if err != nil {
			return fmt.Errorf("define field %s: %w", draft.Key, err)
		}
		ids[made.ID] = fieldIDs.at(i)
	}
	for i, draft := range rules {
		made, err := d.s.Quality.CreateRule(ctx, c, draft)
		if err != nil {
			return fmt.Errorf("make rule %s: %w", draft.Name, err)
		}
		ids[made.ID] = ruleIDs.at(i)
	}
	return nil
}
