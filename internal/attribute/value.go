package attribute

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/tenant"
)

// wrong is what is wrong with a value.
type wrong struct {
	member   string // below the value
	code     string
	detail   fault.Text
	accepted []string
}

var (
	badNumber = fault.T("expected a number with at most 20 digits before the point and 18 after it, such as 12.5",
		"应为数字，小数点前最多 20 位、后最多 18 位，例如 12.5")
	badDay   = fault.T("expected a day between 1900 and 2200, such as 2026-01-31", "应为 1900 年至 2200 年之间的日期，例如 2026-01-31")
	badMoney = fault.T(`expected an amount with its currency, such as {"amount": "12.50", "currency": "CNY"}`,
		`应为金额与币种，例如 {"amount": "12.50", "currency": "CNY"}`)
)

// world is what the check of a value has to know beside its definition.
type world struct {
	base      string                  // the tenant's base currency
	rates     map[string]*big.Rat     // today's; nil for a currency without one
	customers map[uuid.UUID]uuid.UUID // those asked for that exist, with their survivors
}

// canonical is the value as it is stored, or what is wrong with it. old is the stored value, or nil: an archived choice
// may stay where it is.
func (d *Definition) canonical(raw, old json.RawMessage, w *world) (json.RawMessage, *wrong) {
	switch d.Type {
	case Text:
		return d.text(raw)
	case Number:
		return d.number(raw)
	case Money:
		return d.money(raw, w)
	case Date:
		return d.date(raw)
	case Boolean:
		if s := string(bytes.TrimSpace(raw)); s == "true" || s == "false" {
			return json.RawMessage(s), nil
		}
		return nil, &wrong{code: "bad_boolean", detail: fault.T("expected true or false", "应为 true 或 false"), accepted: []string{"true", "false"}}
	case Choice:
		return d.choice(raw, old)
	case MultiChoice:
		return d.choices(raw, old)
	}
	return d.reference(raw, w)
}

func (d *Definition) text(raw json.RawMessage) (json.RawMessage, *wrong) {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return nil, &wrong{code: "bad_text", detail: fault.T("expected text", "应为文本")}
	}
	s = strings.TrimSpace(s)
	n := utf8.RuneCountInString(s)
	low, high := max(d.Validation.MinLength, 1), MaxText
	if d.Validation.MaxLength > 0 {
		high = d.Validation.MaxLength
	}
	switch {
	case strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r' }):
		return nil, &wrong{code: "bad_text", detail: fault.T("text without control characters", "文本不能含控制字符")}
	case n < low || n > high:
		return nil, &wrong{code: "bad_length", detail: fault.T(fmt.Sprintf("expected %d to %d characters; null clears", low, high),
			fmt.Sprintf("应为 %d 到 %d 个字符；清空请用 null", low, high))}
	case d.Validation.Pattern != "" && !d.matches(s):
		return nil, &wrong{code: "pattern", detail: fault.T("expected text that matches "+d.Validation.Pattern, "应符合格式 "+d.Validation.Pattern)}
	}
	return quote(s), nil
}

func quote(s string) json.RawMessage {
	raw, _ := json.Marshal(s) // a string always marshals
	return raw
}

var numberForm = regexp.MustCompile(`^[+-]?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,2})?$`)

// parseNumber reads a decimal number exactly, in the form of JSON or as people write it.
func parseNumber(s string) (*big.Rat, bool) {
	if !numberForm.MatchString(s) {
		return nil, false
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return nil, false
	}
	exact, _ := new(big.Rat).SetString(r.FloatString(18))
	whole := new(big.Int).Quo(r.Num(), r.Denom())
	return r, exact.Cmp(r) == 0 && len(strings.TrimPrefix(whole.String(), "-")) <= 20
}

// plain are the digits of a number, without zeros that say nothing.
func plain(r *big.Rat) string {
	s := strings.TrimRight(strings.TrimRight(r.FloatString(18), "0"), ".")
	if s == "-0" {
		return "0"
	}
	return s
}

