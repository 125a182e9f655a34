package score

import (
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/tenant"
)

// calibrationDoc is Calibration as column calibration keeps it: the contract's names, and details in both languages.
type calibrationDoc struct {
	Units struct {
		Time  string `json:"time"`
		Money string `json:"money"`
	} `json:"units"`
	Purchases   *purchaseDoc         `json:"purchases,omitempty"`
	Values      *valueDoc            `json:"values,omitempty"`
	MeanSpend   float64              `json:"mean_spend,omitempty"`
	Parts       []partDoc            `json:"parts,omitempty"`
	Quantiles   map[string][]float64 `json:"quantiles"`
	Diagnostics []diagnosticDoc      `json:"diagnostics"`
}

type purchaseDoc struct {
	Family          string             `json:"family"`
	Parameters      map[string]float64 `json:"parameters"`
	LogLikelihood   float64            `json:"log_likelihood"`
	Customers       int64              `json:"customers"`
	RepeatCustomers int64              `json:"repeat_customers"`
	RepeatPurchases int64              `json:"repeat_purchases"`
	Converged       bool               `json:"converged"`
}

type valueDoc struct {
	Family        string             `json:"family"`
	Parameters    map[string]float64 `json:"parameters"`
	LogLikelihood float64            `json:"log_likelihood"`
	Customers     int64              `json:"customers"`
	LeftOut       int64              `json:"left_out"`
	Converged     bool               `json:"converged"`
}

type partDoc struct {
	Key   string    `json:"key"`
	RunID uuid.UUID `json:"run_id"`
	AsOf  string    `json:"as_of"`
}

type diagnosticDoc struct {
	Code     string `json:"code"`
	Detail   string `json:"detail"`
	DetailZh string `json:"detail_zh"`
}

func writeCalibration(c Calibration) (json.RawMessage, error) {
	d := calibrationDoc{Purchases: (*purchaseDoc)(c.Purchases), Values: (*valueDoc)(c.Values), MeanSpend: c.MeanSpend, Quantiles: c.Quantiles,
		Diagnostics: []diagnosticDoc{}}
	d.Units.Time, d.Units.Money = "week", c.Currency
	for _, x := range c.Diagnostics {
		d.Diagnostics = append(d.Diagnostics, diagnosticDoc{x.Code, x.Detail.En, x.Detail.Zh})
	}
	for _, p := range c.Parts {
		d.Parts = append(d.Parts, partDoc{p.Key, p.RunID, p.AsOf.String()})
	}
	raw, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("write a calibration: %w", err)
	}
	return raw, nil
}

func readCalibration(raw []byte) (*Calibration, error) {
	var d calibrationDoc
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, fmt.Errorf("read a calibration: %w", err)
	}
	c := &Calibration{Currency: d.Units.Money, Purchases: (*PurchaseFit)(d.Purchases), Values: (*ValueFit)(d.Values), MeanSpend: d.MeanSpend,
		Quantiles: d.Quantiles, Diagnostics: make([]Diagnostic, len(d.Diagnostics))}
	for _, p := range d.Parts {
		day, err := tenant.ParseDay(p.AsOf)
		if err != nil {
			return nil, fmt.Errorf("read a calibration: %w", err)
		}
		c.Parts = append(c.Parts, Part{Key: p.Key, RunID: p.RunID, AsOf: day})
	}
	for i, x := range d.Diagnostics {
		c.Diagnostics[i] = Diagnostic{x.Code, fault.T(x.Detail, x.DetailZh)}
	}
	return c, nil
}
