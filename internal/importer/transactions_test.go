package importer_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/importer"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// rows makes a file of n different rows over a few customers.
func rows(n int) string {
	var b strings.Builder
	b.WriteString("customer,date,amount\n")
	for i := range n {
		fmt.Fprintf(&b, "c%d,2026-01-%02d,%d.50\n", i%5, i%28+1, i)
	}
	return b.String()
}

func TestTransactions(t *testing.T) {
	t.Parallel()
	// S3-40, S4-08
	t.Run("MakeCustomersAndMetrics", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		im := b.load(transactions(plain), "customer,date,amount\nada,2026-02-14,129.90\nbob,2026-02-14T23:30:00Z,1\nada,2026-02-15 08:00:00,0\n")
		require.Equal(t, importer.Succeeded, im.Status)
		require.Equal(t, importer.Counts{Rows: 3, Created: 3, CustomersCreated: 2}, im.Counts)
		require.Equal(t, "ada ada 2026-02-14 12990 CNY completed \nada ada 2026-02-15 0 CNY completed \nbob bob 2026-02-15 100 CNY completed ", b.state())
		require.Equal(t, "person ada prospect import", b.text(`SELECT kind || ' ' || name || ' ' || stage || ' ' || source_channel
			FROM customers WHERE tenant_id = $1 AND name = 'ada'`))
		require.Equal(t, "2026-02-13T16:00:00+00:00 true", b.text(`SELECT to_json(occurred_at)#>>'{}' || ' ' || date_only::text
			FROM transactions WHERE tenant_id = $1 AND amount = 12990`))
		require.Equal(t, 2, b.count("change_set_items"))
		require.Equal(t, "import.succeeded", b.text(`SELECT string_agg(type, ',') FROM events WHERE tenant_id = $1`))
		b.verify()
		b.clean()
	})
	t.Run("SameFileTwiceChangesNothing", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		first := b.load(transactions(plain), rows(40))
		before := b.state()
		second := b.load(transactions(plain), rows(40))
		require.Equal(t, importer.Counts{Rows: 40, Created: 40, CustomersCreated: 5}, first.Counts)
		require.Equal(t, importer.Counts{Rows: 40, Unchanged: 40}, second.Counts)
		require.Equal(t, before, b.state())
		require.Equal(t, "1", b.text(`SELECT max(version)::text FROM transactions WHERE tenant_id = $1`))
		b.verify()
	})
	t.Run("TwinsWithinAFileAreTwoTransactions", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		// Batches are of 7 rows: the twins of one stand in several.
		content := "customer,date,amount\n" + strings.Repeat("a,2026-01-01,5\nb,2026-01-01,5\n", 10) + "c,2026-01-01,5\n"
		require.Equal(t, int64(21), b.load(transactions(plain), content).Counts.Created)
		require.Equal(t, importer.Counts{Rows: 21, Unchanged: 21}, b.load(transactions(plain), content).Counts)
		longer := content + "a,2026-01-01,5\n"
		require.Equal(t, importer.Counts{Rows: 22, Created: 1, Unchanged: 21}, b.load(transactions(plain), longer).Counts)
		b.verify()
		b.clean()
	})
	t.Run("ExternalIDUpdates", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		mapped := map[string]string{"customer_external_id": "customer", "occurred_at": "date", "amount_minor": "cents",
			"external_id": "id", "status": "status", "units": "units"}
		head := "customer,date,cents,id,status,units\n"
		require.Equal(t, importer.Counts{Rows: 3, Created: 3, CustomersCreated: 2},
			b.load(transactions(mapped), head+"a,2026-01-01,500,o1,pending,2\na,2026-01-01,500,o2,,\nb,2026-01-01,1,o3,paid,1\n").Counts)
		b.verify()
		im := b.load(transactions(mapped), head+"a,2026-01-01,500,o1,paid,\na,2026-01-01,500,o2,,\na,2026-01-01,1,o3,paid,1\nb,2026-01-01,7,o3,,\n")
		require.Equal(t, importer.Counts{Rows: 4, Updated: 1, Unchanged: 1, Failed: 2}, im.Counts)
		require.Equal(t, []string{"4 customer customer_differs", "5 id external_id_repeated"}, b.errors(im.ID))
		require.Equal(t, "paid 2 2", b.text(`SELECT status || ' ' || units || ' ' || version FROM transactions
			WHERE tenant_id = $1 AND external_id = 'o1'`))
		b.verify()
	})
	t.Run("ARepeatedExternalIDThatSaysTheSameIsUnchanged", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		mapped := map[string]string{"customer_external_id": "customer", "occurred_at": "date", "amount": "amount", "external_id": "id"}
		im := b.load(transactions(mapped), "customer,date,amount,id\n"+strings.Repeat("a,2026-01-01,5,o1\n", 9)+"a,2026-01-01,6,o1\n")
		require.Equal(t, importer.Counts{Rows: 10, Created: 1, Unchanged: 8, Failed: 1, CustomersCreated: 1}, im.Counts)
		require.Equal(t, []string{"11 id external_id_repeated"}, b.errors(im.ID))
	})
	t.Run("OneBadRowStopsNothingElse", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		mapped := map[string]string{"customer_external_id": "customer", "occurred_at": "date", "amount": "amount", "currency": "cur",
			"units": "units", "status": "status", "channel": "channel", "external_id": "id"}
		good := "a,2026-01-01,1,CNY,1,paid,web,"
		bad := []struct{ row, want string }{
			{"a,2026-02-31,1,CNY,1,paid,web,", "date bad_date"},
			{"a,yesterday,1,CNY,1,paid,web,", "date bad_date"},
			{"a,0000-01-01,1,CNY,1,paid,web,", "date bad_date"},
			{"a,0001-01-01,1,CNY,1,paid,web,", "date out_of_range"},
			{"a,9999-12-31,1,CNY,1,paid,web,", "date out_of_range"},
			{"a,1899-12-31T00:00:00Z,1,CNY,1,paid,web,", "date out_of_range"},
			{"a,2199-12-31,1,CNY,1,paid,web,", "date in_future"},
			{`a,"2026-01-01T00:00:00,5Z",1,CNY,1,paid,web,`, "date bad_date"},
			{`a,"2026-01-01 00:00:00,5",1,CNY,1,paid,web,`, "date bad_date"},
			{"a,2026-01-01T00:00:00+24:00,1,CNY,1,paid,web,", "date bad_date"},
			{"a,2026-01-01T00:00:00+08:60,1,CNY,1,paid,web,", "date bad_date"},
			{"a,2026-01-01T1:00:00Z,1,CNY,1,paid,web,", "date bad_date"},
			{"a,,1,CNY,1,paid,web,", "date required"},
			{",2026-01-01,1,CNY,1,paid,web,", "customer required"},
			{strings.Repeat("客", 201) + ",2026-01-01,1,CNY,1,paid,web,", "customer too_long"},
			{"a\x00b,2026-01-01,1,CNY,1,paid,web,", "customer bad_text"},
			{"a,2026-01-01,,CNY,1,paid,web,", "amount required"},
			{"a,2026-01-01,-1,CNY,1,paid,web,", "amount negative"},
			{"a,2026-01-01,1.234,CNY,1,paid,web,", "amount too_precise"},
			{"a,2026-01-01,1e3,CNY,1,paid,web,", "amount bad_amount"},
			{"a,2026-01-01,99999999999999999999,CNY,1,paid,web,", "amount amount_too_large"},
			{"a,2026-01-01,9999999999999.99,CNY,1,paid,web,", "amount amount_too_large"},
			{"a,2026-01-01,1,XYZ,1,paid,web,", "cur currency_unknown"},
			{"a,2026-01-01,1,EURO,1,paid,web,", "cur currency_unknown"},
			{"a,2026-01-01,1,EUR,1,paid,web,", "cur rate_missing"},
			{"a,2026-01-01,1,CNY,-2,paid,web,", "units negative"},
			{"a,2026-01-01,1,CNY,1.5,paid,web,", "units bad_units"},
			{"a,2026-01-01,1,CNY,1,sold,web,", "status unknown_value"},
			{"a,2026-01-01,1,CNY,1,paid," + strings.Repeat("x", 101) + ",", "channel too_long"},
			{"a,2026-01-01,1,CNY,1,paid,web," + strings.Repeat("x", 201), "id too_long"},
			{"a,2026-01-01,1", " field_count"},
			{`a,2026-01-01,1,CNY,1,paid,a"b",`, " bad_quotes"},
			{`a,2026-01-01,1,CNY,1,paid,"a"b,`, " bad_quotes"},
			{strings.Repeat("x", 2<<20), " row_too_large"},
		}
		content, want := "customer,date,amount,cur,units,status,channel,id\n"+good+"\n", []string{}
		for i, c := range bad {
			content += c.row + "\n" + strings.Replace(good, "01-01", "01-02", 1) + "\n"
			want = append(want, fmt.Sprintf("%d %s", 3+2*i, c.want))
		}
		im := b.load(transactions(mapped), content)
		require.Equal(t, importer.Succeeded, im.Status)
		require.Equal(t, want, b.errors(im.ID))
		require.Equal(t, importer.Counts{Rows: int64(2*len(bad) + 1), Created: int64(len(bad) + 1), Failed: int64(len(bad)),
			CustomersCreated: 1}, im.Counts)
	})
	t.Run("AnOpenQuoteCostsItsLineAlone", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		im := b.load(transactions(plain), "customer,date,amount\n\"a,2026-01-01,1\nb,2026-01-01,1\nc,2026-01-01,1\n")
		require.Equal(t, []string{"2  bad_quotes"}, b.errors(im.ID))
		require.Equal(t, int64(2), im.Counts.Created)
	})
	t.Run("QuotesLinesAndCRLF", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		im := b.load(transactions(plain), "\"date\",note,customer,amount\r\n2026-01-01,\"a \"\"b\"\"\r\nand, more\",\"x,\"\"y\",1\r\n\r\n2026-02-30,,z,1\r\n2026-01-02,\"\",z,\"2\"")
		require.Equal(t, []string{"5 date bad_date"}, b.errors(im.ID))
		require.Equal(t, "x,\"y x,\"y 2026-01-01 100 CNY completed \nz z 2026-01-02 200 CNY completed ", b.state())
	})
	t.Run("ConvertsByTheRateOfTheDay", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		_, err := b.db.Exec(b.ctx, `INSERT INTO exchange_rates (tenant_id, currency, day, rate, version, created_at, updated_at)
			VALUES ($1, 'USD', '2026-01-10', 7, 1, now(), now()), ($1, 'USD', '2026-01-20', 8, 1, now(), now())`, b.call.Tenant.ID)
		require.NoError(t, err)
		c := transactions(plain)
		c.Currency = "USD"
		im := b.load(c, "customer,date,amount\na,2026-01-09,1\na,2026-01-10,1\na,2026-01-19,1\na,2026-01-25,1\n")
		require.Equal(t, []string{"2 amount rate_missing"}, b.errors(im.ID))
		require.Equal(t, "700,700,800", b.text(`SELECT string_agg(base_amount::text, ',' ORDER BY day) FROM transactions WHERE tenant_id = $1`))
		b.verify()
	})
	t.Run("AJumpOverMidnightStaysOnItsDay", func(t *testing.T) {
		t.Parallel()
		b := setup(t, func(c *tenant.Creation) { c.TimeZone = "America/Sao_Paulo" })
		im := b.load(transactions(plain), "customer,date,amount\na,2018-11-04,1\na,2018-11-04 00:30:00,2\na,2018-11-04T01:00:00,3\n")
		require.Empty(t, b.errors(im.ID))
		require.Equal(t, "2018-11-04 2018-11-04T03:00:00+00:00,2018-11-04 2018-11-04T03:30:00+00:00,2018-11-04 2018-11-04T03:00:00+00:00",
			b.text(`SELECT string_agg(day || ' ' || (to_json(occurred_at)#>>'{}'), ',' ORDER BY amount) FROM transactions WHERE tenant_id = $1`))
	})
	t.Run("ADayThatTheZoneLeftOutIsRefused", func(t *testing.T) {
		t.Parallel()
		b := setup(t, func(c *tenant.Creation) { c.TimeZone = "Pacific/Apia" })
		im := b.load(transactions(plain), "customer,date,amount\na,2011-12-30,1\na,2011-12-30 12:00:00,2\na,2011-12-31,3\n")
		require.Equal(t, []string{"2 date bad_date", "3 date bad_date"}, b.errors(im.ID))
	})
	t.Run("ASumBeyondTheColumnEndsTheImportAtOnce", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.load(transactions(plain), "customer,date,amount\na,2026-01-01,1\n")
		_, err := b.db.Exec(b.ctx, `UPDATE transactions SET base_amount = 9223372036854775807 WHERE tenant_id = $1`, b.call.Tenant.ID)
		require.NoError(t, err)
		im := b.load(transactions(plain), "customer,date,amount\n"+strings.Repeat("b,2026-01-02,1\n", 7)+"a,2026-01-02,1\n")
		require.Equal(t, importer.Failed, im.Status)
		require.NotNil(t, im.Error)
		require.Equal(t, "value_out_of_range", im.Error.Code)
		require.Equal(t, importer.Counts{Rows: 7, Created: 7, CustomersCreated: 1}, im.Counts)
		require.Eventually(t, func() bool {
			return b.text(`SELECT string_agg(status || ' ' || attempt || ' ' || coalesce(error_code, ''), ',' ORDER BY created_at) FROM jobs
				WHERE tenant_id = $1`) == "succeeded 1 ,failed 1 value_out_of_range"
		}, 30*time.Second, 10*time.Millisecond)
		b.clean()
	})
	t.Run("ACurrencyThatChangesAsItBeginsIsTheOneItCountsIn", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		var im importer.Import
		require.NoError(t, b.db.InTx(b.ctx, func(tx postgres.Tx) error {
			_, err := tx.Exec(b.ctx, `UPDATE tenants SET currency = 'JPY' WHERE id = (SELECT id FROM tenants WHERE id = $1 FOR UPDATE)`, b.call.Tenant.ID)
			im = b.send(transactions(plain), "customer,date,amount\na,2026-01-01,7\n")
			time.Sleep(500 * time.Millisecond) // until the worker has read the old currency
			return err
		}))
		require.Equal(t, importer.Succeeded, b.ended(im.ID).Status)
		require.Equal(t, "JPY 7 7", b.text(`SELECT currency || ' ' || amount || ' ' || base_amount FROM transactions WHERE tenant_id = $1`))
	})
	t.Run("RowsOfADeletedCustomerAreRefused", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.load(transactions(plain), "customer,date,amount\na,2026-01-01,1\n")
		_, err := b.db.Exec(b.ctx, `UPDATE customers SET deleted_at = now() WHERE tenant_id = $1`, b.call.Tenant.ID)
		require.NoError(t, err)
		im := b.load(transactions(plain), "customer,date,amount\na,2026-01-02,1\nb,2026-01-02,1\n")
		require.Equal(t, []string{"2 customer customer_deleted"}, b.errors(im.ID))
		require.Equal(t, importer.Counts{Rows: 2, Created: 1, Failed: 1, CustomersCreated: 1}, im.Counts)
	})
	t.Run("OtherTenantsAreNotTouched", func(t *testing.T) {
		t.Parallel()
		a, b := setup(t), setup(t)
		a.load(transactions(plain), rows(10))
		before := a.state()
		require.Equal(t, int64(10), b.load(transactions(plain), rows(10)).Counts.Created)
		require.Equal(t, before, a.state())
		_, err := b.svc.Get(b.ctx, b.call.Tenant, a.send(transactions(plain), rows(1)).ID)
		require.ErrorIs(t, err, importer.ErrNotFound)
	})
	t.Run("TwoImportsOfOneFileAtOnce", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		x, y := b.send(transactions(plain), rows(200)), b.send(transactions(plain), rows(200))
		sum := b.ended(x.ID).Counts.Created + b.ended(y.ID).Counts.Created
		require.Equal(t, int64(200), sum)
		require.Equal(t, 200, b.count("transactions"))
		require.Equal(t, 5, b.count("customers"))
		b.verify()
		b.clean()
	})
}

