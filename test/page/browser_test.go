//go:build e2e

package page

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/domsnapshot"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// chromium is a browser that runs.
type chromium struct{ context.Context }

// newBrowser starts one with a profile of its own.
func newBrowser(t *testing.T) *chromium {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.UserDataDir(t.TempDir()),
		chromedp.DisableGPU, chromedp.WSURLReadTimeout(patience))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // root has no user namespace to shut it in
	}
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, closed := chromedp.NewContext(ctx, chromedp.WithErrorf(t.Logf))
	t.Cleanup(closed)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	return &chromium{ctx}
}

// tab is one of the browser's, and what went on in it.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	requests   []string
	complaints []string // of the console, of the policy, and dialogs
}

// view is how somebody looks at a page.
type view struct {
	dark, scriptless bool
	width            int64 // of the window; 1100 unless told
}

// newTab opens a tab; when the test ends it has been quiet.
func newTab(t *testing.T, browser *chromium, v view) *tab {
	t.Helper()
	if v.width == 0 {
		v.width = 1100
	}
	scheme := "light"
	if v.dark {
		scheme = "dark"
	}
	ctx, closed := chromedp.NewContext(browser)
	b := &tab{t: t}
	t.Cleanup(func() {
		closed()
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, c := range b.complaints {
			t.Errorf("the browser says: %s", c)
		}
	})
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	ctx, late := context.WithTimeout(ctx, 2*patience) // eventually has something to say first
	t.Cleanup(late)
	b.ctx = ctx
	call(b, network.Enable, network.EnableParams{})
	call(b, log.Enable, cdp.Empty{})
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: v.width, Height: 900, DeviceScaleFactor: 1})
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: v.scriptless})
	return b
}

func (b *tab) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	case *log.EventEntryAdded:
		b.complaints = append(b.complaints, e.Entry.Text)
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		b.complaints = append(b.complaints, "console."+string(e.Type))
	case *page.EventJavascriptDialogOpening:
		b.complaints = append(b.complaints, "dialog: "+e.Message)
	}
}

func (b *tab) do(action chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, action); err != nil {
		b.t.Fatal(err)
	}
}

// call runs a command of the browser's protocol.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	answer, err := chromedp.Call(b.ctx, command, params)
	if err != nil {
		b.t.Fatalf("%s: %v", command.Method, err)
	}
	return answer
}

// open loads the page, which is the one request there is.
func (b *tab) open(address string) {
	b.t.Helper()
	b.mu.Lock()
	b.requests = nil
	b.mu.Unlock()
	b.do(chromedp.Navigate(address))
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.requests) != 1 || b.requests[0] != address {
		b.t.Errorf("opening %s asks for %q", address, b.requests)
	}
}

// eval asks the page; a promise is waited for.
func eval[T any](b *tab, script string) T {
	b.t.Helper()
	out, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%.200s: %v", script, err)
	}
	return out
}

// layout is what is drawn: each box and text with its place and colours.
func (b *tab) layout() string {
	b.t.Helper()
	snapshot := call(b, domsnapshot.CaptureSnapshot, domsnapshot.CaptureSnapshotParams{ComputedStyles: []string{"color", "background-color", "font-size"}})
	drawn := snapshot.Documents[0].Layout
	var out strings.Builder
	for i := range drawn.NodeIndex {
		fmt.Fprint(&out, drawn.Bounds[i])
		for _, s := range append(drawn.Styles[i], drawn.Text[i].Int64()) {
			if s >= 0 {
				fmt.Fprintf(&out, " %s", snapshot.Strings[s])
			}
		}
		out.WriteString("\n")
	}
	return out.String()
}
