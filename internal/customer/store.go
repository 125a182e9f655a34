package customer

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/completeness"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// row is a line of table customers with its external ids; nothing outside the store sees it. It goes into the database
// as JSON, a set of rows in one statement (json_populate_recordset), and comes back by scanning columns.
type row struct {
	ID                 uuid.UUID       `json:"id"`
	Version            int64           `json:"version"`
	Kind               string          `json:"kind"`
	Name               string          `json:"name"`
	Aliases            []string        `json:"aliases,omitempty"`
	Stage              string          `json:"stage"`
	SourceChannel      *string         `json:"source_channel,omitempty"`
	SourceDetail       *string         `json:"source_detail,omitempty"`
	SourceCampaign     *string         `json:"source_campaign,omitempty"`
	Owner              *string         `json:"owner,omitempty"`
	Departments        []string        `json:"departments,omitempty"`
	Country            *string         `json:"country,omitempty"`
	Province           *string         `json:"province,omitempty"`
	City               *string         `json:"city,omitempty"`
	District           *string         `json:"district,omitempty"`
	Industry           *string         `json:"industry,omitempty"`
	IndustryScheme     *string         `json:"industry_scheme,omitempty"`
	IndustryCode       *string         `json:"industry_code,omitempty"`
	Gender             *string         `json:"gender,omitempty"`
	IncomeBand         *string         `json:"income_band,omitempty"`
	Education          *string         `json:"education,omitempty"`
	Occupation         *string         `json:"occupation,omitempty"`
	Interests          []string        `json:"interests,omitempty"`
	LegalName          *string         `json:"legal_name,omitempty"`
	RegistrationScheme *string         `json:"registration_scheme,omitempty"`
	RegistrationNumber *string         `json:"registration_number,omitempty"`
	RegisteredOn       *time.Time      `json:"registered_on,omitempty"`
	Employees          *int32          `json:"employees,omitempty"`
	AnnualRevenue      *int64          `json:"annual_revenue,omitempty"`
	Details            json.RawMessage `json:"details,omitempty"`
	Attributes         json.RawMessage `json:"attributes"`
	CreatedAt          time.Time       `json:"created_at"`
	UpdatedAt          time.Time       `json:"updated_at"`
	DeletedAt          *time.Time      `json:"deleted_at,omitempty"`
	MergedInto         *uuid.UUID      `json:"merged_into,omitempty"`
	ExternalIDs        json.RawMessage `json:"-" gorm:"column:external_ids;->"` // a list of [source, id]
	SortKey            *string         `json:"-" gorm:"->"`                     // the text of what a list was sorted by
	Group              string          `json:"-" gorm:"-"`                      // of a list that is in groups

	// Derived from the birthday for conditions and sorts, and never read.
	BornOn         *time.Time `json:"born_on,omitempty" gorm:"-"`
	NextBirthdayOn *time.Time `json:"next_birthday_on,omitempty" gorm:"-"`
}

// columns reads a whole row of c, in the order of targets; external ids come in the same statement, so that a read is
// one round trip.
const columns = `c.id, c.version, c.kind, c.name, c.aliases, c.stage, c.source_channel, c.source_detail, c.source_campaign,
	c.owner, c.departments, c.country, c.province, c.city, c.district, c.industry, c.industry_scheme, c.industry_code, c.gender,
	c.income_band, c.education, c.occupation, c.interests, c.legal_name, c.registration_scheme, c.registration_number,
	c.registered_on, c.employees, c.annual_revenue, c.details, c.attributes, c.created_at, c.updated_at, c.deleted_at, c.merged_into,
	(SELECT coalesce(json_agg(json_build_array(e.source, e.external_id) ORDER BY e.source, e.external_id), '[]') FROM external_ids e
		WHERE e.tenant_id = c.tenant_id AND e.customer_id = c.id) AS external_ids`

