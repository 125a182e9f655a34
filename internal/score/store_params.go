package score

import (
	"encoding/json"
	"fmt"

	"github.com/kezi-io/kezi/internal/filter"
)

// paramsDoc is Params as columns params and events keep them: the contract's names.
type paramsDoc struct {
	WindowDays      int         `json:"window_days,omitempty"`
	Weights         *weightsDoc `json:"weights,omitempty"`
	Bands           int         `json:"bands,omitempty"`
	Family          string      `json:"family,omitempty"`
	HorizonMonths   int         `json:"horizon_months,omitempty"`
	DiscountRate    *float64    `json:"discount_rate_monthly,omitempty"`
	HorizonDays     int         `json:"horizon_days,omitempty"`
	CLVModel        string      `json:"clv_model,omitempty"`
	HighValueShare  float64     `json:"high_value_share,omitempty"`
	PotentialShare  float64     `json:"potential_share,omitempty"`
	Rules           []ruleDoc   `json:"rules,omitempty"`
	Groups          []groupDoc  `json:"groups,omitempty"`
	MinPoints       *float64    `json:"min_points,omitempty"`
	MaxPoints       *float64    `json:"max_points,omitempty"`
	Parts           []partDoc   `json:"parts,omitempty"`
	Missing         Missing     `json:"missing,omitempty"`
	RecalibrateDays int         `json:"recalibrate_days,omitempty"`
}

type weightsDoc struct {
	R float64 `json:"r"`
	F float64 `json:"f"`
	M float64 `json:"m"`
}

type ruleDoc struct {
	Name         string          `json:"name"`
	Points       float64         `json:"points"`
	Condition    json.RawMessage `json:"condition"`
	HalfLifeDays int             `json:"half_life_days,omitempty"`
	Group        string          `json:"group,omitempty"`
}

type groupDoc struct {
	Key string   `json:"key"`
	Min *float64 `json:"min,omitempty"`
	Max *float64 `json:"max,omitempty"`
}

type partDoc struct {
	Score    string   `json:"score"`
	Weight   float64  `json:"weight"`
	Min      *float64 `json:"min,omitempty"`
	Max      *float64 `json:"max,omitempty"`
	Inverted bool     `json:"inverted,omitempty"`
}

func document(kind Kind, p Params) (paramsDoc, error) {
	d := paramsDoc{WindowDays: p.WindowDays, Bands: p.Bands, Family: p.Family, HorizonMonths: p.HorizonMonths, HorizonDays: p.HorizonDays,
		CLVModel: p.CLVModel, HighValueShare: p.HighValueShare, PotentialShare: p.PotentialShare, MinPoints: p.MinPoints,
		MaxPoints: p.MaxPoints, Missing: p.Missing, RecalibrateDays: p.RecalibrateDays}
	if kind == RFM {
		d.Weights = (*weightsDoc)(&p.Weights)
	}
	if kind == CLV || kind == Potential {
		d.DiscountRate = &p.DiscountRate
	}
	for _, r := range p.Rules {
		raw, err := json.Marshal(r.Condition)
		if err != nil {
			return paramsDoc{}, fmt.Errorf("write the condition of rule %s: %w", r.Name, err)
		}
		d.Rules = append(d.Rules, ruleDoc{r.Name, r.Points, raw, r.HalfLifeDays, r.Group})
	}
	for _, g := range p.Groups {
		d.Groups = append(d.Groups, groupDoc(g))
	}
	for _, x := range p.Parts {
		d.Parts = append(d.Parts, partDoc(x))
	}
	return d, nil
}

// readParams reads parameters of a kind; what an older version did not know has its default.
func readParams(kind Kind, raw []byte) (Params, error) {
	var d paramsDoc
	if err := json.Unmarshal(raw, &d); err != nil {
		return Params{}, fmt.Errorf("read the parameters of a score model: %w", err)
	}
	p := Params{WindowDays: d.WindowDays, Bands: d.Bands, Family: d.Family, HorizonMonths: d.HorizonMonths, HorizonDays: d.HorizonDays,
		CLVModel: d.CLVModel, HighValueShare: d.HighValueShare, PotentialShare: d.PotentialShare, MinPoints: d.MinPoints,
		MaxPoints: d.MaxPoints, Missing: d.Missing, RecalibrateDays: d.RecalibrateDays}
	if d.Weights != nil {
		p.Weights = Weights(*d.Weights)
	}
	if d.DiscountRate != nil {
		p.DiscountRate = *d.DiscountRate
	}
	if kind == RFM && p.Bands == 0 {
		p.Bands = rfmBands
	}
	if p.RecalibrateDays == 0 {
		p.RecalibrateDays = recalibrateDays
	}
	for _, r := range d.Rules {
		n, err := filter.ParseJSON(r.Condition)
		if err != nil {
			return Params{}, fmt.Errorf("read the condition of rule %s: %w", r.Name, err)
		}
		p.Rules = append(p.Rules, Rule{r.Name, r.Points, n, r.HalfLifeDays, r.Group})
	}
	for _, g := range d.Groups {
		p.Groups = append(p.Groups, Group(g))
	}
	for _, x := range d.Parts {
		p.Parts = append(p.Parts, Part(x))
	}
	return p, nil
}

func writeParams(kind Kind, p Params) (json.RawMessage, error) {
	d, err := document(kind, p)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("write the parameters of a score model: %w", err)
	}
	return raw, nil
}
