//go:build e2e

package cluster

import (
	"strings"
	"testing"
)

// A pod's volume is unmounted by hand: containers that run keep it, the next one
// writes to the node's disk. The pod started anew has it again, and that one is
// deleted is no drift.
func TestVolumeUnmounted(t *testing.T) {
	install(t)
	n, mark := cluster.nodes[0], cluster.seen.Mark()
	n.Run(t, "mkdir -p /srv/data; mount -t tmpfs -o size=1m data /srv/data")
	kubectl(t, "apply", "-f", "testdata/volume.yaml")
	kubectl(t, "rollout", "status", "statefulset/keeper", "--timeout=60s")
	volume := n.volume(t)
	unmounted := Change{
		What: "umount of a running pod's volume", Condition: "VolumeMountDrift",
		Words:   "default/keeper-0 data is not mounted, supported mounted (ack.storage.umount)",
		Command: "umount " + volume,
	}
	restarted := Change{
		What: "one of its containers is started again", Condition: "VolumeMountDrift",
		Words:   "default/keeper-0 data is a running container has the node's own disk at /data, supported the volume (ack.storage.umount)",
		Command: "kill -9 $(pgrep -x sleep)",
		Undo: func(t testing.TB, _ *Node) {
			kubectl(t, "delete", "pod", "keeper-0")
			kubectl(t, "rollout", "status", "statefulset/keeper", "--timeout=60s")
		},
	}
	first := n.Drift(t, unmounted)
	n.event(t, "VolumeMountDriftDetected", unmounted.Words)
	second := n.Drift(t, restarted)
	n.Restore(t, restarted, second)
	first.cleared = second.cleared
	n.clear(t, "VolumeMountDrift")
	again := n.volume(t)
	if again == volume {
		t.Errorf("%s is the volume of the pod that was deleted", again)
	}
	only(t, mark, n, "VolumeMountDrift", "NodeOutOfSupport")

	mark = cluster.seen.Mark()
	kubectl(t, "delete", "-f", "testdata/volume.yaml", "--wait")
	n.Run(t, "while [ -e "+again+" ]; do sleep 0.1; done; umount /srv/data")
	for range 2 { // a look that ends after the first may have begun before
		n.looked(t, func() { n.mountSomething(t) }, "volumes")
	}
	only(t, mark, nil)
}

func (n *Node) mountSomething(t testing.TB) {
	t.Helper()
	n.Run(t, "mkdir -p /srv/any; mount -t tmpfs any /srv/any; umount /srv/any")
}

// volume is where the kubelet has the volume of the pod.
func (n *Node) volume(t testing.TB) string {
	t.Helper()
	uid := kubectl(t, "get", "pod", "keeper-0", "-o", "jsonpath={.metadata.uid}")
	at := "/var/lib/kubelet/pods/" + uid + "/volumes/kubernetes.io~local-volume/data"
	if mounts := n.Run(t, "cat /proc/self/mountinfo"); !strings.Contains(mounts, " "+at+" ") {
		t.Fatalf("nothing is mounted at %s:\n%s", at, mounts)
	}
	return at
}