func (r *row) targets() []any {
	return []any{&r.ID, &r.Version, &r.Kind, &r.Name, &r.Aliases, &r.Stage, &r.SourceChannel, &r.SourceDetail, &r.SourceCampaign,
		&r.Owner, &r.Departments, &r.Country, &r.Province, &r.City, &r.District, &r.Industry, &r.IndustryScheme, &r.IndustryCode, &r.Gender,
		&r.IncomeBand, &r.Education, &r.Occupation, &r.Interests, &r.LegalName, &r.RegistrationScheme, &r.RegistrationNumber,
		&r.RegisteredOn, &r.Employees, &r.AnnualRevenue, &r.Details, &r.Attributes, &r.CreatedAt, &r.UpdatedAt, &r.DeletedAt, &r.MergedInto,
		&r.ExternalIDs}
}

// written are the columns that a write sets, beside tenant and id.
const written = `version, kind, name, aliases, stage, source_channel, source_detail, source_campaign, owner, departments, country,
	province, city, district, industry, industry_scheme, industry_code, gender, born_on, next_birthday_on, income_band, education,
	occupation, interests, legal_name, registration_scheme, registration_number, registered_on, employees, annual_revenue, details,
	attributes, created_at, updated_at, deleted_at`

// details is what no condition asks for, in one document.
type details struct {
	Birthday            *birthdayDoc      `json:"birthday,omitempty"`
	Preferences         Preferences       `json:"preferences,omitempty"`
	BusinessScope       string            `json:"business_scope,omitempty"`
	RegistrationInvalid bool              `json:"registration_invalid,omitempty"`
	Revenue             *revenue          `json:"annual_revenue,omitempty"` // as it was given
	Given               map[string]string `json:"given,omitempty"`
}

type revenue struct {
	Minor    int64  `json:"minor"`
	Currency string `json:"currency"`
}

func toRow(c *Customer, today tenant.Day) (row, error) {
	p, d := &c.Person, &c.Company
	r := row{ID: c.ID, Version: c.Version, Kind: string(c.Kind), Name: c.Name, Aliases: c.Aliases, Stage: string(c.Stage),
		SourceChannel: postgres.Null(c.Source.Channel), SourceDetail: postgres.Null(c.Source.Detail), SourceCampaign: postgres.Null(c.Source.Campaign),
		Owner: postgres.Null(c.Owner), Departments: c.Departments, Country: postgres.Null(c.Country), Province: postgres.Null(c.Province),
		City: postgres.Null(c.City), District: postgres.Null(c.District), Industry: postgres.Null(c.Industry.Label),
		IndustryScheme: postgres.Null(c.Industry.Scheme), IndustryCode: postgres.Null(c.Industry.Code), Gender: postgres.Null(p.Gender),
		IncomeBand: postgres.Null(p.IncomeBand), Education: postgres.Null(p.Education), Occupation: postgres.Null(p.Occupation), Interests: p.Interests,
		LegalName: postgres.Null(d.LegalName), RegistrationScheme: postgres.Null(d.RegistrationScheme), RegistrationNumber: postgres.Null(d.RegistrationNumber),
		Employees: d.Employees, AnnualRevenue: d.baseRevenue, CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt, DeletedAt: c.DeletedAt,
		MergedInto: c.MergedInto, Attributes: json.RawMessage("{}")}
	if d.RegisteredOn != nil {
		r.RegisteredOn = &d.RegisteredOn.Time
	}
	if born, known := p.Birthday.Solar(); known {
		r.BornOn = &born.Time
	}
	if !p.Birthday.IsZero() {
		next := p.Birthday.Next(today)
		r.NextBirthdayOn = &next.Time
	}
	rest := details{Birthday: birthdayDocument(p.Birthday), Preferences: p.Preferences, BusinessScope: d.BusinessScope,
		RegistrationInvalid: d.RegistrationInvalid, Given: c.Given}
	if m := d.AnnualRevenue; m != nil {
		rest.Revenue = &revenue{m.Minor, m.Currency}
	}
	var err error
	if r.Details, err = json.Marshal(rest); err != nil {
		return row{}, fmt.Errorf("write the details of customer %s: %w", c.ID, err)
	}
	if len(r.Details) == len("{}") {
		r.Details = nil
	}
	if len(c.Attributes) > 0 {
		if r.Attributes, err = json.Marshal(c.Attributes); err != nil {
			return row{}, fmt.Errorf("write the attributes of customer %s: %w", c.ID, err)
		}
	}
	return r, nil
}

