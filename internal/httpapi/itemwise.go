package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/getkin/kin-openapi/openapi3filter"

	"github.com/kezi-io/kezi/internal/fault"
)

// refusedItems are the items of a batch that break the contract, by their place, each with what is wrong with it. The
// others are done all the same.
type refusedItems map[int]*fault.Fault

type refusedItemsKey struct{}

// refusedItem is why the contract refuses an item of the request, or nil.
func refusedItem(ctx context.Context, i int) error {
	items, _ := ctx.Value(refusedItemsKey{}).(refusedItems)
	if f, ok := items[i]; ok {
		return f
	}
	return nil
}

// passOver answers a request without the bad items of its batch, in whose places null stands, where nothing but items
// is wrong; else nil.
func passOver(r *http.Request, body []byte, wrong error) *http.Request {
	items := refusedItems{}
	for _, e := range flatten(wrong) {
		var re *openapi3filter.RequestError
		if !errors.As(e, &re) || re.RequestBody == nil || re.Err == nil {
			return nil
		}
		for _, e := range flatten(re.Err) {
			found := schemaErrors(e)
			if len(found) == 0 {
				return nil
			}
			for _, se := range found {
				at := se.JSONPointer()
				if len(at) < 2 || at[0] != "items" {
					return nil
				}
				i, err := strconv.Atoi(at[1])
				if err != nil {
					return nil
				}
				f, ok := items[i]
				if !ok {
					f = errContract
				}
				if len(f.Fields) < maxPlaces {
					items[i] = addMember(f, se)
				}
			}
		}
	}
	var batch struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(body, &batch); err != nil {
		return nil
	}
	for i := range items {
		if i < 0 || i >= len(batch.Items) {
			return nil
		}
		batch.Items[i] = json.RawMessage("null")
	}
	rest, err := json.Marshal(batch)
	if err != nil {
		return nil
	}
	r = r.WithContext(context.WithValue(r.Context(), refusedItemsKey{}, items))
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(plainIntegers(rest))), -1
	return r
}
