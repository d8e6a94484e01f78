package web_test

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/export/web"
)

var at = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// drifted is a node with one of everything.
func drifted(l drift.Language) web.Status {
	if l == "" {
		l = drift.English
	}
	title := "IP forwarding turned off"
	if l == drift.Chinese {
		title = "关闭 IP 转发"
	}
	actor := &drift.Actor{PID: 4711, Comm: "sysctl", Command: "sysctl -w net.ipv4.ip_forward=0", LoginUID: 1000, Pod: "default/breaker", At: at}
	return web.Status{
		Language: l, Version: "1.2.3",
		Report: drift.Report{
			Node: "n1", Profile: "ack", GeneratedAt: at,
			Conditions: []drift.Condition{
				{Type: "KernelParameterDrift", Status: drift.True, Reason: drift.ReasonOutOfSupport, LastTransitionTime: at},
				{Type: drift.NodeOutOfSupport, Status: drift.True, Reason: drift.ReasonOutOfSupport, LastTransitionTime: at},
			},
			Findings: []drift.FindingReport{{
				ID: "9f2c", Operation: "ack.net.ip-forward", Condition: "KernelParameterDrift", Subject: "net.ipv4.ip_forward", Observed: "0", Supported: "1",
				State: drift.Active, Severity: drift.Critical, Since: at, Title: title, Impact: "no container network",
				Recovery: drift.RecoveryReport{Text: "Set it back", Commands: []string{"sysctl -w net.ipv4.ip_forward=1"}, Class: drift.Revert},
				Source:   drift.Source{Document: "High-risk operations", Section: "Network"}, Actor: actor,
				Waiver: &drift.WaiverReport{Reason: "CHG-1", Owner: "net-team"},
			}},
			Unknown: []drift.UnknownReport{{Operation: "ack.x", Reason: "no permission", Hint: "run as root"}},
		},
		Sources: []web.Source{{Check: "sysctl", Name: "bpf-sysctl", Mode: drift.Off, Why: "no CAP_SYS_ADMIN", Events: 3, Lost: 2, Errors: 1}},
		History: []web.Happening{{At: at, Event: "raise", Operation: "ack.net.ip-forward", Subject: "net.ipv4.ip_forward", Observed: "0", Actor: actor}},
	}
}

func pageOf(t *testing.T, status func(drift.Language) web.Status, path string) string {
	t.Helper()
	o := working()
	o.Status = status
	w := ask(o, here, path, nil)
	if w.Code != 200 || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	return w.Body.String()
}

