package httpapi

import (
	"context"

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

func (h predictions) GetScoreRunValidation(ctx context.Context, req apigen.GetScoreRunValidationRequestObject) (apigen.GetScoreRunValidationResponseObject, error) {
	days := or(req.Params.HoldoutDays, 90)
	v, err := h.svc.Validate(ctx, callOf(ctx).Tenant, req.ModelKey, req.RunID, days)
	if err != nil {
		return nil, err
	}
	out := apigen.ScoreValidation{RunID: v.Run.ID, ModelKey: v.Run.ModelKey, Kind: apigen.ScoreKind(v.Run.Kind), Family: v.Family,
		Refitted: v.Refitted, CalibratedAsOf: dayToAPI(v.Calibrated), HoldoutUntil: dayToAPI(v.Until), HoldoutDays: days,
		Customers: v.Customers, Purchases: validationErrorsToAPI(v.Purchases), Spend: optional(v.Spend, validationErrorsToAPI),
		Churn: churnValidationToAPI(v.Churn), ByFrequency: each(v.Frequency, func(f score.FrequencyValidation) apigen.FrequencyValidation {
			return apigen.FrequencyValidation{RepeatPurchaseDays: f.X, OrMore: f.X == len(v.Frequency)-1, Customers: f.Customers,
				PredictedMean: f.Predicted, ActualMean: f.Actual, PredictedNoPurchase: f.PredNone, ActualNoPurchase: f.ActualNone}
		})}
	return apigen.GetScoreRunValidation200JSONResponse(out), nil
}

// validationErrorsToAPI lists the methods in their order.
func validationErrorsToAPI(e score.Errors) apigen.ValidationErrors {
	out := apigen.ValidationErrors{ActualMean: e.ActualMean, Methods: []apigen.ValidationMethod{}}
	for _, m := range score.Methods() {
		if x, ok := e.Methods[m]; ok {
			out.Methods = append(out.Methods, apigen.ValidationMethod{Method: apigen.PredictionMethod(m), PredictedMean: x.PredictedMean,
				Mae: x.MAE, Rmse: x.RMSE})
		}
	}
	return out
}

func churnValidationToAPI(c score.ChurnValidation) apigen.ChurnValidation {
	return apigen.ChurnValidation{ActualShare: c.ActualShare, PredictedShare: c.PredictedShare, MeanError: c.PredictedShare - c.ActualShare,
		OneTimeMeanError: c.OneTimePred - c.OneTimeActual, Brier: c.Brier, Auc: each(score.Methods(), func(m string) apigen.MethodAUC {
			return apigen.MethodAUC{Method: apigen.PredictionMethod(m), Value: orNull(c.AUC[m])}
		})}
}
