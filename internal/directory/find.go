package directory

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/search"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Contacts finds customers by telephone numbers, tails of those, emails and accounts: ids ascending, at most limit.
// unmasked says whether the caller may see contact values; others learn nothing that a mask hides.
type Contacts interface {
	Find(ctx context.Context, q postgres.Querier, t tenant.Tenant, needle string, unmasked bool, limit int) ([]uuid.UUID, error)
}

// Finder finds customers.
type Finder struct {
	db       *postgres.DB
	contacts Contacts
	few      int
}

// NewFinder finds customers of db.
func NewFinder(db *postgres.DB, contacts Contacts) *Finder { return &Finder{db, contacts, few} }

// few is how many customers are found as ids. Beyond, collecting them costs more than walking a list in its order.
const few = 4000

// Found is what a text finds.
type Found struct {
	customer.Search
	tokens []token
}

// token is one word of a text with what it finds.
type token struct {
	search.Token
	ids  []uuid.UUID // of customers that it is an identifier of, ascending
	many bool        // as an identifier it finds too many to be one: those are left out
}

// predicate is the condition over n that the token is found. For a row at hand the texts suffice: they decide, and
// comparing the terms as well would cost more than the look at them.
func (t token) predicate(tenantID int32, atHand bool) filter.Expr {
	var ways []filter.Expr
	for _, c := range t.Clauses {
		var all []filter.Expr
		if len(c.All) > 0 && !atHand {
			all = append(all, filter.SQL("n.terms @> ?::bigint[]", search.Array(c.All)))
		}
		if len(c.Any) > 0 && !atHand {
			all = append(all, filter.SQL("n.terms && ?::bigint[]", search.Array(c.Any)))
		}
		if c.Like != "" {
			all = append(all, filter.SQL("n.name_text LIKE ?", c.Like))
		}
		switch {
		case strings.Trim(c.Pinyin, " abcdefghijklmnopqrstuvwxyz") != "":
			all = append(all, filter.SQL("n.pinyin_text ~ ?", c.Pinyin))
		case c.Pinyin != "": // the same, at a third of the cost
			all = append(all, filter.SQL("n.pinyin_text LIKE ?", "%"+c.Pinyin+"%"))
		}
		ways = append(ways, filter.AllOf(all...))
	}
	if len(t.ids) > 0 {
		ways = append(ways, filter.SQL("n.tenant_id = ? AND n.customer_id = ANY (?::uuid[])", tenantID, uuids(t.ids)))
	}
	if len(ways) == 0 {
		return filter.SQL("false")
	}
	return filter.AnyOf(ways...)
}

func predicate(tenantID int32, tokens []token, atHand bool) filter.Expr {
	all := make([]filter.Expr, len(tokens))
	for i, t := range tokens {
		all[i] = t.predicate(tenantID, atHand)
	}
	if len(all) == 0 {
		return filter.SQL("false")
	}
	return filter.AllOf(all...)
}

func uuids(ids []uuid.UUID) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, id := range ids {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(id.String())
	}
	b.WriteByte('}')
	return b.String()
}

// Find is the customers, deleted ones too, whom text finds: all of its words have to be found in a name or alias, or be
// one of the customer's identifiers. Those whom it names as a whole come first.
func (f *Finder) Find(ctx context.Context, t tenant.Tenant, text string, unmasked bool) (Found, error) {
	var found Found
	err := f.db.InTx(ctx, func(tx postgres.Tx) error {
		found = Found{}
		q := search.Parse(t.ID, text)
		if err := customer.Tune(ctx, tx, len(q.Tokens) == 1); err != nil {
			return err
		}
		for _, part := range q.Tokens {
			identified, err := f.identify(ctx, tx, t, part, unmasked)
			if err != nil {
				return err
			}
			found.tokens = append(found.tokens, identified)
		}
		return f.names(ctx, tx, t.ID, q, &found)
	})
	return found, err
}

