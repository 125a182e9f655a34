package synthetic

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/transaction"
)

// order is one transaction of w.orders: the second since w.since and the customer's number, packed so that ten million
// are sorted in a second.
type order uint64

func (o order) second() int64 { return int64(o >> 32) }
func (o order) who() int      { return int(o & math.MaxUint32) }

// shanghai is the zone of the tenant of a load; it has had no summer time since 1991.
var shanghai = time.FixedZone("+08", 8*60*60)

// busy is how busy the hours of a day are: quiet nights, a rise before noon, the peak after work.
var busy = []int{4, 2, 1, 1, 1, 2, 5, 10, 22, 45, 60, 55, 48, 45, 50, 52, 48, 45, 50, 65, 75, 60, 35, 12}

// plan decides who ordered when. As in the BG/NBD model each customer orders at a rate drawn from a gamma distribution,
// here with a shape well below 1, until dropping out; a third never ordered. The rates are scaled so that the orders
// add up to Transactions.
func (w *World) plan() {
	if w.bought != nil {
		return
	}
	span := w.Until.Sub(w.since).Seconds()
	rates := make([]float64, w.Customers)
	total := 0.0
	for i := range rates {
		rng := w.rng(streamRate, uint64(i))
		if rng.Float64() < 0.35 {
			continue
		}
		lasts := rng.ExpFloat64() * 1.2 * span / Years // a year and a fifth on average
		rates[i] = gamma(rng, 0.6) * min(lasts, w.age(i))
		total += rates[i]
	}
	w.bought, w.last = make([]int32, w.Customers), make([]int64, w.Customers)
	left := w.Transactions
	for i, rate := range rates {
		if rate > 0 {
			w.bought[i] = int32(min(poisson(w.rng(streamCount, uint64(i)), rate*float64(w.Transactions)/total), left))
			left -= int(w.bought[i])
		}
	}
	for i := 0; left > 0; i = (i + 1) % w.Customers { // what rounding and chance left over, one each
		if rates[i] > 0 || total == 0 {
			w.bought[i]++
			left--
		}
	}
	w.orders = make([]order, 0, w.Transactions)
	for i, n := range w.bought {
		rng := w.rng(streamTimes, uint64(i))
		begins, lasts := span-w.age(i), w.age(i)
		if rng.Float64() < 0.6 {
			lasts *= math.Sqrt(rng.Float64())
		}
		for range n {
			at := w.since.Add(time.Duration((begins + rng.Float64()*lasts) * float64(time.Second)))
			second := w.opening(at, rng)
			w.orders = append(w.orders, order(second<<32|int64(i)))
			w.last[i] = max(w.last[i], second+w.since.Unix())
		}
	}
	slices.Sort(w.orders)
}

// opening moves an instant within its day to an hour when people buy, and answers it in seconds since w.since; never
// beyond the end.
func (w *World) opening(at time.Time, rng *rand.Rand) int64 {
	y, m, d := at.In(shanghai).Date()
	moved := time.Date(y, m, d, weighted(rng, busy), rng.IntN(60), rng.IntN(60), 0, shanghai)
	if moved.After(w.Until) || moved.Before(w.since) {
		moved = at
	}
	return moved.Unix() - w.since.Unix()
}

// age is how long ago the customer came, in seconds.
func (w *World) age(i int) float64 { return w.Until.Sub(w.joined(i)).Seconds() }

