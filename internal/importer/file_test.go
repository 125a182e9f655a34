package importer_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/importer"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgrestest"
)

func TestMapping(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		creation importer.Creation
		want     []string
	}{
		"UnknownField": {transactions(map[string]string{"customer_external_id": "a", "occured_at": "b", "amount": "c"}),
			[]string{"/mapping/occured_at unknown_field", "/mapping/occurred_at required"}},
		"NoAmount": {transactions(map[string]string{"customer_external_id": "a", "occurred_at": "b"}),
			[]string{"/mapping/amount required"}},
		"BothAmounts": {transactions(map[string]string{"customer_external_id": "a", "occurred_at": "b", "amount": "c", "amount_minor": "d"}),
			[]string{"/mapping/amount_minor only_one"}},
		"NoExternalID": {customers(map[string]string{"name": "a"}), []string{"/mapping/external_id required"}},
		"EmptyColumn":  {customers(map[string]string{"external_id": " "}), []string{"/mapping/external_id required"}},
		"Escaped":      {customers(map[string]string{"external_id": "a", "x/~": "b"}), []string{"/mapping/x~1~0 unknown_field"}},
		"Currency": {importer.Creation{Type: importer.Transactions, Source: "s", Mapping: plain, Currency: "XYZ"},
			[]string{"/currency currency_unknown"}},
		"CurrencyOfCustomers": {importer.Creation{Type: importer.Customers, Source: "s", Currency: "CNY",
			Mapping: map[string]string{"external_id": "a"}}, []string{"/currency not_applicable"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			_, err := b.svc.Create(b.ctx, b.call, c.creation)
			f := fault.Of(err)
			require.NotNil(t, f)
			got := []string{}
			for _, field := range f.Fields {
				got = append(got, field.Pointer+" "+field.Code)
			}
			require.Equal(t, c.want, got)
			require.Zero(t, b.count("imports"))
		})
	}
	b := setup(t)
	_, err := b.svc.Create(b.ctx, b.call, transactions(map[string]string{"customer_external_id": "a", "occured_at": "b", "amount": "c"}))
	require.Contains(t, fault.Of(err).Fields[0].Detail.En, "did you mean occurred_at?")
}

func TestFileThatCannotBeRead(t *testing.T) {
	t.Parallel()
	gb, err := simplifiedchinese.GB18030.NewEncoder().String("customer,date,amount\na,2026-01-01,1\n张三,2026-01-01,1\n")
	require.NoError(t, err)
	for name, c := range map[string]struct{ content, code, says string }{
		"Empty":           {"", "file_empty", ""},
		"OnlyBlankLines":  {"\r\n\n", "file_empty", ""},
		"HeaderOnly":      {"customer,date,amount\n", "file_without_rows", ""},
		"ColumnTwice":     {"customer,date,amount,date\na,2026-01-01,1,x\n", "column_repeated", `"date"`},
		"ColumnMissing":   {"customer,dat,amount\na,2026-01-01,1\n", "column_missing", `did you mean "dat"?`},
		"HeaderWithQuote": {"customer,\"date,amount\n", "header_unreadable", ""},
		"GB18030":         {gb, "not_utf8", "declare encoding gb18030"},
		"Latin1":          {"customer,date,amount\njos\xe9,2026-01-01,1\n", "not_utf8", "line 2"},
		"UTF16":           {"\xff\xfec\x00", "not_utf8", "UTF-16"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			im := b.load(transactions(plain), c.content)
			require.Equal(t, importer.Failed, im.Status)
			require.NotNil(t, im.Error)
			require.Equal(t, c.code, im.Error.Code)
			require.Contains(t, im.Error.Detail.En, c.says)
			require.NotEmpty(t, im.Error.Detail.Zh)
			require.Zero(t, b.count("customers"))
			require.Equal(t, "import.failed", b.text(`SELECT string_agg(type, ',') FROM events WHERE tenant_id = $1`))
			b.clean()
			require.Eventually(t, func() bool {
				j, err := b.jobs.Get(b.ctx, b.call.Tenant, *im.JobID)
				require.NoError(t, err)
				return j.Status == jobs.Failed && j.ErrorCode == c.code
			}, 10*time.Second, 5*time.Millisecond)
		})
	}
	t.Run("NotGB18030", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		c := transactions(plain)
		c.Encoding = importer.GB18030
		require.Equal(t, "not_gb18030", b.load(c, "customer,date,amount\n\xff\xff,2026-01-01,1\n").Error.Code)
	})
}

func TestEncodings(t *testing.T) {
	t.Parallel()
	const content = "customer,date,amount\n张三,2026-01-01,1\n"
	t.Run("ByteOrderMark", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		require.Equal(t, int64(1), b.load(transactions(plain), "\uFEFF"+content).Counts.Created)
	})
	t.Run("GB18030", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		encoded, err := simplifiedchinese.GB18030.NewEncoder().String(content)
		require.NoError(t, err)
		c := transactions(plain)
		c.Encoding = importer.GB18030
		require.Equal(t, int64(1), b.load(c, encoded).Counts.Created)
		require.Equal(t, int64(1), b.load(transactions(plain), content).Counts.Unchanged)
		require.Equal(t, "张三", b.text(`SELECT name FROM customers WHERE tenant_id = $1`))
	})
}

