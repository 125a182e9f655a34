package creditcode

import (
	"fmt"
	"strings"

	"github.com/kezi-io/kezi/internal/fault"
)

// Reason is what is wrong with a code, as a stable code for fault.Field.
type Reason string

// The reasons.
const (
	Len               Reason = "credit_code_length"             // not 18 characters
	Character         Reason = "credit_code_character"          // one that cannot stand where it stands
	Check             Reason = "credit_code_check"              // the last character does not fit the others
	OrganisationCheck Reason = "credit_code_organisation_check" // the 17th does not fit the eight before it
)

// Error says what is wrong with a code and where. It never repeats the whole code.
type Error struct {
	Reason    Reason
	Found     int    // characters, where the length is wrong
	Position  int    // from 1; 0 where the length is wrong
	Character rune   // what stands there
	Expected  string // the characters that could stand there: one for a check character
}

// Checked reports whether the code is well formed and only a check character is wrong: a typing error most of the time,
// but a few codes stand in real registers that way.
func (e *Error) Checked() bool { return e.Reason == Check || e.Reason == OrganisationCheck }

func (e *Error) Error() string { return string(e.Reason) + ": " + e.Detail().En }

// Detail tells people what is wrong and what would be right.
func (e *Error) Detail() fault.Text {
	switch e.Reason {
	case Len:
		return fault.T(
			fmt.Sprintf("a unified social credit code has 18 characters, this one has %d", e.Found),
			fmt.Sprintf("统一社会信用代码应为 18 位，当前为 %d 位", e.Found))
	case Check:
		return fault.T(
			fmt.Sprintf("the check character at position 18 is %c; the other 17 characters call for %s, so at least one of the 18 is wrong", e.Character, e.Expected),
			fmt.Sprintf("第 18 位校验码为 %c，按前 17 位应为 %s，请检查是否有误输的字符", e.Character, e.Expected))
	case OrganisationCheck:
		return fault.T(
			fmt.Sprintf("position 17, the check character of the organisation code (positions 9 to 17), is %c; the eight before it call for %s", e.Character, e.Expected),
			fmt.Sprintf("第 17 位（第 9 至 17 位组织机构代码的校验码）为 %c，按其前 8 位应为 %s", e.Character, e.Expected))
	case Character:
		if len(e.Expected) == 10 {
			return fault.T(
				fmt.Sprintf("position %d is %q; positions 3 to 8 are digits", e.Position, e.Character),
				fmt.Sprintf("第 %d 位为“%c”，第 3 至 8 位（行政区划码）只能是数字", e.Position, e.Character))
		}
		en, zh := "", ""
		if digit, ok := lookalikes[e.Character]; ok {
			en, zh = fmt.Sprintf("; perhaps %s", digit), fmt.Sprintf("，可能是 %s", strings.ReplaceAll(digit, " or ", " 或 "))
		}
		return fault.T(
			fmt.Sprintf("position %d is %q; only digits and capital letters without I, O, S, V and Z may stand there%s", e.Position, e.Character, en),
			fmt.Sprintf("第 %d 位为“%c”，只能是数字或除 I、O、S、V、Z 以外的大写字母%s", e.Position, e.Character, zh))
	}
	return fault.T("not a unified social credit code", "不是统一社会信用代码")
}

// lookalikes are what the letters that codes never hold are mistaken for.
var lookalikes = map[rune]string{'I': "1", 'O': "0 or Q", 'S': "5", 'V': "U or Y", 'Z': "2"}
