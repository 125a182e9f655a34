package score

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// scoredNote is the type of the note, which is no event, that scores of customers have changed.
const scoredNote = "customer.scored"

// program is all that re-scoring a tenant's customers depends on, compiled: models with a live clock whose run in force is
// of a day when it was today. It is good for one digest of kezi_scoring and one local day.
type program struct {
	state     string
	tenant    int64 // version of the tenant: its zone and currency are part of what conditions mean
	day       tenant.Day
	reading   *reading
	running   []int64         // live runs in progress, which must hear of whom a write touched
	reads     map[string]bool // what models of rules among them read; nil without one
	ofScores  bool            // whether one of those reads scores
	forTenant int32
}

// programs keeps the latest program of each tenant.
type programs struct {
	mutex sync.Mutex
	of    map[int32]*program
}

func (p *programs) get(id int32) *program {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.of[id]
}

func (p *programs) put(prog *program) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.of[prog.forTenant] = prog
}

// touched is whom a transaction changed, and what of them.
type touched struct {
	call      tenant.Call
	customers map[uuid.UUID]bool
	facts     bool            // what they bought, perhaps
	only      bool            // nothing but what decided names, and scores
	scored    bool            // scores among it
	decided   map[string]bool // the segments, tags and tiers that rules decided otherwise, as condition.Reads names them
	sets      map[string]bool // the same by a job, for customers of whom it does not tell
}

// classified are the events of what rules decided.
var classified = map[string]bool{"customer.classified": true, "customers.classified": true}

// records are the subjects of events that change nothing of what was bought.
var records = map[string]bool{"customer": true, "customers": true, "tag": true, "tags": true, "tier_scheme": true, "segment": true,
	"contact_point": true, "address": true, "contact": true, "note": true, "relation": true}

// returning are the events of customers that bring back what they bought.
var returning = map[string]bool{"customer.undeleted": true, "customer.deleted": true, "customer.merged": true}

func readNotes(notes []any) (touched, error) {
	t := touched{customers: map[uuid.UUID]bool{}, only: true, decided: map[string]bool{}, sets: map[string]bool{}}
	for _, n := range notes {
		n, ok := n.(event.Noted)
		if !ok || len(n.Customers) == 0 && !classified[n.Type] {
			continue
		}
		if t.call.Tenant.ID != 0 && t.call.Tenant.ID != n.Call.Tenant.ID {
			return touched{}, errors.New("a transaction changed customers of two tenants")
		}
		t.call = n.Call
		for _, id := range n.Customers {
			t.customers[id] = true
		}
		into := t.decided
		if len(n.Customers) == 0 {
			into = t.sets
		}
		switch {
		case classified[n.Type]:
			for _, name := range n.Changed {
				into[name] = true
			}
			continue
		case n.Type == scoredNote:
			t.scored = true
			continue
		}
		t.only = false
		subject, _, _ := strings.Cut(n.Type, ".")
		t.facts = t.facts || returning[n.Type] || !records[subject] || slices.Contains(n.Changed, "kind") // values may go by kind
	}
	return t, nil
}

// Settle is the [postgres.Settler] that scores anew whom a transaction touched, with the calibrations in force and as of
// today: one round trip to read what is in force and what is known of the customers, and one to write what differs, whatever
// the number of models. A model with a fixed clock is only moved by runs, and a backtest by nothing.
func (s *Service) Settle(ctx context.Context, tx postgres.Tx, notes []any) error {
	t, err := readNotes(notes)
	if err != nil || t.call.Tenant.Zone == nil { // nothing, or housekeeping, which knows its tenants by number
		return err
	}
	if len(t.sets) > 0 {
		if err := s.followRules(ctx, tx, t.call, t.sets); err != nil {
			return err
		}
	}
	if len(t.customers) == 0 {
		return nil
	}
	ids := make([]uuid.UUID, 0, len(t.customers))
	for id := range t.customers {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, postgres.CompareIDs)
	of, now := t.call.Tenant, s.now()
	day := of.Today(now)
	p := s.programs.get(of.ID)
	if t.only && p != nil && !p.follows(t) { // what this transaction has just scored by, under its lock
		return nil
	}
	for tries := 0; ; tries++ {
		ready := p != nil && p.day == day && p.tenant == of.Version
		wanted := ready && p.wanted(t)
		state, found, err := ask(ctx, tx, of.ID, p, wanted, day, now, ids)
		if err != nil {
			return err
		}
		if ready && p.state == state {
			if !wanted {
				return nil
			}
			return s.settle(ctx, tx, t.call, p, found, ids, now)
		}
		if tries == maxTries {
			return errors.New("what scores are computed by does not stay as it is under its lock")
		}
		if p, err = s.compile(ctx, tx, of, state, day); err != nil {
			return err
		}
	}
}

