package contactpoint

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/net/idna"
	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
	"golang.org/x/text/unicode/norm"

	"github.com/kezi-io/kezi/internal/fault"
)

// Normal is a value in the one form that all its spellings share.
type Normal struct {
	Kind       Kind
	Platform   string // of a social account
	Value      string // phones: E.164, with ";ext=" and the extension behind it where there is one (RFC 3966)
	NumberType string // of phones
}

// Wrong is why a value is refused: a stable code, and what would be accepted. It never repeats the value.
type Wrong struct {
	Code   string
	Detail fault.Text
}

// maxGiven is the most characters that a value may have as it is given.
const maxGiven = 320

// Normalize reads a value as people write it. A phone without a country code is one of region (ISO 3166-1).
func Normalize(kind Kind, platform, given, region string) (Normal, *Wrong) {
	n := Normal{Kind: kind, Platform: strings.ToLower(strings.TrimSpace(platform))}
	s := strings.TrimFunc(given, func(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) })
	switch {
	case s == "":
		return n, &Wrong{"required", fault.T("a value is needed here", "不能为空")}
	case utf8.RuneCountInString(s) > maxGiven:
		return n, &Wrong{"too_long", fault.T("longer than 320 characters", "超过 320 个字符")}
	case !utf8.ValidString(s) || strings.ContainsRune(s, utf8.RuneError) || strings.ContainsFunc(s, unicode.IsControl):
		return n, &Wrong{"bad_text", fault.T("control characters can't be in it", "不能包含控制字符")}
	}
	if strings.Contains(s, "***") {
		return n, &Wrong{"masked_value", fault.T("this is a masked value; send it in full, or leave it away to keep it", "这是打码后的值；请填写完整，或不传以保留原值")}
	}
	var wrong *Wrong
	switch kind {
	case Phone, Fax:
		n.Value, n.NumberType, wrong = phone(s, region)
	case Email:
		n.Value, wrong = email(s)
	default:
		n.Value, wrong = account(kind, s)
	}
	if key, ok := platformKeys[n.Platform]; ok && kind == Social {
		n.Platform = key
	}
	switch {
	case kind != Social || platforms.MatchString(n.Platform):
	case n.Platform != "":
		wrong = &Wrong{"bad_platform", fault.T("a platform is written in lower-case Latin letters, digits, _ and -, such as douyin, xiaohongshu or linkedin",
			"平台请用小写拉丁字母、数字、_ 和 - 书写，例如 douyin、xiaohongshu 或 linkedin")}
	default:
		wrong = &Wrong{"platform_missing", fault.T("a social account needs its platform, such as douyin, linkedin or whatsapp",
			"社交账号须注明平台，例如 douyin、linkedin 或 whatsapp")}
	}
	if kind != Social && n.Platform != "" {
		wrong = &Wrong{"not_applicable", fault.T("only kind social has a platform", "只有 social 类型才有平台")}
	}
	return n, wrong
}

// platformKeys are platforms by what people call them.
var platformKeys = map[string]string{"抖音": "douyin", "小红书": "xiaohongshu", "快手": "kuaishou", "b站": "bilibili",
	"哔哩哔哩": "bilibili", "知乎": "zhihu", "支付宝": "alipay", "淘宝": "taobao", "天猫": "tmall", "京东": "jd", "拼多多": "pinduoduo", "领英": "linkedin",
	"钉钉": "dingtalk", "飞书": "feishu", "企业微信": "wecom"}

var (
	platforms = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,39}$`)
	// extended is a number with an extension behind it: ext 802, x802, #802, 转802, 分机 802, ;ext=802. The last form is how
	// cards in China write it, as a third group: 0571-87654321-802.
	extended = regexp.MustCompile(`(?i)^(.*?)\s*(?:[,，;；]?\s*(?:extension|extn|ext|x|转|轉|分机|分機)\s*[.:：=]?|#)\s*(\d{1,8})$`)
	grouped  = regexp.MustCompile(`^(\(?0\d{2,3}\)?[- ]?\d{7,8})-(\d{1,6})$`)
	dialled  = regexp.MustCompile(`^[(]?\+?[\d\s().\-/·]+$`)
)

func phone(s, region string) (value, numberType string, wrong *Wrong) {
	s = strings.TrimSpace(norm.NFKC.String(s))
	s = strings.NewReplacer("‐", "-", "‑", "-", "–", "-", "—", "-", "−", "-").Replace(s)
	if len(s) > 4 && strings.EqualFold(s[:4], "tel:") {
		s = s[4:]
	}
	extension := ""
	for _, form := range []*regexp.Regexp{extended, grouped} {
		if m := form.FindStringSubmatch(s); m != nil {
			s, extension = m[1], m[2]
			break
		}
	}
	// The library would read letters as digits of a keypad, and a typing error as a number.
	if !dialled.MatchString(s) {
		return "", "", badPhone(region, "there are characters in it that no phone number has", "含有电话号码中不会出现的字符")
	}
	n, err := phonenumbers.Parse(s, region)
	if err != nil {
		return "", "", badPhone(region, "it is not a phone number", "不是电话号码")
	}
	if !phonenumbers.IsValidNumber(n) {
		return "", "", badPhone(region, because[phonenumbers.IsPossibleNumberWithReason(n)].En, because[phonenumbers.IsPossibleNumberWithReason(n)].Zh)
	}
	value = phonenumbers.Format(n, phonenumbers.E164)
	if extension != "" {
		value += extensionMark + extension
	}
	return value, numberTypes[phonenumbers.GetNumberType(n)], nil
}

