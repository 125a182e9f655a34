package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/filter"
)

const (
	setTarget   = 1.5 // everybody by one rule, against plain SQL that writes the same rows
	writeTarget = 2.0 // a transaction with rules in force, against one without

	purchasesTimed = 400 // of either kind
	purchasesTurn  = 20
)

// ruled is a condition with whom it means as SQL: customers of the tenant $1 who are not deleted.
type ruled struct{ name, condition, plain string }

var committedRules = []ruled{
	{"a column", `city = "上海"`, `SELECT c.id FROM customers c WHERE c.tenant_id = $1 AND c.deleted_at IS NULL AND c.merged_into IS NULL
		AND c.city = '上海'`},
	{"a metric", `spend_total >= 1000`, `SELECT c.id FROM customers c JOIN customer_metrics m ON m.tenant_id = c.tenant_id AND m.customer_id = c.id
		WHERE c.tenant_id = $1 AND c.deleted_at IS NULL AND c.merged_into IS NULL AND m.spend_total >= 100000`},
	{"a tag", `tags:"wechat"`, `SELECT c.id FROM customers c WHERE c.tenant_id = $1 AND c.deleted_at IS NULL AND c.merged_into IS NULL AND EXISTS
		(SELECT FROM customer_tags ct JOIN tags g ON g.tenant_id = ct.tenant_id AND g.id = ct.tag_id WHERE ct.tenant_id = c.tenant_id
			AND ct.customer_id = c.id AND (ct.expires_at IS NULL OR ct.expires_at > now()) AND g.key = 'wechat')`},
	{"a windowed sum", `sum(transactions.amount, "365d") >= 500`, `SELECT c.id FROM customers c JOIN (SELECT t.customer_id, sum(t.base_amount) AS spent
			FROM transactions t JOIN tenants o ON o.id = t.tenant_id WHERE t.tenant_id = $1 AND t.status IN ('paid', 'to_ship', 'shipped', 'completed')
			AND t.day > (now() AT TIME ZONE o.time_zone)::date - 365 AND t.day <= (now() AT TIME ZONE o.time_zone)::date GROUP BY 1) s
			ON s.customer_id = c.id WHERE c.tenant_id = $1 AND c.deleted_at IS NULL AND c.merged_into IS NULL AND s.spent >= 50000`},
	{"ten leaves", `kind = "person" AND stage != "lost" AND (city IN ("上海", "北京", "杭州", "深圳") OR spend_total >= 5000) AND
		(purchase_count >= 3 OR tags:"app" OR tags:"vip") AND (last_purchase_on >= "2026-01-01" OR units_total >= 10) AND source != "third_party"`,
		`SELECT c.id FROM customers c JOIN customer_metrics m ON m.tenant_id = c.tenant_id AND m.customer_id = c.id
		WHERE c.tenant_id = $1 AND c.deleted_at IS NULL AND c.merged_into IS NULL AND c.kind = 'person' AND c.stage <> 'lost'
		AND (c.city IN ('上海', '北京', '杭州', '深圳') OR m.spend_total >= 500000) AND (m.purchase_count >= 3 OR EXISTS
			(SELECT FROM customer_tags ct JOIN tags g ON g.tenant_id = ct.tenant_id AND g.id = ct.tag_id WHERE ct.tenant_id = c.tenant_id
				AND ct.customer_id = c.id AND (ct.expires_at IS NULL OR ct.expires_at > now()) AND g.key IN ('app', 'vip')))
		AND (m.last_purchase_on >= '2026-01-01' OR m.units_total >= 10) AND c.source_channel IS DISTINCT FROM 'third_party'`},
}

// kind is a subject of rules. Its plain SQL finds its customers in the common table expression found, and everybody else in
// rest; $1 is the tenant and $2 one id for everything that has one.
type kind struct {
	name, path, list string
	tables           []string // what is written
	plain            string
	body             func(key, name, condition string) (map[string]any, error)
	members          func(c *caller, key string) (int64, error)
}