// maxTries bounds how often the program is compiled anew for one transaction: fields and tier schemes change without the
// lock of scores.
const maxTries = 10

// wanted reports whether what was touched can change a score.
func (p *program) wanted(t touched) bool {
	if len(p.reading.models) == 0 && len(p.running) == 0 {
		return false
	}
	switch {
	case t.only:
		return p.follows(t)
	case t.facts:
		return true
	}
	return p.reads != nil || len(p.running) > 0
}

// follows reports whether models of rules read scores that changed, or what rules decided otherwise.
func (p *program) follows(t touched) bool {
	return t.scored && p.ofScores || intersect(p.reads, t.decided)
}

func intersect(a, b map[string]bool) bool {
	for name := range a {
		if b[name] {
			return true
		}
	}
	return false
}

// followRules starts runs, by the calibrations in force, of the models of rules that read what a job of rules decided
// otherwise.
func (s *Service) followRules(ctx context.Context, tx postgres.Tx, call tenant.Call, decided map[string]bool) error {
	if err := alone(ctx, tx, call.Tenant.ID); err != nil {
		return err
	}
	all, err := models(ctx, tx, call.Tenant.ID)
	if err != nil {
		return err
	}
	for _, m := range all {
		reads := func(name string) bool { return decided[name] }
		if m.Kind != Rules || m.CurrentRun == nil || m.RetiredAt != nil || !slices.ContainsFunc(m.reads(), reads) {
			continue
		}
		if err := s.again(ctx, tx, call, m, m.Kind == Rules); err != nil {
			return err
		}
	}
	return nil
}

// ask takes the lock and reads the digest, and with it, if the program is wanted, what it needs to know: one round trip.
func ask(ctx context.Context, tx postgres.Tx, tenantID int32, p *program, wanted bool, day tenant.Day, now time.Time, ids []uuid.UUID) (state string, found []read, err error) {
	const lock = `SELECT kezi_scoring($1)`
	if !wanted || len(p.reading.models) == 0 {
		err := tx.QueryRow(ctx, lock, tenantID).Scan(&state)
		if err != nil {
			return "", nil, fmt.Errorf("keep what scores are computed by: %w", err)
		}
		return state, nil, nil
	}
	var b pgx.Batch
	b.Queue(lock, tenantID)
	b.Queue(p.reading.sql, p.reading.values(tenantID, day, now, ids)...)
	results := tx.Pgx().SendBatch(ctx, &b)
	defer func() {
		if closed := results.Close(); err == nil && closed != nil {
			err = fmt.Errorf("read what scores are made of: %w", closed)
		}
	}()
	if err := results.QueryRow().Scan(&state); err != nil {
		return "", nil, fmt.Errorf("keep what scores are computed by: %w", err)
	}
	rows, err := results.Query()
	if err != nil {
		return "", nil, fmt.Errorf("read what scores are made of: %w", err)
	}
	if found, err = p.reading.scan(rows); err != nil {
		return "", nil, fmt.Errorf("read what scores are made of: %w", err)
	}
	return state, found, nil
}

