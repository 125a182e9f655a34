package segment

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Counts are how many customers are in segments.
func (s *Service) Counts(ctx context.Context, t tenant.Tenant, segments ...Segment) (map[uuid.UUID]int64, error) {
	ids := make([]uuid.UUID, len(segments))
	for i, x := range segments {
		ids[i] = x.ID
	}
	return counted(ctx, s.db, t.ID, ids)
}

// Log is a page of who entered and left the segment, newest first. Fails with ErrNotFound.
func (s *Service) Log(ctx context.Context, t tenant.Tenant, key string, req page.Request) (page.Of[Passage], error) {
	x, err := get(ctx, s.db, t.ID, key, unlocked)
	if err != nil {
		return page.Of[Passage]{}, err
	}
	return passages(ctx, s.db, t.ID, &x.ID, nil, req)
}

// OfCustomer are the segments of one customer, or of the survivor that it was merged into. Fails with customer.ErrNotFound.
func (s *Service) OfCustomer(ctx context.Context, t tenant.Tenant, id uuid.UUID) ([]Membership, error) {
	c, err := s.customers.Get(ctx, t, id)
	if err != nil {
		return nil, err
	}
	found, err := Of(ctx, s.db, t.ID, []uuid.UUID{c.ID})
	return found[c.ID], err
}

// LogOfCustomer is a page of what segments the customer entered and left, newest first. Fails with customer.ErrNotFound.
func (s *Service) LogOfCustomer(ctx context.Context, t tenant.Tenant, id uuid.UUID, req page.Request) (page.Of[Passage], error) {
	c, err := s.customers.Get(ctx, t, id)
	if err != nil {
		return page.Of[Passage]{}, err
	}
	return passages(ctx, s.db, t.ID, nil, &c.ID, req)
}

// Explanation tells why a customer is in a segment or not.
type Explanation struct {
	CustomerID uuid.UUID
	Member     bool
	Since      *time.Time
	condition.Explanation
	Condition filter.Node // nil for a static segment, which has no leaves
	Picked    *Pick       // of a static segment; nil when the customer is not on its list
}

// Pick is a place on a static segment's list.
type Pick struct {
	Actor, Reason string
	At            time.Time
}

// Explain tells it for one customer, or the survivor that it was merged into. Matches and Member differ only while a job
// has not yet come to the customer. Fails with ErrNotFound or customer.ErrNotFound.
func (s *Service) Explain(ctx context.Context, t tenant.Tenant, key string, customerID uuid.UUID) (Explanation, error) {
	x, err := get(ctx, s.db, t.ID, key, unlocked)
	if err != nil {
		return Explanation{}, err
	}
	c, err := s.customers.Get(ctx, t, customerID)
	if err != nil {
		return Explanation{}, err
	}
	e := Explanation{CustomerID: c.ID, Condition: x.Condition}
	var pick struct {
		actor, reason *string
		at            *time.Time
	}
	err = s.db.QueryRow(ctx, `SELECT (SELECT since FROM segment_members WHERE tenant_id = $1 AND customer_id = $2 AND segment_id = $3),
			p.actor, p.reason, p.picked_at
		FROM (SELECT) one LEFT JOIN segment_picks p ON p.tenant_id = $1 AND p.customer_id = $2 AND p.segment_id = $3`,
		t.ID, c.ID, x.ID).Scan(&e.Since, &pick.actor, &pick.reason, &pick.at)
	if err != nil {
		return Explanation{}, fmt.Errorf("read a place in segment %s: %w", key, err)
	}
	e.Since = postgres.UTC(e.Since)
	e.Member = e.Since != nil && x.ArchivedAt == nil
	if pick.at != nil {
		e.Picked = &Pick{*pick.actor, *pick.reason, pick.at.UTC()}
	}
	if x.Condition == nil {
		e.Matches = e.Picked != nil
		return e, nil
	}
	l, err := condition.For(ctx, s.db, t, s.now())
	if err != nil {
		return Explanation{}, err
	}
	e.Explanation, err = l.Explain(ctx, s.db, t.ID, c.ID, x.Condition)
	return e, err
}

// MaxOverlap is how many segments can be compared at once.
const MaxOverlap = 20

// Overlap is how many customers segments have in common.
type Overlap struct {
	Segments []Segment
	Counts   [][]int64 // [i][j] are in both; [i][i] in one
	Only     []int64   // in this one and in no other of them
	Any      int64     // in one or more
	All      int64     // in every one
}

