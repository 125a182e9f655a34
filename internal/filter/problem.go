package filter

import (
	"fmt"
	"slices"

	"github.com/kezi-io/kezi/internal/fault"
)

// The faults of conditions. Each wrong place carries the code of its own; the fault has that of the first.
var (
	ErrSyntax = fault.New(fault.Malformed, "filter_syntax",
		"the condition cannot be read", "无法读懂筛选条件")
	ErrLimit = fault.New(fault.Invalid, "filter_limit",
		"the condition is too large", "筛选条件过大")
	ErrUnknownField = fault.New(fault.Invalid, "filter_unknown_field",
		"the condition names a field that does not exist", "筛选条件引用了不存在的字段")
	ErrOperator = fault.New(fault.Invalid, "filter_operator",
		"the condition uses an operator that the field does not have", "筛选条件使用了该字段不支持的运算符")
	ErrValue = fault.New(fault.Invalid, "filter_value",
		"the condition compares a field with a value that does not fit", "筛选条件中的值与字段类型不符")
	ErrContradiction = fault.New(fault.Invalid, "filter_contradiction",
		"nobody can ever fulfil the condition", "没有任何客户能满足该条件")
)

// InParameter makes the places of err those of the query parameter name.
func InParameter(err error, name string) error {
	f := fault.Of(err)
	if f == nil {
		return err
	}
	c := *f
	c.Fields = slices.Clone(f.Fields)
	for i := range c.Fields {
		c.Fields[i].Pointer, c.Fields[i].Parameter = "", name
	}
	return &c
}

// maxProblems bounds an answer; whoever sends more mistakes sees the rest next time.
const maxProblems = 20

// part is a part of a leaf.
type part int

const (
	partField part = iota + 1
	partOp
	partValue // the only value
	partItem  // one of several
	partFunction
	partOf
	partWindow
)

// place says where in the condition something is wrong.
type place struct {
	path string // pointer of the node in the canonical JSON form
	leaf int    // which leaf it is, or the first one within the node, counted from 0
	part part   // 0: the node as a whole
	item int    // which value
}

// locator tells the RFC 6901 pointer of a place, or for text its character counted from 1.
type locator func(place) (pointer string, character int)

// byPath locates in the canonical JSON form: for nodes that were not read from a caller's words.
func byPath(p place) (string, int) { return p.path + p.suffix(), 0 }

func (p place) suffix() string {
	switch p.part {
	case partField:
		return "/field"
	case partOp:
		return "/op"
	case partValue:
		return "/value"
	case partItem:
		return fmt.Sprintf("/values/%d", p.item)
	case partFunction:
		return "/function"
	case partOf:
		return "/of"
	case partWindow:
		return "/window"
	}
	return ""
}

// problems collects what is wrong with a condition before refusing it once.
type problems struct {
	first  *fault.Fault
	fields []fault.Field
}

func (p *problems) add(f *fault.Fault, pointer string, character int, detail fault.Text, accepted ...string) {
	if len(p.fields) == maxProblems {
		return
	}
	if character > 0 {
		detail = fault.T(fmt.Sprintf("at character %d: %s", character, detail.En),
			fmt.Sprintf("第 %d 个字符：%s", character, detail.Zh))
	}
	if p.first == nil {
		p.first = f.Because(f.Message.En+": "+detail.En, f.Message.Zh+"："+detail.Zh)
	}
	p.fields = append(p.fields, fault.Field{Pointer: pointer, Character: character, Code: f.Code, Detail: detail, Accepted: accepted})
}

func (p *problems) err() error {
	if p.first == nil {
		return nil
	}
	p.first.Fields = p.fields
	return p.first
}
