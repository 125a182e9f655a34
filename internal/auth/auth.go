// Package auth says who is calling: it verifies bearer tokens (JWT) and carries the caller in the context.
//
// What a token must hold: iss and aud as configured, exp, sub, and the claim tenant (a string, the tenant's name).
// iat and nbf are checked where they are present, with 30 seconds of leeway for clocks that differ. Scopes come from
// scope (one string, separated by spaces, RFC 8693) or, only where that is absent, from scp (an array of strings or
// one such string, as some providers write it). jti is optional. Claim names are matched exactly, case included.
package auth

import (
	"context"
	"slices"
	"strings"

	"github.com/kezi-io/kezi/internal/fault"
)

// What Verify answers. The texts are for the caller; the cause, which may name keys and algorithms, is in the
// error's chain and belongs in the log only.
var (
	ErrTokenMissing = fault.New(fault.Unauthenticated, "token_missing",
		"a bearer token is required", "需要提供 Bearer 令牌")
	ErrTokenInvalid = fault.New(fault.Unauthenticated, "token_invalid",
		"the token is not valid here", "令牌无效")
	ErrTokenExpired = fault.New(fault.Unauthenticated, "token_expired",
		"the token has expired", "令牌已过期")

	// ErrUnavailable is answered where the token names a key that is not known and the key set cannot be fetched:
	// a 401 would make clients throw away tokens that may be good.
	ErrUnavailable = fault.New(fault.Unavailable, "auth_unavailable",
		"the keys that verify tokens cannot be fetched at the moment; try again", "暂时无法获取令牌验证密钥，请稍后重试").Retry(2)
)

// Principal is a caller whose token was verified. Its zero value is nobody, with no scope.
type Principal struct {
	Subject string // claim sub; at most 255 bytes, no control characters
	Tenant  string // name of the tenant, from the claim; whether it exists is not known here
	Scopes  Scopes
	TokenID string // claim jti; empty where the token has none
}

// Scopes is a set of scopes. It can't be changed, so callers may share it. Its zero value is empty.
type Scopes struct{ names []string } // sorted, unique, without blanks

// NewScopes is the set of names.
func NewScopes(names ...string) Scopes {
	set := make([]string, 0, len(names))
	for _, name := range names {
		set = append(set, strings.Fields(name)...)
	}
	slices.Sort(set)
	return Scopes{names: slices.Compact(set)}
}

// Has reports whether name is in the set. There are no wildcards.
func (s Scopes) Has(name string) bool {
	_, ok := slices.BinarySearch(s.names, name)
	return ok
}

// List is the sorted names; never nil.
func (s Scopes) List() []string { return append([]string{}, s.names...) }

// String is the form of the claim scope.
func (s Scopes) String() string { return strings.Join(s.names, " ") }

type contextKey struct{}

// With is ctx on behalf of p.
func With(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// From is the caller that With put into ctx, or nobody.
func From(ctx context.Context) Principal {
	p, _ := ctx.Value(contextKey{}).(Principal)
	return p
}

// Bearer is the token of an Authorization header, or "" where the header is of another kind.
func Bearer(header string) string {
	scheme, token, _ := strings.Cut(strings.TrimSpace(header), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
