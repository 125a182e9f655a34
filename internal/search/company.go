package search

import (
	"slices"
	"strings"
)

// legalForms say what a company is and not which; the longer stand before those that they contain.
var (
	legalForms = []string{"股份有限责任公司", "有限责任公司", "股份有限公司", "集团有限公司", "有限公司"}
	endings    = []string{"特殊普通合伙", "普通合伙", "有限合伙", "合伙企业", "个体工商户", "个人独资企业", "集团公司", "股份公司", "总公司",
		"分公司", "子公司", "集团", "股份", "控股", "公司"}
	latinForms = []string{"ltd", "limited", "inc", "incorporated", "llc", "llp", "plc", "corp", "corporation", "co", "company", "gmbh",
		"ag", "sa", "sarl", "srl", "spa", "bv", "nv", "oy", "ab", "pte", "pty", "kk", "holdings", "group"}
)

// Core is a folded company name without what says only that it is a company: 华信 of 华信（集团）股份有限公司, acme of Acme
// Co., Ltd. A name of nothing else stays as it is.
func Core(folded string) string {
	core := folded
	for _, form := range legalForms {
		core = strings.ReplaceAll(core, form, "")
	}
	for again := true; again; {
		again = false
		for _, end := range endings {
			if cut, ok := strings.CutSuffix(core, end); ok && cut != "" {
				core, again = cut, true
			}
		}
		core = strings.TrimSpace(core)
		if head, last, ok := cutLast(core); ok && slices.Contains(latinForms, last) {
			core, again = head, true
		}
	}
	core = strings.Join(strings.Fields(core), " ")
	if len([]rune(core)) < 2 {
		return folded
	}
	return core
}

func cutLast(s string) (head, last string, ok bool) {
	i := strings.LastIndexByte(s, ' ')
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}
