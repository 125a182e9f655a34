package patch_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/patch"
)

func TestExpected(t *testing.T) {
	t.Parallel()
	require.NoError(t, patch.Expected(nil).Check(3))
	require.NoError(t, patch.Expected{2, 3}.Check(3))
	require.ErrorIs(t, patch.Expected{}.Check(3), patch.ErrVersion)
	require.ErrorIs(t, patch.Expected{2}.Check(3), patch.ErrVersion)
	require.NoError(t, patch.Existing().Check(3))
	require.NotNil(t, patch.Existing(), "whoever finds nothing tells * from an absent header by nil")
}
