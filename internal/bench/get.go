package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	getCustomers = 20_000
	getClients   = 8
	getPairs     = 7
	getWindow    = 1500 * time.Millisecond
	getTarget    = 0.5
)

// measureGet compares requests per second of GET /v1/customers/{id}.
func (b *bench) measureGet(ctx context.Context) (err error) {
	database, err := b.fresh(ctx, "get")
	if err != nil {
		return err
	}
	ids, err := b.fillCustomers(ctx, database)
	if err != nil {
		return err
	}
	ours, err := b.spawn(ctx, roleService, database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ours.stop()) }()
	theirs, err := b.spawn(ctx, roleReference, database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, theirs.stop()) }()
	if err := b.sameAnswers(ours, theirs, ids); err != nil {
		return err
	}
	sides := [2]*process{ours, theirs}
	var rates [2][]float64
	var ratios []float64
	var answered [2]int64
	var spent [2]time.Duration // of processor time before the first pair that counts
	for pair := range getPairs + 1 {
		var rate [2]float64
		for turn := range 2 {
			side := (pair + turn) % 2 // who goes first alternates as well
			n, took, err := b.ask(ctx, sides[side], ids)
			if err != nil {
				return err
			}
			rate[side] = float64(n) / took.Seconds()
			if pair > 0 {
				answered[side] += n
			}
		}
		if pair == 0 { // warms caches and connections of both
			spent = [2]time.Duration{ours.processorTime(), theirs.processorTime()}
			continue
		}
		rates[0], rates[1] = append(rates[0], rate[0]), append(rates[1], rate[1])
		ratios = append(ratios, rate[0]/rate[1])
	}
	progress("get: ratios of the pairs: %s", joined(ratios))
	b.report.add("GET /v1/customers/{id}", fmt.Sprintf("%.0f/s", median(rates[0])), fmt.Sprintf("%.0f/s", median(rates[1])),
		median(ratios), getTarget)
	b.report.note("get: %d keep-alive connections, median of %d alternating pairs (%s); server, reference and database each in "+
		"processes of their own. Reference: net/http, the same verifier with its cache, one pgx statement.", getClients, getPairs, spread(ratios))
	// Rates include the database and whoever asks; this is what is ours to make better, and less disturbed by others.
	if spent[0] > 0 && spent[1] > 0 {
		each := func(side int) int64 {
			return (sides[side].processorTime() - spent[side]).Microseconds() / answered[side]
		}
		b.report.note("get: processor time of the server's own process: %d us a request, of the reference %d us.", each(0), each(1))
	}
	return nil
}

// fillCustomers makes customers with every kind of field and two external ids each.
func (b *bench) fillCustomers(ctx context.Context, database string) ([]uuid.UUID, error) {
	conn, err := pgx.Connect(ctx, b.server.DSN(database))
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx) //nolint:errcheck // every statement has answered
	ids := make([]uuid.UUID, getCustomers)
	at := now()
	var customers, external [][]any
	// A part of the customers knows less, so that both sides leave fields out.
	some := func(i, of int, v string) any {
		if i%of == 0 {
			return nil
		}
		return v
	}
	for i := range ids {
		ids[i] = uuid.Must(uuid.NewV7())
		campaign := any(nil)
		if i%5 > 1 { // only of a known channel
			campaign = "spring"
		}
		made := at.Add(-time.Duration(i) * 1234567 * time.Microsecond)
		customers = append(customers, []any{b.tenantID, ids[i], int64(i%9 + 1), []string{"person", "company"}[i%2],
			fmt.Sprintf("客户 <%d> & \"Sons\"", i), []string{"lead", "prospect", "active"}[i%3], some(i, 5, "store"),
			some(i, 5, "南京东路店"), campaign, some(i, 3, "wang.li"), some(i, 7, "CN"), some(i, 7, "上海"),
			some(i, 4, "上海"), some(i, 6, "retail"), made, made.Add(time.Hour)})
		if i%11 != 0 {
			external = append(external, []any{b.tenantID, "crm", fmt.Sprintf("C-%06d", i), ids[i], made},
				[]any{b.tenantID, "shop", fmt.Sprintf("%d", i*17), ids[i], made})
		}
	}
	_, err = conn.CopyFrom(ctx, pgx.Identifier{"customers"}, []string{"tenant_id", "id", "version", "kind", "name", "stage",
		"source_channel", "source_detail", "source_campaign", "owner", "country", "province", "city", "industry", "created_at",
		"updated_at"}, pgx.CopyFromRows(customers))
	if err != nil {
		return nil, err
	}
	_, err = conn.CopyFrom(ctx, pgx.Identifier{"external_ids"}, []string{"tenant_id", "source", "external_id", "customer_id",
		"created_at"}, pgx.CopyFromRows(external))
	if err != nil {
		return nil, err
	}
	_, err = conn.Exec(ctx, "VACUUM ANALYZE")
	return ids, err
}

