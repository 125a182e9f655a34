package rule

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Rules may have been decided by any of several runs that came into force before they could follow the first.
func TestOneRunIsFollowedAtATime(t *testing.T) {
	t.Parallel()
	all := map[string]stand{"scores.clv": {Run: 7}, "scores.rfm": {Run: 8}}
	supersede(all, set{"scores.clv": true, "scores.new": true})
	require.Equal(t, map[string]stand{"scores.clv": {Run: 7, Superseded: true}, "scores.rfm": {Run: 8}}, all)
	supersede(all, set{"scores.clv": true})
	require.Equal(t, map[string]stand{"scores.rfm": {Run: 8}}, all)
}
