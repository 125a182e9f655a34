package customer_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/birthday"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/tenant"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

func TestEveryFieldIsStoredAndReadBack(t *testing.T) {
	t.Parallel()
	db := postgrestest.DB(t)
	of := postgrestest.Tenant(t, db)
	ctx := postgrestest.Context(t, of)
	call := tenant.Call{Tenant: of, Actor: "test", ChangeSet: uuid.Must(uuid.NewV7())}
	at := time.Date(2026, 2, 3, 4, 5, 6, 789_000, time.UTC)
	svc := customer.NewService(db, func() time.Time { return at })

	r := companyRegistration()
	everyFieldSet(t, r, "Person")
	everyFieldSet(t, r.Company, "RegistrationInvalid", "baseRevenue")
	made, err := svc.Create(ctx, call, r)
	require.NoError(t, err)
	require.Equal(t, []customer.ExternalID{{Source: "crm", ID: "1"}, {Source: "erp", ID: "2"}}, made.ExternalIDs)
	require.Equal(t, map[string]string{"province": "浙江省", "city": "杭州市", "company.registration_number": "9144 0300 7084 61136t"}, made.Given)
	everyFieldSet(t, made, "Person", "DeletedAt", "MergedInto", "Warnings")
	everyFieldSet(t, made.Company, "RegistrationInvalid")
	read, err := svc.Get(ctx, of, made.ID)
	require.NoError(t, err)
	require.Equal(t, made, read)

	at = at.Add(time.Hour)
	name, kind, stage, channel := "张三", customer.Person, customer.Lost, "phone"
	person := customer.PersonChange{Gender: patch.Set("female"), Birthday: patch.Set(birthday.Birthday{Calendar: birthday.Lunar, Year: 2020, Month: 4, Day: 3, LeapMonth: true}),
		IncomeBand: patch.Set("middle"), Education: patch.Set("bachelor"), Occupation: patch.Set("茶艺师"), Interests: patch.Set([]string{"茶", "登山"}),
		Preferences: patch.Set(map[string]*customer.Preference{"size": {Texts: []string{"M"}}, "colour": {Texts: []string{"红", "蓝"}, List: true}})}
	everyFieldSet(t, person)
	everyFieldSet(t, *person.Birthday.Value)
	change := customer.Change{Kind: &kind, Name: &name, Stage: &stage, Source: patch.Set(customer.SourceChange{Channel: &channel}),
		Aliases: patch.Set([]string{"阿三"}), AddAliases: []string{"小三"}, StageReason: "搬走了", Departments: patch.Set([]string{"华东"}), District: patch.Set("d"),
		Owner: patch.Set("王强"), Country: patch.Set("SG"), Province: patch.Set("p"), City: patch.Set("c"), Industry: patch.Set("i"),
		IndustryScheme: patch.Set("isic"), IndustryCode: patch.Set("1076"), Person: patch.Set(person), Company: patch.Field[customer.CompanyChange]{Given: true},
		Attributes: patch.Set(customer.Attributes{"grade": nil, "n": json.Number("2")})}
	everyFieldSet(t, change)
	changed, err := svc.Update(ctx, call, made.ID, patch.Expected{1}, change)
	require.NoError(t, err)
	require.EqualValues(t, 2, changed.Version)
	require.Equal(t, at, changed.UpdatedAt)
	everyFieldSet(t, changed, "Company", "Given", "DeletedAt", "MergedInto", "Warnings")
	everyFieldSet(t, changed.Person)
	read, err = svc.Get(ctx, of, made.ID)
	require.NoError(t, err)
	require.Equal(t, changed, read)
	require.Equal(t, customer.Source{Channel: "phone", Detail: "广交会", Campaign: "2026 春"}, read.Source, "merged member by member")
	require.Equal(t, []string{"阿三", "小三"}, read.Aliases)
	require.Equal(t, customer.Attributes{"n": json.Number("2")}, read.Attributes)

	read, err = svc.Update(ctx, call, made.ID, nil, customer.Change{Source: patch.Set(customer.SourceChange{Detail: patch.Field[string]{Given: true}})})
	require.NoError(t, err)
	require.Equal(t, customer.Source{Channel: "phone", Campaign: "2026 春"}, read.Source)
	read, err = svc.Update(ctx, call, made.ID, nil, customer.Change{Source: patch.Field[customer.SourceChange]{Given: true}})
	require.NoError(t, err)
	require.Zero(t, read.Source)
	_, err = svc.Update(ctx, call, made.ID, nil, customer.Change{Source: patch.Set(customer.SourceChange{Detail: patch.Set("x")})})
	require.ErrorIs(t, err, fault.ErrInvalid)
	require.Equal(t, "/source/channel", fault.Of(err).Fields[0].Pointer)
}

func TestNamesAndExternalIDsThatNobodyCanSee(t *testing.T) {
	t.Parallel()
	db := postgrestest.DB(t)
	of := postgrestest.Tenant(t, db)
	ctx := postgrestest.Context(t, of)
	call := tenant.Call{Tenant: of, Actor: "test", ChangeSet: uuid.Must(uuid.NewV7())}
	svc := customer.NewService(db, time.Now)
	for _, name := range []string{"", " ", "\u3000", "\u202e\u200b"} {
		_, err := svc.Create(ctx, call, customer.Registration{Kind: customer.Person, Name: name})
		require.ErrorIs(t, err, fault.ErrInvalid, "%q", name)
	}
	for _, id := range []string{" a", "a ", "a\nb", "   ", "a\u0085"} {
		ext := customer.ExternalID{Source: "s", ID: id}
		_, err := svc.Create(ctx, call, customer.Registration{Kind: customer.Person, Name: "x", ExternalIDs: []customer.ExternalID{ext}})
		require.ErrorIs(t, err, fault.ErrInvalid, "%q", id)
		name := "x"
		_, _, err = svc.Put(ctx, call, ext, nil, false, customer.Change{Name: &name})
		require.ErrorIs(t, err, fault.ErrInvalid, "%q", id)
	}
}

