//go:build e2e

package page

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// hostile is a name that is markup, colours a terminal and turns the direction of text.
const hostile = "<script>alert(1)<img src=x onerror=alert(1)>\x1b[31m\u202egnp.exe"

// languages of the page, and what is in it then.
var languages = map[string]string{"en": "Node conditions", "zh": "节点状况"}

func TestHealthy(t *testing.T) {
	browser, h := newBrowser(t), newHost(t, nil)
	everyone(t, browser, h)
	screenshot(t, browser, h, view{}, "status-healthy.png")
}

func TestDrifted(t *testing.T) {
	browser, h := newBrowser(t), newHost(t, drifted)
	everyone(t, browser, h)
	keyboard(t, browser, h)
	selection(t, browser, h)
	screenshot(t, browser, h, view{}, "status-drifted-light.png")
	screenshot(t, browser, h, view{dark: true}, "status-drifted-dark.png")
}

// Names on a host are anybody's: they are shown, and nothing of them is done.
func TestHostileNames(t *testing.T) {
	browser, h := newBrowser(t), newHost(t, map[string]string{"etc/kubernetes/" + hostile: "x\n", "etc/kubernetes/" + strings.Repeat("long", 60): "x\n"})
	everyone(t, browser, h)
	b := newTab(t, browser, view{})
	b.open(h.page)
	text := eval[string](b, `document.body.innerText`)
	if shown := "/etc/kubernetes/" + drift.Printable(hostile); !strings.Contains(text, shown) {
		t.Errorf("%s is not shown:\n%s", shown, text)
	}
	if i := strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) && !strings.ContainsRune("\n\t\u00a0", r) }); i >= 0 {
		t.Errorf("the text has %q", text[i:i+3])
	}
	if n := eval[int](b, `document.querySelectorAll("script, img, iframe, object, [onerror]").length`); n > 0 {
		t.Errorf("%d elements of the name's", n)
	}
}

// everyone holds what is so for each page: for who hears it or sees little, by day and
// by night, in either language, on a telephone, and with scripts forbidden.
func everyone(t *testing.T, browser *chromium, h *host) {
	t.Helper()
	for language, words := range languages {
		address := h.page + "?lang=" + language
		b := newTab(t, browser, view{dark: language == "zh"})
		b.open(address)
		if got := eval[string](b, `document.documentElement.lang`); got != language || !strings.Contains(eval[string](b, `document.body.innerText`), words) {
			t.Errorf("%s is in %s and lacks %q", address, got, words)
		}
		b.accessible(address)
		for _, width := range []int64{320, 400} { // 320 is what WCAG asks for
			b := newTab(t, browser, view{width: width})
			b.open(address)
			if got := eval[int64](b, `document.documentElement.scrollWidth`); got > width {
				t.Errorf("%s: %d wide, and scrolls sideways to %d", address, width, got)
			}
		}
	}
	with, without := newTab(t, browser, view{}), newTab(t, browser, view{scriptless: true})
	eventually(t, "the page is the same without scripts", func() error { // an agent counts on in between
		with.open(h.page)
		without.open(h.page)
		if diff := cmp.Diff(with.layout(), without.layout()); diff != "" {
			return fmt.Errorf("(-with +without):\n%s", diff)
		}
		return nil
	})
}

// accessible is what axe-core says, with all its rules and everything unfolded: no
// violation, nothing that it cannot judge, and contrast was looked at.
func (b *tab) accessible(what string) {
	b.t.Helper()
	axe, err := os.ReadFile(os.Getenv("NODEGUARD_E2E_AXE"))
	if err != nil {
		b.t.Fatal(err)
	}
	eval[chromedp.Void](b, `document.querySelectorAll("details").forEach(d => d.open = true)`)
	eval[chromedp.Void](b, string(axe))
	var verdict struct {
		Passes                 []struct{ ID string }
		Violations, Incomplete []struct {
			ID, Help string
			Nodes    []struct{ HTML, FailureSummary string }
		}
	}
	if err := json.Unmarshal([]byte(eval[string](b, `axe.run().then(JSON.stringify)`)), &verdict); err != nil {
		b.t.Fatal(err)
	}
	for _, v := range append(verdict.Violations, verdict.Incomplete...) {
		b.t.Errorf("%s: %s: %s: %+v", what, v.ID, v.Help, v.Nodes[:min(3, len(v.Nodes))])
	}
	if !slices.ContainsFunc(verdict.Passes, func(p struct{ ID string }) bool { return p.ID == "color-contrast" }) {
		b.t.Errorf("%s: no contrast was looked at: %v", what, verdict.Passes)
	}
}

// keyboard is the way of who has no mouse: Tab comes to the skip link, the other
// language and each command, and shows where it is.
func keyboard(t *testing.T, browser *chromium, h *host) {
	t.Helper()
	b := newTab(t, browser, view{})
	b.open(h.page)
	tab := func() string {
		b.do(chromedp.KeyEvent(kb.Tab))
		if !eval[bool](b, `(e => { const r = e.getBoundingClientRect(); return r.left >= 0 && r.right <= innerWidth && r.bottom > 0 && r.top < innerHeight &&
			getComputedStyle(e).outlineStyle != "none" && parseFloat(getComputedStyle(e).outlineWidth) >= 2 })(document.activeElement)`) {
			t.Errorf("%s has the focus and does not show it", eval[string](b, `document.activeElement.outerHTML`))
		}
		return eval[string](b, `document.activeElement.textContent`)
	}
	commands := h.commands(t)
	got, want := []string{}, append([]string{"Findings", "中文"}, commands...)
	for range want {
		got = append(got, tab())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Tab comes to (-want +got):\n%s", diff)
	}

	b.open(h.page)
	tab()
	b.do(chromedp.KeyEvent(kb.Enter))
	if id := eval[string](b, `document.activeElement.id`); id != "findings" {
		t.Errorf("the skip link leads to %q", id)
	}
	if got := tab(); got != commands[0] {
		t.Errorf("after the skip link comes %q", got)
	}

	b.open(h.page)
	tab()
	tab()
	b.do(chromedp.KeyEvent(kb.Enter))
	b.do(chromedp.WaitVisible(chromedp.CSS(`html[lang=zh] h2`)))
}

// selection is what a click on a command copies: that command, and nothing else.
func selection(t *testing.T, browser *chromium, h *host) {
	t.Helper()
	b := newTab(t, browser, view{})
	b.open(h.page)
	got := []string{}
	commands := h.commands(t)
	for i := range commands {
		b.do(chromedp.Click(chromedp.JSPath(fmt.Sprintf(`document.querySelectorAll("pre")[%d]`, i))))
		got = append(got, eval[string](b, `getSelection().toString()`))
	}
	if diff := cmp.Diff(commands, got); diff != "" {
		t.Errorf("a click selects (-command +selected):\n%s", diff)
	}
}

// commands are those of the report, in its order.
func (h *host) commands(t *testing.T) (out []string) {
	t.Helper()
	r, err := h.report()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		out = append(out, f.Recovery.Commands...)
	}
	if len(out) < 3 {
		t.Fatalf("there are too few commands to tell one from another: %q", out)
	}
	return out
}
