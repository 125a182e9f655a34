package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	writeRounds  = 6
	writeEach    = 150 // per round
	costTarget   = 1.3
	paceTarget   = 0.7
	writeSmall   = 0 // indexes of the two sides
	writeLarge   = 1
	touchedPages = `SELECT coalesce(sum(heap_blks_hit + heap_blks_read + coalesce(idx_blks_hit + idx_blks_read, 0)
		+ coalesce(toast_blks_hit + toast_blks_read + tidx_blks_hit + tidx_blks_read, 0)), 0)::bigint FROM pg_statio_user_tables
		WHERE relname NOT LIKE 'river%'`
)

func replaceID(target string, id uuid.UUID) string {
	return strings.Replace(target, "{}", id.String(), 1)
}

// write is a kind of write, the n-th of its side.
type write struct {
	name string
	do   func(c *caller, ids []uuid.UUID, n int) (answer, error)
}

var writeKinds = []write{
	{"create", func(c *caller, _ []uuid.UUID, n int) (answer, error) {
		return c.do("POST", "/v1/customers", fmt.Sprintf(`{"kind":"person","name":"测试%d","city":"上海","owner":"王强","source":{"channel":"store"},`+
			`"external_ids":[{"source":"bench","external_id":"%s"}]}`, n%977, uuid.New()))
	}},
	{"update", func(c *caller, ids []uuid.UUID, n int) (answer, error) {
		return c.do("PATCH", "/v1/customers/"+ids[n%len(ids)].String(), fmt.Sprintf(`{"owner":"owner %d","stage":"active"}`, time.Now().UnixNano()%99991))
	}},
}

// cost is what the writes of one kind took on one side.
type cost struct {
	rates        []float64
	log          int64 // bytes
	pages, count int64
}

// writes compares what a write costs at the two sizes.
func (s scale) writes(ctx context.Context) error {
	prepared := false
	for _, k := range writeKinds {
		if !strings.Contains(k.name, s.kinds) {
			continue
		}
		if !prepared {
			if err := s.sameRules(ctx); err != nil {
				return fmt.Errorf("the rules of both sides: %w", err)
			}
			prepared = true
		}
		costs, err := s.write(ctx, k)
		if err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
		small, large := costs[writeSmall], costs[writeLarge]
		each := func(c cost, total int64) float64 { return float64(total) / float64(c.count) }
		add := func(what, unit string, of func(cost) float64) {
			s.report.most(fmt.Sprintf("%s, %s at 1 M against 10 k", k.name, what), fmt.Sprintf("%.0f%s", of(large), unit),
				fmt.Sprintf("%.0f%s", of(small), unit), of(large)/of(small), costTarget)
		}
		add("write-ahead log", " B", func(c cost) float64 { return each(c, c.log) })
		add("pages touched", "", func(c cost) float64 { return each(c, c.pages) })
		fast, slow := median(small.rates), median(large.rates)
		s.report.add(k.name+", rate at 1 M against 10 k", fmt.Sprintf("%.0f/s", slow), fmt.Sprintf("%.0f/s", fast), slow/fast, paceTarget)
	}
	s.report.note("scale: writes one after the other, %d rounds of %d that alternate between the databases; full_page_writes off, because "+
		"how many pages are logged whole depends on when the last checkpoint was. Both have the scheme of three tiers that the data comes with, "+
		"in force, and no other rules: a created customer is placed in it.", writeRounds, writeEach)
	return nil
}

// sameRules lets the rules of the loaded data alone be in force on both sides, since every write is judged by what is: rules
// that an interrupted run left are dropped, and where no rule has ever been in force one comes and goes.
func (s scale) sameRules(ctx context.Context) error {
	for _, database := range []string{smallDatabase, largeDatabase} {
		if err := s.loadedRules(ctx, database); err != nil {
			return fmt.Errorf("%s: %w", database, err)
		}
	}
	return nil
}

// benchKey begins the key of every rule that the bench makes.
const benchKey = "bench_"

