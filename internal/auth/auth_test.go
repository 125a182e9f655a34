package auth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"strings"
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

const (
	issuer   = "https://id.example.com/"
	audience = "kezi-api"
)

// noon is what the tests' clocks start at.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var (
	edKey  = must(newEd())
	ecKey  = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	rsaKey = must(rsa.GenerateKey(rand.Reader, 2048))
)

func newEd() (ed25519.PrivateKey, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	return private, err
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// claims is what a good token says at noon, changed by the pairs of name and value; nil removes a claim.
func claims(changes ...any) jwt.MapClaims {
	c := jwt.MapClaims{
		"iss": issuer, "aud": audience, "sub": "ada", "tenant": "acme", "scope": "customers:read tags:write",
		"iat": noon.Unix(), "exp": noon.Add(time.Hour).Unix(),
	}
	for i := 0; i < len(changes); i += 2 {
		c[changes[i].(string)] = changes[i+1]
	}
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

func sign(t *testing.T, method jwt.SigningMethod, key any, c jwt.MapClaims, header ...string) string {
	t.Helper()
	token := jwt.NewWithClaims(method, c)
	for i := 0; i < len(header); i += 2 {
		token.Header[header[i]] = header[i+1]
	}
	raw, err := token.SignedString(key)
	require.NoError(t, err)
	return raw
}

func publicPEM(t *testing.T, keys ...crypto.Signer) []byte {
	t.Helper()
	var document []byte
	for _, key := range keys {
		der, err := x509.MarshalPKIXPublicKey(key.Public())
		require.NoError(t, err)
		document = append(document, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})...)
	}
	return document
}

// jwks is a key set with the public halves of keys under their ids.
func jwks(t *testing.T, keys map[string]crypto.Signer) []byte {
	t.Helper()
	set := jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{}}
	for kid, key := range keys {
		jwk, err := jwkset.NewJWKFromKey(key.Public(), jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: kid, USE: jwkset.UseSig}})
		require.NoError(t, err)
		set.Keys = append(set.Keys, jwk.Marshal())
	}
	document, err := json.Marshal(set)
	require.NoError(t, err)
	return document
}

func file(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}

// clock is a time that a test moves.
type clock struct{ at atomic.Pointer[time.Time] }

func newClock() *clock {
	c := &clock{}
	c.set(noon)
	return c
}

func (c *clock) set(at time.Time) { c.at.Store(&at) }
func (c *clock) now() time.Time   { return *c.at.Load() }

func configure(cfg auth.Config) auth.Config {
	if cfg.Issuer == "" {
		cfg.Issuer, cfg.Audience = issuer, audience
	}
	if cfg.Now == nil {
		cfg.Now = newClock().now
	}
	cfg.Log = slog.New(slog.DiscardHandler)
	return cfg
}

func verifier(t *testing.T, cfg auth.Config) *auth.Verifier {
	t.Helper()
	v, err := auth.NewVerifier(t.Context(), configure(cfg))
	require.NoError(t, err)
	return v
}

