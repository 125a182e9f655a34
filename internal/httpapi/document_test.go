package httpapi_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/httpapi"
)

// The document is sound OpenAPI, its examples fit their schemas, and every operation says what a frontend developer
// needs: a summary, a description, its scopes, its problems, and an example of what goes in.
func TestDocument(t *testing.T) {
	t.Parallel()
	doc, err := httpapi.Document()
	require.NoError(t, err)
	require.NoError(t, doc.Validate(t.Context(), openapi3.EnableExamplesValidation()))
	var tags []string
	for _, tag := range doc.Tags {
		require.NotEmpty(t, tag.Description, tag.Name)
		tags = append(tags, tag.Name)
	}
	id := regexp.MustCompile(`^[a-z]+[A-Z][A-Za-z]*$`)
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			name := op.OperationID
			assert.Regexp(t, id, name)
			assert.NotEmpty(t, op.Summary, name)
			assert.Greater(t, len(op.Description), len(op.Summary), name)
			assert.True(t, len(op.Tags) == 1 && slices.Contains(tags, op.Tags[0]), name)
			for _, p := range slices.Concat(item.Parameters, op.Parameters) {
				assert.NotEmpty(t, p.Value.Description, "%s: %s", name, p.Value.Name)
				assert.True(t, p.Value.In != "path" || p.Value.Example != nil, "%s: %s has no example", name, p.Value.Name)
			}
			if !strings.HasPrefix(path, "/v1/") {
				continue
			}
			assert.Contains(t, op.Extensions, "x-required-scopes", name)
			for _, status := range []string{"400", "401", "403"} {
				assert.NotNil(t, op.Responses.Value(status), "%s: %s", name, status)
			}
			if op.RequestBody != nil {
				for media, content := range op.RequestBody.Value.Content {
					assert.True(t, content.Example != nil || !strings.HasSuffix(media, "json"), "%s: the %s body of %s has no example", name, media, method)
				}
			}
		}
	}
}
