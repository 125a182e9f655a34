package score

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/postgrestest"
)

// Two runs of random crowds, in random blocks, are told apart as a comparison of each customer does.
func TestMovedAreThoseToWhomTwoRunsGiveDifferentGrades(t *testing.T) {
	t.Parallel()
	db := postgrestest.DB(t)
	of := postgrestest.Tenant(t, db)
	ctx := postgrestest.Context(t, of)
	random := rand.New(rand.NewPCG(3, 5))
	everybody := make([]uuid.UUID, 60)
	for i := range everybody {
		everybody[i] = uuid.New()
	}
	slices.SortFunc(everybody, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	labels := []string{"", "champions", "lost"}
	run := func(no int64, share float64) map[uuid.UUID]grade {
		p := pass{tenant: of}
		all, given := grades{numbers: map[grade]uint8{}}, map[uuid.UUID]grade{}
		var b *block
		var scores []rated
		end := func() {
			if b != nil {
				all.add(scores)
				p.crowd.blocks = append(p.crowd.blocks, b)
			}
			b, scores = &block{}, nil
		}
		end()
		for _, id := range everybody {
			if random.IntN(4) == 0 {
				continue
			}
			s := rated{ok: random.Float64() < share, band: 1 + random.IntN(2), label: labels[random.IntN(len(labels))]}
			if b.ids, scores = append(b.ids, id), append(scores, s); s.ok {
				given[id] = grade{s.band, s.label}
			}
			if random.IntN(7) == 0 {
				end()
			}
		}
		end()
		require.NoError(t, db.InTx(ctx, func(tx postgres.Tx) error { return all.keep(ctx, tx, &p, no, time.Now()) }))
		return given
	}
	first := -int64(of.ID) * 1000 // no run has such a number
	for i := range int64(20) {
		a, b := run(first-2*i, float64(i)/10), run(first-2*i-1, 0.8)
		want := []uuid.UUID{}
		for _, id := range everybody {
			is, before := a[id]
			if will, after := b[id]; before != after || is != will {
				want = append(want, id)
			}
		}
		differing, known, err := compare(ctx, db, of.ID, first-2*i, first-2*i-1)
		require.NoError(t, err)
		if known || len(a) > 0 && len(b) > 0 {
			got := []uuid.UUID{}
			for most := 1; ; most++ {
				some, err := differing.next(ctx, most)
				require.NoError(t, err)
				require.LessOrEqual(t, len(some), most)
				if len(some) == 0 {
					break
				}
				got = append(got, some...)
			}
			require.Equal(t, want, got)
			all, known, err := new(Service).Moved(ctx, db, of.ID, first-2*i, first-2*i-1, len(want))
			require.NoError(t, err)
			require.True(t, known)
			require.Equal(t, want, append([]uuid.UUID{}, all...))
			_, known, err = new(Service).Moved(ctx, db, of.ID, first-2*i, first-2*i-1, len(want)-1)
			require.NoError(t, err)
			require.False(t, known, "they are too many")
		}
		_, known, err = compare(ctx, db, of.ID, first-2*i, 0)
		require.NoError(t, err)
		require.False(t, known, "of a run that has no scores")
	}
}
