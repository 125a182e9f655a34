package directory_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/directory"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/search"
	"github.com/kezi-io/kezi/internal/tenant"
)

// bench is a tenant with its services.
type bench struct {
	*testing.T
	db     *postgres.DB
	of     tenant.Tenant
	ctx    context.Context
	call   tenant.Call
	svc    *customer.Service
	finder *directory.Finder
	sorts  condition.Language
}

func setup(t *testing.T) bench {
	t.Helper()
	db := postgrestest.DB(t)
	of := postgrestest.Tenant(t, db)
	ctx := postgrestest.Context(t, of)
	language, err := condition.For(ctx, db, of, time.Now())
	require.NoError(t, err)
	return bench{t, db, of, ctx, tenant.Call{Tenant: of, Actor: "test", ChangeSet: uuid.Must(uuid.NewV7())},
		customer.NewService(db, time.Now, directory.Hook{}), directory.NewFinder(db, nil), language}
}

func (b bench) make(kind customer.Kind, name string, ids ...customer.ExternalID) customer.Customer {
	b.Helper()
	c, err := b.svc.Create(b.ctx, b.call, customer.Registration{Kind: kind, Name: name, ExternalIDs: ids})
	require.NoError(b, err)
	return c
}

// found are the customers of all pages.
func (b bench) found(text, sort string, limit int) []customer.Customer {
	b.Helper()
	by, err := b.sorts.Sort(sort)
	require.NoError(b, err)
	var all []customer.Customer
	var after page.Key
	for {
		f, err := b.finder.Find(b.ctx, b.of, text, true)
		require.NoError(b, err)
		p, err := b.svc.List(b.ctx, b.of, customer.Query{Page: page.Request{Limit: limit, After: after, Total: page.TotalExact}, Sort: by, Search: &f.Search})
		require.NoError(b, err)
		all = append(all, p.Items...)
		if after = p.Next; after == nil {
			require.EqualValues(b, len(all), *p.Total, "%q", text)
			return all
		}
	}
}

func (b bench) names(text string) []string {
	b.Helper()
	all := []string{}
	for _, c := range b.found(text, "created_at", 10) {
		all = append(all, c.Name)
	}
	return all
}

func TestFindsWhatANaiveReaderFinds(t *testing.T) { // S3-03
	t.Parallel()
	pieces := []string{"张", "王", "建", "国", "曾", "乐", "长孙", "有限公司", "（集团）", "上海", "華", "Jo", "son", "John", "son ", "é", "O'", " ", "3M", "ab", "★"}
	random := rand.New(rand.NewPCG(3, 4))
	name := func() string {
		var b strings.Builder
		for range 1 + random.IntN(4) {
			b.WriteString(pieces[random.IntN(len(pieces))])
		}
		return strings.TrimSpace(b.String())
	}
	for _, few := range []int{3, 4000} {
		b := setup(t)
		b.finder.SetFew(few)
		var all []customer.Customer
		for i := range 150 {
			n := name()
			if n == "" {
				continue
			}
			all = append(all, b.make([]customer.Kind{customer.Person, customer.Company}[i%2], n, customer.ExternalID{Source: "crm", ID: fmt.Sprintf("A%d", i)}))
		}
		for i := range 40 {
			needle := name()
			if i%10 == 0 {
				needle = fmt.Sprintf("a%d", i)
			}
			q := search.Parse(b.of.ID, needle)
			exact := map[uuid.UUID]bool{}
			var want []uuid.UUID
			for _, c := range all {
				row := search.Index(b.of.ID, []search.Name{{Text: c.Name, Person: c.Kind == customer.Person}})
				identified := len(q.Tokens) == 1 && strings.EqualFold(c.ExternalIDs[0].ID, needle)
				if !identified && !reads(q, row) {
					continue
				}
				want = append(want, c.ID)
				exact[c.ID] = identified || slices.ContainsFunc(q.Names, func(n string) bool { return strings.Contains(row.Names, "\n"+n+"\n") })
			}
			sorts := []string{"-created_at", "name", "-spend_total", "city", "-last_purchase_on"}
			for _, sort := range []string{sorts[i%5], sorts[(i+1)%5]} {
				got := b.found(needle, sort, 1+random.IntN(9))
				ids := make([]uuid.UUID, len(got))
				for i, c := range got {
					ids[i] = c.ID
					if i > 0 && !exact[got[i-1].ID] {
						require.False(t, exact[c.ID], "%q: an exact one comes after another", needle)
					}
					if i > 0 && exact[got[i-1].ID] == exact[c.ID] && sort == "name" {
						require.LessOrEqual(t, got[i-1].Name, c.Name)
					}
				}
				require.ElementsMatch(t, want, ids, "%q by %s", needle, sort)
			}
		}
	}
}

