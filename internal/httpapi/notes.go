package httpapi

import (
	"context"
	"fmt"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/note"
	"github.com/kezi-io/kezi/internal/page"
)

type notes struct {
	lister
	svc *note.Service
}

func (h notes) ListNotes(ctx context.Context, req apigen.ListNotesRequestObject) (apigen.ListNotesResponseObject, error) {
	kinds := each(or(req.Params.Kind, nil), func(k apigen.NoteKind) note.Kind { return note.Kind(k) })
	p, next, err := paged(ctx, h.lister, req.Params.Limit, req.Params.Cursor, func(r page.Request) (page.Of[note.Note], error) {
		return h.svc.Kinds(ctx, callOf(ctx).Tenant, req.CustomerID, kinds, r)
	}, "notes", req.CustomerID.String(), fmt.Sprint(kinds))
	return apigen.ListNotes200JSONResponse{Items: each(p.Items, noteToAPI), NextCursor: next, HasMore: next != nil}, err
}

func (h notes) CreateNote(ctx context.Context, req apigen.CreateNoteRequestObject) (apigen.CreateNoteResponseObject, error) {
	b := req.Body
	n, err := h.svc.Create(ctx, callOf(ctx), req.CustomerID, note.Draft{Kind: note.Kind(or(b.Kind, "")), Body: b.Body,
		Pinned: or(b.Pinned, false), OccurredOn: dayOrNil(b.OccurredOn)})
	if err != nil {
		return nil, err
	}
	return apigen.CreateNote201JSONResponse{Body: noteToAPI(n), Headers: apigen.CreateNote201ResponseHeaders{
		ETag: etag(n.Version), Location: ownedLocation(n.Base, "notes")}}, nil
}

func (h notes) GetNote(ctx context.Context, req apigen.GetNoteRequestObject) (apigen.GetNoteResponseObject, error) {
	n, err := h.svc.Get(ctx, callOf(ctx).Tenant, req.CustomerID, req.NoteID)
	if err != nil {
		return nil, err
	}
	return apigen.GetNote200JSONResponse{Body: noteToAPI(n), Headers: apigen.GetNote200ResponseHeaders{ETag: etag(n.Version)}}, nil
}

func (h notes) PatchNote(ctx context.Context, req apigen.PatchNoteRequestObject) (apigen.PatchNoteResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	b := req.Body
	c := note.Change{Body: b.Body, Pinned: b.Pinned, OccurredOn: field(b.OccurredOn, dayFromAPI)}
	if b.Kind != nil {
		c.Kind = ptr(note.Kind(*b.Kind))
	}
	n, err := h.svc.Update(ctx, callOf(ctx), req.CustomerID, req.NoteID, expected, c)
	if err != nil {
		return nil, err
	}
	return apigen.PatchNote200JSONResponse{Body: noteToAPI(n), Headers: apigen.PatchNote200ResponseHeaders{ETag: etag(n.Version)}}, nil
}

func (h notes) DeleteNote(ctx context.Context, req apigen.DeleteNoteRequestObject) (apigen.DeleteNoteResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	return apigen.DeleteNote204Response{}, h.svc.Delete(ctx, callOf(ctx), req.CustomerID, req.NoteID, expected)
}

func noteToAPI(n note.Note) apigen.Note {
	out := apigen.Note{ID: n.ID, Version: n.Version, CustomerID: n.CustomerID, Kind: apigen.NoteKind(n.Kind), Body: n.Body,
		Pinned: n.Pinned, Author: n.Author, CreatedAt: n.CreatedAt, UpdatedAt: n.UpdatedAt}
	if n.OccurredOn != nil {
		out.OccurredOn = ptr(dayToAPI(*n.OccurredOn))
	}
	return out
}
