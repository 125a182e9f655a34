package customer_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/birthday"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/tenant"
)

// bench is a tenant with a clock.
type bench struct {
	*testing.T
	db   *postgres.DB
	call tenant.Call
	svc  *customer.Service
	at   *time.Time
}

func setup(t *testing.T) bench {
	t.Helper()
	db := postgrestest.DB(t)
	at := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	b := bench{T: t, db: db, at: &at, call: tenant.Call{Tenant: postgrestest.Tenant(t, db), Actor: "tester", ChangeSet: uuid.Must(uuid.NewV7())}}
	b.svc = customer.NewService(db, func() time.Time { return *b.at })
	return b
}

func (b bench) create(r customer.Registration) customer.Customer {
	b.Helper()
	c, err := b.svc.Create(postgrestest.Context(b, b.call.Tenant), b.call, r)
	require.NoError(b, err)
	return c
}

func (b bench) update(id uuid.UUID, change customer.Change) (customer.Customer, error) {
	return b.svc.Update(postgrestest.Context(b, b.call.Tenant), b.call, id, nil, change)
}

func (b bench) patched(id uuid.UUID, change customer.Change) customer.Customer {
	b.Helper()
	c, err := b.update(id, change)
	require.NoError(b, err)
	read, err := b.svc.Get(postgrestest.Context(b, b.call.Tenant), b.call.Tenant, id)
	require.NoError(b, err)
	require.Equal(b, c.Version, read.Version)
	return read
}

// refused is the pointer of the first wrong place.
func (b bench) refused(id uuid.UUID, change customer.Change) fault.Field {
	b.Helper()
	_, err := b.update(id, change)
	require.ErrorIs(b, err, fault.ErrInvalid)
	return fault.Of(err).Fields[0]
}

func (b bench) number(sql string, args ...any) (n int) {
	b.Helper()
	err := b.db.QueryRow(postgrestest.Context(b, b.call.Tenant), sql, append([]any{b.call.Tenant.ID}, args...)...).Scan(&n)
	require.NoError(b, err)
	return n
}

func company(change customer.CompanyChange) customer.Change {
	return customer.Change{Company: patch.Set(change)}
}

// S2-31 S3-11
func TestAChangeThatSaysTheSameChangesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := companyRegistration()
	c := b.create(r)
	again := customer.Change{Name: &r.Name, Aliases: patch.Set(r.Aliases), AddAliases: r.Aliases, StageReason: "x", City: patch.Set("杭州市"),
		Province: patch.Set("浙江"), Departments: patch.Set(r.Departments), IndustryCode: patch.Set("15.30"),
		Company: patch.Set(customer.CompanyChange{RegistrationNumber: patch.Set("91440300708461136t"), Employees: patch.Set(int32(120)),
			AnnualRevenue: patch.Set(money.Money{Minor: 12_000_000_00, Currency: "CNY"}), RegisteredOn: patch.Set(*r.Company.RegisteredOn)}),
		Attributes: patch.Set(customer.Attributes{"n": json.Number("1.50"), "absent": nil})}
	read := b.patched(c.ID, again)
	require.Equal(t, c, read)
	require.Equal(t, 1, b.number(`SELECT count(*) FROM events WHERE tenant_id = $1 AND customer_id = $2`, c.ID))
	require.Equal(t, 1, b.number(`SELECT count(*) FROM customer_stages WHERE tenant_id = $1 AND customer_id = $2`, c.ID))

	p := b.create(customer.Registration{Kind: customer.Person, Name: "李", Person: customer.PersonDetails{Interests: []string{" 茶", "茶", ""},
		Preferences: customer.Preferences{"size": {Texts: []string{"M"}}}, Birthday: birthday.Birthday{Calendar: birthday.Solar, Month: 2, Day: 29}}})
	require.Equal(t, []string{"茶"}, p.Person.Interests)
	require.Equal(t, p, b.patched(p.ID, customer.Change{Person: patch.Set(customer.PersonChange{Interests: patch.Set([]string{"茶"}),
		Preferences: patch.Set(map[string]*customer.Preference{"size": {Texts: []string{"M"}}, "none": nil}), Birthday: patch.Set(p.Person.Birthday)})}))
	none := b.patched(p.ID, customer.Change{Person: patch.Field[customer.PersonChange]{Given: true}})
	require.True(t, none.Person.IsZero())
	require.EqualValues(t, 2, none.Version)
}

