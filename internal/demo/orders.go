package demo

import (
	"cmp"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"

	"github.com/google/uuid"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/transaction"
	"github.com/kezi-io/kezi/pkg/btyd"
)

// status of an order.
type status transaction.Status

func (s status) purchase() bool {
	switch transaction.Status(s) {
	case transaction.Paid, transaction.ToShip, transaction.Shipped, transaction.Completed:
		return true
	}
	return false
}

// order is a transaction before the day of the first start is known.
type order struct {
	id         uuid.UUID
	who        int // index of its person
	externalID string
	at         moment
	amount     money.Money
	units      int
	channel    string
	status     status
	method     string
	store      string
	items      []item
	bills      []bill
	returns    []comeback
}

// rate is what a unit of a currency is worth in yuan from a day on, which counts from the anchor.
type rate struct {
	currency string
	day      int
	value    string
}

// dollarRates are in the order of their days; the first is before any order.
var dollarRates = []rate{{"USD", -history - 35, "7.1548"}, {"USD", -395, "7.2205"}, {"USD", -60, "7.0832"}}

// rateOn is the latest rate on or before the day.
func (w world) rateOn(currency string, day int) *big.Rat {
	found := big.NewRat(1, 1)
	for _, r := range w.rates {
		if r.currency == currency && r.day <= day {
			found.SetString(r.value)
		}
	}
	return found
}

// habits are how a kind of customer buys: the process that the scores assume, time in weeks and money in yuan.
type habits struct {
	buys     btyd.MBGNBD
	spends   btyd.GammaGamma
	units    int // at most, of an order
	channels []string
	weights  []int
}

type simulations struct{ person, company habits }

var (
	householdHabits = habits{
		buys:   btyd.MBGNBD{R: 0.75, Alpha: 7.5, A: 0.8, B: 4.2},
		spends: btyd.GammaGamma{P: 5, Q: 3, V: 150}, // 375 on average
		units:  5, channels: []string{"store", "wechat", "tmall", "web"}, weights: []int{34, 30, 22, 14},
	}
	companyHabits = habits{
		buys:   btyd.MBGNBD{R: 1.1, Alpha: 6, A: 0.6, B: 5},
		spends: btyd.GammaGamma{P: 5, Q: 3, V: 640}, // 1600 on average
		units:  60, channels: []string{"sales", "web", "phone"}, weights: []int{60, 25, 15},
	}
)

// simulate draws everybody's orders. The models draw how many repeat purchases there are, when the last one was, and
// what one costs on average; the rest follows from the same models: purchases before the last one fall anywhere with
// equal chance, because the rate is constant, and the average is the mean of independent gammas of one scale, whose
// shares of their sum do not depend on it.
//
// Floating-point arithmetic may differ between processors in the last of 53 bits. Days and amounts are rounded from
// values of some 20 bits, so what is drawn is the same everywhere.
func (w *world) simulate(rng *rand.Rand, ids family, how simulations) {
	for _, kind := range []customer.Kind{customer.Person, customer.Company} {
		h, seed := how.person, uint64(31)
		if kind == customer.Company {
			h, seed = how.company, 37
		}
		var who []int
		var ages []float64
		for i, p := range w.people {
			if p.buys && p.Kind == kind {
				who, ages = append(who, i), append(ages, float64(-1-p.first)/btyd.Week)
			}
		}
		lives := btyd.Simulate(h.buys, seed, ages, 0)
		counts := make([]float64, len(lives))
		for i, l := range lives {
			counts[i] = float64(l.X) + 1
		}
		for i, s := range h.spends.Simulate(seed, counts) {
			w.draw(rng, who[i], h, lives[i], s.Mean)
		}
	}
	w.number(ids)
}