// names finds the customers who have all tokens.
func (f *Finder) names(ctx context.Context, q postgres.Querier, tenantID int32, text search.Query, found *Found) error {
	var identified []uuid.UUID
	if len(found.tokens) == 1 && found.tokens[0].names() {
		identified = found.tokens[0].ids
	}
	where := predicate(tenantID, found.tokens, false)
	// A term that stands alone and is known to be frequent needs no look at whom it finds.
	if len(found.tokens) == 1 && found.tokens[0].alone() {
		guess, sure, err := f.guess(ctx, q, found.tokens)
		if err != nil {
			return err
		}
		if found.Guess = guess; sure > manyTimes*int64(f.few) {
			return f.many(ctx, q, tenantID, text, where, identified, found)
		}
	}
	all, err := matching(ctx, q, tenantID, where, text.Names, f.few+1)
	if err != nil {
		return err
	}
	if len(all) > f.few {
		if found.Guess == 0 {
			if found.Guess, _, err = f.guess(ctx, q, found.tokens); err != nil {
				return err
			}
		}
		return f.many(ctx, q, tenantID, text, where, identified, found)
	}
	for _, m := range all {
		if m.Exact {
			found.Exact = append(found.Exact, m.ID)
		}
	}
	found.Exact = union(found.Exact, identified)
	for _, m := range all {
		if _, is := slices.BinarySearchFunc(found.Exact, m.ID, compare); !is {
			found.Others = append(found.Others, m.ID)
		}
	}
	return nil
}

// many finds those whom the text names as a whole, and leaves the others to a condition.
func (f *Finder) many(ctx context.Context, q postgres.Querier, tenantID int32, text search.Query, where filter.Expr, identified []uuid.UUID, found *Found) error {
	var err error
	if found.Exact, err = exact(ctx, q, tenantID, text, where); err != nil {
		return err
	}
	found.Exact = union(found.Exact, identified)
	found.Many, found.AtHand = where, predicate(tenantID, found.tokens, true)
	found.Signs = slices.ContainsFunc(found.tokens, token.signs)
	found.Guess = max(found.Guess, int64(f.few+1))
	found.Names = min(max(namesPerFound*int(found.Guess), leastNames), mostNames)
	return nil
}

// A walk through names ends after so many for each customer found: a look at a name takes a fifth of what it takes to
// gather one that is found, and most needles are found early in the order of names or all over it.
const (
	namesPerFound = 8
	leastNames    = 20_000
	mostNames     = 300_000
)

// manyTimes is how far beyond few an estimate has to be to be believed without a look.
const manyTimes = 5

// alone tells whether one term decides a clause of the token, as those of one or two characters do.
func (t token) alone() bool {
	return slices.ContainsFunc(t.Clauses, func(c search.Clause) bool { return len(c.All) == 1 && len(c.Any) == 0 })
}

// signs tells whether the token is only found in names with other characters than ASCII: those of its own, or those that
// are read as it is.
func (t token) signs() bool {
	return len(t.ids) == 0 && !slices.ContainsFunc(t.Clauses, func(c search.Clause) bool {
		return c.Pinyin == "" && !strings.ContainsFunc(c.Like, func(r rune) bool { return r > unicode.MaxASCII })
	})
}

// guess is about how many customers have all tokens, by how frequent the rarest of their terms is. sure is about how
// many have the most frequent term that decides a clause alone.
func (f *Finder) guess(ctx context.Context, q postgres.Querier, tokens []token) (all, sure int64, err error) {
	var branches []filter.Expr
	branch := func(condition filter.Expr) {
		// The tenant is in the terms: naming it would count its share of the table twice.
		branches = append(branches, filter.Concat(filter.SQL("SELECT 1 FROM customer_search n WHERE n.tenant_id IS NOT NULL AND "), condition))
	}
	for _, t := range tokens {
		for _, c := range t.Clauses {
			for _, term := range c.All {
				branch(filter.SQL("n.terms @> ?::bigint[]", search.Array([]int64{term})))
			}
			if len(c.Any) > 0 {
				branch(filter.SQL("n.terms && ?::bigint[]", search.Array(c.Any)))
			}
		}
	}
	if len(branches) == 0 || len(branches) > mostBranches {
		return 0, 0, nil
	}
	parts := []filter.Expr{filter.SQL("EXPLAIN (FORMAT JSON) SELECT 1 WHERE false")}
	for _, b := range branches {
		parts = append(parts, filter.SQL(" UNION ALL "), b)
	}
	sql, args := filter.Concat(parts...).Where()
	var raw string
	if err := q.Session(ctx).Raw(sql, args...).Row().Scan(&raw); err != nil {
		return 0, 0, fmt.Errorf("guess the number of names: %w", err)
	}
	rows, err := branchRows(raw, len(branches))
	if err != nil {
		return 0, 0, err
	}
	least := int64(math.MaxInt64)
	for _, t := range tokens {
		n := int64(len(t.ids))
		for _, c := range t.Clauses {
			terms := len(c.All) + min(len(c.Any), 1)
			n += slices.Min(rows[:terms])
			if terms == 1 && len(c.Any) == 0 {
				sure = max(sure, rows[0])
			}
			rows = rows[terms:]
		}
		least = min(least, n)
	}
	return least, sure, nil
}