func TestPageShowsAll(t *testing.T) {
	page := pageOf(t, drifted, "/")
	for _, want := range []string{
		`<html lang="en">`, "<title>nodeguard: n1</title>", `<p class="verdict true" role="status">Out of support</p>`, "2026-01-02 03:04:05 UTC",
		"IP forwarding turned off", "<code>net.ipv4.ip_forward</code>", "<code>sysctl -w net.ipv4.ip_forward=1</code>", "no container network", "Set it back",
		"sysctl (pid 4711, uid 0, login uid 1000, pod default/breaker)", "<code>sysctl -w net.ipv4.ip_forward=0</code>", "High-risk operations, Network",
		"waived: CHG-1 (net-team)", "no permission", "run as root", "all of it", "KernelParameterDrift", "bpf-sysctl", "no CAP_SYS_ADMIN", "<td>raise</td>", "nodeguard 1.2.3",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// What is to be done comes first, and is counted; what is waived comes last.
func TestWhatIsWaivedComesLast(t *testing.T) {
	page := pageOf(t, func(l drift.Language) web.Status {
		s := drifted(l)
		pressing := s.Report.Findings[0]
		pressing.ID, pressing.Waiver, pressing.Severity, pressing.Title = "a1b2", nil, drift.Warning, "to be done"
		s.Report.Findings = append(s.Report.Findings, pressing)
		return s
	}, "/")
	if first, last := strings.Index(page, "to be done"), strings.Index(page, "IP forwarding turned off"); first < 0 || last < first {
		t.Errorf("at %d what is to be done, at %d what is waived", first, last)
	}
	for _, want := range []string{"Findings (2)", "<strong>1</strong> warning", "<strong>1</strong> waived"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page, "</strong> critical") {
		t.Error("what is waived is counted as critical")
	}
}

func TestPageInTwoLanguages(t *testing.T) {
	for path, want := range map[string]string{"/": "IP forwarding turned off", "/?lang=en": "IP forwarding turned off", "/?lang=zh": "关闭 IP 转发", "/?lang=xx": "IP forwarding turned off"} {
		if page := pageOf(t, drifted, path); !strings.Contains(page, want) {
			t.Errorf("%s lacks %q", path, want)
		}
	}
	page := pageOf(t, drifted, "/?lang=zh")
	if left := regexp.MustCompile(`<(?:h2|dt|th)[^>]*>[A-Za-z ]+<`).FindAllString(page, -1); len(left) > 2 { // the names of conditions and sources
		t.Errorf("not translated: %q", left)
	}
}

func TestPageOfTheAgentsLanguage(t *testing.T) {
	o := working()
	o.Status = func(asked drift.Language) web.Status { return drifted(cmp.Or(asked, drift.Chinese)) }
	if w := ask(o, here, "/", nil); w.Header().Get("Content-Language") != "zh" || !strings.Contains(w.Body.String(), `href="?lang=en"`) {
		t.Errorf("%v", w.Header())
	}
}

func TestPageBeforeTheFirstPass(t *testing.T) {
	page := pageOf(t, func(drift.Language) web.Status { return web.Status{} }, "/")
	if !strings.Contains(page, "The first full pass is not over.") || strings.Contains(page, "0001") {
		t.Error(page)
	}
}

func TestVerdicts(t *testing.T) {
	for want, c := range map[string]drift.Condition{
		`verdict false" role="status">In support<`:               {Status: drift.False, Reason: drift.ReasonInSupport},
		`verdict unknown" role="status">Cannot tell<`:            {Status: drift.Unknown, Reason: drift.ReasonCannotObserve},
		`verdict false" role="status">In support (Maintenance)<`: {Status: drift.False, Reason: "Maintenance"},
	} {
		c.Type = drift.NodeOutOfSupport
		page := pageOf(t, func(drift.Language) web.Status {
			return web.Status{Report: drift.Report{GeneratedAt: at, Conditions: []drift.Condition{c}}}
		}, "/")
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// Names on the host are anybody's; none of them becomes markup.
func TestHostileNames(t *testing.T) {
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>`
	page := pageOf(t, func(l drift.Language) web.Status {
		s := drifted(l)
		f := &s.Report.Findings[0]
		f.Subject, f.Observed, f.Supported, f.ID, f.Recovery.Commands = evil, evil, evil, evil, []string{evil}
		f.Actor = &drift.Actor{Comm: evil, Command: evil, Pod: evil, Container: evil}
		f.Severity = drift.Severity(evil)
		s.Report.Node, s.Report.Profile, s.Sources[0].Why, s.History[0].Subject = evil, evil, evil, evil
		return s
	}, "/?lang="+`%22%3E%3Cscript%3E`)
	if strings.Contains(page, "<script") || strings.Contains(page, "<img") {
		t.Error(page)
	}
}

// The page loads nothing and runs nothing; its own style is the one thing that applies.
func TestPagePolicy(t *testing.T) {
	o := working()
	o.Status = drifted
	w := ask(o, here, "/", nil)
	page := w.Body.String()
	style := page[strings.Index(page, "<style>")+len("<style>") : strings.Index(page, "</style>")]
	sum := sha256.Sum256([]byte(style))
	want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	if got := w.Header().Get("Content-Security-Policy"); got != want {
		t.Errorf("%s\n%s", got, want)
	}
	if strings.Contains(page, "style=") || strings.Contains(page, "//") || strings.Contains(page, "<script") {
		t.Error("the page has a style of an element, a script, or an address elsewhere")
	}
}

func TestPageIsWellFormed(t *testing.T) {
	for _, s := range []web.Status{{}, drifted(drift.English)} {
		page := pageOf(t, func(drift.Language) web.Status { return s }, "/")
		page = regexp.MustCompile(`<(meta|br)([^>]*)>`).ReplaceAllString(page, "<$1$2/>")
		d := xml.NewDecoder(strings.NewReader(page))
		d.Entity = xml.HTMLEntity
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
}
