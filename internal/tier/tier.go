// Package tier is ordered levels that every customer has one of, per scheme.
//
// A scheme's conditions say who enters a tier and who keeps it; [Policy.Next] says what follows from that for one customer
// as days pass. Rules writes the same for all customers at once.
package tier

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/tenant"
)

var (
	ErrNotFound = fault.New(fault.NotFound, "tier_scheme_not_found", "no such tier scheme", "没有这个分层方案")
	ErrNoTier   = fault.New(fault.NotFound, "tier_not_found", "the scheme has no such tier", "该分层方案没有这个层级")
	ErrNoDraft  = fault.New(fault.Conflict, "tier_draft_missing", "the scheme has no draft", "该分层方案没有草稿")
	ErrInactive = fault.New(fault.Conflict, "tier_scheme_inactive",
		"the scheme is a draft that nobody is placed by; activate it first", "该分层方案仍是草稿，尚未启用，请先启用")
	ErrKeyTaken = fault.New(fault.Conflict, "tier_scheme_key_taken", "another tier scheme already has this key", "该键已被另一个分层方案使用")
	ErrInUse    = fault.New(fault.Conflict, "tier_scheme_in_use",
		"a condition names the scheme's tiers", "有条件引用了该方案")
	ErrTierInUse    = fault.New(fault.Conflict, "tier_in_use", "the tier that should go is in use", "要删除的层级仍在使用")
	ErrScoreUnknown = fault.New(fault.Invalid, "score_model_unknown",
		"there is no score model with this key; create it first with POST /v1/score-models, or name another one as score",
		"没有此键的评分模型；请先用 POST /v1/score-models 创建，或在 score 中指定其他模型")
)

// Tier is one level.
type Tier struct {
	ID        uuid.UUID // kept by key when a scheme's tiers are replaced
	Key       string
	Name      string
	Condition filter.Node // for entering it; nil in the last tier, which takes whom no other takes
	Keep      filter.Node // for staying in it; nil is the same as for entering
	Strategy  string      // how to treat its customers
	Benefits  []Benefit   // never nil
}

// Benefit is something that a tier's customers get.
type Benefit struct {
	Kind    BenefitKind `json:"kind"`
	Name    string      `json:"name"`
	Value   *float64    `json:"value,omitempty"` // per cent off, or by what points are multiplied
	Details string      `json:"details,omitempty"`
}

// BenefitKind is what sort of benefit it is.
type BenefitKind string

// The kinds of benefits.
const (
	Discount         BenefitKind = "discount"          // Value per cent off
	EarlyAccess      BenefitKind = "early_access"      // to what is new
	ServicePerson    BenefitKind = "service_person"    // somebody of their own
	PointsMultiplier BenefitKind = "points_multiplier" // times Value
	Other            BenefitKind = "other"
)

// Window is over which days facts qualify for a tier.
type Window string

// The windows.
const (
	Rolling      Window = "rolling"       // so many months or days up to today
	CalendarYear Window = "calendar_year" // since 1 January
	Anniversary  Window = "anniversary"   // since the last anniversary of the first purchase, or of the record's first day without one
)

// Downgrade is what becomes of who no longer fulfils a tier's condition.
type Downgrade string

// The ways down.
const (
	Never   Downgrade = "none"     // only up
	OneStep Downgrade = "one_step" // to the next lower tier, once in a day or period
	Direct  Downgrade = "direct"   // to the tier whose condition for entering holds
)

// Moment is when a tier's condition is judged.
type Moment string

// The moments.
const (
	AtOnce    Moment = "at_once"
	PeriodEnd Moment = "period_end" // for the period that has ended
)

// Definition is what a scheme decides by.
type Definition struct {
	Tiers        []Tier // from the highest to the lowest; at least two
	Window       Window
	Months, Days int // length of a rolling window: one of them is 0. Other windows are of 12 months.
	Downgrade    Downgrade
	DowngradeAt  Moment
	GraceDays    int // for which a customer stays in a tier whose condition no longer holds
}

