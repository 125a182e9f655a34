package tenant

import (
	"context"
	"fmt"
	"math/big"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/postgres"
)

// NoRateToday says what is wrong with an amount that is converted as it is written.
var NoRateToday = fault.T("there is no exchange rate for this currency on or before today; set one under /v1/exchange-rates",
	"该货币没有今日或更早的汇率，请先在 /v1/exchange-rates 设置")

// RateOn is the latest rate of a currency to the tenant's base currency on or before day, or nil when there is none.
func RateOn(ctx context.Context, q postgres.Querier, tenantID int32, currency string, day Day) (*big.Rat, error) {
	var text string
	err := q.QueryRow(ctx, `SELECT rate::text FROM exchange_rates
		WHERE tenant_id = $1 AND currency = $2 AND day <= $3 ORDER BY day DESC LIMIT 1`, tenantID, currency, day.Time).Scan(&text)
	switch {
	case postgres.IsNone(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read the rate of %s: %w", currency, err)
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return nil, fmt.Errorf("the stored rate of %s is no number", currency)
	}
	return r, nil
}