func TestWhatWasGivenStaysBesideItsStandardForm(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.create(customer.Registration{Kind: customer.Person, Name: "李", City: "杭州市"})
	require.Equal(t, "杭州", c.City)
	require.Equal(t, "浙江", c.Province, "follows from the city")
	require.Equal(t, map[string]string{"city": "杭州市"}, c.Given)
	c = b.patched(c.ID, customer.Change{City: patch.Set("上海")})
	require.Equal(t, "上海", c.Province, "the province follows the city that moves")
	require.Nil(t, c.Given, "it was about a value that is gone")
	c = b.patched(c.ID, customer.Change{City: patch.Set("南京市"), District: patch.Set("鼓楼")})
	require.Equal(t, "鼓楼区", c.District)
	c = b.patched(c.ID, customer.Change{City: patch.Set("徐州")})
	require.Equal(t, "鼓楼区", c.District, "there is one as well")
	c = b.patched(c.ID, customer.Change{City: patch.Set("深圳")})
	require.Equal(t, "广东", c.Province)
	require.Empty(t, c.District, "a district of the city before does not come along")
	require.Equal(t, "/country", b.refused(c.ID, customer.Change{Country: patch.Set("ZZ")}).Pointer)
	c = b.patched(c.ID, customer.Change{City: patch.Field[string]{Given: true}})
	require.Empty(t, c.City, "what is cleared stays cleared, whatever the province says")
}

func TestRegistrationNumbersAreChecked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.create(customer.Registration{Kind: customer.Company, Name: "ACME"})
	wrong := b.refused(c.ID, company(customer.CompanyChange{RegistrationNumber: patch.Set("914403007084611369")}))
	require.Equal(t, "/company/registration_number", wrong.Pointer)
	require.Equal(t, "credit_code_check", wrong.Code)
	require.Contains(t, wrong.Detail.En, "T", "says what it should have been")
	require.Equal(t, "/company/registration_number", b.refused(c.ID, company(customer.CompanyChange{RegistrationScheme: patch.Set("duns")})).Pointer)

	c = b.patched(c.ID, company(customer.CompanyChange{RegistrationNumber: patch.Set("91440300708461136t")}))
	require.Equal(t, "uscc", c.Company.RegistrationScheme)
	require.Equal(t, "91440300708461136T", c.Company.RegistrationNumber)
	require.Equal(t, map[string]string{"company.registration_number": "91440300708461136t"}, c.Given)
	require.True(t, *c.Company.RegistrationValid())
	c = b.patched(c.ID, company(customer.CompanyChange{RegistrationScheme: patch.Set("ein"), RegistrationNumber: patch.Set("12-3456789")}))
	require.Nil(t, c.Company.RegistrationValid(), "nobody checks those")
	c = b.patched(c.ID, company(customer.CompanyChange{RegistrationNumber: patch.Field[string]{Given: true}}))
	require.Empty(t, c.Company.RegistrationScheme)

	abroad := b.create(customer.Registration{Kind: customer.Company, Name: "ACME", Country: "SG", Company: customer.CompanyDetails{RegistrationNumber: "201912345k"}})
	require.Equal(t, "other", abroad.Company.RegistrationScheme)
	require.Equal(t, "201912345K", abroad.Company.RegistrationNumber)
}

func TestDetailsBelongToOneKind(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.create(companyRegistration())
	require.Equal(t, "/person", b.refused(c.ID, customer.Change{Person: patch.Set(customer.PersonChange{Gender: patch.Set("male")})}).Pointer)
	person := customer.Person
	require.Equal(t, "/company", b.refused(c.ID, customer.Change{Kind: &person}).Pointer)
	c = b.patched(c.ID, customer.Change{Kind: &person, Company: patch.Field[customer.CompanyChange]{Given: true}})
	require.True(t, c.Company.IsZero())
	require.NotContains(t, c.Given, "company.registration_number")
}

// S3-10
func TestIndustryCodesBringTheirLabels(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.create(customer.Registration{Kind: customer.Company, Name: "x", Industry: customer.Industry{Code: "i65"}})
	require.Equal(t, "gbt4754", c.Industry.Scheme)
	require.Equal(t, "65", c.Industry.Code)
	require.NotEmpty(t, c.Industry.Label)
	unknown := b.refused(c.ID, customer.Change{IndustryCode: patch.Set("9999")})
	require.Equal(t, "/industry_code", unknown.Pointer)
	require.NotEmpty(t, unknown.Accepted, "names the nearest")
	own := b.patched(c.ID, customer.Change{Industry: patch.Set("我们的叫法")})
	require.Equal(t, "65", own.Industry.Code)
	require.Equal(t, "我们的叫法", own.Industry.Label)
	require.NotEqual(t, "我们的叫法", b.patched(c.ID, customer.Change{IndustryCode: patch.Set("64")}).Industry.Label)
}

func TestImpossibleBirthdaysAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.create(customer.Registration{Kind: customer.Person, Name: "x"})
	for _, day := range []birthday.Birthday{{Calendar: birthday.Lunar, Year: 2022, Month: 1, Day: 31}, {Calendar: birthday.Solar, Year: 2023, Month: 2, Day: 29},
		{Calendar: birthday.Solar, Year: 2026, Month: 2, Day: 4}, {Calendar: birthday.Lunar, Year: 2022, Month: 4, Day: 1, LeapMonth: true}} {
		require.Contains(t, b.refused(c.ID, customer.Change{Person: patch.Set(customer.PersonChange{Birthday: patch.Set(day)})}).Pointer, "/person/birthday/", "%+v", day)
	}
}

