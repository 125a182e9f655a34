package importer_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/attribute"
	"github.com/kezi-io/kezi/internal/importer"
)

func TestCustomers(t *testing.T) {
	t.Parallel()
	mapped := map[string]string{"external_id": "id", "name": "name", "kind": "kind", "stage": "stage", "source_channel": "channel",
		"source_detail": "detail", "city": "city", "country": "country", "owner": "owner"}
	const head = "id,name,kind,stage,channel,detail,city,country,owner\n"
	show := func(b bench) string {
		return b.text(`SELECT string_agg(concat_ws(' ', external_id, name, kind, stage, source_channel, source_detail, city, country, owner,
			version), E'\n' ORDER BY external_id) FROM customers c JOIN external_ids e ON e.tenant_id = c.tenant_id AND e.customer_id = c.id
			WHERE c.tenant_id = $1`)
	}
	// S3-40, S4-08
	t.Run("MakeAndMerge", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		im := b.load(customers(mapped), head+"1, 王伟 ,person,lead,store,南京东路店,上海,CN,李\n2,,,,,,,,\n3,ACME,company,,,扫码,,,\n")
		require.Equal(t, importer.Counts{Rows: 3, Created: 3}, im.Counts)
		require.Equal(t, "1 王伟 person lead store 南京东路店 上海 CN 李 1\n2 2 person prospect import 1\n3 ACME company prospect import 扫码 1", show(b))
		im = b.load(customers(mapped), head+"1,,,active,,,,,\n2,,,,,,,,\n3,ACME,company,,,,杭州,,\n")
		require.Equal(t, importer.Counts{Rows: 3, Updated: 2, Unchanged: 1}, im.Counts)
		require.Equal(t, "1 王伟 person active store 南京东路店 上海 CN 李 2\n2 2 person prospect import 1\n3 ACME company prospect import 扫码 杭州 CN 2", show(b))
		b.verify()
		b.clean()
	})
	t.Run("SameFileTwiceChangesNothing", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		content := head + strings.Repeat("1,a,,,,,,,\n", 9) + "2,b,,,,,,,\n"
		require.Equal(t, importer.Counts{Rows: 10, Created: 2, Unchanged: 8}, b.load(customers(mapped), content).Counts)
		require.Equal(t, importer.Counts{Rows: 10, Unchanged: 10}, b.load(customers(mapped), content).Counts)
	})
	t.Run("BadRows", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		im := b.load(customers(mapped), head+
			",a,,,,,,,\n1,a,robot,gone,tv,,,China,\n2,"+strings.Repeat("名", 201)+",,,,,,,\n3,a\x00,,,,,,,\n4,a,,,,,,cn,\n5,a,,,,,,,\n5,b,,,,,,,\n")
		require.Equal(t, []string{"2 id required", "3 channel unknown_value", "3 country bad_country", "3 kind unknown_value",
			"3 stage unknown_value", "4 name too_long", "5 name bad_text", "6 country bad_country", "8 id external_id_repeated"}, b.errors(im.ID))
		require.Equal(t, importer.Counts{Rows: 7, Created: 1, Failed: 6}, im.Counts)
	})
	t.Run("TwoExternalIDsOfOneCustomerBothCount", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.load(customers(mapped), head+"1,a,,,,,,,\n")
		_, err := b.db.Exec(b.ctx, `INSERT INTO external_ids (tenant_id, source, external_id, customer_id, created_at)
			SELECT tenant_id, source, '1-old', customer_id, created_at FROM external_ids WHERE tenant_id = $1`, b.call.Tenant.ID)
		require.NoError(t, err)
		im := b.load(customers(mapped), head+"1-old,,,,,,上海,,\n1,,,,,,,,李\n")
		require.Equal(t, int64(2), im.Counts.Updated)
		require.Equal(t, "1 a person prospect import 上海 CN 李 3\n1-old a person prospect import 上海 CN 李 3", show(b))
	})
	t.Run("DeletedOnesAreRefused", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.load(customers(mapped), head+"1,a,,,,,,,\n")
		_, err := b.db.Exec(b.ctx, `UPDATE customers SET deleted_at = now() WHERE tenant_id = $1`, b.call.Tenant.ID)
		require.NoError(t, err)
		im := b.load(customers(mapped), head+"1,b,,,,,,,\n2,b,,,,,,,\n")
		require.Equal(t, []string{"2 id customer_deleted"}, b.errors(im.ID))
		require.Equal(t, int64(1), im.Counts.Created)
	})
}

// S3-40
func TestTheWholeRecordFromAFile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.define(attribute.Draft{Key: "card", Type: attribute.Text})
	mapped := map[string]string{"external_id": "id", "aliases": "又名", "person.birthday": "生日", "person.interests": "爱好", "person.preferences.size": "尺码",
		"company.registration_number": "信用代码", "company.employees": "人数", "company.annual_revenue": "营业额", "industry_code": "行业", "attributes.card": "卡号"}
	const content = "id,又名,生日,爱好,尺码,信用代码,人数,营业额,行业,卡号\n" +
		"1,阿王；王姐,农历 2020-闰4-03,茶、登山,M,,,,,V1\n" +
		"2,,,,,91440300708461136t,120,12000000.00,65,\n" +
		"3,,,,,914403007084611369,,,,\n" +
		"4,,某天,,,,x,-,99,\n" +
		"5,,,,,91440300708461136,,,,\n" +
		"6,,2023-02-29,,,,,,,\n"
	im := b.load(customers(mapped), content)
	require.Equal(t, []string{"4 信用代码 credit_code_check", "5 人数 bad_units", "5 生日 bad_birthday", "5 营业额 bad_amount", "6 信用代码 credit_code_length", "7 生日 bad_date"}, b.errors(im.ID))
	require.Equal(t, importer.Counts{Rows: 6, Created: 2, Failed: 4}, im.Counts)
	require.Equal(t, "1 person {阿王,王姐} 2020-05-25 {茶,登山} {\"card\": \"V1\"}\n2 company 91440300708461136T 120 1200000000 65 {}",
		b.text(`SELECT string_agg(concat_ws(' ', external_id, kind, aliases, born_on, interests, registration_number, employees, annual_revenue, industry_code,
			attributes), E'\n' ORDER BY external_id) FROM customers c JOIN external_ids e ON e.tenant_id = c.tenant_id AND e.customer_id = c.id
			WHERE c.tenant_id = $1`))
	require.Equal(t, "import prospect 2", b.text(`SELECT concat_ws(' ', min(cause), min(to_stage), count(*)) FROM customer_stages WHERE tenant_id = $1`))

	lenient := customers(mapped)
	lenient.RegistrationCheck = importer.Warn
	im = b.load(lenient, content)
	require.Equal(t, importer.Counts{Rows: 6, Created: 1, Unchanged: 2, Failed: 3, Warned: 1}, im.Counts)
	require.Contains(t, b.errors(im.ID), "4 信用代码 credit_code_check")
	require.Equal(t, "true", b.text(`SELECT details->>'registration_invalid' FROM customers WHERE tenant_id = $1 AND registration_number = '914403007084611369'`))
	b.verify()
	b.clean()
}
