package tag

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/rule"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Service keeps tags and who carries them.
//
// Locks are taken customer first, then tag, then group, then the rules, so that no two calls wait for each other. Who puts a tag on
// a customer shares the tag and its group; who changes or deletes those waits for them.
type Service struct {
	db        *postgres.DB
	jobs      *jobs.Service
	engine    *rule.Engine
	customers *customer.Service
	now       func() time.Time
}

// NewService works on db, does its jobs, and adds its rules to the engine.
func NewService(db *postgres.DB, work *jobs.Service, engine *rule.Engine, now func() time.Time) *Service {
	s := &Service{db: db, jobs: work, engine: engine, customers: customer.NewService(db, now), now: now}
	engine.Add(NewRules(now))
	work.Handle(bulkJob, s.bulkWork)
	work.Handle(removalJob, s.removalWork)
	return s
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
	var g Group
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		var err error
		g, err = s.createGroup(ctx, tx, call, d)
		return err
	})
	return g, err
}

func (s *Service) createGroup(ctx context.Context, tx postgres.Tx, call tenant.Call, d GroupDraft) (Group, error) {
	now := s.now()
	g := Group{ID: uuid.Must(uuid.NewV7()), Version: 1, Key: d.Key, Name: strings.TrimSpace(d.Name), Color: d.Color,
		Exclusive: d.Exclusive, Position: d.Position, CreatedAt: now, UpdatedAt: now}
	if g.Color == "" {
		g.Color = defaultColor
	}
	if err := checkName(g.Name); err != nil {
		return Group{}, err
	}
	if err := insertGroup(ctx, tx, call.Tenant.ID, g); err != nil {
		return Group{}, err
	}
	return g, s.record(ctx, tx, call, "tag_group.created", g.ID, nil)
}

// UpdateGroup merges change into the group. A change without effect keeps the version and writes no event. Fails with
// ErrGroupNotFound, patch.ErrVersion, fault.ErrInvalid, rule.ErrCycle, or ErrExclusive while a customer carries two of its tags that
// no condition can take off.
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
		if _, turned := previous["exclusive"]; turned {
			if err := s.again(ctx, tx, call, id); err != nil {
				return err
			}
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

// Query asks for tags.
type Query struct {
	Page     page.Request
	Group    *uuid.UUID // nil for all
	Archived bool       // the archived ones instead
}

// Tags is a page of tags by their groups' order, position and name; those without a group come last.
func (s *Service) Tags(ctx context.Context, t tenant.Tenant, q Query) (page.Of[Tag], error) {
	return list(ctx, s.db, t.ID, q, s.now())
}

// Get is one tag, or ErrNotFound.
func (s *Service) Get(ctx context.Context, t tenant.Tenant, id uuid.UUID) (Tag, error) {
	return get(ctx, s.db, t.ID, id, unlocked, s.now())
}

// Create makes a tag; with a condition, the job that puts it to everybody is answered too. Fails with ErrKeyTaken,
// ErrGroupUnknown, rule.ErrCycle, a fault of the condition, or fault.ErrInvalid.
func (s *Service) Create(ctx context.Context, call tenant.Call, d Draft) (Tag, *jobs.Job, error) {
	var t Tag
	var job *jobs.Job
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		if d.Condition != nil {
			if err := condition.Hold(ctx, tx, call.Tenant.ID); err != nil {
				return err
			}
		}
		var err error
		t, job, err = s.create(ctx, tx, call, d)
		return err
	})
	return t, job, err
}

func (s *Service) create(ctx context.Context, tx postgres.Tx, call tenant.Call, d Draft) (Tag, *jobs.Job, error) {
	now := s.now()
	t := Tag{ID: uuid.Must(uuid.NewV7()), Version: 1, GroupID: d.GroupID, Key: d.Key, Name: strings.TrimSpace(d.Name),
		Description: d.Description, Color: d.Color, Position: d.Position, Condition: d.Condition, CreatedAt: now, UpdatedAt: now}
	if err := checkName(t.Name); err != nil {
		return Tag{}, nil, err
	}
	if err := insert(ctx, tx, call.Tenant.ID, t); err != nil {
		return Tag{}, nil, err
	}
	job, err := s.follow(ctx, tx, call, Tag{ID: t.ID, Key: t.Key, GroupID: t.GroupID}, t)
	if err != nil {
		return Tag{}, nil, err
	}
	return t, job, s.record(ctx, tx, call, "tag.created", t.ID, nil)
}

