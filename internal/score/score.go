// Package score is what customers are worth and will do: models, their runs, and the scores that runs compute.
package score

import (
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/tenant"
)

var (
	ErrNotFound = fault.New(fault.NotFound, "score_model_not_found", "no such score model", "没有这个评分模型")
	ErrKeyTaken = fault.New(fault.Conflict, "score_model_key_taken",
		"another score model already has this key", "该 key 已属于另一个评分模型")
	ErrInUse = fault.New(fault.Conflict, "score_model_in_use",
		"a condition reads this score", "有条件正在使用该评分")
	ErrRunNotFound   = fault.New(fault.NotFound, "score_run_not_found", "no such run of this model", "该模型没有这次运行")
	ErrRunInProgress = fault.New(fault.Conflict, "score_run_in_progress",
		"a run of this model is still in progress", "该模型已有一次运行正在进行")
	ErrNothingToRun = fault.New(fault.Conflict, "score_runs_none",
		"there is no active score model, or each has a run in progress", "没有启用的评分模型，或所有模型都正在运行")
	ErrRunNotSucceeded = fault.New(fault.Conflict, "score_run_not_succeeded",
		"only a run that has succeeded can be put into force", "只有成功的运行才能生效")
	ErrRetired = fault.New(fault.Conflict, "score_model_retired",
		"the model is retired: activate it first", "该模型已停用；请先启用")
	ErrClockAhead = fault.New(fault.Conflict, "score_clock_ahead",
		"the model's fixed clock is on a day that has not come yet", "该模型的 fixed 时钟所指的日期尚未到来")
	ErrCycle         = fault.New(fault.Conflict, "score_cycle", "the model would depend on itself", "该模型会循环依赖自身")
	ErrScoreNotFound = fault.New(fault.NotFound, "score_not_found",
		"the customer has no score of this model", "该客户没有该模型的评分")
	ErrNotRun = fault.New(fault.Conflict, "score_model_not_run",
		"the model has no run in force yet", "该模型还没有生效的运行")
	ErrRunDropped = fault.New(fault.Conflict, "score_run_dropped",
		"the scores of this run gave way to newer ones and are no longer kept", "该次运行的评分已被较新的结果取代，不再保留")

	// The next two end a run: its job fails with their code.
	ErrTooFewRepeatBuyers = fault.New(fault.Invalid, "too_few_repeat_buyers",
		"fewer than 10 customers have bought on a second day up to the run's day: too few to fit a model",
		"截至运行日，在第二个日期再次购买的客户少于 10 个，不足以拟合模型")
	ErrNoObservationTime = fault.New(fault.Invalid, "no_observation_time",
		"every customer first bought on the run's day itself: there is no time after it to learn from",
		"所有客户都在运行日当天首次购买，没有可供观察的时间")
)

// Kind is what a model computes.
type Kind string

// The kinds.
const (
	RFM       Kind = "rfm"           // bands of recency, frequency and monetary value
	CLV       Kind = "clv"           // discounted value of the purchases to come
	Churn     Kind = "churn"         // chance of no purchase within the horizon
	Potential Kind = "potential"     // the value to come beside the value so far
	Rules     Kind = "rules"         // points for conditions that hold
	Composite Kind = "composite"     // other scores, weighted
	AtRisk    Kind = "value_at_risk" // a clv score times a churn score
)

// Kinds are all of them.
var Kinds = []Kind{RFM, CLV, Churn, Potential, Rules, Composite, AtRisk}

// predicts reports whether a model of the kind is fitted to histories of purchases.
func (k Kind) predicts() bool { return k == CLV || k == Churn || k == Potential }

// worth reports whether it predicts money.
func (k Kind) worth() bool { return k == CLV || k == Potential }

// buyers reports whether only who has bought has a score.
func (k Kind) buyers() bool { return k == RFM || k.predicts() }

// joins reports whether it is made of other models' scores, its parts.
func (k Kind) joins() bool { return k == Composite || k == AtRisk }

