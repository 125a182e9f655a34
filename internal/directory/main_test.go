package directory_test

import (
	"testing"

	"github.com/kezi-io/kezi/internal/postgrestest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }
