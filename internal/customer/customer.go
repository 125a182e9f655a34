// Package customer is the people and companies whose assets are managed here.
package customer

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/patch"
)

var (
	ErrNotFound        = fault.New(fault.NotFound, "customer_not_found", "no such customer", "没有这个客户")
	ErrExternalIDTaken = fault.New(fault.Conflict, "external_id_taken",
		"another customer already has this external id", "该外部编号已属于另一个客户")
	ErrExternalIDUnknown = fault.New(fault.NotFound, "external_id_not_found",
		"the customer does not have this external id", "该客户没有这个外部编号")
	ErrDeleted = fault.New(fault.Conflict, "customer_deleted",
		"the customer is deleted; send undelete=true to bring it back", "该客户已删除；如需恢复请传 undelete=true")
	ErrTwice = fault.New(fault.Invalid, "batch_key_repeated",
		"an earlier item of this batch has the same source and external_id", "同一批次中已有相同 source 和 external_id 的条目")
	ErrSortUnknown = fault.New(fault.Invalid, "sort_unknown",
		"there is no such field to sort by", "没有可用于排序的该字段")
)

// Kind tells people from companies.
type Kind string

// The kinds.
const (
	Person  Kind = "person"
	Company Kind = "company"
)

// Stage is where the relation with a customer stands.
type Stage string

// The stages, from first contact to the end.
const (
	Lead     Stage = "lead"
	Prospect Stage = "prospect"
	Active   Stage = "active"
	Dormant  Stage = "dormant"
	Lost     Stage = "lost"
)

// Kinds and Stages are all there are, for conditions and imports.
var (
	Kinds  = []string{string(Person), string(Company)}
	Stages = []string{string(Lead), string(Prospect), string(Active), string(Dormant), string(Lost)}
)

// Channels are how customers are won.
var Channels = []string{"website", "event", "social", "third_party", "referral", "advertising", "visit", "exhibition",
	"phone", "store", "import", "other"}

// Source is how a customer was won. Its zero value says that nobody knows.
type Source struct{ Channel, Detail, Campaign string }

// ExternalID is what another system calls a customer.
type ExternalID struct{ Source, ID string }

// Customer is a person or company. Empty texts are values that nobody gave.
type Customer struct {
	ID          uuid.UUID // UUIDv7; unique within its tenant
	Version     int64     // raised by each change of the fields below
	Kind        Kind
	Name        string
	Stage       Stage
	Source      Source
	Owner       string // who looks after the customer
	Country     string // ISO 3166-1 alpha-2
	Province    string
	City        string
	Industry    string
	Attributes  Attributes   // never nil
	ExternalIDs []ExternalID // sorted by source and id; never nil
	CreatedAt   time.Time    // UTC, microseconds: what the database keeps
	UpdatedAt   time.Time
	DeletedAt   *time.Time
	MergedInto  *uuid.UUID // the survivor, when this one was merged away

	Warnings []fault.Field // what the write at hand found odd and let pass; not stored
}

// clone is a copy that shares nothing which a change could reach.
func (c Customer) clone() *Customer {
	c.Attributes = maps.Clone(c.Attributes)
	c.ExternalIDs = slices.Clone(c.ExternalIDs)
	c.Warnings = nil
	return &c
}

// Registration is what a caller may say about a new customer, and nothing more.
type Registration struct {
	Kind                                     Kind
	Name                                     string
	Stage                                    Stage // prospect unless told
	Source                                   Source
	Owner, Country, Province, City, Industry string
	ExternalIDs                              []ExternalID
	Attributes                               Attributes
}

// SourceChange is a merge patch of a source; null clears the source as a whole.
type SourceChange struct {
	Channel          *string
	Detail, Campaign patch.Field[string]
}

// Change is a merge patch of a customer.
type Change struct {
	Kind                                     *Kind
	Name                                     *string
	Stage                                    *Stage
	Source                                   patch.Field[SourceChange]
	Owner, Country, Province, City, Industry patch.Field[string]
	Attributes                               patch.Field[Attributes] // merged key by key
}

