// Package customer is the people and companies whose assets are managed here.
package customer

import (
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
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
	ErrTooCostly = fault.New(fault.Invalid, "condition_too_costly",
		"finding these customers takes too long to wait for: narrow the condition by a tag, tier, segment, city or owner, or keep it as a segment, which a job fills and a list then reads at once",
		"查找这些客户耗时过长：请用标签、等级、分群、城市或负责人缩小条件，或将条件保存为分群，由后台作业计算后即可立即读取")
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
	"phone", "store", "email", "form", "research", "system", "import", "other"}

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
	Aliases     []string // other names, old ones among them; never nil
	Stage       Stage
	Source      Source
	Owner       string   // who looks after the customer
	Departments []string // labels of the departments that do; never nil
	Country     string   // ISO 3166-1 alpha-2
	Province    string   // short, as people say it: 浙江
	City        string   // 杭州
	District    string   // 西湖
	Industry    Industry
	Person      PersonDetails  // zero for a company
	Company     CompanyDetails // zero for a person
	Attributes  Attributes     // never nil
	ExternalIDs []ExternalID   // sorted by source and id; never nil
	CreatedAt   time.Time      // UTC, microseconds: what the database keeps
	UpdatedAt   time.Time
	DeletedAt   *time.Time
	MergedInto  *uuid.UUID // the survivor, when this one was merged away

	// Given is what was said where another form of it is stored, by the name of the field: city: 杭州市. nil when
	// everything is stored as it was said.
	Given map[string]string

	Warnings []fault.Field // what the write at hand found odd and let pass; not stored
}

// Industry is a label, and the code of a classification that it stands for.
type Industry struct {
	Label  string
	Scheme string // gbt4754 or isic; empty without a code
	Code   string
}

// clone is a copy that shares nothing which a change could reach.
func (c Customer) clone() *Customer {
	c.Person.Preferences = maps.Clone(c.Person.Preferences)
	c.Attributes = maps.Clone(c.Attributes)
	c.ExternalIDs = slices.Clone(c.ExternalIDs)
	c.Given = maps.Clone(c.Given)
	c.Warnings = nil
	return &c
}

// Registration is what a caller may say about a new customer, and nothing more.
type Registration struct {
	Kind                              Kind
	Name                              string
	Aliases                           []string
	Stage                             Stage // prospect unless told
	StageReason                       string
	Source                            Source
	Owner                             string
	Departments                       []string
	Country, Province, City, District string
	Industry                          Industry
	Person                            PersonDetails
	Company                           CompanyDetails
	ExternalIDs                       []ExternalID
	Attributes                        Attributes
}

func (r Registration) customer(id uuid.UUID) Customer {
	return Customer{ID: id, Kind: r.Kind, Name: r.Name, Aliases: r.Aliases, Stage: r.Stage, Source: r.Source, Owner: r.Owner,
		Departments: r.Departments, Country: r.Country, Province: r.Province, City: r.City, District: r.District,
		Industry: r.Industry, Person: r.Person, Company: r.Company, ExternalIDs: sorted(r.ExternalIDs),
		Attributes: Attributes{}.merge(r.Attributes)}
}

// begun is a customer of whom nothing is known but that a system has an id for it.
func begun(id uuid.UUID, ext ExternalID) Customer {
	return Customer{ID: id, Kind: Person, ExternalIDs: []ExternalID{ext}, Attributes: Attributes{}}
}

// Outcome is what became of one item of a batch or import.
type Outcome string

// The outcomes.
const (
	Created   Outcome = "created"
	Updated   Outcome = "updated"
	Unchanged Outcome = "unchanged"
)