func TestKeyFile(t *testing.T) {
	t.Parallel()
	v := verifier(t, auth.Config{KeyFile: file(t, publicPEM(t, edKey, ecKey, rsaKey))})
	require.NoError(t, v.Ready())

	t.Run("AcceptsThreeAlgorithms", func(t *testing.T) {
		t.Parallel()
		for _, raw := range []string{
			sign(t, jwt.SigningMethodEdDSA, edKey, claims("jti", "t-1")),
			sign(t, jwt.SigningMethodES256, ecKey, claims("jti", "t-1"), "kid", "any"),
			sign(t, jwt.SigningMethodRS256, rsaKey, claims("jti", "t-1", "aud", []string{"other", audience}), "typ", "at+JWT"),
		} {
			for range 2 { // the second from the cache
				p, err := v.Verify(t.Context(), raw)
				require.NoError(t, err)
				require.Equal(t, auth.Principal{
					Subject: "ada", Tenant: "acme", TokenID: "t-1", Scopes: auth.NewScopes("tags:write", "customers:read"),
				}, p)
			}
		}
	})

	edPEM, ecPEM := publicPEM(t, edKey), publicPEM(t, ecKey)
	rsaPEM := publicPEM(t, rsaKey)
	other := must(newEd())
	ed := func(c jwt.MapClaims, header ...string) string {
		return sign(t, jwt.SigningMethodEdDSA, edKey, c, header...)
	}
	good := ed(claims())
	parts := strings.Split(good, ".")
	payload := func(json string) string { return base64.RawURLEncoding.EncodeToString([]byte(json)) }
	last := good[:len(good)-1] + string(good[len(good)-1]+1) // other unused bits of the last character

	for name, c := range map[string]struct {
		raw  string
		want *fault.Fault
	}{
		"Missing":               {"", auth.ErrTokenMissing},
		"AlgorithmNone":         {sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims()), auth.ErrTokenInvalid},
		"HS256WithPublicPEM":    {sign(t, jwt.SigningMethodHS256, rsaPEM, claims()), auth.ErrTokenInvalid},
		"HS256WithECPEM":        {sign(t, jwt.SigningMethodHS256, ecPEM, claims()), auth.ErrTokenInvalid},
		"HS256WithEdPEM":        {sign(t, jwt.SigningMethodHS256, edPEM, claims()), auth.ErrTokenInvalid},
		"HS256WithPublicBytes":  {sign(t, jwt.SigningMethodHS256, []byte(edKey.Public().(ed25519.PublicKey)), claims()), auth.ErrTokenInvalid},
		"RS384":                 {sign(t, jwt.SigningMethodRS384, rsaKey, claims()), auth.ErrTokenInvalid},
		"PS256":                 {sign(t, jwt.SigningMethodPS256, rsaKey, claims()), auth.ErrTokenInvalid},
		"ForeignKey":            {sign(t, jwt.SigningMethodEdDSA, other, claims()), auth.ErrTokenInvalid},
		"PayloadSwapped":        {parts[0] + "." + payload(`{"sub":"root"}`) + "." + parts[2], auth.ErrTokenInvalid},
		"SignatureRemoved":      {parts[0] + "." + parts[1] + ".", auth.ErrTokenInvalid},
		"OtherEncoding":         {last, auth.ErrTokenInvalid},
		"WrongAudience":         {ed(claims("aud", "other")), auth.ErrTokenInvalid},
		"MissingAudience":       {ed(claims("aud", nil)), auth.ErrTokenInvalid},
		"EmptyAudience":         {ed(claims("aud", []string{})), auth.ErrTokenInvalid},
		"WrongIssuer":           {ed(claims("iss", "https://evil.example.com/")), auth.ErrTokenInvalid},
		"MissingIssuer":         {ed(claims("iss", nil)), auth.ErrTokenInvalid},
		"IssuerPrefix":          {ed(claims("iss", strings.TrimSuffix(issuer, "/"))), auth.ErrTokenInvalid},
		"Expired":               {ed(claims("exp", noon.Add(-31*time.Second).Unix())), auth.ErrTokenExpired},
		"ExpiredAndForeign":     {ed(claims("exp", noon.Add(-time.Hour).Unix(), "aud", "other")), auth.ErrTokenInvalid},
		"ExpiredAndForged":      {sign(t, jwt.SigningMethodEdDSA, other, claims("exp", noon.Add(-time.Hour).Unix())), auth.ErrTokenInvalid},
		"NoExpiry":              {ed(claims("exp", nil)), auth.ErrTokenInvalid},
		"ZeroExpiry":            {ed(claims("exp", 0)), auth.ErrTokenInvalid},
		"TextExpiry":            {ed(claims("exp", "2099-01-01")), auth.ErrTokenInvalid},
		"NotBeforeInFuture":     {ed(claims("nbf", noon.Add(31*time.Second).Unix())), auth.ErrTokenInvalid},
		"IssuedInFuture":        {ed(claims("iat", noon.Add(31*time.Second).Unix())), auth.ErrTokenInvalid},
		"MissingTenant":         {ed(claims("tenant", nil)), auth.ErrTokenInvalid},
		"NumericTenant":         {ed(claims("tenant", 7)), auth.ErrTokenInvalid},
		"TenantList":            {ed(claims("tenant", []string{"acme"})), auth.ErrTokenInvalid},
		"TenantInOtherCase":     {ed(claims("tenant", nil, "Tenant", "acme")), auth.ErrTokenInvalid},
		"BlankTenant":           {ed(claims("tenant", "  ")), auth.ErrTokenInvalid},
		"TenantWithNUL":         {ed(claims("tenant", "ac\x00me")), auth.ErrTokenInvalid},
		"MissingSubject":        {ed(claims("sub", nil)), auth.ErrTokenInvalid},
		"EmptySubject":          {ed(claims("sub", "")), auth.ErrTokenInvalid},
		"LongSubject":           {ed(claims("sub", strings.Repeat("a", 256))), auth.ErrTokenInvalid},
		"NumericTokenID":        {ed(claims("jti", 1)), auth.ErrTokenInvalid},
		"ScopeList":             {ed(claims("scope", []string{"customers:read"})), auth.ErrTokenInvalid},
		"ScpWithNumber":         {ed(claims("scope", nil, "scp", []any{"customers:read", 1})), auth.ErrTokenInvalid},
		"ScpObject":             {ed(claims("scope", nil, "scp", map[string]bool{"customers:read": true})), auth.ErrTokenInvalid},
		"CriticalHeader":        {ed(claims(), "crit", "exp"), auth.ErrTokenInvalid},
		"LogoutToken":           {ed(claims(), "typ", "logout+jwt"), auth.ErrTokenInvalid},
		"NineKilobytes":         {ed(claims("padding", strings.Repeat("a", 9<<10))), auth.ErrTokenInvalid},
		"GarbageWord":           {"garbage", auth.ErrTokenInvalid},
		"GarbageDots":           {"...", auth.ErrTokenInvalid},
		"GarbageTwoDots":        {"..", auth.ErrTokenInvalid},
		"GarbageBytes":          {"\x00\xff.\n.é", auth.ErrTokenInvalid},
		"NullPayload":           {payload(`{"alg":"EdDSA"}`) + "." + payload("null") + "." + parts[2], auth.ErrTokenInvalid},
		"NullHeader":            {payload("null") + "." + parts[1] + "." + parts[2], auth.ErrTokenInvalid},
		"NumericAlgorithm":      {payload(`{"alg":5}`) + "." + parts[1] + "." + parts[2], auth.ErrTokenInvalid},
		"WithScheme":            {"Bearer " + good, auth.ErrTokenInvalid},
		"SecondDuplicateTenant": {parts[0] + "." + payload(`{"tenant":"a","tenant":"b"}`) + "." + parts[2], auth.ErrTokenInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 2 { // a refusal stays one
				p, err := v.Verify(t.Context(), c.raw)
				require.ErrorIs(t, err, c.want)
				require.Equal(t, fault.Unauthenticated, fault.Of(err).Kind)
				require.Zero(t, p)
			}
		})
	}
}

