package httpapi

import (
	"context"
	"fmt"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/jobs"
)

type jobHandlers struct {
	lister
	svc *jobs.Service
}

func (h jobHandlers) ListJobs(ctx context.Context, req apigen.ListJobsRequestObject) (apigen.ListJobsResponseObject, error) {
	q := jobs.Query{Kind: or(req.Params.Kind, ""), Status: each(or(req.Params.Status, nil), func(s apigen.JobStatus) jobs.Status { return jobs.Status(s) })}
	scope := []string{"jobs", q.Kind, fmt.Sprint(q.Status)}
	var err error
	if q.Page, err = h.request(ctx, req.Params.Limit, req.Params.Cursor, scope...); err != nil {
		return nil, err
	}
	p, err := h.svc.List(ctx, callOf(ctx).Tenant, q)
	if err != nil {
		return nil, err
	}
	next, err := h.next(ctx, p.Next, scope...)
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