func loadTransactions(ctx context.Context, w *World, tx postgres.Tx) error {
	w.plan()
	ids := make([]uuid.UUID, w.Customers)
	levels := make([]float32, w.Customers)
	for i := range ids {
		ids[i] = w.someone(i).ID
		levels[i] = float32(4.6 + 0.9*w.rng(streamLevel, uint64(i)).NormFloat64()) // e^4.6 is about 100 yuan
	}
	shops := rank(words("store wechat website tmall douyin phone"), 1.5)
	return reload(ctx, tx, []string{"transactions", "transaction_keys"}, func() error {
		err := copyInto(ctx, tx, `transactions (tenant_id, customer_id, id, version, source, external_id, status, occurred_at, date_only,
			day, amount, currency, base_amount, units, channel, created_at, updated_at)`, func(l *lines) error {
			for n, o := range w.orders {
				rng := w.rng(streamOrder, uint64(n))
				at := w.since.Add(time.Duration(o.second()) * time.Second)
				fen := max(int64(100*math.Exp(float64(levels[o.who()])+0.5*rng.NormFloat64())), 1)
				version, units := int64(1), 1+int64(rng.ExpFloat64()*1.3)
				status := statusAt(rng, w.Until.Sub(at))
				if status != transaction.Pending {
					version = 2
				}
				l.int(int64(w.TenantID)).id(ids[o.who()]).id(w.orderID(n, at)).int(version).text("erp").text("SO-" + pad(n+1, 9)).
					text(string(status)).time(at).text("f").day(at.In(shanghai)).int(fen).text("CNY").int(fen).int(units)
				if rng.Float64() < 0.97 {
					l.text(shops.pick(rng))
				} else {
					l.null()
				}
				l.time(at).time(at).end()
			}
			return nil
		})
		if err != nil {
			return err
		}
		return copyInto(ctx, tx, "transaction_keys (tenant_id, source, key, customer_id, transaction_id)", func(l *lines) error {
			for n, o := range w.orders {
				at := w.since.Add(time.Duration(o.second()) * time.Second)
				l.int(int64(w.TenantID)).text("erp").text("SO-" + pad(n+1, 9)).id(ids[o.who()]).id(w.orderID(n, at)).end()
			}
			return nil
		})
	})
}

// orderID is the id of the n-th order.
func (w *World) orderID(n int, at time.Time) uuid.UUID {
	return w.id(at, w.rng(streamOrderID, uint64(n)))
}

// statusAt is how far an order has come after so long.
func statusAt(rng *rand.Rand, age time.Duration) transaction.Status {
	const day = 24 * time.Hour
	at := rng.Float64()
	switch {
	case at < 0.025:
		return transaction.Cancelled
	case at < 0.04 && age > 3*day:
		return transaction.Refunded
	case age > 10*day:
		return transaction.Completed
	case age < 2*day && at < 0.2:
		return transaction.Pending
	case age < 3*day && at < 0.5:
		return transaction.Paid
	case at < 0.7:
		return transaction.Shipped
	}
	return transaction.Completed
}

// weighted draws an index with chances in proportion to weights.
func weighted(rng *rand.Rand, weights []int) int {
	total := 0
	for _, w := range weights {
		total += w
	}
	at := rng.IntN(total)
	for i, w := range weights {
		if at -= w; at < 0 {
			return i
		}
	}
	return len(weights) - 1
}

// gamma draws from a gamma distribution of a shape below 1 and scale 1.
//
// Source: J. H. Ahrens and U. Dieter, Computing 12 (1974), algorithm GS.
func gamma(rng *rand.Rand, shape float64) float64 {
	b := 1 + shape/math.E
	for {
		p := b * rng.Float64()
		if p <= 1 {
			if x := math.Pow(p, 1/shape); rng.ExpFloat64() >= x {
				return x
			}
			continue
		}
		if x := -math.Log((b - p) / shape); rng.ExpFloat64() >= (1-shape)*math.Log(x) {
			return x
		}
	}
}

// poisson draws a count: exactly for small means, by the normal limit for others.
func poisson(rng *rand.Rand, mean float64) int {
	if mean > 50 {
		return max(int(math.Round(mean+math.Sqrt(mean)*rng.NormFloat64())), 0)
	}
	n := -1
	for sum := 0.0; sum < mean; n++ {
		sum += rng.ExpFloat64()
	}
	return max(n, 0)
}