// What very many are found by is read by walking through the names or by gathering and sorting: whichever it is, and
// wherever the walk ends, the pages are the same.
func TestWaysToReadManyNamesAgree(t *testing.T) { // S3-03
	t.Parallel()
	b := setup(t)
	b.finder.SetFew(0)
	random := rand.New(rand.NewPCG(8, 1))
	pieces := []string{"张", "王", "國", "Jo", "son", "ann", "上海", "有限公司", "é", "-", "3M", "z"}
	for i := range 80 {
		name := pieces[random.IntN(len(pieces))] + pieces[random.IntN(len(pieces))] + pieces[random.IntN(len(pieces))]
		r := customer.Registration{Kind: []customer.Kind{customer.Person, customer.Company}[i%2], Name: name, City: []string{"上海", "杭州"}[i%3/2]}
		switch i % 10 {
		case 0: // too long for the index of names
			for range 12 {
				r.Aliases = append(r.Aliases, strings.Repeat(string('一'+rune(random.IntN(2000)))+" ", 60)+"张")
			}
		case 1:
			r.Aliases = []string{"张 Johnson"}
		}
		c, err := b.svc.Create(b.ctx, b.call, r)
		require.NoError(t, err)
		if i%9 == 0 {
			require.NoError(t, b.svc.Delete(b.ctx, b.call, c.ID, nil))
		}
	}
	_, where, err := b.sorts.Catalogue.CompileText(`city = "上海"`, b.sorts.Env)
	require.NoError(t, err)
	for i, needle := range []string{"张", "jo", "son", "j", "zhang", "国", "有限", "张 jo"} {
		by, err := b.sorts.Sort([]string{"name", "-name"}[i%2])
		require.NoError(t, err)
		f, err := b.finder.Find(b.ctx, b.of, needle, true)
		require.NoError(t, err)
		for j, q := range []customer.Query{{}, {Where: where}, {Deleted: true}} {
			f.Names, q.Sort, q.Search = 0, by, &f.Search
			want := b.walk(q, 100)
			require.True(t, len(want) > 0 || j > 0, needle)
			for _, names := range []int{1, 7, 1000} {
				f.Names = names
				require.Equal(t, want, b.walk(q, 3+random.IntN(20)), "%q, %d names", needle, names)
			}
		}
	}
}

// walk is the ids of all pages.
func (b bench) walk(q customer.Query, limit int) []uuid.UUID {
	b.Helper()
	q.Page = page.Request{Limit: limit}
	var all []uuid.UUID
	for {
		p, err := b.svc.List(b.ctx, b.of, q)
		require.NoError(b, err)
		for _, c := range p.Items {
			all = append(all, c.ID)
		}
		if q.Page.After = p.Next; p.Next == nil {
			return all
		}
	}
}

// reads evaluates a query by the texts alone.
func reads(q search.Query, row search.Row) bool {
	for _, t := range q.Tokens {
		if !slices.ContainsFunc(t.Clauses, func(c search.Clause) bool {
			return strings.Contains(row.Names, strings.Trim(c.Like, "%")) && regexp.MustCompile(c.Pinyin).MatchString(row.Pinyin)
		}) {
			return false
		}
	}
	return len(q.Tokens) > 0
}

