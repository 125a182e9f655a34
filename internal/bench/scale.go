package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/pgserver"
	"github.com/kezi-io/kezi/internal/postgres"
)

const (
	scaleAsks    = 300             // requests of a kind, one after the other
	scaleLasts   = 3 * time.Second // or fewer, when they take that long
	scaleWindow  = 1500 * time.Millisecond
	scaleClients = 8

	deepPage    = 10_000
	pageSize    = 50
	depthTarget = 1.5

	fewAllowed  = 20 * time.Millisecond  // for what finds up to 1,000 customers
	manyAllowed = 150 * time.Millisecond // for common needles
)

// scaleSettings are the built-in database's own (see pgserver) but for these: nothing is synced, as in the other parts;
// pages are not logged whole after a checkpoint, because how many are depends on when the last checkpoint was; and
// nothing is vacuumed while it is measured.
var scaleSettings = map[string]string{"fsync": "off", "full_page_writes": "off", "autovacuum": "off", "max_connections": "100"}

// scale is the part that measures at the size of make bench-data.
type scale struct {
	*bench
	server *pgserver.Server
}

func (b *bench) measureScale(ctx context.Context) error {
	return b.atScale(ctx, "scale", func(s scale) error {
		if err := s.reads(ctx); err != nil {
			return err
		}
		if err := s.writes(ctx); err != nil {
			return err
		}
		return s.rules(ctx)
	})
}

// atScale measures a part on the loaded databases, where there are any.
func (b *bench) atScale(ctx context.Context, part string, measure func(scale) error) (err error) {
	dir := loaded(b.load.data)
	if dir == "" {
		if b.only == part {
			return fmt.Errorf("there is no data in %s: make bench-data makes it", b.load.data)
		}
		b.report.note("%s: not measured; make bench-data makes a million customers to measure with.", part)
		return nil
	}
	s := scale{bench: b}
	if s.server, err = pgserver.Start(ctx, pgserver.Config{Dir: dir, Settings: scaleSettings}); err != nil {
		return err
	}
	defer func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, s.server.Stop(stop))
	}()
	keys, err := os.ReadFile(filepath.Join(dir, keyset)) //nolint:gosec // beside the data
	if err != nil {
		return fmt.Errorf("make bench-data completes the data: %w", err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, keyset), keys, 0o600); err != nil {
		return err
	}
	for _, database := range []string{largeDatabase, smallDatabase} {
		if _, err := postgres.Migrate(ctx, s.server.DSN(database)); err != nil {
			return err
		}
	}
	if err := s.vacuum(ctx); err != nil {
		return err
	}
	return measure(s)
}

// vacuum does what is due by the rules of autovacuum, which the bench turned off: after a migration that made a table anew
// its pages are not known to be visible to all, and reads of an index alone look at the table after all.
func (s scale) vacuum(ctx context.Context) error {
	for _, database := range []string{largeDatabase, smallDatabase} {
		due, err := query[string](ctx, s, database, `SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
			AND relpages > 100 AND relallvisible < 0.8 * relpages ORDER BY relname`)
		if err != nil {
			return err
		}
		for _, table := range due {
			progress("scale: vacuum of %s in %s", table, database)
			if _, err := query[string](ctx, s, database, "VACUUM (ANALYZE) "+pgx.Identifier{table}.Sanitize()); err != nil {
				return err
			}
		}
	}
	return nil
}

// query runs one on a database of the cluster and answers its first column.
func query[T any](ctx context.Context, s scale, database, sql string, args ...any) ([]T, error) {
	conn, err := pgx.Connect(ctx, s.server.DSN(database))
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is open on it
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[T])
}

// some are ids of living customers, at random.
func (s scale) some(ctx context.Context, database string) ([]uuid.UUID, error) {
	return query[uuid.UUID](ctx, s, database, `SELECT id FROM customers WHERE deleted_at IS NULL AND merged_into IS NULL
		ORDER BY md5(id::text) LIMIT 3000`)
}

// read is a kind of request. A target with {} stands for the id of a customer, another each time.
type read struct {
	name, target string
	allowed      time.Duration
}

func filtered(name, filter, more string, allowed time.Duration) read {
	return read{name, "/v1/customers?filter=" + url.QueryEscape(filter) + more, allowed}
}

const expansions = "tags,tiers,metrics,scores,contact_points,addresses"

const (
	first   = "customers, page 1"
	deep    = "customers, page 10,000"
	byName  = "customers by name, page 1"
	byNameD = "customers by name, page 10,000"
	bySpend = "customers by spend, page 1"
	bySpenD = "customers by spend, page 10,000"
)

