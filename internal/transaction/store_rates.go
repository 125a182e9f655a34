package transaction

import (
	"context"
	"fmt"
	"time"

	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// rateRow is a line of table exchange_rates.
type rateRow struct {
	TenantID  int32      `gorm:"primaryKey"`
	Currency  string     `gorm:"primaryKey"`
	Day       tenant.Day `gorm:"primaryKey"`
	Rate      string
	Version   int64
	CreatedAt time.Time
	UpdatedAt time.Time `gorm:"autoUpdateTime:false"`
}

func (rateRow) TableName() string { return "exchange_rates" }

// rateColumns shows the rate without the zeros that the column's scale adds.
const rateColumns = `tenant_id, currency, day, trim_scale(rate)::text AS rate, version, created_at, updated_at`

func (r rateRow) rate() Rate {
	return Rate{Currency: r.Currency, Day: r.Day, Rate: r.Rate, Version: r.Version, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC()}
}

func lockRate(ctx context.Context, tx postgres.Tx, tenantID int32, currency string, day tenant.Day) (*Rate, error) {
	var r rateRow
	err := tx.Session(ctx).Raw(`SELECT `+rateColumns+` FROM exchange_rates
		WHERE tenant_id = ? AND currency = ? AND day = ? FOR UPDATE`, tenantID, currency, day).Take(&r).Error
	switch {
	case postgres.IsNone(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read the rate of %s: %w", currency, err)
	}
	rate := r.rate()
	return &rate, nil
}

func upsertRate(ctx context.Context, tx postgres.Tx, tenantID int32, currency string, day tenant.Day, rate string, now time.Time) (Rate, error) {
	var r rateRow
	err := tx.Session(ctx).Raw(`INSERT INTO exchange_rates AS e (tenant_id, currency, day, rate, version, created_at, updated_at)
		VALUES (?, ?, ?, ?::numeric, 1, ?, ?)
		ON CONFLICT ON CONSTRAINT exchange_rates_pkey DO UPDATE SET rate = excluded.rate, version = e.version + 1, updated_at = excluded.updated_at
		RETURNING `+rateColumns, tenantID, currency, day, rate, now, now).Take(&r).Error
	if err != nil {
		return Rate{}, fmt.Errorf("set the rate of %s: %w", currency, err)
	}
	return r.rate(), nil
}

func listRates(ctx context.Context, q postgres.Querier, tenantID int32, currency string, req page.Request) (page.Of[Rate], error) {
	db := q.Session(ctx).Table("exchange_rates").Select(rateColumns).Where("tenant_id = ?", tenantID).
		Order("currency, day DESC").Limit(req.Limit + 1)
	if currency != "" {
		db = db.Where("currency = ?", currency)
	}
	if a := req.After; a != nil {
		if len(a) != 2 {
			return page.Of[Rate]{}, page.ErrCursor
		}
		db = db.Where("(currency > ? OR (currency = ? AND day < ?::date))", a[0], a[0], a[1])
	}
	var rows []rateRow
	if err := db.Find(&rows).Error; err != nil {
		return page.Of[Rate]{}, fmt.Errorf("list exchange rates: %w", err)
	}
	return page.Cut(rows, req.Limit, func(r rateRow) page.Key { return page.Key{r.Currency, r.Day.String()} }, rateRow.rate), nil
}