// Update merges change into the tag; the job is answered that puts another condition, or one that means something else, to
// everybody. A change without effect keeps the version and writes no event. Fails with
// ErrNotFound, patch.ErrVersion, ErrGroupUnknown, ErrKeyTaken, rule.ErrCycle, a fault of the condition, fault.ErrInvalid, ErrRead for
// another key while conditions name the old one, or ErrExclusive when the move would give a customer two tags of an exclusive
// group that no condition can take off.
func (s *Service) Update(ctx context.Context, call tenant.Call, id uuid.UUID, expected patch.Expected, change Change) (Tag, *jobs.Job, error) {
	var t Tag
	var job *jobs.Job
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		job = nil
		if change.Condition != nil || change.Archived != nil {
			if err := condition.Hold(ctx, tx, call.Tenant.ID); err != nil {
				return err
			}
		}
		before, err := get(ctx, tx, call.Tenant.ID, id, changing, s.now())
		if err != nil {
			return err
		}
		if err := expected.Check(before.Version); err != nil {
			return err
		}
		t = before
		previous := change.apply(&t, s.now())
		if err := change.check(t); err != nil || len(previous) == 0 {
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
		if _, renamed := previous["key"]; renamed {
			if err := s.engine.Alone(ctx, tx, call.Tenant); err != nil {
				return err
			}
			if err := unread(ctx, tx, call.Tenant.ID, before.Key); err != nil {
				return err
			}
			// A condition may name the new key already, which nobody had.
			event.Means(ctx, tx, call, condition.Tags+"."+t.Key)
		}
		if job, err = s.follow(ctx, tx, call, before, t); err != nil {
			return err
		}
		return s.record(ctx, tx, call, "tag.updated", id, previous)
	})
	return t, job, err
}

// Delete deletes a tag. Fails with ErrNotFound, patch.ErrVersion, ErrRead while a condition names it, and
// ErrInUse while customers carry it, unless force.
//
// The customers lose it in the same commit however many they are: without its tag an assignment shows nowhere. As no
// transaction changes more than a chunk of customers, a job removes the rows beyond those, and what else the tag leaves.
func (s *Service) Delete(ctx context.Context, call tenant.Call, id uuid.UUID, expected patch.Expected, force bool) error {
	return s.db.InTx(ctx, func(tx postgres.Tx) error {
		held, _, err := holdCarriers(ctx, tx, call.Tenant.ID, id)
		if err != nil {
			return err
		}
		t, err := get(ctx, tx, call.Tenant.ID, id, deleting, s.now())
		if err != nil {
			return err
		}
		if err := expected.Check(t.Version); err != nil {
			return err
		}
		if t.Customers > 0 && !force {
			if err := unread(ctx, tx, call.Tenant.ID, t.Key); err != nil {
				return err
			}
			return ErrInUse.Because(
				fmt.Sprintf("%d customers carry the tag; force=true takes it off them", t.Customers),
				fmt.Sprintf("有 %d 位客户带有该标签；force=true 会将其移除", t.Customers))
		}
		previous := t.document()
		previous["customers"] = t.Customers
		if err := s.drop(ctx, tx, call, t, held); err != nil {
			return err
		}
		return s.record(ctx, tx, call, deleted, id, previous)
	})
}

// drop deletes a locked tag and takes it off those of its carriers that are held; a job removes the rest. Fails with ErrRead.
func (s *Service) drop(ctx context.Context, tx postgres.Tx, call tenant.Call, t Tag, held []uuid.UUID) error {
	if err := s.engine.Alone(ctx, tx, call.Tenant); err != nil {
		return err
	}
	if err := unread(ctx, tx, call.Tenant.ID, t.Key); err != nil {
		return err
	}
	if err := remove(ctx, tx, call.Tenant.ID, t.ID); err != nil {
		return err
	}
	if t.deciding() {
		if _, err := s.engine.Changed(ctx, tx, call, subject, t.ID, true); err != nil {
			return err
		}
	}
	touched, err := takeOff(ctx, tx, call.Tenant.ID, t.ID, held)
	if err != nil {
		return err
	}
	if _, err := s.jobs.Start(ctx, tx, call, jobs.Spec{Kind: removalJob, SubjectType: subject, SubjectID: t.ID.String()}); err != nil {
		return err
	}
	return event.Touched(ctx, tx, call, touched)
}

// Dependents are whose conditions name the tag. Fails with ErrNotFound.
func (s *Service) Dependents(ctx context.Context, t tenant.Tenant, id uuid.UUID) ([]condition.Reader, error) {
	x, err := get(ctx, s.db, t.ID, id, unlocked, s.now())
	if err != nil {
		return nil, err
	}
	return dependents(ctx, s.db, t.ID, x.Key)
}

func dependents(ctx context.Context, q postgres.Querier, tenantID int32, key string) ([]condition.Reader, error) {
	return condition.Readers(ctx, q, tenantID, func(l filter.Leaf) bool {
		return l.Field == condition.Tags && slices.Contains(l.Values, filter.String(key))
	})
}

// unread fails with ErrRead when conditions name the tag.
func unread(ctx context.Context, q postgres.Querier, tenantID int32, key string) error {
	readers, err := dependents(ctx, q, tenantID, key)
	if err != nil || len(readers) == 0 {
		return err
	}
	return condition.Blocks(ErrRead, "tag_id", fault.T("the tag", "该标签"), readers)
}

func (s *Service) record(ctx context.Context, tx postgres.Tx, call tenant.Call, what string, id uuid.UUID, previous map[string]any) error {
	subject, _, _ := strings.Cut(what, ".")
	return event.Record(ctx, tx, call, s.now(), event.Event{Type: what, SubjectType: subject, SubjectID: id.String(),
		Previous: previous})
}

// groupUnknown is ErrGroupUnknown at the member that names the group.
func groupUnknown() *fault.Fault {
	return ErrGroupUnknown.At("/group_id", ErrGroupUnknown.Code, ErrGroupUnknown.Message)
}
