package importer

import (
	"context"
	"strings"

	"github.com/kezi-io/kezi/internal/address"
	"github.com/kezi-io/kezi/internal/contactpoint"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/owned"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/region"
)

// The fields of a file of customers that become contact points. Several columns may hold values of one kind.
var pointFields = []string{"phone", "phone_2", "phone_3", "fax", "email", "email_2", "email_3", "wechat", "qq", "weibo"}

// The fields that become one address.
var addressFields = []string{"address.country", "address.province", "address.city", "address.district", "address.street",
	"address.postal_code", "address.area_type", "address.label", "address.recipient"}

// mostOfAddress is how many characters each of them may have.
var mostOfAddress = map[string]int{"address.province": 100, "address.city": 100, "address.district": 100, "address.street": 300,
	"address.postal_code": 20, "address.label": 50, "address.recipient": 100}

var pointsFull = Problem{owned.ErrFull.Code, owned.ErrFull.Message}

// parts are what a row says about how and where a customer is reached.
type parts struct {
	points  []point
	address *address.Address
}

// point is a value with the field that it stood in.
type point struct {
	contactpoint.Normal
	given, field string
}

// part reads the cell of a field that belongs to the parts, into p and draft; it answers false for other fields. No
// value is repeated in what is refused.
func (p *parser) part(to *parts, draft *address.Draft, field string, value []byte) bool {
	text, isAddress := strings.CutPrefix(field, "address.")
	if !isAddress {
		kind, _, _ := strings.Cut(field, "_")
		if !isPoint(field) {
			return false
		}
		if len(value) == 0 {
			return true
		}
		n, wrong := contactpoint.Normalize(contactpoint.Kind(kind), "", string(value), p.tenant.Region)
		if wrong != nil {
			p.refuse(field, Problem{wrong.Code, wrong.Detail})
			return true
		}
		to.points = append(to.points, point{n, string(value), field})
		return true
	}
	switch text {
	case "country":
		if !isCountry(value) {
			p.refuse(field, badCountry)
		}
		draft.Place.Country = string(value)
	case "area_type":
		draft.AreaType = address.AreaType(p.choice(field, value, address.AreaTypes))
	default:
		*map[string]*string{"province": &draft.Place.Province, "city": &draft.Place.City, "district": &draft.Place.District, "street": &draft.Street,
			"postal_code": &draft.PostalCode, "label": &draft.Label, "recipient": &draft.Recipient}[text] = p.text(field, value, mostOfAddress[field])
	}
	return true
}

func isPoint(field string) bool {
	for _, f := range pointFields {
		if f == field {
			return true
		}
	}
	return false
}

func isCountry(v []byte) bool {
	return len(v) == 0 || region.IsCountry(string(v))
}

// settle completes a row whose cells are read. Its address says where the customer is as far as the row's own columns
// country, province and city do not.
func (p *parser) settle(r *person, draft address.Draft) {
	if draft.Place.Province+draft.Place.City+draft.Place.District+draft.Street == "" {
		return
	}
	a, err := address.Read(draft, p.tenant)
	if f := fault.Of(err); f != nil {
		for _, field := range f.Fields {
			p.refuse("address."+strings.TrimPrefix(field.Pointer, "/"), Problem{field.Code, field.Detail})
		}
		return
	}
	r.address = &a
	lend := func(to *patch.Field[string], from string) {
		if from != "" {
			*to = patch.Set(from)
		}
	}
	c := &r.change
	if !c.Country.Given {
		lend(&c.Country, a.Country)
	}
	if !c.Province.Given && !c.City.Given && !c.District.Given {
		lend(&c.Province, a.Province)
		lend(&c.City, a.City)
		lend(&c.District, a.District)
	}
}

// writeParts adds what the customers of rows that were written have not yet, and answers the rows that added something.
// The customers are held. Rows that would give a customer too many are refused by out.
func (b *batch) writeParts(ctx context.Context, tx postgres.Tx, written []customer.Result, out *outcome) (map[int]bool, error) {
	tenantID, now := b.run.Call.Tenant.ID, b.service.now()
	var points []contactpoint.ContactPoint
	var places []address.Address
	var pointOf, placeOf []int // the rows
	for i, w := range written {
		if w.Err != nil {
			continue
		}
		r, id := &b.people[i], w.Customer.ID
		for _, p := range r.points {
			n := contactpoint.New(p.Normal, p.given)
			n.CustomerID, n.Source = id, "import"
			points, pointOf = append(points, n), append(pointOf, i)
		}
		if r.address != nil {
			a := *r.address
			a.CustomerID = id
			places, placeOf = append(places, a), append(placeOf, i)
		}
	}
	did, refused := map[int]bool{}, map[int]bool{}
	note := func(added, full []bool, of []int) {
		for n, i := range of {
			did[i] = did[i] || added[n]
			if full[n] && !refused[i] {
				refused[i] = true
				out.errs = append(out.errs, RowError{Line: b.people[i].line, Problem: pointsFull})
			}
		}
	}
	added, full, err := b.service.points.Import(ctx, tx, tenantID, points, b.run.Call.Blind, now)
	if err != nil {
		return nil, err
	}
	note(added, full, pointOf)
	if added, full, err = b.service.addresses.Import(ctx, tx, tenantID, places, b.run.Call.Blind, now); err != nil {
		return nil, err
	}
	note(added, full, placeOf)
	return did, nil
}
