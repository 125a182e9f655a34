package synthetic

import (
	"context"
	"fmt"

	"github.com/kezi-io/kezi/internal/contactpoint"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/owned"
	"github.com/kezi-io/kezi/internal/postgres"
)

// chunk is how many customers a statement takes.
const chunk = 2000

var mobiles = rank(words("138 139 136 135 137 186 188 158 159 150 151 152 187 182 183 133 189 180 181 177 199 130 131 132 155 156 185 176 198"), 6)

// loadPhones gives every person a mobile number. It is sealed with a nonce of its own each time, so two loads of one
// seed agree in everything but the ciphertext.
func loadPhones(ctx context.Context, w *World, tx postgres.Tx) error {
	index := contactpoint.NewIndex(w.Keys)
	return reloadKeyed(ctx, tx, []string{"contact_points"}, func() error {
		var points []contactpoint.ContactPoint
		flush := func() error {
			_, _, err := index.Import(ctx, tx, w.TenantID, points, false, w.Until)
			points = points[:0]
			return err
		}
		for i := range w.Customers {
			c := w.someone(i)
			if c.Kind != customer.Person {
				continue
			}
			rng := w.rng(streamPhone, uint64(i))
			given := mobiles.pick(rng) + fmt.Sprintf("%08d", rng.IntN(100_000_000))
			n, wrong := contactpoint.Normalize(contactpoint.Phone, "", given, "CN")
			if wrong != nil {
				return fmt.Errorf("no phone: %s", wrong.Code)
			}
			p := contactpoint.New(n, given)
			p.Base = owned.Base{ID: w.id(c.CreatedAt, rng), CustomerID: c.ID}
			if points = append(points, p); len(points) == chunk {
				if err := flush(); err != nil {
					return err
				}
			}
		}
		return flush()
	})
}
