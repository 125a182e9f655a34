package httpapi

import (
	"context"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/customer"
)

// partsShown is how many contact points, and how many addresses, an expansion shows of each customer: as many as may be
// sent with one.
const partsShown = 100

// parts are the contact points and addresses that are sent inside of a customer. strict refuses those that the
// customer has; else they are left out.
type parts struct {
	points    *[]apigen.ContactPointCreate
	addresses *[]apigen.AddressCreate
	strict    bool
}

// shown are the expansions that repeat what was sent.
func (p parts) shown() (expand []apigen.CustomerExpansion) {
	if p.points != nil {
		expand = append(expand, apigen.CustomerExpansionContactPoints)
	}
	if p.addresses != nil {
		expand = append(expand, apigen.CustomerExpansionAddresses)
	}
	return expand
}

// write is what enters the parts; nil when there are none.
func (h customers) write(ctx context.Context, p parts) customer.With {
	if p.points == nil && p.addresses == nil {
		return nil
	}
	call := callOf(ctx)
	points, places := each(or(p.points, nil), contactPointFromAPI(ctx)), each(or(p.addresses, nil), addressFromAPI)
	return func(ctx context.Context, id uuid.UUID) (bool, error) {
		one, err := h.ContactPoints.Enter(ctx, call, id, points, p.strict)
		if err != nil {
			return false, below(err, "/contact_points")
		}
		other, err := h.Addresses.Enter(ctx, call, id, places, p.strict)
		return one || other, below(err, "/addresses")
	}
}
