package condition

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/postgres"
)

// Reader is something with a condition: a segment, a tag, a tier_scheme, a score_model, or a validation_rule, whose name is
// its key.
type Reader struct{ Type, Key, Name string }

func (r Reader) String() string { return strings.ReplaceAll(r.Type, "_", " ") + " " + r.Key }

// Readers are the things in force that have a condition with a comparison for which reads holds, by type and key. Whoever
// deletes what conditions may name asks here first, and holds it so that nobody names it in the meantime.
func Readers(ctx context.Context, q postgres.Querier, tenantID int32, reads func(filter.Leaf) bool) ([]Reader, error) {
	rows, err := q.Query(ctx, `SELECT 'segment' AS type, key, name, condition FROM segments
			WHERE tenant_id = $1 AND condition IS NOT NULL AND archived_at IS NULL
		UNION ALL
		SELECT 'tag', key, name, condition FROM tags WHERE tenant_id = $1 AND condition IS NOT NULL AND archived_at IS NULL
		UNION ALL
		SELECT 'tier_scheme', s.key, s.name, r.condition FROM tier_schemes s
			JOIN tiers r ON r.tenant_id = s.tenant_id AND r.scheme_id = s.id AND r.condition IS NOT NULL WHERE s.tenant_id = $1
		UNION ALL
		SELECT 'tier_scheme', s.key, s.name, r.keep FROM tier_schemes s
			JOIN tiers r ON r.tenant_id = s.tenant_id AND r.scheme_id = s.id AND r.keep IS NOT NULL WHERE s.tenant_id = $1
		UNION ALL
		SELECT 'score_model', m.key, m.name, r -> 'condition' FROM score_models m CROSS JOIN LATERAL jsonb_array_elements(m.params -> 'rules') r
			WHERE m.tenant_id = $1 AND m.kind = 'rules'
		UNION ALL
		SELECT 'validation_rule', name, name, condition FROM validation_rules WHERE tenant_id = $1 AND condition IS NOT NULL
		ORDER BY type, key`, tenantID)
	if err != nil {
		return nil, fmt.Errorf("look for conditions: %w", err)
	}
	defer rows.Close()
	found := []Reader{}
	for rows.Next() {
		var r Reader
		var raw json.RawMessage
		if err := rows.Scan(&r.Type, &r.Key, &r.Name, &raw); err != nil {
			return nil, fmt.Errorf("look for conditions: %w", err)
		}
		n, err := filter.ParseJSON(raw)
		if err != nil {
			return nil, fmt.Errorf("read the condition of %s: %w", r, err)
		}
		if slices.ContainsFunc(filter.Comparisons(n), reads) && !slices.Contains(found, r) {
			found = append(found, r)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("look for conditions: %w", err)
	}
	return found, nil
}

// readerTypes are what people call the types of readers.
var readerTypes = map[string]string{"segment": "客户细分", "tag": "标签", "tier_scheme": "分层方案", "score_model": "评分模型", "validation_rule": "校验规则"}

// Blocks is f with the readers because of which what, that a path parameter names, cannot go.
func Blocks(f *fault.Fault, parameter string, what fault.Text, readers []Reader) error {
	chinese := make([]string, len(readers))
	for i, r := range readers {
		chinese[i] = readerTypes[r.Type] + "“" + cmp.Or(r.Name, r.Key) + "”"
	}
	detail := fault.T("conditions name "+what.En+"; change them first: "+strings.Join(names(readers), ", "),
		"以下条件引用了"+what.Zh+"，请先修改："+strings.Join(chinese, "、"))
	return f.Because(detail.En, detail.Zh).AtParameter(parameter, "in_use", detail, names(readers)...)
}

func names(readers []Reader) []string {
	all := make([]string, len(readers))
	for i, r := range readers {
		all[i] = r.String()
	}
	return all
}

// ReaderNames are Readers as those read them who only name them.
func ReaderNames(ctx context.Context, q postgres.Querier, tenantID int32, reads func(filter.Leaf) bool) ([]string, error) {
	readers, err := Readers(ctx, q, tenantID, reads)
	return names(readers), err
}
