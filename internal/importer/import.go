// Package importer brings files of customers and transactions in: uploaded in chunks, read as a stream, and written
// by sets, so that memory does not grow with the file and a restart goes on where the last commit ended.
package importer

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/nearest"
)

var (
	ErrNotFound   = fault.New(fault.NotFound, "import_not_found", "no such import", "没有这个导入")
	ErrHasContent = fault.New(fault.Conflict, "import_has_content",
		"the import has its file already; create another import for another file", "该导入已有文件；请为其他文件新建导入")
	ErrSuperseded = fault.New(fault.Conflict, "upload_superseded",
		"a later upload for the same import took this one's place", "同一导入的后一次上传已取代本次上传")
	ErrBroken = fault.New(fault.Malformed, "upload_incomplete",
		"the body broke off; upload it again", "请求体不完整，请重新上传")
	ErrGzip = fault.New(fault.Invalid, "bad_gzip",
		"the body is not intact gzip; nothing of it was kept", "请求体不是完好的 gzip 数据，未保留任何内容")

	ErrRange = fault.New(fault.Invalid, "value_out_of_range",
		"a number that the rows add up to is beyond what can be stored; the rows before them are kept",
		"这些行累计的数值超出可存储范围；此前的行已保留")

	// ErrTooLarge is returned for a file of more than MaxBytes; the HTTP layer has the answer for it.
	ErrTooLarge = errors.New("importer: the file is too large")
)

// What can be wrong with a file as a whole. Each is found before the first row is written.
var (
	ErrEmpty = fault.New(fault.Invalid, "file_empty",
		"the file is empty; its first line must name the columns", "文件为空；第一行须为列名")
	ErrNoRows = fault.New(fault.Invalid, "file_without_rows",
		"the file has a header and no rows", "文件只有表头，没有数据行")
	ErrHeader        = fault.New(fault.Invalid, "header_unreadable", "the header is not a line of CSV", "表头不是合法的 CSV 行")
	ErrColumnTwice   = fault.New(fault.Invalid, "column_repeated", "two columns have the same name", "有两列同名")
	ErrColumnMissing = fault.New(fault.Invalid, "column_missing", "a mapped column is not in the file", "文件中没有映射所指的列")
	ErrNotUTF8       = fault.New(fault.Invalid, "not_utf8", "the file is not UTF-8", "文件不是 UTF-8 编码")
	ErrNotGB18030    = fault.New(fault.Invalid, "not_gb18030", "the file is not GB18030", "文件不是 GB18030 编码")
)

// MaxBytes is the most that a file may have, unpacked.
const MaxBytes = 1 << 30

// Type is what the rows of a file are.
type Type string

// The types.
const (
	Customers    Type = "customers"
	Transactions Type = "transactions"
)

// Status is where an import stands. From queued on it follows the job.
type Status string

// The statuses that this package sets; the others are the job's.
const (
	Created   Status = "created"
	Uploading Status = "uploading"
	Queued    Status = "queued"
	Succeeded Status = "succeeded"
	Failed    Status = "failed"
	Cancelled Status = "cancelled"
)

// The encodings of files.
const (
	UTF8    = "utf-8"
	GB18030 = "gb18030"
)

// Import is one file on its way in.
type Import struct {
	ID       uuid.UUID
	Version  int64
	Type     Type
	Source   string // the system whose ids the file carries
	Format   string // csv
	Encoding string
	Mapping  map[string]string // field to column
	Currency string            // of rows that name none; empty is the base currency

	RegistrationCheck string // what a registration number with a wrong check character does: Refuse the row, or Warn
	Status            Status
	Error             *Problem // of a failed import whose file can't be read
	JobID             *uuid.UUID
	ChangeSet         uuid.UUID
	Actor             string
	Bytes             int64 // of the file, unpacked
	Counts            Counts
	CreatedAt         time.Time
	UpdatedAt         time.Time

	upload  uuid.UUID
	gzipped bool
	blind   bool // who began it is not shown personal values
}

// Counts is what became of the rows read so far: Rows is the sum of the four outcomes.
type Counts struct {
	Rows, Created, Updated, Unchanged, Failed int64
	Warned                                    int64 // of the created and updated ones, those with a warning
	CustomersCreated                          int64 // for transactions whose customer was unknown
}

func (c Counts) plus(d Counts) Counts {
	return Counts{Rows: c.Rows + d.Rows, Created: c.Created + d.Created, Updated: c.Updated + d.Updated,
		Unchanged: c.Unchanged + d.Unchanged, Failed: c.Failed + d.Failed, Warned: c.Warned + d.Warned, CustomersCreated: c.CustomersCreated + d.CustomersCreated}
}

