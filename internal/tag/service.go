package tag

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Service keeps tags and who carries them.
//
// Locks are taken customer first, then tag, then group, so that no two calls wait for each other. Who puts a tag on
// a customer shares the tag and its group; who changes or deletes those waits for them.
type Service struct {
	db        *postgres.DB
	customers *customer.Service
	now       func() time.Time
}

// NewService works on db with the time that now tells.
func NewService(db *postgres.DB, now func() time.Time) *Service {
	return &Service{db: db, customers: customer.NewService(db, now), now: now}
}

// Groups are all groups in their display order.
func (s *Service) Groups(ctx context.Context, t tenant.Tenant) ([]Group, error) {
	return groups(ctx, s.db, t.ID)
}

// Group is one group, or ErrGroupNotFound.
func (s *Service) Group(ctx context.Context, t tenant.Tenant, id uuid.UUID) (Group, error) {
	return getGroup(ctx, s.db, t.ID, id, unlocked)
}

// CreateGroup makes a group. Fails with ErrGroupKeyTaken or fault.ErrInvalid.
func (s *Service) CreateGroup(ctx context.Context, call tenant.Call, d GroupDraft) (Group, error) {
	now := s.now()
	g := Group{ID: uuid.Must(uuid.NewV7()), Version: 1, Key: d.Key, Name: strings.TrimSpace(d.Name), Color: d.Color,
		Exclusive: d.Exclusive, Position: d.Position, CreatedAt: now, UpdatedAt: now}
	if g.Color == "" {
		g.Color = defaultColor
	}
	if err := checkName(g.Name); err != nil {
		return Group{}, err
	}
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		if err := insertGroup(ctx, tx, call.Tenant.ID, g); err != nil {
			return err
		}
		return s.record(ctx, tx, call, "tag_group.created", g.ID, nil)
	})
	return g, err
}

// UpdateGroup merges change into the group. A change without effect keeps the version and writes no event. Fails with
// ErrGroupNotFound, patch.ErrVersion, fault.ErrInvalid, or ErrExclusive while a customer carries two of its tags.
func (s *Service) UpdateGroup(ctx context.Context, call tenant.Call, id uuid.UUID, expected patch.Expected, change GroupChange) (Group, error) {
	var g Group
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		var err error
		if g, err = getGroup(ctx, tx, call.Tenant.ID, id, changing); err != nil {
			return err
		}
		if err := expected.Check(g.Version); err != nil {
			return err
		}
		previous := change.apply(&g)
		if err := checkName(g.Name); err != nil || len(previous) == 0 {
			return err
		}
		if _, turned := previous["exclusive"]; turned && g.Exclusive {
			if err := checkExclusive(ctx, tx, call.Tenant.ID, id, s.now()); err != nil {
				return err
			}
		}
		g.Version++
		g.UpdatedAt = s.now()
		if err := updateGroup(ctx, tx, call.Tenant.ID, g); err != nil {
			return err
		}
		return s.record(ctx, tx, call, "tag_group.updated", id, previous)
	})
	return g, err
}

// DeleteGroup deletes an empty group. Fails with ErrGroupNotFound, patch.ErrVersion or ErrGroupInUse.
func (s *Service) DeleteGroup(ctx context.Context, call tenant.Call, id uuid.UUID, expected patch.Expected) error {
	return s.db.InTx(ctx, func(tx postgres.Tx) error {
		g, err := getGroup(ctx, tx, call.Tenant.ID, id, deleting)
		if err != nil {
			return err
		}
		if err := expected.Check(g.Version); err != nil {
			return err
		}
		n, err := members(ctx, tx, call.Tenant.ID, id)
		if err != nil {
			return err
		}
		if n > 0 {
			return ErrGroupInUse.Because(fmt.Sprintf("the group still has %d tags; delete or move them first", n),
				fmt.Sprintf("该标签组中仍有 %d 个标签，请先删除或移走", n))
		}
		if err := removeGroup(ctx, tx, call.Tenant.ID, id); err != nil {
			return err
		}
		return s.record(ctx, tx, call, "tag_group.deleted", id, g.document())
	})
}

// checkExclusive fails with ErrExclusive when customers carry two tags of the group, which the caller has locked.
// Deleted customers count: one that is brought back must not break the group's promise.
func checkExclusive(ctx context.Context, tx postgres.Tx, tenantID int32, group uuid.UUID, now time.Time) error {
	n, err := doubles(ctx, tx, tenantID, group, now)
	if err != nil || n == 0 {
		return err
	}
	return ErrExclusive.Because(
		fmt.Sprintf("%d customers, deleted ones included, carry two or more tags of the group; take all but one off first", n),
		fmt.Sprintf("有 %d 位客户（含已删除）带有该组的多个标签，请先移除多余的标签", n))
}

// Tags is a page of tags by their groups' order and name; those without a group come last. A group narrows it down.
func (s *Service) Tags(ctx context.Context, t tenant.Tenant, group *uuid.UUID, req page.Request) (page.Of[Tag], error) {
	return list(ctx, s.db, t.ID, group, req, s.now())
}

// Get is one tag, or ErrNotFound.
func (s *Service) Get(ctx context.Context, t tenant.Tenant, id uuid.UUID) (Tag, error) {
	return get(ctx, s.db, t.ID, id, unlocked, s.now())
}

