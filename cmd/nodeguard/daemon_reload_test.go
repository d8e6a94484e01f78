package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nodeguard/nodeguard/internal/agent"
	"github.com/nodeguard/nodeguard/internal/config"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/hosttest"
	"github.com/nodeguard/nodeguard/internal/journal"
)

// configMap is a volume of one, swapped as the kubelet does: by one rename of a link.
type configMap struct {
	t       *testing.T
	dir     string
	version int
}

func (c *configMap) file() string { return filepath.Join(c.dir, "nodeguard.yaml") }

func (c *configMap) update(content string) {
	c.t.Helper()
	c.version++
	data := fmt.Sprintf("..%d", c.version)
	hosttest.Write(c.t, c.dir, filepath.Join(data, "nodeguard.yaml"), content)
	c.link(data, "..data_tmp")
	if err := os.Rename(filepath.Join(c.dir, "..data_tmp"), filepath.Join(c.dir, "..data")); err != nil {
		c.t.Fatal(err)
	}
	if c.version == 1 {
		c.link("..data/nodeguard.yaml", "nodeguard.yaml")
		return
	}
	if err := os.RemoveAll(filepath.Join(c.dir, fmt.Sprintf("..%d", c.version-1))); err != nil {
		c.t.Fatal(err)
	}
}

func (c *configMap) link(target, name string) {
	c.t.Helper()
	if err := os.Symlink(target, filepath.Join(c.dir, name)); err != nil {
		c.t.Fatal(err)
	}
}

// The whole way of a configuration through a running agent: taken at the swap,
// intervals included; refused with the last good one kept; states accepted by it.
func TestAgentFollowsAConfigMap(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	agentHost(t)
	hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "1")
	hosttest.Write(t, "/", "/var/lib/kubelet/config.yaml", "maxPods: 110\n")
	c := &configMap{t: t, dir: t.TempDir()}
	c.update("intervals: {baselineSettle: 24h}\n")
	a := startUnsettled(t, "--config", c.file(), "--web.listen-address", "127.0.0.1:19639")
	defer a.cancel()
	a.wait(`"msg":"raised"`, "tcp_tw_reuse")

	c.update("disabled: [ack.net.tcp-tw-reuse]\nintervals: {baselineSettle: 1s, resync: 10s}\n")
	a.wait(`"msg":"configuration taken"`)
	a.wait(`"msg":"cleared"`, "tcp_tw_reuse")
	a.wait(`"msg":"baseline recorded"`) // which a day would not have been enough for

	c.update("disabled: []\nintervals: {resync: often}\n")
	if got := a.wait(`"level":"ERROR"`, "last good one stays")["error"].(string); !strings.Contains(got, `intervals: resync: "often" is no duration`) {
		t.Errorf("said %q", got)
	}
	settled := componentsDigest(t)
	replaceKubeletConfig(t, "maxPods: 200\n")
	for {
		subject := a.wait(`"msg":"raised"`)["subject"]
		if subject == "kubelet config maxPods" {
			break
		}
		if subject != "/var/lib/kubelet/config.yaml" {
			t.Errorf("raised %v under a configuration that was refused", subject)
		}
	}

	shown := componentsDigest(t)
	for shown == settled { // what is said of a pass comes before what it shows
		shown = componentsDigest(t)
	}
	c.update(fmt.Sprintf("disabled: [ack.net.tcp-tw-reuse]\naccept: [{scope: components, digest: %q, reason: CHG-8}]\n", shown))
	a.wait(`"msg":"baseline recorded"`, "CHG-8")
	if got := a.wait(`"msg":"cleared"`)["subject"]; got != "kubelet config maxPods" {
		t.Errorf("cleared %v", got)
	}
	replaceKubeletConfig(t, "maxPods: 201\n")
	a.wait(`"msg":"raised"`, `"subject":"kubelet config maxPods"`) // that is another state
	a.stop()
	if !journalled(t, journal.Accepted, "CHG-8") {
		t.Error("the journal does not tell of it")
	}
}