// sameAnswers fails unless both servers answer alike, to the byte, for many customers and with a forged token.
func (b *bench) sameAnswers(ours, theirs *process, ids []uuid.UUID) error {
	var callers [2]*caller
	for i, p := range []*process{ours, theirs} {
		forger, err := dial(p.address, b.token+"x")
		if err != nil {
			return err
		}
		refused, err := forger.get(ids[0])
		forger.close()
		if err != nil {
			return err
		}
		if refused.status != http.StatusUnauthorized {
			return fmt.Errorf("a forged token is answered by %d", refused.status)
		}
		if callers[i], err = dial(p.address, b.token); err != nil {
			return err
		}
	}
	defer callers[0].close()
	defer callers[1].close()
	for i := 0; i < len(ids); i += 23 {
		one, err := callers[0].get(ids[i])
		if err != nil {
			return err
		}
		two, err := callers[1].get(ids[i])
		if err != nil {
			return err
		}
		if one.status != http.StatusOK || one.String() != two.String() {
			return fmt.Errorf("customer %s: the answers differ:\n%s\n%s", ids[i], one, two)
		}
	}
	return nil
}

// ask counts the requests that p answers while all clients ask without a pause, each for random customers.
func (b *bench) ask(ctx context.Context, p *process, ids []uuid.UUID) (n int64, took time.Duration, err error) {
	var answered atomic.Int64
	var group sync.WaitGroup
	failed := make(chan error, getClients)
	began := time.Now()
	for client := range getClients {
		random := rand.New(rand.NewPCG(1, uint64(client)))
		group.Go(func() {
			c, err := dial(p.address, b.token)
			if err != nil {
				failed <- err
				return
			}
			defer c.close()
			for time.Since(began) < getWindow && ctx.Err() == nil {
				a, err := c.get(ids[random.IntN(len(ids))])
				if err == nil && a.status != http.StatusOK {
					err = fmt.Errorf("answered by %s", a)
				}
				if err != nil {
					failed <- err
					return
				}
				answered.Add(1)
			}
		})
	}
	group.Wait()
	took = time.Since(began)
	select {
	case err := <-failed:
		return 0, 0, err
	default:
		return answered.Load(), took, ctx.Err()
	}
}

// caller is a client that costs little: what it takes of the processors is taken from both servers alike and would
// bring their ratio nearer to one.
type caller struct {
	conn net.Conn
	in   *bufio.Reader
	out  []byte
	body bytes.Buffer
	rest string // of a request, after the target
}

// answer is what came back; its body is good until the next call.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// String is what has to be equal.
func (a answer) String() string {
	return fmt.Sprintf("%d %s %s %s", a.status, a.header.Get("Content-Type"), a.header.Get("ETag"), a.body)
}

func dial(address, token string) (*caller, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &caller{conn: conn, in: bufio.NewReader(conn),
		rest: " HTTP/1.1\r\nHost: " + address + "\r\nAccept: application/json\r\nAuthorization: Bearer " + token + "\r\n"}, nil
}

func (c *caller) close() { c.conn.Close() } //nolint:errcheck // all was read

func (c *caller) get(id uuid.UUID) (answer, error) {
	return c.do("GET", "/v1/customers/"+id.String(), "")
}

// do sends a request; a body is JSON, and may be empty.
func (c *caller) do(method, target, body string) (answer, error) {
	c.out = append(append(append(append(c.out[:0], method...), ' '), target...), c.rest...)
	if body != "" {
		media := "application/json"
		if method == http.MethodPatch {
			media = "application/merge-patch+json"
		}
		c.out = fmt.Appendf(c.out, "Content-Type: %s\r\nContent-Length: %d\r\n", media, len(body))
	}
	c.out = append(append(c.out, "\r\n"...), body...)
	if _, err := c.conn.Write(c.out); err != nil {
		return answer{}, err
	}
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	c.body.Reset()
	_, err = c.body.ReadFrom(res.Body)
	return answer{res.StatusCode, res.Header, c.body.Bytes()}, err
}