func TestBirthdaysRollForwardWithTheLocalDay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.create(customer.Registration{Kind: customer.Person, Name: "x", Person: customer.PersonDetails{
		Birthday: birthday.Birthday{Calendar: birthday.Solar, Month: 2, Day: 4}}})
	next := func() int {
		return b.number(`SELECT extract(year FROM next_birthday_on)::int * 100 + extract(month FROM next_birthday_on)::int FROM customers
			WHERE tenant_id = $1 AND id = $2`, c.ID)
	}
	roll := func() {
		require.NoError(t, b.svc.RollBirthdays(postgrestest.Context(t, b.call.Tenant), b.call.Tenant))
	}
	roll()
	require.Equal(t, 202602, next())
	*b.at = b.at.AddDate(0, 0, 1)
	roll()
	require.Equal(t, 202602, next(), "today is still the day")
	*b.at = b.at.AddDate(0, 0, 1)
	roll()
	require.Equal(t, 202702, next())
	require.Equal(t, 1, b.number(`SELECT version::int FROM customers WHERE tenant_id = $1 AND id = $2`, c.ID))
}

// S3-01
func TestStagesAreRemembered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := postgrestest.Context(t, b.call.Tenant)
	c := b.create(customer.Registration{Kind: customer.Person, Name: "x"})
	active, lost := customer.Active, customer.Lost
	*b.at = b.at.Add(time.Hour)
	b.patched(c.ID, customer.Change{Stage: &active, StageReason: "签约"})
	b.patched(c.ID, customer.Change{Stage: &active, StageReason: "again"})
	id := customer.ExternalID{Source: "s", ID: "1"}
	_, err := b.svc.AddExternalID(ctx, b.call, c.ID, id)
	require.NoError(t, err)
	_, err = b.svc.Batch(ctx, b.call, []customer.Item{{ID: id, Change: customer.Change{Stage: &lost}}})
	require.NoError(t, err)
	p, err := b.svc.Stages(ctx, b.call.Tenant, c.ID, page.Request{Limit: 2})
	require.NoError(t, err)
	require.NotNil(t, p.Next)
	rest, err := b.svc.Stages(ctx, b.call.Tenant, c.ID, page.Request{Limit: 2, After: p.Next})
	require.NoError(t, err)
	require.Nil(t, rest.Next)
	moves := slices.Concat(p.Items, rest.Items)
	for i := range moves {
		require.Equal(t, "tester", moves[i].Actor)
		moves[i].ID, moves[i].Actor, moves[i].At = uuid.Nil, "", time.Time{}
	}
	require.Equal(t, []customer.Move{{From: active, To: lost, Cause: customer.ByBatch}, {From: customer.Prospect, To: active, Cause: customer.ByAPI, Reason: "签约"},
		{To: customer.Prospect, Cause: customer.ByAPI}}, moves)
}

func TestOldNamesCanBeKept(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.create(customer.Registration{Kind: customer.Company, Name: "旧名", Aliases: []string{"简称"}})
	name := "新名"
	c = b.patched(c.ID, customer.Change{Name: &name, AddAliases: []string{"旧名"}})
	require.Equal(t, []string{"简称", "旧名"}, c.Aliases)
	many := make([]string, 19)
	for i := range many {
		many[i] = string(rune('a' + i))
	}
	require.Equal(t, "/aliases", b.refused(c.ID, customer.Change{AddAliases: many}).Pointer)
}

func TestRevenueIsConvertedByTheRateOfItsDay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := postgrestest.Context(t, b.call.Tenant)
	c := b.create(customer.Registration{Kind: customer.Company, Name: "x"})
	set := func(minor int64) {
		b.patched(c.ID, company(customer.CompanyChange{AnnualRevenue: patch.Set(money.Money{Minor: minor, Currency: "USD"})}))
	}
	base := func() int {
		return b.number(`SELECT coalesce(annual_revenue, -1)::int FROM customers WHERE tenant_id = $1 AND id = $2`, c.ID)
	}
	unknown := b.refused(c.ID, company(customer.CompanyChange{AnnualRevenue: patch.Set(money.Money{Minor: 100, Currency: "USD"})}))
	require.Equal(t, "/company/annual_revenue/currency rate_missing", unknown.Pointer+" "+unknown.Code, "conditions would not find it")
	_, err := b.db.Exec(ctx, `INSERT INTO exchange_rates (tenant_id, currency, day, rate, version, created_at, updated_at)
		VALUES ($1, 'USD', '2026-01-01', 7.2, 1, now(), now())`, b.call.Tenant.ID)
	require.NoError(t, err)
	set(200)
	require.Equal(t, 1440, base())
	owner := customer.Change{Owner: patch.Set("me")}
	b.patched(c.ID, owner)
	require.Equal(t, 1440, base(), "other changes keep it")
}