func TestUpload(t *testing.T) {
	t.Parallel()
	begin := func(b bench) importer.Import {
		im, err := b.svc.Create(b.ctx, b.call, transactions(plain))
		require.NoError(b.t, err)
		return im
	}
	t.Run("Gzip", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		im := begin(b)
		_, err := b.svc.Upload(b.ctx, b.call, im.ID, bytes.NewReader(zipped(t, rows(50))), true)
		require.NoError(t, err)
		im = b.ended(im.ID)
		require.Equal(t, int64(50), im.Counts.Created)
		require.Equal(t, int64(len(rows(50))), im.Bytes)
		b.clean()
	})
	t.Run("FailureLeavesNothingBehindAndCanBeRepeated", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		im := begin(b)
		whole := zipped(t, rows(60000))
		flipped := bytes.Clone(whole)
		flipped[len(flipped)/2] ^= 0x55
		for _, c := range []struct {
			body io.Reader
			want error
		}{
			{bytes.NewReader(whole[:len(whole)/2]), importer.ErrGzip},
			{bytes.NewReader(flipped), importer.ErrGzip},
			{strings.NewReader(rows(10)), importer.ErrGzip},
			{strings.NewReader(""), importer.ErrGzip},
			{io.MultiReader(bytes.NewReader(whole), strings.NewReader("trailing")), importer.ErrGzip},
			{io.MultiReader(bytes.NewReader(whole[:1000]), iotest.ErrReader(errors.New("reset by peer"))), importer.ErrBroken},
		} {
			_, err := b.svc.Upload(b.ctx, b.call, im.ID, c.body, true)
			require.ErrorIs(t, err, c.want)
			b.clean()
			got, err := b.svc.Get(b.ctx, b.call.Tenant, im.ID)
			require.NoError(t, err)
			require.Equal(t, importer.Created, got.Status)
		}
		_, err := b.svc.Upload(b.ctx, b.call, im.ID, strings.NewReader(rows(3)), false)
		require.NoError(t, err)
		require.Equal(t, int64(3), b.ended(im.ID).Counts.Created)
	})
	t.Run("ALostSenderLeavesNothingBehind", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		im := begin(b)
		ctx, cancel := context.WithCancel(b.ctx)
		body := io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<20)), readerFunc(func([]byte) (int, error) {
			cancel()
			return 0, ctx.Err()
		}))
		_, err := b.svc.Upload(ctx, b.call, im.ID, body, false)
		require.Error(t, err)
		b.clean()
	})
	t.Run("ALaterUploadTakesTheEarlierOnesPlace", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		im := begin(b)
		first := io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<20)), readerFunc(func([]byte) (int, error) {
			_, err := b.svc.Upload(b.ctx, b.call, im.ID, strings.NewReader(rows(4)), false)
			require.NoError(t, err)
			return 0, io.EOF
		}))
		_, err := b.svc.Upload(b.ctx, b.call, im.ID, first, false)
		require.ErrorIs(t, err, importer.ErrSuperseded)
		require.Equal(t, int64(4), b.ended(im.ID).Counts.Created)
		b.clean()
	})
	t.Run("ASecondFileIsRefused", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		im := b.send(transactions(plain), rows(3))
		_, err := b.svc.Upload(b.ctx, b.call, im.ID, strings.NewReader(rows(4)), false)
		require.ErrorIs(t, err, importer.ErrHasContent)
		require.Equal(t, int64(3), b.ended(im.ID).Counts.Created)
		_, err = b.svc.Upload(b.ctx, b.call, uuid.New(), strings.NewReader(""), false)
		require.ErrorIs(t, err, importer.ErrNotFound)
	})
}