var kinds = []kind{
	{"segment", "/v1/segments", "/v1/segments?limit=1000", []string{"segment_members", "segment_log"},
		`members AS (INSERT INTO segment_members (tenant_id, customer_id, segment_id, since) SELECT $1, id, $2, now() FROM found),
		log AS (INSERT INTO segment_log (tenant_id, customer_id, segment_id, entered, cause, event, revision, leaf, actor, change_set, occurred_at)
			SELECT $1, id, $2, true, 'rule_change', '', 1, 1, 'bench', $2, now() FROM found),
		changed AS (SELECT id FROM found)`,
		func(key, name, condition string) (map[string]any, error) {
			return map[string]any{"key": key, "name": name, "basis": "value", "filter_text": condition}, nil
		}, customers("/v1/segments/")},
	{"tag", "/v1/tags", "/v1/tags?limit=1000", []string{"customer_tags", "customer_tag_log"},
		`carried AS (INSERT INTO customer_tags (tenant_id, customer_id, tag_id, source, actor, reason, assigned_at)
			SELECT $1, id, $2, 'rule', 'bench', '', now() FROM found),
		log AS (INSERT INTO customer_tag_log (tenant_id, customer_id, tag_id, action, source, cause, event, actor, reason, change_set, occurred_at)
			SELECT $1, id, $2, 'assigned', 'rule', 'rule_change', '', 'bench', '', $2, now() FROM found),
		changed AS (SELECT id FROM found)`,
		func(key, name, condition string) (map[string]any, error) {
			return map[string]any{"key": key, "name": name, "filter_text": condition}, nil
		}, func(c *caller, key string) (int64, error) {
			var all struct {
				Items []struct {
					Key       string
					Customers int64
				}
			}
			err := c.json("GET", "/v1/tags?limit=1000", "", &all)
			for _, i := range all.Items {
				if i.Key == key {
					return i.Customers, err
				}
			}
			return 0, err
		}},
	{"tier", "/v1/tier-schemes", "/v1/tier-schemes", []string{"tier_placements", "tier_history"},
		`changed AS (SELECT id, 'high' AS tier FROM found UNION ALL SELECT id, 'low' FROM rest),
		placed AS (INSERT INTO tier_placements (tenant_id, customer_id, scheme_id, tier_id, earned_tier_id, earned_on, change_set, placed_at)
			SELECT $1, id, $2, $2, $2, current_date, $2, now() FROM changed),
		log AS (INSERT INTO tier_history (tenant_id, customer_id, scheme_id, change, to_tier, cause, event, reason, actor, change_set, occurred_at)
			SELECT $1, id, $2, 'placed', tier, 'rule_change', '', '', 'bench', $2, now() FROM changed)`,
		func(key, name, condition string) (map[string]any, error) {
			n, err := filter.Parse(condition)
			return map[string]any{"key": key, "name": name, "tiers": []map[string]any{{"key": "high", "name": "high", "condition": n},
				{"key": "low", "name": "low"}}}, err
		}, func(c *caller, key string) (int64, error) {
			var d struct {
				Items []struct {
					Key       string
					Customers int64
				}
			}
			err := c.json("GET", "/v1/tier-schemes/"+key+"/distribution", "", &d)
			for _, i := range d.Items {
				if i.Key == "high" {
					return i.Customers, err
				}
			}
			return 0, err
		}},
}

func customers(path string) func(c *caller, key string) (int64, error) {
	return func(c *caller, key string) (int64, error) {
		var made struct{ Customers int64 }
		err := c.json("GET", path+key, "", &made)
		return made.Customers, err
	}
}

// rules measures what everybody by one rule costs, and one transaction under many rules.
func (s scale) rules(ctx context.Context) error {
	if err := s.everybody(ctx); err != nil {
		return fmt.Errorf("rules: %w", err)
	}
	const transaction = "rules: a transaction"
	if strings.Contains(transaction, s.kinds) {
		if err := s.transactionUnderRules(ctx); err != nil {
			return fmt.Errorf("rules: %w", err)
		}
	}
	s.report.note("rules: a segment, a tag, a scheme of two tiers is timed from the request that makes it until its job has ended; plain SQL "+
		"writes the same rows (members, carriers or placements, their log, and the items of the change set) into the same tables in one "+
		"transaction, which is taken back. A transaction under rules is the median of %d, beside that of as many "+
		"between them while no rule was in force.", purchasesTimed)
	return nil
}

// everybody puts each rule to everybody, as each kind and as plain SQL.
func (s scale) everybody(ctx context.Context) (err error) {
	conn, err := pgx.Connect(ctx, s.server.DSN(largeDatabase))
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is open on it
	p, err := s.spawnOn(ctx, s.server, roleService, largeDatabase)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	if err := s.rest(ctx, p, largeDatabase); err != nil {
		return err
	}
	var tenantID int32
	if err := conn.QueryRow(ctx, `SELECT id FROM tenants WHERE name = $1`, tenantName).Scan(&tenantID); err != nil {
		return err
	}
	for _, k := range kinds {
		for i, r := range committedRules {
			name := k.name + " by " + r.name
			if !strings.Contains("rules: "+name, s.kinds) {
				continue
			}
			key := fmt.Sprintf(benchKey+"%d", i)
			if err := s.forget(p, k, key); err != nil { // that of a run that was interrupted
				return err
			}
			plain, customers, err := s.plainRule(ctx, conn, tenantID, k, r)
			if err != nil {
				return fmt.Errorf("%s, plain: %w", name, err)
			}
			ours, members, err := s.rule(p, k, key, r)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if members != customers {
				return fmt.Errorf("%s: %d customers, and %d by plain SQL", name, members, customers)
			}
			progress("scale: %s: %s, plain %s", name, ours, plain)
			s.report.most(fmt.Sprintf("%s (%d)", name, members), ours.Round(time.Millisecond).String(), plain.Round(time.Millisecond).String(),
				float64(ours)/float64(plain), setTarget)
			if err := s.forget(p, k, key); err != nil {
				return err
			}
		}
	}
	return nil
}

