package pgserver

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMemoryIsSharedWithTheRestOfTheMachine(t *testing.T) {
	t.Parallel()
	for memory, want := range map[uint64]string{0: "256MB 1024MB", 512 << 20: "256MB 1024MB", 8 << 30: "1024MB 4096MB", 64 << 30: "2048MB 32768MB"} {
		s := memorySettings(memory)
		require.Equal(t, want, s["shared_buffers"]+" "+s["effective_cache_size"])
	}
	require.NotZero(t, machineMemory())
}
