// Package tier is ordered levels that every customer has one of, per scheme.
package tier

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/patch"
)

var (
	ErrNotFound = fault.New(fault.NotFound, "tier_scheme_not_found", "no such tier scheme", "没有这个分层方案")
	ErrKeyTaken = fault.New(fault.Conflict, "tier_scheme_key_taken", "another tier scheme already has this key", "该键已被另一个分层方案使用")
	ErrInUse    = fault.New(fault.Conflict, "tier_scheme_in_use",
		"a condition names the scheme's tiers", "有条件引用了该方案")
	ErrTierInUse  = fault.New(fault.Conflict, "tier_in_use", "the tier that should go is in use", "要删除的层级仍在使用")
	ErrEvaluating = fault.New(fault.Conflict, "evaluation_in_progress",
		"the scheme is already being evaluated", "该分层方案正在评估中")
	ErrScoreUnknown = fault.New(fault.Invalid, "score_model_unknown",
		"there is no score model with this key; create it first with POST /v1/score-models, or name another one as score",
		"没有此键的评分模型；请先用 POST /v1/score-models 创建，或在 score 中指定其他模型")
)

// Value is the preset of three tiers by the value of customers.
const Value = "value"

const (
	defaultScore = "clv" // the model that the preset reads
	defaultName  = "客户价值"
)

// Tier is one level.
type Tier struct {
	ID        uuid.UUID // kept by key when a scheme's tiers are replaced
	Key       string
	Name      string
	Condition filter.Node // nil in the last tier, which takes whom no other takes
}

