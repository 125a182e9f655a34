package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	setTarget   = 1.5 // everybody by one rule, against plain SQL that writes the same rows
	writeTarget = 2.0 // a transaction with rules in force, against one without

	purchasesTimed = 200
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

// rules measures what everybody by one rule costs, and one transaction under many rules.
func (s scale) rules(ctx context.Context) error {
	const name = "rules"
	if !strings.Contains(name, s.kinds) {
		return nil
	}
	if err := s.segments(ctx); err != nil {
		return fmt.Errorf("rules: %w", err)
	}
	if err := s.transactionUnderRules(ctx); err != nil {
		return fmt.Errorf("rules: %w", err)
	}
	s.report.note("rules: a segment is timed from the request that makes it until its job has ended; plain SQL writes the same members and "+
		"log rows into tables of the same shape, with the same indexes, in one transaction. A transaction under rules is the median of %d, "+
		"beside that of as many before there were any.", purchasesTimed)
	return nil
}

// segments puts each rule to everybody, as a segment and as plain SQL.
func (s scale) segments(ctx context.Context) (err error) {
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
	if err := s.forget(p, len(committedRules)); err != nil { // those of a run that was interrupted
		return err
	}
	for i, r := range committedRules {
		plain, customers, err := s.plainRule(ctx, conn, tenantID, r)
		if err != nil {
			return fmt.Errorf("%s, plain: %w", r.name, err)
		}
		ours, members, err := s.segment(p, fmt.Sprintf("bench_%d", i), r)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		if members != customers {
			return fmt.Errorf("%s: %d members, and %d by plain SQL", r.name, members, customers)
		}
		progress("scale: segment by %s: %s, plain %s", r.name, ours, plain)
		s.report.most(fmt.Sprintf("segment of %d by %s", members, r.name), ours.Round(time.Millisecond).String(), plain.Round(time.Millisecond).String(),
			float64(ours)/float64(plain), setTarget)
	}
	return s.forget(p, len(committedRules))
}

// plainRule writes into copies of a segment's tables, which are made for it and dropped.
func (s scale) plainRule(ctx context.Context, conn *pgx.Conn, tenantID int32, r ruled) (took time.Duration, customers int64, err error) {
	if _, err := conn.Exec(ctx, `DROP TABLE IF EXISTS bench_members, bench_log;
		CREATE TABLE bench_members (LIKE segment_members INCLUDING ALL); CREATE TABLE bench_log (LIKE segment_log INCLUDING ALL)`); err != nil {
		return 0, 0, err
	}
	began := time.Now()
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		done, err := tx.Exec(ctx, `WITH found AS (`+r.plain+`), made AS (INSERT INTO bench_members (tenant_id, customer_id, segment_id, since)
				SELECT $1, id, '01890a5d-ac96-774b-bcce-b302099b9999', now() FROM found RETURNING customer_id)
			INSERT INTO bench_log (tenant_id, customer_id, segment_id, entered, cause, event, revision, actor, change_set, occurred_at)
			SELECT $1, customer_id, '01890a5d-ac96-774b-bcce-b302099b9999', true, 'rule_change', '', 1, 'bench', '01890a5d-ac96-774b-bcce-b302099b9999', now() FROM made`,
			tenantID)
		customers = done.RowsAffected()
		return err
	})
	took = time.Since(began)
	if err != nil {
		return 0, 0, err
	}
	_, err = conn.Exec(ctx, `DROP TABLE bench_members, bench_log`)
	return took, customers, err
}

// segment makes a segment and waits for its job.
func (s scale) segment(p *process, key string, r ruled) (took time.Duration, members int64, err error) {
	c, err := dial(p.address, s.token)
	if err != nil {
		return 0, 0, err
	}
	defer c.close()
	body, err := json.Marshal(map[string]any{"key": key, "name": r.name, "basis": "value", "filter_text": r.condition})
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	var made struct {
		Customers  int64
		Evaluation struct {
			JobID string `json:"job_id"`
		}
	}
	if err := c.json("POST", "/v1/segments", string(body), &made); err != nil {
		return 0, 0, err
	}
	if err := c.wait(made.Evaluation.JobID); err != nil {
		return 0, 0, err
	}
	took = time.Since(began)
	if err := c.json("GET", "/v1/segments/"+key, "", &made); err != nil {
		return 0, 0, err
	}
	return took, made.Customers, nil
}

// forget deletes the segments. What a job does then is not measured.
func (s scale) forget(p *process, many int) error {
	c, err := dial(p.address, s.token)
	if err != nil {
		return err
	}
	defer c.close()
	for i := range many {
		if _, err := c.do("DELETE", fmt.Sprintf("/v1/segments/bench_%d", i), ""); err != nil {
			return err
		}
	}
	return nil
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
	for {
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
		time.Sleep(5 * time.Millisecond)
	}
}

// ruleCounts are how many rules a transaction is written under: half of them read what purchases change.
var ruleCounts = []struct {
	kind, path string
	many       int
	body       func(key, condition string) map[string]any
}{
	{"segments", "/v1/segments", 200, func(key, condition string) map[string]any {
		return map[string]any{"key": key, "name": key, "basis": "value", "filter_text": condition}
	}},
}

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
	p, err := s.spawnOn(ctx, s.server, roleService, smallDatabase)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	c, err := dial(p.address, s.token)
	if err != nil {
		return err
	}
	defer c.close()
	without, err := s.purchases(c, ids)
	if err != nil {
		return err
	}
	var made []string
	defer func() {
		for _, target := range made {
			_, failed := c.do("DELETE", target, "")
			err = errors.Join(err, failed)
		}
	}()
	var kinds []string
	for _, k := range ruleCounts {
		for i := range k.many {
			key := fmt.Sprintf("bench_rule_%d", i)
			target := k.path + "/" + key
			if _, err := c.do("DELETE", target, ""); err != nil { // of a run that was interrupted
				return err
			}
			body, err := json.Marshal(k.body(key, ruleMix(i)))
			if err != nil {
				return err
			}
			var out struct {
				Evaluation struct {
					JobID string `json:"job_id"`
				}
			}
			if err := c.json("POST", k.path, string(body), &out); err != nil {
				return err
			}
			made = append(made, target)
			if out.Evaluation.JobID != "" {
				if err := c.wait(out.Evaluation.JobID); err != nil {
					return err
				}
			}
		}
		kinds = append(kinds, fmt.Sprintf("%d %s", k.many, k.kind))
	}
	with, err := s.purchases(c, ids)
	if err != nil {
		return err
	}
	s.report.most("a transaction under "+strings.Join(kinds, ", "), with.String(), without.String(), float64(with)/float64(without), writeTarget)
	return ctx.Err()
}

// purchases is the median time of a transaction, each of another customer.
func (s scale) purchases(c *caller, ids []uuid.UUID) (time.Duration, error) {
	var took []time.Duration
	for i := range 20 + purchasesTimed {
		body := fmt.Sprintf(`{"customer_id":%q,"occurred_on":"2026-02-14","amount":{"amount":"%d.00","currency":"CNY"}}`, ids[i*7%len(ids)], 20+i%80)
		began := time.Now()
		a, err := c.do("POST", "/v1/transactions", body)
		if err != nil || a.status != http.StatusCreated {
			return 0, errors.Join(err, fmt.Errorf("answered by %s", a))
		}
		if i >= 20 { // the first ones warm statements and pages
			took = append(took, time.Since(began))
		}
	}
	return quantile(took, 0.5), nil
}