func TestScopesOfClaims(t *testing.T) {
	t.Parallel()
	v := verifier(t, auth.Config{KeyFile: file(t, publicPEM(t, edKey))})
	for name, c := range map[string]struct {
		claims jwt.MapClaims
		want   []string
	}{
		"ScopeText":     {claims("scope", " tags:read  customers:read tags:read "), []string{"customers:read", "tags:read"}},
		"ScpList":       {claims("scope", nil, "scp", []string{"tags:read", "customers:read"}), []string{"customers:read", "tags:read"}},
		"ScpText":       {claims("scope", nil, "scp", "tags:read customers:read"), []string{"customers:read", "tags:read"}},
		"ScopeBeforeSc": {claims("scope", "tags:read", "scp", []string{"tenants:admin"}), []string{"tags:read"}},
		"EmptyScope":    {claims("scope", "", "scp", []string{"tenants:admin"}), []string{}},
		"None":          {claims("scope", nil), []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := v.Verify(t.Context(), sign(t, jwt.SigningMethodEdDSA, edKey, c.claims))
			require.NoError(t, err)
			require.Equal(t, c.want, p.Scopes.List())
			require.False(t, p.Scopes.Has("tenants:admin"))
			require.False(t, p.Scopes.Has(""))
			for _, s := range c.want {
				require.True(t, p.Scopes.Has(s))
			}
		})
	}
}

