package btyd

import "fmt"

// Error is a reason why a model cannot be fitted or used; the variables
// below are all there are, to be recognised with errors.Is.
type Error struct {
	Code    string // stable, for programs
	Message string // for people
}

func (e *Error) Error() string { return "btyd: " + e.Message }

var (
	// ErrTooFewRepeatBuyers: fewer than [Options.MinRepeatBuyers] customers
	// bought again (for Gamma-Gamma: have a repeat value above zero).
	ErrTooFewRepeatBuyers = &Error{"too_few_repeat_buyers", "too few customers have bought again to fit a model"}
	// ErrSpread: mean values of one crowd differ by more than a float64 can tell, some 300 orders of magnitude.
	ErrSpread = &Error{"values_too_far_apart", "the customers' mean values are too far apart to fit a model"}
	// ErrNoObservationTime: the customers' mean T is zero, or below 1e-9.
	ErrNoObservationTime = &Error{"no_observation_time", "no customer was observed for any time after the first purchase"}
	// ErrUnknownFamily: [Fit] and [Restore] know the three families of [Families] only.
	ErrUnknownFamily = &Error{"unknown_family", "the model family must be bg_nbd, mbg_nbd or pareto_nbd"}
	// ErrBadParameters: a parameter is missing, not finite, not above zero or beyond all reason.
	ErrBadParameters = &Error{"bad_parameters", "every parameter of a model must be finite and above zero"}
	// ErrBadHorizon: a time ahead, a number of steps or a discount rate makes no sense.
	ErrBadHorizon = &Error{"bad_horizon", "times ahead must be finite and not negative, a discount rate above -1"}
)

// RowError is a row of the input that no model can take, such as a last
// purchase after the end of the calibration period (a clock that was wrong).
// Its stable code is "bad_row".
type RowError struct {
	Row     int    // index into the slice that was passed, from 0
	Problem string // what is wrong with it, with the values
}

func (e *RowError) Error() string { return fmt.Sprintf("btyd: row %d: %s", e.Row, e.Problem) }
