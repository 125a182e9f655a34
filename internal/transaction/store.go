package transaction

import (
	"bytes"
	"context"
	"encoding/json"
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
	TenantID       int32     `gorm:"primaryKey"`
	CustomerID     uuid.UUID `gorm:"primaryKey"`
	ID             uuid.UUID `gorm:"primaryKey"`
	Version        int64
	Source         string
	ExternalID     *string
	Status         string
	OccurredAt     time.Time
	DateOnly       bool
	Day            tenant.Day
	Amount         int64
	Currency       string
	BaseAmount     int64
	Discount       int64
	Shipping       int64
	Units          *int
	PaymentMethod  *string
	Channel        *string
	Store          *string
	Carrier        *string
	TrackingNumber *string
	ShippedAt      *time.Time
	DeliveredAt    *time.Time
	Attributes     []byte `gorm:"type:jsonb"`
	Items          int
	Returns        int
	Returned       int64
	BaseReturned   int64
	CreatedBy      *string
	CreatedAt      time.Time
	UpdatedAt      time.Time `gorm:"autoUpdateTime:false"`
}

func (row) TableName() string { return "transactions" }

func toRow(t tenant.Tenant, x Transaction) (row, error) {
	attributes, err := json.Marshal(x.Attributes)
	if err != nil {
		return row{}, fmt.Errorf("write the attributes of transaction %s: %w", x.ID, err)
	}
	return row{TenantID: t.ID, CustomerID: x.CustomerID, ID: x.ID, Version: x.Version, Source: x.Source, ExternalID: postgres.Null(x.ExternalID),
		Status: string(x.Status), OccurredAt: x.OccurredAt, DateOnly: x.DateOnly, Day: x.Day, Amount: x.Amount.Minor,
		Currency: x.Amount.Currency, BaseAmount: x.Base.Minor, Discount: x.Discount, Shipping: x.Shipping, Units: x.Units,
		PaymentMethod: postgres.Null(string(x.PaymentMethod)), Channel: postgres.Null(x.Channel), Store: postgres.Null(x.Store),
		Carrier: postgres.Null(x.Delivery.Carrier), TrackingNumber: postgres.Null(x.Delivery.TrackingNumber), ShippedAt: x.Delivery.ShippedAt,
		DeliveredAt: x.Delivery.DeliveredAt, Attributes: attributes, Items: x.Lines, Returns: x.Returns, Returned: x.Returned,
		BaseReturned: x.BaseReturned, CreatedBy: postgres.Null(x.CreatedBy), CreatedAt: x.CreatedAt, UpdatedAt: x.UpdatedAt}, nil
}

func (r row) transaction(t tenant.Tenant) (Transaction, error) {
	x := Transaction{ID: r.ID, Version: r.Version, CustomerID: r.CustomerID, Source: r.Source, ExternalID: postgres.Value(r.ExternalID),
		Status: Status(r.Status), OccurredAt: r.OccurredAt.UTC(), DateOnly: r.DateOnly, Day: r.Day,
		Amount: money.Money{Minor: r.Amount, Currency: r.Currency}, Base: money.Money{Minor: r.BaseAmount, Currency: t.Currency},
		Discount: r.Discount, Shipping: r.Shipping, Units: r.Units, PaymentMethod: Method(postgres.Value(r.PaymentMethod)),
		Channel: postgres.Value(r.Channel), Store: postgres.Value(r.Store), Delivery: Delivery{Carrier: postgres.Value(r.Carrier),
			TrackingNumber: postgres.Value(r.TrackingNumber), ShippedAt: postgres.UTC(r.ShippedAt), DeliveredAt: postgres.UTC(r.DeliveredAt)},
		Lines: r.Items, Returns: r.Returns, Returned: r.Returned, BaseReturned: r.BaseReturned, CreatedBy: postgres.Value(r.CreatedBy),
		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC()}
	numbers := json.NewDecoder(bytes.NewReader(r.Attributes))
	numbers.UseNumber() // none loses digits
	if err := numbers.Decode(&x.Attributes); err != nil {
		return Transaction{}, fmt.Errorf("read the attributes of transaction %s: %w", r.ID, err)
	}
	return x, nil
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
	r, err := toRow(t, x)
	if err != nil {
		return err
	}
	if err := q.Session(ctx).Create(&r).Error; err != nil {
		return fmt.Errorf("insert transaction %s: %w", x.ID, err)
	}
	return nil
}

