package industry_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/industry"
)

func TestCodesAsPeopleWriteThem(t *testing.T) { // S3-10
	t.Parallel()
	for _, c := range []struct {
		scheme                        industry.Scheme
		given, code, section, chinese string
	}{
		{industry.GBT4754, "C", "C", "C", "制造业"},
		{industry.GBT4754, "c", "C", "C", "制造业"},
		{industry.GBT4754, "01", "01", "A", "农业"},
		{industry.GBT4754, "65", "65", "I", "软件和信息技术服务业"},
		{industry.GBT4754, "I65", "65", "I", "软件和信息技术服务业"},
		{industry.GBT4754, "i6510", "6510", "I", "软件和信息技术服务业"},
		{industry.GBT4754, "Ｉ６５１０", "6510", "I", "软件和信息技术服务业"},
		{industry.GBT4754, "011", "011", "A", "农业"},
		{industry.GBT4754, "0111", "0111", "A", "农业"},
		{industry.ISIC4, "J", "J", "J", "信息和通信"},
		{industry.ISIC4, "62.01", "6201", "J", "计算机程序设计、咨询及相关活动"},
		{industry.ISIC4, " J 62 ", "62", "J", "计算机程序设计、咨询及相关活动"},
	} {
		e, ok := industry.Lookup(c.scheme, c.given)
		require.True(t, ok, c.given)
		require.Equal(t, c.code, e.Code, c.given)
		require.Equal(t, c.section, e.Section, c.given)
		require.Equal(t, c.chinese, e.Chinese, c.given)
		require.NotEmpty(t, e.English)
	}
	e, _ := industry.Lookup(industry.GBT4754, "6510")
	require.Equal(t, "65", e.Named, "the label is the division's")
}

func TestUnknownCodesAreRefused(t *testing.T) { // S3-10
	t.Parallel()
	for _, c := range []struct {
		scheme industry.Scheme
		code   string
	}{
		{industry.GBT4754, ""}, {industry.GBT4754, "1"}, {industry.GBT4754, "98"}, {industry.GBT4754, "00"}, {industry.GBT4754, "U"},
		{industry.GBT4754, "C65"}, {industry.GBT4754, "65101"}, {industry.GBT4754, "软件"}, {industry.GBT4754, "II65"},
		{industry.ISIC4, "04"}, {industry.ISIC4, "34"}, {industry.ISIC4, "V"}, {industry.ISIC4, "A62"}, {"naics", "62"}, {"", "C"},
	} {
		_, ok := industry.Lookup(c.scheme, c.code)
		require.False(t, ok, "%s %q", c.scheme, c.code)
	}
}

func TestSuggestions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		scheme industry.Scheme
		code   string
		want   []string
	}{
		{industry.GBT4754, "1", []string{"01"}},
		{industry.GBT4754, "C65", []string{"65"}},
		{industry.GBT4754, "C6510", []string{"6510"}},
		{industry.GBT4754, "65101", []string{"6510"}},
		{industry.GBT4754, "98", []string{"97", "96", "95"}},
		{industry.GBT4754, "软件", []string{"I", "65"}},
		{industry.GBT4754, "软件与信息技术服务业", []string{"65"}},
		{industry.GBT4754, "real estate", []string{"K", "70"}},
		{industry.ISIC4, "34", []string{"33", "35", "32"}},
		{industry.ISIC4, "Manufacture of furnitures", []string{"31"}},
		{industry.GBT4754, "Z", nil},
		{"naics", "62", nil},
	} {
		var codes []string
		for _, e := range industry.Suggest(c.scheme, c.code) {
			codes = append(codes, e.Code)
		}
		if len(c.want) == 1 {
			require.Contains(t, codes, c.want[0], c.code)
			continue
		}
		require.Equal(t, c.want, codes, c.code)
	}
}

// The standards say how many sections and divisions they have, and divisions follow each other in their sections.
func TestListsAreWhole(t *testing.T) {
	t.Parallel()
	for scheme, want := range map[industry.Scheme]struct{ sections, divisions int }{
		industry.GBT4754: {20, 97}, industry.ISIC4: {21, 88},
	} {
		sections, divisions, last := 0, 0, "A"
		for letter := 'A'; letter <= 'Z'; letter++ {
			if e, ok := industry.Lookup(scheme, string(letter)); ok {
				require.Equal(t, e.Code, e.Section)
				sections++
			}
		}
		for n := range 100 {
			e, ok := industry.Lookup(scheme, fmt.Sprintf("%02d", n))
			if !ok {
				continue
			}
			divisions++
			require.GreaterOrEqual(t, e.Section, last)
			last = e.Section
			require.NotEmpty(t, strings.TrimSpace(e.Chinese))
			require.NotEmpty(t, strings.TrimSpace(e.English))
			require.Equal(t, e.Code, e.Named)
		}
		require.Equal(t, want.sections, sections, scheme)
		require.Equal(t, want.divisions, divisions, scheme)
	}
}

func FuzzLookup(f *testing.F) {
	f.Add("gbt4754", "I6510")
	f.Add("isic4", "62.01")
	f.Add("isic4", "\xff９")
	f.Add("gbt4754", "软件")
	f.Fuzz(func(t *testing.T, scheme, code string) {
		if e, ok := industry.Lookup(industry.Scheme(scheme), code); ok {
			again, known := industry.Lookup(industry.Scheme(scheme), e.Code)
			require.True(t, known)
			require.Equal(t, e, again)
		}
		for _, e := range industry.Suggest(industry.Scheme(scheme), code) {
			_, known := industry.Lookup(industry.Scheme(scheme), e.Code)
			require.True(t, known, "what is suggested is accepted")
		}
	})
}
