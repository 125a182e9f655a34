package httpapi

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/importer"
	"github.com/kezi-io/kezi/internal/page"
)

type imports struct {
	lister
	svc *importer.Service
}

func (h imports) ListImports(ctx context.Context, req apigen.ListImportsRequestObject) (apigen.ListImportsResponseObject, error) {
	p, next, err := paged(ctx, h.lister, req.Params.Limit, req.Params.Cursor, func(r page.Request) (page.Of[importer.Import], error) {
		return h.svc.List(ctx, callOf(ctx).Tenant, r)
	}, "imports")
	return apigen.ListImports200JSONResponse{Items: each(p.Items, importToAPI(ctx)), NextCursor: next, HasMore: next != nil}, err
}

func (h imports) CreateImport(ctx context.Context, req apigen.CreateImportRequestObject) (apigen.CreateImportResponseObject, error) {
	im, err := h.svc.Create(ctx, callOf(ctx), importFromAPI(*req.Body))
	if err != nil {
		return nil, err
	}
	return apigen.CreateImport201JSONResponse{Body: importToAPI(ctx)(im),
		Headers: apigen.CreateImport201ResponseHeaders{ETag: etag(im.Version), Location: ptr("/v1/imports/" + im.ID.String())}}, nil
}

func (h imports) GetImport(ctx context.Context, req apigen.GetImportRequestObject) (apigen.GetImportResponseObject, error) {
	im, err := h.svc.Get(ctx, callOf(ctx).Tenant, req.ImportID)
	if err != nil {
		return nil, err
	}
	return apigen.GetImport200JSONResponse{Body: importToAPI(ctx)(im), Headers: apigen.GetImport200ResponseHeaders{ETag: etag(im.Version)}}, nil
}

func (h imports) PutImportContent(ctx context.Context, req apigen.PutImportContentRequestObject) (apigen.PutImportContentResponseObject, error) {
	gzipped := or(req.Params.ContentEncoding, "") == apigen.PutImportContentParamsContentEncodingGzip
	body := &noted{Reader: req.Body}
	j, err := h.svc.Upload(ctx, callOf(ctx), req.ImportID, body, gzipped)
	switch {
	case err != nil && errors.Is(body.err, os.ErrDeadlineExceeded):
		return nil, errSlow
	case errors.Is(err, importer.ErrTooLarge):
		return nil, errTooLarge.Because("the file is larger than "+sizeText(importer.MaxBytes)+" unpacked",
			"文件解压后超过 "+sizeText(importer.MaxBytes))
	case err != nil:
		return nil, err
	}
	return apigen.PutImportContent202JSONResponse{Body: jobToAPI(j),
		Headers: apigen.PutImportContent202ResponseHeaders{Location: jobLocation(j.ID.String())}}, nil
}

// noted keeps the error that reading ended in, to tell a body that was too slow from one that broke off.
type noted struct {
	io.Reader
	err error
}

func (n *noted) Read(b []byte) (int, error) {
	read, err := n.Reader.Read(b)
	n.err = err
	return read, err
}

func (h imports) ListImportErrors(ctx context.Context, req apigen.ListImportErrorsRequestObject) (apigen.ListImportErrorsResponseObject, error) {
	p, next, err := paged(ctx, h.lister, req.Params.Limit, req.Params.Cursor, func(r page.Request) (page.Of[importer.RowError], error) {
		return h.svc.Errors(ctx, callOf(ctx).Tenant, req.ImportID, r)
	}, "import_errors", req.ImportID.String())
	return apigen.ListImportErrors200JSONResponse{NextCursor: next, HasMore: next != nil,
		Items: each(p.Items, func(e importer.RowError) apigen.ImportError {
			severity := apigen.ImportErrorSeverityError
			if e.Warning {
				severity = apigen.ImportErrorSeverityWarning
			}
			return apigen.ImportError{Line: e.Line, Column: e.Column, Severity: severity, Code: e.Code, Detail: preferred(ctx, e.Detail)}
		})}, err
}

func importFromAPI(c apigen.ImportCreate) importer.Creation {
	return importer.Creation{Type: importer.Type(c.Type), Source: c.Source, Format: string(or(c.Format, "")),
		Encoding: string(or(c.Encoding, "")), Currency: or(c.Currency, ""), Mapping: c.Mapping,
		RegistrationCheck: string(or(c.RegistrationCheck, ""))}
}

func importToAPI(ctx context.Context) func(importer.Import) apigen.Import {
	return func(im importer.Import) apigen.Import {
		out := apigen.Import{ID: im.ID, Version: im.Version, Type: apigen.ImportType(im.Type), Source: im.Source,
			Format: apigen.ImportFormat(im.Format), Encoding: apigen.ImportEncoding(im.Encoding), Mapping: im.Mapping,
			Currency: set(im.Currency), RegistrationCheck: set(apigen.ImportRegistrationCheck(im.RegistrationCheck)), Status: apigen.ImportStatus(im.Status), JobID: im.JobID, ChangeSet: im.ChangeSet, Bytes: im.Bytes,
			Rows: im.Counts.Rows, Created: im.Counts.Created, Updated: im.Counts.Updated, Unchanged: im.Counts.Unchanged,
			Failed: im.Counts.Failed, Warned: &im.Counts.Warned, CustomersCreated: im.Counts.CustomersCreated, CreatedAt: im.CreatedAt, UpdatedAt: im.UpdatedAt}
		if im.Error != nil {
			out.Error = &apigen.JobError{Code: im.Error.Code, Detail: preferred(ctx, im.Error.Detail)}
		}
		return out
	}
}
