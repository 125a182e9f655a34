package filter_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
)

func TestParseJSON(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ raw, text, printed string }{
		{`{"field":"spend_total","op":"gte","value":"1000"}`, `spend_total >= "1000"`, ``},
		{`{"field":"spend_total","op":"gte","value":12345678901234567890.10}`, `spend_total >= 12345678901234567890.10`, ``},
		{`{"field":"city","op":"in","values":["上海",1,false]}`, `city IN ("上海", 1, false)`, ``},
		{`{"field":"city","op":"is_null"}`, `city = null`, ``},
		{`{"field":"city","op":"is_null","value":null}`, `city = null`, `{"field":"city","op":"is_null"}`},
		{`{"field":"city","op":"eq","value":null}`, `city = null`, `{"field":"city","op":"is_null"}`},
		{`{"field":"city","op":"ne","value": null }`, `city != null`, `{"field":"city","op":"is_not_null"}`},
		{`{"field":"name","op":"starts_with","value":"张*"}`, `name = "张\**"`, ``},
		{`{"not":{"field":"name","op":"contains","value":"a"}}`, `NOT name = "*a*"`, ``},
		{` { "and" : [ {"field":"a","op":"eq","value":true} , {"or":[{"field":"b","op":"lt","value":-1},{"field":"c","op":"has","value":"x"}]} ] } `,
			`a = true AND (b < -1 OR c:"x")`,
			`{"and":[{"field":"a","op":"eq","value":true},{"or":[{"field":"b","op":"lt","value":-1},{"field":"c","op":"has","value":"x"}]}]}`},
		{`{"or":[{"and":[{"field":"a","op":"eq","value":1}]}]}`, `a = 1`, `{"field":"a","op":"eq","value":1}`},
	} {
		n, err := filter.ParseJSON([]byte(c.raw))
		require.NoError(t, err, c.raw)
		require.Equal(t, c.text, n.Text())
		if c.printed == "" {
			c.printed = c.raw
		}
		raw, err := n.MarshalJSON()
		require.NoError(t, err)
		require.Equal(t, c.printed, string(raw))
	}
}