// compile reads what is in force under the lock, of which state is the digest.
func (s *Service) compile(ctx context.Context, tx postgres.Tx, t tenant.Tenant, state string, day tenant.Day) (*program, error) {
	p := &program{state: state, tenant: t.Version, day: day, forTenant: t.ID}
	err := tx.QueryRow(ctx, `SELECT coalesce(array_agg(run_no ORDER BY run_no), '{}') FROM score_runs
		WHERE tenant_id = $1 AND status = 'queued' AND live`, t.ID).Scan(&p.running)
	if err != nil {
		return nil, fmt.Errorf("look for runs in progress: %w", err)
	}
	runs, numbers, err := forces(ctx, tx, forceSelect+` AND r.run_no = m.current_run
		WHERE m.tenant_id = $1 AND r.live AND m.clock_day IS NULL AND m.retired_at IS NULL ORDER BY m.key`, t.ID)
	if err != nil {
		return nil, err
	}
	models, err := lives(ctx, tx, t.ID, runs, numbers)
	if err != nil {
		return nil, err
	}
	var l condition.Language
	for _, m := range models {
		if m.summary.Kind != Rules {
			continue
		}
		if p.reads == nil {
			p.reads = map[string]bool{}
		}
		for _, name := range (Model{Params: m.params}).reads() {
			p.reads[name] = true
			p.ofScores = p.ofScores || condition.Family(name) == condition.Scores
		}
	}
	if p.reads != nil {
		if l, err = condition.ForLater(ctx, tx, t, s.now()); err != nil {
			return nil, err
		}
		// What a rule names may be gone since: its model's scores stay as they are, it must not stop the tenant's writes.
		models = slices.DeleteFunc(models, func(m live) bool {
			_, err := givenRules(l, m.params.Rules, day)
			return m.summary.Kind == Rules && fault.Of(err) != nil
		})
	}
	if p.reading, err = newReading(models, l, day); err != nil {
		return nil, err
	}
	s.programs.put(p)
	return p, nil
}

// lives are runs ready to score single customers by.
func lives(ctx context.Context, q postgres.Querier, tenantID int32, runs map[int64]force, numbers []int64) ([]live, error) {
	models := make([]live, len(numbers))
	for i, no := range numbers {
		f := runs[no]
		m := live{force: f, no: no, model: f.model}
		var err error
		if m.by, err = newScorer(f.summary.Kind, f.params, f.calibration); err != nil {
			return nil, err
		}
		if f.summary.Kind.joins() {
			if m.partRuns, err = partRuns(ctx, q, tenantID, Run{Params: f.params, Live: true}); err != nil {
				return nil, err
			}
		}
		models[i] = m
	}
	return models, nil
}

// settle writes what differs, and notes who has other scores now.
func (s *Service) settle(ctx context.Context, tx postgres.Tx, call tenant.Call, p *program, found []read, ids []uuid.UUID, now time.Time) error {
	if len(p.running) > 0 {
		_, err := tx.Exec(ctx, `INSERT INTO score_touched (tenant_id, run_no, customer_id)
			SELECT $1, r.no, c.id FROM unnest($2::bigint[]) r (no) CROSS JOIN unnest($3::uuid[]) c (id) ON CONFLICT DO NOTHING`,
			call.Tenant.ID, p.running, ids)
		if err != nil {
			return fmt.Errorf("tell the runs in progress: %w", err)
		}
	}
	if len(found) == 0 {
		return nil
	}
	scores, err := p.reading.rate(ctx, found)
	if err != nil {
		return err
	}
	w := p.reading.differences(found, scores, p.day, now)
	if err := w.write(ctx, tx, call.Tenant.ID); err != nil {
		return err
	}
	if len(w.changed) > 0 {
		fields := make([]string, 0, len(w.fields))
		for name := range w.fields {
			fields = append(fields, name)
		}
		slices.Sort(fields)
		tx.Note(event.Noted{Call: call, Type: scoredNote, Changed: fields, Customers: w.changed})
	}
	return nil
}

