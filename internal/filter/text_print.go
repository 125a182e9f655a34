package filter

import (
	"regexp"
	"strings"
)

// Text implements Node.
func (a And) Text() string { return text(a) }

// Text implements Node.
func (o Or) Text() string { return text(o) }

// Text implements Node.
func (n Not) Text() string { return text(n) }

// Text implements Node.
func (l Leaf) Text() string { return text(l) }

func text(n Node) string {
	var b strings.Builder
	printNode(&b, n)
	return b.String()
}

func printNode(b *strings.Builder, n Node) {
	switch n := n.(type) {
	case And:
		printNodes(b, n, " AND ")
	case Or:
		printNodes(b, n, " OR ")
	case Not:
		b.WriteString("NOT ")
		printTerm(b, n.Node)
	case Leaf:
		printLeaf(b, n)
	}
}

func printNodes(b *strings.Builder, nodes []Node, joiner string) {
	for i, n := range nodes {
		if i > 0 {
			b.WriteString(joiner)
		}
		printTerm(b, n)
	}
}

func printTerm(b *strings.Builder, n Node) {
	switch n.(type) {
	case And, Or:
		b.WriteByte('(')
		printNode(b, n)
		b.WriteByte(')')
	default:
		printNode(b, n)
	}
}

var signs = map[Op]string{
	Eq: " = ", Ne: " != ", Lt: " < ", Lte: " <= ", Gt: " > ", Gte: " >= ", Has: ":", In: " IN ", NotIn: " NOT IN ",
	Contains: " = ", StartsWith: " = ", IsNull: " = null", IsNotNull: " != null",
}

func printLeaf(b *strings.Builder, l Leaf) {
	if l.Fact != nil {
		printFact(b, l.Fact)
	}
	b.WriteString(l.Field)
	b.WriteString(signs[l.Op])
	if l.Op.list() {
		b.WriteByte('(')
	}
	for i, v := range l.Values {
		if i > 0 {
			b.WriteString(", ")
		}
		switch l.Op {
		case Contains:
			printString(b, v.Text, "*", "*")
		case StartsWith:
			printString(b, v.Text, "", "*")
		default:
			printValue(b, v)
		}
	}
	if l.Op.list() {
		b.WriteByte(')')
	}
}

func printFact(b *strings.Builder, f *Fact) {
	b.WriteString(string(f.Function) + "(" + f.Of)
	if window := f.Window; window != "" || f.Where != nil {
		if window == "" {
			window = allTime
		}
		b.WriteString(", ")
		printString(b, window, "", "")
	}
	if f.Where != nil {
		b.WriteString(", ")
		printString(b, f.Where.Text(), "", "")
	}
	b.WriteByte(')')
}

// relative is a day counted from today; the text form prints it without quotes.
var relative = regexp.MustCompile(`^today(?:([+-])([0-9]{1,5})([dwmy]))?$`)

func printValue(b *strings.Builder, v Value) {
	if v.Kind == KindString && !relative.MatchString(v.Text) {
		printString(b, v.Text, "", "")
		return
	}
	b.WriteString(v.Text)
}

var escapes = strings.NewReplacer(`"`, `\"`, `\`, `\\`, `*`, `\*`, "\n", `\n`, "\r", `\r`, "\t", `\t`)

func printString(b *strings.Builder, s, before, after string) {
	b.WriteString(`"` + before)
	_, _ = escapes.WriteString(b, s)
	b.WriteString(after + `"`)
}
