package synthetic

import (
	"context"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/postgres"
)

func loadCustomers(ctx context.Context, w *World, tx postgres.Tx) error {
	w.plan()
	return reload(ctx, tx, []string{"customers", "external_ids", "customer_metrics"}, func() error {
		err := copyInto(ctx, tx, `customers (tenant_id, id, version, kind, name, stage, source_channel, source_detail, source_campaign,
			owner, country, province, city, industry, created_at, updated_at, deleted_at)`, func(l *lines) error {
			for i := range w.Customers {
				c := w.someone(i)
				l.int(int64(w.TenantID)).id(c.ID).int(c.Version).text(string(c.Kind)).text(c.Name).text(string(w.stage(i))).
					text(c.Source.Channel).text(c.Source.Detail).text(c.Source.Campaign).text(c.Owner).text(c.Country).text(c.Province).
					text(c.City).text(c.Industry.Label).time(c.CreatedAt).time(c.UpdatedAt)
				if c.deleted {
					l.time(c.UpdatedAt)
				} else {
					l.null()
				}
				l.end()
			}
			return nil
		})
		if err != nil {
			return err
		}
		err = copyInto(ctx, tx, "external_ids (tenant_id, source, external_id, customer_id, created_at)", func(l *lines) error {
			for i := range w.Customers {
				c := w.someone(i)
				for _, e := range c.ExternalIDs {
					l.int(int64(w.TenantID)).text(e.Source).text(e.ID).id(c.ID).time(c.CreatedAt).end()
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO customer_metrics (tenant_id, customer_id) SELECT tenant_id, id FROM customers WHERE tenant_id = $1 ORDER BY id`,
			w.TenantID)
		return err
	})
}

// stage follows from what the customer bought.
func (w *World) stage(i int) customer.Stage {
	rng := w.rng(streamStage, uint64(i))
	idle := w.Until.Unix() - w.last[i]
	const day = 24 * 60 * 60
	switch {
	case w.bought[i] == 0 && rng.Float64() < 0.6:
		return customer.Lead
	case w.bought[i] == 0:
		return customer.Prospect
	case idle < 180*day:
		return customer.Active
	case idle < 540*day:
		return customer.Dormant
	}
	return customer.Lost
}
