package httpapi_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/app/apptest"
	"github.com/kezi-io/kezi/internal/postgrestest"
)

// browser is a Chromium that can reach this machine alone: a page that needs anything else fails.
func browser(t *testing.T) context.Context {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		if os.Getenv("KEZI_REQUIRE_BROWSER") == "1" {
			t.Fatal("a browser is required and there is none: apt-get install -y chromium")
		}
		t.Skip("no browser here: the test of Swagger UI is left out; apt-get install -y chromium")
	}
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1280, 1600),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.WSURLReadTimeout(60*time.Second))...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 90*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// A person opens Swagger UI, signs in with a token, tries an operation and sees 200.
func TestSwaggerUI(t *testing.T) {
	t.Parallel()
	ctx := browser(t)
	s := apptest.Start(t, postgrestest.DB(t))
	c := s.Client(t)
	foreign := make(chan string, 100)
	chromedp.ListenTarget(ctx, func(event any) {
		if e, ok := event.(*network.EventLoadingFailed); ok {
			foreign <- e.ErrorText
		}
	})
	var status, body string
	var picture []byte
	me := `document.querySelector('[id^="operations-tenant-getMe"]')`
	err := chromedp.Run(ctx, network.Enable(),
		chromedp.Navigate(s.URL+"/docs/"),
		chromedp.WaitVisible(`.btn.authorize`, chromedp.ByQuery),
		chromedp.Click(`.btn.authorize`, chromedp.ByQuery),
		chromedp.WaitVisible(`.auth-container input`, chromedp.ByQuery),
		chromedp.SendKeys(`.auth-container input`, c.Token, chromedp.ByQuery),
		chromedp.Click(`.auth-btn-wrapper .authorize`, chromedp.ByQuery),
		chromedp.WaitVisible(`.auth-btn-wrapper .btn-done`, chromedp.ByQuery),
		chromedp.Click(`.auth-btn-wrapper .btn-done`, chromedp.ByQuery),
		chromedp.EvaluateAsDevTools(`document.querySelector('#operations-tag-tenant button')?.click() ?? null`, nil),
		chromedp.Poll(`!!`+me, nil),
		chromedp.EvaluateAsDevTools(me+`.querySelector('.opblock-summary-control').click() ?? null`, nil),
		chromedp.WaitVisible(`[id^="operations-tenant-getMe"] .execute`, chromedp.ByQuery),
		chromedp.Click(`[id^="operations-tenant-getMe"] .execute`, chromedp.ByQuery),
		chromedp.WaitVisible(`.live-responses-table .response .response-col_status`, chromedp.ByQuery),
		chromedp.Text(`.live-responses-table .response .response-col_status`, &status, chromedp.ByQuery),
		chromedp.Text(`.live-responses-table .response .microlight`, &body, chromedp.ByQuery),
		chromedp.FullScreenshot(&picture, 100),
	)
	if dir := os.Getenv("KEZI_SCREENSHOTS"); dir != "" && picture != nil {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "swagger.png"), picture, 0o600))
	}
	require.NoError(t, err)
	require.Contains(t, status, "200")
	require.Contains(t, body, c.Tenant.Name)
	require.Empty(t, foreign, "the page asked for something that is not here")
}
