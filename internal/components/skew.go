package components

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// Skewed is the tier of a kubelet that its API server does not support.
const Skewed = "skewed"

const versionSkew = "version skew"

// How many minor versions a kubelet may be older than its API server, and the one since
// which it may be so many. https://kubernetes.io/releases/version-skew-policy/
const (
	maxOlder       = 3
	maxOlderBefore = 2
	olderSince     = 25
)

// skewed judges the kubelet by the API server that it works with. Patches do not count,
// and where one of the two is not known nothing is judged.
func (s *scene) skewed(operation string) []drift.Finding {
	kubelet, known := minorOf(s.own.KubeletVersion)
	server, told := minorOf(s.own.APIServerVersion)
	oldest := oldestFor(server)
	if !known || !told || kubelet >= oldest && kubelet <= server {
		return nil
	}
	return []drift.Finding{{
		Operation: operation, Subject: versionSkew, State: drift.Active, Tier: Skewed,
		Observed:  bounded(fmt.Sprintf("kubelet %s, API server %s", s.own.KubeletVersion, s.own.APIServerVersion)),
		Supported: fmt.Sprintf("kubelet 1.%d to 1.%d", oldest, server),
	}}
}

// oldestFor is the oldest kubelet that a server takes.
func oldestFor(server int) int {
	if oldest := server - maxOlder; oldest >= olderSince {
		return oldest
	}
	return max(server-maxOlderBefore, 0)
}

// minorOf is the minor of a version of Kubernetes 1, whatever a provider appends to it:
// v1.30.4-gke.1348000, v1.28.3-aliyun.1, v1.29.1-eks-abc, v1.27+.
func minorOf(version string) (minor int, ok bool) {
	rest, one := strings.CutPrefix(version, "v1.")
	if end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		rest = rest[:end]
	}
	minor, err := strconv.Atoi(rest)
	return minor, one && err == nil
}
