//go:build e2e

package cluster

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// The kubelet renews its certificate: that is no drift, and the journal knows of it.
func TestCertificateRotated(t *testing.T) {
	install(t)
	n, mark, began := cluster.nodes[0], cluster.seen.Mark(), time.Now()
	cert, key, err := cluster.pki.issue("system:node:"+n.Name, []string{"system:nodes"})
	if err != nil {
		t.Fatal(err)
	}
	name := "kubelet-client-" + began.UTC().Format("2006-01-02-15-04-05") + ".pem"
	n.Run(t, "cd /var/lib/kubelet/pki; umask 077; cat > "+name+" <<'EOF'\n"+string(cert)+string(key)+"EOF\n"+
		"ln -s $PWD/"+name+" kubelet-client-updated.pem; mv -T kubelet-client-updated.pem kubelet-client-current.pem")
	n.happened(t, began, "absorb", "certificate "+clientCertificate+": serial ")
	only(t, mark, nil)
	note(t, n.Name+": the kubelet's certificate rotated, until it is absorbed", "none", time.Since(began), 0)
}

// A package of the kubelet that is newer is one finding, whatever files came with it;
// the package of before takes it away again. On neither way is anything tampering, not
// for a moment.
func TestPackageUpgraded(t *testing.T) {
	install(t)
	n := cluster.nodes[1]
	for i, version := range []string{"1.36.3-1", "1.36.4-1"} {
		n.Run(t, fmt.Sprintf(`set -e
mkdir -p /srv/package/DEBIAN /srv/package/usr/bin
printf 'Package: kubelet\nVersion: %s\nArchitecture: all\nMaintainer: Tests <tests@example.com>\nDescription: The kubelet\n' > /srv/package/DEBIAN/control
[ -e /srv/package/usr/bin/kubelet ] || cp /usr/bin/kubelet /srv/package/usr/bin/
[ %d = 0 ] || echo >> /srv/package/usr/bin/kubelet
cd /srv/package; md5sum usr/bin/kubelet > DEBIAN/md5sums
dpkg-deb --root-owner-group -Znone -b /srv/package /srv/kubelet-%s.deb >/dev/null`, version, i, version))
	}
	n.Run(t, "dpkg -i /srv/kubelet-1.36.3-1.deb >/dev/null")
	n.restartKubelet(t)
	n.acceptAll(t)
	mark := cluster.seen.Mark()
	upgraded := Change{
		What: "dpkg -i of a newer kubelet", Condition: "ComponentConfigDrift", Words: "installed package kubelet is 1.36.4-1, supported 1.36.3-1 (ack.worker.self-upgrade-components",
		Command: "dpkg -i /srv/kubelet-1.36.4-1.deb >/dev/null",
		Undo: func(t testing.TB, n *Node) {
			n.Run(t, "dpkg -i /srv/kubelet-1.36.3-1.deb >/dev/null")
			n.restartKubelet(t)
		},
	}
	r := n.Drift(t, upgraded)
	err := cluster.seen.Await(patience, n.Name+": nothing but the upgrade", func() bool {
		support, paths := find(cluster.seen.nodes[n.Name], "NodeOutOfSupport"), find(cluster.seen.nodes[n.Name], "KubernetesPathDrift")
		return support != nil && support.Message == "ComponentConfigDrift" && paths != nil && paths.Status == corev1.ConditionFalse
	})
	if err != nil {
		t.Fatal(err)
	}
	n.Restore(t, upgraded, r)
	n.calm(t)
	for _, turn := range cluster.seen.Flips(mark) {
		if turn.Status == corev1.ConditionTrue && (turn.Node != n.Name || !slices.Contains([]string{"ComponentConfigDrift", "NodeOutOfSupport"}, string(turn.Type))) {
			t.Errorf("flipped as well: %v", turn)
		}
	}
	resolved = append(resolved, event{n.Name, "ComponentConfigDriftResolved", time.Now()})
	n.Run(t, "dpkg --purge kubelet >/dev/null; cp /srv/package/usr/bin/kubelet /usr/bin/kubelet")
	n.restartKubelet(t)
	n.acceptAll(t)
}

// What is accepted is the state that the condition shows, and nothing that changed since.
func TestAcceptByAnnotation(t *testing.T) {
	install(t)
	n, mark, began := cluster.nodes[0], cluster.seen.Mark(), time.Now()
	const file = "/etc/kubernetes/policy.yaml"
	n.Run(t, "cp -p "+file+" /srv/before; echo '# meant' >> "+file)
	first := digest(t, n.sees(t, mark, "a change", "KubernetesPathDrift", corev1.ConditionTrue, file+" is content").Message)
	between := cluster.seen.Mark()
	n.Run(t, "echo x > /etc/kubernetes/since")
	second := digest(t, n.sees(t, between, "a change since", "KubernetesPathDrift", corev1.ConditionTrue, "/etc/kubernetes/since is new file").Message)
	if first == second {
		t.Fatalf("%s names both states", first)
	}
	accept := func(digest string) {
		t.Helper()
		kubectl(t, "annotate", "--overwrite", "node", n.Name, "nodeguard.io/accept-baseline="+digest)
	}
	accept(first)
	n.event(t, "AcceptIgnored", first)
	if c := find(cluster.seen.nodes[n.Name], "KubernetesPathDrift"); c.Status != corev1.ConditionTrue {
		t.Fatalf("the state of before was accepted: %s", c.Message)
	}
	accept(second)
	n.clear(t, "KubernetesPathDrift")
	n.happened(t, began, "accept", second)
	only(t, mark, n, "KubernetesPathDrift", "NodeOutOfSupport")
	kubectl(t, "annotate", "node", n.Name, "nodeguard.io/accept-baseline-")
	n.Run(t, "rm /etc/kubernetes/since; mv /srv/before "+file)
	n.acceptAll(t)
	resolved = append(resolved, event{n.Name, "KubernetesPathDriftResolved", time.Now()})
}

// digest is the one that a condition says to accept.
func digest(t testing.TB, message string) string {
	t.Helper()
	d := regexp.MustCompile(`sha256:[0-9a-f]{64}$`).FindString(message)
	if d == "" {
		t.Fatalf("no digest in %q", message)
	}
	return d
}

// happened waits for a line of the journal.
func (n *Node) happened(t testing.TB, since time.Time, what, detail string) {
	t.Helper()
	err := eventually(patience, func() error {
		history := n.history(t, since)
		for _, h := range history {
			if h.Event == what && strings.Contains(h.Detail, detail) {
				return nil
			}
		}
		return fmt.Errorf("no %s of %q in %+v", what, detail, history)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// acceptAll accepts the node as it is, as somebody on it would.
func (n *Node) acceptAll(t testing.TB) {
	t.Helper()
	err := eventually(patience, func() error { // a kubelet that comes up is not to be asked yet
		out, err := tryKubectl("-n", "nodeguard", "exec", n.agent(t), "--", "/nodeguard", "baseline", "accept", "--root", "/host", "--reason", "a test")
		t.Logf("%s: %s", n.Name, out)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	n.calm(t)
}

// calm waits until nothing is out of support, which is said a minute late of a
// condition that turned to and fro.
func (n *Node) calm(t testing.TB) {
	t.Helper()
	err := cluster.seen.Await(time.Minute+patience, n.Name+" calm", func() bool {
		c := find(cluster.seen.nodes[n.Name], "NodeOutOfSupport")
		return c != nil && c.Status == corev1.ConditionFalse
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (n *Node) restartKubelet(t testing.TB) {
	t.Helper()
	if err := n.kubelet.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := n.StartKubelet(); err != nil {
		t.Fatal(err)
	}
}