func TestEveryWriteIsFoundAtOnce(t *testing.T) { // S3-03
	t.Parallel()
	b := setup(t)
	c := b.make(customer.Person, "张建国")
	require.Equal(t, []string{"张建国"}, b.names("zjg"))
	wang := "王伟"
	_, err := b.svc.Update(b.ctx, b.call, c.ID, nil, customer.Change{Name: &wang})
	require.NoError(t, err)
	require.Empty(t, b.names("建国"))
	require.Equal(t, []string{"王伟"}, b.names("wangwei"))
	company := customer.Company
	_, err = b.svc.Update(b.ctx, b.call, c.ID, nil, customer.Change{Kind: &company})
	require.NoError(t, err)
	require.NoError(t, b.svc.Delete(b.ctx, b.call, c.ID, nil))
	require.Empty(t, b.names("王伟"))
	_, err = b.svc.Undelete(b.ctx, b.call, c.ID)
	require.NoError(t, err)
	require.Equal(t, []string{"王伟"}, b.names("王伟"))
	_, _, err = b.svc.Put(b.ctx, b.call, customer.ExternalID{Source: "s", ID: "K-9"}, nil, false, customer.Change{Name: ptr("Zoë")})
	require.NoError(t, err)
	require.Equal(t, []string{"Zoë"}, b.names("zoe"))
	require.Equal(t, []string{"Zoë"}, b.names("k-9"))
	_, err = b.svc.Batch(b.ctx, b.call, []customer.Item{{ID: customer.ExternalID{Source: "s", ID: "K-9"}, Change: customer.Change{Name: ptr("Chloé")}}})
	require.NoError(t, err)
	require.Equal(t, []string{"Chloé"}, b.names("chloe"))
	_, err = b.svc.Create(b.ctx, b.call, customer.Registration{Kind: customer.Company, Name: "鹅厂", Aliases: []string{"腾讯", "Tencent"},
		Company: customer.CompanyDetails{LegalName: "深圳市腾讯计算机系统有限公司"}})
	require.NoError(t, err)
	for _, text := range []string{"腾讯", "tenc", "鹅厂", "深圳腾讯", "tengxun", "szstx"} {
		require.Equal(t, text != "深圳腾讯", len(b.names(text)) == 1, text)
	}
	wrong, err := directory.Verify(b.ctx, b.db, b.of.ID, 10)
	require.NoError(t, err)
	require.Empty(t, wrong)

	other := setup(t)
	require.Empty(t, other.names("chloe"), "another tenant finds nobody")
}

func TestRowsThatAreMissingOrOldAreMadeAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first, second := b.make(customer.Person, "张一"), b.make(customer.Person, "张二")
	third := b.make(customer.Person, "张三")
	exec := func(sql string, args ...any) {
		_, err := b.db.Exec(b.ctx, sql, args...)
		require.NoError(t, err)
	}
	exec(`DELETE FROM customer_search WHERE tenant_id = $1 AND customer_id = $2`, b.of.ID, first.ID)
	exec(`UPDATE customer_search SET version = 0, terms = '{}' WHERE tenant_id = $1 AND customer_id = $2`, b.of.ID, second.ID)
	exec(`UPDATE customer_search SET name_text = 'x' WHERE tenant_id = $1 AND customer_id = $2`, b.of.ID, third.ID)
	wrong, err := directory.Verify(b.ctx, b.db, b.of.ID, 10)
	require.NoError(t, err)
	require.ElementsMatch(t, []uuid.UUID{first.ID, second.ID, third.ID}, wrong)
	require.NoError(t, directory.Complete(b.ctx, b.db, time.Now(), slog.New(slog.DiscardHandler)))
	require.Equal(t, []string{"张一", "张二"}, b.names("张"))

	// Another look is at those alone who changed since.
	exec(`DELETE FROM customer_search WHERE tenant_id = $1 AND customer_id = ANY ($2)`, b.of.ID, []uuid.UUID{first.ID, second.ID})
	exec(`UPDATE customers SET updated_at = updated_at - interval '3 hours' WHERE tenant_id = $1 AND id = $2`, b.of.ID, second.ID)
	require.NoError(t, directory.Complete(b.ctx, b.db, time.Now(), slog.New(slog.DiscardHandler)))
	require.Equal(t, []string{"张一"}, b.names("张"))
	n, err := directory.RefreshAll(b.ctx, b.db, b.of.ID)
	require.NoError(t, err)
	require.EqualValues(t, 3, n)
	require.Equal(t, []string{"张一", "张二", "张三"}, b.names("张"))
}

func TestUnmatched(t *testing.T) { // S3-03
	t.Parallel()
	b := setup(t)
	b.make(customer.Person, "张伟")
	b.make(customer.Person, "Ann")
	for text, want := range map[string][]directory.Unmatched{
		"张 xyz": {{Text: "xyz", Reason: directory.NotFound}},
		"伟 ann": {{Text: "伟", Reason: directory.NotTogether}, {Text: "ann", Reason: directory.NotTogether}},
		"张":     {{Text: "张", Reason: directory.LeftOut}},
		"13800": {{Text: "13800", Reason: directory.NotFound}},
	} {
		f, err := b.finder.Find(b.ctx, b.of, text, true)
		require.NoError(t, err)
		got, err := b.finder.Unmatched(b.ctx, b.of, f, false)
		require.NoError(t, err)
		require.Equal(t, want, got, text)
	}
}