func (d *Definition) number(raw json.RawMessage) (json.RawMessage, *wrong) {
	s := string(bytes.TrimSpace(raw))
	if strings.HasPrefix(s, `"`) && json.Unmarshal(raw, &s) != nil {
		s = ""
	}
	n, ok := parseNumber(s)
	if !ok {
		return nil, &wrong{code: "bad_number", detail: badNumber}
	}
	if d.Validation.Min != "" || d.Validation.Max != "" {
		low, _ := parseNumber(d.Validation.Min)
		high, _ := parseNumber(d.Validation.Max)
		if (low != nil && n.Cmp(low) < 0) || (high != nil && n.Cmp(high) > 0) {
			return nil, d.outside(d.Validation.Min, d.Validation.Max)
		}
	}
	return json.RawMessage(plain(n)), nil
}

func (d *Definition) outside(low, high string) *wrong {
	switch {
	case low == "":
		return &wrong{code: "out_of_range", detail: fault.T("expected at most "+high, "不能大于 "+high)}
	case high == "":
		return &wrong{code: "out_of_range", detail: fault.T("expected at least "+low, "不能小于 "+low)}
	}
	return &wrong{code: "out_of_range", detail: fault.T("expected "+low+" to "+high, "应在 "+low+" 到 "+high+" 之间")}
}

// amount is money as it is stored. Base is the amount in minor units of the tenant's base currency by the rate of the
// day on which the value was written; answers leave it away.
type amount struct {
	Amount   string `json:"amount"`
	Currency string `json:"currency"`
	Base     int64  `json:"base"`
}

// readAmount reads money as callers write it.
func readAmount(raw json.RawMessage) (amount, bool) {
	var a struct{ Amount, Currency *string }
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if dec.Decode(&a) != nil || a.Amount == nil || a.Currency == nil {
		return amount{}, false
	}
	return amount{Amount: *a.Amount, Currency: *a.Currency}, true
}

func (d *Definition) money(raw json.RawMessage, w *world) (json.RawMessage, *wrong) {
	a, ok := readAmount(raw)
	if !ok {
		return nil, &wrong{code: "bad_money", detail: badMoney}
	}
	m, code, detail := money.Parse(a.Amount, a.Currency)
	switch {
	case code == "currency_unknown":
		return nil, &wrong{member: "/currency", code: code, detail: detail}
	case code != "":
		return nil, &wrong{member: "/amount", code: code, detail: detail}
	case d.Unit != "" && a.Currency != d.Unit:
		return nil, &wrong{member: "/currency", code: "currency_not_allowed", detail: fault.T("expected "+d.Unit, "应为 "+d.Unit), accepted: []string{d.Unit}}
	}
	base := m
	if m.Currency != w.base {
		rate := w.rates[m.Currency]
		if rate == nil {
			return nil, &wrong{member: "/currency", code: "rate_missing", detail: tenant.NoRateToday}
		}
		if base, ok = m.Convert(w.base, rate); !ok {
			return nil, &wrong{member: "/amount", code: "amount_too_large", detail: money.BaseTooLarge}
		}
	}
	low, none, _ := money.Parse(d.Validation.Min, w.base)
	if none == "" && base.Minor < low.Minor {
		return nil, d.outside(withCurrency(d.Validation.Min, w.base), withCurrency(d.Validation.Max, w.base))
	}
	high, none, _ := money.Parse(d.Validation.Max, w.base)
	if none == "" && base.Minor > high.Minor {
		return nil, d.outside(withCurrency(d.Validation.Min, w.base), withCurrency(d.Validation.Max, w.base))
	}
	out, _ := json.Marshal(amount{m.Decimal(), m.Currency, base.Minor}) // plain values always marshal
	return out, nil
}

func withCurrency(bound, currency string) string {
	if bound == "" {
		return ""
	}
	return bound + " " + currency
}

