package transaction

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// paymentRow is a line of table transaction_payments.
type paymentRow struct {
	TenantID      int32     `gorm:"primaryKey"`
	CustomerID    uuid.UUID `gorm:"primaryKey"`
	ID            uuid.UUID `gorm:"primaryKey"`
	TransactionID uuid.UUID
	Version       int64
	DueOn         tenant.Day
	Due           int64
	PaidOn        *tenant.Day
	Paid          int64
	Currency      string
	BaseOpen      int64
	Method        *string
	Reference     *string
	CreatedAt     time.Time
	UpdatedAt     time.Time `gorm:"autoUpdateTime:false"`
}

func (paymentRow) TableName() string { return "transaction_payments" }

func toPaymentRow(tenantID int32, p Payment) paymentRow {
	return paymentRow{TenantID: tenantID, CustomerID: p.CustomerID, ID: p.ID, TransactionID: p.TransactionID, Version: p.Version,
		DueOn: p.DueOn, Due: p.Due.Minor, PaidOn: p.PaidOn, Paid: p.Paid.Minor, Currency: p.Due.Currency, BaseOpen: p.Open.Minor,
		Method: postgres.Null(string(p.Method)), Reference: postgres.Null(p.Reference), CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt}
}

func (r paymentRow) payment(base string) Payment {
	return Payment{ID: r.ID, Version: r.Version, CustomerID: r.CustomerID, TransactionID: r.TransactionID, DueOn: r.DueOn,
		Due: money.Money{Minor: r.Due, Currency: r.Currency}, PaidOn: r.PaidOn, Paid: money.Money{Minor: r.Paid, Currency: r.Currency},
		Open: money.Money{Minor: r.BaseOpen, Currency: base}, Method: Method(postgres.Value(r.Method)), Reference: postgres.Value(r.Reference),
		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC()}
}

// paymentsOf are the payments of one customer.
func paymentsOf(ctx context.Context, q postgres.Querier, tenantID int32, customer uuid.UUID) *gorm.DB {
	return q.Session(ctx).Where("tenant_id = ? AND customer_id = ?", tenantID, customer)
}

func payments(ctx context.Context, q postgres.Querier, t tenant.Tenant, of Transaction) ([]Payment, error) {
	var rows []paymentRow
	err := paymentsOf(ctx, q, t.ID, of.CustomerID).Where("transaction_id = ?", of.ID).Order("due_on, id").Find(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("list the payments of transaction %s: %w", of.ID, err)
	}
	all := make([]Payment, len(rows))
	for i, r := range rows {
		all[i] = r.payment(t.Currency)
	}
	return all, nil
}

func countPayments(ctx context.Context, q postgres.Querier, tenantID int32, of Transaction) (n int64, err error) {
	err = paymentsOf(ctx, q, tenantID, of.CustomerID).Model(&paymentRow{}).Where("transaction_id = ?", of.ID).Count(&n).Error
	if err != nil {
		return 0, fmt.Errorf("count the payments of transaction %s: %w", of.ID, err)
	}
	return n, nil
}

func getPayment(ctx context.Context, q postgres.Querier, t tenant.Tenant, of Transaction, id uuid.UUID) (Payment, error) {
	var r paymentRow
	err := paymentsOf(ctx, q, t.ID, of.CustomerID).Where("id = ? AND transaction_id = ?", id, of.ID).Take(&r).Error
	switch {
	case postgres.IsNone(err):
		return Payment{}, ErrPaymentNotFound
	case err != nil:
		return Payment{}, fmt.Errorf("read payment %s: %w", id, err)
	}
	return r.payment(t.Currency), nil
}

func insertPayment(ctx context.Context, q postgres.Querier, tenantID int32, p Payment) error {
	r := toPaymentRow(tenantID, p)
	if err := q.Session(ctx).Create(&r).Error; err != nil {
		return fmt.Errorf("insert payment %s: %w", p.ID, err)
	}
	return nil
}

func updatePayment(ctx context.Context, q postgres.Querier, tenantID int32, p Payment) error {
	res := paymentsOf(ctx, q, tenantID, p.CustomerID).Model(&paymentRow{}).Where("id = ? AND version = ?", p.ID, p.Version-1).
		Select("version", "due_on", "due", "paid_on", "paid", "base_open", "method", "reference", "updated_at").
		Updates(toPaymentRow(tenantID, p))
	switch {
	case res.Error != nil:
		return fmt.Errorf("update payment %s: %w", p.ID, res.Error)
	case res.RowsAffected != 1:
		return fmt.Errorf("update payment %s: %d rows had its version", p.ID, res.RowsAffected)
	}
	return nil
}

func removePayment(ctx context.Context, q postgres.Querier, tenantID int32, p Payment) error {
	_, err := q.Exec(ctx, `DELETE FROM transaction_payments WHERE tenant_id = $1 AND customer_id = $2 AND id = $3`,
		tenantID, p.CustomerID, p.ID)
	if err != nil {
		return fmt.Errorf("delete payment %s: %w", p.ID, err)
	}
	return nil
}

// standing is each status of a payment as SQL, as Payment.Status decides it; a bound value is today.
var standing = map[PaymentStatus]string{
	PaymentPaid:    "paid = due",
	PaymentOverdue: "(paid < due AND due_on < ?)",
	PaymentPartial: "(paid < due AND paid > 0 AND due_on >= ?)",
	PaymentOpen:    "(paid = 0 AND due_on >= ?)",
}

func customerPayments(ctx context.Context, q postgres.Querier, t tenant.Tenant, query PaymentQuery, today tenant.Day) (page.Of[Payment], error) {
	db := paymentsOf(ctx, q, t.ID, query.CustomerID).Order("due_on, id").Limit(query.Page.Limit + 1)
	if len(query.Status) > 0 {
		either := q.Session(ctx)
		for _, s := range query.Status {
			if s == PaymentPaid {
				either = either.Or(standing[s])
			} else {
				either = either.Or(standing[s], today)
			}
		}
		db = db.Where(either)
	}
	if after := query.Page.After; after != nil {
		if len(after) != 2 {
			return page.Of[Payment]{}, page.ErrCursor
		}
		db = db.Where("(due_on, id) > (?::date, ?::uuid)", after[0], after[1])
	}
	var rows []paymentRow
	if err := db.Find(&rows).Error; err != nil {
		return page.Of[Payment]{}, fmt.Errorf("list the payments of customer %s: %w", query.CustomerID, err)
	}
	return page.Cut(rows, query.Page.Limit, func(r paymentRow) page.Key { return page.Key{r.DueOn.String(), r.ID.String()} },
		func(r paymentRow) Payment { return r.payment(t.Currency) }), nil
}
