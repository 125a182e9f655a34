package importer_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/importer"
)

// S3-14 S3-16 S3-40
func TestItems(t *testing.T) {
	t.Parallel()
	mapped := map[string]string{"customer_external_id": "customer", "occurred_at": "date", "amount": "amount", "external_id": "id", "status": "status",
		"payment_method": "pay", "store": "store", "sku": "sku", "product_name": "product", "quantity": "quantity", "unit_price": "price", "discount": "discount"}
	head := "customer,date,amount,id,status,pay,store,sku,product,quantity,price,discount\n"
	items := func(b bench) string {
		return b.text(`SELECT coalesce(string_agg(format('%s %s %s %s %s %s %s v%s', t.external_id, t.amount, coalesce(t.units, 0), i.name, i.quantity,
			i.amount, t.items, t.version), E'\n' ORDER BY t.external_id), '') FROM transactions t
			LEFT JOIN transaction_items i ON i.tenant_id = t.tenant_id AND i.customer_id = t.customer_id AND i.transaction_id = t.id
			WHERE t.tenant_id = $1`)
	}
	file := head + "a,2026-01-01,,o1,pending,cash,一号店,A-1,,3,10.50,1.50\na,2026-01-01,8,o2,,wechat_pay,,,礼盒,,,\na,2026-01-01,5,o3,,,,Z,,1.25,,\na,2026-01-01,7,o4,,,,,,,,\n"
	b := setup(t)
	_, err := b.db.Exec(b.ctx, `INSERT INTO products (tenant_id, id, version, sku, name, category, status, created_at, updated_at)
		VALUES ($1, gen_random_uuid(), 1, 'A-1', '挂耳', '咖啡', 'active', now(), now())`, b.call.Tenant.ID)
	require.NoError(t, err)
	require.Equal(t, importer.Counts{Rows: 4, Created: 4, CustomersCreated: 1}, b.load(transactions(mapped), file).Counts)
	const first = "o1 3000 3 挂耳 3000 3000 1 v1\no2 800 1 礼盒 1000 800 1 v1\no3 500 1 Z 1250 500 1 v1\no4 700 0    0 v1"
	require.Equal(t, first, items(b))
	require.Equal(t, importer.Counts{Rows: 4, Unchanged: 4}, b.load(transactions(mapped), file).Counts)
	require.Equal(t, first, items(b))

	im := b.load(transactions(mapped), head+"a,2026-01-01,,o1,paid,card,,A-1,,4,10.50,\na,2026-01-01,9,o2,,,,,,,,\na,2026-01-01,5,o3,,,,Y,,1.25,,\na,2026-01-01,6,o4,,,,,茶,2,3,\n"+
		"a,2026-01-01,9,x1,,,,A-1,,1,8,\na,2026-01-01,9,x2,,,,A-1,,0.0001,,\na,2026-01-01,9,x3,,,,,,2,,\na,2026-01-01,9,x4,,cheque,,,,,,\n")
	require.Equal(t, importer.Counts{Rows: 8, Updated: 3, Failed: 5}, im.Counts)
	require.Equal(t, []string{"3 amount order_has_items", "6 price amount_differs", "7 quantity bad_quantity", "8 sku required", "9 pay unknown_value"}, b.errors(im.ID))
	require.Equal(t, "o1 4200 4 挂耳 4000 4200 1 v2\no2 800 1 礼盒 1000 800 1 v1\no3 500 1 Y 1250 500 1 v2\no4 600 2 茶 2000 600 1 v2", items(b))
	require.Equal(t, "pending paid import", b.text(`SELECT string_agg(from_status || ' ' || to_status || ' ' || reason, ',') FROM transaction_statuses WHERE tenant_id = $1`))
	b.verify()

	_, err = b.db.Exec(b.ctx, `WITH t AS (UPDATE transactions SET returns = 1, returned = 300, base_returned = 300 WHERE tenant_id = $1 AND external_id = 'o4' RETURNING *),
			none AS (DELETE FROM transaction_items i USING transactions o WHERE i.tenant_id = $1 AND o.tenant_id = $1 AND o.id = i.transaction_id AND o.external_id = 'o4')
		INSERT INTO transaction_returns (tenant_id, customer_id, id, transaction_id, day, amount, currency, base_amount, actor, created_at)
		SELECT tenant_id, customer_id, gen_random_uuid(), id, '2026-01-05', 300, 'CNY', 300, 'x', now() FROM t`, b.call.Tenant.ID)
	require.NoError(t, err)
	_, err = b.db.Exec(b.ctx, `UPDATE transactions SET items = 0 WHERE tenant_id = $1 AND external_id = 'o4'`, b.call.Tenant.ID)
	require.NoError(t, err)
	im = b.load(transactions(mapped), head+"a,2026-01-01,3,o5,,,,S1,,1,3,\na,2026-01-01,4,o5,,,,S2,,1,4,\n")
	require.Equal(t, []string{"3 id external_id_repeated"}, b.errors(im.ID), "a file has no orders of several items")
	require.Equal(t, int64(1), im.Counts.Created)
	im = b.load(transactions(mapped), head+"a,2026-01-01,2,o4,,,,,,,,\n")
	require.Equal(t, []string{"2 amount below_returned"}, b.errors(im.ID))
	im = b.load(transactions(mapped), head+"a,2026-01-06,6,o4,,,,,,,,\n")
	require.Equal(t, []string{"2 date after_return"}, b.errors(im.ID))
	im = b.load(transactions(mapped), head+"a,2026-01-02,5,o4,,,,,,,,\n")
	require.Equal(t, int64(1), im.Counts.Updated)
	b.verify()
}
