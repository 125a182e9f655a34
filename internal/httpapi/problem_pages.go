package httpapi

import (
	"html/template"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/kezi-io/kezi/internal/fault"
)

var problemTemplate = template.Must(template.New("problem").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{.Title}}</title>
<style>body{font:16px/1.6 system-ui,sans-serif;max-width:46rem;margin:3rem auto;padding:0 1rem;color:#1e293b}
code{background:#f1f5f9;padding:.1em .3em;border-radius:.2em}table{border-collapse:collapse}td{padding:.2em 1em .2em 0;vertical-align:top}</style>
<h1>{{.Title}}</h1>
<table>{{range .Faults}}<tr><td><a href="/problems/{{.Code}}"><code>{{.Code}}</code></a><td>{{.Status}}<td>{{.En}}<br>{{.Zh}}{{end}}</table>
{{if .Single}}<p>Every answer that carries this code is an <a href="/problems">RFC 9457</a> problem; its <code>detail</code> says more
about the one request, and <code>errors</code> points at each wrong place.<p><a href="/problems">All codes</a>{{end}}
`))

type problemRow struct {
	Code, En, Zh string
	Status       int
}

func showProblems(c echo.Context, title string, single bool, faults ...*fault.Fault) error {
	rows := each(faults, func(f *fault.Fault) problemRow {
		return problemRow{f.Code, f.Message.En, f.Message.Zh, statusOf[f.Kind]}
	})
	c.Response().Header().Set(echo.HeaderContentType, echo.MIMETextHTMLCharsetUTF8)
	c.Response().Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	c.Response().WriteHeader(http.StatusOK)
	return problemTemplate.Execute(c.Response(), map[string]any{"Title": title, "Faults": rows, "Single": single})
}

func problemPage(c echo.Context) error {
	code := c.Param("code")
	all := fault.Catalogue()
	i := slices.IndexFunc(all, func(f *fault.Fault) bool { return f.Code == code })
	if i < 0 {
		return errNoRoute
	}
	return showProblems(c, "Problem "+code, true, all[i])
}

func problemIndex(c echo.Context) error {
	return showProblems(c, "Problems 错误代码", false, fault.Catalogue()...)
}
