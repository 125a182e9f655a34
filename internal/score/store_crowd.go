package score

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/metric"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
	"github.com/kezi-io/kezi/pkg/btyd"
)

// everybodyToday are the facts of customers c on today's day $2, bought or not, read from their metrics m; the few with facts
// of days to come are marked. $3 is not used here, but by what they are computed from.
const everybodyToday = `SELECT c.id, CASE WHEN m.first_purchase_on IS NULL THEN 0 ELSE m.purchase_days END - 1,
		coalesce(m.last_purchase_on - m.first_purchase_on, 0), coalesce($2::date - m.first_purchase_on, 0),
		greatest(m.spend_total, 0), greatest(m.spend_total - m.first_day_spend, 0), $3::date IS NOT NULL AND coalesce(` + later + `, false)%s
	FROM customers c JOIN customer_metrics m ON m.tenant_id = c.tenant_id AND m.customer_id = c.id
	WHERE c.tenant_id = $1 AND c.deleted_at IS NULL AND c.merged_into IS NULL ORDER BY c.id`

// everybodyThen are the same as of any day $2.
var everybodyThen = `SELECT c.id, coalesce(f.x, -1), coalesce(f.t_x, 0), coalesce(f.t, 0), coalesce(f.spend, 0), coalesce(f.repeat_spend, 0), false%s
	FROM customers c LEFT JOIN (` + facts + `) f ON f.customer_id = c.id
	WHERE c.tenant_id = $1 AND c.deleted_at IS NULL AND c.merged_into IS NULL ORDER BY c.id`

// someToday are the facts of customers $4 on today's day, whatever other days they have facts of; nobody who has not bought.
var someToday = `SELECT c.id, f.x, f.t_x, f.t, f.spend, f.repeat_spend
	FROM unnest($4::uuid[]) u (id) JOIN customers c ON c.tenant_id = $1 AND c.id = u.id
	JOIN customer_metrics m ON m.tenant_id = c.tenant_id AND m.customer_id = c.id
	CROSS JOIN LATERAL (` + factsOfOne + `) f WHERE m.purchase_days > 0 AND $3::date IS NOT NULL ORDER BY c.id`

// windowFacts is what everybody bought after the day $3 up to the day $2.
const windowFacts = `SELECT customer_id, sum(days)::integer, greatest(sum(spend), 0)::bigint
	FROM (SELECT t.customer_id, count(DISTINCT t.day) AS days, sum(t.base_amount) AS spend FROM transactions t
			WHERE t.tenant_id = $1 AND ` + metric.Purchase + ` AND t.day <= $2 AND t.day > $3 GROUP BY t.customer_id
		UNION ALL
		SELECT r.customer_id, 0, -sum(r.base_amount) FROM transaction_returns r
			JOIN transactions t ON t.tenant_id = r.tenant_id AND t.customer_id = r.customer_id AND t.id = r.transaction_id
			WHERE r.tenant_id = $1 AND ` + metric.Purchase + ` AND r.day <= $2 AND r.day > $3 GROUP BY r.customer_id) f
	GROUP BY customer_id ORDER BY customer_id`

