package condition

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestEveryChoiceHasALabel(t *testing.T) {
	t.Parallel()
	for _, f := range append(catalogue.Describe(Language{}.Env), transactions.Describe(Language{}.Env)...) {
		for _, c := range f.Choices {
			assert.NotEmpty(t, f.ChoiceLabels[c].En, "%s %s", f.Name, c)
			assert.NotEmpty(t, f.ChoiceLabels[c].Zh, "%s %s", f.Name, c)
		}
		assert.Len(t, f.ChoiceLabels, len(f.Choices), f.Name)
	}
}