// apply merges the change into a customer.
func (c Change) apply(to *Customer) {
	patch.Keep(&to.Kind, c.Kind)
	patch.Keep(&to.Name, c.Name)
	patch.Keep(&to.Stage, c.Stage)
	c.mergeSource(&to.Source)
	c.Owner.Into(&to.Owner)
	c.Country.Into(&to.Country)
	c.Province.Into(&to.Province)
	c.City.Into(&to.City)
	c.Industry.Into(&to.Industry)
	switch {
	case !c.Attributes.Given:
	case c.Attributes.Value == nil:
		to.Attributes = Attributes{}
	default:
		to.Attributes = to.Attributes.merge(*c.Attributes.Value)
	}
	to.tidy()
}

// changed is the names of the fields that differ between two states of a customer, with their values before.
func changed(before, to *Customer) (previous map[string]any) {
	previous = map[string]any{}
	note := func(name string, changed bool, value any) {
		if changed {
			previous[name] = value
		}
	}
	note("kind", before.Kind != to.Kind, before.Kind)
	note("name", before.Name != to.Name, before.Name)
	note("stage", before.Stage != to.Stage, before.Stage)
	note("source", before.Source != to.Source, before.Source.document())
	note("owner", before.Owner != to.Owner, before.Owner)
	note("country", before.Country != to.Country, before.Country)
	note("province", before.Province != to.Province, before.Province)
	note("city", before.City != to.City, before.City)
	note("industry", before.Industry != to.Industry, before.Industry)
	for key := range before.Attributes.merge(to.Attributes) {
		note("attributes."+key, !reflect.DeepEqual(before.Attributes[key], to.Attributes[key]), before.Attributes[key])
	}
	return previous
}

func (c Change) mergeSource(to *Source) {
	switch {
	case !c.Source.Given:
	case c.Source.Value == nil:
		*to = Source{}
	default:
		patch.Keep(&to.Channel, c.Source.Value.Channel)
		c.Source.Value.Detail.Into(&to.Detail)
		c.Source.Value.Campaign.Into(&to.Campaign)
	}
}

// document is the source as the contract shows it.
func (s Source) document() any {
	if s == (Source{}) {
		return nil
	}
	d := map[string]string{"channel": s.Channel}
	if s.Detail != "" {
		d["detail"] = s.Detail
	}
	if s.Campaign != "" {
		d["campaign"] = s.Campaign
	}
	return d
}

// tidy takes away spaces around texts, which nobody means and no search finds.
func (c *Customer) tidy() {
	for _, s := range []*string{&c.Name, &c.Source.Detail, &c.Source.Campaign, &c.Owner, &c.Province, &c.City, &c.Industry} {
		*s = strings.TrimSpace(*s)
	}
}

// check is what a customer must fulfil beyond the contract's types and lengths.
func (c *Customer) check() error {
	var v fault.Validator
	v.Check(Visible(c.Name), "/name", "required", fault.T("a customer needs a name that can be seen", "客户必须有可见的名称"))
	v.Check(c.Source == (Source{}) || c.Source.Channel != "", "/source/channel", "required",
		fault.T("a source needs a channel", "来源必须有渠道"), Channels...)
	seen := map[ExternalID]bool{}
	for i, id := range c.ExternalIDs {
		pointer := "/external_ids/" + strconv.Itoa(i)
		v.Check(!seen[id], pointer, "repeated", fault.T("an external id is given twice", "外部编号重复"))
		v.Check(id.tidy(), pointer+"/external_id", "bad_external_id", badExternalID)
		seen[id] = true
	}
	return v.Err()
}

// Visible reports whether a text shows anything at all: white space and marks of direction or width alone don't.
func Visible(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return unicode.IsGraphic(r) && !unicode.IsSpace(r) })
}

// badExternalID says why: files and other systems lose such characters, and would then make a second customer.
var badExternalID = fault.T("must not begin or end with white space, nor hold control characters", "首尾不能有空白，也不能含控制字符")

func (id ExternalID) tidy() bool {
	return id.ID == strings.TrimSpace(id.ID) && !strings.ContainsFunc(id.ID, unicode.IsControl)
}

// Outcome is what became of one item of a batch or import.
type Outcome string

// The outcomes.
const (
	Created   Outcome = "created"
	Updated   Outcome = "updated"
	Unchanged Outcome = "unchanged"
)
