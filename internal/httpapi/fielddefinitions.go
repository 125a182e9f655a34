package httpapi

import (
	"context"
	"encoding/json"

	"github.com/oapi-codegen/nullable"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/attribute"
)

type fieldDefinitions struct{ svc *attribute.Service }

func (h fieldDefinitions) ListFieldDefinitions(ctx context.Context, req apigen.ListFieldDefinitionsRequestObject) (apigen.ListFieldDefinitionsResponseObject, error) {
	found, err := h.svc.List(ctx, callOf(ctx).Tenant, attribute.AppliesTo(or(req.Params.AppliesTo, "")))
	if err != nil {
		return nil, err
	}
	return apigen.ListFieldDefinitions200JSONResponse{Items: each(found, func(d attribute.Definition) apigen.FieldDefinition {
		return fieldDefinitionToAPI(ctx, d)
	})}, nil
}

func (h fieldDefinitions) CreateFieldDefinition(ctx context.Context, req apigen.CreateFieldDefinitionRequestObject) (apigen.CreateFieldDefinitionResponseObject, error) {
	b := req.Body
	draft := attribute.Draft{AppliesTo: attribute.AppliesTo(b.AppliesTo), Key: b.Key, Label: b.Label, Type: attribute.Type(b.Type),
		Required: or(b.Required, false), Unit: or(b.Unit, ""), Purpose: or(b.Purpose, ""), Description: or(b.Description, ""),
		Choices: each(or(b.Choices, nil), optionFromAPI), Sensitivity: attribute.Sensitivity(or(b.Sensitivity, "")), Position: or(b.Position, 0)}
	if v, err := b.Default.Get(); err == nil {
		draft.Default = v
	}
	if v := b.Validation; v != nil {
		draft.Validation = attribute.Validation{Pattern: or(v.Pattern, ""), Min: or(v.Min, ""), Max: or(v.Max, ""),
			MinLength: or(v.MinLength, 0), MaxLength: or(v.MaxLength, 0)}
	}
	d, err := h.svc.Create(ctx, callOf(ctx), draft)
	if err != nil {
		return nil, err
	}
	return apigen.CreateFieldDefinition201JSONResponse{Body: fieldDefinitionToAPI(ctx, d), Headers: apigen.CreateFieldDefinition201ResponseHeaders{
		ETag: etag(d.Version), Location: ptr("/v1/field-definitions/" + d.ID.String())}}, nil
}

func (h fieldDefinitions) GetFieldDefinition(ctx context.Context, req apigen.GetFieldDefinitionRequestObject) (apigen.GetFieldDefinitionResponseObject, error) {
	d, err := h.svc.Get(ctx, callOf(ctx).Tenant, req.FieldDefinitionID)
	if err != nil {
		return nil, err
	}
	return apigen.GetFieldDefinition200JSONResponse{Body: fieldDefinitionToAPI(ctx, d),
		Headers: apigen.GetFieldDefinition200ResponseHeaders{ETag: etag(d.Version)}}, nil
}

func (h fieldDefinitions) PatchFieldDefinition(ctx context.Context, req apigen.PatchFieldDefinitionRequestObject) (apigen.PatchFieldDefinitionResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	d, err := h.svc.Update(ctx, callOf(ctx), req.FieldDefinitionID, expected, fieldChangeFromAPI(*req.Body))
	if err != nil {
		return nil, err
	}
	return apigen.PatchFieldDefinition200JSONResponse{Body: fieldDefinitionToAPI(ctx, d),
		Headers: apigen.PatchFieldDefinition200ResponseHeaders{ETag: etag(d.Version)}}, nil
}

func (h fieldDefinitions) DeleteFieldDefinition(ctx context.Context, req apigen.DeleteFieldDefinitionRequestObject) (apigen.DeleteFieldDefinitionResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	return apigen.DeleteFieldDefinition204Response{}, h.svc.Delete(ctx, callOf(ctx), req.FieldDefinitionID, expected)
}

func (h fieldDefinitions) CheckFieldDefinition(ctx context.Context, req apigen.CheckFieldDefinitionRequestObject) (apigen.CheckFieldDefinitionResponseObject, error) {
	r, err := h.svc.Check(ctx, callOf(ctx).Tenant, req.FieldDefinitionID, fieldChangeFromAPI(*req.Body))
	if err != nil {
		return nil, err
	}
	return apigen.CheckFieldDefinition200JSONResponse{Values: r.Values, Failing: r.Failing, Missing: r.Missing,
		Samples: each(r.Samples, func(s attribute.Sample) apigen.FieldSample {
			return apigen.FieldSample{ID: s.ID, Code: s.Code, Detail: preferred(ctx, s.Detail)}
		})}, nil
}

func optionFromAPI(c apigen.FieldChoice) attribute.Option {
	return attribute.Option{Key: c.Key, Label: c.Label, Archived: or(c.Archived, false)}
}

func fieldChangeFromAPI(b apigen.FieldDefinitionPatch) attribute.Change {
	c := attribute.Change{Label: b.Label, Purpose: b.Purpose, Description: b.Description, Required: b.Required, Archived: b.Archived,
		Default: field(b.Default, same[json.RawMessage]), Unit: field(b.Unit, same[string]), Position: b.Position,
		Validation: field(b.Validation, func(v apigen.FieldValidationPatch) attribute.ValidationChange {
			return attribute.ValidationChange{Pattern: field(v.Pattern, same[string]), Min: field(v.Min, same[string]),
				Max: field(v.Max, same[string]), MinLength: field(v.MinLength, same[int]), MaxLength: field(v.MaxLength, same[int])}
		})}
	if b.Type != nil {
		c.Type = ptr(attribute.Type(*b.Type))
	}
	if b.Sensitivity != nil {
		c.Sensitivity = ptr(attribute.Sensitivity(*b.Sensitivity))
	}
	if b.Choices != nil {
		c.Choices = each(*b.Choices, optionFromAPI)
	}
	return c
}

func fieldDefinitionToAPI(ctx context.Context, d attribute.Definition) apigen.FieldDefinition {
	v := d.Validation
	out := apigen.FieldDefinition{ID: d.ID, Version: d.Version, AppliesTo: apigen.FieldSubject(d.AppliesTo), Key: d.Key, Label: d.Label,
		Type: apigen.FieldType(d.Type), Required: d.Required, Unit: set(d.Unit), Purpose: d.Purpose, Description: d.Description,
		Sensitivity: apigen.FieldSensitivity(d.Sensitivity), Position: d.Position, Archived: d.Archived, CreatedAt: d.CreatedAt,
		UpdatedAt: d.UpdatedAt, Validation: apigen.FieldValidation{Pattern: set(v.Pattern), Min: set(v.Min), Max: set(v.Max),
			MinLength: set(v.MinLength), MaxLength: set(v.MaxLength)},
		Choices: each(d.Choices, func(o attribute.Option) apigen.FieldChoice {
			return apigen.FieldChoice{Key: o.Key, Label: o.Label, Archived: ptr(o.Archived)}
		})}
	if d.Default != nil && (!d.Sensitivity.Guarded() || unmasked(ctx)) {
		out.Default = nullable.NewNullableWithValue(attribute.Plain(d.Default))
	}
	return out
}
