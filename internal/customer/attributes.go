package customer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Attributes are a tenant's own fields by key, each a JSON value as encoding/json decodes it, with json.Number for
// numbers so that none loses digits.
type Attributes map[string]any

// merge is a with the members of change: null takes one away.
func (a Attributes) merge(change Attributes) Attributes {
	merged := Attributes{}
	maps.Copy(merged, a)
	for key, value := range change {
		if value == nil {
			delete(merged, key)
		} else {
			merged[key] = value
		}
	}
	return merged
}

// said are the attributes that the change gives or clears.
func (c Change) said() []string {
	if c.Attributes.Value == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(*c.Attributes.Value))
}

// UnmarshalJSON implements json.Unmarshaler: it keeps numbers as they were written.
func (a *Attributes) UnmarshalJSON(raw []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var m map[string]any
	if err := decoder.Decode(&m); err != nil {
		return fmt.Errorf("read attributes: %w", err)
	}
	*a = m
	return nil
}