func update(ctx context.Context, q postgres.Querier, t tenant.Tenant, x Transaction) error {
	r, err := toRow(t, x)
	if err != nil {
		return err
	}
	res := q.Session(ctx).Model(&row{}).
		Where("tenant_id = ? AND customer_id = ? AND id = ? AND version = ?", t.ID, x.CustomerID, x.ID, x.Version-1).
		Select("version", "status", "occurred_at", "date_only", "day", "amount", "currency", "base_amount", "discount", "shipping",
			"units", "payment_method", "channel", "store", "carrier", "tracking_number", "shipped_at", "delivered_at", "attributes",
			"items", "returns", "returned", "base_returned", "updated_at").
		Updates(r)
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
	return r.transaction(t)
}

func list(ctx context.Context, q postgres.Querier, t tenant.Tenant, query Query) (page.Of[Transaction], error) {
	db := q.Session(ctx).Where("tenant_id = ?", t.ID).Limit(query.Page.Limit + 1)
	if query.CustomerID != nil {
		db = db.Where("customer_id = ?", *query.CustomerID)
	}
	if len(query.Status) > 0 {
		db = db.Where("status IN ?", query.Status)
	}
	if len(query.PaymentMethods) > 0 {
		db = db.Where("payment_method IN ?", query.PaymentMethods)
	}
	if query.Channel != "" {
		db = db.Where("channel = ?", query.Channel)
	}
	if query.Store != "" {
		db = db.Where("store = ?", query.Store)
	}
	const some = `EXISTS (SELECT FROM transaction_items i WHERE i.tenant_id = transactions.tenant_id
		AND i.customer_id = transactions.customer_id AND i.transaction_id = transactions.id AND `
	if query.ProductID != nil {
		db = db.Where(some+"i.product_id = ?)", *query.ProductID)
	}
	if query.SKU != "" {
		db = db.Where(some+"i.sku = ?)", query.SKU)
	}
	if query.AtLeast != nil {
		db = db.Where("base_amount >= ?", *query.AtLeast)
	}
	if query.AtMost != nil {
		db = db.Where("base_amount <= ?", *query.AtMost)
	}
	// The day decides; the bounds of the instant are there for the index, which is in its order. They leave a day more
	// on either side, because where the clock goes back over midnight a day's last instants come after the next one began.
	if query.From != nil {
		db = db.Where("day >= ? AND occurred_at >= ?", *query.From, query.From.Start(t.Zone).AddDate(0, 0, -1))
	}
	if query.Until != nil {
		db = db.Where("day <= ? AND occurred_at < ?", *query.Until, query.Until.Start(t.Zone).AddDate(0, 0, 2))
	}
	order, beyond := "occurred_at DESC, id DESC", "<"
	if query.Up {
		order, beyond = "occurred_at, id", ">"
	}
	if after := query.Page.After; after != nil {
		if len(after) != 2 {
			return page.Of[Transaction]{}, page.ErrCursor
		}
		db = db.Where("(occurred_at, id) "+beyond+" (?::timestamptz, ?::uuid)", after[0], after[1])
	}
	var rows []row
	if err := db.Order(order).Find(&rows).Error; err != nil {
		return page.Of[Transaction]{}, fmt.Errorf("list transactions: %w", err)
	}
	var broken error
	p := page.Cut(rows, query.Page.Limit,
		func(r row) page.Key { return page.Key{r.OccurredAt.UTC().Format(time.RFC3339Nano), r.ID.String()} },
		func(r row) Transaction {
			x, err := r.transaction(t)
			if err != nil {
				broken = err
			}
			return x
		})
	return p, broken
}
