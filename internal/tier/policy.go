package tier

import (
	"time"

	"github.com/kezi-io/kezi/internal/tenant"
)

// Standing is where the rules have a customer.
type Standing struct {
	Rank      int        // 1 for the highest tier; 0 for none yet
	EnteredOn tenant.Day // the day on which the tier was entered

	DowngradeOn  *tenant.Day // the day of the coming downgrade; nil unless the condition has failed
	PeriodEndsOn *tenant.Day // the last day of the period that is judged next; nil where tiers are judged at once, and in the lowest one
	SteppedOn    *tenant.Day // the day of the last step down of one tier
}

// Judgement is what a scheme's conditions say of a customer.
type Judgement struct {
	Now   int  // the highest tier that can be entered now
	Then  int  // the highest tier that could be entered for the period that is judged; Now where no period has ended
	Keeps bool // whether the condition for staying in the tier holds, for that period; true while none has ended
}

// Move is what became of a standing.
type Move string

// The moves.
const (
	Placed Move = "placed"
	Up     Move = "up"
	Down   Move = "down"
	Keeps  Move = "keeps"
	Fails  Move = "fails" // its downgrade is coming
)

// Policy is how a scheme moves customers, beside its conditions.
type Policy struct {
	Tiers        int // how many there are
	Downgrade    Downgrade
	Periodic     bool // judged when periods end
	Grace        int  // days
	Window       Window
	Months, Days int // of a period
}

func (d Definition) policy() Policy {
	return Policy{Tiers: len(d.Tiers), Downgrade: d.Downgrade, Periodic: d.DowngradeAt == PeriodEnd && d.Downgrade != Never, Grace: d.GraceDays, Window: d.Window,
		Months: d.Months, Days: d.Days}
}

// century is the day from which calendar years are counted.
var century = tenant.Day{Time: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)}

// Next is where a customer stands after a judgement today. anniversary is the customer's, for a scheme of that window.
//
//   - Who could enter a higher tier does so at once.
//   - Who can't enter the tier again, and whose condition for staying in it fails, leaves it: at once, or for a scheme that
//     judges periods on the day after the period, in either case after the days of grace. If the condition holds again by
//     then, nothing happens.
//   - Down is one tier, at most once a day, or as far as to the tier that could be entered.
//   - A period begins on 1 January, on the customer's anniversary, or for a rolling window on the day on which the tier was
//     entered, and again after each window's length.
func (p Policy) Next(s Standing, j Judgement, anniversary, today tenant.Day) (Standing, Move) {
	before, move := s, Keeps
	best := min(j.Now, j.Then)
	switch {
	case s.Rank == 0:
		move, s.Rank = Placed, best
	case best < s.Rank:
		move, s.Rank = Up, best
	case j.Keeps || j.Then <= s.Rank || p.Downgrade == Never:
	default:
		due := p.due(s, today)
		if today.Before(due.Time) || p.Downgrade == OneStep && s.SteppedOn != nil && *s.SteppedOn == today {
			s.DowngradeOn = &due
			return s, Fails
		}
		move, s.Rank = Down, j.Then
		if p.Downgrade == OneStep {
			s.Rank, s.SteppedOn = before.Rank+1, &today
		}
	}
	s.DowngradeOn = nil
	if move != Keeps {
		s.EnteredOn = today
	}
	switch {
	case !p.Periodic || s.Rank == p.Tiers:
		s.PeriodEndsOn = nil
	case move != Keeps || s.PeriodEndsOn == nil || s.PeriodEndsOn.Before(today.Time):
		end := p.periodEnd(s.EnteredOn, anniversary, today)
		s.PeriodEndsOn = &end
	}
	return s, move
}

// due is the day on which a customer who fails leaves the tier.
func (p Policy) due(s Standing, today tenant.Day) tenant.Day {
	switch {
	case p.Periodic:
		return plus(*s.PeriodEndsOn, 1+p.Grace)
	case s.DowngradeOn != nil:
		return *s.DowngradeOn
	}
	return plus(today, p.Grace)
}

func (p Policy) anchor(entered, anniversary tenant.Day) tenant.Day {
	switch p.Window {
	case CalendarYear:
		return century
	case Anniversary:
		return anniversary
	}
	return entered
}

// periodEnd is the last day of the period that contains day.
func (p Policy) periodEnd(entered, anniversary, day tenant.Day) tenant.Day {
	return plus(PeriodStart(p.anchor(entered, anniversary), p.Months, p.Days, day, 1), -1)
}

// PeriodStart is the first day of the period that contains day, or of the next one after so many. The database's
// kezi_period_start is the same.
func PeriodStart(anchor tenant.Day, months, days int, day tenant.Day, after int) tenant.Day {
	if months == 0 {
		n := int(day.Sub(anchor.Time).Hours()) / 24
		return plus(anchor, days*(after+floor(n, days)))
	}
	k := floor((day.Year()-anchor.Year())*12+int(day.Month())-int(anchor.Month()), months)
	if plusMonths(anchor, months*k).After(day.Time) {
		k--
	}
	return plusMonths(anchor, months*(after+k))
}

func floor(n, by int) int {
	q := n / by
	if n%by < 0 {
		q--
	}
	return q
}

func plus(d tenant.Day, days int) tenant.Day { return tenant.Day{Time: d.AddDate(0, 0, days)} }

// plusMonths keeps the day of the month, or takes the last day of a month that is too short.
func plusMonths(d tenant.Day, months int) tenant.Day {
	first := time.Date(d.Year(), d.Month()+time.Month(months), 1, 0, 0, 0, 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return tenant.Day{Time: time.Date(first.Year(), first.Month(), min(d.Day(), last), 0, 0, 0, 0, time.UTC)}
}
