// Package rule keeps true what conditions decide about customers: who is in a segment, carries an automatic tag, holds a
// tier.
//
// A [Subject] knows its rules and writes what follows from them. The [Engine] evaluates those that read what a transaction
// changed, for the customers it changed, before the transaction commits ([Engine.Settle]); and for everybody, in chunks,
// when a rule itself changes or a day passes ([Engine.Work]). Either way one statement decides all rules concerned for all
// customers concerned and writes what differs; only rules that read what others decide wait for a statement of their own.
//
// Writers share a lock per tenant while they settle, and whoever changes rules takes it alone ([Engine.Changed]): every
// customer is judged by the rules that were in force when its change committed, or by the job that follows the rules'
// change.
//
// When a new run of a score comes into force, rules that read nothing of it but its band or label are put to those alone whose band
// or label the run has moved ([Runs]).
package rule

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// ErrCycle is answered to a rule that would depend on itself.
var ErrCycle = fault.New(fault.Conflict, "rule_cycle", "the condition would depend on itself", "该条件会循环依赖自身")

// Rule is one question that is put to every customer.
type Rule struct {
	ID       uuid.UUID
	Field    string      // what it decides, as condition.Reads names it: segments.vip, tags.gold, tiers.value
	Decide   filter.Expr // an integer over c, the customer, and m, its metrics; what it means is the subject's affair
	Reads    []string    // what Decide depends on, see condition.Reads; a rule that reads nothing is only put to all by its job
	Relative bool        // whether the answer changes as days pass
	Graded   bool        // whether it reads nothing of scores but bands and labels
	Also     []Part      // what else it decides: of an exclusive group one rule tells which of the tags it is
	Terms    any         // what the subject has to know to write what was decided; the engine does not look at it

	// Why is SQL over c and m for what decided, an integer, where Decide's condition has the outcome holds. It prefers
	// leaves that prefer likes. Nil when the subject has no use for it.
	Why func(holds bool, prefer func(filter.Leaf) bool) filter.Expr
}

// Part is one of several things that a rule decides together.
type Part struct {
	ID    uuid.UUID
	Field string
}

// parts are everything that the rule decides.
func (r Rule) parts() []Part { return append([]Part{{r.ID, r.Field}}, r.Also...) }

// decides reports whether a rule decides about the thing with this id.
func (r Rule) decides(id uuid.UUID) bool {
	return slices.ContainsFunc(r.parts(), func(p Part) bool { return p.ID == id })
}

// Subject is a kind of thing whose rules decide about customers.
type Subject interface {
	// Name tells subjects apart in jobs and in SQL: segment, tag, tier.
	Name() string

	// Rules are all that the tenant has, compiled in language, which is good for one local day: its expressions hold
	// [filter.Now]. One whose condition no longer means anything is left out: it must not stop the tenant's writes.
	Rules(ctx context.Context, q postgres.Querier, t tenant.Tenant, language condition.Language) ([]Rule, error)

	// Write is SQL that makes so what rules decided: common table expressions, separated by commas, whose names begin with
	// the subject's. They find in judged, for each customer,
	//
	//	customer_id uuid, gone boolean, <subject> integer[]
	//
	// where gone is a deleted or merged one and the array has what each rule decided, in the order of rules; 0 for the gone.
	// They write only what differs, and the last one is
	//
	//	<subject>_changed (customer_id uuid, field text, previous jsonb)
	//
	// with what changed for whom, as it stands in events. [Tenant], [Actor], [ChangeSet], [Because], [Event] and [filter.Now]
	// are the values that differ from call to call. The customers are locked.
	Write(rules []Rule, prefer func(filter.Leaf) bool) filter.Expr

	// Differs is SQL that finds, among everybody of the tenant, those for whom Write would write something. It may find a few for
	// whom there is nothing to write, where telling them apart would cost more than looking at them.
	Differs(tenantID int32, rules []Rule) Difference
}

// Difference is SQL over all customers at once: judged is as for [Subject.Write], and j is a row of it. It has to bear a million
// of them: what stands is joined, not looked up.
type Difference struct {
	Join  filter.Expr // what is joined to judged j
	Where filter.Expr // true for who differs, or may
}

// Value stands among the values of a subject's SQL for one that is known when it is executed.
type Value int

// The values.
const (
	Tenant    Value = iota // integer
	Customers              // uuid[]: whom the statement is about
	Actor                  // text
	ChangeSet              // uuid
	Because                // text: the Cause
	Event                  // text: the type of the event that led here; empty for none or several

	gone  // boolean[]: which of the customers are deleted or merged, where that is given
	after // uuid: only customers with higher ids
)

// Cause is why rules were evaluated, for logs and histories.
type Cause string

// The causes.
const (
	Write      Cause = "write"       // of the customer's own facts
	RuleChange Cause = "rule_change" // of the rule, or of what it means
	NewDay     Cause = "new_day"
)
