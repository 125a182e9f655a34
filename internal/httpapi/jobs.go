package httpapi

import (
	"context"
	"fmt"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/page"
)

type jobHandlers struct {
	lister
	svc *jobs.Service
}

func (h jobHandlers) ListJobs(ctx context.Context, req apigen.ListJobsRequestObject) (apigen.ListJobsResponseObject, error) {
	q := jobs.Query{Kind: or(req.Params.Kind, ""), Status: each(or(req.Params.Status, nil), func(s apigen.JobStatus) jobs.Status { return jobs.Status(s) })}
	p, next, err := paged(ctx, h.lister, req.Params.Limit, req.Params.Cursor, func(r page.Request) (page.Of[jobs.Job], error) {
		q.Page = r
		return h.svc.List(ctx, callOf(ctx).Tenant, q)
	}, "jobs", q.Kind, fmt.Sprint(q.Status))
	return apigen.ListJobs200JSONResponse{Items: each(p.Items, jobToAPI), NextCursor: next, HasMore: next != nil}, err
}

func (h jobHandlers) GetJob(ctx context.Context, req apigen.GetJobRequestObject) (apigen.GetJobResponseObject, error) {
	j, err := h.svc.Get(ctx, callOf(ctx).Tenant, req.JobID)
	if err != nil {
		return nil, err
	}
	return apigen.GetJob200JSONResponse{Body: jobToAPI(j), Headers: apigen.GetJob200ResponseHeaders{ETag: etag(j.Version)}}, nil
}

func (h jobHandlers) CancelJob(ctx context.Context, req apigen.CancelJobRequestObject) (apigen.CancelJobResponseObject, error) {
	j, err := h.svc.Cancel(ctx, callOf(ctx).Tenant, req.JobID)
	if err != nil {
		return nil, err
	}
	return apigen.CancelJob200JSONResponse(jobToAPI(j)), nil
}

func jobToAPI(j jobs.Job) apigen.Job {
	out := apigen.Job{ID: j.ID, Kind: j.Kind, Status: apigen.JobStatus(j.Status), Progress: j.Progress,
		Subject: apigen.Subject{Type: j.SubjectType, ID: j.SubjectID}, Counts: j.Counts, Version: j.Version, ChangeSet: &j.ChangeSet,
		CreatedAt: j.CreatedAt.UTC(), StartedAt: utc(j.StartedAt), FinishedAt: utc(j.FinishedAt)}
	if j.ErrorCode != "" {
		out.Error = &apigen.JobError{Code: j.ErrorCode, Detail: j.ErrorDetail}
	}
	return out
}
