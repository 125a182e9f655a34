package tenant_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/tenant"
	"github.com/kezi-io/kezi/internal/transaction"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

func day(t *testing.T, s string) tenant.Day {
	d, err := tenant.ParseDay(s)
	require.NoError(t, err)
	return d
}

func TestDay(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{"0001-01-01": false, "1899-12-31": false, "1900-01-01": true, "2200-12-31": true, "2201-01-01": false} {
		require.Equal(t, want, day(t, text).Plausible(), text)
	}
	saoPaulo, err := time.LoadLocation("America/Sao_Paulo")
	require.NoError(t, err)
	jump := day(t, "2018-11-04")
	require.Equal(t, "2018-11-04T03:00:00Z", jump.Start(saoPaulo).Format(time.RFC3339))
	require.Equal(t, jump, tenant.DayOf(jump.Start(saoPaulo), saoPaulo))
	apia, err := time.LoadLocation("Pacific/Apia")
	require.NoError(t, err)
	require.False(t, day(t, "2011-12-30").ExistsIn(apia))
	require.True(t, day(t, "2011-12-31").ExistsIn(apia))
}

func TestCopiesOfTimeZonesAreRefused(t *testing.T) {
	t.Parallel()
	svc := tenant.NewService(postgrestest.DB(t), time.Now)
	for _, name := range []string{"posix/Asia/Shanghai", "right/Asia/Shanghai", "Local", "", "Asia/Nowhere"} {
		_, err := svc.Create(postgres.ForAllTenants(t.Context()), tenant.Creation{Name: "zones", Currency: "CNY", TimeZone: name})
		require.ErrorIs(t, err, fault.ErrInvalid, name)
	}
}

// TestCurrencyAndFactsDoNotRace has writers of facts hold the tenant while its currency is to change.
func TestCurrencyAndFactsDoNotRace(t *testing.T) {
	t.Parallel()
	yen := "JPY"
	rate := func(db *postgres.DB, of tenant.Tenant) error {
		_, _, err := transaction.NewService(db, nil, time.Now).PutRate(postgrestest.Context(t, of), tenant.Call{Tenant: of, Actor: "test"},
			nil, "USD", day(t, "2026-01-01"), "7")
		return err
	}
	t.Run("AWriterThatIsFirstFixesIt", func(t *testing.T) {
		t.Parallel()
		db := postgrestest.DB(t)
		of, svc := postgrestest.Tenant(t, db), tenant.NewService(db, time.Now)
		ctx := postgrestest.Context(t, of)
		changed := make(chan error, 1)
		require.NoError(t, db.InTx(ctx, func(tx postgres.Tx) error {
			if err := tenant.Hold(ctx, tx, of); err != nil {
				return err
			}
			go func() {
				_, err := svc.Change(ctx, of.ID, nil, tenant.Change{Currency: &yen})
				changed <- err
			}()
			require.NoError(t, db.InTx(ctx, func(other postgres.Tx) error { return tenant.Hold(ctx, other, of) }), "writers do not wait for each other")
			select {
			case err := <-changed:
				return errors.Join(errors.New("the change did not wait"), err)
			case <-time.After(200 * time.Millisecond):
			}
			_, err := tx.Exec(ctx, `INSERT INTO exchange_rates (tenant_id, currency, day, rate, version, created_at, updated_at)
				VALUES ($1, 'USD', '2026-01-01', 7, 1, now(), now())`, of.ID)
			return err
		}))
		require.ErrorIs(t, <-changed, tenant.ErrFixed)
	})
	t.Run("AWriterWithTheOldCurrencyIsRefused", func(t *testing.T) {
		t.Parallel()
		db := postgrestest.DB(t)
		of := postgrestest.Tenant(t, db)
		_, err := tenant.NewService(db, time.Now).Change(postgrestest.Context(t, of), of.ID, nil, tenant.Change{Currency: &yen})
		require.NoError(t, err)
		require.ErrorIs(t, rate(db, of), tenant.ErrChanged)
		of.Currency = yen
		require.NoError(t, rate(db, of))
	})
	t.Run("OneOfBothWins", func(t *testing.T) {
		t.Parallel()
		db := postgrestest.DB(t)
		svc := tenant.NewService(db, time.Now)
		for range 20 {
			of := postgrestest.Tenant(t, db)
			wrote := make(chan error, 1)
			go func() { wrote <- rate(db, of) }()
			_, changed := svc.Change(postgrestest.Context(t, of), of.ID, nil, tenant.Change{Currency: &yen})
			if err := <-wrote; err == nil {
				require.ErrorIs(t, changed, tenant.ErrFixed)
			} else {
				require.ErrorIs(t, err, tenant.ErrChanged)
				require.NoError(t, changed)
			}
		}
	})
}
