// Package nearest guesses which known name a caller meant by an unknown one.
package nearest

import (
	"strings"
	"unicode/utf8"
)

// Of is the known name closest to name, or empty when none has at least half of its characters in common.
func Of(name string, known []string) string {
	best, least := "", utf8.RuneCountInString(name)/2+1
	for _, k := range known {
		if d := Distance(strings.ToLower(name), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	return best
}

// Distance is the optimal string alignment distance in characters: insertions, deletions, substitutions and
// swaps of neighbours.
func Distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	before, last, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := range x {
		before, last, row = last, row, before
		row[0] = i + 1
		for j := range y {
			cost := 1
			if x[i] == y[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(y)]
}
