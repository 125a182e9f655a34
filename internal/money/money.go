// Package money is exact amounts: minor units and an ISO 4217 currency.
package money

import (
	"math/big"
	"strconv"
	"strings"

	"github.com/bojanz/currency"

	"github.com/kezi-io/kezi/internal/fault"
)

// Money is an amount in minor units: cents, fen, or whole yen where the currency has no smaller unit.
type Money struct {
	Minor    int64
	Currency string // ISO 4217
}

// What can be wrong with money, as codes and texts for fault.Field.
var (
	UnknownCurrency = fault.T("not an ISO 4217 currency code, such as CNY or USD", "不是 ISO 4217 货币代码，例如 CNY 或 USD")
	NotDecimal      = fault.T("not a decimal amount, such as 129.90", "不是十进制金额，例如 129.90")
	TooLarge        = fault.T("more than 10000000000000 minor units: 100000000000.00 in a currency with two decimal places",
		"超过 10000000000000 个最小货币单位：两位小数的货币为 100000000000.00")
	BaseTooLarge = fault.T("in the base currency it would be more than 10000000000000 minor units: 100000000000.00 with two decimal places",
		"折算为本位币后超过 10000000000000 个最小货币单位：两位小数时为 100000000000.00")
)

// MaxMinor bounds an amount, as it was paid and in the base currency: 100 billion in a currency with two decimal places.
// The sum of 900,000 purchases of that size still fits 64 bits.
const MaxMinor = 10_000_000_000_000

// Known reports whether code is an ISO 4217 currency.
func Known(code string) bool { return currency.IsValid(code) }

// Digits is how many decimal places the currency has.
func Digits(code string) int {
	d, ok := currency.GetDigits(code)
	if !ok {
		return 2
	}
	return int(d)
}

// Parse reads a decimal amount. The second result names what is wrong, and is empty when nothing is.
func Parse(amount, code string) (m Money, wrong string, detail fault.Text) {
	if !Known(code) {
		return m, "currency_unknown", UnknownCurrency
	}
	digits := Digits(code)
	whole, fraction, hasPoint := strings.Cut(amount, ".")
	negative := strings.HasPrefix(whole, "-")
	whole = strings.TrimPrefix(whole, "-")
	if !allDigits(whole) || (hasPoint && !allDigits(fraction)) {
		return m, "bad_amount", NotDecimal
	}
	fraction = strings.TrimRight(fraction, "0")
	if len(fraction) > digits {
		return m, "too_precise", fault.T(
			"more decimal places than the currency has: "+code+" has "+strconv.Itoa(digits), "小数位数超过该货币的最小单位："+code+" 为 "+strconv.Itoa(digits)+" 位")
	}
	minor, err := strconv.ParseInt(whole+fraction+strings.Repeat("0", digits-len(fraction)), 10, 64)
	if err != nil || minor > MaxMinor {
		return m, "amount_too_large", TooLarge
	}
	if negative {
		minor = -minor
	}
	return Money{Minor: minor, Currency: code}, "", fault.Text{}
}

func allDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// Decimal is the amount in major units with exactly the currency's places: 129.90.
func (m Money) Decimal() string {
	digits := Digits(m.Currency)
	s := strconv.FormatInt(m.Minor, 10)
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	if digits == 0 {
		return sign + s
	}
	if pad := digits + 1 - len(s); pad > 0 {
		s = strings.Repeat("0", pad) + s
	}
	return sign + s[:len(s)-digits] + "." + s[len(s)-digits:]
}

// Convert is m in another currency of which one unit of m's is worth rate; rounded half away from zero. ok is false
// when the result is beyond MaxMinor.
func (m Money) Convert(to string, rate *big.Rat) (converted Money, ok bool) {
	if m.Currency == to {
		return m, true
	}
	r := new(big.Rat).SetFrac(big.NewInt(m.Minor), scale(m.Currency))
	r.Mul(r, rate).Mul(r, new(big.Rat).SetInt(scale(to)))
	minor, err := strconv.ParseInt(r.FloatString(0), 10, 64) // FloatString rounds half away from zero
	if err != nil || minor > MaxMinor || minor < -MaxMinor {
		return Money{}, false
	}
	return Money{Minor: minor, Currency: to}, true
}

func scale(code string) *big.Int {
	return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(Digits(code))), nil)
}
