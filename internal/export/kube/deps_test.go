package kube_test

import (
	"os/exec"
	"strings"
	"testing"
)

// The typed clients of all of Kubernetes would double the size of the agent.
func TestTheClientIsLean(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "github.com/nodeguard/nodeguard/cmd/nodeguard", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, banned := range []string{
		"k8s.io/client-go/kubernetes", "k8s.io/client-go/informers", "k8s.io/client-go/listers", "k8s.io/client-go/tools/cache",
		"k8s.io/client-go/tools/events", "k8s.io/client-go/tools/record", "k8s.io/client-go/dynamic", "k8s.io/client-go/discovery",
		"k8s.io/cli-runtime", "k8s.io/api/apps", "k8s.io/api/rbac",
	} {
		for _, dep := range strings.Fields(string(out)) {
			if dep == banned || strings.HasPrefix(dep, banned+"/") {
				t.Errorf("the agent depends on %s", dep)
			}
		}
	}
}