// plainRule writes the rows into the very same tables, and takes them back.
func (s scale) plainRule(ctx context.Context, conn *pgx.Conn, tenantID int32, k kind, r ruled) (took time.Duration, customers int64, err error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // twice does nothing
	began := time.Now()
	err = tx.QueryRow(ctx, `WITH found AS MATERIALIZED (`+r.plain+`), rest AS (SELECT id FROM customers WHERE tenant_id = $1 AND deleted_at IS NULL
			AND merged_into IS NULL AND id NOT IN (SELECT id FROM found)), `+k.plain+`,
		items AS (INSERT INTO change_set_items (tenant_id, change_set_id, customer_id) SELECT $1, $2, id FROM changed)
		SELECT count(*) FROM found`, tenantID, uuid.New()).Scan(&customers)
	took = time.Since(began)
	if err != nil {
		return 0, 0, err
	}
	if err := tx.Rollback(ctx); err != nil {
		return 0, 0, err
	}
	_, err = conn.Exec(ctx, `VACUUM change_set_items, `+strings.Join(k.tables, ", "))
	return took, customers, err
}

// rule makes one and waits for its job.
func (s scale) rule(p *process, k kind, key string, r ruled) (took time.Duration, members int64, err error) {
	c, err := dial(p.address, s.token)
	if err != nil {
		return 0, 0, err
	}
	defer c.close()
	began := time.Now()
	err = c.make(k, key, r.name, r.condition)
	if err == nil {
		err = c.idle()
	}
	if err != nil {
		return 0, 0, err
	}
	took = time.Since(began)
	members, err = k.members(c, key)
	return took, members, err
}

// make makes a rule; a job puts it to everybody.
func (c *caller) make(k kind, key, name, condition string) error {
	made, err := k.body(key, name, condition)
	if err != nil {
		return err
	}
	body, err := json.Marshal(made)
	if err != nil {
		return err
	}
	return c.json("POST", k.path, string(body), &struct{}{})
}

// forget deletes a rule and waits for what a job does then.
func (s scale) forget(p *process, k kind, key string) error {
	c, err := dial(p.address, s.token)
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.drop(k, key); err != nil {
		return err
	}
	return c.idle()
}

// drop deletes a rule, if there is one.
func (c *caller) drop(k kind, key string) error {
	at, err := c.at(k, key)
	if err != nil || at == "" {
		return err
	}
	_, err = c.do("DELETE", at, "")
	return err
}

// at is the path of a rule to delete, in use or not: tags have one by id; empty when there is no such tag.
func (c *caller) at(k kind, key string) (string, error) {
	if k.name != "tag" {
		return k.path + "/" + key, nil
	}
	var all struct {
		Items []struct{ ID, Key string }
	}
	if err := c.json("GET", k.list, "", &all); err != nil {
		return "", err
	}
	for _, t := range all.Items {
		if t.Key == key {
			return k.path + "/" + t.ID + "?force=true", nil
		}
	}
	return "", nil
}

// json is do that demands success and reads the answer.
func (c *caller) json(method, target, body string, out any) error {
	a, err := c.do(method, target, body)
	if err != nil {
		return err
	}
	if a.status >= http.StatusBadRequest {
		return fmt.Errorf("%s %s: %s", method, target, a)
	}
	return json.Unmarshal(a.body, out)
}

// wait is over when a job has succeeded.
func (c *caller) wait(job string) error {
	for pause := 5 * time.Millisecond; ; pause = min(pause*11/10, 100*time.Millisecond) {
		var j struct{ Status string }
		if err := c.json("GET", "/v1/jobs/"+job, "", &j); err != nil {
			return err
		}
		switch j.Status {
		case "succeeded":
			return nil
		case "failed", "cancelled":
			return fmt.Errorf("job %s %s", job, j.Status)
		}
		time.Sleep(pause)
	}
}