func TestTimePasses(t *testing.T) {
	t.Parallel()
	now := newClock()
	v := verifier(t, auth.Config{KeyFile: file(t, publicPEM(t, edKey)), Now: now.now})

	short := sign(t, jwt.SigningMethodEdDSA, edKey, claims("exp", noon.Add(10*time.Second).Unix(), "nbf", noon.Unix()))
	long := sign(t, jwt.SigningMethodEdDSA, edKey, claims("nbf", noon.Unix()))
	for _, step := range []struct {
		after       time.Duration
		short, long error
	}{
		{0, nil, nil},
		{39 * time.Second, nil, nil},                             // within the leeway
		{40 * time.Second, auth.ErrTokenExpired, nil},            // both were cached
		{30 * time.Minute, auth.ErrTokenExpired, nil},            // verified anew
		{-29 * time.Second, nil, nil},                            // the clock was set back
		{-time.Hour, auth.ErrTokenInvalid, auth.ErrTokenInvalid}, // to before nbf
		{2 * time.Hour, auth.ErrTokenExpired, auth.ErrTokenExpired},
	} {
		now.set(noon.Add(step.after))
		_, err := v.Verify(t.Context(), short)
		require.ErrorIs(t, err, step.short, "short token at %s", step.after)
		_, err = v.Verify(t.Context(), long)
		require.ErrorIs(t, err, step.long, "long token at %s", step.after)
	}
}

func TestManyTokensAtOnce(t *testing.T) {
	t.Parallel()
	key, err := auth.LoadOrCreateDevKey(t.TempDir())
	require.NoError(t, err)
	v := key.Verifier()
	// More than the cache holds, each asked for again at once and later, by several goroutines.
	tokens := make([]string, 5000)
	names := make([]string, len(tokens))
	for i := range tokens {
		names[i] = fmt.Sprintf("user %d", i)
		tokens[i], err = key.Sign(auth.Claims{Subject: names[i], Tenant: "acme", TTL: time.Hour})
		require.NoError(t, err)
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for i := range tokens {
				for _, n := range []int{i, i / 2} {
					p, err := v.Verify(context.Background(), tokens[n])
					if err != nil || p.Subject != names[n] {
						t.Errorf("token %d: %v, %+v", n, err, p)
						return
					}
				}
			}
		})
	}
	group.Wait()
}

func TestSecretFile(t *testing.T) {
	t.Parallel()
	secret := []byte("0123456789abcdef0123456789abcdef")
	v := verifier(t, auth.Config{SecretFile: file(t, append(secret, "\r\n"...))})
	_, err := v.Verify(t.Context(), sign(t, jwt.SigningMethodHS256, secret[:32], claims()))
	require.NoError(t, err)
	for why, raw := range map[string]string{
		"another secret": sign(t, jwt.SigningMethodHS256, []byte("another secret of 32 bytes, really"), claims()),
		"HS512":          sign(t, jwt.SigningMethodHS512, secret[:32], claims()),
		"EdDSA":          sign(t, jwt.SigningMethodEdDSA, edKey, claims()),
		"none":           sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims()),
	} {
		_, err = v.Verify(t.Context(), raw)
		require.ErrorIs(t, err, auth.ErrTokenInvalid, why)
	}
}

