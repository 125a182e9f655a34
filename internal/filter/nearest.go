package filter

import (
	"strings"

	"github.com/kezi-io/kezi/internal/nearest"
)

// suggest is the valid name that the caller most likely meant by an unknown one, or empty: the field with that label,
// else the one at the smallest edit distance, when at most half of the characters differ.
func (c *Catalogue) suggest(name string) string {
	for _, candidate := range c.Names() {
		if f, ok := c.Field(candidate); ok && (strings.EqualFold(f.Label.Zh, name) || strings.EqualFold(f.Label.En, name)) {
			return candidate
		}
	}
	return nearest.Of(name, c.Names())
}