// draw adds the orders of one customer.
func (w *world) draw(rng *rand.Rand, who int, h habits, life btyd.Simulated, mean float64) {
	p := w.people[who]
	n := int(life.X) + 1
	share := distuv.Gamma{Alpha: h.spends.P, Beta: 1, Src: rng}
	parts, sum := make([]float64, n), 0.0
	for i := range parts {
		parts[i] = share.Rand()
		sum += parts[i]
	}
	// Most people have a way to buy that they keep to.
	usual := h.channels[weighted(rng, h.weights)]
	for i := range n {
		day := p.first
		switch {
		case i == n-1 && i > 0:
			day += int(life.Tx * btyd.Week)
		case i > 0:
			day += int(rng.Float64() * life.Tx * btyd.Week)
		}
		o := order{who: who, at: moment{min(day, -1), secondOf(rng)}, units: 1 + rng.IntN(h.units), channel: usual,
			amount: amountOf(parts[i]/sum*mean*float64(n), p), status: statusOf(rng, -day)}
		if rng.Float64() < 0.2 {
			o.channel = h.channels[weighted(rng, h.weights)]
		}
		w.orders = append(w.orders, o)
	}
}

// amountOf is a price as shops and invoices have it.
func amountOf(yuan float64, p person) money.Money {
	switch {
	case p.currency == "USD":
		return money.Money{Minor: max(int64(math.Round(yuan/7)), 20) * 100, Currency: "USD"}
	case p.Kind == customer.Company:
		return money.Money{Minor: max(int64(math.Round(yuan/10)), 20) * 1000, Currency: p.currency}
	}
	return money.Money{Minor: max(int64(math.Round(yuan*10)), 99) * 10, Currency: p.currency}
}

// statusOf is how far an order of so many days ago has come.
func statusOf(rng *rand.Rand, ago int) status {
	at := rng.Float64()
	switch {
	case at < 0.02:
		return status(transaction.Cancelled)
	case at < 0.035 && ago > 3:
		return status(transaction.Refunded)
	case ago > 10:
		return status(transaction.Completed)
	case ago <= 2 && at < 0.12:
		return status(transaction.Pending)
	case ago <= 2 && at < 0.3:
		return status(transaction.Paid)
	case ago <= 3 && at < 0.5:
		return status(transaction.ToShip)
	case at < 0.7:
		return status(transaction.Shipped)
	}
	return status(transaction.Completed)
}

// rhythm is how busy the hours of a day are: quiet nights, a rise before noon, the peak after work.
var rhythm = []int{4, 2, 1, 1, 1, 2, 5, 10, 22, 45, 60, 55, 48, 45, 50, 52, 48, 45, 50, 65, 75, 60, 35, 12}

func secondOf(rng *rand.Rand) int { return weighted(rng, rhythm)*3600 + rng.IntN(3600) }

// number sorts the orders, customer by customer, and gives them their ids.
func (w *world) number(ids family) {
	slices.SortStableFunc(w.orders, func(a, b order) int {
		return cmp.Or(a.who-b.who, a.at.day-b.at.day, a.at.second-b.at.second)
	})
	for i := range w.orders {
		w.orders[i].id = ids.at(i)
		w.orders[i].externalID = fmt.Sprintf("SO-%06d", i+1)
	}
}

// dear gives the first customer, whom the contract's examples are about, a history worth reading: her first order is
// that of the examples, and her last one waits to be paid.
func (w *world) dear() {
	rest := slices.DeleteFunc(w.orders, func(o order) bool { return o.who == 0 })
	first := []order{}
	for i, o := range []struct {
		day, fen, units int
		channel         string
	}{
		{-320, 12990, 2, "store"}, {-271, 25800, 1, "store"}, {-214, 68850, 3, "wechat"}, {-160, 39900, 2, "store"},
		{-103, 51980, 2, "wechat"}, {-58, 88800, 4, "store"}, {-22, 45900, 1, "store"}, {-1, 31900, 1, "wechat"},
	} {
		made := order{at: moment{o.day, (10+i)*3600 + i*467}, amount: money.Money{Minor: int64(o.fen), Currency: "CNY"},
			units: o.units, channel: o.channel, status: status(transaction.Completed)}
		if o.day == -1 {
			made.status = status(transaction.Pending)
		}
		first = append(first, made)
	}
	w.orders = slices.Concat(first, rest)
	w.number(orderIDs)
}