// reads times one kind of request after the other on the large database. A kind that the service does not have (yet)
// is passed over.
func (s scale) reads(ctx context.Context) (err error) {
	ids, err := s.some(ctx, largeDatabase)
	if err != nil {
		return err
	}
	size, err := query[float64](ctx, s, largeDatabase, `SELECT reltuples FROM pg_class WHERE relname IN ('customers', 'transactions') ORDER BY relname`)
	if err != nil {
		return err
	}
	p, err := s.spawnOn(ctx, s.server, roleService, largeDatabase)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	if err := s.rest(ctx, p, largeDatabase); err != nil {
		return err
	}
	c, err := dial(p.address, s.token)
	if err != nil {
		return err
	}
	defer c.close()
	kinds := []read{
		{"who am I (nothing but the way there)", "/v1/me", 0},
		{"customer by id", "/v1/customers/{}", fewAllowed},
		{"customer by id, all expansions", "/v1/customers/{}?expand=" + expansions, fewAllowed},
		{"profile", "/v1/customers/{}/profile", fewAllowed},
		{"timeline", "/v1/customers/{}/timeline", fewAllowed},
		{"transactions of a customer", "/v1/transactions?customer_id={}", fewAllowed},
		{"events of a customer", "/v1/events?customer_id={}", fewAllowed},
		{first, "/v1/customers", fewAllowed},
		{byName, "/v1/customers?sort=name", fewAllowed},
		{bySpend, "/v1/customers?sort=-spend_total", fewAllowed},
		{"customers, page 1 of 50 with all expansions", "/v1/customers?expand=" + expansions, fewAllowed},
		{"customers, page 1, total=estimate", "/v1/customers?total=estimate", fewAllowed},
		{"customers, page 1, total=exact", "/v1/customers?total=exact", 0},
		filtered("filter: a rare tag", `tags:"calligraphy"`, "", fewAllowed),
		filtered("filter: a rare tag, total=exact", `tags:"calligraphy"`, "&total=exact", fewAllowed),
		filtered("filter: a rare city of an owner's", `city = "丽江" AND owner != "x" AND stage = "lost"`, "&total=exact", fewAllowed),
		filtered("filter: the biggest spenders", `spend_total >= "100000"`, "&sort=-spend_total&total=exact", fewAllowed),
		filtered("filter: a common city", `city = "上海"`, "&total=estimate", manyAllowed),
		filtered("filter: a common tag by name", `tags:"wechat"`, "&sort=name&total=estimate", manyAllowed),
		filtered("filter: a tier by spend", `tiers.value = "high"`, "&sort=-spend_total&total=estimate", manyAllowed),
		filtered("filter: orders counted in a window", `count(transactions, "90d") >= 3`, "&total=none", manyAllowed),
		{"tags with their counts", "/v1/tags", fewAllowed},
		{"transactions, page 1", "/v1/transactions", fewAllowed},
		{"events, from the beginning", "/v1/events?after=0", fewAllowed},
	}
	searches, err := s.searches(ctx)
	if err != nil {
		return err
	}
	kinds = append(kinds, searches...)
	for _, d := range []struct{ name, list string }{{deep, "?sort=-created_at"}, {byNameD, "?sort=name"}, {bySpenD, "?sort=-spend_total"}} {
		if !strings.Contains(d.name, s.kinds) {
			continue
		}
		cursor, err := walk(c, "/v1/customers"+d.list, int(min(deepPage*pageSize, size[0]*0.9)))
		if err != nil {
			return err
		}
		kinds = append(kinds, read{d.name, "/v1/customers" + d.list + "&cursor=" + cursor, fewAllowed})
	}
	for _, k := range kinds {
		if !strings.Contains(k.name, s.kinds) {
			continue
		}
		if err := s.read(ctx, p, c, k, ids); err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
	}
	for _, pair := range [][2]string{{first, deep}, {byName, byNameD}, {bySpend, bySpenD}} {
		near, far := s.report.timedAs(pair[0]), s.report.timedAs(pair[1])
		if near.p50 == 0 || far.p50 == 0 {
			continue
		}
		s.report.most(pair[1]+" against page 1", far.p50.String(), near.p50.String(), float64(far.p50)/float64(near.p50), depthTarget)
	}
	s.report.note("scale: %.0f customers, %.0f transactions; up to %d requests of a kind one after the other, then %d clients for %s. "+
		"Pages of %d. The cursor of page %d was got by walking there in pages of 1000.", size[0], size[1], scaleAsks, scaleClients,
		scaleWindow, pageSize, deepPage)
	return nil
}