// TestOrderDoesNotMatter imports overlapping parts of a file with twins in any order, twice.
func TestOrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 7))
			var lines []string
			for range 30 + r.IntN(40) {
				lines = append(lines, fmt.Sprintf("c%d,2026-01-%02d,%d", r.IntN(4), r.IntN(3)+1, r.IntN(3)))
			}
			var parts []string
			for range 4 {
				from := r.IntN(len(lines))
				to := from + 1 + r.IntN(len(lines)-from)
				part := append([]string{}, lines[from:to]...)
				r.Shuffle(len(part), func(i, j int) { part[i], part[j] = part[j], part[i] })
				parts = append(parts, "customer,date,amount\n"+strings.Join(part, "\n"))
			}
			// Twice in this order in one tenant, and in another order in another: the same comes out.
			a, b := setup(t), setup(t)
			for _, p := range parts {
				a.load(transactions(plain), p)
			}
			state := a.state()
			for _, p := range parts {
				im := a.load(transactions(plain), p)
				require.Equal(t, im.Counts.Rows, im.Counts.Unchanged)
			}
			require.Equal(t, state, a.state())
			for _, i := range r.Perm(len(parts)) {
				b.load(transactions(plain), parts[i])
			}
			require.Equal(t, state, b.state())
			a.verify()
			b.verify()
		})
	}
}