func (d *Definition) date(raw json.RawMessage) (json.RawMessage, *wrong) {
	var s string
	err := json.Unmarshal(raw, &s)
	day, bad := tenant.ParseDay(s)
	if err != nil || bad != nil || !day.Plausible() {
		return nil, &wrong{code: "bad_date", detail: badDay}
	}
	s = day.String() // days in this form are in the order of their texts
	if (d.Validation.Min != "" && s < d.Validation.Min) || (d.Validation.Max != "" && s > d.Validation.Max) {
		return nil, d.outside(d.Validation.Min, d.Validation.Max)
	}
	return quote(s), nil
}

func (d *Definition) unknownChoice() *wrong {
	keys := d.open()
	return &wrong{code: "unknown_choice", detail: fault.T("expected the key of one of the field's choices that is not archived", "应为该字段未归档选项的键"),
		accepted: keys[:min(len(keys), 20)]}
}

func (d *Definition) choice(raw, old json.RawMessage) (json.RawMessage, *wrong) {
	var key, before string
	if json.Unmarshal(raw, &key) != nil {
		return nil, d.unknownChoice()
	}
	_ = json.Unmarshal(old, &before) // of another type: not the same
	o := d.option(key)
	if o == nil || (o.Archived && key != before) {
		return nil, d.unknownChoice()
	}
	return quote(key), nil
}

func (d *Definition) choices(raw, old json.RawMessage) (json.RawMessage, *wrong) {
	var keys, before []string
	if json.Unmarshal(raw, &keys) != nil || keys == nil {
		return nil, &wrong{code: "bad_choices", detail: fault.T("expected an array of the keys of choices", "应为选项键的数组")}
	}
	_ = json.Unmarshal(old, &before)
	for i, key := range keys {
		o := d.option(key)
		if o == nil || (o.Archived && !slices.Contains(before, key)) {
			w := d.unknownChoice()
			w.member = "/" + strconv.Itoa(i)
			return nil, w
		}
	}
	canonical := []string{}
	for _, o := range d.Choices { // a set, told in the order of the definition
		if slices.Contains(keys, o.Key) {
			canonical = append(canonical, o.Key)
		}
	}
	low, high := max(d.Validation.MinLength, 1), len(d.Choices)
	if d.Validation.MaxLength > 0 {
		high = min(high, d.Validation.MaxLength)
	}
	if len(canonical) < low || len(canonical) > high {
		return nil, &wrong{code: "bad_length", detail: fault.T(fmt.Sprintf("expected %d to %d choices; null clears", low, high),
			fmt.Sprintf("应选择 %d 到 %d 项；清空请用 null", low, high))}
	}
	out, _ := json.Marshal(canonical) // strings always marshal
	return out, nil
}

func readReference(raw json.RawMessage) (uuid.UUID, bool) {
	var s string
	if json.Unmarshal(raw, &s) != nil || len(s) != 36 {
		return uuid.Nil, false
	}
	id, err := uuid.Parse(s)
	return id, err == nil
}

func (d *Definition) reference(raw json.RawMessage, w *world) (json.RawMessage, *wrong) {
	id, ok := readReference(raw)
	if !ok {
		return nil, &wrong{code: "bad_reference", detail: fault.T("expected the id of a customer", "应为客户编号")}
	}
	survivor, ok := w.customers[id]
	if !ok {
		return nil, &wrong{code: "customer_not_found", detail: fault.T("there is no customer with this id", "没有此编号的客户")}
	}
	return quote(survivor.String()), nil
}

// same reports whether two values say the same, however they are written: an amount does whatever it was worth in the
// base currency.
func same(a, b json.RawMessage) bool {
	if null(a) || null(b) {
		return null(a) && null(b)
	}
	return reflect.DeepEqual(decoded(a), decoded(b))
}

func decoded(raw json.RawMessage) any {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return raw
	}
	if m, ok := v.(map[string]any); ok {
		delete(m, "base")
	}
	return v
}
