// Package tag is labels on customers, in groups.
package tag

import (
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/patch"
)

var (
	ErrGroupNotFound = fault.New(fault.NotFound, "tag_group_not_found", "no such tag group", "没有这个标签组")
	ErrGroupUnknown  = fault.New(fault.Invalid, "tag_group_unknown", "there is no tag group with this id", "没有此编号的标签组")
	ErrGroupKeyTaken = fault.New(fault.Conflict, "tag_group_key_taken", "another tag group already has this key", "该键已被另一个标签组使用")
	ErrGroupInUse    = fault.New(fault.Conflict, "tag_group_in_use", "the group still has tags", "该标签组中仍有标签")
	ErrExclusive     = fault.New(fault.Conflict, "tag_group_exclusive",
		"customers carry two or more tags of the group, which can then not be exclusive", "有客户带有该组的多个标签，无法设为互斥")
	ErrNotFound = fault.New(fault.NotFound, "tag_not_found", "no such tag", "没有这个标签")
	ErrKeyTaken = fault.New(fault.Conflict, "tag_key_taken", "another tag already has this key", "该键已被另一个标签使用")
	ErrInUse    = fault.New(fault.Conflict, "tag_in_use", "customers carry the tag", "仍有客户带有该标签")
	ErrRead     = fault.New(fault.Conflict, "tag_in_condition", "a condition names the tag", "有条件引用了该标签")
	// ErrNotCarried is answered to taking off what is not there.
	ErrNotCarried = fault.New(fault.NotFound, "customer_tag_not_found", "the customer does not carry this tag", "该客户没有这个标签")
)

// MaxBulk is how many customers one bulk request may name.
const MaxBulk = 10_000

// defaultColor is a group's for which nobody chose one.
const defaultColor = "#64748b"

// Group holds tags that belong together.
type Group struct {
	ID        uuid.UUID // UUIDv7; unique within its tenant
	Version   int64     // raised by each change of the fields below
	Key       string
	Name      string
	Color     string // #rrggbb
	Exclusive bool   // a customer carries at most one of its tags
	Position  int    // among the groups, ascending
	CreatedAt time.Time
	UpdatedAt time.Time
}

// GroupDraft is what a caller may say about a new group. Without a color it gets a grey one.
type GroupDraft struct {
	Key, Name, Color string
	Exclusive        bool
	Position         int
}

// GroupChange is a merge patch of a group.
type GroupChange struct {
	Name, Color *string
	Exclusive   *bool
	Position    *int
}

func (c GroupChange) apply(to *Group) (previous map[string]any) {
	before := *to
	patch.Keep(&to.Name, c.Name)
	patch.Keep(&to.Color, c.Color)
	patch.Keep(&to.Exclusive, c.Exclusive)
	patch.Keep(&to.Position, c.Position)
	to.Name = strings.TrimSpace(to.Name)
	return changes(before.document(), to.document())
}

// document is the group as the contract shows what may change.
func (g Group) document() map[string]any {
	return map[string]any{"key": g.Key, "name": g.Name, "color": g.Color, "exclusive": g.Exclusive, "position": g.Position}
}

// Tag is one label.
type Tag struct {
	ID          uuid.UUID // UUIDv7; unique within its tenant
	Version     int64     // raised by each change of the fields below, Customers excepted
	GroupID     *uuid.UUID
	Key         string // what conditions name
	Name        string
	Description string
	Color       string // #rrggbb; empty means the group's
	Customers   int64  // who carry it now and are not deleted
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// Draft is what a caller may say about a new tag.
type Draft struct {
	GroupID                       *uuid.UUID
	Key, Name, Description, Color string
}

// Change is a merge patch of a tag.
type Change struct {
	GroupID     patch.Field[uuid.UUID]
	Name        *string
	Description *string
	Color       patch.Field[string]
}

func (c Change) apply(to *Tag) (previous map[string]any) {
	before := *to
	if c.GroupID.Given {
		to.GroupID = c.GroupID.Value
	}
	patch.Keep(&to.Name, c.Name)
	patch.Keep(&to.Description, c.Description)
	c.Color.Into(&to.Color)
	to.Name = strings.TrimSpace(to.Name)
	return changes(before.document(), to.document())
}

func (t Tag) document() map[string]any {
	d := map[string]any{"key": t.Key, "name": t.Name, "description": t.Description, "color": nil, "group_id": nil}
	if t.Color != "" {
		d["color"] = t.Color
	}
	if t.GroupID != nil {
		d["group_id"] = t.GroupID.String()
	}
	return d
}

// changes are the members of before that after has other values for.
func changes(before, after map[string]any) map[string]any {
	previous := map[string]any{}
	for name, value := range before {
		if value != after[name] {
			previous[name] = value
		}
	}
	return previous
}

func checkName(name string) error {
	var v fault.Validator
	v.Check(name != "", "/name", "required", fault.T("a name is needed", "必须有名称"))
	return v.Err()
}

// Source is how an assignment came about.
type Source string

// The sources.
const (
	Manual Source = "manual" // put on this one customer
	Bulk   Source = "bulk"
)

// Assignment is a tag that a customer carries.
type Assignment struct {
	TagID      uuid.UUID
	Key        string
	Name       string
	Group      string // the group's key; empty without a group
	Color      string // the tag's, else its group's; empty without either
	Source     Source
	Actor      string // who put it there, or last changed reason or expiry
	Reason     string // empty when nobody gave one
	AssignedAt time.Time
	ExpiresAt  *time.Time // when it falls off by itself; nil for never
}

// document is what an event tells of an assignment that was changed or taken away.
func (a Assignment) document() map[string]any {
	d := map[string]any{"source": string(a.Source), "actor": a.Actor, "assigned_at": a.AssignedAt}
	if a.Reason != "" {
		d["reason"] = a.Reason
	}
	if a.ExpiresAt != nil {
		d["expires_at"] = *a.ExpiresAt
	}
	return d
}

// Terms are what a caller says of an assignment.
type Terms struct {
	Reason    string
	ExpiresAt *time.Time // in the future; nil for never
}

// sameAs reports whether the terms are those that already hold.
func (t Terms) sameAs(a Assignment) bool {
	switch {
	case t.Reason != a.Reason:
		return false
	case t.ExpiresAt == nil || a.ExpiresAt == nil:
		return t.ExpiresAt == a.ExpiresAt
	}
	return t.ExpiresAt.Equal(*a.ExpiresAt)
}

// BulkResult is what a bulk request did.
type BulkResult struct {
	Changed   int
	Unchanged int
	Missing   []uuid.UUID // no such customer, or deleted; in the order asked for, never nil
}
