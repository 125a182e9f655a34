// Package contactpoint is how customers are reached: phones, emails and accounts, each normalised, sealed at rest, and
// found by blind indexes alone.
package contactpoint

import (
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
)

var (
	ErrNotFound = fault.New(fault.NotFound, "contact_point_not_found",
		"the customer has no such contact point", "该客户没有这个联系方式")
	ErrTaken = fault.New(fault.Conflict, "contact_point_exists",
		"the customer has this value already", "该客户已有这个联系方式")
	ErrTooMany = fault.New(fault.Conflict, "too_many_contact_points",
		"a customer has at most 500 contact points", "每个客户最多 500 个联系方式")
)

// Kind says what a value is.
type Kind string

// The kinds.
const (
	Phone  Kind = "phone"
	Fax    Kind = "fax"
	Email  Kind = "email"
	WeChat Kind = "wechat"
	QQ     Kind = "qq"
	Weibo  Kind = "weibo"
	Social Kind = "social" // an account on another platform, which is named
)

// Kinds are all there are.
var Kinds = []string{string(Phone), string(Fax), string(Email), string(WeChat), string(QQ), string(Weibo), string(Social)}

// Consent is whether the customer agreed to hear of offers this way.
type Consent string

// The consents.
const (
	Granted Consent = "granted"
	Denied  Consent = "denied"
	Unknown Consent = "unknown"
)

// ContactPoint is one way to reach a customer, or a contact person of a company.
type ContactPoint struct {
	ID         uuid.UUID
	CustomerID uuid.UUID
	Version    int64
	Kind       Kind
	Platform   string // of a social account
	Value      string // normalised; see Normalize
	Given      string // as it was written, where that differs
	NumberType string // of a phone
	Label      string
	Primary    bool // at most one of each kind of the customer, and of each contact person
	Valid      bool // false once messages came back or the number is dead
	VerifiedAt *time.Time
	Consent    Consent
	ContactID  *uuid.UUID // the person of the company that it belongs to
	Source     string     // where it is from
	CreatedAt  time.Time
	UpdatedAt  time.Time
}