func (s scale) loadedRules(ctx context.Context, database string) (err error) {
	inForce, err := query[bool](ctx, s, database, `SELECT EXISTS (SELECT FROM rule_states)`)
	if err != nil {
		return err
	}
	p, err := s.spawnOn(ctx, s.server, roleService, database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	if err := s.rest(ctx, p, database); err != nil {
		return err
	}
	c, err := dial(p.address, s.token)
	if err != nil {
		return err
	}
	defer c.close()
	if !inForce[0] {
		if err := c.make(kinds[0], benchKey+"nobody", "nobody", `city = "nowhere"`); err != nil {
			return err
		}
		if err := c.idle(); err != nil {
			return err
		}
	}
	for _, k := range kinds {
		if err := c.dropAll(k); err != nil {
			return err
		}
	}
	return c.idle()
}

// dropAll drops the rules of a kind that the bench made.
func (c *caller) dropAll(k kind) error {
	var all struct{ Items []struct{ Key string } }
	if err := c.json("GET", k.list, "", &all); err != nil {
		return err
	}
	for _, r := range all.Items {
		if !strings.HasPrefix(r.Key, benchKey) {
			continue
		}
		if err := c.drop(k, r.Key); err != nil {
			return err
		}
	}
	return nil
}

func (s scale) write(ctx context.Context, k write) (costs [2]cost, err error) {
	databases := [2]string{smallDatabase, largeDatabase}
	var ids [2][]uuid.UUID
	for side, database := range databases {
		if ids[side], err = s.some(ctx, database); err != nil {
			return costs, err
		}
	}
	bare, err := s.touched(ctx, databases)
	if err != nil {
		return costs, err
	}
	if err := s.idle(ctx, databases); err != nil {
		return costs, err
	}
	before, err := s.touched(ctx, databases)
	if err != nil {
		return costs, err
	}
	if err := s.rounds(ctx, k, databases, ids, &costs); err != nil {
		return costs, err
	}
	after, err := s.touched(ctx, databases)
	for side := range costs {
		costs[side].pages = after[side] - before[side] - (before[side] - bare[side])
	}
	return costs, err
}

// A service has come to rest when for so long nothing runs in its database: neither jobs, such as the nightly scores that
// are due when it starts, nor looks at the data, such as for names that are not searchable yet.
const (
	restFirst   = 3 * time.Second // until what begins at the start has begun
	restLooks   = 8               // in a row, so far apart:
	restPause   = 250 * time.Millisecond
	restPatient = 15 * time.Minute
)

// rest waits until a service that was started does nothing by itself any more: that is no request's. A job that is queued
// begins within a second; one that stays queued was left by a process that was killed, and is not waited for.
func (s scale) rest(ctx context.Context, p *process, database string) error {
	c, err := dial(p.address, s.token)
	if err != nil {
		return err
	}
	defer c.close()
	pause := restFirst
	for began, quiet := time.Now(), 0; quiet < restLooks; pause = restPause {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		var jobs struct{ Items []struct{ Kind string } }
		if err := c.json("GET", "/v1/jobs?status=running", "", &jobs); err != nil {
			return err
		}
		active, err := query[int64](ctx, s, database, `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND state <> 'idle'`)
		if err != nil {
			return err
		}
		if quiet++; len(jobs.Items) > 0 || active[0] > 0 {
			quiet = 0
		}
		if time.Since(began) > restPatient {
			return fmt.Errorf("the service on %s is still at work after %s: %d jobs, %d statements", database, restPatient, len(jobs.Items), active[0])
		}
	}
	return nil
}

// idle starts and stops the service of each side: what that touches is no write's.
func (s scale) idle(ctx context.Context, databases [2]string) (err error) {
	for _, database := range databases {
		p, err := s.spawnOn(ctx, s.server, roleService, database)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, p.stop()) }() //nolint:gocritic // two of them, to the end
		if err := s.rest(ctx, p, database); err != nil {
			return err
		}
	}
	return nil
}

// touched waits until processes that ended have handed in their counts.
func (s scale) touched(ctx context.Context, databases [2]string) (pages [2]int64, err error) {
	for side, database := range databases {
		last := int64(-1)
		for pages[side] != last {
			last = pages[side]
			select {
			case <-ctx.Done():
				return pages, ctx.Err()
			case <-time.After(200 * time.Millisecond):
			}
			n, err := query[int64](ctx, s, database, touchedPages)
			if err != nil {
				return pages, err
			}
			pages[side] = n[0]
		}
	}
	return pages, nil
}

func (s scale) rounds(ctx context.Context, k write, databases [2]string, ids [2][]uuid.UUID, costs *[2]cost) (err error) {
	var services [2]*process
	for side, database := range databases {
		if services[side], err = s.spawnOn(ctx, s.server, roleService, database); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, services[side].stop()) }() //nolint:gocritic // two of them, to the end
		if err := s.rest(ctx, services[side], database); err != nil {
			return err
		}
	}
	var callers [2]*caller
	for side := range callers { // both at rest: a service hangs up on who says nothing for long
		if callers[side], err = dial(services[side].address, s.token); err != nil {
			return err
		}
		defer callers[side].close() //nolint:gocritic // two of them, to the end
	}
	for round := range writeRounds {
		for turn := range 2 {
			side := (round + turn) % 2
			from, err := query[int64](ctx, s, databases[side], `SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint`)
			if err != nil {
				return err
			}
			began := time.Now()
			for n := range writeEach {
				a, err := k.do(callers[side], ids[side], round*writeEach+n)
				if err != nil || (a.status != http.StatusOK && a.status != http.StatusCreated) {
					return errors.Join(err, fmt.Errorf("answered by %s", a))
				}
			}
			rate := writeEach / time.Since(began).Seconds()
			to, err := query[int64](ctx, s, databases[side], `SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint`)
			if err != nil {
				return err
			}
			c := &costs[side]
			c.log, c.count = c.log+to[0]-from[0], c.count+writeEach
			if round > 0 { // the first one warms both
				c.rates = append(c.rates, rate)
			}
		}
	}
	return ctx.Err()
}