// idle waits until no job is left, and fails when the newest did.
func (c *caller) idle() error {
	for pause := 5 * time.Millisecond; ; pause = min(pause*11/10, 100*time.Millisecond) {
		var left, newest struct {
			Items []struct{ ID, Status string }
		}
		if err := c.json("GET", "/v1/jobs?limit=1&status=queued,running", "", &left); err != nil {
			return err
		}
		if len(left.Items) > 0 {
			time.Sleep(pause)
			continue
		}
		err := c.json("GET", "/v1/jobs?limit=1", "", &newest)
		if err == nil && len(newest.Items) > 0 && newest.Items[0].Status != "succeeded" {
			err = fmt.Errorf("job %s %s", newest.Items[0].ID, newest.Items[0].Status)
		}
		return err
	}
}

// ruleCounts are how many rules of each kind a transaction is written under: half of them read what purchases change.
var ruleCounts = []int{200, 50, 5}

// ruleMix is the i-th condition.
func ruleMix(i int) string {
	switch i % 6 {
	case 0:
		return fmt.Sprintf(`spend_total >= %d`, 10*i)
	case 1:
		return fmt.Sprintf(`city = "上海" AND owner != "nobody %d"`, i)
	case 2:
		return fmt.Sprintf(`sum(transactions.amount, "%dd") >= 100`, 30+i)
	case 3:
		return fmt.Sprintf(`kind = "person" AND (stage = "lead" OR campaign = "c%d")`, i)
	case 4:
		return fmt.Sprintf(`purchase_count >= %d AND last_purchase_on >= "2026-01-01"`, i%9)
	}
	return fmt.Sprintf(`tags:"app" AND NOT industry = "x%d"`, i)
}

func (s scale) transactionUnderRules(ctx context.Context) (err error) {
	ids, err := s.some(ctx, smallDatabase)
	if err != nil {
		return err
	}
	_, c, stop, err := s.start(ctx, smallDatabase)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	var undo []func() error
	defer func() {
		for _, f := range undo {
			err = errors.Join(err, f())
		}
	}()
	var names []string
	for n, k := range kinds {
		for i := range ruleCounts[n] {
			key := fmt.Sprintf(benchKey+"rule_%d", i)
			if err := c.drop(k, key); err != nil { // of a run that was interrupted
				return err
			}
			undo = append(undo, func() error { return c.drop(k, key) })
			if err := c.make(k, key, key, ruleMix(i)); err != nil {
				return err
			}
		}
		names = append(names, fmt.Sprintf("%d %ss", ruleCounts[n], k.name))
	}
	if err := c.idle(); err != nil {
		return err
	}
	// In turns, so that both have the same minutes.
	var with, without []time.Duration
	for from := 0; from < purchasesTimed; from += purchasesTurn {
		some := ids[from*2:]
		err := s.withoutRules(ctx, func() error { return c.purchases(some[:purchasesTurn], &without) })
		if err == nil {
			err = c.purchases(some[purchasesTurn:2*purchasesTurn], &with)
		}
		if err != nil {
			return err
		}
	}
	plain, ruled := quantile(without, 0.5), quantile(with, 0.5)
	s.report.most("a transaction under "+strings.Join(names, ", "), ruled.String(), plain.String(), float64(ruled)/float64(plain), writeTarget)
	return ctx.Err()
}

// withoutRules does something while no rule is in force.
func (s scale) withoutRules(ctx context.Context, do func() error) error {
	states, err := query[string](ctx, s, smallDatabase, `DELETE FROM rule_states RETURNING to_jsonb(rule_states)::text`)
	if err != nil {
		return err
	}
	err = do()
	for _, state := range states {
		_, back := query[bool](ctx, s, smallDatabase, `INSERT INTO rule_states SELECT * FROM jsonb_populate_record(NULL::rule_states, $1::jsonb) RETURNING true`, state)
		err = errors.Join(err, back)
	}
	return err
}

// purchases times a transaction of each customer, after a few that warm statements and pages.
func (c *caller) purchases(ids []uuid.UUID, took *[]time.Duration) error {
	const warm = 5
	for i, id := range slices.Concat(ids[:warm], ids) {
		body := fmt.Sprintf(`{"customer_id":%q,"occurred_on":"2026-02-14","amount":{"amount":"%d.00","currency":"CNY"}}`, id, 20+i%80)
		began := time.Now()
		a, err := c.do("POST", "/v1/transactions", body)
		if err != nil || a.status != http.StatusCreated {
			return errors.Join(err, fmt.Errorf("answered by %s", a))
		}
		if i >= warm {
			*took = append(*took, time.Since(began))
		}
	}
	return nil
}
