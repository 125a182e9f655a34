package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/schollz/progressbar/v3"

	"github.com/kezi-io/kezi/pkg/client"
)

// shownErrors is how many refused rows are printed; the API lists all.
const shownErrors = 10

type importCmd struct {
	URL      string            `name:"url" env:"KEZI_URL" default:"http://127.0.0.1:8080" help:"Where kezi answers. (${env})"`
	Token    string            `env:"KEZI_TOKEN" required:"" help:"A bearer token with imports:read, imports:write and jobs:read; kezi token prints one. (${env})"`
	Source   string            `required:"" help:"The system that the file comes from; its ids are known under this name."`
	Map      map[string]string `required:"" mapsep:"," placeholder:"FIELD=COLUMN,..." help:"Which column holds which field; a wrong field is answered with the right ones."`
	Currency string            `help:"Of rows without a mapped currency; the tenant's unless given."`
	Encoding string            `enum:"utf-8,gb18030" default:"utf-8" help:"Of the file: ${enum}."`
	Check    string            `name:"registration-check" enum:"refuse,warn," default:"" help:"What a registration number of a company with a wrong check character does: refuse its row (unless told), or warn."`
	Strict   bool              `help:"End with code 1 when a row was refused."`
	Type     string            `arg:"" enum:"transactions,customers" help:"What the rows are: ${enum}."`
	File     string            `arg:"" help:"A CSV file with a header, plain or gzipped."`

	api *client.ClientWithResponses
}

// Run loads the file and ends when its job has: with an error when the job failed, and without one when only rows were
// refused, unless Strict.
func (c *importCmd) Run(ctx context.Context) error {
	var err error
	c.api, err = client.NewClientWithResponses(c.URL, client.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+c.Token)
		return nil
	}))
	if err != nil {
		return fmt.Errorf("%s is not a URL: %w", c.URL, err)
	}
	file, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it is only read
	info, err := file.Stat()
	if err != nil {
		return err
	}
	id, err := c.create(ctx)
	if err != nil {
		return err
	}
	job, err := c.upload(ctx, id, file, info.Size())
	if err != nil {
		if ctx.Err() != nil {
			return errors.New("the upload was stopped; nothing was imported")
		}
		return err
	}
	if err := c.follow(ctx, job); err != nil {
		if ctx.Err() != nil {
			fmt.Fprintf(os.Stderr, "the import goes on without this command; follow it at %s/v1/jobs/%s, or stop it by POST to .../cancel\n",
				strings.TrimSuffix(c.URL, "/"), job.ID)
			return &exitError{code: 130}
		}
		return err
	}
	return c.report(ctx, id)
}

func (c *importCmd) create(ctx context.Context) (uuid.UUID, error) {
	encoding := client.ImportCreateEncoding(c.Encoding)
	body := client.ImportCreate{Type: client.ImportType(c.Type), Source: c.Source, Mapping: c.Map, Encoding: &encoding}
	if c.Currency != "" {
		body.Currency = &c.Currency
	}
	if c.Check != "" {
		check := client.ImportCreateRegistrationCheck(c.Check)
		body.RegistrationCheck = &check
	}
	res, err := c.api.CreateImportWithResponse(ctx, nil, body)
	if err != nil {
		return uuid.Nil, unreachable(err)
	}
	if res.JSON201 == nil {
		return uuid.Nil, problem(res.HTTPResponse, res.Body)
	}
	return res.JSON201.ID, nil
}

func (c *importCmd) upload(ctx context.Context, id uuid.UUID, file io.Reader, size int64) (client.Job, error) {
	bar := newBar("uploading", size, true)
	body, err := zipped(io.TeeReader(file, bar))
	if err != nil {
		return client.Job{}, err
	}
	defer body.Close() //nolint:errcheck // lets the writing side go when the request ended early
	encoding := client.PutImportContentParamsContentEncodingGzip
	res, err := c.api.PutImportContentWithBodyWithResponse(ctx, id, &client.PutImportContentParams{ContentEncoding: &encoding},
		"application/octet-stream", body)
	bar.end()
	if err != nil {
		return client.Job{}, unreachable(err)
	}
	if res.JSON202 == nil {
		return client.Job{}, problem(res.HTTPResponse, res.Body)
	}
	return *res.JSON202, nil
}

// zipped is the file as gzip: as it is when it has gzip's magic number, else packed while it is read.
func zipped(file io.Reader) (io.ReadCloser, error) {
	in := bufio.NewReader(file)
	magic, err := in.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return io.NopCloser(in), nil
	}
	out, w := io.Pipe()
	go func() {
		packed := gzip.NewWriter(w)
		_, err := io.Copy(packed, in)
		w.CloseWithError(errors.Join(err, packed.Close())) //nolint:errcheck // it has none
	}()
	return out, nil
}

