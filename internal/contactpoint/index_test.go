package contactpoint_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"

	"github.com/kezi-io/kezi/internal/contactpoint"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/seal"
	"github.com/kezi-io/kezi/internal/tenant"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

func newKeys(t *testing.T) (*seal.Keys, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keyset.json")
	keys, err := seal.LoadOrCreate(path)
	require.NoError(t, err)
	return keys, path
}

// rotated is the keyset file with a new primary key in both sets, as an operator makes it with tinkey.
func rotated(t *testing.T, path string) *seal.Keys {
	t.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	var file map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(raw, &file))
	for name, template := range map[string]*tinkpb.KeyTemplate{"aead": aead.AES256GCMKeyTemplate(), "prf": prf.HMACSHA256PRFKeyTemplate()} {
		h, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(file[name])))
		require.NoError(t, err)
		m := keyset.NewManagerFromHandle(h)
		id, err := m.Add(template)
		require.NoError(t, err)
		require.NoError(t, m.SetPrimary(id))
		h, err = m.Handle()
		require.NoError(t, err)
		var b bytes.Buffer
		require.NoError(t, insecurecleartextkeyset.Write(h, keyset.NewJSONWriter(&b)))
		file[name] = b.Bytes()
	}
	raw, err = json.Marshal(file)
	require.NoError(t, err)
	to := filepath.Join(t.TempDir(), "keyset.json")
	require.NoError(t, os.WriteFile(to, raw, 0o600))
	keys, err := seal.Load(to)
	require.NoError(t, err)
	return keys
}

func TestFinding(t *testing.T) {
	t.Parallel()
	db := postgrestest.DB(t)
	keys, path := newKeys(t)
	of, other := postgrestest.Tenant(t, db), postgrestest.Tenant(t, db)
	ctx := postgrestest.Context(t, of)
	call := tenant.Call{Tenant: of, Actor: "test"}
	svc, customers := contactpoint.NewService(db, keys, time.Now), customer.NewService(db, time.Now)
	add := func(name string, drafts ...contactpoint.Draft) uuid.UUID {
		c, err := customers.Create(ctx, call, customer.Registration{Kind: customer.Person, Name: name})
		require.NoError(t, err)
		for _, d := range drafts {
			_, err := svc.Create(ctx, call, c.ID, d)
			require.NoError(t, err)
		}
		return c.ID
	}
	ada := add("ada", contactpoint.Draft{Kind: contactpoint.Phone, Value: "13800001234"}, contactpoint.Draft{Kind: contactpoint.Email, Value: "Ada@example.com"})
	bob := add("bob", contactpoint.Draft{Kind: contactpoint.Phone, Value: "0571-87651234 转 8"}, contactpoint.Draft{Kind: contactpoint.WeChat, Value: "Bob_88"})
	find := func(x contactpoint.Index, in tenant.Tenant, needle string, unmasked bool) []uuid.UUID {
		ids, err := x.Find(postgrestest.Context(t, in), db, in, needle, unmasked, 10)
		require.NoError(t, err)
		// The condition finds the same.
		expr, ok, err := x.Matches(in, needle, unmasked)
		require.NoError(t, err)
		require.Equal(t, ok, !expr.IsZero())
		if ok {
			sql, args := expr.Numbered(2)
			rows, err := db.Query(postgrestest.Context(t, in), `SELECT c.id FROM customers c WHERE c.tenant_id = $1 AND `+sql+` ORDER BY c.id`, append([]any{in.ID}, args...)...)
			require.NoError(t, err)
			defer rows.Close()
			var matched []uuid.UUID
			for rows.Next() {
				var id uuid.UUID
				require.NoError(t, rows.Scan(&id))
				matched = append(matched, id)
			}
			require.NoError(t, rows.Err())
			require.Equal(t, ids, matched, needle)
		}
		return ids
	}
	both := []uuid.UUID{ada, bob}
	for needle, want := range map[string][]uuid.UUID{"13800001234": {ada}, "+86 138 0000 1234": {ada}, "1234": both, "01234": {ada}, "87651234": {bob},
		"571 8765 1234": {bob}, "ADA@EXAMPLE.COM": {ada}, "bob_88": {bob}, "234": nil, "1235": nil, "3800": nil, "": nil, "%": nil, "ada@": nil, "例": nil,
		"1234567890123456": nil} {
		require.Equal(t, want, find(svc.Index, of, needle, true), needle)
		require.Empty(t, find(svc.Index, other, needle, true), needle)
	}
	// Whoever sees masks can search by what they show, and guess no further.
	for needle, want := range map[string][]uuid.UUID{"1234": both, "01234": nil, "13800001234": nil, "ada@example.com": nil, "bob_88": nil} {
		require.Equal(t, want, find(svc.Index, of, needle, false), needle)
	}
	// After a rotation of both keysets everything is still read and found, and what is written is found as well.
	after := contactpoint.NewService(db, rotated(t, path), time.Now)
	require.Equal(t, both, find(after.Index, of, "1234", true))
	all, err := after.Of(ctx, of, both, 10)
	require.NoError(t, err)
	require.Equal(t, "+8613800001234", all[ada][0].Value)
	_, err = after.Create(ctx, call, bob, contactpoint.Draft{Kind: contactpoint.Phone, Value: "13700009999"})
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{bob}, find(after.Index, of, "13700009999", true))
	require.Empty(t, find(svc.Index, of, "13700009999", true), "the old keys know nothing of it")
	stranger, _ := newKeys(t)
	require.Empty(t, find(contactpoint.NewIndex(stranger), of, "1234", true))
}