func TestRefusedSettings(t *testing.T) {
	t.Parallel()
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(edKey))})
	small := must(x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}))
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	secret := file(t, make([]byte, 32))
	pub := file(t, publicPEM(t, edKey))
	for name, c := range map[string]struct {
		cfg  auth.Config
		want string
	}{
		"NoSource":          {auth.Config{}, "exactly one"},
		"KeyAndSecret":      {auth.Config{KeyFile: pub, SecretFile: secret}, "exactly one"},
		"URLAndKey":         {auth.Config{JWKSURL: "https://id.example.com/jwks", KeyFile: pub}, "exactly one"},
		"NoAudience":        {auth.Config{KeyFile: pub, Issuer: issuer}, "audience"},
		"NoSuchFile":        {auth.Config{KeyFile: filepath.Join(t.TempDir(), "none")}, "read key file"},
		"NoSuchSecret":      {auth.Config{SecretFile: filepath.Join(t.TempDir(), "none")}, "read secret file"},
		"ShortSecret":       {auth.Config{SecretFile: file(t, append(make([]byte, 31), '\n'))}, "31 bytes are too few"},
		"PublicKeyAsSecret": {auth.Config{SecretFile: pub}, "may be public"},
		"JWKSAsSecret":      {auth.Config{SecretFile: file(t, jwks(t, map[string]crypto.Signer{"ed": edKey}))}, "may be public"},
		"EmptyKeyFile":      {auth.Config{KeyFile: file(t, nil)}, "neither a PEM block nor a JWKS"},
		"PrivateKey":        {auth.Config{KeyFile: file(t, private)}, "where a public key belongs"},
		"SmallRSA":          {auth.Config{KeyFile: file(t, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: small}))}, "1024 bits"},
		"P384":              {auth.Config{KeyFile: file(t, publicPEM(t, p384))}, "another curve"},
		"P384InSet":         {auth.Config{KeyFile: file(t, jwks(t, map[string]crypto.Signer{"a": p384}))}, "none of the 1 keys"},
		"NoURL":             {auth.Config{JWKSURL: "id.example.com/jwks"}, "no http or https URL"},
		"FileURL":           {auth.Config{JWKSURL: "file:///etc/keys"}, "no http or https URL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := auth.NewVerifier(t.Context(), configure(c.cfg))
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestCertificate(t *testing.T) {
	t.Parallel()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "id"}, NotAfter: noon}
	der, err := x509.CreateCertificate(rand.Reader, template, template, ecKey.Public(), ecKey)
	require.NoError(t, err)
	document := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey)})...)
	v := verifier(t, auth.Config{KeyFile: file(t, document)})
	for _, raw := range []string{
		sign(t, jwt.SigningMethodES256, ecKey, claims()), sign(t, jwt.SigningMethodRS256, rsaKey, claims()),
	} {
		_, err = v.Verify(t.Context(), raw)
		require.NoError(t, err)
	}
	_, err = v.Verify(t.Context(), sign(t, jwt.SigningMethodEdDSA, edKey, claims()))
	require.ErrorIs(t, err, auth.ErrTokenInvalid)
}

func TestContext(t *testing.T) {
	t.Parallel()
	require.Zero(t, auth.From(t.Context()))
	p := auth.Principal{Subject: "ada", Tenant: "acme", Scopes: auth.NewScopes("a")}
	require.Equal(t, p, auth.From(auth.With(t.Context(), p)))

	listed := p.Scopes.List()
	listed[0] = "tenants:admin"
	require.False(t, p.Scopes.Has("tenants:admin"), "a set can't be changed through its list")
}

func TestBearer(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"": "", "Bearer": "", "Bearer ": "", "Basic abc": "", "abc": "", "Bearerabc": "",
		"Bearer abc": "abc", "bearer abc": "abc", " BEARER   abc ": "abc",
	} {
		require.Equal(t, want, auth.Bearer(header), "%q", header)
	}
}

func BenchmarkVerify(b *testing.B) {
	key, err := auth.LoadOrCreateDevKey(b.TempDir())
	require.NoError(b, err)
	v := key.Verifier()
	raw, err := key.Sign(auth.Claims{Subject: "dev", Tenant: "demo", Scopes: []string{"customers:read"}, TTL: time.Hour})
	require.NoError(b, err)
	for b.Loop() {
		if _, err := v.Verify(b.Context(), raw); err != nil {
			b.Fatal(err)
		}
	}
}