// read fills the crowd with what the runs need to know of everybody. l is the language of a live pass with rules.
func (p *pass) read(ctx context.Context, q postgres.Querier, l condition.Language) error {
	sql, args := everybodyThen, []any{p.tenant.ID, p.asOf.Time, tenant.Day{}.Time}
	if p.live {
		sql = everybodyToday
	}
	more := strings.Builder{}
	var given []*[]float64
	var width []int
	for _, r := range p.runs {
		if r.Kind != Rules {
			continue
		}
		one, err := givenRules(l, r.Params.Rules, p.asOf)
		if err != nil {
			return err
		}
		text, values := one.Numbered(len(args) + 1)
		more.WriteString(", " + text)
		args = append(args, values...)
		given, width = append(given, new([]float64)), append(width, 2*len(r.Params.Rules))
	}
	rows, err := q.Query(ctx, strings.Replace(sql, "%s", more.String(), 1), args...) //nolint:rowserrcheck // ForEachRow does
	if err != nil {
		return fmt.Errorf("read what is known of everybody: %w", err)
	}
	var id [16]byte
	var f brief
	var unsure bool
	var again []uuid.UUID
	into := []any{&id, &f.x, &f.tx, &f.t, &f.spend, &f.repeatSpend, &unsure}
	for _, g := range given {
		into = append(into, g)
	}
	_, err = pgx.ForEachRow(rows, into, func() error {
		if unsure {
			again = append(again, id)
			f = brief{x: -1}
		}
		b := p.crowd.add(id, f)
		for n, g := range given {
			if b.rules == nil {
				b.rules = make([][]float32, len(given))
			}
			if b.rules[n] == nil {
				b.rules[n] = make([]float32, 0, chunk*width[n])
			}
			for _, v := range *g {
				b.rules[n] = append(b.rules[n], float32(v))
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read what is known of everybody: %w", err)
	}
	parts := 0
	for _, r := range p.runs {
		parts += len(r.Params.Parts)
	}
	for _, b := range p.crowd.blocks { // places of their own: runs are loaded while others are prepared
		b.values, b.ahead, b.others = make([][]float64, len(p.runs)), make([][]btyd.Prediction, len(p.runs)), make([][]float64, parts)
	}
	if err := p.readAgain(ctx, q, again); err != nil {
		return err
	}
	return p.readWindows(ctx, q)
}

// readAgain reads the facts of customers whose metrics say more than is known today.
func (p *pass) readAgain(ctx context.Context, q postgres.Querier, ids []uuid.UUID) error {
	at := finder{crowd: &p.crowd}
	for len(ids) > 0 {
		n := min(len(ids), chunk)
		rows, err := q.Query(ctx, someToday, p.tenant.ID, p.asOf.Time, tenant.Day{}.Time, ids[:n]) //nolint:rowserrcheck // ForEachRow does
		if err != nil {
			return fmt.Errorf("read the facts of %d customers: %w", n, err)
		}
		var id [16]byte
		var f brief
		_, err = pgx.ForEachRow(rows, []any{&id, &f.x, &f.tx, &f.t, &f.spend, &f.repeatSpend}, func() error {
			if b, i := at.find(id); b != nil {
				b.facts[i] = f
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("read the facts of %d customers: %w", n, err)
		}
		ids = ids[n:]
	}
	return nil
}

func (p *pass) readWindows(ctx context.Context, q postgres.Querier) error {
	for _, b := range p.crowd.blocks {
		b.windows = make([][]windowed, len(p.windows))
		for i := range b.windows {
			b.windows[i] = make([]windowed, len(b.ids))
		}
	}
	for n, days := range p.windows {
		rows, err := q.Query(ctx, windowFacts, p.tenant.ID, p.asOf.Time, windowStart(p.asOf, days).Time) //nolint:rowserrcheck // ForEachRow does
		if err != nil {
			return fmt.Errorf("read what was bought within %d days: %w", days, err)
		}
		at := finder{crowd: &p.crowd}
		var id [16]byte
		var w windowed
		_, err = pgx.ForEachRow(rows, []any{&id, &w.days, &w.spend}, func() error {
			if b, i := at.find(id); b != nil {
				b.windows[n][i] = w
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("read what was bought within %d days: %w", days, err)
		}
	}
	return nil
}

// readOther reads the values of the other run at that place.
func (p *pass) readOther(ctx context.Context, q postgres.Querier, at int) error {
	for _, b := range p.crowd.blocks {
		b.others[at] = make([]float64, len(b.ids))
		for i := range b.others[at] {
			b.others[at][i] = math.NaN()
		}
	}
	no := p.others[at]
	// With the number in its text, the statement is planned for the one partition.
	sql := fmt.Sprintf(`SELECT customer_id, value FROM scores WHERE tenant_id = $1 AND run_no = %d ORDER BY customer_id`, no)
	rows, err := q.Query(ctx, sql, p.tenant.ID) //nolint:rowserrcheck // ForEachRow does
	if err != nil {
		return fmt.Errorf("read the scores of run number %d: %w", no, err)
	}
	find := finder{crowd: &p.crowd}
	var id [16]byte
	var value float64
	_, err = pgx.ForEachRow(rows, []any{&id, &value}, func() error {
		if b, i := find.find(id); b != nil {
			b.others[at][i] = value
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the scores of run number %d: %w", no, err)
	}
	return nil
}

// gatheredRules is the language of the rules of a pass: that of its day's end where midnight has come since it was asked for.
func (s *Service) gatheredRules(ctx context.Context, q postgres.Querier, p *pass) (condition.Language, error) {
	for _, r := range p.runs {
		if r.Kind != Rules {
			continue
		}
		at := s.now()
		if !p.tenant.Today(at).Equal(p.asOf.Time) {
			at = tenant.Day{Time: p.asOf.AddDate(0, 0, 1)}.Start(p.tenant.Zone).Add(-time.Microsecond)
		}
		return condition.For(ctx, q, p.tenant, at)
	}
	return condition.Language{}, nil
}
