package score

import (
	"encoding/json"
	"fmt"

	"github.com/kezi-io/kezi/internal/fault"
)

// calibrationDoc is Calibration as column calibration keeps it: the contract's names, and details in both languages.
type calibrationDoc struct {
	Units struct {
		Time  string `json:"time"`
		Money string `json:"money"`
	} `json:"units"`
	Purchases   *purchaseDoc         `json:"purchases,omitempty"`
	Values      *valueDoc            `json:"values,omitempty"`
	ByKind      map[string]*valueDoc `json:"values_by_kind,omitempty"`
	Quantiles   map[string][]float64 `json:"quantiles"`
	MeanSpend   float64              `json:"mean_spend,omitempty"`
	Diagnostics []diagnosticDoc      `json:"diagnostics"`
}

type purchaseDoc struct {
	Family          string             `json:"family"`
	Facts           string             `json:"facts,omitempty"`
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
	MeanSpend     float64            `json:"mean_spend,omitempty"`
	Converged     bool               `json:"converged"`
}

type diagnosticDoc struct {
	Code     string `json:"code"`
	Detail   string `json:"detail"`
	DetailZh string `json:"detail_zh"`
}

func writeCalibration(c Calibration) (json.RawMessage, error) {
	d := calibrationDoc{Purchases: (*purchaseDoc)(c.Purchases), Values: (*valueDoc)(c.Values), Quantiles: c.Quantiles,
		MeanSpend: c.MeanSpend, Diagnostics: []diagnosticDoc{}}
	for kind, v := range c.ByKind {
		if d.ByKind == nil {
			d.ByKind = map[string]*valueDoc{}
		}
		d.ByKind[kind] = (*valueDoc)(v)
	}
	d.Units.Time, d.Units.Money = "week", c.Currency
	for _, x := range c.Diagnostics {
		d.Diagnostics = append(d.Diagnostics, diagnosticDoc{x.Code, x.Detail.En, x.Detail.Zh})
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
	c := &Calibration{Currency: d.Units.Money, Purchases: (*PurchaseFit)(d.Purchases), Values: (*ValueFit)(d.Values),
		Quantiles: d.Quantiles, MeanSpend: d.MeanSpend, Diagnostics: make([]Diagnostic, len(d.Diagnostics))}
	for kind, v := range d.ByKind {
		if c.ByKind == nil {
			c.ByKind = map[string]*ValueFit{}
		}
		c.ByKind[kind] = (*ValueFit)(v)
	}
	for i, x := range d.Diagnostics {
		c.Diagnostics[i] = Diagnostic{x.Code, fault.T(x.Detail, x.DetailZh)}
	}
	return c, nil
}
