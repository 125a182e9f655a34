package importer

import (
	"context"
	"math/big"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kezi-io/kezi/internal/localday"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
	"github.com/kezi-io/kezi/internal/transaction"
)

// maxUnits is what the contract lets a transaction have.
const maxUnits = 1_000_000_000

// statuses are those of transactions, as the contract lists them.
var statuses = []string{"pending", "paid", "to_ship", "shipped", "completed", "cancelled", "refunded"}

// identity is what both kinds of rows are known by.
type identity struct {
	line int64
	id   string // the row's own external id; empty for a transaction without
	hash hash
	twin bool // the file may have it more than once
}

// fact is a row of a file of transactions. Empty texts were not given.
type fact struct {
	identity
	customer   string // external id
	occurredAt time.Time
	dateOnly   bool
	day        tenant.Day // local
	amount     money.Money
	base       int64 // minor units of the base currency
	units      *int32
	status     string
	channel    string
	method     string // of payment
	store      string
	item       *item // nil where the row names no product
}

// parser makes facts and persons of rows.
type parser struct {
	im     Import
	tenant tenant.Tenant
	now    time.Time
	file   *file
	rates  rates
	texts  map[string]string // values that come again and again are kept once

	errs []RowError // of the row at hand
	line int64
}

func (p *parser) refuse(field string, why Problem) {
	p.errs = append(p.errs, RowError{Line: p.line, Column: p.file.headerOf(field), Problem: why})
}

// text reads a value of at most so many characters.
func (p *parser) text(field string, value []byte, most int) string {
	switch {
	case slices.Contains(value, 0):
		p.refuse(field, badText)
	case len(value) > most && utf8.RuneCount(value) > most:
		p.refuse(field, tooLong(most))
	default:
		return string(value)
	}
	return ""
}

func (p *parser) common(field string, value []byte, most int) string {
	if s, ok := p.texts[string(value)]; ok {
		return s
	}
	s := p.text(field, value, most)
	if len(p.texts) < 1000 {
		p.texts[s] = s
	}
	return s
}

func (p *parser) choice(field string, value []byte, accepted []string) string {
	if i := slices.Index(accepted, string(value)); i >= 0 {
		return accepted[i]
	}
	if len(value) > 0 {
		p.refuse(field, unknownValue(accepted))
	}
	return ""
}

// fact reads a row; what is wrong with it is left in p.errs.
func (p *parser) fact(ctx context.Context, values [][]byte) (fact, error) {
	var f fact
	var amount, minor string
	var line cells
	currency := p.im.Currency
	if currency == "" {
		currency = p.tenant.Currency
	}
	for i, c := range p.file.columns {
		v := values[i]
		switch c.field {
		case "customer_external_id":
			if f.customer = p.text(c.field, v, 200); len(v) == 0 {
				p.refuse(c.field, valueMissing)
			}
		case "occurred_at":
			p.moment(&f, v)
		case "amount":
			amount = string(v)
		case "amount_minor":
			minor = string(v)
		case "currency":
			if len(v) > 0 {
				currency = p.common(c.field, v, maxRow) // what is too long is unknown as well
			}
		case "external_id":
			f.id = p.text(c.field, v, 200)
		case "units":
			p.units(&f, string(v))
		case "status":
			f.status = p.choice(c.field, v, statuses)
		case "channel":
			f.channel = p.common(c.field, v, 100)
		case "payment_method":
			f.method = p.choice(c.field, v, transaction.Methods)
		case "store":
			f.store = p.common(c.field, v, 100)
		default:
			line.take(p, c.field, v)
		}
	}
	if len(p.errs) > 0 && currency == "" {
		return f, nil // what was read as the currency is refused already
	}
	if price := line.priced(p, &f, currency); price != "" && amount == "" && minor == "" {
		f.amount = money.Money{Minor: f.item.amount, Currency: currency}
	} else {
		p.amount(&f, amount, minor, currency)
		line.settle(p, &f)
	}
	if len(p.errs) > 0 {
		return f, nil
	}
	err := p.convert(ctx, &f)
	return f, err
}

func (p *parser) amount(f *fact, amount, minor, currency string) {
	if !money.Known(currency) {
		p.refuse("currency", currencyUnknown)
		return
	}
	field := "amount"
	if p.file.headerOf(field) == "" {
		field = "amount_minor"
	}
	switch {
	case amount == "" && minor == "":
		p.refuse(field, valueMissing)
		return
	case field == "amount":
		m, wrong, detail := money.Parse(amount, currency)
		if wrong != "" {
			p.refuse(field, Problem{wrong, detail})
			return
		}
		f.amount = m
	default:
		n, err := strconv.ParseInt(minor, 10, 64)
		switch {
		case strings.Trim(strings.TrimPrefix(minor, "-"), "0123456789") != "" || minor == "-":
			p.refuse(field, badMinor)
			return
		case err != nil || n > money.MaxMinor:
			p.refuse(field, amountTooLarge)
			return
		}
		f.amount = money.Money{Minor: n, Currency: currency}
	}
	if f.amount.Minor < 0 {
		p.refuse(field, negative)
	}
}

