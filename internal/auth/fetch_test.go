package auth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/auth"
	"github.com/kezi-io/kezi/internal/fault"
)

// eventually is Verify for a caller who tries again when told to: a machine that stands still for longer than a
// request waits for keys must not fail a test.
func eventually(v *auth.Verifier, raw string) (p auth.Principal, err error) {
	for range 5 {
		if p, err = v.Verify(context.Background(), raw); !errors.Is(err, auth.ErrUnavailable) {
			break
		}
	}
	return p, err
}

// provider serves a key set that a test changes.
type provider struct {
	*httptest.Server
	document atomic.Pointer[[]byte]
	fetches  atomic.Int64
}

func newProvider(t *testing.T, document []byte) *provider {
	t.Helper()
	p := &provider{}
	p.document.Store(&document)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.fetches.Add(1)
		document := *p.document.Load()
		if document == nil {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		_, _ = w.Write(document)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) publish(document []byte) { p.document.Store(&document) }

func TestJWKS(t *testing.T) {
	t.Parallel()
	document := jwks(t, map[string]crypto.Signer{"ed": edKey, "ec": ecKey, "rsa": rsaKey})
	for name, cfg := range map[string]auth.Config{
		"URL":  {JWKSURL: newProvider(t, document).URL},
		"File": {KeyFile: file(t, document)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := verifier(t, cfg)
			require.NoError(t, v.Ready())
			for _, raw := range []string{
				sign(t, jwt.SigningMethodEdDSA, edKey, claims(), "kid", "ed"),
				sign(t, jwt.SigningMethodES256, ecKey, claims(), "kid", "ec"),
				sign(t, jwt.SigningMethodRS256, rsaKey, claims(), "kid", "rsa"),
			} {
				p, err := eventually(v, raw)
				require.NoError(t, err)
				require.Equal(t, "ada", p.Subject)
			}
			for why, raw := range map[string]string{
				"unknown kid":         sign(t, jwt.SigningMethodEdDSA, edKey, claims(), "kid", "other"),
				"missing kid":         sign(t, jwt.SigningMethodEdDSA, edKey, claims()),
				"empty kid":           sign(t, jwt.SigningMethodEdDSA, edKey, claims(), "kid", ""),
				"another's kid":       sign(t, jwt.SigningMethodEdDSA, must(newEd()), claims(), "kid", "ed"),
				"kid of another type": sign(t, jwt.SigningMethodES256, ecKey, claims(), "kid", "ed"),
				"RS384":               sign(t, jwt.SigningMethodRS384, rsaKey, claims(), "kid", "rsa"),
				"HS256 with the PEM":  sign(t, jwt.SigningMethodHS256, publicPEM(t, rsaKey), claims(), "kid", "rsa"),
				"none":                sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims(), "kid", "ed"),
			} {
				_, err := eventually(v, raw)
				require.ErrorIs(t, err, auth.ErrTokenInvalid, why)
			}
		})
	}
}

