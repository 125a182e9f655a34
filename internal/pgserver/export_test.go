package pgserver

import "testing"

var (
	InstallHintFor = installHint
	FindBinaries   = findBinaries
)

// MoveTo has root's data moved below dir instead of /var/lib/kezi while t runs.
func MoveTo(t *testing.T, dir string) {
	old := movedRoot
	movedRoot = dir
	t.Cleanup(func() { movedRoot = old })
}
