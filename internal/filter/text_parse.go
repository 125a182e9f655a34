package filter

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/kezi-io/kezi/internal/fault"
)

// Parse reads the text form. Fails with ErrSyntax, ErrLimit or ErrValue, and says at which character, counted from 1.
func Parse(text string) (Node, error) {
	n, _, err := parse(text)
	return n, err
}

// leafPlace is where the parts of a leaf stand in the text, as characters counted from 1.
type leafPlace struct {
	field, op  int
	of, window int // of a fact
	values     []int
}

func parse(text string) (Node, locator, error) {
	p := parser{}
	if err := p.readable(text); err != nil {
		return nil, nil, err
	}
	p.lexer.src = []rune(text)
	p.advance()
	n, err := p.filter(0)
	if err == nil && p.tok.kind != tokenEnd {
		err = p.expected("AND, OR or the end", "AND、OR 或结尾")
	}
	if err == nil {
		err = check(n, p.locate)
	}
	if err != nil {
		return nil, nil, err
	}
	return n, p.locate, nil
}

type parser struct {
	lexer  lexer
	tok    token
	leaves []leafPlace
}

func (p *parser) readable(text string) error {
	if n := utf8.RuneCountInString(text); n > MaxText {
		return p.fail(ErrLimit, MaxText+1, fmt.Sprintf("longer than %d characters", MaxText), fmt.Sprintf("超过 %d 个字符", MaxText))
	}
	if utf8.ValidString(text) {
		return nil
	}
	at := 1
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		if r == utf8.RuneError && size == 1 {
			break
		}
		text = text[size:]
		at++
	}
	return p.fail(ErrSyntax, at, "this is not UTF-8", "此处不是 UTF-8")
}

// locate finds a place in the text.
func (p *parser) locate(at place) (string, int) {
	if at.leaf >= len(p.leaves) {
		return "", 1
	}
	l := p.leaves[at.leaf]
	switch {
	case at.part == partOp:
		return "", l.op
	case at.part == partOf:
		return "", l.of
	case at.part == partWindow:
		return "", l.window
	case at.part == partItem && at.item < len(l.values):
		return "", l.values[at.item]
	case at.part == partValue && len(l.values) > 0:
		return "", l.values[0]
	}
	return "", l.field
}

func (p *parser) advance() { p.tok = p.lexer.next() }

func (p *parser) sign(s string) bool { return p.tok.kind == tokenSign && p.tok.text == s }

func (p *parser) fail(f *fault.Fault, at int, en, zh string) error {
	var all problems
	all.add(f, "", at, fault.T(en, zh))
	return all.err()
}

// expected refuses the token that stands here, by its own reason when it cannot be read at all.
func (p *parser) expected(en, zh string) error {
	if p.tok.kind == tokenBad {
		return p.fail(ErrSyntax, p.tok.at, p.tok.detail.En, p.tok.detail.Zh)
	}
	return p.fail(ErrSyntax, p.tok.at, "expected "+en, "此处应为"+zh)
}

