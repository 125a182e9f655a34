// Package contact is the people to talk to at a customer: buyers and bosses of a company, the assistant or guardian of
// a person.
package contact

import (
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/owned"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
)

var (
	ErrNotFound = fault.New(fault.NotFound, "contact_not_found", "the customer has no such contact", "该客户没有这个联系人")
	ErrTwice    = fault.New(fault.Conflict, "contact_exists", "this person is a contact of the customer already", "此人已是该客户的联系人")
)

// Role is the part that a contact has in what the customer decides.
type Role string

// Contact is somebody to talk to at a customer. Empty texts are values that nobody gave. How to reach a contact is a
// matter of contact points, which are sealed.
type Contact struct {
	owned.Base
	Name         string
	Title        string // what it says on the card: 采购总监
	Department   string
	Gender       string
	DecisionRole Role
	Primary      bool // the one to ask first; at most one of a customer
	Remark       string
	PersonID     *uuid.UUID // the same human as a customer of kind person
}

// Draft is what a caller may say about a new contact.
type Draft struct {
	Name, Title, Department, Gender string
	DecisionRole                    Role
	Primary                         bool
	Remark                          string
	PersonID                        *uuid.UUID
}

// Change is a merge patch of a contact.
type Change struct {
	Name                      *string
	Title, Department, Gender patch.Field[string]
	DecisionRole              patch.Field[Role]
	Primary                   *bool
	Remark                    patch.Field[string]
	PersonID                  patch.Field[uuid.UUID]
}

func (c Change) apply(to *Contact) {
	patch.Keep(&to.Name, c.Name)
	c.Title.Into(&to.Title)
	c.Department.Into(&to.Department)
	c.Gender.Into(&to.Gender)
	c.DecisionRole.Into(&to.DecisionRole)
	patch.Keep(&to.Primary, c.Primary)
	c.Remark.Into(&to.Remark)
	if c.PersonID.Given {
		to.PersonID = c.PersonID.Value
	}
}

// check tidies the contact and refuses one without a name.
func (c *Contact) check() error {
	for _, s := range []*string{&c.Name, &c.Title, &c.Department, &c.Remark} {
		*s = strings.TrimSpace(*s)
	}
	var v fault.Validator
	v.Check(customer.Visible(c.Name), "/name", "required", fault.T("a contact needs a name that can be seen", "联系人必须有可见的姓名"))
	return v.Err()
}

func difference(before, after Contact) map[string]any {
	previous := map[string]any{}
	note := func(name string, changed bool, value any) {
		if changed {
			previous[name] = value
		}
	}
	note("name", before.Name != after.Name, before.Name)
	note("title", before.Title != after.Title, before.Title)
	note("department", before.Department != after.Department, before.Department)
	note("gender", before.Gender != after.Gender, before.Gender)
	note("decision_role", before.DecisionRole != after.DecisionRole, before.DecisionRole)
	note("primary", before.Primary != after.Primary, before.Primary)
	note("remark", before.Remark != after.Remark, owned.Hidden)
	was, is := before.PersonID, after.PersonID
	note("person_id", (was == nil) != (is == nil) || (was != nil && *was != *is), was)
	return previous
}

// order is the primary contact first, then the oldest.
var order = owned.Order[Contact]{
	By: []owned.Term{{Expr: "NOT is_primary", Type: "boolean"}, {Expr: "created_at", Type: "timestamptz"}, {Expr: "id", Type: "uuid"}},
	Key: func(c Contact) page.Key {
		return page.Key{strconv.FormatBool(!c.Primary), c.CreatedAt.Format(time.RFC3339Nano), c.ID.String()}
	},
}
