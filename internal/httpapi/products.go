package httpapi

import (
	"context"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/product"
)

type products struct {
	lister
	svc *product.Service
}

func (h products) ListProducts(ctx context.Context, req apigen.ListProductsRequestObject) (apigen.ListProductsResponseObject, error) {
	p := req.Params
	q := product.Query{Words: or(p.Q, ""), Category: product.TidyCategory(or(p.Category, "")), Status: product.Status(or(p.Status, ""))}
	found, next, err := paged(ctx, h.lister, p.Limit, p.Cursor, func(r page.Request) (page.Of[product.Product], error) {
		q.Page = r
		return h.svc.List(ctx, callOf(ctx).Tenant, q)
	}, "products", q.Words, q.Category, string(q.Status))
	return apigen.ListProducts200JSONResponse{Items: each(found.Items, productToAPI), NextCursor: next, HasMore: next != nil}, err
}

func (h products) CreateProduct(ctx context.Context, req apigen.CreateProductRequestObject) (apigen.CreateProductResponseObject, error) {
	b := req.Body
	var v fault.Validator
	d := product.Draft{SKU: b.Sku, Name: b.Name, Category: or(b.Category, ""), Brand: or(b.Brand, ""), Unit: or(b.Unit, ""),
		Description: or(b.Description, ""), Price: moneyOrNil(&v, "/price", b.Price), Status: product.Status(or(b.Status, ""))}
	if err := v.Err(); err != nil {
		return nil, err
	}
	p, err := h.svc.Create(ctx, callOf(ctx), d)
	if err != nil {
		return nil, err
	}
	return apigen.CreateProduct201JSONResponse{Body: productToAPI(p), Headers: apigen.CreateProduct201ResponseHeaders{
		ETag: etag(p.Version), Location: productLocation(p)}}, nil
}

func productLocation(p product.Product) *string { return ptr("/v1/products/" + p.ID.String()) }

func (h products) GetProduct(ctx context.Context, req apigen.GetProductRequestObject) (apigen.GetProductResponseObject, error) {
	p, err := h.svc.Get(ctx, callOf(ctx).Tenant, req.ProductID)
	if err != nil {
		return nil, err
	}
	return apigen.GetProduct200JSONResponse{Body: productToAPI(p), Headers: apigen.GetProduct200ResponseHeaders{ETag: etag(p.Version)}}, nil
}

func (h products) GetProductBySku(ctx context.Context, req apigen.GetProductBySkuRequestObject) (apigen.GetProductBySkuResponseObject, error) {
	p, err := h.svc.BySKU(ctx, callOf(ctx).Tenant, req.Sku)
	if err != nil {
		return nil, err
	}
	return apigen.GetProductBySku200JSONResponse{Body: productToAPI(p), Headers: apigen.GetProductBySku200ResponseHeaders{ETag: etag(p.Version)}}, nil
}

func (h products) PutProductBySku(ctx context.Context, req apigen.PutProductBySkuRequestObject) (apigen.PutProductBySkuResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	b := req.Body
	c, err := productChangeFromAPI(apigen.ProductPatch{Name: b.Name, Category: b.Category, Brand: b.Brand, Unit: b.Unit,
		Description: b.Description, Price: b.Price, Status: b.Status})
	if err != nil {
		return nil, err
	}
	p, created, err := h.svc.Put(ctx, callOf(ctx), req.Sku, expected, c)
	if err != nil {
		return nil, err
	}
	if created {
		return apigen.PutProductBySku201JSONResponse{Body: productToAPI(p), Headers: apigen.PutProductBySku201ResponseHeaders{
			ETag: etag(p.Version), Location: productLocation(p)}}, nil
	}
	return apigen.PutProductBySku200JSONResponse{Body: productToAPI(p), Headers: apigen.PutProductBySku200ResponseHeaders{ETag: etag(p.Version)}}, nil
}

func (h products) PatchProduct(ctx context.Context, req apigen.PatchProductRequestObject) (apigen.PatchProductResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	c, err := productChangeFromAPI(*req.Body)
	if err != nil {
		return nil, err
	}
	p, err := h.svc.Update(ctx, callOf(ctx), req.ProductID, expected, c)
	if err != nil {
		return nil, err
	}
	return apigen.PatchProduct200JSONResponse{Body: productToAPI(p), Headers: apigen.PatchProduct200ResponseHeaders{ETag: etag(p.Version)}}, nil
}

func (h products) DeleteProduct(ctx context.Context, req apigen.DeleteProductRequestObject) (apigen.DeleteProductResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	if err := h.svc.Delete(ctx, callOf(ctx), req.ProductID, expected); err != nil {
		return nil, err
	}
	return apigen.DeleteProduct204Response{}, nil
}

func (h products) ListProductRelations(ctx context.Context, req apigen.ListProductRelationsRequestObject) (apigen.ListProductRelationsResponseObject, error) {
	found, err := h.svc.Relations(ctx, callOf(ctx).Tenant, req.ProductID)
	if err != nil {
		return nil, err
	}
	return apigen.ListProductRelations200JSONResponse{Items: each(found, productRelationToAPI)}, nil
}

func (h products) PutProductRelation(ctx context.Context, req apigen.PutProductRelationRequestObject) (apigen.PutProductRelationResponseObject, error) {
	r, err := h.svc.Relate(ctx, callOf(ctx), req.ProductID, product.RelationKind(req.RelationKind), req.RelatedID)
	if err != nil {
		return nil, err
	}
	return apigen.PutProductRelation200JSONResponse(productRelationToAPI(r)), nil
}

func (h products) DeleteProductRelation(ctx context.Context, req apigen.DeleteProductRelationRequestObject) (apigen.DeleteProductRelationResponseObject, error) {
	if err := h.svc.Unrelate(ctx, callOf(ctx), req.ProductID, product.RelationKind(req.RelationKind), req.RelatedID); err != nil {
		return nil, err
	}
	return apigen.DeleteProductRelation204Response{}, nil
}

func productChangeFromAPI(b apigen.ProductPatch) (product.Change, error) {
	var v fault.Validator
	c := product.Change{SKU: b.Sku, Name: b.Name, Category: field(b.Category, same[string]), Brand: field(b.Brand, same[string]),
		Unit: field(b.Unit, same[string]), Description: field(b.Description, same[string]),
		Price: field(b.Price, func(m apigen.Money) money.Money { return moneyFromAPI(&v, "/price", m) })}
	if b.Status != nil {
		c.Status = ptr(product.Status(*b.Status))
	}
	return c, v.Err()
}

func productToAPI(p product.Product) apigen.Product {
	out := apigen.Product{ID: p.ID, Version: p.Version, Sku: p.SKU, Name: p.Name, Category: set(p.Category), Brand: set(p.Brand),
		Unit: set(p.Unit), Description: set(p.Description), Status: apigen.ProductStatus(p.Status), CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt}
	if p.Price != nil {
		out.Price = ptr(moneyToAPI(*p.Price))
	}
	return out
}

func productRelationToAPI(r product.Relation) apigen.ProductRelation {
	direction := apigen.RelationDirectionOutgoing
	if r.Incoming {
		direction = apigen.RelationDirectionIncoming
	}
	return apigen.ProductRelation{Kind: apigen.ProductRelationKind(r.Kind), Direction: direction, Product: productToAPI(r.Other), CreatedAt: r.CreatedAt}
}
