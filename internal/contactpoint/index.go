package contactpoint

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/nyaruka/phonenumbers"
	"golang.org/x/text/unicode/norm"

	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/seal"
	"github.com/kezi-io/kezi/internal/tenant"
)

// A value is found by blind indexes of the whole and, for a phone, of each tail of minTail digits and more. The tenant
// is part of each, so that equal values of two tenants have nothing in common.
const (
	minTail = 4
	maxTail = 15 // digits that E.164 allows
)

// What an index is of.
const (
	ofWhole = "whole"
	ofTail  = "tail"
)

// Index makes the blind indexes of contact points.
type Index struct{ keys *seal.Keys }

// NewIndex makes them with keys.
func NewIndex(keys *seal.Keys) Index { return Index{keys} }

// folded is what makes two values the same: letters' case tells no two accounts or mailboxes in use apart.
func (n Normal) folded() string { return strings.ToLower(n.Value) }

// family is what the value is compared within: a phone and a fax may be the same line.
func (n Normal) family() string {
	switch n.Kind {
	case Fax:
		return string(Phone)
	case Social:
		return string(Social) + ":" + n.Platform
	}
	return string(n.Kind)
}

// of are the indexes of a value, that of the whole first.
func (x Index) of(tenantID int32, n Normal) (seal.Indexes, error) {
	t := strconv.Itoa(int(tenantID))
	whole, err := x.keys.Index(t, ofWhole, n.family(), n.folded())
	if err != nil {
		return nil, err
	}
	all := seal.Indexes{whole}
	if n.Kind != Phone && n.Kind != Fax {
		return all, nil
	}
	number, _, extended := strings.Cut(n.Value, extensionMark)
	if extended { // who looks for the number finds its extensions too
		line, err := x.keys.Index(t, ofWhole, n.family(), number)
		if err != nil {
			return nil, err
		}
		all = append(all, line)
	}
	digits := strings.TrimPrefix(number, "+")
	for size := minTail; size <= min(len(digits), maxTail); size++ {
		tail, err := x.keys.Index(t, ofTail, digits[len(digits)-size:])
		if err != nil {
			return nil, err
		}
		all = append(all, tail)
	}
	return all, nil
}

// whole are the indexes to look for a value by.
func (x Index) whole(tenantID int32, n Normal) (seal.Indexes, error) {
	return x.keys.Sought(strconv.Itoa(int(tenantID)), ofWhole, n.family(), n.folded())
}

// sought are the indexes of everything that a needle may mean: a phone in any spelling, the last four or more digits of
// one, an email, an account. None when it can be nothing of that.
//
// Somebody who is not shown values (see Masked) is let search by four last digits alone, which the mask leaves
// readable. Longer needles would be answers to guesses: ten for each digit of a tail.
func (x Index) sought(t tenant.Tenant, needle string, unmasked bool) (seal.Indexes, error) {
	var all seal.Indexes
	add := func(parts ...string) error {
		found, err := x.keys.Sought(append([]string{strconv.Itoa(int(t.ID))}, parts...)...)
		all = append(all, found...)
		return err
	}
	if digits, ok := dialledDigits(needle); ok && len(digits) >= minTail && len(digits) <= maxTail && (unmasked || len(digits) == tailShown) {
		if err := add(ofTail, digits); err != nil {
			return nil, err
		}
	}
	if !unmasked {
		return all, nil
	}
	for _, kind := range []Kind{Phone, Email, WeChat, QQ, Weibo} {
		n, wrong := Normalize(kind, "", needle, t.Region)
		if wrong != nil {
			continue
		}
		if err := add(ofWhole, n.family(), n.folded()); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Matches is the condition that a customer c has the contact point that a needle means: a phone in any spelling or its
// last four or more digits, an email, an account. It answers false when the needle can mean none. unmasked says whether
// the caller is shown values (scope pii:read): others may only search by what masks leave readable, four last digits.
func (x Index) Matches(t tenant.Tenant, needle string, unmasked bool) (filter.Expr, bool, error) {
	sought, err := x.sought(t, needle, unmasked)
	if err != nil || len(sought) == 0 {
		return filter.Expr{}, false, err
	}
	// As an array that is made once: a join would be planned by statistics, which know nothing of hashes.
	return filter.SQL(`c.id = ANY (ARRAY(SELECT p.customer_id FROM contact_points p
		WHERE p.tenant_id = ? AND p.lookup && ?::bigint[]))`, t.ID, sought), true, nil
}

// Find is the ids of customers that have what a needle means, as Matches says, ascending, at most limit.
func (x Index) Find(ctx context.Context, q postgres.Querier, t tenant.Tenant, needle string, unmasked bool, limit int) ([]uuid.UUID, error) {
	sought, err := x.sought(t, needle, unmasked)
	if err != nil || len(sought) == 0 {
		return nil, err
	}
	// Found first and put in order then: statistics know nothing of hashes, and the planner would rather read the whole
	// tenant in the order of its customers until the limit is reached, which never comes. IS TRUE keeps it from doing so
	// in a plan for all tenants, of which most are small.
	rows, err := q.Query(ctx, `SELECT DISTINCT customer_id FROM (SELECT customer_id FROM contact_points
		WHERE (tenant_id = $1) IS TRUE AND lookup && $2::bigint[] OFFSET 0) p ORDER BY customer_id LIMIT $3`, t.ID, sought, limit)
	if err != nil {
		return nil, fmt.Errorf("look for contact points: %w", err)
	}
	defer rows.Close()
	var ids []uuid.UUID
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("look for contact points: %w", err)
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// dialledDigits are the digits of a needle that has nothing else in it but what stands between digits.
func dialledDigits(needle string) (string, bool) {
	s := strings.TrimSpace(norm.NFKC.String(needle))
	if len(s) > 64 || !dialled.MatchString(s) {
		return "", false
	}
	return string(slices.DeleteFunc([]byte(s), func(b byte) bool { return b < '0' || b > '9' })), true
}

// countryCode is the + and the country code that an E.164 number begins with.
func countryCode(number string) string {
	n, err := phonenumbers.Parse(number, "")
	if err != nil {
		return "+"
	}
	return "+" + strconv.Itoa(int(n.GetCountryCode()))
}
