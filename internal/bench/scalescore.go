package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	nightTarget  = 3.0 // everybody by all models, against a bare aggregate of the transactions and one column written
	nightMemory  = 512 << 20
	scoredTarget = 1.5 // a transaction with models in force, against one without
)

// committedModels are what everybody is scored by, parts first.
var committedModels = []string{"rfm", "clv", "churn", "potential", "composite"}

// nightsBefore is after how many nights each further one moves the scores of a former one into the history.
const nightsBefore = 5

const benchModel = "bench_"

// measureScore times a night: everybody scored by all models in one job.
func (b *bench) measureScore(ctx context.Context) error {
	return b.atScale(ctx, "score", func(s scale) error {
		if err := s.night(ctx); err != nil {
			return err
		}
		if err := s.transactionUnderModels(ctx); err != nil {
			return err
		}
		s.report.note("score: timed from the request that starts the job until it and what follows it have ended, with the scores of a former night moved into the history, after a day that changes every fiftieth buyer; the reference, before and "+
			"after it, is an aggregate of all transactions by customer (count, min, max, sum) and an UPDATE of one column of an unindexed "+
			"table of all customers. A transaction under models is the median of %d, beside that of as many before there were any.", purchasesTimed)
		return nil
	})
}

func (s scale) night(ctx context.Context) (err error) {
	conn, err := pgx.Connect(ctx, s.server.DSN(largeDatabase))
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is open on it
	p, c, stop, err := s.start(ctx, largeDatabase)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := c.makeModels(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.dropModels()) }()
	more := false
	defer func() {
		if more {
			err = errors.Join(err, stir(context.WithoutCancel(ctx), conn, false))
		}
	}()
	day := func() error {
		if err := stir(ctx, conn, !more); err != nil {
			return err
		}
		more = !more
		return nil
	}
	for range nightsBefore {
		if err := day(); err != nil {
			return err
		}
		if _, _, err := c.scoreAll(`{}`); err != nil {
			return err
		}
	}
	for _, n := range []struct {
		name, body string
		tiers      bool
	}{
		{"everybody by 5 models, calibrated", `{}`, false},
		{"everybody by 5 models, calibration kept", `{"recalibrate": false}`, false},
		{"everybody by 5 models, calibrated, and value tiers", `{}`, true},
	} {
		if n.tiers {
			began := time.Now()
			if err := c.makeTiers(); err != nil {
				return err
			}
			progress("score: value tiers of everybody, made: %s", time.Since(began))
			// As the database does by itself within minutes; a night comes later.
			if _, err := conn.Exec(ctx, `VACUUM ANALYZE tier_placements, tier_history, change_set_items`); err != nil {
				return err
			}
		}
		if err := day(); err != nil {
			return err
		}
		before, err := s.bare(ctx, conn)
		if err != nil {
			return err
		}
		took, scored, err := c.scoreAll(n.body)
		if err != nil {
			return err
		}
		after, err := s.bare(ctx, conn)
		if err != nil {
			return err
		}
		bare := (before + after) / 2
		progress("score: %s: %d scores in %s; bare %s and %s; peak %d MB", n.name, scored, took, before, after, p.peak()>>20)
		s.report.most(n.name, took.Round(time.Millisecond).String(), bare.Round(time.Millisecond).String(), float64(took)/float64(bare), nightTarget)
	}
	if peak := p.peak(); peak > 0 {
		s.report.most("peak memory of the service meanwhile", fmt.Sprintf("%d MB", peak>>20), fmt.Sprintf("%d MB", nightMemory>>20),
			float64(peak)/nightMemory, 1)
	}
	return ctx.Err()
}

// stir makes that a night moves some: of every fiftieth buyer eight times as much is known to have been spent, or as much as before.
func stir(ctx context.Context, conn *pgx.Conn, more bool) error {
	_, err := conn.Exec(ctx, `UPDATE customer_metrics SET spend_total = CASE WHEN $1 THEN spend_total * 8 ELSE spend_total / 8 END
		WHERE purchase_days > 1 AND get_byte(uuid_send(customer_id), 15) < 5`, more)
	return err
}