// Create makes a tag. Fails with ErrKeyTaken, ErrGroupUnknown or fault.ErrInvalid.
func (s *Service) Create(ctx context.Context, call tenant.Call, d Draft) (Tag, error) {
	now := s.now()
	t := Tag{ID: uuid.Must(uuid.NewV7()), Version: 1, GroupID: d.GroupID, Key: d.Key, Name: strings.TrimSpace(d.Name),
		Description: d.Description, Color: d.Color, CreatedAt: now, UpdatedAt: now}
	if err := checkName(t.Name); err != nil {
		return Tag{}, err
	}
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		if err := insert(ctx, tx, call.Tenant.ID, t); err != nil {
			return err
		}
		return s.record(ctx, tx, call, "tag.created", t.ID, nil)
	})
	return t, err
}

// Update merges change into the tag. A change without effect keeps the version and writes no event. Fails with
// ErrNotFound, patch.ErrVersion, ErrGroupUnknown, fault.ErrInvalid, or ErrExclusive when the move would give a customer
// two tags of an exclusive group.
func (s *Service) Update(ctx context.Context, call tenant.Call, id uuid.UUID, expected patch.Expected, change Change) (Tag, error) {
	var t Tag
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		var err error
		if t, err = get(ctx, tx, call.Tenant.ID, id, changing, s.now()); err != nil {
			return err
		}
		if err := expected.Check(t.Version); err != nil {
			return err
		}
		previous := change.apply(&t)
		if err := checkName(t.Name); err != nil || len(previous) == 0 {
			return err
		}
		t.Version++
		t.UpdatedAt = s.now()
		if err := update(ctx, tx, call.Tenant.ID, t); err != nil {
			return err
		}
		if _, moved := previous["group_id"]; moved && t.GroupID != nil {
			// Two tags that move into one group at once must see each other: the lock is the stronger one.
			g, err := getGroup(ctx, tx, call.Tenant.ID, *t.GroupID, changing)
			if err != nil {
				return err
			}
			if g.Exclusive {
				if err := checkExclusive(ctx, tx, call.Tenant.ID, g.ID, s.now()); err != nil {
					return err
				}
			}
		}
		return s.record(ctx, tx, call, "tag.updated", id, previous)
	})
	return t, err
}

// Delete deletes a tag. Fails with ErrNotFound, patch.ErrVersion, ErrRead while a condition names it, and
// ErrInUse while customers carry it, unless force.
//
// The customers lose it in the same commit however many they are: without its tag an assignment shows nowhere. As no
// transaction changes more than MaxBulk customers, Tidy removes the rows beyond those.
func (s *Service) Delete(ctx context.Context, call tenant.Call, id uuid.UUID, expected patch.Expected, force bool) error {
	return s.db.InTx(ctx, func(tx postgres.Tx) error {
		t, err := get(ctx, tx, call.Tenant.ID, id, deleting, s.now())
		if err != nil {
			return err
		}
		if err := expected.Check(t.Version); err != nil {
			return err
		}
		if err := checkRead(ctx, tx, call.Tenant.ID, t.Key); err != nil {
			return err
		}
		if t.Customers > 0 && !force {
			return ErrInUse.Because(
				fmt.Sprintf("%d customers carry the tag; force=true takes it off them", t.Customers),
				fmt.Sprintf("有 %d 位客户带有该标签；force=true 会将其移除", t.Customers))
		}
		if err := remove(ctx, tx, call.Tenant.ID, id); err != nil {
			return err
		}
		touched, more, err := takeOff(ctx, tx, call.Tenant.ID, id, MaxBulk)
		if err != nil {
			return err
		}
		if more {
			if err := bury(ctx, tx, call, id, s.now()); err != nil {
				return err
			}
		}
		if err := event.Touched(ctx, tx, call, touched); err != nil {
			return err
		}
		previous := t.document()
		previous["customers"] = t.Customers
		return s.record(ctx, tx, call, "tag.deleted", id, previous)
	})
}

// checkRead fails with ErrRead when the condition of a tier or a segment names the tag.
func checkRead(ctx context.Context, q postgres.Querier, tenantID int32, key string) error {
	readers, err := condition.Readers(ctx, q, tenantID, func(l filter.Leaf) bool {
		return l.Field == "tags" && slices.Contains(l.Values, filter.String(key))
	})
	if err != nil || len(readers) == 0 {
		return err
	}
	names := condition.Names(readers)
	return ErrRead.Because("conditions name the tag; change them first: "+names, "以下条件引用了该标签，请先修改："+names)
}

func (s *Service) record(ctx context.Context, tx postgres.Tx, call tenant.Call, what string, id uuid.UUID, previous map[string]any) error {
	subject, _, _ := strings.Cut(what, ".")
	return event.Record(ctx, tx, call, s.now(), event.Event{Type: what, SubjectType: subject, SubjectID: id.String(),
		Changed: slices.Sorted(maps.Keys(previous)), Previous: previous})
}

// groupUnknown is ErrGroupUnknown at the member that names the group.
func groupUnknown() *fault.Fault {
	return ErrGroupUnknown.At("/group_id", ErrGroupUnknown.Code, ErrGroupUnknown.Message)
}
