package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/golang-jwt/jwt/v5"

	"github.com/kezi-io/kezi/internal/fault"
)

const (
	maxToken = 8 << 10 // bytes; a header longer than that is refused by many proxies as well
	maxClaim = 255     // bytes of sub, tenant and jti, which end up in rows and logs
	leeway   = 30 * time.Second
)

// Config says whose tokens are accepted. Exactly one of JWKSURL, KeyFile and SecretFile is set.
type Config struct {
	// JWKSURL is fetched at start, every 5 minutes, and when a token names a key that it did not hold.
	JWKSURL string
	// KeyFile holds public keys: PEM (PUBLIC KEY, RSA PUBLIC KEY or CERTIFICATE, one or several) or a JWKS. It is
	// read once.
	KeyFile string
	// SecretFile holds the HS256 secret, at least 32 bytes; line breaks at its end do not count. It is read once.
	SecretFile string

	Issuer   string // claim iss, exactly
	Audience string // must be among the token's aud

	Now func() time.Time // nil is time.Now
	Log *slog.Logger     // nil is slog.Default()
}

// Verifier turns tokens into principals. It may be used by many goroutines.
type Verifier struct {
	parser *jwt.Parser
	keys   keys
	issuer string
	now    func() time.Time
	cache  *cache
}

// keys is where verification keys come from.
type keys interface {
	algorithms() []string
	// key is what verifies t, whose alg is one of algorithms.
	key(ctx context.Context, t *jwt.Token) (any, error)
	// generation grows after each change of the keys.
	generation() uint64
	ready() error
}

// NewVerifier reads or fetches the keys that cfg names. A JWKS host that does not answer is no error: Ready tells,
// and fetching goes on until ctx ends.
func NewVerifier(ctx context.Context, cfg Config) (*Verifier, error) {
	if cfg.Issuer == "" || cfg.Audience == "" {
		return nil, errors.New("auth: both the issuer and the audience of tokens must be set")
	}
	set := 0
	for _, s := range []string{cfg.JWKSURL, cfg.KeyFile, cfg.SecretFile} {
		if s != "" {
			set++
		}
	}
	if set != 1 {
		return nil, fmt.Errorf("auth: exactly one of JWKS URL, key file and secret file must be set, not %d", set)
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}

	var k keys
	var err error
	switch {
	case cfg.JWKSURL != "":
		k, err = fetchedKeys(ctx, cfg.JWKSURL, cfg.Log)
	case cfg.KeyFile != "":
		k, err = keysFromFile(ctx, cfg.KeyFile, cfg.Log)
	default:
		k, err = secretFromFile(cfg.SecretFile)
	}
	if err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	return newVerifier(k, cfg.Issuer, cfg.Audience, cfg.Now), nil
}

func newVerifier(k keys, issuer, audience string, now func() time.Time) *Verifier {
	if now == nil {
		now = time.Now
	}
	return &Verifier{
		parser: jwt.NewParser(
			jwt.WithValidMethods(k.algorithms()),
			jwt.WithIssuer(issuer),
			jwt.WithAudience(audience),
			jwt.WithExpirationRequired(),
			jwt.WithIssuedAt(),
			jwt.WithLeeway(leeway),
			jwt.WithTimeFunc(now),
			jwt.WithStrictDecoding(),
		),
		keys:   k,
		issuer: issuer,
		now:    now,
		cache:  newCache(),
	}
}

// Ready is nil once there is a key to verify with.
func (v *Verifier) Ready() error { return v.keys.ready() }

// Verify is the caller that raw, a token without "Bearer", speaks for.
//
// Fails with ErrTokenMissing, ErrTokenExpired, ErrTokenInvalid or ErrUnavailable. A token that was verified within
// the last minute is only checked for its time, as long as the keys have not changed.
func (v *Verifier) Verify(ctx context.Context, raw string) (Principal, error) {
	if raw == "" {
		return Principal{}, ErrTokenMissing
	}
	if len(raw) > maxToken {
		return Principal{}, ErrTokenInvalid.Because("the token is longer than 8192 bytes", "令牌长度超过 8192 字节")
	}
	now, generation, id := v.now(), v.keys.generation(), sha256.Sum256([]byte(raw))
	if p, ok := v.cache.get(id, generation, now); ok {
		return p, nil
	}

	claims := jwt.MapClaims{} // not a struct, whose JSON names would match in any case
	_, err := v.parser.ParseWithClaims(raw, claims, func(t *jwt.Token) (any, error) { return v.key(ctx, t, claims) })
	if err != nil {
		return Principal{}, refusal(ctx, err)
	}
	p, err := principal(claims)
	if err != nil {
		return Principal{}, err
	}
	expiry, err := claims.GetExpirationTime()
	if err != nil || expiry == nil {
		return Principal{}, ErrTokenInvalid
	}
	v.cache.put(id, generation, now, expiry.Add(leeway), p)
	return p, nil
}