func (p *parser) units(f *fact, value string) {
	if value == "" {
		return
	}
	n, err := strconv.ParseInt(value, 10, 64)
	switch {
	case err == nil && n < 0:
		p.refuse("units", negative)
	case err != nil || n > maxUnits || value[0] == '+':
		p.refuse("units", badUnits)
	default:
		units := int32(n)
		f.units = &units
	}
}

// localTimes are moments without an offset: they are local to the tenant's zone.
var localTimes = []string{time.DateTime, "2006-01-02T15:04:05"}

func (p *parser) moment(f *fact, v []byte) {
	if len(v) == 0 {
		p.refuse("occurred_at", valueMissing)
		return
	}
	s, zone := string(v), p.tenant.Zone
	day, err := tenant.ParseDay(s)
	if f.dateOnly = err == nil; f.dateOnly {
		f.day, f.occurredAt = day, day.Start(zone)
	} else {
		at, ok := parseMoment(s, zone)
		if !ok {
			p.refuse("occurred_at", badDate)
			return
		}
		f.occurredAt = at.UTC().Truncate(time.Microsecond)
		f.day = tenant.DayOf(f.occurredAt, zone)
	}
	switch {
	case f.day.Year() < 1: // the form allows it, no calendar has it
		p.refuse("occurred_at", badDate)
	case !f.day.Plausible():
		p.refuse("occurred_at", implausibleDate)
	case f.dateOnly && !f.day.ExistsIn(zone):
		p.refuse("occurred_at", dayLeftOut)
	case transaction.Ahead(f.occurredAt, p.now):
		p.refuse("occurred_at", inFuture)
	}
}

// parseMoment reads an RFC 3339 moment, or one that is local to the zone; a local one that clocks jumped over comes
// after the jump. The day of a local one must exist in the zone.
func parseMoment(s string, zone *time.Location) (time.Time, bool) {
	if strings.Contains(s, ",") {
		return time.Time{}, false // package time takes a comma before a fraction, RFC 3339 does not
	}
	if at, err := time.Parse(time.RFC3339, s); err == nil {
		return at, strictOffset(s)
	}
	for _, layout := range localTimes {
		if wall, err := time.Parse(layout, s); err == nil {
			return localday.At(wall, zone), localday.Has(wall.Year(), wall.Month(), wall.Day(), zone)
		}
	}
	return time.Time{}, false
}

// strictOffset refuses what package time lets pass in an RFC 3339 moment: an hour of one digit, an offset beyond 23:59.
func strictOffset(s string) bool {
	if s[13] != ':' {
		return false
	}
	zone := s[len(s)-len("+00:00"):]
	return s[len(s)-1] == 'Z' || (zone[1:3] <= "23" && zone[4:] <= "59")
}

// convert computes the amount in the base currency.
func (p *parser) convert(ctx context.Context, f *fact) error {
	if f.amount.Currency == p.tenant.Currency {
		f.base = f.amount.Minor
		return nil
	}
	field := "currency"
	if p.file.headerOf(field) == "" {
		field = "amount"
	}
	if p.file.headerOf(field) == "" {
		field = "amount_minor"
	}
	rate, err := p.rates.on(ctx, f.amount.Currency, f.day)
	if err != nil {
		return err
	}
	if rate == nil {
		p.refuse(field, rateMissing(f.amount.Currency, p.tenant.Currency))
		return nil
	}
	base, ok := f.amount.Convert(p.tenant.Currency, rate)
	if !ok {
		p.refuse(field, baseTooLarge)
	}
	f.base = base.Minor
	return nil
}

// rates are the exchange rates of one import: read once per currency, so that all its rows see the same.
type rates struct {
	q        postgres.Querier
	tenantID int32
	known    map[string][]rate
}

type rate struct {
	from time.Time // a day
	rate *big.Rat
}

// on is the newest rate of the day or before it; nil when there is none.
func (r *rates) on(ctx context.Context, currency string, day tenant.Day) (*big.Rat, error) {
	all, ok := r.known[currency]
	if !ok {
		var err error
		if all, err = readRates(ctx, r.q, r.tenantID, currency); err != nil {
			return nil, err
		}
		r.known[currency] = all
	}
	after := sort.Search(len(all), func(i int) bool { return all[i].from.After(day.Time) })
	if after == 0 {
		return nil, nil
	}
	return all[after-1].rate, nil
}
