// Package note is what people write down about a customer.
package note

import (
	"strconv"
	"strings"
	"time"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/owned"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/tenant"
)

// ErrNotFound is answered for a note that the customer does not have.
var ErrNotFound = fault.New(fault.NotFound, "note_not_found", "the customer has no such note", "该客户没有这条备注")

// Kind says what a note is about.
type Kind string

// The kinds.
const (
	SpecialRequest Kind = "special_request" // what the customer wants differently from others
	Solution       Kind = "solution"        // what was made or agreed for this customer alone
	History        Kind = "history"         // what happened, on OccurredOn
	Prospect       Kind = "prospect"        // what may become of the cooperation
	General        Kind = "general"
)

// Note is plain text about a customer.
type Note struct {
	owned.Base
	Kind       Kind
	Body       string
	Pinned     bool
	Author     string      // who wrote it first
	OccurredOn *tenant.Day // the day that it tells of
}

// Draft is what a caller may say about a new note.
type Draft struct {
	Kind       Kind // general unless told
	Body       string
	Pinned     bool
	OccurredOn *tenant.Day
}

// Change is a merge patch of a note.
type Change struct {
	Kind       *Kind
	Body       *string
	Pinned     *bool
	OccurredOn patch.Field[tenant.Day]
}

func (c Change) apply(to *Note) {
	patch.Keep(&to.Kind, c.Kind)
	patch.Keep(&to.Body, c.Body)
	patch.Keep(&to.Pinned, c.Pinned)
	if c.OccurredOn.Given {
		to.OccurredOn = c.OccurredOn.Value
	}
}

// check tidies the note and refuses one that says nothing.
func (n *Note) check() error {
	n.Body = strings.TrimSpace(strings.ReplaceAll(n.Body, "\r\n", "\n"))
	var v fault.Validator
	v.Check(customer.Visible(n.Body), "/body", "required",
		fault.T("a note needs text that can be seen", "备注必须有可见的内容"))
	v.Check(n.OccurredOn == nil || n.OccurredOn.Plausible(), "/occurred_on", "out_of_range", tenant.Implausible)
	return v.Err()
}

func difference(before, after Note) map[string]any {
	previous := map[string]any{}
	if before.Kind != after.Kind {
		previous["kind"] = before.Kind
	}
	if before.Body != after.Body {
		previous["body"] = owned.Hidden
	}
	if before.Pinned != after.Pinned {
		previous["pinned"] = before.Pinned
	}
	if was, is := before.OccurredOn, after.OccurredOn; (was == nil) != (is == nil) || (was != nil && !was.Equal(is.Time)) {
		previous["occurred_on"] = nil
		if was != nil {
			previous["occurred_on"] = was.String()
		}
	}
	return previous
}

// order is pinned notes first, then the newest.
var order = owned.Order[Note]{
	By:         []owned.Term{{Expr: "pinned", Type: "boolean"}, {Expr: "created_at", Type: "timestamptz"}, {Expr: "id", Type: "uuid"}},
	Descending: true,
	Key: func(n Note) page.Key {
		return page.Key{strconv.FormatBool(n.Pinned), n.CreatedAt.Format(time.RFC3339Nano), n.ID.String()}
	},
}
