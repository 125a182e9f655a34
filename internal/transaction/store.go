package transaction

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// row is a line of table transactions; nothing outside this file sees it.
type row struct {
	TenantID   int32     `gorm:"primaryKey"`
	CustomerID uuid.UUID `gorm:"primaryKey"`
	ID         uuid.UUID `gorm:"primaryKey"`
	Version    int64
	Source     string
	ExternalID *string
	Status     string
	OccurredAt time.Time
	DateOnly   bool
	Day        tenant.Day
	Amount     int64
	Currency   string
	BaseAmount int64
	Units      *int
	Channel    *string
	CreatedAt  time.Time
	UpdatedAt  time.Time `gorm:"autoUpdateTime:false"`
}

func (row) TableName() string { return "transactions" }

func toRow(t tenant.Tenant, x Transaction) row {
	r := row{TenantID: t.ID, CustomerID: x.CustomerID, ID: x.ID, Version: x.Version, Source: x.Source, Status: string(x.Status),
		OccurredAt: x.OccurredAt, DateOnly: x.DateOnly, Day: x.Day, Amount: x.Amount.Minor, Currency: x.Amount.Currency,
		BaseAmount: x.Base.Minor, Units: x.Units, CreatedAt: x.CreatedAt, UpdatedAt: x.UpdatedAt}
	if x.ExternalID != "" {
		r.ExternalID = &x.ExternalID
	}
	if x.Channel != "" {
		r.Channel = &x.Channel
	}
	return r
}

func (r row) transaction(t tenant.Tenant) Transaction {
	x := Transaction{ID: r.ID, Version: r.Version, CustomerID: r.CustomerID, Source: r.Source, Status: Status(r.Status),
		OccurredAt: r.OccurredAt.UTC(), DateOnly: r.DateOnly, Day: r.Day, Amount: money.Money{Minor: r.Amount, Currency: r.Currency},
		Base: money.Money{Minor: r.BaseAmount, Currency: t.Currency}, Units: r.Units, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC()}
	if r.ExternalID != nil {
		x.ExternalID = *r.ExternalID
	}
	if r.Channel != nil {
		x.Channel = *r.Channel
	}
	return x
}

func insert(ctx context.Context, q postgres.Querier, t tenant.Tenant, x Transaction) error {
	if x.ExternalID != "" {
		_, err := q.Exec(ctx, `INSERT INTO transaction_keys (tenant_id, source, key, customer_id, transaction_id)
			VALUES ($1, $2, $3, $4, $5)`, t.ID, x.Source, x.ExternalID, x.CustomerID, x.ID)
		switch {
		case postgres.Violates(err, "transaction_keys_pkey"): // the constraint decides, not a prior SELECT
			return ErrTaken
		case err != nil:
			return fmt.Errorf("claim the key of transaction %s: %w", x.ID, err)
		}
	}
	r := toRow(t, x)
	if err := q.Session(ctx).Create(&r).Error; err != nil {
		return fmt.Errorf("insert transaction %s: %w", x.ID, err)
	}
	return nil
}

func update(ctx context.Context, q postgres.Querier, t tenant.Tenant, x Transaction) error {
	res := q.Session(ctx).Model(&row{}).
		Where("tenant_id = ? AND customer_id = ? AND id = ? AND version = ?", t.ID, x.CustomerID, x.ID, x.Version-1).
		Select("version", "status", "occurred_at", "date_only", "day", "amount", "currency", "base_amount", "units", "channel", "updated_at").
		Updates(toRow(t, x))
	switch {
	case res.Error != nil:
		return fmt.Errorf("update transaction %s: %w", x.ID, res.Error)
	case res.RowsAffected != 1:
		return fmt.Errorf("update transaction %s: %d rows had its version", x.ID, res.RowsAffected)
	}
	return nil
}

func get(ctx context.Context, q postgres.Querier, t tenant.Tenant, id uuid.UUID) (Transaction, error) {
	var r row
	err := q.Session(ctx).Where("tenant_id = ? AND id = ?", t.ID, id).Take(&r).Error
	switch {
	case postgres.IsNone(err):
		return Transaction{}, ErrNotFound
	case err != nil:
		return Transaction{}, fmt.Errorf("read transaction %s: %w", id, err)
	}
	return r.transaction(t), nil
}

// customerVersion is the version of a customer that the caller holds.
func customerVersion(ctx context.Context, tx postgres.Tx, tenantID int32, id uuid.UUID) (int64, error) {
	var version int64
	err := tx.QueryRow(ctx, `SELECT version FROM customers WHERE tenant_id = $1 AND id = $2`, tenantID, id).Scan(&version)
	if err != nil {
		return 0, fmt.Errorf("read the version of customer %s: %w", id, err)
	}
	return version, nil
}

func list(ctx context.Context, q postgres.Querier, t tenant.Tenant, query Query) (page.Of[Transaction], error) {
	db := q.Session(ctx).Where("tenant_id = ?", t.ID).Order("occurred_at DESC, id DESC").Limit(query.Page.Limit + 1)
	if query.CustomerID != nil {
		db = db.Where("customer_id = ?", *query.CustomerID)
	}
	if len(query.Status) > 0 {
		db = db.Where("status IN ?", query.Status)
	}
	// The day decides; the bounds of the instant are there for the index, which is in its order. They leave a day more
	// on either side, because where the clock goes back over midnight a day's last instants come after the next one began.
	if query.From != nil {
		db = db.Where("day >= ? AND occurred_at >= ?", *query.From, query.From.Start(t.Zone).AddDate(0, 0, -1))
	}
	if query.Until != nil {
		db = db.Where("day <= ? AND occurred_at < ?", *query.Until, query.Until.Start(t.Zone).AddDate(0, 0, 2))
	}
	if after := query.Page.After; after != nil {
		if len(after) != 2 {
			return page.Of[Transaction]{}, page.ErrCursor
		}
		db = db.Where("(occurred_at, id) < (?::timestamptz, ?::uuid)", after[0], after[1])
	}
	var rows []row
	if err := db.Find(&rows).Error; err != nil {
		return page.Of[Transaction]{}, fmt.Errorf("list transactions: %w", err)
	}
	return page.Cut(rows, query.Page.Limit,
		func(r row) page.Key { return page.Key{r.OccurredAt.UTC().Format(time.RFC3339Nano), r.ID.String()} },
		func(r row) Transaction { return r.transaction(t) }), nil
}