// Scheme is a set of tiers of which every customer has one.
type Scheme struct {
	ID          uuid.UUID // internal; callers know the key
	Version     int64     // raised by each change of the fields below
	Key         string
	Name        string
	Tiers       []Tier     // from the highest to the lowest; at least two
	EvaluatedAt *time.Time // when the last evaluation of everyone ended
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// TierDraft is what a caller says of a tier. Condition is the JSON form of a filter, empty in the last one.
type TierDraft struct {
	Key, Name string
	Condition json.RawMessage
}

// Draft is what a caller says of a new scheme: its tiers, or a preset with the score model that it reads.
type Draft struct {
	Key, Name, Preset, Score string
	Tiers                    []TierDraft
}

// Change is a merge patch of a scheme. Nil keeps; tiers are replaced as a whole.
type Change struct {
	Name  *string
	Tiers []TierDraft
}

// check collects what is wrong with the draft itself.
func (d Draft) check(v *fault.Validator) {
	switch {
	case d.Preset == "" && len(d.Tiers) == 0:
		v.Check(false, "/tiers", "required", fault.T("give either tiers or a preset", "请提供 tiers 或 preset 之一"))
	case d.Preset != "" && len(d.Tiers) > 0:
		v.Check(false, "/preset", "conflict", fault.T("give either tiers or a preset, not both", "tiers 与 preset 只能提供其一"))
	case d.Preset == "":
		v.Check(d.Score == "", "/score", "not_allowed", fault.T("only a preset reads a score", "仅在使用 preset 时可指定 score"))
	default:
		v.Check(d.Preset == Value, "/preset", "unknown_value", fault.T("there is no such preset", "没有这个预设"), Value)
	}
}

// preset are the three tiers of a score's bands: 5 is the best fifth, 3 and 4 the next two.
func preset(score string) []TierDraft {
	band := func(op filter.Op, than string) json.RawMessage {
		// Marshalling a leaf of one number does not fail.
		raw, _ := json.Marshal(filter.Leaf{Field: "scores." + score + ".band", Op: op, Values: []filter.Value{filter.Number(than)}})
		return raw
	}
	return []TierDraft{
		{Key: "high", Name: "高价值", Condition: band(filter.Eq, "5")},
		{Key: "potential", Name: "潜力", Condition: band(filter.Gte, "3")},
		{Key: "ordinary", Name: "普通"},
	}
}

// read turns drafts into tiers of the scheme with that key. What is wrong is recorded below /tiers; a condition is
// compiled only to see that it can be.
func read(v *fault.Validator, scheme string, drafts []TierDraft, compile func(raw []byte) (filter.Node, error)) ([]Tier, error) {
	tiers := make([]Tier, len(drafts))
	seen := map[string]bool{}
	v.Check(len(drafts) >= 2, "/tiers", "too_few", fault.T("a scheme has two tiers or more", "分层方案至少有两个层级"))
	for i, d := range drafts {
		at := pointer(i)
		t := Tier{ID: uuid.Must(uuid.NewV7()), Key: d.Key, Name: strings.TrimSpace(d.Name)}
		v.Check(t.Name != "", at+"/name", "required", fault.T("a tier needs a name", "层级必须有名称"))
		v.Check(!seen[t.Key], at+"/key", "repeated", fault.T("a tier above has the same key", "与上方层级的键重复"))
		seen[t.Key] = true
		if last := i == len(drafts)-1; last || len(d.Condition) == 0 {
			v.Check(!last || len(d.Condition) == 0, at+"/condition", "not_allowed",
				fault.T("the last tier takes whom no other takes and has no condition", "最后一个层级接收其余所有客户，不能有条件"))
			v.Check(last, at+"/condition", "required", fault.T("every tier but the last needs a condition", "除最后一个外，每个层级都需要条件"))
		} else {
			var err error
			if t.Condition, err = readCondition(scheme, d.Condition, compile); err != nil {
				if err := v.Merge(at+"/condition", err); err != nil {
					return nil, err
				}
			}
		}
		tiers[i] = t
	}
	return tiers, nil
}

func readCondition(scheme string, raw []byte, compile func(raw []byte) (filter.Node, error)) (filter.Node, error) {
	n, err := filter.ParseJSON(raw)
	if err != nil {
		return nil, err
	}
	if slices.Contains(n.Fields(), "tiers."+scheme) {
		return nil, fault.ErrInvalid.At("", "own_tier",
			fault.T("a condition cannot depend on the tiers of its own scheme", "条件不能依赖本方案自身的层级"))
	}
	return compile(raw)
}

func pointer(i int) string { return "/tiers/" + strconv.Itoa(i) }

// apply makes the change, whose tiers have been read, and answers the fields that it changed with their values before.
func (c Change) apply(to *Scheme, tiers []Tier) (previous map[string]any) {
	previous = map[string]any{}
	name := to.Name
	patch.Keep(&to.Name, c.Name)
	to.Name = strings.TrimSpace(to.Name)
	if to.Name != name {
		previous["name"] = name
	}
	if tiers == nil {
		return previous
	}
	for i, t := range tiers {
		if at := to.index(t.Key); at >= 0 {
			tiers[i].ID = to.Tiers[at].ID
		}
	}
	if !reflect.DeepEqual(to.Tiers, tiers) {
		previous["tiers"] = documents(to.Tiers)
		to.Tiers = tiers
	}
	return previous
}

func (s Scheme) index(key string) int {
	return slices.IndexFunc(s.Tiers, func(t Tier) bool { return t.Key == key })
}

// documents are tiers as the contract shows them.
func documents(tiers []Tier) []map[string]any {
	d := make([]map[string]any, len(tiers))
	for i, t := range tiers {
		d[i] = map[string]any{"key": t.Key, "name": t.Name}
		if t.Condition != nil {
			d[i]["condition"] = t.Condition
		}
	}
	return d
}

// Placement is the tier of a customer in one scheme.
type Placement struct {
	Scheme   string // keys
	Key      string
	Name     string
	PlacedAt time.Time // since when the customer is in this tier
}

// Distribution is how customers that are not deleted spread over a scheme's tiers.
type Distribution struct {
	Scheme    Scheme
	Customers []int64 // by tier, in the scheme's order
	Unplaced  int64   // not placed since they were created
	Total     int64   // all of them: the sum of the above
}
