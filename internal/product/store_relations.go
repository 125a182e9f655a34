package product

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/postgres"
)

// maxRelations bounds what one product is related to, so that all of it is one answer.
const maxRelations = 1000

// relationRow is a relation with the other product.
type relationRow struct {
	Product   row `gorm:"embedded"`
	Kind      string
	Incoming  bool
	RelatedAt time.Time
}

func relations(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID) ([]Relation, error) {
	var rows []relationRow
	err := q.Session(ctx).Raw(`SELECT p.*, r.kind, r.incoming, r.created_at AS related_at FROM (
			SELECT kind, related_id AS other, false AS incoming, created_at FROM product_relations WHERE tenant_id = ? AND product_id = ?
			UNION ALL
			SELECT kind, product_id, kind <> 'similar', created_at FROM product_relations WHERE tenant_id = ? AND related_id = ?) r
		JOIN products p ON p.tenant_id = ? AND p.id = r.other
		ORDER BY r.kind, r.incoming, p.sku`, tenantID, id, tenantID, id, tenantID).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("list the relations of product %s: %w", id, err)
	}
	all := make([]Relation, len(rows))
	for i, r := range rows {
		all[i] = Relation{Kind: RelationKind(r.Kind), Incoming: r.Incoming, Other: r.Product.product(), CreatedAt: r.RelatedAt.UTC()}
	}
	return all, nil
}

// alone lets one caller at a time change the relations of a tenant.
func alone(ctx context.Context, tx postgres.Tx, tenantID int32) error {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('kezi_product_relations'), $1)`, tenantID); err != nil {
		return fmt.Errorf("wait for others who relate products: %w", err)
	}
	return nil
}

// checkCircle fails with ErrRelationCircle when other is an upgrade of id, however many steps lie between.
func checkCircle(ctx context.Context, tx postgres.Tx, tenantID int32, id, other uuid.UUID) error {
	var circular bool
	err := tx.QueryRow(ctx, `WITH RECURSIVE above (id) AS (
			SELECT related_id FROM product_relations WHERE tenant_id = $1 AND product_id = $2 AND kind = 'upgrade_of'
			UNION
			SELECT r.related_id FROM above a JOIN product_relations r
				ON r.tenant_id = $1 AND r.product_id = a.id AND r.kind = 'upgrade_of')
		SELECT EXISTS (SELECT FROM above WHERE id = $3)`, tenantID, other, id).Scan(&circular)
	switch {
	case err != nil:
		return fmt.Errorf("look for a circle of products: %w", err)
	case circular:
		return ErrRelationCircle
	}
	return nil
}

func checkRoom(ctx context.Context, tx postgres.Tx, tenantID int32, id uuid.UUID) error {
	var n int
	err := tx.QueryRow(ctx, `SELECT count(*) FROM product_relations WHERE tenant_id = $1 AND (product_id = $2 OR related_id = $2)`,
		tenantID, id).Scan(&n)
	switch {
	case err != nil:
		return fmt.Errorf("count the relations of product %s: %w", id, err)
	case n >= maxRelations:
		return ErrRelationsFull
	}
	return nil
}

// relate answers whether the relation is new, and since when it stands.
func relate(ctx context.Context, tx postgres.Tx, tenantID int32, id uuid.UUID, kind RelationKind, other uuid.UUID, now time.Time) (bool, time.Time, error) {
	var at time.Time
	tag, err := tx.Exec(ctx, `INSERT INTO product_relations (tenant_id, product_id, kind, related_id, created_at)
		VALUES ($1, $2, $3, $4, $5) ON CONFLICT ON CONSTRAINT product_relations_pkey DO NOTHING`, tenantID, id, string(kind), other, now)
	if err == nil {
		err = tx.QueryRow(ctx, `SELECT created_at FROM product_relations
			WHERE tenant_id = $1 AND product_id = $2 AND kind = $3 AND related_id = $4`, tenantID, id, string(kind), other).Scan(&at)
	}
	if err != nil {
		return false, at, fmt.Errorf("relate product %s: %w", id, err)
	}
	return tag.RowsAffected() == 1, at.UTC(), nil
}

func unrelate(ctx context.Context, tx postgres.Tx, tenantID int32, id uuid.UUID, kind RelationKind, other uuid.UUID) (bool, error) {
	tag, err := tx.Exec(ctx, `DELETE FROM product_relations WHERE tenant_id = $1 AND product_id = $2 AND kind = $3 AND related_id = $4`,
		tenantID, id, string(kind), other)
	if err != nil {
		return false, fmt.Errorf("unrelate product %s: %w", id, err)
	}
	return tag.RowsAffected() == 1, nil
}
