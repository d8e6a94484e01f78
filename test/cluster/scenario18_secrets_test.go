//go:build e2e

package cluster

import (
	"encoding/pem"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// What nobody may read stands in nothing that is told: a token in a kubeconfig, one in
// the kubelet's configuration, one on the command line of who did it, and the keys of
// the node's PKI.
func TestNoSecretIsTold(t *testing.T) {
	install(t)
	n, mark, began := cluster.nodes[0], cluster.seen.Mark(), time.Now()
	const inKubeconfig, inConfig, onCommandLine = "canary-0123456789-kubeconfig", "canary-0123456789-kubelet", "canary-0123456789-command"
	n.Run(t, `cp -p /var/lib/kubelet/config.yaml /srv/config.before
printf 'staticPodURL: http://127.0.0.1:1/\nstaticPodURLHeader: {Authorization: ["Bearer `+inConfig+`"]}\n' >> /var/lib/kubelet/config.yaml
printf 'kind: Config\nusers: [{name: u, user: {token: `+inKubeconfig+`}}]\n' > /etc/kubernetes/canary.conf
sh -c 'echo x >> /etc/kubernetes/canary.conf; sleep 2' --token=`+onCommandLine+` --password `+onCommandLine)
	n.metric(t, `subject="kubelet config staticPodURLHeader.Authorization[0]"`)
	n.sees(t, mark, "a kubeconfig", "KubernetesPathDrift", corev1.ConditionTrue, "/etc/kubernetes/canary.conf is new file")
	n.event(t, "KubernetesPathDriftDetected", "canary.conf")

	secrets := append([]string{inKubeconfig, inConfig, onCommandLine}, n.keys(t)...)
	if len(secrets) < 6 {
		t.Fatalf("%d secrets", len(secrets))
	}
	metrics, err := n.metrics()
	if err != nil {
		t.Fatal(err)
	}
	checked, _ := tryKubectl("-n", "nodeguard", "exec", n.agent(t), "--", "/nodeguard", "check", "--root", "/host", "-o", "json") // it exits 1: there is drift
	for name, told := range map[string]string{
		"the Nodes":   kubectl(t, "get", "nodes", "-o", "yaml"),
		"the events":  kubectl(t, "get", "events", "-A", "-o", "yaml"),
		"the log":     kubectl(t, "-n", "nodeguard", "logs", n.agent(t)),
		"the history": kubectl(t, "-n", "nodeguard", "exec", n.agent(t), "--", "/nodeguard", "history", "--root", "/host", "--since", began.Add(-time.Hour).UTC().Format(time.RFC3339), "-o", "json"),
		"the journal": n.Run(t, "cat /var/lib/nodeguard/journal/*"),
		"a check":     checked,
		"the report":  n.get(t, "/api/v1/report"),
		"the page":    n.get(t, "/"),
		"the metrics": metrics,
	} {
		if !strings.Contains(told, "config") && name != "the metrics" {
			t.Errorf("%s: nothing is told: %.200q", name, told)
		}
		for _, secret := range secrets {
			if strings.Contains(told, secret) {
				t.Errorf("%s: %.20s…", name, secret)
			}
		}
	}
	n.Run(t, "mv /srv/config.before /var/lib/kubelet/config.yaml; rm /etc/kubernetes/canary.conf")
	n.clear(t, "KubernetesPathDrift")
	resolved = append(resolved, event{n.Name, "KubernetesPathDriftResolved", time.Now()})
}

// keys are lines of the private keys on the node, as they stand in their files.
func (n *Node) keys(t testing.TB) (lines []string) {
	t.Helper()
	rest := []byte(n.Run(t, "cat /var/lib/kubelet/pki/* /etc/kubernetes/pki/* 2>/dev/null || true"))
	for block, after := pem.Decode(rest); block != nil; block, after = pem.Decode(after) {
		if strings.Contains(block.Type, "PRIVATE KEY") {
			for line := range strings.Lines(string(pem.EncodeToMemory(block))) {
				if line = strings.TrimSpace(line); len(line) > 30 && !strings.HasPrefix(line, "-") {
					lines = append(lines, line)
				}
			}
		}
	}
	return lines
}

// get asks the agent from its own node.
func (n *Node) get(t testing.TB, path string) string {
	t.Helper()
	return n.Run(t, `bash -c "exec 3<>/dev/tcp/127.0.0.1/19639; printf 'GET `+path+` HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3; cat <&3"`)
}