// companyRegistration says everything that can be said of a company.
func companyRegistration() customer.Registration {
	employees := int32(120)
	return customer.Registration{Kind: customer.Company, Name: "杭州西湖茶叶有限公司", Aliases: []string{"西湖茶叶"}, Stage: customer.Dormant,
		StageReason: "两年无订单", Source: customer.Source{Channel: "exhibition", Detail: "广交会", Campaign: "2026 春"}, Owner: "李娜",
		Departments: []string{"华东大区", "茶饮"}, Country: "CN", Province: "浙江省", City: "杭州市", District: "西湖区",
		Industry: customer.Industry{Label: "茶叶", Scheme: "gbt4754", Code: "1530"},
		Company: customer.CompanyDetails{RegistrationScheme: "uscc", RegistrationNumber: "9144 0300 7084 61136t", LegalName: "杭州西湖茶叶有限公司",
			BusinessScope: "茶叶制品生产；食品销售", Employees: &employees, AnnualRevenue: &money.Money{Minor: 12_000_000_00, Currency: "CNY"},
			RegisteredOn: &tenant.Day{Time: time.Date(1999, 9, 9, 0, 0, 0, 0, time.UTC)}},
		ExternalIDs: []customer.ExternalID{{Source: "erp", ID: "2"}, {Source: "crm", ID: "1"}},
		Attributes:  customer.Attributes{"grade": "A", "n": json.Number("1.50")}}
}

// everyFieldSet fails for a field that a test forgot, so that a new one can't be.
func everyFieldSet(t *testing.T, v any, but ...string) {
	t.Helper()
	value := reflect.ValueOf(v)
	for i := range value.NumField() {
		if slices.Contains(but, value.Type().Field(i).Name) {
			continue
		}
		require.False(t, value.Field(i).IsZero(), value.Type().Field(i).Name)
	}
}

func TestAnotherTenantsCustomersDoNotExist(t *testing.T) {
	t.Parallel()
	db := postgrestest.DB(t)
	mine, theirs := postgrestest.Tenant(t, db), postgrestest.Tenant(t, db)
	at := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	svc := customer.NewService(db, func() time.Time { return at })
	id := customer.ExternalID{Source: "s", ID: "1"}
	made, err := svc.Create(postgrestest.Context(t, theirs), tenant.Call{Tenant: theirs, ChangeSet: uuid.Must(uuid.NewV7())},
		customer.Registration{Kind: customer.Person, Name: "x", ExternalIDs: []customer.ExternalID{id}})
	require.NoError(t, err)
	ctx, call := postgrestest.Context(t, mine), tenant.Call{Tenant: mine, ChangeSet: uuid.Must(uuid.NewV7())}
	_, err = svc.Get(ctx, mine, made.ID)
	require.ErrorIs(t, err, customer.ErrNotFound)
	_, err = svc.ByExternalID(ctx, mine, id)
	require.ErrorIs(t, err, customer.ErrNotFound)
	_, err = svc.Update(ctx, call, made.ID, nil, customer.Change{Owner: patch.Set("me")})
	require.ErrorIs(t, err, customer.ErrNotFound)
	require.ErrorIs(t, svc.Delete(ctx, call, made.ID, nil), customer.ErrNotFound)
	_, err = svc.Undelete(ctx, call, made.ID)
	require.ErrorIs(t, err, customer.ErrNotFound)
	_, err = svc.AddExternalID(ctx, call, made.ID, customer.ExternalID{Source: "s", ID: "2"})
	require.ErrorIs(t, err, customer.ErrNotFound)
	require.ErrorIs(t, svc.RemoveExternalID(ctx, call, made.ID, id), customer.ErrNotFound)
	many, err := svc.Many(ctx, mine, []uuid.UUID{made.ID})
	require.NoError(t, err)
	require.Empty(t, many)
	read, err := svc.Get(postgrestest.Context(t, theirs), theirs, made.ID)
	require.NoError(t, err)
	require.Equal(t, made, read)
}

func TestAListThatTakesTooLongIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := postgrestest.Context(t, b.call.Tenant)
	_, err := b.svc.Create(ctx, b.call, customer.Registration{Kind: customer.Person, Name: "ada"})
	require.NoError(t, err)
	b.svc.Patience(20)
	sort, err := customer.ParseSort("name", customer.Sorts(), nil)
	require.NoError(t, err)
	q := customer.Query{Page: page.Request{Limit: 1}, Sort: sort,
		Where: filter.SQL("(SELECT count(*) FROM generate_series(1, 1000000000) n WHERE n::text <> c.name) > 0")}
	_, err = b.svc.List(ctx, b.call.Tenant, q)
	require.ErrorIs(t, err, customer.ErrTooCostly)
	_, err = b.svc.Facets(ctx, b.call.Tenant, q, nil)
	require.ErrorIs(t, err, customer.ErrTooCostly)
}
