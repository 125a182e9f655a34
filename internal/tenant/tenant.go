// Package tenant is the company whose customers are kept: its base currency and its time zone, which every amount and
// every day in the system is counted in.
package tenant

import (
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/nyaruka/phonenumbers"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/money"
)

var (
	ErrUnknown = fault.New(fault.Forbidden, "tenant_unknown",
		"the token's tenant does not exist here", "令牌所指的租户在此不存在")
	ErrNameTaken = fault.New(fault.Conflict, "tenant_name_taken",
		"another tenant already has this name", "该租户名称已被使用")
	ErrFixed = fault.New(fault.Conflict, "tenant_fixed",
		"currency and time zone cannot change once there are transactions or exchange rates",
		"已有交易或汇率后，不能再更改货币和时区")
	ErrChanged = fault.New(fault.Conflict, "tenant_changed",
		"the tenant's currency or time zone has just changed; send the request again", "租户的货币或时区刚刚变更，请重新提交请求")
)

// Tenant is one company.
type Tenant struct {
	ID        int32  // internal; leads every key and never leaves the service
	Name      string // unique; the token's tenant claim
	Title     string // for people
	Currency  string // ISO 4217; of all metrics and scores
	Zone      *time.Location
	Region    string // ISO 3166-1 alpha-2: where phone numbers and postal codes are from when they do not say
	Version   int64
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Today is the tenant's local day at now.
func (t Tenant) Today(now time.Time) Day { return DayOf(now, t.Zone) }

// DefaultRegion is the region of a tenant that names none.
const DefaultRegion = "CN"

// Call is on whose behalf a service acts: the tenant, who asked, and the change set that all events of this one
// request or job belong to.
type Call struct {
	Tenant    Tenant
	Actor     string // the token's subject, or the job
	RequestID string
	ChangeSet uuid.UUID
	Blind     bool // the caller is not shown personal values, and must not learn from an answer whether one is another
}

// Creation is what an operator says about a new tenant.
type Creation struct {
	Name, Title, Currency, TimeZone string
	Region                          string // CN unless told
}

// Change is what may change; nil keeps.
type Change struct{ Title, Currency, TimeZone, Region *string }

func checkCurrency(v *fault.Validator, code string) {
	v.Check(money.Known(code), "/currency", "currency_unknown", money.UnknownCurrency)
}

func checkRegion(v *fault.Validator, code string) {
	v.Check(phonenumbers.GetCountryCodeForRegion(code) != 0, "/region", "region_unknown",
		fault.T("not a country with phone numbers (ISO 3166-1 alpha-2), such as CN", "不是有电话号码的国家或地区代码（ISO 3166-1 两位代码），例如 CN"))
}

func checkZone(v *fault.Validator, name string) *time.Location {
	zone, err := time.LoadLocation(name)
	// The empty name and "Local" load as well, and would mean whatever the machine is set to; posix/ and right/ are
	// copies that some machines have, and right/ counts leap seconds.
	v.Check(err == nil && name != "" && name != "Local" && !strings.HasPrefix(name, "posix/") && !strings.HasPrefix(name, "right/"),
		"/time_zone", "time_zone_unknown",
		fault.T("not an IANA time zone, such as Asia/Shanghai or UTC", "不是 IANA 时区，例如 Asia/Shanghai 或 UTC"))
	return zone
}