// bare is what the reference takes.
func (s scale) bare(ctx context.Context, conn *pgx.Conn) (time.Duration, error) {
	_, err := conn.Exec(ctx, `DROP TABLE IF EXISTS bench_column; CREATE TABLE bench_column AS SELECT id, 0::double precision AS value FROM customers`)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	var customers, transactions int64
	err = conn.QueryRow(ctx, `SELECT count(*), sum(n) FROM (SELECT customer_id, count(*) AS n, min(occurred_at), max(occurred_at), sum(base_amount)
		FROM transactions GROUP BY customer_id) t`).Scan(&customers, &transactions)
	if err != nil {
		return 0, err
	}
	if _, err := conn.Exec(ctx, `UPDATE bench_column SET value = 1`); err != nil {
		return 0, err
	}
	took := time.Since(began)
	_, err = conn.Exec(ctx, `DROP TABLE bench_column`)
	return took, err
}

// scoreAll runs all models and waits for the end of the job, and of those that follow it.
func (c *caller) scoreAll(body string) (took time.Duration, scored int64, err error) {
	var job struct {
		ID     string
		Counts struct{ Scored, Failed int64 }
	}
	began := time.Now()
	if err := c.json("POST", "/v1/score-runs", body, &job); err != nil {
		return 0, 0, err
	}
	if err := c.wait(job.ID); err != nil {
		return 0, 0, err
	}
	if err := c.idle(); err != nil {
		return 0, 0, err
	}
	took = time.Since(began)
	if err := c.json("GET", "/v1/jobs/"+job.ID, "", &job); err != nil {
		return 0, 0, err
	}
	if job.Counts.Failed > 0 {
		return 0, 0, fmt.Errorf("%d of the runs failed", job.Counts.Failed)
	}
	return took, job.Counts.Scored, nil
}

func (c *caller) makeModels() error {
	if err := c.dropModels(); err != nil { // of a run that was interrupted
		return err
	}
	for _, kind := range committedModels {
		body, err := json.Marshal(map[string]string{"key": benchModel + kind, "kind": kind})
		if err != nil {
			return err
		}
		if err := c.json("POST", "/v1/score-models", string(body), &struct{}{}); err != nil {
			return err
		}
	}
	return nil
}

// valueTiers is a scheme by the scores of the clv model.
const valueTiers = benchModel + "value"

func (c *caller) makeTiers() error {
	body := fmt.Sprintf(`{"key": %q, "preset": "value", "score": %q}`, valueTiers, benchModel+"clv")
	if err := c.json("POST", "/v1/tier-schemes", body, &struct{}{}); err != nil {
		return err
	}
	return c.idle()
}

// dropModels deletes them, and what reads them.
func (c *caller) dropModels() error {
	a, err := c.do("DELETE", "/v1/tier-schemes/"+valueTiers, "")
	if err != nil || a.status >= http.StatusBadRequest && a.status != http.StatusNotFound {
		return errors.Join(err, fmt.Errorf("%s: %s", valueTiers, a))
	}
	for i := range committedModels {
		target := "/v1/score-models/" + benchModel + committedModels[len(committedModels)-1-i]
		a, err := c.do("DELETE", target, "")
		if err != nil || a.status >= http.StatusBadRequest && a.status != http.StatusNotFound {
			return errors.Join(err, fmt.Errorf("%s: %s", target, a))
		}
	}
	return c.idle() // jobs remove what they left
}

func (s scale) transactionUnderModels(ctx context.Context) (err error) {
	ids, err := s.some(ctx, smallDatabase)
	if err != nil {
		return err
	}
	_, c, stop, err := s.start(ctx, smallDatabase)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := c.dropModels(); err != nil {
		return err
	}
	var with, without []time.Duration
	if err := c.purchases(ids[:purchasesTimed], &without); err != nil {
		return err
	}
	if err := c.makeModels(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.dropModels()) }()
	if _, _, err := c.scoreAll(`{}`); err != nil {
		return err
	}
	if err := c.purchases(ids[purchasesTimed:2*purchasesTimed], &with); err != nil {
		return err
	}
	plain, scored := quantile(without, 0.5), quantile(with, 0.5)
	s.report.most(fmt.Sprintf("a transaction under %d models", len(committedModels)), scored.String(), plain.String(), float64(scored)/float64(plain), scoredTarget)
	return ctx.Err()
}
