// Package segment is saved conditions under a name: who is in, since when, why, and what to do with them.
package segment

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
	ErrNotFound = fault.New(fault.NotFound, "segment_not_found", "no such segment", "没有这个客户细分")
	ErrKeyTaken = fault.New(fault.Conflict, "segment_key_taken", "another segment already has this key", "该键已被另一个客户细分使用")
	ErrInUse    = fault.New(fault.Conflict, "segment_in_use", "other conditions name the segment", "有其他条件引用了该客户细分")
	ErrUnknown  = fault.New(fault.Invalid, "segment_unknown", "there is no segment with this key", "没有此键的客户细分")
	ErrStatic   = fault.New(fault.Conflict, "segment_static", "the segment has a list, not a condition", "该客户细分是静态名单，没有条件")
	ErrDynamic  = fault.New(fault.Conflict, "segment_dynamic",
		"the segment's condition decides who is in; customers can't be put in by hand", "该客户细分由条件决定成员，不能手工增减")
	ErrArchived = fault.New(fault.Conflict, "segment_archived", "the segment is archived; restore it first", "该客户细分已归档，请先恢复")
)

// Basis is by what a segment divides customers.
type Basis string

// The bases.
const (
	Geographic    Basis = "geographic"
	Demographic   Basis = "demographic"
	Behavioural   Basis = "behavioural"
	Psychographic Basis = "psychographic"
	ByValue       Basis = "value"
)

// Benefit is something that the segment's customers get.
type Benefit struct {
	Kind      string `json:"kind"` // discount, coupon, points, gift, service, event, content, other
	Name      string `json:"name"`
	Details   string `json:"details,omitempty"`
	Reference string `json:"reference,omitempty"` // its id where it is kept, such as a coupon's
}

// Segment is a part of the customers.
type Segment struct {
	ID          uuid.UUID // UUIDv7; unique within its tenant
	Version     int64     // raised by each change of the fields below up to ArchivedAt
	Key         string    // what conditions name
	Name        string
	Description string
	Basis       Basis
	Strategy    string    // how to treat its customers
	Benefits    []Benefit // never nil
	Preset      string    // which one it was made from; empty for none
	Condition   filter.Node
	Revision    int // of the condition; 0 for a static segment, which has none
	ArchivedAt  *time.Time
	EvaluatedAt *time.Time // when a job last put the condition to everybody
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// Static reports whether the segment's customers are those on its list.
func (s Segment) Static() bool { return s.Condition == nil }

// Relative reports whether the condition changes its answer as days pass.
func (s Segment) Relative() bool { return s.Condition != nil && condition.Relative(s.Condition) }

// Draft is what a caller may say about a new segment. Without a condition it is static; a preset gives what is left away.
type Draft struct {
	Key, Name, Description string
	Basis                  Basis
	Strategy               string
	Benefits               []Benefit
	Static                 bool
	Condition              filter.Node
	Preset                 string
}

// Change is a merge patch of a segment.
type Change struct {
	Name, Description, Strategy *string
	Basis                       *Basis
	Benefits                    *[]Benefit
	Condition                   filter.Node // nil keeps
	Archived                    *bool
}

func (c Change) apply(to *Segment, now time.Time) (previous map[string]any) {
	before := to.document()
	patch.Keep(&to.Name, c.Name)
	patch.Keep(&to.Description, c.Description)
	patch.Keep(&to.Strategy, c.Strategy)
	patch.Keep(&to.Basis, c.Basis)
	patch.Keep(&to.Benefits, c.Benefits)
	if c.Condition != nil {
		to.Condition = c.Condition
	}
	if c.Archived != nil && *c.Archived != (to.ArchivedAt != nil) {
		to.ArchivedAt = nil
		if *c.Archived {
			to.ArchivedAt = &now
		}
	}
	to.Name = strings.TrimSpace(to.Name)
	return patch.Differences(before, to.document())
}

// document is the segment as the contract shows what may change.
func (s Segment) document() map[string]any {
	d := map[string]any{"key": s.Key, "name": s.Name, "description": s.Description, "basis": s.Basis, "strategy": s.Strategy,
		"benefits": s.Benefits, "archived": s.ArchivedAt != nil, "filter": nil}
	if raw, err := json.Marshal(s.Condition); err == nil && s.Condition != nil {
		d["filter"] = json.RawMessage(raw)
	}
	return d
}

// check is what a segment must fulfil beyond the contract's types and lengths.
func (s Segment) check() error {
	var v fault.Validator
	v.Check(strings.TrimSpace(s.Name) != "", "/name", "required", fault.T("a segment needs a name", "客户细分必须有名称"))
	for _, name := range condition.Reads(orTrue(s.Condition)) {
		v.Check(name != "segments."+s.Key, "/filter", "self_reference", fault.T("a segment can't read itself", "客户细分不能引用自身"))
	}
	return v.Err()
}

// orTrue is n, or a condition that reads nothing.
func orTrue(n filter.Node) filter.Node {
	if n == nil {
		return filter.And{}
	}
	return n
}

// Membership is a customer's place in a segment.
type Membership struct {
	Key, Name string
	Basis     Basis
	Static    bool
	Since     time.Time
	Strategy  string // how to treat who is in it
	Benefits  []Benefit
}

// Passage is a customer's entering or leaving of a segment.
type Passage struct {
	CustomerID uuid.UUID
	Key, Name  string
	Entered    bool
	Cause      string       // write, rule_change, new_day, list, archived or gone
	Event      string       // the type of the event that led here; empty for several or none
	Leaf       *filter.Leaf // the comparison that decided; nil when no condition did
	Actor      string
	ChangeSet  uuid.UUID
	At         time.Time
}