func TestLargeUploadIsRefusedBeyondTheLimit(t *testing.T) {
	t.Parallel()
	b := setup(t)
	im, err := b.svc.Create(b.ctx, b.call, transactions(plain))
	require.NoError(t, err)
	// A gzip bomb: 1 MiB that unpacks to more than 1 GiB.
	var bomb bytes.Buffer
	part := zipped(t, strings.Repeat("x", 32<<20))
	for range 33 {
		bomb.Write(part)
	}
	_, err = b.svc.Upload(b.ctx, b.call, im.ID, &bomb, true)
	require.ErrorIs(t, err, importer.ErrTooLarge)
	b.clean()
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestInterrupted runs an import whose worker is stopped in the middle, again and again.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	db := postgrestest.Fresh(t)
	work, svc := services(t, db)
	svc.InBatchesOf(25)
	b := on(t, db, work, svc)
	content := rows(4200) + strings.Repeat("c1,2026-02-01,7\nc1,2026-31-01,7\n", 100)
	im := b.send(transactions(plain), content)
	stops := 0
	for stops < 3 {
		ctx, stop := context.WithCancel(b.ctx)
		done := make(chan error)
		go func() { done <- work.Work(ctx) }()
		from, err := svc.Get(b.ctx, b.call.Tenant, im.ID)
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			now, err := svc.Get(b.ctx, b.call.Tenant, im.ID)
			require.NoError(t, err)
			return now.Counts.Rows > from.Counts.Rows+200 || now.Status == importer.Succeeded
		}, 60*time.Second, time.Millisecond)
		stop()
		require.NoError(t, <-done)
		stopped, err := svc.Get(b.ctx, b.call.Tenant, im.ID)
		require.NoError(t, err)
		t.Logf("stopped: %v", stopped.Counts)
		require.Less(t, stopped.Counts.Rows, int64(4400), "the worker was not stopped in the middle")
		stops++
	}
	ctx, stop := context.WithCancel(b.ctx)
	defer stop()
	go work.Work(ctx) //nolint:errcheck // it ends with the test
	got := b.ended(im.ID)
	require.Equal(t, importer.Succeeded, got.Status)
	require.Equal(t, importer.Counts{Rows: 4400, Created: 4300, Failed: 100, CustomersCreated: 5}, got.Counts)
	require.Equal(t, 4300, b.count("transactions"))
	require.Equal(t, 100, b.count("import_errors"))
	require.Equal(t, "1", b.text(`SELECT count(*)::text FROM events WHERE tenant_id = $1`))
	b.verify()
	b.clean()
}

func TestCancel(t *testing.T) {
	t.Parallel()
	db := postgrestest.Fresh(t)
	work, svc := services(t, db)
	svc.InBatchesOf(20)
	b := on(t, db, work, svc)
	t.Run("Queued", func(t *testing.T) {
		im := b.send(transactions(plain), rows(10))
		queued, err := svc.Get(b.ctx, b.call.Tenant, im.ID)
		require.NoError(t, err)
		require.Equal(t, importer.Queued, queued.Status)
		_, err = work.Cancel(b.ctx, b.call.Tenant, *queued.JobID)
		require.NoError(t, err)
		got, err := svc.Get(b.ctx, b.call.Tenant, im.ID)
		require.NoError(t, err)
		require.Equal(t, importer.Cancelled, got.Status)
		require.Greater(t, got.Version, queued.Version)
	})
	t.Run("RunningKeepsWhatWasCommitted", func(t *testing.T) {
		im := b.send(transactions(plain), rows(20000))
		require.Equal(t, "cancelled", b.text(`SELECT status FROM imports WHERE tenant_id = $1 ORDER BY id LIMIT 1`),
			"an upload tidies up what ended without its own doing")
		ctx, stop := context.WithCancel(b.ctx)
		defer stop()
		go work.Work(ctx) //nolint:errcheck // it ends with the test
		var now importer.Import
		require.Eventually(t, func() bool {
			var err error
			now, err = svc.Get(b.ctx, b.call.Tenant, im.ID)
			require.NoError(t, err)
			return now.Counts.Rows > 100
		}, 60*time.Second, time.Millisecond)
		_, err := work.Cancel(b.ctx, b.call.Tenant, *now.JobID)
		require.NoError(t, err)
		got := b.ended(im.ID)
		require.Equal(t, importer.Cancelled, got.Status)
		require.Less(t, got.Counts.Rows, int64(20000))
		require.Equal(t, int(got.Counts.Created), b.count("transactions"))
		require.Eventually(t, func() bool { return b.count("import_chunks") == 0 }, 10*time.Second, 5*time.Millisecond)
		b.verify()
	})
}

func TestPages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	im := b.load(transactions(plain), "customer,date,amount\n"+strings.Repeat("a,x,x\n", 5))
	seen := map[string]bool{}
	var after page.Key
	for {
		p, err := b.svc.Errors(b.ctx, b.call.Tenant, im.ID, page.Request{Limit: 3, After: after})
		require.NoError(t, err)
		for _, e := range p.Items {
			seen[strings.Join([]string{e.Column, e.Code, string(rune('0' + e.Line))}, " ")] = true
		}
		if after = p.Next; after == nil {
			break
		}
	}
	require.Len(t, seen, 10)
	other := b.send(transactions(plain), rows(1))
	p, err := b.svc.List(b.ctx, b.call.Tenant, page.Request{Limit: 1})
	require.NoError(t, err)
	require.Equal(t, other.ID, p.Items[0].ID)
	p, err = b.svc.List(b.ctx, b.call.Tenant, page.Request{Limit: 1, After: p.Next})
	require.NoError(t, err)
	require.Equal(t, im.ID, p.Items[0].ID)
	require.Nil(t, p.Next)
}