// componentsDigest is what the metric shows.
func componentsDigest(t *testing.T) string {
	t.Helper()
	shown := regexp.MustCompile(`nodeguard_baseline_info{digest="([^"]+)",scope="components"}`).FindSubmatch(get(t, "/metrics"))
	if shown == nil {
		t.Fatal("the metric does not show the digest")
	}
	return string(shown[1])
}

// replaceKubeletConfig never shows half a file.
func replaceKubeletConfig(t *testing.T, content string) {
	t.Helper()
	hosttest.Write(t, "/", "/var/lib/config.yaml", content)
	if err := os.Rename("/var/lib/config.yaml", "/var/lib/kubelet/config.yaml"); err != nil {
		t.Fatal(err)
	}
}

func journalled(t *testing.T, event journal.Event, detail string) bool {
	t.Helper()
	root, err := host.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	entries, _, err := journal.Read(root)
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(entries, func(e journal.Entry) bool { return e.Event == event && strings.Contains(e.Detail, detail) })
}

func TestFlagGoesBeforeTheFile(t *testing.T) {
	for _, c := range []struct {
		named      bool
		file, want time.Duration
	}{
		{named: false, file: 0, want: 10 * time.Minute},
		{named: false, file: time.Hour, want: time.Hour},
		{named: true, file: time.Hour, want: 10 * time.Minute},
	} {
		d := &daemon{session: &session{}, flags: &agentOptions{baselineSettle: 10 * time.Minute, settleNamed: c.named}}
		d.config.Intervals.BaselineSettle = c.file
		if got := d.settleAfter(); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// A settling node goes on settling over a reload that does not concern it.
func TestReloadKeepsSettling(t *testing.T) {
	d := &daemon{session: &session{}, flags: &agentOptions{baselineSettle: time.Minute}}
	d.adopt(d.session)
	was := d.settler
	d.adopt(&session{config: config.Config{NodePortRange: "1-2"}})
	if d.settler != was {
		t.Error("it began anew")
	}
	d.adopt(&session{config: config.Config{Settings: config.Settings{Intervals: config.Intervals{BaselineSettle: time.Hour}}}})
	if d.settler == was {
		t.Error("the interval is not used")
	}
}

// Whatever the interval, a check keeps its sources, its poll and its own net.
func TestResyncOfEveryCheck(t *testing.T) {
	c := checksOf(t, "ack")
	d := &daemon{session: &session{}}
	for _, check := range c {
		built := agent.Built{Check: check, Key: "k"}
		if same := d.resynced(built); same.Key != "k" || same.Check != check {
			t.Errorf("%s is changed for nothing", check.Name())
		}
		d.config.Intervals.Resync = 10 * time.Second
		got := d.resynced(built)
		if every := got.Check.(drift.Resyncer).ResyncEvery(); every != 10*time.Second {
			t.Errorf("%s resyncs every %s", check.Name(), every)
		}
		_, polls := got.Check.(drift.Poller)
		if _, polled := check.(drift.Poller); polls != polled {
			t.Errorf("%s is polled: %t", check.Name(), polls)
		}
		if _, watches := check.(drift.Watcher); watches != (len(got.Also) == 1) {
			t.Errorf("%s has the sources %v", check.Name(), got.Also)
		}
		if got.Key == "k" {
			t.Errorf("%s would be kept as it was", check.Name())
		}
		d.config.Intervals.Resync = time.Hour
		if every := d.resynced(built).Check.(drift.Resyncer).ResyncEvery(); every != check.(drift.Resyncer).ResyncEvery() {
			t.Errorf("%s looks every %s, less often than by itself", check.Name(), every)
		}
		d.config.Intervals.Resync = 0
	}
}

func checksOf(t *testing.T, profile string) []drift.Check {
	t.Helper()
	s, err := openHost(&options{root: t.TempDir(), profile: profile})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.host.Close() })
	checks, err := s.checks()
	if err != nil {
		t.Fatal(err)
	}
	return checks
}