// Model says how customers are scored.
type Model struct {
	ID         uuid.UUID // internal: callers know the key
	Key        string    // unique per tenant
	Version    int64     // raised by any change, also of the run in force
	Revision   int       // raised by a change of parameters only
	Name       string
	Kind       Kind
	Params     Params
	Clock      Clock
	CurrentRun *uuid.UUID // the run in force; nil before the first
	RetiredAt  *time.Time // nil while active; a retired model's scores stay as they are
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// Clock says which day the scores in force are of.
type Clock struct {
	Fixed *tenant.Day // nil for a live clock: today in the tenant's zone
}

// Day is the clock's day at now.
func (c Clock) Day(t tenant.Tenant, now time.Time) tenant.Day {
	if c.Fixed != nil {
		return *c.Fixed
	}
	return t.Today(now)
}

// ClockSetting is a clock as callers write it: fixed comes with a day, live without.
type ClockSetting struct {
	Fixed bool
	Day   *tenant.Day
}

func (s ClockSetting) clock(v *fault.Validator) Clock {
	if !s.Fixed {
		v.Check(s.Day == nil, "/clock/day", "not_of_mode", fault.T("a live clock has no day of its own", "live 时钟不能指定日期"))
		return Clock{}
	}
	v.Check(s.Day != nil, "/clock/day", "required", fault.T("a fixed clock needs its day", "fixed 时钟必须指定日期"))
	v.Check(s.Day == nil || s.Day.Plausible(), "/clock/day", "out_of_range", tenant.Implausible)
	return Clock{Fixed: s.Day}
}

// Creation is what a caller says about a new model.
type Creation struct {
	Key    string
	Name   string // the key unless told
	Kind   Kind
	Params ParamsChange
	Clock  ClockSetting
}

// Change is a merge patch of a model; nil keeps.
type Change struct {
	Name   *string
	Params ParamsChange
	Clock  *ClockSetting
}

// Request asks for a run.
type Request struct {
	AsOf     *tenant.Day // the clock's day unless told
	Activate bool        // put the run into force whatever its day
	// Keep takes over the calibration in force, if there is one by the same parameters, instead of learning a new one.
	Keep bool
}

// Run is one calibration of a model and the scores of everyone by it. It keeps the kind, parameters and revision that
// the model had when the run was asked for.
type Run struct {
	ID          uuid.UUID
	ModelKey    string
	Revision    int
	Kind        Kind
	Params      Params
	AsOf        tenant.Day
	Status      jobs.Status
	Current     bool // in force
	Kept        bool // its scores can be read
	JobID       uuid.UUID
	Version     int64 // raised by any change of the run or its job
	Calibration *Calibration
	Failure     *Diagnostic // why it failed
	Customers   int64       // customers that were neither deleted nor merged away
	Scored      int64
	CreatedAt   time.Time
	FinishedAt  *time.Time

	CalibratedBy *uuid.UUID  // the run that learned the calibration: this one, or an earlier one
	CalibratedOn *tenant.Day // the day of that run
	Live         bool        // of the day on which it was asked for, under a live clock: customers' own writes move its scores on

	no          int64 // names the partition of table scores
	model       uuid.UUID
	activate    bool // comes into force when it succeeds
	recalibrate bool
}

// keep is how many succeeded runs of a model keep their scores, the newest, besides the one in force: enough to go back to, and
// a reader that has just looked up the run in force never finds its scores gone.
const keep = 5

// Scored is one customer's score in a run.
type Scored struct {
	CustomerID uuid.UUID
	Value      float64
	Band       int    // 1 to 5
	Label      string // the named segment of rfm
}

// Summary is a score in force.
type Summary struct {
	Key   string
	Kind  Kind
	Value float64
	Unit  string // points, probability, or the currency of money
	Band  int    // 1 to 5; 5 is the best fifth for rfm and clv, and the likeliest to leave for churn
	Label string
	AsOf  tenant.Day
}

// Score is a score, in force or past, with why it is what it is.
type Score struct {
	Summary
	Revision     int // of the model, when the run was asked for
	RunID        uuid.UUID
	CalibratedBy uuid.UUID // the run that learned the calibration
	ScoredAt     time.Time
	Inputs       map[string]float64 // what was known of the customer on that day
	Explanation  Explanation
	Habits       *Habits // beside an rfm score in force, when asked for alone
}

// Explanation reproduces a score's value exactly from its factors: see explain.
type Explanation struct {
	Text    fault.Text
	Factors []Factor
}

// Factor is one part of a score.
type Factor struct {
	Name         string
	Label        fault.Text // of Name, for people
	Unit         string     // of Value: days, purchases, probability, months, a currency, ...; empty for rules and composite
	Value        *float64   // nil where the model has no say in it
	Band         *int       // rfm
	Weight       *float64   // rfm and composite
	Normalised   *float64   // composite: the value from 0 to 100
	Min          *float64   // composite: the value that counts 0
	Max          *float64   // composite: the value that counts 100
	Inverted     bool       // composite: it is min that counts 100, and max 0
	Condition    string     // rules: in text form
	Holds        *bool      // rules
	AgeDays      *float64   // rules with a half-life: of the newest fact that counts
	Group        string     // rules
	Points       *float64   // rules: before the bounds of the group and of all
	Contribution *float64   // rfm, rules and composite
}