// key refuses what no key could make good, so that such tokens cause no fetch of the key set.
func (v *Verifier) key(ctx context.Context, t *jwt.Token, claims jwt.MapClaims) (any, error) {
	if _, ok := t.Header["crit"]; ok {
		return nil, errors.New("the header has crit, of which no extension is understood") // RFC 7515, 4.1.11
	}
	if typ, ok := t.Header["typ"]; ok {
		// Other types, such as logout+jwt, come from the same issuer and are no access tokens (RFC 8725, 3.11).
		s, _ := typ.(string)
		if !slices.Contains([]string{"jwt", "at+jwt"}, strings.TrimPrefix(strings.ToLower(s), "application/")) {
			return nil, fmt.Errorf("the header has typ %v", typ)
		}
	}
	if claims["iss"] != v.issuer {
		return nil, jwt.ErrTokenInvalidIssuer
	}
	return v.keys.key(ctx, t)
}

// refusal says no more than the caller may know: nothing about a token whose signature did not verify, since
// golang-jwt looks at claims only after that.
func refusal(ctx context.Context, err error) error {
	f := ErrTokenInvalid
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("verify token: %w", ctx.Err())
	case errors.Is(err, errKeySet):
		f = ErrUnavailable
	case !errors.Is(err, jwt.ErrTokenInvalidClaims):
		// malformed, wrong algorithm, unknown key, bad signature, foreign issuer
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		f = f.Because("the token is for another audience", "令牌的受众 (aud) 不是本服务")
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		f = f.Because("the token is not valid yet", "令牌尚未生效")
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		f = f.Because("the token lacks one of the claims iss, aud and exp", "令牌缺少 iss、aud 或 exp 声明")
	case errors.Is(err, jwt.ErrTokenExpired):
		f = ErrTokenExpired
	}
	return fmt.Errorf("%w: %w", f, err)
}

func principal(claims jwt.MapClaims) (p Principal, err error) {
	if p.Subject, err = text(claims, "sub", true); err != nil {
		return Principal{}, err
	}
	if p.Tenant, err = text(claims, "tenant", true); err != nil {
		return Principal{}, err
	}
	if p.TokenID, err = text(claims, "jti", false); err != nil {
		return Principal{}, err
	}
	if p.Scopes, err = scopes(claims); err != nil {
		return Principal{}, err
	}
	return p, nil
}

func text(claims jwt.MapClaims, name string, required bool) (string, error) {
	claim, ok := claims[name]
	if !ok && !required {
		return "", nil
	}
	s, ok := claim.(string)
	if !ok || !validText(s) {
		return "", badClaim(name, "is missing or not a text of 1 to 255 bytes", "缺失，或不是 1 到 255 字节的文本")
	}
	return s, nil
}

func validText(s string) bool {
	return strings.TrimSpace(s) != "" && len(s) <= maxClaim && !strings.ContainsFunc(s, unicode.IsControl)
}

func scopes(claims jwt.MapClaims) (Scopes, error) {
	if claim, ok := claims["scope"]; ok {
		s, ok := claim.(string)
		if !ok {
			return Scopes{}, badClaim("scope", "is not a text", "不是文本")
		}
		return NewScopes(s), nil
	}
	switch claim := claims["scp"].(type) {
	case nil:
		return Scopes{}, nil
	case string:
		return NewScopes(claim), nil
	case []any:
		names := make([]string, len(claim))
		for i := range claim {
			var ok bool
			if names[i], ok = claim[i].(string); !ok {
				return Scopes{}, badClaim("scp", "holds something other than texts", "含有非文本内容")
			}
		}
		return NewScopes(names...), nil
	default:
		return Scopes{}, badClaim("scp", "is neither a list nor a text", "既不是列表也不是文本")
	}
}

func badClaim(name, en, zh string) *fault.Fault {
	return ErrTokenInvalid.Because("the token's claim "+name+" "+en, "令牌的 "+name+" 声明"+zh)
}