func (c Counts) document() map[string]int64 {
	return map[string]int64{"rows": c.Rows, "created": c.Created, "updated": c.Updated, "unchanged": c.Unchanged,
		"failed": c.Failed, "warned": c.Warned, "customers_created": c.CustomersCreated}
}

// Problem is why something was refused.
type Problem struct {
	Code   string
	Detail fault.Text
}

// RowError is what is wrong with one row, or with a Warning odd. Column is its header, empty when it is about the row
// as a whole.
type RowError struct {
	Line    int64 // on which the row begins; the header is line 1
	Column  string
	Warning bool // the row was written all the same
	Problem
}

// Creation is what a caller says about a file to come.
type Creation struct {
	Type                               Type
	Source, Format, Encoding, Currency string
	Mapping                            map[string]string
	RegistrationCheck                  string
}

// The fields of each type, in the order in which a row's hash takes them.
var fieldsOf = map[Type][]string{
	Customers: slices.Concat([]string{"external_id", "name", "aliases", "kind", "stage", "source_channel", "source_detail", "source_campaign", "owner",
		"departments", "country", "province", "city", "district", "industry", "industry_scheme", "industry_code", "person.gender",
		"person.birthday", "person.income_band", "person.education", "person.occupation", "person.interests",
		"company.registration_scheme", "company.registration_number", "company.legal_name", "company.business_scope",
		"company.employees", "company.annual_revenue", "company.registered_on"}, pointFields, addressFields),
	Transactions: {"customer_external_id", "occurred_at", "amount", "amount_minor", "currency", "external_id", "units", "status",
		"channel", "payment_method", "store", "sku", "product_name", "quantity", "unit_price", "discount"},
}

// Families of fields of customers, whose names end in a key of the tenant's own choice.
const (
	attributePrefix  = "attributes."
	preferencePrefix = "person.preferences."
)

// maxAttribute is how many characters an attribute from a file may have.
const maxAttribute = 5000

// ownKey is what ends a field of a family.
var ownKey = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// isField reports whether files of the type may map the field.
func isField(t Type, field string) bool {
	if slices.Contains(fieldsOf[t], field) {
		return true
	}
	for _, prefix := range []string{attributePrefix, preferencePrefix} {
		if key, ok := strings.CutPrefix(field, prefix); ok && t == Customers {
			return ownKey.MatchString(key)
		}
	}
	return false
}

// The ways to treat a registration number with a wrong check character.
const (
	Refuse = "refuse"
	Warn   = "warn"
)

var requiredOf = map[Type][]string{
	Customers:    {"external_id"},
	Transactions: {"customer_external_id", "occurred_at"},
}

// check fails with fault.ErrInvalid naming every place that is wrong.
func (c Creation) check() error {
	var v fault.Validator
	fields := fieldsOf[c.Type]
	for _, field := range slices.Sorted(maps.Keys(c.Mapping)) {
		pointer := "/mapping/" + fault.Escape(field)
		if !v.Check(isField(c.Type, field), pointer, "unknown_field", unknownField(c.Type, field), fields...) {
			continue
		}
		v.Check(strings.TrimSpace(c.Mapping[field]) != "", pointer, "required",
			fault.T("name the column that holds it", "请填写对应的列名"))
	}
	for _, field := range requiredOf[c.Type] {
		_, ok := c.Mapping[field]
		v.Check(ok, "/mapping/"+field, "required", fault.T(string(c.Type)+" need this field", "此类导入必须映射该字段"))
	}
	if c.Type == Transactions {
		_, decimal := c.Mapping["amount"]
		_, minor := c.Mapping["amount_minor"]
		v.Check(decimal || minor, "/mapping/amount", "required",
			fault.T("map either amount or amount_minor", "请映射 amount 或 amount_minor"))
		v.Check(!decimal || !minor, "/mapping/amount_minor", "only_one",
			fault.T("map only one of amount and amount_minor", "amount 和 amount_minor 只能映射一个"))
	}
	if _, revenue := c.Mapping["company.annual_revenue"]; c.Type == Customers && !revenue {
		v.Check(c.Currency == "", "/currency", "not_applicable", fault.T("no amount is mapped", "没有映射金额"))
	}
	v.Check(c.Type == Customers || c.RegistrationCheck == "", "/registration_check", "not_applicable",
		fault.T("transactions have no registration numbers", "交易数据没有登记号"))
	v.Check(c.Currency == "" || money.Known(c.Currency), "/currency", "currency_unknown", money.UnknownCurrency)
	return v.Err()
}

func unknownField(t Type, field string) fault.Text {
	en, zh := string(t)+" have no such field", "没有此字段"
	if near := nearest.Of(field, fieldsOf[t]); near != "" {
		return fault.T(en+"; did you mean "+near+"?", zh+"；是否想用 "+near+"？")
	}
	return fault.T(en, zh)
}