// timedAs is what was measured under a name; zero when it was not.
func (r *report) timedAs(name string) latency {
	for _, l := range r.timed {
		if l.name == name {
			return l
		}
	}
	return latency{}
}

// walk answers the cursor after so many customers of a list.
func walk(c *caller, list string, many int) (string, error) {
	cursor := ""
	for read := 0; read < many; read += 1000 {
		a, err := c.do("GET", fmt.Sprintf("%s&fields=stage&limit=1000%s", list, cursor), "")
		if err != nil {
			return "", err
		}
		var p struct {
			Next string `json:"next_cursor"`
		}
		if err := json.Unmarshal(a.body, &p); err != nil || a.status != http.StatusOK || p.Next == "" {
			return "", fmt.Errorf("walk %s: no page after %d: %s", list, read, a)
		}
		cursor = "&cursor=" + p.Next
	}
	return cursor[len("&cursor="):], nil
}

func (s scale) read(ctx context.Context, p *process, c *caller, k read, ids []uuid.UUID) error {
	for i := range 10 { // warms connections, statements and pages
		a, err := c.do("GET", k.at(ids, i), "")
		switch {
		case err != nil:
			return err
		case a.status == http.StatusBadRequest || a.status == http.StatusNotFound:
			s.report.note("scale: %s: not there (%d)", k.name, a.status)
			return nil
		case a.status != http.StatusOK:
			return fmt.Errorf("answered by %s", a)
		}
	}
	l := latency{name: k.name, allowed: k.allowed}
	var took []time.Duration
	began := time.Now()
	for i := 0; i < scaleAsks && time.Since(began) < scaleLasts; i++ {
		at := time.Now()
		if a, err := c.do("GET", k.at(ids, 10+i), ""); err != nil || a.status != http.StatusOK {
			return errors.Join(err, fmt.Errorf("answered by %d", a.status))
		}
		took = append(took, time.Since(at))
	}
	l.rate = float64(len(took)) / time.Since(began).Seconds()
	l.p50, l.p99 = quantile(took, 0.5), quantile(took, 0.99)

	var mu sync.Mutex
	var all []time.Duration
	var failed error
	var clients sync.WaitGroup
	began = time.Now()
	for n := range scaleClients {
		clients.Go(func() {
			took, err := s.loop(ctx, p, k, ids, n, began)
			mu.Lock()
			defer mu.Unlock()
			all, failed = append(all, took...), errors.Join(failed, err)
		})
	}
	clients.Wait()
	if failed != nil {
		return failed
	}
	l.manyRate, l.manyP99 = float64(len(all))/time.Since(began).Seconds(), quantile(all, 0.99)
	s.report.timed = append(s.report.timed, l)
	progress("scale: %s: %s, %s", k.name, l.p50, l.p99)
	return ctx.Err()
}

// loop is one of several clients.
func (s scale) loop(ctx context.Context, p *process, k read, ids []uuid.UUID, client int, began time.Time) ([]time.Duration, error) {
	c, err := dial(p.address, s.token)
	if err != nil {
		return nil, err
	}
	defer c.close()
	var took []time.Duration
	for i := 0; time.Since(began) < scaleWindow && ctx.Err() == nil; i++ {
		at := time.Now()
		a, err := c.do("GET", k.at(ids, client*331+i), "")
		if err != nil || a.status != http.StatusOK {
			return nil, errors.Join(err, fmt.Errorf("answered by %d", a.status))
		}
		took = append(took, time.Since(at))
	}
	return took, nil
}

func (k read) at(ids []uuid.UUID, i int) string { return replaceID(k.target, ids[i%len(ids)]) }

func quantile(v []time.Duration, q float64) time.Duration {
	s := slices.Sorted(slices.Values(v))
	return s[min(int(q*float64(len(s))), len(s)-1)].Round(time.Microsecond)
}

// start starts the service on a database, and answers it, a caller of it, and what ends both.
func (s scale) start(ctx context.Context, database string) (*process, *caller, func() error, error) {
	p, err := s.spawnOn(ctx, s.server, roleService, database)
	if err != nil {
		return nil, nil, nil, err
	}
	c, err := dial(p.address, s.token)
	if err != nil {
		return nil, nil, nil, errors.Join(err, p.stop())
	}
	return p, c, func() error {
		c.close()
		return p.stop()
	}, nil
}
