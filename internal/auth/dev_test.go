package auth_test

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/auth"
)

func TestDevKey(t *testing.T) {
	t.Parallel()
	t.Run("ProcessesAtOnceAgree", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "data", "kezi")
		keys := make([]*auth.DevKey, 16)
		var group sync.WaitGroup
		start := make(chan struct{})
		for i := range keys {
			group.Go(func() {
				<-start
				var err error
				if keys[i], err = auth.LoadOrCreateDevKey(dir); err != nil {
					t.Error(err)
				}
			})
		}
		close(start)
		group.Wait()
		if t.Failed() {
			return
		}
		raw, err := keys[0].Sign(auth.Claims{Subject: "dev", Tenant: "demo", Scopes: []string{"customers:read"}, TTL: time.Minute})
		require.NoError(t, err)
		for _, key := range keys {
			p, err := key.Verifier().Verify(t.Context(), raw)
			require.NoError(t, err)
			require.Equal(t, "dev", p.Subject)
			require.Equal(t, "demo", p.Tenant)
			require.Equal(t, []string{"customers:read"}, p.Scopes.List())
			require.NotEmpty(t, p.TokenID)
		}
		files, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, files, 1, "no temporary file stays")
		info, err := files[0].Info()
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode())
		document, err := os.ReadFile(filepath.Join(dir, files[0].Name()))
		require.NoError(t, err)
		block, _ := pem.Decode(document)
		_, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		require.NoError(t, err)
	})
	t.Run("FollowsItsClock", func(t *testing.T) {
		t.Parallel()
		key, err := auth.LoadOrCreateDevKey(t.TempDir())
		require.NoError(t, err)
		now := newClock()
		key.Now = now.now
		v := key.Verifier()
		require.NoError(t, v.Ready())
		raw, err := key.Sign(auth.Claims{Subject: "dev", Tenant: "demo", TTL: time.Minute})
		require.NoError(t, err)
		old, err := key.Sign(auth.Claims{Subject: "dev", Tenant: "demo", TTL: time.Minute, Now: noon.Add(-time.Hour)})
		require.NoError(t, err)
		_, err = v.Verify(t.Context(), raw)
		require.NoError(t, err)
		_, err = v.Verify(t.Context(), old)
		require.ErrorIs(t, err, auth.ErrTokenExpired)
		now.set(noon.Add(91 * time.Second))
		_, err = v.Verify(t.Context(), raw)
		require.ErrorIs(t, err, auth.ErrTokenExpired)
	})
	t.Run("AnotherFoldersTokenIsRefused", func(t *testing.T) {
		t.Parallel()
		one, err := auth.LoadOrCreateDevKey(t.TempDir())
		require.NoError(t, err)
		two, err := auth.LoadOrCreateDevKey(t.TempDir())
		require.NoError(t, err)
		raw, err := one.Sign(auth.Claims{Subject: "dev", Tenant: "demo", TTL: time.Minute})
		require.NoError(t, err)
		_, err = two.Verifier().Verify(t.Context(), raw)
		require.ErrorIs(t, err, auth.ErrTokenInvalid)
	})
	t.Run("SignsOnlyWhatItWouldAccept", func(t *testing.T) {
		t.Parallel()
		key, err := auth.LoadOrCreateDevKey(t.TempDir())
		require.NoError(t, err)
		for _, c := range []auth.Claims{
			{Tenant: "demo", TTL: time.Minute}, {Subject: "dev", TTL: time.Minute}, {Subject: "dev", Tenant: "demo"},
			{Subject: "dev", Tenant: "demo", TTL: -time.Minute}, {Subject: "d\nev", Tenant: "demo", TTL: time.Minute},
			{Subject: "dev", Tenant: "demo", TTL: time.Minute, Scopes: []string{strings.Repeat("a", 8<<10)}},
		} {
			_, err := key.Sign(c)
			require.Error(t, err)
		}
	})
	t.Run("RefusesAFileOthersCanRead", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		_, err := auth.LoadOrCreateDevKey(dir)
		require.NoError(t, err)
		files, err := filepath.Glob(filepath.Join(dir, "*.pem"))
		require.NoError(t, err)
		require.Len(t, files, 1)
		require.NoError(t, os.Chmod(files[0], 0o644))
		_, err = auth.LoadOrCreateDevKey(dir)
		require.ErrorContains(t, err, "chmod 600")
		require.NoError(t, os.Chmod(files[0], 0o600))
		require.NoError(t, os.WriteFile(files[0], []byte("rubbish"), 0o600))
		_, err = auth.LoadOrCreateDevKey(dir)
		require.ErrorContains(t, err, "holds no Ed25519 key")
	})
}
