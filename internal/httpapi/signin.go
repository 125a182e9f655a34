package httpapi

import (
	"context"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/kezi-io/kezi/internal/auth"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

var errScope = fault.New(fault.Forbidden, "scope_missing", "the token lacks a scope", "令牌缺少所需的权限范围")

type callKey struct{}

// callOf is on whose behalf a handler works; signIn has put it there.
func callOf(ctx context.Context) tenant.Call {
	call, _ := ctx.Value(callKey{}).(tenant.Call)
	return call
}

func demand(p auth.Principal, scope string) error {
	if p.Scopes.Has(scope) {
		return nil
	}
	return errScope.Because("the token lacks the scope "+scope, "令牌缺少权限范围 "+scope).
		AtParameter("Authorization", "scope_missing", fault.T("needs the scope "+scope, "需要权限范围 "+scope), scope)
}

// signIn verifies the token, its scopes and its tenant before the body is looked at: nobody learns from an error
// message what only a caller may.
func signIn(ops operations, v *auth.Verifier, tenants *tenant.Service) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			op := ops.of(c)
			if op == nil || op.open {
				return next(c)
			}
			r := c.Request()
			if len(r.Header.Values(echo.HeaderAuthorization)) > 1 {
				return errContract.AtParameter(echo.HeaderAuthorization, "repeated_parameter", fault.T("send it once", "只能出现一次"))
			}
			p, err := v.Verify(r.Context(), auth.Bearer(r.Header.Get(echo.HeaderAuthorization)))
			if err != nil {
				return err
			}
			for _, scope := range op.scopes {
				if err := demand(p, scope); err != nil {
					return err
				}
			}
			t, err := tenants.ByName(r.Context(), p.Tenant)
			if err != nil {
				return err
			}
			call := tenant.Call{Tenant: t, Actor: p.Subject, RequestID: requestID(c), ChangeSet: uuid.Must(uuid.NewV7()), Blind: !p.Scopes.Has(scopePII)}
			ctx := context.WithValue(auth.With(r.Context(), p), callKey{}, call)
			ctx = context.WithValue(ctx, languageKey{}, chinese(r))
			c.SetRequest(r.WithContext(postgres.WithTenant(ctx, t.ID)))
			c.Set(tenantKey, t.Name)
			return next(c)
		}
	}
}