func TestParseJSONPointsAtThePlace(t *testing.T) {
	t.Parallel()
	leaf := `{"field":"a","op":"eq","value":1}`
	for _, c := range []struct {
		raw     string
		code    *fault.Fault
		pointer string
	}{
		{``, filter.ErrSyntax, ""},
		{`{"and":[`, filter.ErrSyntax, ""},
		{leaf + leaf, filter.ErrSyntax, ""},
		{strings.Repeat(`{"not":`, 20_000) + leaf + strings.Repeat(`}`, 20_000), filter.ErrSyntax, ""}, // more than encoding/json reads
		{"{\"field\":\"\xff\"}", filter.ErrSyntax, ""},
		{`null`, filter.ErrSyntax, ""},
		{`[]`, filter.ErrSyntax, ""},
		{`{}`, filter.ErrSyntax, ""},
		{`{"and":[]}`, filter.ErrSyntax, "/and"},
		{`{"and":{}}`, filter.ErrSyntax, "/and"},
		{`{"and":[` + leaf + `,3]}`, filter.ErrSyntax, "/and/1"},
		{`{"not":null}`, filter.ErrSyntax, "/not"},
		{`{"and":[` + leaf + `],"or":[` + leaf + `]}`, filter.ErrSyntax, ""},
		{`{"field":"a","op":"eq","value":1,"and":[]}`, filter.ErrSyntax, ""},
		{`{"and":[` + leaf + `,{"field":"a","op":"eq","a/b~c":1}]}`, filter.ErrSyntax, "/and/1/a~1b~0c"},
		{`{"field":"a","field":"b","op":"eq","value":1}`, filter.ErrSyntax, "/field"},
		{`{"Field":"a","op":"eq","value":1}`, filter.ErrSyntax, "/Field"},
		{`{"field":7,"op":"eq","value":1}`, filter.ErrSyntax, "/field"},
		{`{"field":"a b","op":"eq","value":1}`, filter.ErrSyntax, "/field"},
		{`{"field":"null","op":"eq","value":1}`, filter.ErrSyntax, "/field"},
		{`{"field":"a","value":1}`, filter.ErrSyntax, "/op"},
		{`{"field":"a","window":"90d","op":"eq","value":1}`, filter.ErrSyntax, "/window"},
		{`{"field":"a","function":"count","of":"b","op":"eq","value":1}`, filter.ErrSyntax, ""},
		{`{"function":"count","op":"eq","value":1}`, filter.ErrSyntax, "/of"},
		{`{"function":1,"of":"b","op":"eq","value":1}`, filter.ErrSyntax, "/function"},
		{`{"function":"total","of":"b","op":"eq","value":1}`, filter.ErrSyntax, "/function"},
		{`{"function":"count","of":"b c","op":"eq","value":1}`, filter.ErrSyntax, "/of"},
		{`{"function":"count","of":"b","window":"90","op":"eq","value":1}`, filter.ErrValue, "/window"},
		{`{"function":"count","of":"b","where":{"field":"x","op":"eq"},"op":"eq","value":1}`, filter.ErrSyntax, "/where/value"},
		{`{"function":"count","of":"b","where":null,"op":"eq","value":1}`, filter.ErrSyntax, "/where"},
		{`{"function":"count","of":"b","where":{"not":{"function":"count","of":"b","op":"eq","value":1}},"op":"eq","value":1}`, filter.ErrSyntax, "/where/not/function"},
		{`{"field":"a","op":"like","value":1}`, filter.ErrSyntax, "/op"},
		{`{"field":"a","op":"eq"}`, filter.ErrSyntax, "/value"},
		{`{"field":"a","op":"lt","value":null}`, filter.ErrSyntax, "/value"},
		{`{"field":"a","op":"lt","value":[1]}`, filter.ErrSyntax, "/value"},
		{`{"field":"a","op":"lt","values":[1]}`, filter.ErrSyntax, "/values"},
		{`{"field":"a","op":"in","value":1}`, filter.ErrSyntax, ""},
		{`{"field":"a","op":"in","values":[]}`, filter.ErrSyntax, "/values"},
		{`{"field":"a","op":"in","values":[1,null]}`, filter.ErrSyntax, "/values/1"},
		{`{"field":"a","op":"is_null","value":1}`, filter.ErrSyntax, "/value"},
		{`{"not":{"or":[{"field":"a","op":"eq","value":1e3}]}}`, filter.ErrValue, "/not/or/0/value"},
		{`{"field":"a","op":"eq","value":"x\u0000"}`, filter.ErrValue, "/value"},
		{`{"field":"a","op":"contains","value":1}`, filter.ErrValue, "/value"},
		{`{"field":"a","op":"in","values":[1` + strings.Repeat(",1", 1000) + `]}`, filter.ErrLimit, "/values"},
		{`{"and":[` + strings.Repeat(leaf+",", 200) + leaf + `]}`, filter.ErrLimit, "/and/200"},
		{strings.Repeat(`{"not":`, 11) + leaf + strings.Repeat(`}`, 11), filter.ErrLimit, strings.Repeat("/not", 10)},
		{strings.Repeat(`{"and":[`, 500) + leaf + strings.Repeat(`]}`, 500), filter.ErrLimit, strings.Repeat("/and/0", 10)},
	} {
		_, err := filter.ParseJSON([]byte(c.raw))
		raw := c.raw[:min(len(c.raw), 200)]
		require.ErrorIs(t, err, c.code, raw)
		f := fault.Of(err)
		require.Equal(t, c.pointer, f.Fields[0].Pointer, raw)
		require.NotEmpty(t, f.Fields[0].Detail.Zh)
	}
}

func TestAllMistakesAreToldAtOnce(t *testing.T) {
	t.Parallel()
	_, err := filter.ParseJSON([]byte(`{"and":[{"field":"a","op":"like","value":1},{"field":"b","op":"eq"},{"nor":[]}]}`))
	f := fault.Of(err)
	require.Len(t, f.Fields, 3)
	require.Equal(t, []string{"eq", "ne", "lt", "lte", "gt", "gte", "in", "not_in", "has", "contains", "starts_with", "is_null", "is_not_null"},
		f.Fields[0].Accepted)
	require.Equal(t, "/and/2/nor", f.Fields[2].Pointer)
}
