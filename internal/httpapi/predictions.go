package httpapi

import (
	"context"

	"github.com/oapi-codegen/nullable"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/score"
)

type predictions struct{ svc *score.Service }

func (h predictions) GetCustomerPredictions(ctx context.Context, req apigen.GetCustomerPredictionsRequestObject) (apigen.GetCustomerPredictionsResponseObject, error) {
	p, err := h.svc.Predict(ctx, callOf(ctx).Tenant, req.CustomerID, or(req.Params.Model, ""), or(req.Params.HorizonDays, 90))
	if err != nil {
		return nil, err
	}
	return apigen.GetCustomerPredictions200JSONResponse(predictionToAPI(p)), nil
}

func predictionToAPI(p score.Prediction) apigen.CustomerPrediction {
	out := apigen.CustomerPrediction{CustomerID: p.CustomerID, ModelKey: p.Model, Kind: apigen.ScoreKind(p.Kind), RunID: p.RunID,
		Family: p.Family, AsOf: dayToAPI(p.AsOf), CalibratedAsOf: dayToAPI(p.Calibrated), HorizonDays: p.HorizonDays}
	if o := p.Outlook; o != nil {
		out.Prediction = &apigen.Prediction{Inputs: o.Inputs, PAlive: orNull(o.Alive), ExpectedPurchases: o.Purchases, PNoPurchase: o.PNone,
			ExpectedSpendPerPurchase: optional(o.PerPurchase, moneyToAPI), ExpectedSpend: optional(o.Spend, moneyToAPI),
			NextPurchase: apigen.NextPurchase{Chance: orNull(o.Next.Chance), Early: dateOrNil(o.Next.Early),
				Median: dateOrNil(o.Next.Median), Late: dateOrNil(o.Next.Late)}}
	}
	return out
}

// orNull is null for what is not known.
func orNull(v *float64) nullable.Nullable[float64] {
	if v == nil {
		return nullable.NewNullNullable[float64]()
	}
	return nullable.NewNullableWithValue(*v)
}

// optional is nil for nil, f of it otherwise.
func optional[A, B any](p *A, f func(A) B) *B {
	if p == nil {
		return nil
	}
	return ptr(f(*p))
}
