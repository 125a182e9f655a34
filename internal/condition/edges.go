package condition

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/postgres"
)

// Edges are what everything in force that decides about customers reads, by the fields that it decides, as Reads names
// them: segments.vip reads scores.loyalty. Tags of an exclusive group read by way of a node for the group.
func Edges(ctx context.Context, q postgres.Querier, tenantID int32) (map[string][]string, error) {
	rows, err := q.Query(ctx, `SELECT 'segments.' || key, condition, NULL FROM segments WHERE tenant_id = $1 AND condition IS NOT NULL AND archived_at IS NULL
		UNION ALL
		SELECT CASE WHEN g.exclusive THEN '`+group+`' || g.id ELSE 'tags.' || t.key END, t.condition, NULL
			FROM tags t LEFT JOIN tag_groups g ON g.tenant_id = t.tenant_id AND g.id = t.group_id
			WHERE t.tenant_id = $1 AND t.condition IS NOT NULL AND t.archived_at IS NULL
		UNION ALL
		SELECT 'tags.' || t.key, NULL, '`+group+`' || g.id FROM tags t JOIN tag_groups g ON g.tenant_id = t.tenant_id AND g.id = t.group_id AND g.exclusive
			WHERE t.tenant_id = $1
		UNION ALL
		SELECT 'tiers.' || s.key, x.condition, NULL FROM tier_schemes s JOIN tiers r ON r.tenant_id = s.tenant_id AND r.scheme_id = s.id
			CROSS JOIN LATERAL (VALUES (r.condition), (r.keep)) x (condition) WHERE s.tenant_id = $1 AND x.condition IS NOT NULL
		UNION ALL
		SELECT 'scores.' || m.key, r -> 'condition', NULL FROM score_models m CROSS JOIN LATERAL jsonb_array_elements(m.params -> 'rules') r
			WHERE m.tenant_id = $1 AND m.kind = 'rules'
		UNION ALL
		SELECT 'scores.' || m.key, NULL, 'scores.' || (p ->> 'score') FROM score_models m CROSS JOIN LATERAL jsonb_array_elements(m.params -> 'parts') p
			WHERE m.tenant_id = $1
		UNION ALL
		SELECT 'scores.' || key, NULL, 'scores.' || (params ->> 'clv_model') FROM score_models WHERE tenant_id = $1 AND params ->> 'clv_model' <> ''`, tenantID)
	if err != nil {
		return nil, fmt.Errorf("read what conditions depend on: %w", err)
	}
	defer rows.Close()
	edges := map[string][]string{}
	for rows.Next() {
		var name string
		var raw json.RawMessage
		var reads *string
		if err := rows.Scan(&name, &raw, &reads); err != nil {
			return nil, fmt.Errorf("read what conditions depend on: %w", err)
		}
		if reads != nil {
			edges[name] = append(edges[name], *reads)
			continue
		}
		n, err := filter.ParseJSON(raw)
		if err != nil {
			return nil, fmt.Errorf("read the condition of %s: %w", name, err)
		}
		edges[name] = append(edges[name], Reads(n)...)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read what conditions depend on: %w", err)
	}
	return edges, nil
}

// group begins the names of the nodes of exclusive groups.
const group = "tag_group "

// Circle is the way by which a field depends on itself, it being the first and the last; nil when it does not.
func Circle(edges map[string][]string, from string) []string {
	seen := map[string]bool{}
	var path []string
	var walk func(name string) bool
	walk = func(name string) bool {
		path = append(path, name)
		for _, next := range edges[name] {
			if next == from {
				path = append(path, next)
				return true
			}
			if !seen[next] {
				seen[next] = true
				if walk(next) {
					return true
				}
			}
		}
		path = path[:len(path)-1]
		return false
	}
	if !walk(from) {
		return nil
	}
	return slices.DeleteFunc(path, func(name string) bool { return strings.HasPrefix(name, group) })
}
