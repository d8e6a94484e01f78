package bench

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nodeguard/nodeguard/internal/hosttest"
)

const (
	wakeupsAtRest = 6 // a second
	windows       = 60
)

// What wakes the agent is counted, not timed: how much of a core that is, is for make
// bench. A second with that few is enough, since much that others do on the machine may
// wake it; a timer that was added would be in each.
func TestWakeupsAtRest(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	if os.Getenv(binary) == "" {
		t.Setenv(binary, filepath.Join(t.TempDir(), "nodeguard"))
		run(t, "go", "build", "-C", "../..", "-o", os.Getenv(binary), "./cmd/nodeguard")
	}
	newHost(t)
	write(t, "/etc/kubernetes/kubelet.conf", "kind: Config\n")
	write(t, "/var/lib/kubelet/config.yaml", "kind: KubeletConfiguration\n")
	startKubelet(t, 110)
	agent := startAgent(t, "--standalone")
	fewest := 1e9
	for range windows {
		before := agent.use(t)
		time.Sleep(time.Second)
		if fewest = min(fewest, agent.use(t).wakeups(before)); fewest <= wakeupsAtRest {
			return
		}
	}
	t.Errorf("an agent at rest is woken %.0f times a second at least, at most %d are meant", fewest, wakeupsAtRest)
}