// customer leaves out what the JSON of a row cannot hold otherwise than as toRow has written it.
func (r row) customer() Customer {
	c := Customer{ID: r.ID, Version: r.Version, Kind: Kind(r.Kind), Name: r.Name, Aliases: orNone(r.Aliases), Stage: Stage(r.Stage),
		Source: Source{Channel: postgres.Value(r.SourceChannel), Detail: postgres.Value(r.SourceDetail), Campaign: postgres.Value(r.SourceCampaign)},
		Owner:  postgres.Value(r.Owner), Departments: orNone(r.Departments), Country: postgres.Value(r.Country), Province: postgres.Value(r.Province),
		City: postgres.Value(r.City), District: postgres.Value(r.District),
		Industry: Industry{Label: postgres.Value(r.Industry), Scheme: postgres.Value(r.IndustryScheme), Code: postgres.Value(r.IndustryCode)},
		Person: PersonDetails{Gender: postgres.Value(r.Gender), IncomeBand: postgres.Value(r.IncomeBand), Education: postgres.Value(r.Education),
			Occupation: postgres.Value(r.Occupation), Interests: r.Interests},
		Company: CompanyDetails{LegalName: postgres.Value(r.LegalName), RegistrationScheme: postgres.Value(r.RegistrationScheme),
			RegistrationNumber: postgres.Value(r.RegistrationNumber), Employees: r.Employees, baseRevenue: r.AnnualRevenue},
		Attributes: Attributes{}, ExternalIDs: []ExternalID{}, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
		MergedInto: r.MergedInto}
	if r.RegisteredOn != nil {
		c.Company.RegisteredOn = &tenant.Day{Time: *r.RegisteredOn}
	}
	if len(r.Details) > 0 {
		var d details
		_ = json.Unmarshal(r.Details, &d)
		c.Person.Birthday, c.Person.Preferences, c.Given = d.Birthday.birthday(), d.Preferences, d.Given
		c.Company.BusinessScope, c.Company.RegistrationInvalid = d.BusinessScope, d.RegistrationInvalid
		if d.Revenue != nil {
			c.Company.AnnualRevenue = &money.Money{Minor: d.Revenue.Minor, Currency: d.Revenue.Currency}
		}
	}
	if len(r.Attributes) > len("{}") {
		_ = json.Unmarshal(r.Attributes, &c.Attributes)
	}
	if len(r.ExternalIDs) > len("[]") {
		var pairs [][2]string
		_ = json.Unmarshal(r.ExternalIDs, &pairs)
		for _, p := range pairs {
			c.ExternalIDs = append(c.ExternalIDs, ExternalID{p[0], p[1]})
		}
	}
	if r.DeletedAt != nil {
		at := r.DeletedAt.UTC()
		c.DeletedAt = &at
	}
	return c
}

// document is rows as the JSON that json_populate_recordset reads.
func document(writes []*Write, today tenant.Day) ([]byte, error) {
	rows := make([]row, len(writes))
	for i, w := range writes {
		var err error
		if rows[i], err = toRow(w.After, today); err != nil {
			return nil, err
		}
	}
	raw, err := json.Marshal(rows)
	if err != nil {
		return nil, fmt.Errorf("write %d customers: %w", len(writes), err)
	}
	return raw, nil
}

// insert makes customers with their first stages, and with metrics that hold nothing but how complete they are: to tell it
// afterwards would write all indexes of the metrics a second time. Their external ids are claimed.
func insert(ctx context.Context, tx postgres.Tx, call tenant.Call, writes []*Write, now time.Time) error {
	if len(writes) == 0 {
		return nil
	}
	raw, err := document(writes, call.Tenant.Today(now))
	if err != nil {
		return err
	}
	stages, err := stageRows(call, writes)
	if err != nil {
		return err
	}
	complete, weights, err := completeness.Expression(ctx, tx, call.Tenant.ID, 4)
	if err != nil {
		return err
	}
	// LATERAL asks by the keys of each customer; else the whole tenant's contact points would be read for the guessed
	// hundred rows of the set.
	_, err = tx.Exec(ctx, `WITH made AS (INSERT INTO customers (tenant_id, id, `+written+`)
			SELECT $1, id, `+written+` FROM json_populate_recordset(NULL::customers, $2) RETURNING *),
		measured AS (INSERT INTO customer_metrics (tenant_id, customer_id, completeness) SELECT c.tenant_id, c.id, f.percent
			FROM made c CROSS JOIN LATERAL (SELECT `+complete+` AS percent OFFSET 0) f)
		INSERT INTO customer_stages (tenant_id, `+stageColumns+`)
		SELECT $1, `+stageColumns+` FROM json_populate_recordset(NULL::customer_stages, $3)`,
		append([]any{call.Tenant.ID, raw, stages}, weights...)...)
	if err != nil {
		return fmt.Errorf("insert %d customers: %w", len(writes), err)
	}
	return nil
}