// writing is what re-scoring changes: rows of scores to write and to remove, and those that become history.
type writing struct {
	runs, goneRuns         []int64
	ids, gone              []uuid.UUID
	values                 []float64
	bands                  []int16
	labels, inputs         []string
	days, times            []time.Time
	pastRuns               []int64
	pastIDs, pastModels    []uuid.UUID
	pastValues             []float64
	pastBands              []int16
	pastLabels, pastInputs []string
	pastDays, pastTimes    []time.Time
	changed                []uuid.UUID
	fields                 map[string]bool
}

// differences are what customers' scores change by. Who keeps value, band and label keeps the time since when they are so.
func (r *reading) differences(found []read, scores [][]rated, day tenant.Day, now time.Time) *writing {
	w := &writing{fields: map[string]bool{}}
	for n, c := range found {
		moved := false
		for i, m := range r.models {
			score, old := scores[i][n], c.old[i]
			same := old != nil && score.ok && old.value == score.value && old.band == score.band && old.label == score.label
			if !score.ok && old == nil || same && old.asOf.Equal(day.Time) && slices.Equal(old.inputs, score.inputs) {
				continue
			}
			at := now
			if same {
				at = old.scoredAt
			} else {
				moved = true
				w.fields[field(m.summary.Key)] = true
				if old != nil {
					w.past(m, c.id, *old)
					if !at.After(old.scoredAt) { // a clock that stands still, or went back
						at = old.scoredAt.Add(time.Microsecond)
					}
				}
			}
			if !score.ok {
				w.goneRuns, w.gone = append(w.goneRuns, m.no), append(w.gone, c.id)
				continue
			}
			w.runs, w.ids, w.values = append(w.runs, m.no), append(w.ids, c.id), append(w.values, score.value)
			w.bands, w.labels = append(w.bands, int16(score.band)), append(w.labels, score.label) //nolint:gosec // 1 to 5
			w.inputs = append(w.inputs, array(score.inputs))
			w.days, w.times = append(w.days, day.Time), append(w.times, at)
		}
		if moved {
			w.changed = append(w.changed, c.id)
		}
	}
	return w
}

func (w *writing) past(m live, id uuid.UUID, k kept) {
	w.pastRuns, w.pastIDs, w.pastModels = append(w.pastRuns, m.no), append(w.pastIDs, id), append(w.pastModels, m.model)
	w.pastValues, w.pastBands = append(w.pastValues, k.value), append(w.pastBands, int16(k.band)) //nolint:gosec // 1 to 5
	w.pastLabels, w.pastInputs = append(w.pastLabels, k.label), append(w.pastInputs, array(k.inputs))
	w.pastDays, w.pastTimes = append(w.pastDays, k.asOf.Time), append(w.pastTimes, k.scoredAt)
}

// array writes numbers as the database reads them: the shortest text that reads back as the very same number.
func array(values []float64) string {
	b := []byte{'{'}
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendFloat(b, v, 'g', -1, 64)
	}
	return string(append(b, '}'))
}

func (w *writing) write(ctx context.Context, tx postgres.Tx, tenantID int32) error {
	if len(w.runs) == 0 && len(w.gone) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `WITH past AS (INSERT INTO score_history
				(tenant_id, model_id, customer_id, scored_at, run_no, as_of, value, band, label, inputs)
			SELECT $1, h.model, h.id, h.at, h.run, h.day, h.value, h.band, h.label, h.inputs::float8[]
			FROM unnest($2::uuid[], $3::uuid[], $4::timestamptz[], $5::bigint[], $6::date[], $7::float8[], $8::smallint[], $9::text[], $10::text[])
				h (model, id, at, run, day, value, band, label, inputs)
			ON CONFLICT ON CONSTRAINT score_history_pkey DO NOTHING)
		INSERT INTO scores (tenant_id, run_no, customer_id, value, band, label, inputs, as_of, scored_at)
			SELECT $1, s.run, s.id, s.value, s.band, s.label, s.inputs::float8[], s.day, s.at
			FROM unnest($11::bigint[], $12::uuid[], $13::float8[], $14::smallint[], $15::text[], $16::text[], $17::date[], $18::timestamptz[])
				s (run, id, value, band, label, inputs, day, at)
			ON CONFLICT (tenant_id, run_no, customer_id) DO UPDATE SET value = excluded.value, band = excluded.band,
				label = excluded.label, inputs = excluded.inputs, as_of = excluded.as_of, scored_at = excluded.scored_at`,
		tenantID, w.pastModels, w.pastIDs, w.pastTimes, w.pastRuns, w.pastDays, w.pastValues, w.pastBands, w.pastLabels, w.pastInputs,
		w.runs, w.ids, w.values, w.bands, w.labels, w.inputs, w.days, w.times)
	if err != nil {
		return fmt.Errorf("write scores: %w", err)
	}
	if len(w.gone) == 0 {
		return nil
	}
	runs := slices.Compact(slices.Sorted(slices.Values(w.goneRuns)))
	_, err = tx.Exec(ctx, `WITH gone AS (DELETE FROM scores s USING unnest($2::bigint[], $3::uuid[]) g (run, id)
			WHERE s.tenant_id = $1 AND s.run_no = ANY(`+ofRuns(runs)+`) AND s.run_no = g.run AND s.customer_id = g.id RETURNING s.run_no, s.customer_id)
		INSERT INTO score_gone (tenant_id, run_no, customer_id) SELECT $1, run_no, customer_id FROM gone
		ON CONFLICT ON CONSTRAINT score_gone_pkey DO NOTHING`, tenantID, w.goneRuns, w.gone)
	if err != nil {
		return fmt.Errorf("remove scores: %w", err)
	}
	return nil
}

// catchUp scores again, by run r, whom writes touched while it was under way. The caller has waited for all of them and
// keeps others from writing.
func (s *Service) catchUp(ctx context.Context, tx postgres.Tx, t tenant.Tenant, r Run) error {
	if !r.Live {
		return nil
	}
	m := live{force: force{summary: Summary{Key: r.ModelKey, Kind: r.Kind}, params: r.Params, calibration: r.Calibration}, no: r.no, model: r.model}
	var err error
	if m.by, err = newScorer(r.Kind, r.Params, r.Calibration); err != nil {
		return err
	}
	var l condition.Language
	switch r.Kind {
	case Rules:
		if l, err = condition.For(ctx, tx, t, s.now()); err != nil {
			return err
		}
	case Composite, AtRisk:
		if m.partRuns, err = partRuns(ctx, tx, t.ID, r); err != nil {
			return err
		}
	}
	read, err := newReading([]live{m}, l, r.AsOf)
	if err != nil {
		return err
	}
	for {
		rows, err := tx.Query(ctx, `DELETE FROM score_touched WHERE tenant_id = $1 AND run_no = $2 AND customer_id IN
			(SELECT customer_id FROM score_touched WHERE tenant_id = $1 AND run_no = $2 LIMIT $3) RETURNING customer_id`, t.ID, r.no, chunk)
		if err != nil {
			return fmt.Errorf("look whom writes touched: %w", err)
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		if err != nil || len(ids) == 0 {
			return err
		}
		now := s.now()
		found, err := read.readFor(ctx, tx, t, r.AsOf, now, ids)
		if err != nil {
			return err
		}
		scores, err := read.rate(ctx, found)
		if err != nil {
			return err
		}
		w := read.differences(found, scores, r.AsOf, now)
		w.forget() // nobody has seen what the run computed before
		if err := w.write(ctx, tx, t.ID); err != nil {
			return err
		}
	}
}

func (w *writing) forget() {
	w.pastRuns, w.pastIDs, w.pastModels, w.pastValues, w.pastBands = nil, nil, nil, nil, nil
	w.pastLabels, w.pastInputs, w.pastDays, w.pastTimes = nil, nil, nil, nil
}
