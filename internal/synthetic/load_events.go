package synthetic

import (
	"context"
	"time"

	"github.com/kezi-io/kezi/internal/postgres"
)

// eventful is which part of the orders left an event of its own; the others came by imports, one event per file.
const eventful = 10

// loadEvents writes the feed in the order of time: every customer's creation, and every tenth order's.
func loadEvents(ctx context.Context, w *World, tx postgres.Tx) error {
	w.plan()
	return reload(ctx, tx, []string{"events"}, func() error {
		seq := int64(0)
		err := copyInto(ctx, tx, `events (tenant_id, id, seq, type, subject_type, subject_id, customer_id, customer_version, changed,
			previous, actor, request_id, change_set, occurred_at)`, func(l *lines) error {
			next := 0 // order
			orders := func(until time.Time) {
				for ; next < len(w.orders); next++ {
					at := w.since.Add(time.Duration(w.orders[next].second()) * time.Second)
					if at.After(until) {
						return
					}
					if next%eventful > 0 {
						continue
					}
					rng := w.rng(streamOrderEvent, uint64(next))
					seq++
					l.int(int64(w.TenantID)).id(w.id(at, rng)).int(seq).text("transaction.created").text("transaction").id(w.orderID(next, at)).
						id(w.someone(w.orders[next].who()).ID).null().text("{amount,channel,occurred_at,status,units}").text("{}").text("erp").
						text("req-" + pad(next, 10)).id(w.id(at, rng)).time(at).end()
				}
			}
			for i := range w.Customers {
				c := w.someone(i)
				orders(c.CreatedAt)
				rng := w.rng(streamCustomerEvent, uint64(i))
				seq++
				l.int(int64(w.TenantID)).id(w.id(c.CreatedAt, rng)).int(seq).text("customer.created").text("customer").id(c.ID).
					id(c.ID).int(1).text("{city,kind,name,owner,source,stage}").text("{}").text("crm").text("req-c" + pad(i, 9)).
					id(w.id(c.CreatedAt, rng)).time(c.CreatedAt).end()
			}
			orders(w.Until)
			return nil
		})
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO event_sequences (tenant_id, last_seq) VALUES ($1, $2)
			ON CONFLICT ON CONSTRAINT event_sequences_pkey DO UPDATE SET last_seq = excluded.last_seq`, w.TenantID, seq)
		return err
	})
}
