package importer_test

import (
	"fmt"
	"maps"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/attribute"
	"github.com/kezi-io/kezi/internal/importer"
)

// S0-04, S3-08, S4-12
func TestContactPointsAndAddressesOfCustomers(t *testing.T) {
	t.Parallel()
	mapped := map[string]string{"external_id": "id", "name": "name", "phone": "phone", "phone_2": "mobile", "email": "mail", "wechat": "wx",
		"address.city": "city", "address.street": "street", "address.postal_code": "zip"}
	const head = "id,name,phone,mobile,mail,wx,city,street,zip\n"
	show := func(b bench) string {
		return b.text(`SELECT string_agg(concat_ws(' ', e.external_id, p.kind, p.number_type, p.is_primary, p.source), E'\n'
				ORDER BY e.external_id, p.kind, p.number_type, p.is_primary DESC)
			FROM contact_points p JOIN external_ids e ON e.tenant_id = p.tenant_id AND e.customer_id = p.customer_id WHERE p.tenant_id = $1`)
	}
	t.Run("AreAddedOnceHoweverOftenTheyCome", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		content := head + "1,王伟,0571-87654321,13700000001,wang@example.com,,杭州市,龙井路 1 号,310013\n" +
			"2,李娜,13700000001,+86 137 0000 0001,,lina_88,,,\n" +
			"3,赵敏,,,,,,,\n" +
			"3,赵敏,13700000003,,,,,,\n"
		require.Equal(t, importer.Counts{Rows: 4, Created: 3, Updated: 1}, b.load(customers(mapped), content).Counts)
		require.Equal(t, "1 email t import\n1 phone landline t import\n1 phone mobile f import\n2 phone mobile t import\n2 wechat t import\n3 phone mobile t import", show(b))
		require.Equal(t, "CN 浙江 杭州 1", b.text(`SELECT concat_ws(' ', country, province, city, version) FROM customers WHERE tenant_id = $1 AND name = '王伟'`),
			"the address says where the customer is")
		require.Equal(t, "CN 浙江 杭州 310013 t t", b.text(`SELECT concat_ws(' ', country, province, city, postal_code, is_primary, kezi_sealed(street)) FROM addresses WHERE tenant_id = $1`))
		before := show(b)
		require.Equal(t, importer.Counts{Rows: 4, Unchanged: 4}, b.load(customers(mapped), content).Counts)
		require.Equal(t, before, show(b))
		im := b.load(customers(mapped), head+"1,王伟,,13700000009,,,,,\n")
		require.Equal(t, importer.Counts{Rows: 1, Updated: 1}, im.Counts)
	})
	t.Run("ABadOneFailsItsRowWithoutItsValue", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		im := b.load(customers(mapped), head+"1,a,12345,,nobody,,,,\n2,b,,,,abc,杭州,,31001\n3,c,13700000001,,,,,,\n")
		require.Equal(t, []string{"2 mail bad_email", "2 phone bad_phone", "3 wx bad_wechat", "3 zip bad_postal_code"}, b.errors(im.ID))
		require.Equal(t, importer.Counts{Rows: 3, Created: 1, Failed: 2}, im.Counts)
		require.Equal(t, "0", b.text(`SELECT count(*)::text FROM import_errors e WHERE tenant_id = $1 AND (e::text LIKE '%12345%' OR e::text LIKE '%nobody%')`))
	})
	t.Run("WhoMayNotSeeThemIsNotToldOfThem", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.define(attribute.Draft{Key: "salary", Type: attribute.Text, Sensitivity: attribute.Personal})
		with := maps.Clone(mapped)
		with["attributes.salary"] = "salary"
		const head = "id,name,phone,mobile,mail,wx,city,street,zip,salary\n"
		b.load(customers(with), head+"1,a,13700000001,,wang@example.com,,杭州,龙井路 1 号,,9000\n")
		b.call.Blind = true
		for _, guess := range []string{"1,a,13700000001,,,,,,,\n", "1,a,13709990001,,,,,,,\n", "1,a,,,wang@example.com,,,,,\n", "1,a,,,w123@example.com,,,,,\n",
			"1,a,,,,,杭州,龙井路 1 号,,\n", "1,a,,,,,杭州,梅灵路 2 号,,\n"} {
			require.Equal(t, importer.Counts{Rows: 1, Unchanged: 1}, b.load(customers(with), head+guess).Counts, guess)
		}
		for _, guess := range []string{"9000", "8000"} {
			require.Equal(t, importer.Counts{Rows: 1, Updated: 1}, b.load(customers(with), head+"1,a,,,,,,,,"+guess+"\n").Counts, guess)
		}
		require.Equal(t, importer.Counts{Rows: 1, Updated: 1}, b.load(customers(with), head+"1,a,13700000002,,,,,,,\n").Counts, "another one")
	})
	t.Run("NoCustomerGetsTooMany", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.load(customers(mapped), head+"1,a,,,,,,,\n")
		_, err := b.db.Exec(b.ctx, `INSERT INTO contact_points (tenant_id, customer_id, id, version, kind, value, value_index, lookup, is_primary, valid,
				consent, created_at, updated_at)
			SELECT tenant_id, id, gen_random_uuid(), 1, 'qq', '\x01' || decode(repeat('00', 40), 'hex'), n, '{}', false, true, 'unknown', now(), now()
			FROM customers, generate_series(1, 1000) n WHERE tenant_id = $1`, b.call.Tenant.ID)
		require.NoError(t, err)
		im := b.load(customers(mapped), head+"1,a,13700000001,13700000002,,,,,\n")
		require.Equal(t, []string{"2  too_many_items"}, b.errors(im.ID))
		require.Equal(t, fmt.Sprint(importer.Counts{Rows: 1, Unchanged: 1}), fmt.Sprint(im.Counts))
	})
}