// mostBranches bounds what a guess costs.
const mostBranches = 100

type planNode struct {
	Rows  float64 `json:"Plan Rows"`
	Type  string  `json:"Node Type"`
	Plans []planNode
}

// branchRows are the rows that the planner expects of each branch of a UNION ALL.
func branchRows(raw string, branches int) ([]int64, error) {
	var plan []struct{ Plan planNode }
	if err := json.Unmarshal([]byte(raw), &plan); err != nil || len(plan) != 1 {
		return nil, fmt.Errorf("read the guess of names: %w", err)
	}
	nodes := []planNode{plan[0].Plan}
	if plan[0].Plan.Type == "Append" {
		nodes = plan[0].Plan.Plans
	}
	if len(nodes) > branches { // the first selects nothing
		nodes = nodes[len(nodes)-branches:]
	}
	if len(nodes) != branches {
		return nil, fmt.Errorf("read the guess of names: %d branches of %d", len(nodes), branches)
	}
	rows := make([]int64, branches)
	for i, n := range nodes {
		rows[i] = int64(n.Rows)
	}
	return rows, nil
}

// names tells whether the token's identifiers are whole ones, and not tails of telephone numbers.
func (t token) names() bool { return len(t.ids) > 0 && (t.Digits == "" || len(t.Digits) > 6) }

func compare(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }

func union(a, b []uuid.UUID) []uuid.UUID {
	all := slices.Concat(a, b)
	slices.SortFunc(all, compare)
	return slices.Compact(all)
}

// leastPrefix is how much of a registration number finds it: a unified social credit code begins with the authority, the
// kind of organisation and the district, which a whole district shares.
const leastPrefix = 6

// identify finds whom a word identifies.
func (f *Finder) identify(ctx context.Context, q postgres.Querier, t tenant.Tenant, part search.Token, unmasked bool) (token, error) {
	found := token{Token: part}
	text := strings.TrimSpace(part.Text)
	number := strings.ToUpper(strings.Map(func(r rune) rune {
		if r == '-' || r == ' ' {
			return -1
		}
		return r
	}, text))
	// The end of a range rather than LIKE: an index serves it in any locale that orders by code points.
	upTo := ""
	if len(number) >= leastPrefix {
		upTo = number + "\U0010FFFF"
	}
	rows, err := q.Query(ctx, `SELECT id FROM (
			(SELECT e.customer_id AS id FROM external_ids e WHERE e.tenant_id = $1 AND e.external_id = ANY ($2) LIMIT $5)
			UNION
			(SELECT c.id FROM customers c WHERE c.tenant_id = $1 AND c.registration_number >= $3 AND c.registration_number < $4 LIMIT $5)
			UNION
			(SELECT c.id FROM customers c WHERE c.tenant_id = $1 AND c.id = $6)
		) x ORDER BY id LIMIT $5`, t.ID, spellings(text), number, upTo, f.few+1, own(text))
	if err != nil {
		return token{}, fmt.Errorf("look for identifiers: %w", err)
	}
	if found.ids, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID]); err != nil {
		return token{}, fmt.Errorf("look for identifiers: %w", err)
	}
	if f.contacts != nil {
		ids, err := f.contacts.Find(ctx, q, t, text, unmasked, f.few+1)
		if err != nil {
			return token{}, err
		}
		found.ids = union(found.ids, ids)
	}
	if len(found.ids) > f.few {
		found.ids, found.many = nil, true
	}
	return found, nil
}

// own is a customer's id typed as such; nil where the text is none.
func own(text string) *uuid.UUID {
	if id, err := uuid.Parse(text); err == nil && len(text) >= 32 {
		return &id
	}
	return nil
}

// spellings are the ways in which an external id may have been typed.
func spellings(text string) []string {
	all := []string{text, strings.ToUpper(text), strings.ToLower(text)}
	slices.Sort(all)
	return slices.Compact(all)
}

