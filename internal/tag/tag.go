// Package tag is labels on customers, in groups: put on by hand, or automatic, by a condition that the rule engine keeps true.
//
// Who carries an automatic tag follows from three things. By hand beats by rule: a tag that somebody put on stays although
// the condition does not hold, and one that somebody took off is suppressed, which means that it stays off until it is
// lifted or put on again. Where neither happened the condition decides. Of an exclusive group a customer carries what was put
// on by hand, else the first automatic tag, by position, whose condition holds and that is not suppressed.
package tag

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
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
	// ErrNotSuppressed is answered to lifting what nobody has suppressed.
	ErrNotSuppressed = fault.New(fault.NotFound, "tag_suppression_not_found",
		"the tag is not suppressed for this customer", "该标签未对此客户屏蔽")
	ErrArchived  = fault.New(fault.Conflict, "tag_archived", "the tag is archived; restore it first", "该标签已归档，请先恢复")
	ErrMergeSelf = fault.New(fault.Invalid, "tag_merge_self", "a tag can't be merged into itself", "标签不能合并到自身")
	ErrUnknown   = fault.New(fault.Invalid, "tag_unknown", "there is no tag with this id", "没有此编号的标签")
)

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
	return patch.Differences(before.document(), to.document())
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
	Position    int    // within its group, ascending
	Condition   filter.Node
	ArchivedAt  *time.Time
	EvaluatedAt *time.Time // when a job last put the condition to everybody
	Customers   int64      // who carry it now and are not deleted
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// Automatic reports whether a condition decides who carries the tag.
func (t Tag) Automatic() bool { return t.Condition != nil }

// deciding reports whether the condition is in force: who carries an archived tag stays as it is.
func (t Tag) deciding() bool { return t.Automatic() && t.ArchivedAt == nil }

// Relative reports whether the condition changes its answer as days pass.
func (t Tag) Relative() bool { return t.Automatic() && condition.Relative(t.Condition) }

// Draft is what a caller may say about a new tag. With a condition it is automatic.
type Draft struct {
	GroupID                       *uuid.UUID
	Key, Name, Description, Color string
	Position                      int
	Condition                     filter.Node
}

// Change is a merge patch of a tag.
type Change struct {
	GroupID     patch.Field[uuid.UUID]
	Key         *string
	Name        *string
	Description *string
	Color       patch.Field[string]
	Position    *int
	Condition   filter.Node // nil keeps
	Automatic   *bool       // false drops the condition; who carries the tag keeps it
	Archived    *bool
}

func (c Change) apply(to *Tag, now time.Time) (previous map[string]any) {
	before := *to
	if c.GroupID.Given {
		to.GroupID = c.GroupID.Value
	}
	patch.Keep(&to.Key, c.Key)
	patch.Keep(&to.Name, c.Name)
	patch.Keep(&to.Description, c.Description)
	patch.Keep(&to.Position, c.Position)
	switch {
	case c.Condition != nil:
		to.Condition = c.Condition
	case c.Automatic != nil && !*c.Automatic:
		to.Condition = nil
	}
	if c.Archived != nil && *c.Archived != (to.ArchivedAt != nil) {
		to.ArchivedAt = nil
		if *c.Archived {
			to.ArchivedAt = &now
		}
	}
	c.Color.Into(&to.Color)
	to.Name = strings.TrimSpace(to.Name)
	return patch.Differences(before.document(), to.document())
}

func (t Tag) document() map[string]any {
	d := map[string]any{"key": t.Key, "name": t.Name, "description": t.Description, "color": nil, "group_id": nil,
		"position": t.Position, "archived": t.ArchivedAt != nil, "filter": nil}
	if raw, err := json.Marshal(t.Condition); err == nil && t.Automatic() {
		d["filter"] = json.RawMessage(raw)
	}
	if t.Color != "" {
		d["color"] = t.Color
	}
	if t.GroupID != nil {
		d["group_id"] = t.GroupID.String()
	}
	return d
}

// check is what a change must fulfil beyond the contract's types and lengths; to is the tag as it would be.
func (c Change) check(to Tag) error {
	var v fault.Validator
	v.Check(to.Name != "", "/name", "required", fault.T("a name is needed", "必须有名称"))
	v.Check(c.Automatic == nil || *c.Automatic == to.Automatic(), "/automatic", "contradicts_filter",
		fault.T("an automatic tag needs a condition, another one has none", "自动标签必须有条件，非自动标签没有条件"))
	return v.Err()
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
	Bulk   Source = "bulk"   // put on many, or come from another tag by a merge
	Rule   Source = "rule"   // the condition holds
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
	Automatic  bool       // whether the tag has a condition, so that taking it off suppresses it
	Archived   bool       // whether the tag is archived
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

// Suppression is an automatic tag that somebody has taken off a customer: it stays off until it is lifted.
type Suppression struct {
	TagID     uuid.UUID
	Key, Name string
	Actor     string
	Reason    string // empty when nobody gave one
	At        time.Time
}

// Action is what happened between a customer and a tag.
type Action string

// The actions.
const (
	Assigned   Action = "assigned"
	Changed    Action = "changed" // another source, reason or expiry
	Removed    Action = "removed"
	Suppressed Action = "suppressed" // taken off by hand, to stay off although the condition may hold
	Lifted     Action = "lifted"     // the condition decides again
)

// Entry is a line of the history.
type Entry struct {
	CustomerID uuid.UUID
	TagID      uuid.UUID
	Key, Name  string
	Action     Action
	Source     Source // of the assignment
	Cause      string // manual, bulk, merge, expired, exclusive, gone, or a rule.Cause
	Event      string // the type of the event that led a condition to another answer; empty for several or none
	Actor      string
	Reason     string
	ExpiresAt  *time.Time
	ChangeSet  uuid.UUID
	At         time.Time
}
