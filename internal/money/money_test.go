package money_test

import (
	"math/big"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/money"
)

func TestParseAndDecimal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		amount, currency string
		minor            int64
		wrong, decimal   string
	}{
		{"129.90", "CNY", 12990, "", "129.90"},
		{"129.9", "CNY", 12990, "", "129.90"},
		{"0", "CNY", 0, "", "0.00"},
		{"0.05", "CNY", 5, "", "0.05"},
		{"-0.05", "CNY", -5, "", "-0.05"},
		{"-12", "CNY", -1200, "", "-12.00"},
		{"1200", "JPY", 1200, "", "1200"},
		{"1.234", "KWD", 1234, "", "1.234"},
		{"1.000", "CNY", 100, "", "1.00"},
		{"1.001", "CNY", 0, "too_precise", ""},
		{"1.5", "JPY", 0, "too_precise", ""},
		{"1", "XYZ", 0, "currency_unknown", ""},
		{"", "CNY", 0, "bad_amount", ""},
		{".5", "CNY", 0, "bad_amount", ""},
		{"5.", "CNY", 0, "bad_amount", ""},
		{"1e3", "CNY", 0, "bad_amount", ""},
		{"--1", "CNY", 0, "bad_amount", ""},
		{"100000000000", "CNY", money.MaxMinor, "", "100000000000.00"},
		{"100000000000.01", "CNY", 0, "amount_too_large", ""},
		{"10000000000001", "JPY", 0, "amount_too_large", ""},
		{"99999999999999999999", "CNY", 0, "amount_too_large", ""},
	} {
		m, wrong, detail := money.Parse(c.amount, c.currency)
		require.Equal(t, c.wrong, wrong, c.amount)
		if wrong != "" {
			require.NotEmpty(t, detail.Zh)
			continue
		}
		require.Equal(t, c.minor, m.Minor, c.amount)
		require.Equal(t, c.decimal, m.Decimal())
	}
}

func TestTheLimitIsNamedAndItsSumsFit(t *testing.T) {
	t.Parallel()
	require.Positive(t, int64(900_000*money.MaxMinor))
	for _, text := range []fault.Text{money.TooLarge, money.BaseTooLarge} {
		require.Contains(t, text.En, strconv.Itoa(money.MaxMinor))
		require.Contains(t, text.Zh, strconv.Itoa(money.MaxMinor))
	}
}

func TestConvertRoundsHalfAwayFromZero(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		minor    int64
		from, to string
		rate     string
		want     int64
		ok       bool
	}{
		{1001, "USD", "CNY", "7.1", 7107, true}, // 71.071
		{1, "USD", "CNY", "0.5", 1, true},       // 0.005
		{-1, "USD", "CNY", "0.5", -1, true},     //
		{100, "USD", "JPY", "150.5", 151, true}, // 150.5
		{151, "JPY", "USD", "0.01", 151, true},  // 1.51
		{100, "CNY", "CNY", "9", 100, true},     // its own
		{money.MaxMinor, "USD", "CNY", "7", 0, false},
	} {
		rate, ok := new(big.Rat).SetString(c.rate)
		require.True(t, ok)
		got, ok := money.Money{Minor: c.minor, Currency: c.from}.Convert(c.to, rate)
		require.Equal(t, c.ok, ok)
		if ok {
			require.Equal(t, money.Money{Minor: c.want, Currency: c.to}, got)
		}
	}
}