func (p *parser) filter(depth int) (Node, error) {
	first, err := p.term(depth)
	if err != nil {
		return nil, err
	}
	joiner := p.tok.word()
	if joiner != "AND" && joiner != "OR" {
		return first, nil
	}
	nodes := []Node{first}
	for p.tok.word() == joiner {
		p.advance()
		n, err := p.term(depth)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	if w := p.tok.word(); w == "AND" || w == "OR" {
		return nil, p.fail(ErrSyntax, p.tok.at, "AND and OR side by side need parentheses, such as a AND (b OR c)",
			"AND 与 OR 混用须加括号，例如 a AND (b OR c)")
	}
	if joiner == "OR" {
		return Or(nodes), nil
	}
	return And(nodes), nil
}

func (p *parser) term(depth int) (Node, error) {
	not, open := p.tok.word() == "NOT", p.sign("(")
	if (not || open) && depth == MaxDepth {
		return nil, p.fail(ErrLimit, p.tok.at, fmt.Sprintf("nested deeper than %d levels", MaxDepth), fmt.Sprintf("嵌套超过 %d 层", MaxDepth))
	}
	switch {
	case not:
		p.advance()
		n, err := p.term(depth + 1)
		if err != nil {
			return nil, err
		}
		return Not{n}, nil
	case open:
		p.advance()
		n, err := p.filter(depth + 1)
		if err != nil {
			return nil, err
		}
		if !p.sign(")") {
			return nil, p.expected("AND, OR or )", " AND、OR 或 )")
		}
		p.advance()
		return n, nil
	}
	return p.condition(depth)
}

func (p *parser) condition(depth int) (Node, error) {
	if p.tok.kind != tokenWord || keywords[p.tok.word()] {
		return nil, p.expected("a field name, NOT or (", "字段名、NOT 或 (")
	}
	l := Leaf{Field: p.tok.text}
	at := leafPlace{field: p.tok.at}
	i := len(p.leaves)
	p.leaves = append(p.leaves, at)
	p.advance()
	if p.sign("(") {
		f, err := p.fact(Function(strings.ToLower(l.Field)), &at, depth)
		if err != nil {
			return nil, err
		}
		l = Leaf{Fact: f}
	}
	at.op = p.tok.at
	n, err := p.comparison(l, &at)
	p.leaves[i] = at
	return n, err
}

// fact reads what stands in the parentheses of a function.
func (p *parser) fact(function Function, at *leafPlace, depth int) (*Fact, error) {
	f := &Fact{Function: function}
	p.advance()
	if p.tok.kind != tokenWord || keywords[p.tok.word()] {
		return nil, p.expected("what the function is made of, such as transactions or transactions.amount", "函数的对象，例如 transactions 或 transactions.amount")
	}
	f.Of, at.of, at.window = p.tok.text, p.tok.at, p.tok.at
	p.advance()
	if p.sign(",") {
		p.advance()
		if p.tok.kind != tokenString {
			return nil, p.unquoted()
		}
		at.window = p.tok.at
		if f.Window = string(p.tok.runes); f.Window == allTime {
			f.Window = ""
		} else if f.Window == "" {
			return nil, p.expected(`a window, such as "90d" or "all"`, `时间窗口，例如 "90d" 或 "all"`)
		}
		p.advance()
		if p.sign(",") {
			p.advance()
			if err := p.quoted(f, depth); err != nil {
				return nil, err
			}
		}
	}
	if !p.sign(")") {
		return nil, p.expected(", or )", "逗号或 )")
	}
	p.advance()
	return f, nil
}

// unquoted refuses what stands in the place of a window, and tells how it is written where it could be one.
func (p *parser) unquoted() error {
	given, _, _ := strings.Cut(string(p.lexer.src[p.lexer.start:]), ",")
	given, _, _ = strings.Cut(given, ")")
	given = strings.TrimSpace(given)
	if isDigits(given) {
		given += "d"
	}
	if !windowShaped(given) && given != allTime {
		return p.expected(`a window in quotes, such as "90d"`, `带引号的时间窗口，例如 "90d"`)
	}
	return p.fail(ErrSyntax, p.tok.at, `a window stands in quotes; write "`+given+`"`, `时间窗口须加引号，请写 "`+given+`"`)
}

// quoted reads the filter in quotes within a function; its places are those of the text around it.
func (p *parser) quoted(f *Fact, depth int) error {
	if p.tok.kind != tokenString {
		return p.expected(`a filter in quotes, such as "channel = 'web'"`, `带引号的筛选条件，例如 "channel = 'web'"`)
	}
	if depth == MaxDepth {
		return p.fail(ErrLimit, p.tok.at, fmt.Sprintf("nested deeper than %d levels", MaxDepth), fmt.Sprintf("嵌套超过 %d 层", MaxDepth))
	}
	inner := parser{lexer: lexer{src: p.tok.runes, places: p.tok.places}, leaves: p.leaves}
	inner.advance()
	n, err := inner.filter(depth + 1)
	if err == nil && inner.tok.kind != tokenEnd {
		err = inner.expected("AND, OR or the closing quote", "AND、OR 或结束引号")
	}
	if err != nil {
		return err
	}
	f.Where, p.leaves = n, inner.leaves
	p.advance()
	return nil
}

var comparisons = map[string]Op{"=": Eq, "!=": Ne, "<": Lt, "<=": Lte, ">": Gt, ">=": Gte, ":": Has}

func (p *parser) comparison(l Leaf, at *leafPlace) (Node, error) {
	op, ok := comparisons[p.tok.text]
	switch {
	case p.tok.kind == tokenSign && ok:
		l.Op = op
		p.advance()
		return p.operand(l, at)
	case p.tok.word() == "IN":
		l.Op = In
		return p.list(l, at)
	case p.tok.word() == "NOT":
		l.Op = NotIn
		p.advance()
		if p.tok.word() != "IN" {
			return nil, p.expected("IN", " IN")
		}
		return p.list(l, at)
	}
	en, zh := "an operator: =, !=, <, <=, >, >=, :, IN or NOT IN", "运算符：=、!=、<、<=、>、>=、:、IN 或 NOT IN"
	if ours, ok := worded[p.tok.word()]; ok {
		en, zh = en+"; instead of "+p.tok.text+" write "+ours, zh+"；请将 "+p.tok.text+" 写作 "+ours
	}
	return nil, p.expected(en, zh)
}

// worded are what other languages write as words where we have signs.
var worded = map[string]string{"IS": `= null, != null`, "HAS": `:`, "CONTAINS": `:`, "INCLUDES": `:`, "LIKE": `: "张", = "张*"`,
	"BETWEEN": `x >= 1 AND x <= 9`, "EQ": `=`, "EQUALS": `=`, "NE": `!=`, "LT": `<`, "LTE": `<=`, "GT": `>`, "GTE": `>=`, "包含": `:`, "等于": `=`}

func (p *parser) operand(l Leaf, at *leafPlace) (Node, error) {
	at.values = []int{p.tok.at}
	switch {
	case l.Op == Has && p.sign("*"):
		l.Op = IsNotNull
	case l.Op == Eq && p.tok.word() == "NULL":
		l.Op = IsNull
	case l.Op == Ne && p.tok.word() == "NULL":
		l.Op = IsNotNull
	case len(p.tok.stars) > 0 && (l.Op == Eq || l.Op == Ne):
		return p.wildcard(l)
	default:
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		l.Values = []Value{v}
		return l, nil
	}
	p.advance()
	return l, nil
}

// wildcard reads "张*" as starts_with and "*伟*" as contains; with != as their complement.
func (p *parser) wildcard(l Leaf) (Node, error) {
	t := p.tok
	switch {
	case len(t.stars) == 1 && t.stars[0].index == len(t.text) && t.text != "":
		negated := l.Op == Ne
		l.Op, l.Values = StartsWith, []Value{String(t.text)}
		p.advance()
		return complement(l, negated), nil
	case len(t.stars) == 2 && t.stars[0].index == 0 && t.stars[1].index == len(t.text) && t.text != "":
		negated := l.Op == Ne
		l.Op, l.Values = Contains, []Value{String(t.text)}
		p.advance()
		return complement(l, negated), nil
	}
	return nil, p.fail(ErrSyntax, t.stars[0].at, `a * stands at the end ("张*") or at both ends ("*伟*") of some text; the character itself is written \*`,
		`* 只能在文本末尾（"张*"）或首尾两端（"*伟*"）；字符 * 本身写作 \*`)
}

func complement(l Leaf, negated bool) Node {
	if negated {
		return Not{l}
	}
	return l
}

func (p *parser) list(l Leaf, at *leafPlace) (Node, error) {
	p.advance()
	if !p.sign("(") {
		return nil, p.expected(`a list in parentheses, such as ("上海", "杭州")`, `括号中的列表，例如 ("上海", "杭州")`)
	}
	for {
		p.advance()
		at.values = append(at.values, p.tok.at)
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		l.Values = append(l.Values, v)
		if p.sign(")") {
			p.advance()
			return l, nil
		}
		if !p.sign(",") {
			return nil, p.expected(", or )", "逗号或 )")
		}
	}
}

func (p *parser) value() (Value, error) {
	t := p.tok
	if len(t.stars) > 0 {
		return Value{}, p.fail(ErrSyntax, t.stars[0].at, `a * is a wildcard only after = and !=; the character itself is written \*`,
			`* 仅在 = 和 != 之后作通配符；字符 * 本身写作 \*`)
	}
	var v Value
	switch {
	case t.kind == tokenString || t.kind == tokenDay:
		v = String(t.text)
	case t.kind == tokenNumber:
		v = Number(t.text)
	case t.word() == "TRUE" || t.word() == "FALSE":
		v = Bool(t.word() == "TRUE")
	default:
		return v, p.expected(`a value: text in quotes, a number, true, false or a day such as today-90d (null only after = and !=)`,
			"值：带引号的文本、数字、true、false，或 today-90d 这样的日期（null 仅在 = 和 != 之后）")
	}
	p.advance()
	return v, nil
}
