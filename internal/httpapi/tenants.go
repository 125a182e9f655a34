package httpapi

import (
	"context"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/auth"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/tenant"
)

type tenants struct {
	lister
	svc *tenant.Service
}

func (h tenants) GetMe(ctx context.Context, _ apigen.GetMeRequestObject) (apigen.GetMeResponseObject, error) {
	p, t := auth.From(ctx), callOf(ctx).Tenant
	return apigen.GetMe200JSONResponse{Subject: p.Subject, Tenant: t.Name, Scopes: p.Scopes.List(), Currency: t.Currency,
		TimeZone: t.Zone.String()}, nil
}

func (h tenants) GetTenant(ctx context.Context, _ apigen.GetTenantRequestObject) (apigen.GetTenantResponseObject, error) {
	t, err := h.svc.ByID(ctx, callOf(ctx).Tenant.ID)
	if err != nil {
		return nil, err
	}
	return apigen.GetTenant200JSONResponse{Body: tenantToAPI(t), Headers: apigen.GetTenant200ResponseHeaders{ETag: etag(t.Version)}}, nil
}

func (h tenants) PatchTenant(ctx context.Context, req apigen.PatchTenantRequestObject) (apigen.PatchTenantResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	t, err := h.svc.Change(ctx, callOf(ctx).Tenant.ID, expected, tenant.Change{Title: req.Body.Title, Currency: req.Body.Currency,
		TimeZone: req.Body.TimeZone, Region: req.Body.Region})
	if err != nil {
		return nil, err
	}
	return apigen.PatchTenant200JSONResponse{Body: tenantToAPI(t), Headers: apigen.PatchTenant200ResponseHeaders{ETag: etag(t.Version)}}, nil
}

func (h tenants) CreateTenant(ctx context.Context, req apigen.CreateTenantRequestObject) (apigen.CreateTenantResponseObject, error) {
	t, err := h.svc.Create(ctx, tenant.Creation{Name: req.Body.Name, Title: or(req.Body.Title, ""), Currency: req.Body.Currency,
		TimeZone: req.Body.TimeZone, Region: or(req.Body.Region, "")})
	if err != nil {
		return nil, err
	}
	return apigen.CreateTenant201JSONResponse{Body: tenantToAPI(t), Headers: apigen.CreateTenant201ResponseHeaders{
		ETag: etag(t.Version)}}, nil
}

func (h tenants) ListTenants(ctx context.Context, req apigen.ListTenantsRequestObject) (apigen.ListTenantsResponseObject, error) {
	p, next, err := paged(ctx, h.lister, req.Params.Limit, req.Params.Cursor, func(r page.Request) (page.Of[tenant.Tenant], error) {
		return h.svc.List(ctx, r)
	}, "tenants")
	return apigen.ListTenants200JSONResponse{Items: each(p.Items, tenantToAPI), NextCursor: next, HasMore: next != nil}, err
}

func tenantToAPI(t tenant.Tenant) apigen.Tenant {
	return apigen.Tenant{Name: t.Name, Title: t.Title, Currency: t.Currency, TimeZone: t.Zone.String(), Region: t.Region, Version: t.Version,
		CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt}
}