// update writes customers that are locked, with the moves of their stages.
func update(ctx context.Context, tx postgres.Tx, call tenant.Call, writes []*Write, now time.Time) error {
	if len(writes) == 0 {
		return nil
	}
	raw, err := document(writes, call.Tenant.Today(now))
	if err != nil {
		return err
	}
	// The function's result is taken to have a hundred rows whatever the set: each is looked up by the primary key.
	tag, err := tx.Exec(ctx, `UPDATE customers c SET (`+written+`) = (SELECT `+written+` FROM (SELECT n.*) n)
		FROM json_populate_recordset(NULL::customers, $2) n
		WHERE c.tenant_id = $1 AND c.id = n.id AND c.version = n.version - 1`, call.Tenant.ID, raw)
	switch {
	case err != nil:
		return fmt.Errorf("update %d customers: %w", len(writes), err)
	case int(tag.RowsAffected()) != len(writes):
		return fmt.Errorf("update %d customers: %d had their version", len(writes), tag.RowsAffected())
	}
	return addStages(ctx, tx, call, writes)
}

func get(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID) (Customer, error) {
	c, err := byID(ctx, q, tenantID, id)
	if err != nil {
		return Customer{}, err
	}
	// A survivor may have been merged away itself; chains are short.
	for c.MergedInto != nil {
		c, err = byID(ctx, q, tenantID, *c.MergedInto)
		if err != nil {
			return Customer{}, err
		}
	}
	if c.DeletedAt != nil {
		return Customer{}, ErrNotFound
	}
	return c, nil
}

// byID reads one customer, deleted or merged or not. It scans by hand: this is the hottest read, and going through
// GORM's reflection takes as long as everything else together.
func byID(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID) (Customer, error) {
	var r row
	err := q.QueryRow(ctx, `SELECT `+columns+` FROM customers c WHERE c.tenant_id = $1 AND c.id = $2`, tenantID, id).Scan(r.targets()...)
	switch {
	case postgres.IsNone(err):
		return Customer{}, ErrNotFound
	case err != nil:
		return Customer{}, fmt.Errorf("read customer %s: %w", id, err)
	}
	return r.customer(), nil
}

// fetch reads customers by a statement that selects columns.
func fetch(ctx context.Context, q postgres.Querier, sql string, args ...any) ([]Customer, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("read customers: %w", err)
	}
	defer rows.Close()
	var all []Customer
	for rows.Next() {
		var r row
		if err := rows.Scan(r.targets()...); err != nil {
			return nil, fmt.Errorf("read customers: %w", err)
		}
		all = append(all, r.customer())
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read customers: %w", err)
	}
	return all, nil
}

func many(ctx context.Context, q postgres.Querier, tenantID int32, ids []uuid.UUID) ([]Customer, error) {
	if len(ids) == 0 {
		return []Customer{}, nil
	}
	all, err := fetch(ctx, q, `SELECT `+columns+` FROM customers c
		WHERE c.tenant_id = $1 AND c.id = ANY($2) AND c.deleted_at IS NULL`, tenantID, ids)
	if err != nil {
		return nil, err
	}
	byID := make(map[uuid.UUID]Customer, len(all))
	for _, c := range all {
		byID[c.ID] = c
	}
	found := make([]Customer, 0, len(all))
	for _, id := range ids {
		if c, ok := byID[id]; ok {
			found = append(found, c)
			delete(byID, id) // an id asked for twice is answered once
		}
	}
	return found, nil
}

func orNone(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
