package demo

import (
	"context"
	"errors"
	"fmt"

	"github.com/kezi-io/kezi/internal/address"
	"github.com/kezi-io/kezi/internal/contactpoint"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// spelt is a contact point as somebody wrote it.
type spelt struct {
	kind         contactpoint.Kind
	value, label string
}

// reach gives the i-th customer phones, emails and accounts, and half of them an address. Nobody has these numbers: those
// in America are of the range that is kept for fiction, those in China count up from 138 0000 0001, and example.com is
// reserved (RFC 2606).
func (p person) reach(i int) (points []spelt, places []address.Draft) {
	if p.Country == "US" {
		points = []spelt{{contactpoint.Phone, fmt.Sprintf("(212) 555-01%02d", i), ""}, {contactpoint.Email, fmt.Sprintf("client%d@example.com", i+1), ""}}
		return points, []address.Draft{{Place: address.Place{Province: p.Province, City: p.City}, Street: fmt.Sprintf("%d Example Street", i+1),
			PostalCode: fmt.Sprintf("10%03d", i+1), AreaType: "business"}}
	}
	if p.Kind == customer.Company {
		points = []spelt{{contactpoint.Phone, fmt.Sprintf("0571-8000%04d", i), "总机"}, {contactpoint.Email, fmt.Sprintf("info%04d@example.com", i+1), ""}}
		if i%3 == 1 {
			points = append(points, spelt{contactpoint.Fax, fmt.Sprintf("0571-8900%04d", i), ""})
		}
	} else {
		points = []spelt{{contactpoint.Phone, fmt.Sprintf("138 0000 %04d", i+1), "手机"}}
		if i%2 == 0 {
			points = append(points, spelt{contactpoint.Email, fmt.Sprintf("client%04d@example.com", i+1), ""})
		}
		if i%3 == 0 {
			points = append(points, spelt{contactpoint.WeChat, fmt.Sprintf("kezi_demo_%04d", i+1), ""})
		}
	}
	if i%2 == 0 || i == 1 {
		area := []address.AreaType{"residential", "business", "tourist"}[i%3]
		places = append(places, address.Draft{Place: address.Place{Province: p.Province, City: p.City}, Street: fmt.Sprintf("示范路 %d 号", i+1), AreaType: area})
	}
	return points, places
}

// reach stores how and where people are reached, sealed by the keys of this installation.
func (d *Demo) reach(ctx context.Context, tx postgres.Tx, t tenant.Tenant, anchor tenant.Day, people []person) error {
	pointIDs, placeIDs := pointIDs, placeIDs
	if t.Name == Second {
		pointIDs, placeIDs = secondPointIDs, secondPlaceIDs
	}
	var points []contactpoint.ContactPoint
	var places []address.Address
	for i, p := range people {
		values, drafts := p.reach(i)
		for _, g := range values {
			n, wrong := contactpoint.Normalize(g.kind, "", g.value, t.Region)
			if wrong != nil {
				return fmt.Errorf("the %s of customer %d: %s", g.kind, i, wrong.Detail.En)
			}
			c := contactpoint.New(n, g.value)
			c.ID, c.CustomerID, c.Label, c.Source = pointIDs.at(len(points)), p.ID, g.label, "shop"
			if i%4 == 0 {
				c.Consent = contactpoint.Granted
			}
			points = append(points, c)
		}
		for _, draft := range drafts {
			a, err := address.Read(draft, t)
			if err != nil {
				return fmt.Errorf("the address of customer %d: %w", i, err)
			}
			a.ID, a.CustomerID = placeIDs.at(len(places)), p.ID
			places = append(places, a)
		}
	}
	at := momentAt(anchor, 0, 0, t.Zone)
	_, _, err := d.s.ContactPoints.Import(ctx, tx, t.ID, points, false, at)
	_, _, err2 := d.s.Addresses.Import(ctx, tx, t.ID, places, false, at)
	return errors.Join(err, err2)
}
