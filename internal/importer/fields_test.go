package importer_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/attribute"
	"github.com/kezi-io/kezi/internal/importer"
	"github.com/kezi-io/kezi/internal/quality"
)

// S0-08 S3-04 S3-05 S3-40
func TestOwnFieldsFromAFile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	choices := []attribute.Option{{Key: "tea", Label: "茶"}, {Key: "coffee", Label: "咖啡"}}
	b.define(attribute.Draft{Key: "points", Type: attribute.Number, Validation: attribute.Validation{Min: "0"}}, attribute.Draft{Key: "vip", Type: attribute.Boolean},
		attribute.Draft{Key: "visit_on", Type: attribute.Date}, attribute.Draft{Key: "drinks", Type: attribute.MultiChoice, Choices: choices},
		attribute.Draft{Key: "level", Type: attribute.Choice, Choices: choices}, attribute.Draft{Key: "budget", Type: attribute.Money, Unit: "CNY"},
		attribute.Draft{Key: "code", Type: attribute.Text})
	mapped := map[string]string{"external_id": "id", "attributes.points": "积分", "attributes.vip": "会员", "attributes.visit_on": "到访",
		"attributes.drinks": "饮品", "attributes.level": "等级", "attributes.budget": "预算", "attributes.code": "编码"}
	const content = "id,积分,会员,到访,饮品,等级,预算,编码\n" +
		"1,12345678901234567.5,是,2026/3/1,茶;coffee,咖啡,12.5,0012\n" +
		"2,-1,perhaps,someday,beer,x,much,y\n" +
		"1,12345678901234567.50,true,2026-03-01,coffee；茶,coffee,12.50,0012\n"
	im := b.load(customers(mapped), content)
	require.Equal(t, []string{"3 会员 bad_boolean", "3 到访 bad_date", "3 积分 out_of_range", "3 等级 unknown_choice", "3 预算 bad_amount", "3 饮品 unknown_choice"}, b.errors(im.ID))
	require.Equal(t, importer.Counts{Rows: 3, Created: 1, Unchanged: 1, Failed: 1}, im.Counts)
	require.JSONEq(t, `{"vip": true, "code": "0012", "level": "coffee", "budget": {"base": 1250, "amount": "12.50", "currency": "CNY"}, "drinks": ["tea", "coffee"],
		"points": 12345678901234567.5, "visit_on": "2026-03-01"}`, b.text(`SELECT attributes::text FROM customers WHERE tenant_id = $1`))
	require.Equal(t, importer.Counts{Rows: 3, Unchanged: 2, Failed: 1}, b.load(customers(mapped), content).Counts)
	im = b.load(customers(map[string]string{"external_id": "id", "attributes.pionts": "积分"}), "id,积分\n9,1\n")
	require.Equal(t, []string{"2 积分 unknown_attribute"}, b.errors(im.ID))
	b.verify()
	b.clean()
}

// Rules see what a row brings beside the record, and refuse that row alone.
//
// S0-57 S0-58 S0-59
func TestRulesHoldInFiles(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := quality.NewService(b.db, quiet(t, b.db), time.Now)
	for _, d := range []quality.Draft{
		{Name: "电话", Kind: quality.Required, Field: "contact_points.phone", Severity: quality.Block},
		{Name: "邮箱", Kind: quality.Required, Field: "contact_points.email", Severity: quality.Warn},
		{Name: "城市", Kind: quality.Required, Field: "city", Severity: quality.Warn},
		{Name: "名称", Kind: quality.Pattern, Field: "name", Pattern: "[^x]*", Severity: quality.Block},
	} {
		d.AppliesTo = attribute.Customers
		_, err := rules.CreateRule(b.ctx, b.call, d)
		require.NoError(t, err)
	}
	mapped := map[string]string{"external_id": "id", "name": "name", "city": "city", "phone": "phone", "email": "email"}
	im := b.load(customers(mapped), "id,name,city,phone,email\n"+
		"1,a,上海,13812345678,a@example.com\n2,b,上海,,b@example.com\n3,c,,13812345679,\n4,x,上海,13812345670,d@example.com\n")
	require.Equal(t, []string{"3  rule_required", "4  rule_required", "4 city rule_required", "5 name rule_pattern"}, b.errors(im.ID))
	require.Equal(t, importer.Counts{Rows: 4, Created: 2, Failed: 2, Warned: 1}, im.Counts)
	require.Equal(t, 2, b.count("customers"))
	require.Equal(t, 3, b.count("contact_points"))
	require.Equal(t, "50 30", b.text(`SELECT string_agg(m.completeness::text, ' ' ORDER BY e.external_id) FROM customer_metrics m
		JOIN external_ids e ON e.tenant_id = m.tenant_id AND e.customer_id = m.customer_id WHERE m.tenant_id = $1`), "phone 20, email 10, city 10, source 10")
	b.verify()
	b.clean()
}
