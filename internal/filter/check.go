package filter

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/kezi-io/kezi/internal/fault"
)

// checker looks at what holds for every catalogue: the limits, and that both forms can say the condition.
type checker struct {
	problems
	at     locator
	leaves int
	inFact bool
}

func check(n Node, at locator) error {
	c := checker{at: at}
	c.node(n, "", 0)
	return c.err()
}

func (c *checker) wrong(f *fault.Fault, p place, en, zh string) {
	pointer, character := c.at(p)
	c.add(f, pointer, character, fault.T(en, zh))
}

// node answers false when it is no use to look further.
func (c *checker) node(n Node, path string, depth int) bool {
	here := place{path: path, leaf: c.leaves}
	if _, leaf := n.(Leaf); !leaf && depth == MaxDepth {
		c.wrong(ErrLimit, here, fmt.Sprintf("nested deeper than %d levels", MaxDepth), fmt.Sprintf("嵌套超过 %d 层", MaxDepth))
		return false
	}
	switch n := n.(type) {
	case And:
		return c.nodes(n, path+"/and", depth+1)
	case Or:
		return c.nodes(n, path+"/or", depth+1)
	case Not:
		return c.node(n.Node, path+"/not", depth+1)
	case Leaf:
		if c.leaves == MaxLeaves {
			c.wrong(ErrLimit, here, fmt.Sprintf("more than %d comparisons", MaxLeaves), fmt.Sprintf("比较条件超过 %d 个", MaxLeaves))
			return false
		}
		c.leaves++
		c.leaf(n, here)
		return n.Fact == nil || c.fact(n.Fact, here, depth)
	}
	c.wrong(ErrSyntax, here, "a condition is missing", "缺少条件")
	return false
}

func (c *checker) nodes(nodes []Node, path string, depth int) bool {
	if len(nodes) == 0 {
		c.wrong(ErrSyntax, place{path: path, leaf: c.leaves}, "a condition is missing", "缺少条件")
		return false
	}
	for i, n := range nodes {
		if !c.node(n, fmt.Sprintf("%s/%d", path, i), depth) {
			return false
		}
	}
	return true
}

func (c *checker) leaf(l Leaf, at place) {
	at.part = partField
	if l.Fact == nil && !isName(l.Field) {
		c.wrong(ErrSyntax, at, "a field name is letters, digits, _ and dots, such as spend_total or scores.clv, and no keyword",
			"字段名由字母、数字、下划线和点组成，例如 spend_total 或 scores.clv，且不能是关键字")
	}
	at.part = partValue
	switch n := len(l.Values); {
	case l.Op.null() && n > 0:
		c.wrong(ErrSyntax, at, "is_null and is_not_null take no value", "is_null 和 is_not_null 不带值")
	case !l.Op.null() && n == 0:
		c.wrong(ErrSyntax, at, "a value is missing", "缺少值")
	case l.Op.list() && n > MaxValues:
		c.wrong(ErrLimit, at, fmt.Sprintf("more than %d values", MaxValues), fmt.Sprintf("值超过 %d 个", MaxValues))
		return
	case !l.Op.list() && n > 1:
		c.wrong(ErrSyntax, at, "this operator takes one value", "该运算符只接受一个值")
	}
	for i, v := range l.Values {
		if l.Op.list() {
			at.part, at.item = partItem, i
		}
		c.value(l.Op, v, at)
	}
}

func (c *checker) fact(f *Fact, at place, depth int) bool {
	inner := place{path: at.path + "/where", leaf: c.leaves}
	at.part = partFunction
	if c.inFact {
		c.wrong(ErrSyntax, at, "the condition within a function asks about one row and has no functions of its own",
			"函数内的条件针对单条记录，不能再含函数")
		return false
	}
	if !slices.Contains(Functions, f.Function) {
		names := make([]string, len(Functions))
		for i, known := range Functions {
			names[i] = string(known)
		}
		pointer, character := c.at(at)
		c.add(ErrSyntax, pointer, character, fault.T("there is no such function; there are "+strings.Join(names, ", "),
			"没有这个函数，可用："+strings.Join(names, "、")), names...)
	}
	at.part = partOf
	if !isName(f.Of) {
		c.wrong(ErrSyntax, at, "expected what the function is made of, such as transactions or transactions.amount",
			"应为函数的对象，例如 transactions 或 transactions.amount")
	}
	at.part = partWindow
	if f.Window != "" && !windowShaped(f.Window) {
		c.wrong(ErrValue, at, `a window is such as "90d", "12m", "2026-01-01..2026-12-31", "today-2y..today-1y" or "all"`,
			`时间窗口例如 "90d"、"12m"、"2026-01-01..2026-12-31"、"today-2y..today-1y" 或 "all"`)
	}
	if f.Where == nil {
		return true
	}
	if depth == MaxDepth {
		c.wrong(ErrLimit, inner, fmt.Sprintf("nested deeper than %d levels", MaxDepth), fmt.Sprintf("嵌套超过 %d 层", MaxDepth))
		return false
	}
	c.inFact = true
	defer func() { c.inFact = false }()
	return c.node(f.Where, inner.path, depth+1)
}

func (c *checker) value(op Op, v Value, at place) {
	switch v.Kind {
	case KindString:
		if !utf8.ValidString(v.Text) || strings.ContainsRune(v.Text, 0) {
			c.wrong(ErrValue, at, "text is UTF-8 without the character NUL", "文本须为 UTF-8 且不含 NUL 字符")
		}
		if v.Text == "" && (op == Contains || op == StartsWith || op == Has) {
			c.wrong(ErrValue, at, "one character or more; != null asks whether there is any value",
				"至少一个字符；判断是否有值请用 != null")
		}
	case KindNumber:
		if !isNumber(v.Text) {
			c.wrong(ErrValue, at, fmt.Sprintf("a number is written in full, without exponent, in at most %d characters, such as -1000.5", maxNumber),
				fmt.Sprintf("数字须完整书写，不用指数，最多 %d 个字符，例如 -1000.5", maxNumber))
		}
		if op == Contains || op == StartsWith {
			c.wrong(ErrValue, at, "text in quotes", "应为带引号的文本")
		}
	case KindBool:
		if op == Contains || op == StartsWith {
			c.wrong(ErrValue, at, "text in quotes", "应为带引号的文本")
		}
	}
}

// isNumber accepts the numbers of JSON that have no exponent.
func isNumber(s string) bool {
	if len(s) > maxNumber {
		return false
	}
	whole, decimals, point := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	if !isDigits(whole) || len(whole) > 1 && whole[0] == '0' {
		return false
	}
	return !point || isDigits(decimals)
}

func isDigits(s string) bool {
	for _, r := range s {
		if r < '0' || r > '9' {
			return false
		}
	}
	return s != ""
}

// isName tells whether the text form can name the field.
func isName(s string) bool {
	if utf8.RuneCountInString(s) > maxName || keywords[strings.ToUpper(s)] {
		return false
	}
	for i, name := range strings.Split(s, ".") {
		if name == "" {
			return false
		}
		for j, r := range name {
			if !isNamePart(r) || i == 0 && j == 0 && !isNameStart(r) {
				return false
			}
		}
	}
	return true
}

func isNameStart(r rune) bool { return r == '_' || r != utf8.RuneError && unicode.IsLetter(r) }
func isNamePart(r rune) bool  { return isNameStart(r) || r >= '0' && r <= '9' }

var keywords = map[string]bool{"AND": true, "OR": true, "NOT": true, "IN": true, "NULL": true, "TRUE": true, "FALSE": true, "TODAY": true}
