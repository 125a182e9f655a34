package filter

import (
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"
)

// Rungs is SQL for how many of several comparisons hold, where all of them ask whether one and the same value is at least
// some number or day, from the highest to the lowest: the value is then computed once, however many they are. It answers
// false where the comparisons are others.
func (c *Catalogue) Rungs(leaves []Leaf, env Env) (Expr, bool) {
	if len(leaves) == 0 {
		return Expr{}, false
	}
	k := compiler{catalogue: c, env: env, at: byPath}
	f, ok := k.compared(leaves[0], place{})
	if !ok || f.check() != nil || !f.Exists.IsZero() || !slices.Contains(f.operators(), Gte) {
		return Expr{}, false
	}
	if !slices.Contains([]Type{TypeInteger, TypeMoney, TypeNumber, TypeScore, TypeDate}, f.Type) {
		return Expr{}, false
	}
	ascending := make([]string, 0, len(leaves))
	for _, l := range slices.Backward(leaves) {
		if l.Op != Gte || len(l.Values) != 1 || l.Field != leaves[0].Field || !reflect.DeepEqual(l.Fact, leaves[0].Fact) {
			return Expr{}, false
		}
		o, ok := f.operand(l.Values[0], env)
		if !ok {
			return Expr{}, false
		}
		text := fmt.Sprint(o.arg)
		if n := len(ascending); n > 0 && !f.less(ascending[n-1], text) {
			return Expr{}, false
		}
		ascending = append(ascending, text)
	}
	kind := string(sqlTypes[f.Type])
	return concat(SQL("coalesce(width_bucket("), f.Column.operand(), Expr{text: "::" + kind + ", "},
		Expr{text: "?::" + kind + "[]", args: []any{"{" + strings.Join(ascending, ",") + "}"}}, SQL("), 0)")), true
}

// less compares values as they are bound.
func (f Field) less(a, b string) bool {
	if f.Type == TypeDate {
		return a < b // both in the form of ISO 8601
	}
	x, okX := new(big.Rat).SetString(a)
	y, okY := new(big.Rat).SetString(b)
	return okX && okY && x.Cmp(y) < 0
}
