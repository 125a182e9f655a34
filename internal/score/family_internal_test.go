package score

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/pkg/btyd"
)

func TestAFamilySaysWhyItWasChosen(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		bg, mbg, pareto float64
		chosen, because string
	}{
		{4, 4, 4, btyd.FamilyMBGNBD, "it has the smallest error."},
		{3.99, 4, 5, btyd.FamilyMBGNBD, "the default stays, since the square of the error of bg_nbd is less than half a percent smaller."},
		{3.9, 4, 5, btyd.FamilyBGNBD, "it has the smallest error, its square at least half a percent below that of the default, mbg_nbd."},
		{3.9, 4, 3.89, btyd.FamilyParetoNBD, "it has the smallest error, its square"},
		{5, 4, 3.99, btyd.FamilyMBGNBD, "the default stays, since the square of the error of pareto_nbd"},
	} {
		errorsOf := map[string]float64{btyd.FamilyBGNBD: c.bg, btyd.FamilyMBGNBD: c.mbg, btyd.FamilyParetoNBD: c.pareto}
		chosen := pick(btyd.FamilyMBGNBD, errorsOf)
		require.Equal(t, c.chosen, chosen)
		d := chosenBecause(CLV, btyd.FamilyMBGNBD, chosen, errorsOf, 90)
		require.Contains(t, d.Detail.En, "the family is "+chosen+": "+c.because)
		require.Contains(t, d.Detail.En, "the last 90 days")
		require.Contains(t, d.Detail.En, "mbg_nbd 2.0000")
		require.Contains(t, d.Detail.Zh, chosen)
	}
}