// exact are the customers one of whose names the text is as a whole, ascending, at most few.
func exact(ctx context.Context, q postgres.Querier, tenantID int32, text search.Query, where filter.Expr) ([]uuid.UUID, error) {
	if len(text.Names) == 0 {
		return nil, nil
	}
	where = filter.AllOf(filter.SQL("n.terms && ?::bigint[]", search.Array(text.Exact)), whole(text.Names), where)
	all, err := matching(ctx, q, tenantID, where, nil, few)
	ids := make([]uuid.UUID, len(all))
	for i, m := range all {
		ids[i] = m.ID
	}
	return ids, err
}

// whole is the condition over n that one of the names is a line of its text.
func whole(names []string) filter.Expr {
	if len(names) == 0 {
		return filter.SQL("false")
	}
	lines := make([]filter.Expr, len(names))
	for i, n := range names {
		lines[i] = filter.SQL("strpos(n.name_text, ?) > 0", "\n"+n+"\n")
	}
	return filter.AnyOf(lines...)
}

// match is a customer who is found. Exact is whether a name is found as a whole.
type match struct {
	ID    uuid.UUID
	Exact bool
}

// matching are customers whose row fulfils a condition over n, ascending, at most limit.
func matching(ctx context.Context, q postgres.Querier, tenantID int32, where filter.Expr, names []string, limit int) ([]match, error) {
	// The limit stands inside: which of too many come back is of no matter, and sorting them all would be. The tenant is
	// in the terms, and no way to the rows: IS TRUE keeps a plan that is made for all tenants from reading a whole one.
	sql, args := filter.Concat(filter.SQL("SELECT id, exact FROM (SELECT n.customer_id AS id, ("), whole(names),
		filter.SQL(") AS exact FROM customer_search n WHERE (n.tenant_id = ?) IS TRUE AND (", tenantID), where, filter.SQL(") LIMIT ?) x ORDER BY id", limit)).Numbered(1)
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("look for names: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[match])
	if err != nil {
		return nil, fmt.Errorf("look for names: %w", err)
	}
	return all, nil
}

// Reason is why a word of a text did not help to find anybody.
type Reason string

// The reasons.
const (
	NotFound    Reason = "not_found"    // no customer has it
	NotTogether Reason = "not_together" // customers have it, but none has all words
	LeftOut     Reason = "left_out"     // customers have all words, but the other conditions leave them out
	TooShort    Reason = "too_short"    // as an identifier it is the beginning or end of too many
)

// Unmatched is a word with its reason.
type Unmatched struct {
	Text   string
	Reason Reason
}

// Unmatched says of a list that came out empty which words are to blame: those that nobody has, else all of them.
func (f *Finder) Unmatched(ctx context.Context, t tenant.Tenant, found Found, deleted bool) ([]Unmatched, error) {
	var all []Unmatched
	err := f.db.InTx(ctx, func(tx postgres.Tx) error {
		all = nil
		if err := customer.Tune(ctx, tx, len(found.tokens) == 1); err != nil {
			return err
		}
		for _, part := range found.tokens {
			some, err := anybody(ctx, tx, t.ID, part.predicate(t.ID, false), deleted)
			switch {
			case err != nil:
				return err
			case !some && part.many:
				all = append(all, Unmatched{part.Text, TooShort})
			case !some:
				all = append(all, Unmatched{part.Text, NotFound})
			}
		}
		if len(all) > 0 {
			return nil
		}
		reason := NotTogether
		some, err := anybody(ctx, tx, t.ID, predicate(t.ID, found.tokens, false), deleted)
		if some {
			reason = LeftOut
		}
		for _, part := range found.tokens {
			all = append(all, Unmatched{part.Text, reason})
		}
		return err
	})
	return all, err
}

// anybody tells whether a condition over n holds for a customer that is deleted, or is not.
func anybody(ctx context.Context, q postgres.Querier, tenantID int32, where filter.Expr, deleted bool) (bool, error) {
	sql, args := filter.Concat(filter.SQL(`SELECT EXISTS (SELECT FROM (SELECT n.customer_id AS id FROM customer_search n
		WHERE (n.tenant_id = ?) IS TRUE AND (`, tenantID), where, filter.SQL(`) OFFSET 0) x CROSS JOIN LATERAL (SELECT FROM customers c
		WHERE c.tenant_id = ? AND c.id = x.id AND (c.deleted_at IS NOT NULL) = ? AND c.merged_into IS NULL LIMIT 1) y)`, tenantID, deleted)).Numbered(1)
	var some bool
	if err := q.QueryRow(ctx, sql, args...).Scan(&some); err != nil {
		return false, fmt.Errorf("look for names: %w", err)
	}
	return some, nil
}