// follow waits for the job's end.
func (c *importCmd) follow(ctx context.Context, job client.Job) error {
	const whole = 1000
	bar := newBar("importing", whole, false)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for failures := 0; ; {
		switch job.Status {
		case client.JobStatusSucceeded, client.JobStatusFailed, client.JobStatusCancelled:
			if job.Status == client.JobStatusSucceeded {
				bar.set(whole)
			}
			bar.end()
			return nil
		}
		bar.set(int64(job.Progress * whole))
		select {
		case <-ctx.Done():
			bar.end()
			return ctx.Err()
		case <-tick.C:
		}
		res, err := c.api.GetJobWithResponse(ctx, job.ID, nil)
		switch {
		case err != nil || res.HTTPResponse.StatusCode >= http.StatusInternalServerError:
			// A service that restarts goes on with the job; a minute's patience is enough for that.
			if failures++; failures > 600 && ctx.Err() == nil {
				bar.end()
				return fmt.Errorf("kezi does not answer any more, the import may go on: job %s", job.ID)
			}
		case res.JSON200 == nil:
			bar.end()
			return problem(res.HTTPResponse, res.Body)
		default:
			job, failures = *res.JSON200, 0
		}
	}
}

// report prints what became of the rows.
func (c *importCmd) report(ctx context.Context, id uuid.UUID) error {
	res, err := c.api.GetImportWithResponse(ctx, id, nil)
	if err != nil {
		return unreachable(err)
	}
	if res.JSON200 == nil {
		return problem(res.HTTPResponse, res.Body)
	}
	im := *res.JSON200
	fmt.Printf("import %s %s: %d rows, %d created, %d updated, %d unchanged, %d refused", im.ID, im.Status, im.Rows, im.Created,
		im.Updated, im.Unchanged, im.Failed)
	if im.Type == client.ImportTypeTransactions {
		fmt.Printf("; %d customers created", im.CustomersCreated)
	}
	warned := int64(0)
	if im.Warned != nil {
		warned = *im.Warned
	}
	if warned > 0 {
		fmt.Printf("; %d with a warning", warned)
	}
	fmt.Println()
	if im.Failed+warned > 0 {
		if err := c.printErrors(ctx, im); err != nil {
			return err
		}
	}
	switch {
	case im.Error != nil:
		return errors.New("the import failed: " + im.Error.Detail)
	case im.Status == client.ImportStatusCancelled:
		return errors.New("the import was cancelled; the rows above were imported")
	case im.Status == client.ImportStatusFailed:
		return errors.New("the import failed inside kezi; its log knows more")
	case im.Failed > 0 && c.Strict:
		return fmt.Errorf("%d rows were refused", im.Failed)
	}
	return nil
}

func (c *importCmd) printErrors(ctx context.Context, im client.Import) error {
	limit := client.Limit(shownErrors)
	res, err := c.api.ListImportErrorsWithResponse(ctx, im.ID, &client.ListImportErrorsParams{Limit: &limit})
	if err != nil {
		return unreachable(err)
	}
	if res.JSON200 == nil {
		return problem(res.HTTPResponse, res.Body)
	}
	for _, e := range res.JSON200.Items {
		where := fmt.Sprintf("line %d", e.Line)
		if e.Column != "" {
			where += ", column " + e.Column
		}
		if e.Severity == client.ImportErrorSeverityWarning {
			where += ", taken with a warning"
		}
		fmt.Printf("  %s: %s (%s)\n", where, e.Detail, e.Code)
	}
	if res.JSON200.HasMore {
		fmt.Printf("  and more: GET %s/v1/imports/%s/errors\n", strings.TrimSuffix(c.URL, "/"), im.ID)
	}
	return nil
}

func unreachable(err error) error { return fmt.Errorf("kezi can't be reached: %w", err) }

// problem is an answer that refuses, as a sentence.
func problem(res *http.Response, body []byte) error {
	var p client.Problem
	if err := json.Unmarshal(body, &p); err != nil || p.Detail == "" {
		return errors.New("kezi answered " + res.Status)
	}
	parts := []string{p.Detail}
	if p.Errors != nil {
		for _, place := range *p.Errors {
			where := ""
			if place.Pointer != nil {
				where = strings.TrimPrefix(*place.Pointer, "/") + ": "
			} else if place.Parameter != nil {
				where = *place.Parameter + ": "
			}
			parts = append(parts, where+place.Detail)
		}
	}
	return errors.New(strings.Join(parts, "; "))
}

// bar shows progress on standard error: drawn on a terminal, one line per step elsewhere.
type bar struct {
	name  string
	drawn *progressbar.ProgressBar
}

func newBar(name string, whole int64, bytes bool) *bar {
	b := &bar{name: name}
	if info, err := os.Stderr.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		fmt.Fprintln(os.Stderr, name+" ...")
		return b
	}
	b.drawn = progressbar.NewOptions64(whole, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetDescription(name),
		progressbar.OptionShowBytes(bytes), progressbar.OptionSetWidth(30), progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionSetPredictTime(true))
	return b
}

func (b *bar) Write(p []byte) (int, error) {
	if b.drawn != nil {
		b.drawn.Add(len(p)) //nolint:errcheck // a bar that can't be drawn stops nothing
	}
	return len(p), nil
}

func (b *bar) set(n int64) {
	if b.drawn != nil {
		b.drawn.Set64(n) //nolint:errcheck // as above
	}
}

func (b *bar) end() {
	if b.drawn != nil {
		fmt.Fprintln(os.Stderr)
	}
}
