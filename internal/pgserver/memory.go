package pgserver

import (
	"fmt"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// The bounds of shared_buffers, in bytes. A tenant of a million customers is quick once its indexes fit in.
const (
	leastBuffers = 256 << 20
	mostBuffers  = 2 << 30
)

// memorySettings share a machine's memory with the service and everything else there: an eighth is PostgreSQL's own, and
// half is expected to hold files.
func memorySettings(memory uint64) map[string]string {
	buffers := min(max(memory/8, leastBuffers), mostBuffers)
	return map[string]string{
		"shared_buffers":       megabytes(buffers),
		"effective_cache_size": megabytes(max(memory/2, 4*leastBuffers)),
	}
}

func megabytes(n uint64) string { return fmt.Sprintf("%dMB", n>>20) }

// machineMemory is how many bytes there are for this process and what it starts: the machine's, or the container's
// where that is less; 0 when neither can be told.
func machineMemory() uint64 {
	all, err := memlimit.FromSystem()
	if err != nil {
		all = 0
	}
	if limit, err := memlimit.FromCgroup(); err == nil && limit > 0 && (all == 0 || limit < all) {
		return limit
	}
	return all
}