const extensionMark = ";ext="

// because tells why a number can't be one; what is possible by its length and still no number is of no range in use.
var because = map[phonenumbers.ValidationResult]fault.Text{
	phonenumbers.IS_POSSIBLE:            fault.T("no such number is in use", "号段不存在"),
	phonenumbers.IS_POSSIBLE_LOCAL_ONLY: fault.T("the area code is missing, or it is a short number that works in one country only", "缺少区号，或是仅在一国有效的短号码"),
	phonenumbers.INVALID_COUNTRY_CODE:   fault.T("there is no such country code", "没有这个国家代码"),
	phonenumbers.TOO_SHORT:              fault.T("it is too short", "位数不足"),
	phonenumbers.TOO_LONG:               fault.T("it is too long", "位数过多"),
	phonenumbers.INVALID_LENGTH:         fault.T("no phone number has its length", "位数不对"),
}

func badPhone(region, en, zh string) *Wrong {
	example := ""
	if n := phonenumbers.GetExampleNumberForType(region, phonenumbers.MOBILE); n != nil {
		example = phonenumbers.Format(n, phonenumbers.NATIONAL)
	}
	return &Wrong{"bad_phone", fault.T(
		en+"; send a number of "+countryName(region, language.English)+", such as "+example+", or another country's with + and its country code",
		zh+"；请填写"+countryName(region, language.Chinese)+"的号码，例如 "+example+"，或带 + 和国家代码的其他国家号码")}
}

func countryName(region string, in language.Tag) string {
	r, err := language.ParseRegion(region)
	if err != nil {
		return region
	}
	return display.Regions(in).Name(r)
}

var numberTypes = map[phonenumbers.PhoneNumberType]string{
	phonenumbers.MOBILE: "mobile", phonenumbers.FIXED_LINE: "landline", phonenumbers.FIXED_LINE_OR_MOBILE: "landline_or_mobile",
	phonenumbers.TOLL_FREE: "toll_free", phonenumbers.SHARED_COST: "shared_cost", phonenumbers.PREMIUM_RATE: "premium_rate",
	phonenumbers.VOIP: "voip", phonenumbers.PERSONAL_NUMBER: "personal", phonenumbers.PAGER: "pager", phonenumbers.UAN: "company",
	phonenumbers.VOICEMAIL: "voicemail", phonenumbers.UNKNOWN: "other",
}

var badEmail = &Wrong{"bad_email", fault.T("not an email address, such as name@example.com", "不是电子邮箱地址，例如 name@example.com")}

// local is the part before the @ (RFC 5321 dot-atom, with the letters of RFC 6531). Its quoted form is refused: no
// mailbox in use needs it, and lists of addresses break on it.
var local = regexp.MustCompile("^[\\pL\\pN!#$%&'+/=?^_`{|}~-]+(\\.[\\pL\\pN!#$%&'+/=?^_`{|}~-]+)*$")

// email keeps the case of the part before the @, which only its own host may ignore (RFC 5321, section 2.4), and writes
// the domain as the name system has it: lower case, letters beyond ASCII as Punycode.
func email(s string) (string, *Wrong) {
	s = strings.NewReplacer("＠", "@", "．", ".", "。", ".").Replace(s)
	if len(s) > 7 && strings.EqualFold(s[:7], "mailto:") {
		s = s[7:]
	}
	at := strings.LastIndexByte(s, '@')
	if at < 1 || at > 64 {
		return "", badEmail
	}
	name := norm.NFC.String(s[:at])
	domain, err := idna.Lookup.ToASCII(s[at+1:])
	if err != nil || !local.MatchString(name) || len(domain) > 253 {
		return "", badEmail
	}
	if _, err := idna.Lookup.ToUnicode(domain); err != nil { // what was mapped to it is more than it allows itself
		return "", badEmail
	}
	labels := strings.Split(domain, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 {
			return "", badEmail
		}
	}
	if last := labels[len(labels)-1]; len(labels) < 2 || len(last) < 2 || strings.Trim(last, "0123456789") == "" {
		return "", badEmail
	}
	return name + "@" + domain, nil
}

var (
	wechats = regexp.MustCompile(`^[A-Za-z0-9_-]{5,64}$`)
	qqs     = regexp.MustCompile(`^[1-9][0-9]{4,11}$`)
)

// account takes what the platforms let people call themselves, checked lightly: their rules change.
func account(kind Kind, s string) (string, *Wrong) {
	s = strings.TrimSpace(norm.NFKC.String(s))
	switch kind {
	case WeChat:
		if !wechats.MatchString(s) {
			return "", &Wrong{"bad_wechat", fault.T("a WeChat id has 5 to 64 letters, digits, - and _", "微信号由 5 到 64 位字母、数字、减号和下划线组成")}
		}
	case QQ:
		if !qqs.MatchString(s) {
			return "", &Wrong{"bad_qq", fault.T("a QQ number has 5 to 12 digits and does not begin with 0", "QQ 号为 5 到 12 位数字，且不以 0 开头")}
		}
	default:
		s = strings.TrimLeft(s, "@ ")
		visible := strings.ContainsFunc(s, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) })
		if !visible || utf8.RuneCountInString(s) > 200 || (kind == Weibo && strings.ContainsFunc(s, unicode.IsSpace)) {
			return "", &Wrong{"bad_account", fault.T("an account has 1 to 200 characters, some of them letters or digits", "账号为 1 到 200 个字符，且须含字母或数字")}
		}
	}
	return s, nil
}
