//go:build e2e

package cluster

import "testing"

// kubectl runs kubectl as the cluster's administrator, and the test ends where it fails.
func kubectl(t testing.TB, args ...string) string {
	t.Helper()
	out, err := tryKubectl(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func tryKubectl(args ...string) (string, error) {
	return output(append([]string{component("kubectl"), "--kubeconfig=" + cluster.pki.path("admin.conf"), "--cache-dir=" + tmpDir}, args...)...)
}