// Overlap compares up to MaxOverlap segments. Fails with ErrUnknown or fault.ErrInvalid.
func (s *Service) Overlap(ctx context.Context, t tenant.Tenant, keys []string) (Overlap, error) {
	var v fault.Validator
	v.Check(len(keys) <= MaxOverlap, "/keys", "too_many", fault.T("at most 20 segments", "最多 20 个客户细分"))
	if err := v.Err(); err != nil {
		return Overlap{}, err
	}
	var o Overlap
	ids := make([]uuid.UUID, len(keys))
	for i, key := range keys {
		x, err := get(ctx, s.db, t.ID, key, unlocked)
		if fault.Of(err) != nil {
			return Overlap{}, ErrUnknown.At(fmt.Sprintf("/keys/%d", i), ErrUnknown.Code, ErrUnknown.Message)
		}
		if err != nil {
			return Overlap{}, err
		}
		v.Check(!slices.Contains(ids[:i], x.ID), fmt.Sprintf("/keys/%d", i), "repeated", fault.T("is given twice", "重复"))
		o.Segments, ids[i] = append(o.Segments, x), x.ID
	}
	if err := v.Err(); err != nil {
		return Overlap{}, err
	}
	o.Counts, o.Only = make([][]int64, len(keys)), make([]int64, len(keys))
	for i := range o.Counts {
		o.Counts[i] = make([]int64, len(keys))
	}
	rows, err := s.db.Query(ctx, `SELECT mask, count(*) FROM (SELECT bit_or(1 << (x.n - 1)::integer) AS mask
			FROM unnest($2::uuid[]) WITH ORDINALITY x (id, n) JOIN segment_members m ON m.tenant_id = $1 AND m.segment_id = x.id
			GROUP BY m.customer_id) m GROUP BY mask`, t.ID, ids)
	if err != nil {
		return Overlap{}, fmt.Errorf("compare segments: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var mask int
		var n int64
		if err := rows.Scan(&mask, &n); err != nil {
			return Overlap{}, fmt.Errorf("compare segments: %w", err)
		}
		o.add(mask, n)
	}
	return o, rows.Err()
}

// add counts n customers that are in the segments whose bits mask has.
func (o *Overlap) add(mask int, n int64) {
	o.Any += n
	if mask == 1<<len(o.Segments)-1 {
		o.All += n
	}
	for i := range o.Segments {
		if mask == 1<<i {
			o.Only[i] += n
		}
		for j := range o.Segments {
			if mask&(1<<i) != 0 && mask&(1<<j) != 0 {
				o.Counts[i][j] += n
			}
		}
	}
}

// Value is what a segment's customers are worth.
type Value struct {
	Customers, Buyers, Purchases int64
	Spend                        money.Money
	Expected                     *Expected // nil without a score model in force
}

// Expected is the sum of a clv score.
type Expected struct {
	Model     string
	Customers int64       // who have a score
	Value     money.Money // over the model's horizon
}

// Value adds up what the segment's customers have spent and, with scores, what they are expected to spend by a clv model: the
// one named, or the first one in force. Fails with ErrNotFound, or ErrModelUnknown when the one named has no run in force.
func (s *Service) Value(ctx context.Context, t tenant.Tenant, key string, scores bool, model string) (Value, error) {
	x, err := get(ctx, s.db, t.ID, key, unlocked)
	if err != nil {
		return Value{}, err
	}
	v := Value{Spend: money.Money{Currency: t.Currency}}
	err = s.db.QueryRow(ctx, `SELECT count(*), count(*) FILTER (WHERE m.purchase_count > 0), coalesce(sum(m.purchase_count), 0),
			coalesce(sum(m.spend_total), 0)::bigint
		FROM segment_members s JOIN customer_metrics m ON m.tenant_id = s.tenant_id AND m.customer_id = s.customer_id
		WHERE s.tenant_id = $1 AND s.segment_id = $2`, t.ID, x.ID).Scan(&v.Customers, &v.Buyers, &v.Purchases, &v.Spend.Minor)
	if err != nil {
		return Value{}, fmt.Errorf("add up segment %s: %w", key, err)
	}
	if !scores {
		return v, nil
	}
	found, run, err := clvRun(ctx, s.db, t.ID, model)
	switch {
	case err != nil:
		return Value{}, err
	case run == 0 && model != "":
		return Value{}, ErrModelUnknown.AtParameter("score", ErrModelUnknown.Code, ErrModelUnknown.Message)
	case run == 0:
		return v, nil
	}
	e := Expected{Model: found, Value: money.Money{Currency: t.Currency}}
	err = s.db.QueryRow(ctx, `SELECT count(*), coalesce(round(sum(x.value)::numeric * 10::numeric ^ $4::integer), 0)::bigint
		FROM segment_members s JOIN scores x ON x.tenant_id = s.tenant_id AND x.customer_id = s.customer_id AND x.run_no = $3
		WHERE s.tenant_id = $1 AND s.segment_id = $2`, t.ID, x.ID, run, money.Digits(t.Currency)).Scan(&e.Customers, &e.Value.Minor)
	if err != nil {
		return Value{}, fmt.Errorf("add up the scores of segment %s: %w", key, err)
	}
	v.Expected = &e
	return v, nil
}

// ErrModelUnknown is answered when a value is asked by a model that has none.
var ErrModelUnknown = fault.New(fault.Invalid, "segment_score_unknown", "there is no clv model of this key with a run in force",
	"没有此键且已有生效批次的 clv 模型")

// clvRun is a clv model in force and its run: the one named, or the first by key; 0 for none.
func clvRun(ctx context.Context, q postgres.Querier, tenantID int32, model string) (key string, run int64, err error) {
	err = q.QueryRow(ctx, `SELECT key, current_run FROM score_models WHERE tenant_id = $1 AND kind = 'clv' AND current_run IS NOT NULL
		AND ($2 = '' OR key = $2) ORDER BY key LIMIT 1`, tenantID, model).Scan(&key, &run)
	if postgres.IsNone(err) {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, fmt.Errorf("look for a clv model: %w", err)
	}
	return key, run, nil
}

// Distribution is how customers are spread over the tiers of a scheme, highest first.
type Distribution struct {
	Scheme, Name string
	Tiers        []TierCount
	Unplaced     int64
}

// TierCount is how many are in one tier.
type TierCount struct {
	Key, Name string
	Customers int64
}

// Preview is whom a condition means, before it is saved.
type Preview struct {
	Customers int64
	Tiers     []Distribution // by scheme; nil when not asked for
}

// Preview counts the customers that fit n and, when tiers is true, spreads them over the tiers of each scheme.
func (s *Service) Preview(ctx context.Context, t tenant.Tenant, l condition.Language, n filter.Node, tiers bool) (Preview, error) {
	where, err := l.Catalogue.Compile(n, l.Env)
	if err != nil {
		return Preview{}, err
	}
	return preview(ctx, s.db, t.ID, where, tiers)
}

func preview(ctx context.Context, q postgres.Querier, tenantID int32, where filter.Expr, tiers bool) (Preview, error) {
	sql, args := where.Numbered(2)
	fit := `WITH fit AS (SELECT c.id FROM customers c JOIN customer_metrics m ON m.tenant_id = c.tenant_id AND m.customer_id = c.id
		WHERE c.tenant_id = $1 AND c.deleted_at IS NULL AND c.merged_into IS NULL AND (` + sql + `))`
	args = append([]any{tenantID}, args...)
	var p Preview
	if !tiers {
		if err := q.QueryRow(ctx, fit+` SELECT count(*) FROM fit`, args...).Scan(&p.Customers); err != nil {
			return Preview{}, fmt.Errorf("count who fits: %w", err)
		}
		return p, nil
	}
	rows, err := q.Query(ctx, fit+` SELECT (SELECT count(*) FROM fit), s.key, s.name, r.key, r.name, coalesce(p.n, 0)
		FROM (SELECT) one LEFT JOIN tier_schemes s ON s.tenant_id = $1 LEFT JOIN tiers r ON r.tenant_id = s.tenant_id AND r.scheme_id = s.id
			LEFT JOIN (SELECT p.scheme_id, p.tier_id, count(*) AS n FROM fit JOIN tier_placements p ON p.tenant_id = $1 AND p.customer_id = fit.id
				GROUP BY p.scheme_id, p.tier_id) p ON p.scheme_id = r.scheme_id AND p.tier_id = r.id
		ORDER BY s.key, r.rank`, args...)
	if err != nil {
		return Preview{}, fmt.Errorf("count who fits: %w", err)
	}
	defer rows.Close()
	p.Tiers = []Distribution{}
	for rows.Next() {
		var scheme, name, key, title *string
		var n int64
		if err := rows.Scan(&p.Customers, &scheme, &name, &key, &title, &n); err != nil {
			return Preview{}, fmt.Errorf("count who fits: %w", err)
		}
		if scheme == nil || key == nil {
			continue
		}
		if last := len(p.Tiers) - 1; last < 0 || p.Tiers[last].Scheme != *scheme {
			p.Tiers = append(p.Tiers, Distribution{Scheme: *scheme, Name: *name, Unplaced: p.Customers})
		}
		d := &p.Tiers[len(p.Tiers)-1]
		d.Tiers = append(d.Tiers, TierCount{*key, *title, n})
		d.Unplaced -= n
	}
	return p, rows.Err()
}
