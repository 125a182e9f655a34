package main

import (
	"context"
	"fmt"
	"net/url"
	"time"
)

// needle is something that people type into the search box.
type needle struct {
	what, q string
	allowed time.Duration
}

// needles are those of one, two and three characters, frequent and rare, and those that are not names.
var needles = []needle{
	{"one character, common", "张", manyAllowed},
	{"one character, selective", "淳", fewAllowed},
	{"two characters, common", "有限", manyAllowed},
	{"two letters, common", "jo", manyAllowed},
	{"two characters, selective", "建国", fewAllowed},
	{"three letters, common", "son", manyAllowed},
	{"three characters, selective", "欧阳娜", fewAllowed},
	{"traditional characters", "張建國", fewAllowed},
	{"pinyin", "zhangjianguo", fewAllowed},
	{"initials", "zjg", manyAllowed},
	{"nobody has it", "不存在的人", fewAllowed},
}

// searches are requests that search, in two orders: the found ones lie all over that of time and together in that of
// names.
func (s scale) searches(ctx context.Context) ([]read, error) {
	all := needles
	// A number nobody knows without the keys, so the tail is looked for: one that somebody has, of ten thousand tails of
	// four digits for a million people.
	all = append(all, needle{"tail of a phone", "6688", fewAllowed}, needle{"longer tail of a phone", "136688", fewAllowed})
	external, err := query[string](ctx, s, largeDatabase, `SELECT external_id FROM external_ids ORDER BY source, external_id LIMIT 1 OFFSET 5000`)
	if err != nil {
		return nil, err
	}
	if len(external) > 0 {
		all = append(all, needle{"external id", external[0], fewAllowed})
	}
	var reads []read
	for _, n := range all {
		for _, order := range []struct{ says, sort string }{{"newest first", "-created_at"}, {"by name", "name"}} {
			reads = append(reads, read{fmt.Sprintf("q=%s (%s), %s", n.q, n.what, order.says),
				"/v1/customers?total=estimate&sort=" + order.sort + "&q=" + url.QueryEscape(n.q), n.allowed})
		}
	}
	return reads, nil
}
