package transaction

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Status is where an order stands.
type Status string

// Paid, ToShip, Shipped and Completed are purchases.
const (
	Pending   Status = "pending"
	Paid      Status = "paid"
	ToShip    Status = "to_ship"
	Shipped   Status = "shipped"
	Completed Status = "completed"
	Cancelled Status = "cancelled"
	Refunded  Status = "refunded"
)

// Statuses are all there are, for conditions.
var Statuses = []string{string(Pending), string(Paid), string(ToShip), string(Shipped), string(Completed), string(Cancelled), string(Refunded)}

// Purchase reports whether an order of this status counts.
func (s Status) Purchase() bool {
	return s == Paid || s == ToShip || s == Shipped || s == Completed
}

// onward is where an order goes from each status in the course of things. Steps may be left out: cash on delivery ships
// what is not paid, a counter sale is completed at once. Cancelled is called off, refunded is taken back with all its
// money; neither counts. Part of an order that comes back is a return.
var onward = map[Status][]Status{
	Pending:   {Paid, ToShip, Shipped, Completed, Cancelled},
	Paid:      {ToShip, Shipped, Completed, Cancelled, Refunded},
	ToShip:    {Shipped, Completed, Cancelled, Refunded},
	Shipped:   {Completed, Cancelled, Refunded},
	Completed: {Cancelled, Refunded},
}

// checkMove decides whether an order may go from one status to another. Any other way than onward corrects a mistake and
// needs a reason; what has left the house never becomes pending again.
func checkMove(from, to Status, reason string) error {
	switch {
	case from == to || slices.Contains(onward[from], to):
		return nil
	case to == Pending && (from == Shipped || from == Completed || from == Refunded):
		return fault.ErrInvalid.At("/status", "transition_forbidden", fault.T(
			"an order that was shipped, completed or refunded does not become pending again; record a new one",
			"已发货、已完成或已退款的订单不能退回待付款状态；请另建新订单"), accepted(from)...)
	case strings.TrimSpace(reason) == "":
		return fault.ErrInvalid.At("/status", "transition_needs_reason", fault.T(
			"from "+string(from)+" this is a correction; say why in status_reason",
			"从 "+string(from)+" 改为该状态属于更正；请在 status_reason 中说明原因"), accepted(from)...)
	}
	return nil
}

func accepted(from Status) []string {
	all := []string{}
	for _, s := range onward[from] {
		all = append(all, string(s))
	}
	return all
}

// StatusChange is one step of an order's history. Reason and Actor may be unknown.
type StatusChange struct {
	From   Status // empty for what it began with
	To     Status
	At     time.Time
	Actor  string
	Reason string
}

// History is how an order came to its status, the oldest step first. Fails with ErrNotFound.
func (s *Service) History(ctx context.Context, t tenant.Tenant, id uuid.UUID) ([]StatusChange, error) {
	x, err := get(ctx, s.db, t, id)
	if err != nil {
		return nil, err
	}
	changes, err := history(ctx, s.db, t.ID, x)
	if err != nil {
		return nil, err
	}
	first := StatusChange{To: x.Status, At: x.CreatedAt, Actor: x.CreatedBy}
	if len(changes) > 0 {
		first.To = changes[0].From
	}
	return append([]StatusChange{first}, changes...), nil
}
