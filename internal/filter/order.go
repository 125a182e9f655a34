package filter

import (
	"math/big"
	"strconv"
	"strings"
)

// Order compares two numbers, two dates or two relative days: below 0 where a is the lesser. It answers false for anything
// else, and where the order is not the same on every day: today-30d and today-1m.
func Order(a, b Value) (int, bool) {
	if a.Kind == KindBool || b.Kind == KindBool {
		return 0, false
	}
	if isNumber(a.Text) && isNumber(b.Text) {
		x, okX := new(big.Rat).SetString(a.Text)
		y, okY := new(big.Rat).SetString(b.Text)
		return x.Cmp(y), okX && okY
	}
	if a.Kind != KindString || b.Kind != KindString {
		return 0, false
	}
	if dateForm.MatchString(a.Text) && dateForm.MatchString(b.Text) {
		return strings.Compare(a.Text, b.Text), true
	}
	return orderRelative(a.Text, b.Text)
}

// orderRelative compares days that pass in step.
func orderRelative(a, b string) (int, bool) {
	x, unitX, okX := offset(a)
	y, unitY, okY := offset(b)
	same := unitX == unitY || x == 0 || y == 0 // today is before and after any of them
	return x - y, okX && okY && same
}

// offset is how far a relative day is from today, in days or in months.
func offset(s string) (n int, unit string, ok bool) {
	m := relative.FindStringSubmatch(s)
	if m == nil {
		return 0, "", false
	}
	n, _ = strconv.Atoi(m[2])
	if m[1] == "-" {
		n = -n
	}
	switch m[3] {
	case "w":
		return 7 * n, "d", true
	case "y":
		return 12 * n, "m", true
	}
	return n, m[3], true
}
