// Package relation is how customers are related to each other: groups of companies, referrals, households, supply.
package relation

import (
	"bytes"
	"strings"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/owned"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/tenant"
)

var (
	ErrNotFound = fault.New(fault.NotFound, "relation_not_found", "the customer has no such relation", "该客户没有这个关联")
	ErrTwice    = fault.New(fault.Conflict, "relation_exists", "these two customers are related in this way already", "这两个客户已有此类关联")
	ErrParent   = fault.New(fault.Conflict, "parent_exists",
		"the company has a parent already; delete that relation first", "该公司已有母公司；请先删除原有关联")
	ErrCircle = fault.New(fault.Invalid, "parent_circle",
		"a company can not be above itself in its group", "公司在集团中不能位于自身之上")
	ErrDeep = fault.New(fault.Invalid, "group_too_deep",
		"a group can have at most 50 levels", "集团层级最多 50 层")
)

// Type says what the other customer is to this one.
type Type string

// The types. Each of the first four stands beside its inverse; the others are their own.
const (
	Parent     Type = "parent"
	Subsidiary Type = "subsidiary"
	Referrer   Type = "referrer"
	Referred   Type = "referred"
	Supplier   Type = "supplier"
	Buyer      Type = "buyer"
	Employer   Type = "employer"
	Employee   Type = "employee"
	Household  Type = "household"
	Partner    Type = "partner"
	Related    Type = "related"
)

// inverses are the types that are stored, with what they are from the other end.
var inverses = map[Type]Type{Parent: Subsidiary, Referrer: Referred, Supplier: Buyer, Employer: Employee,
	Household: Household, Partner: Partner, Related: Related}

// Relation is one relation as CustomerID sees it. The other end sees the same one, under the same id and version.
type Relation struct {
	owned.Base
	Type  Type
	Other Other
	Note  string
	Since *tenant.Day
}

// Other is the customer at the other end.
type Other struct {
	ID      uuid.UUID
	Version int64
	Kind    customer.Kind
	Name    string
}

// Draft is what a caller may say about a new relation.
type Draft struct {
	Type    Type
	OtherID uuid.UUID
	Note    string
	Since   *tenant.Day
}

// Change is a merge patch of a relation. Who is related, and how, never changes: that would be another relation.
type Change struct {
	Note  patch.Field[string]
	Since patch.Field[tenant.Day]
}

func (c Change) apply(to *Relation) {
	c.Note.Into(&to.Note)
	if c.Since.Given {
		to.Since = c.Since.Value
	}
}

// seen is a relation from its other end.
func (r Relation) seen() Relation {
	r.Type, r.CustomerID, r.Other = r.Type.inverse(), r.Other.ID, Other{ID: r.CustomerID}
	return r
}

func (t Type) inverse() Type {
	for stored, inverse := range inverses {
		switch t {
		case stored:
			return inverse
		case inverse:
			return stored
		}
	}
	return t
}

// stored reports whether a relation is kept as seen from this end: the one that has a parent, referrer, supplier or
// employer, and between equals the one with the lower id.
func (r Relation) stored() bool {
	inverse, ok := inverses[r.Type]
	return ok && (inverse != r.Type || bytes.Compare(r.CustomerID[:], r.Other.ID[:]) < 0)
}

// checkKinds refuses relations that only companies, or only people, can have.
func checkKinds(t Type, self, other customer.Kind) error {
	var v fault.Validator
	ok := true
	detail := fault.Text{}
	switch t {
	case Parent, Subsidiary:
		ok = self == customer.Company && other == customer.Company
		detail = fault.T("both must be companies", "双方都必须是公司")
	case Household:
		ok = self == customer.Person && other == customer.Person
		detail = fault.T("both must be people", "双方都必须是个人")
	case Employer:
		ok = self == customer.Person && other == customer.Company
		detail = fault.T("a company employs a person", "只能是公司雇用个人")
	case Employee:
		ok = self == customer.Company && other == customer.Person
		detail = fault.T("a company employs a person", "只能是公司雇用个人")
	}
	v.Check(ok, "/type", "wrong_kind", detail)
	return v.Err()
}

func checkDetails(note *string, since *tenant.Day) error {
	*note = strings.TrimSpace(*note)
	var v fault.Validator
	v.Check(since == nil || since.Plausible(), "/since", "out_of_range", tenant.Implausible)
	return v.Err()
}

func difference(before, after Relation) map[string]any {
	previous := map[string]any{}
	if before.Note != after.Note {
		previous["note"] = owned.Hidden
	}
	if was, is := before.Since, after.Since; (was == nil) != (is == nil) || (was != nil && !was.Equal(is.Time)) {
		previous["since"] = nil
		if was != nil {
			previous["since"] = was.String()
		}
	}
	return previous
}

// Node is a company in its group.
type Node struct {
	ID       uuid.UUID
	Name     string
	Kind     customer.Kind
	ParentID *uuid.UUID // nil at the root
	Depth    int        // 0 at the root
}

// Hierarchy is the group that a company belongs to.
type Hierarchy struct {
	Path      []uuid.UUID // from the root to the company asked for
	Nodes     []Node      // level by level, by name within a level
	Truncated bool        // whether there are more than MaxNodes
}

// Bounds of a group: its levels, enforced when companies are related, and how many companies a hierarchy shows.
const (
	MaxLevels = 50
	MaxNodes  = 1000
)
