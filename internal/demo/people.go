package demo

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/kezi-io/kezi/internal/customer"
)

// history is how many days before the anchor the oldest first purchase may have been.
const history = 730

// person is a customer before the day of the first start is known: days count from it.
type person struct {
	customer.Customer // without times
	created           moment
	buys              bool
	first             int    // day of the first order, when buys
	currency          string // of its orders
	region            string // key of a tag
}

// moment is a local time of a day that counts from the anchor.
type moment struct{ day, second int }

// world is everything that is made by sets.
type world struct {
	people []person
	orders []order
	rates  []rate
	goods  []good // of which all orders are; none leaves orders without items
}

// chinese are the customers of tenant demo.
func chinese() world {
	const size = 2000
	rng := rand.New(rand.NewPCG(20260101, 1))
	w := world{people: make([]person, size), rates: dollarRates}
	for i := range w.people {
		w.people[i] = drawPerson(rng, i, i == 1 || i > 2 && rng.Float64() < 0.2)
	}
	// The examples of the contract speak of these.
	ada := &w.people[0]
	ada.Name, ada.Province, ada.City, ada.region = "王芳", "江苏", "南京", "east" // she moves to 上海 later
	ada.Source = customer.Source{Channel: "store", Detail: "南京东路店"}
	ada.Owner, ada.buys, ada.first, ada.created = "陈晓明", true, -320, moment{-322, 15*3600 + 1260}
	tea := &w.people[1]
	tea.Name, tea.Province, tea.City, tea.region, tea.Industry.Label = "杭州西湖茶叶有限公司", "浙江", "杭州", "east", "食品饮料"
	tea.buys, tea.first, tea.created, tea.currency = true, -540, moment{-548, 10*3600 + 1440}, "CNY"
	w.people[2].buys = true
	w.people[2].first, w.people[2].created = -400, moment{-401, 11*3600 + 600}
	w.describe()
	w.simulate(rng, orderIDs, simulations{person: householdHabits, company: companyHabits})
	w.dear()
	w.settle(rng)
	w.goods = teaAndCoffee
	w.sell()
	return w
}

// american are the customers of tenant demo2.
func american() world {
	rng := rand.New(rand.NewPCG(20260101, 2))
	var w world
	for i, name := range []string{"Emily Carter", "Hudson Valley Hotels LLC", "James Nguyen", "Sofia Martinez", "Brooklyn Tea Rooms Inc.",
		"Daniel Cohen", "Grace Kim", "Empire Office Supply Co.", "Olivia Brown", "Liam O'Connor", "Catskill Retreats LLC", "Noah Patel"} {
		p := person{buys: i != 9, first: -30 - rng.IntN(500), currency: "USD", Customer: customer.Customer{
			ID: secondPersonIDs.at(i), Kind: customer.Person, Name: name, Country: "US", Province: "NY", City: pick(rng, []string{"New York", "Albany", "Yonkers"}),
			Source:      customer.Source{Channel: pick(rng, []string{"website", "store", "referral"})},
			ExternalIDs: []customer.ExternalID{{Source: "shop", ID: fmt.Sprintf("H-%04d", i+1)}}}}
		if i == 1 || i == 4 || i == 7 || i == 10 {
			p.Kind, p.Owner = customer.Company, "Rachel Adams"
		}
		p.created = moment{p.first - 1, 10 * 3600}
		w.people = append(w.people, p)
	}
	w.simulate(rng, secondOrderIDs, simulations{person: householdHabits, company: companyHabits})
	w.settle(rng)
	return w
}

func drawPerson(rng *rand.Rand, i int, company bool) person {
	at := placeOf(rng)
	p := person{currency: "CNY", region: at.region, Customer: customer.Customer{ID: personIDs.at(i), Kind: customer.Person,
		Country: "CN", Province: at.province, City: at.city}}
	origins := personOrigins
	if company {
		origins = companyOrigins
		does := pick(rng, trades)
		if rng.Float64() < 0.1 {
			does, p.currency = exporter, "USD"
		}
		p.Kind, p.Industry = customer.Company, customer.Industry{Label: does.industry, Scheme: customer.GBT4754, Code: does.division}
		p.Name = at.city + pick(rng, words) + does.says + "有限公司"
	} else {
		p.Name = pick(rng, surnames) + pick(rng, given)
		if rng.Float64() < 0.4 {
			p.Industry.Label = pick(rng, sectors)
		}
	}
	if company || rng.Float64() < 0.6 {
		p.Owner = pick(rng, owners)
	}
	from := pick(rng, origins)
	p.Source = customer.Source{Channel: from.channel, Detail: pick(rng, from.details)}
	if from.campaign && rng.Float64() < 0.5 {
		p.Source.Campaign = pick(rng, campaigns)
	}
	p.ExternalIDs = externalIDs(i, company)
	// A business that grows: somewhat more first purchases lately than long ago.
	p.first = -1 - int((history-1)*(1-math.Pow(rng.Float64(), 0.8)))
	p.buys = rng.Float64() < 0.87
	ahead := rng.IntN(21)
	p.created = moment{p.first - ahead, secondOf(rng)}
	if ahead == 0 {
		p.created.second = 0 // before the order of that day, whenever it was
	}
	return p
}

// externalIDs are what the shop, and for companies the ledger, call the i-th customer: A-1001, A-1002, D-0001, ...
func externalIDs(i int, company bool) []customer.ExternalID {
	id := fmt.Sprintf("D-%04d", i-1)
	if i < 2 {
		id = fmt.Sprintf("A-%04d", 1001+i)
	}
	ids := []customer.ExternalID{{Source: "shop", ID: id}}
	if company {
		ids = append([]customer.ExternalID{{Source: "erp", ID: fmt.Sprintf("C%05d", 10001+i)}}, ids...)
	}
	return ids
}

// settle gives everybody the stage that fits what they did.
func (w *world) settle(rng *rand.Rand) {
	last := make([]int, len(w.people))
	for i := range last {
		last[i] = math.MinInt
	}
	for _, o := range w.orders {
		if o.status.purchase() {
			last[o.who] = max(last[o.who], o.at.day)
		}
	}
	for i := range w.people {
		p := &w.people[i]
		ago, age := -last[i], -p.created.day
		switch {
		case last[i] == math.MinInt && age <= 45:
			p.Stage = customer.Lead
		case last[i] == math.MinInt && (age <= 240 || rng.Float64() < 0.4):
			p.Stage = customer.Prospect
		case last[i] == math.MinInt || ago > 330:
			p.Stage = customer.Lost
		case ago > 120:
			p.Stage = customer.Dormant
		default:
			p.Stage = customer.Active
		}
	}
}