func TestKeyRotation(t *testing.T) {
	t.Parallel()
	next := must(newEd())
	p := newProvider(t, jwks(t, map[string]crypto.Signer{"old": edKey}))
	v := verifier(t, auth.Config{JWKSURL: p.URL})
	old := sign(t, jwt.SigningMethodEdDSA, edKey, claims(), "kid", "old")
	_, err := eventually(v, old)
	require.NoError(t, err)

	// Forged tokens ask for keys all the time.
	before, start := p.fetches.Load(), time.Now()
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			raw := sign(t, jwt.SigningMethodEdDSA, must(newEd()), claims(), "kid", rand.Text())
			if _, err := eventually(v, raw); fault.Of(err) == nil || fault.Of(err).Code != "token_invalid" {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.LessOrEqual(t, p.fetches.Load()-before, 2+int64(time.Since(start).Seconds()), "forged tokens share fetches")

	p.publish(jwks(t, map[string]crypto.Signer{"new": next}))
	for range 3 {
		_, err = eventually(v, sign(t, jwt.SigningMethodEdDSA, next, claims(), "kid", "new"))
		require.NoError(t, err)
	}
	_, err = eventually(v, old)
	require.ErrorIs(t, err, auth.ErrTokenInvalid, "the withdrawn key's token leaves the cache at once")

	// A provider that breaks takes nothing away, and unknown keys are not called invalid then.
	for _, broken := range [][]byte{nil, []byte("<html>"), []byte(`{"keys":[]}`), []byte(`{"keys":[{"kty":"oct","kid":"x","k":"c2VjcmV0"}]}`)} {
		p.publish(broken)
		_, err = v.Verify(t.Context(), old)
		require.ErrorIs(t, err, auth.ErrUnavailable)
		_, err = v.Verify(t.Context(), sign(t, jwt.SigningMethodEdDSA, next, claims("jti", string(broken)+"x"), "kid", "new"))
		require.NoError(t, err)
	}
	require.NoError(t, v.Ready())
}

func TestForeignIssuerCausesNoFetch(t *testing.T) {
	t.Parallel()
	p := newProvider(t, jwks(t, map[string]crypto.Signer{"ed": edKey}))
	v := verifier(t, auth.Config{JWKSURL: p.URL})
	before := p.fetches.Load()
	_, err := v.Verify(t.Context(), sign(t, jwt.SigningMethodEdDSA, edKey, claims("iss", "https://other/"), "kid", "theirs"))
	require.ErrorIs(t, err, auth.ErrTokenInvalid)
	require.Equal(t, before, p.fetches.Load())
}

func TestProviderDownAtStart(t *testing.T) {
	t.Parallel()
	p := newProvider(t, nil)
	v := verifier(t, auth.Config{JWKSURL: p.URL})
	require.Error(t, v.Ready())
	raw := sign(t, jwt.SigningMethodEdDSA, edKey, claims(), "kid", "ed")
	_, err := v.Verify(t.Context(), raw)
	require.ErrorIs(t, err, auth.ErrUnavailable)
	require.Equal(t, fault.Unavailable, fault.Of(err).Kind)
	require.Positive(t, fault.Of(err).RetryAfter)

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = v.Verify(cancelled, raw)
	require.ErrorIs(t, err, context.Canceled)
	require.Nil(t, fault.Of(err), "a caller who left is nobody's fault")

	p.publish(jwks(t, map[string]crypto.Signer{"ed": edKey}))
	_, err = eventually(v, raw)
	require.NoError(t, err)
	require.NoError(t, v.Ready())
}

func TestSetWithKeysOfOtherUses(t *testing.T) {
	t.Parallel()
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	var set jwkset.JWKSMarshal
	require.NoError(t, json.Unmarshal(jwks(t, map[string]crypto.Signer{"ed": edKey, "ec": ecKey, "rsa": rsaKey, "p384": p384}), &set))
	for i := range set.Keys {
		switch set.Keys[i].KID {
		case "ec":
			set.Keys[i].USE = jwkset.UseEnc
		case "rsa":
			set.Keys[i].ALG = jwkset.AlgRS512
		}
	}
	set.Keys = append(set.Keys, jwkset.JWKMarshal{KTY: "oct", KID: "oct", K: base64.RawURLEncoding.EncodeToString(make([]byte, 32))},
		jwkset.JWKMarshal{KTY: "new", KID: "unheard-of"})
	document, err := json.Marshal(set)
	require.NoError(t, err)
	v := verifier(t, auth.Config{JWKSURL: newProvider(t, document).URL})

	_, err = eventually(v, sign(t, jwt.SigningMethodEdDSA, edKey, claims(), "kid", "ed"))
	require.NoError(t, err)
	for _, raw := range []string{
		sign(t, jwt.SigningMethodES256, ecKey, claims(), "kid", "ec"),
		sign(t, jwt.SigningMethodRS256, rsaKey, claims(), "kid", "rsa"),
		sign(t, jwt.SigningMethodHS256, make([]byte, 32), claims(), "kid", "oct"),
	} {
		_, err = eventually(v, raw)
		require.ErrorIs(t, err, auth.ErrTokenInvalid)
	}
}
