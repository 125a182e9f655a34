// Package jobs is long work: a row that callers follow, and a River job that does it. Both are written in the
// transaction of the change that asks for the work, so the work exists exactly when the change does.
package jobs

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Status is where a job stands.
type Status string

// A job ends in one of the last three.
const (
	Queued    Status = "queued"
	Running   Status = "running"
	Succeeded Status = "succeeded"
	Failed    Status = "failed"
	Cancelled Status = "cancelled"
)

// Ended reports whether nothing more will happen.
func (s Status) Ended() bool { return s == Succeeded || s == Failed || s == Cancelled }

var (
	ErrNotFound = fault.New(fault.NotFound, "job_not_found", "no such job", "没有这个任务")
	// errKills ends a job whose workers die of it, over and over.
	errKills = fault.New(fault.Internal, "job_never_ends", "the job was begun many times and its worker never ended it",
		"任务多次启动但始终未能结束")
	// errLost ends a worker whose job another one has taken over, or that was cancelled.
	errLost = fault.New(fault.Conflict, "job_lost", "the job was cancelled or taken over", "任务已被取消或由其他进程接手")
)

// Job is one piece of long work.
type Job struct {
	ID          uuid.UUID
	Kind        string
	Status      Status
	Progress    float64 // 0 to 1
	SubjectType string  // what it works on
	SubjectID   string
	Counts      map[string]int64
	ErrorCode   string // of a failed job; a fault's code, or internal
	ErrorDetail string
	Actor       string
	ChangeSet   uuid.UUID
	Attempt     int
	Version     int64
	CreatedAt   time.Time
	StartedAt   *time.Time
	FinishedAt  *time.Time
}

// Spec is what a job should do. The kind's handler reads everything else from the subject.
type Spec struct{ Kind, SubjectType, SubjectID string }

// Handler does a job. It may run twice, on another machine, after a crash in the middle: it acts on the state that it
// finds. A fault fails the job with its code; any other error is tried again.
type Handler func(ctx context.Context, run *Run) error

// Run is one attempt at a job.
type Run struct {
	Job     Job
	Call    tenant.Call
	service *Service
}