// Scheme is a set of tiers of which every customer has one.
type Scheme struct {
	ID          uuid.UUID // internal; callers know the key
	Version     int64     // raised by each change of the fields below
	Key         string
	Name        string
	Preset      string // which one it was made from; empty for none
	Revision    int    // of the definition in force; 0 when none is yet
	Definition         // in force; of no tiers when none is yet
	Draft       *Definition
	EvaluatedAt *time.Time // when the last evaluation of everyone ended
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// Active reports whether customers are placed by the scheme.
func (s Scheme) Active() bool { return s.Revision > 0 }

// Revision is a definition that was or is in force.
type Revision struct {
	Number int
	Definition
	Actor       string
	ActivatedAt time.Time
}

// TierDraft is what a caller says of a tier. Conditions are the JSON form of a filter; the last tier has none.
type TierDraft struct {
	Key, Name       string
	Condition, Keep json.RawMessage
	Strategy        string
	Benefits        []Benefit
}

// Terms are what a caller says of a definition. Nil keeps; tiers are replaced as a whole, and so is the window.
type Terms struct {
	Tiers       []TierDraft
	Window      *WindowDraft
	Downgrade   *Downgrade
	DowngradeAt *Moment
	GraceDays   *int
}

func (t Terms) empty() bool {
	return t.Tiers == nil && t.Window == nil && t.Downgrade == nil && t.DowngradeAt == nil && t.GraceDays == nil
}

// WindowDraft is a window; a rolling one of neither months nor days is of 12 months.
type WindowDraft struct {
	Window       Window
	Months, Days int
}

// Draft is what a caller says of a new scheme: its terms, or a preset with the score model that it reads.
type Draft struct {
	Key, Name, Preset, Score string
	Terms
	Inactive bool // only a draft: nobody is placed until it is activated
}

// Change is a merge patch of a scheme and of the definition in force.
type Change struct {
	Name *string
	Terms
}

func (d Definition) index(key string) int {
	return slices.IndexFunc(d.Tiers, func(t Tier) bool { return t.Key == key })
}

// conditions are all conditions of the definition.
func (d Definition) conditions() []filter.Node {
	var all []filter.Node
	for _, t := range d.Tiers {
		if t.Condition != nil {
			all = append(all, t.Condition)
		}
		if t.Keep != nil {
			all = append(all, t.Keep)
		}
	}
	return all
}

// qualifies reports whether the definition's window matters.
func (d Definition) qualifies() bool { return slices.ContainsFunc(d.conditions(), filter.Qualifies) }

// document is the definition as it is stored and as events show it.
func (d Definition) document() document {
	out := document{Window: d.Window, Months: d.Months, Days: d.Days, Downgrade: d.Downgrade, DowngradeAt: d.DowngradeAt, GraceDays: d.GraceDays,
		Tiers: make([]tierDocument, len(d.Tiers))}
	for i, t := range d.Tiers {
		out.Tiers[i] = tierDocument{ID: t.ID, Key: t.Key, Name: t.Name, Condition: raw(t.Condition), Keep: raw(t.Keep), Strategy: t.Strategy, Benefits: t.Benefits}
	}
	return out
}

// raw is a condition in JSON; nil for none.
func raw(n filter.Node) json.RawMessage {
	if n == nil {
		return nil
	}
	out, _ := json.Marshal(n) // a condition that was parsed can be written
	return out
}

type document struct {
	Tiers       []tierDocument `json:"tiers"`
	Window      Window         `json:"window"`
	Months      int            `json:"months"`
	Days        int            `json:"days"`
	Downgrade   Downgrade      `json:"downgrade"`
	DowngradeAt Moment         `json:"downgrade_at"`
	GraceDays   int            `json:"grace_days"`
}

// tierDocument is a tier in JSON, as columns reads it too.
type tierDocument struct {
	ID        uuid.UUID       `json:"id"`
	Key       string          `json:"key"`
	Name      string          `json:"name"`
	Condition json.RawMessage `json:"condition,omitempty"` // none in the last tier
	Keep      json.RawMessage `json:"keep,omitempty"`
	Strategy  string          `json:"strategy,omitempty"`
	Benefits  []Benefit       `json:"benefits,omitempty"`
}

func (d document) definition() (Definition, error) {
	out := Definition{Window: d.Window, Months: d.Months, Days: d.Days, Downgrade: d.Downgrade, DowngradeAt: d.DowngradeAt, GraceDays: d.GraceDays}
	for _, t := range d.Tiers {
		made, err := t.tier()
		if err != nil {
			return Definition{}, err
		}
		out.Tiers = append(out.Tiers, made)
	}
	return out, nil
}

func (d tierDocument) tier() (Tier, error) {
	t := Tier{ID: d.ID, Key: d.Key, Name: d.Name, Strategy: d.Strategy, Benefits: d.Benefits}
	if t.Benefits == nil {
		t.Benefits = []Benefit{}
	}
	for _, c := range []struct {
		raw json.RawMessage
		to  *filter.Node
	}{{d.Condition, &t.Condition}, {d.Keep, &t.Keep}} {
		if len(c.raw) == 0 || string(c.raw) == "null" {
			continue
		}
		var err error
		if *c.to, err = filter.ParseJSON(c.raw); err != nil {
			return Tier{}, err
		}
	}
	return t, nil
}

// Placement is the tier of a customer in one scheme.
type Placement struct {
	Scheme     string // keys
	SchemeName string
	Key        string
	Name       string
	PlacedAt   time.Time // since when the customer is in this tier
	Strategy   string    // how to treat who is in it
	Benefits   []Benefit

	Earned       string      // the key of the tier by the rules; empty before the first evaluation
	DowngradeOn  *tenant.Day // the day on which the customer leaves the earned tier unless its condition holds again
	PeriodEndsOn *tenant.Day // the last day of the period after which the earned tier is judged
	Manual       *Manual     // nil unless somebody has placed the customer by hand
}

// Manual is a placement by hand, which beats the rules.
type Manual struct {
	Tier   string      // key
	Until  *tenant.Day // the last day; nil until it is lifted
	Reason string
	Actor  string
	At     time.Time
}

// Distribution is how customers that are not deleted spread over a scheme's tiers.
type Distribution struct {
	Scheme    Scheme
	Customers []int64 // by tier, in the scheme's order
	Unplaced  int64   // not placed since they were created
	Total     int64   // all of them: the sum of the above
}

// Passage is a line of a customer's history.
type Passage struct {
	CustomerID  uuid.UUID
	Scheme      string // key
	Change      string // placed, up, down, grace or recovered
	From, To    string // keys of tiers, which may be gone; empty for none
	Cause       string // write, import, rule_change, new_day, manual, expiry, grace_end or period_end
	Event       string // the type of the event that led here; empty for several or none
	Reason      string
	DowngradeOn *tenant.Day // of grace
	Actor       string
	ChangeSet   uuid.UUID
	At          time.Time
}
