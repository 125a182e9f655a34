package synthetic

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/postgres"
)

// label is a tag and the part of the customers who carry it.
type label struct {
	key, name string
	share     float64
}

// labels by group; group 0 is exclusive.
var labels = [][]label{
	{{"east", "华东", 0.35}, {"south", "华南", 0.22}, {"north", "华北", 0.2}, {"west", "中西部", 0.15}},
	{{"wechat", "微信好友", 0.4}, {"newsletter", "订阅邮件", 0.18}, {"app", "安装应用", 0.12}, {"group_buyer", "团购", 0.03}, {"vip", "VIP", 0.008}},
	{{"tea", "爱茶", 0.09}, {"coffee", "咖啡", 0.06}, {"sport", "运动", 0.05}, {"travel", "旅行", 0.05}, {"baby", "母婴", 0.04},
		{"wine", "红酒", 0.02}, {"books", "读书", 0.02}, {"garden", "园艺", 0.005}, {"opera", "戏曲", 0.001}, {"calligraphy", "书法", 0.0001}},
}

var groups = []struct{ key, name string }{{"region", "区域"}, {"contact", "联系"}, {"interest", "兴趣"}}

func loadTags(ctx context.Context, w *World, tx postgres.Tx) error {
	rng := w.rng(streamTagIDs, 0)
	ids := make([][]uuid.UUID, len(labels))
	for g, in := range labels {
		group := w.id(w.since, rng)
		_, err := tx.Exec(ctx, `INSERT INTO tag_groups (tenant_id, id, version, key, name, color, exclusive, position, created_at, updated_at)
			VALUES ($1, $2, 1, $3, $4, '#2f7ed8', $5, $6, $7, $7)`, w.TenantID, group, groups[g].key, groups[g].name, g == 0, g, w.since)
		if err != nil {
			return err
		}
		for _, t := range in {
			id := w.id(w.since, rng)
			ids[g] = append(ids[g], id)
			_, err := tx.Exec(ctx, `INSERT INTO tags (tenant_id, id, version, group_id, key, name, description, created_at, updated_at)
				VALUES ($1, $2, 1, $3, $4, $5, '', $6, $6)`, w.TenantID, id, group, t.key, t.name, w.since)
			if err != nil {
				return err
			}
		}
	}
	return reload(ctx, tx, []string{"customer_tags"}, func() error {
		err := copyInto(ctx, tx, "customer_tags (tenant_id, customer_id, tag_id, source, actor, reason, expires_at, assigned_at)", func(l *lines) error {
			for i := range w.Customers {
				c := w.someone(i)
				rng := w.rng(streamTags, uint64(i))
				for g, in := range labels {
					at := rng.Float64()
					for t, label := range in {
						if g > 0 {
							at = rng.Float64()
						}
						if at -= label.share; at >= 0 {
							continue
						}
						l.int(int64(w.TenantID)).id(c.ID).id(ids[g][t]).text("manual").text("crm").text("导入")
						if rng.Float64() < 0.05 {
							l.time(w.Until.Add(time.Duration(rng.Float64()*2-0.2) * 365 * 24 * time.Hour))
						} else {
							l.null()
						}
						l.time(c.UpdatedAt).end()
						if g == 0 {
							break
						}
					}
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO tag_carriers (tenant_id, tag_id, change) SELECT ct.tenant_id, ct.tag_id, count(*)
			FROM customer_tags ct JOIN customers c ON c.tenant_id = ct.tenant_id AND c.id = ct.customer_id
			WHERE ct.tenant_id = $1 AND c.deleted_at IS NULL AND c.merged_into IS NULL GROUP BY ct.tenant_id, ct.tag_id`, w.TenantID)
		return err
	})
}
