// Package contactpoint is how customers are reached: phones, emails and accounts, each normalised, sealed at rest, and
// found by blind indexes alone.
package contactpoint

import (
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/owned"
	"github.com/kezi-io/kezi/internal/patch"
)

var (
	ErrNotFound = fault.New(fault.NotFound, "contact_point_not_found",
		"the customer has no such contact point", "该客户没有这个联系方式")
	ErrTaken = fault.New(fault.Conflict, "contact_point_exists",
		"the customer has this value already", "该客户已有这个联系方式")
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
	owned.Base
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

	rewritten bool // given a value by somebody who must not learn whether it is another one
}

// Draft is what a caller may say about a new contact point.
type Draft struct {
	Kind       Kind
	Platform   string
	Value      string
	Label      string
	Primary    *bool // the first of its kind is, unless told
	Valid      *bool // true unless told
	VerifiedAt *time.Time
	Consent    Consent // unknown unless told
	ContactID  *uuid.UUID
	Source     string
	Blind      bool // the caller is not shown values: see look
}

// Change is a merge patch of a contact point. Its kind and platform stay: another account is another contact point.
type Change struct {
	Value         *string
	Label, Source patch.Field[string]
	Primary       *bool
	Valid         *bool
	VerifiedAt    patch.Field[time.Time]
	Consent       *Consent
	ContactID     patch.Field[uuid.UUID]
	Blind         bool // the caller is not shown values, so any value but the mask counts as another one
}

// write gives the contact point a value as it was written, and fails with fault.ErrInvalid. It answers whether the
// value is another one now: a new spelling of the same value changes nothing. Blind it always is.
func (p *ContactPoint) write(given, region string, blind bool) (bool, error) {
	if p.Value != "" && given == Masked(p.Kind, p.Value) { // a form sends back what it was shown
		return false, nil
	}
	n, wrong := Normalize(p.Kind, p.Platform, given, region)
	if wrong != nil {
		at := "/value"
		switch wrong.Code {
		case "platform_missing", "bad_platform", "not_applicable":
			at = "/platform"
		}
		return false, fault.ErrInvalid.At(at, wrong.Code, wrong.Detail)
	}
	p.rewritten = blind
	if !blind && n.folded() == p.normal().folded() {
		return false, nil
	}
	p.Platform, p.Value, p.NumberType, p.Given = n.Platform, n.Value, n.NumberType, ""
	if given = strings.TrimSpace(given); given != n.Value {
		p.Given = given
	}
	return true, nil
}

func (p *ContactPoint) normal() Normal {
	return Normal{Kind: p.Kind, Platform: p.Platform, Value: p.Value, NumberType: p.NumberType}
}

func (p *ContactPoint) check(now time.Time) error {
	p.Label, p.Source = strings.TrimSpace(p.Label), strings.TrimSpace(p.Source)
	if p.VerifiedAt != nil {
		at := p.VerifiedAt.UTC().Truncate(time.Microsecond)
		p.VerifiedAt = &at
	}
	var v fault.Validator
	v.Check(p.VerifiedAt == nil || !p.VerifiedAt.After(now.Add(clockSkew)), "/verified_at", "in_future",
		fault.T("this moment has not come yet", "不能是将来的时间"))
	return v.Err()
}

// clockSkew is how far a caller's clock may be ahead.
const clockSkew = 5 * time.Minute

func (c Change) apply(to *ContactPoint, region string) error {
	var wrong error
	if c.Value != nil {
		var changed bool
		if changed, wrong = to.write(*c.Value, region, c.Blind); changed { // what was known was known of the old value
			to.VerifiedAt, to.Valid = nil, true
		}
	}
	c.Label.Into(&to.Label)
	c.Source.Into(&to.Source)
	patch.Keep(&to.Primary, c.Primary)
	patch.Keep(&to.Valid, c.Valid)
	patch.Keep(&to.Consent, c.Consent)
	if c.VerifiedAt.Given {
		to.VerifiedAt = c.VerifiedAt.Value
	}
	if c.ContactID.Given {
		to.ContactID = c.ContactID.Value
	}
	return wrong
}

// difference hides the value: events tell that it changed, never what it is.
func difference(before, after ContactPoint) map[string]any {
	previous := map[string]any{}
	note := func(name string, changed bool, value any) {
		if changed {
			previous[name] = value
		}
	}
	note("kind", before.Kind != after.Kind, before.Kind)
	note("platform", before.Platform != after.Platform, before.Platform)
	note("value", before.Value != after.Value || before.Given != after.Given || after.rewritten, owned.Hidden)
	note("label", before.Label != after.Label, before.Label)
	note("primary", before.Primary != after.Primary, before.Primary)
	note("valid", before.Valid != after.Valid, before.Valid)
	note("verified_at", !equal(before.VerifiedAt, after.VerifiedAt, time.Time.Equal), before.VerifiedAt)
	note("consent", before.Consent != after.Consent, before.Consent)
	note("contact_id", !equal(before.ContactID, after.ContactID, func(a, b uuid.UUID) bool { return a == b }), before.ContactID)
	note("source", before.Source != after.Source, before.Source)
	return previous
}

func equal[T any](a, b *T, same func(a, b T) bool) bool {
	return (a == nil) == (b == nil) && (a == nil || same(*a, *b))
}