// While others write, a reader who walks all pages meets every customer whose name and sort key stay exactly once.
func TestPagesMeetWhileOthersWrite(t *testing.T) { // S3-03
	t.Parallel()
	for _, few := range []int{10, 4000} {
		b := setup(t)
		b.finder.SetFew(few)
		steady := map[uuid.UUID]bool{}
		var shaken []customer.Customer
		for i := range 240 {
			c := b.make(customer.Person, fmt.Sprintf("张%c%c", '一'+rune(i*37%2000), '丁'+rune(i*91%3000)))
			if i%3 == 0 {
				shaken = append(shaken, c)
			} else {
				steady[c.ID] = true
			}
		}
		stop := make(chan struct{})
		var writers sync.WaitGroup
		for w := range 3 {
			writers.Go(func() {
				random := rand.New(rand.NewPCG(uint64(w), 7)) //nolint:gosec // w counts from 0
				for {
					select {
					case <-stop:
						return
					default:
					}
					c := shaken[random.IntN(len(shaken))]
					switch random.IntN(4) {
					case 0:
						_, err := b.svc.Create(b.ctx, b.call, customer.Registration{Kind: customer.Person, Name: "张新" + uuid.NewString()})
						if err != nil {
							t.Error(err)
						}
					case 1:
						b.svc.Delete(b.ctx, b.call, c.ID, nil) //nolint:errcheck // it may be deleted
					case 2:
						b.svc.Undelete(b.ctx, b.call, c.ID) //nolint:errcheck // whatever it is
					default:
						b.svc.Update(b.ctx, b.call, c.ID, nil, customer.Change{Name: ptr("张" + uuid.NewString()), City: patch.Set(uuid.NewString())}) //nolint:errcheck // it may be deleted
					}
				}
			})
		}
		for _, sort := range []string{"name", "-created_at", "city"} {
			by, err := b.sorts.Sort(sort)
			require.NoError(t, err)
			seen := map[uuid.UUID]int{}
			var after page.Key
			for {
				f, err := b.finder.Find(b.ctx, b.of, "张", true)
				require.NoError(t, err)
				p, err := b.svc.List(b.ctx, b.of, customer.Query{Page: page.Request{Limit: 40, After: after}, Sort: by, Search: &f.Search})
				require.NoError(t, err)
				for _, c := range p.Items {
					seen[c.ID]++
				}
				if after = p.Next; after == nil {
					break
				}
			}
			for id := range steady {
				require.Equal(t, 1, seen[id], "by %s", sort)
			}
		}
		close(stop)
		writers.Wait()
	}
}

func TestSearchCombinesWithConditions(t *testing.T) { // S3-03
	t.Parallel()
	for _, few := range []int{1, 4000} {
		b := setup(t)
		b.finder.SetFew(few)
		for i := range 30 {
			c, err := b.svc.Create(b.ctx, b.call, customer.Registration{Kind: customer.Person, Name: "李" + string('一'+rune(i)), City: []string{"上海", "杭州"}[i%2]})
			require.NoError(t, err)
			require.NotEmpty(t, c)
		}
		_, where, err := b.sorts.Catalogue.CompileText(`city = "上海" AND spend_total = 0`, b.sorts.Env)
		require.NoError(t, err)
		f, err := b.finder.Find(b.ctx, b.of, "李", true)
		require.NoError(t, err)
		by, err := b.sorts.Sort("-spend_total")
		require.NoError(t, err)
		p, err := b.svc.List(b.ctx, b.of, customer.Query{Page: page.Request{Limit: 50, Total: page.TotalExact}, Sort: by, Where: where, Metrics: true, Search: &f.Search})
		require.NoError(t, err)
		require.Len(t, p.Items, 15)
		require.EqualValues(t, 15, *p.Total)
		panel, err := b.svc.Facets(b.ctx, b.of, customer.Query{Search: &f.Search}, []customer.Facet{{Value: filter.SQL("c.city")}})
		require.NoError(t, err)
		require.ElementsMatch(t, []customer.Count{{Value: "上海", Customers: 15}, {Value: "杭州", Customers: 15}}, panel.Facets[0].Values)
		require.False(t, panel.Estimate)
	}
}

func ptr[T any](v T) *T { return &v }
