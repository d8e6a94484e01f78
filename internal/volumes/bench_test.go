package volumes

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

// BenchmarkObserve looks at 2,000 pods with a container and 5,000 mounts, beside
// parsing the mounts of the host alone.
func BenchmarkObserve(b *testing.B) {
	const pods = 2000
	h := newTree(b)
	plain := strings.Repeat(line(7, "253:1", kubelet+"/pods/x/etc-hosts", "/etc/hosts", "ext4", "rw", "rw")+"\n", 30)
	for i := range pods {
		uid := fmt.Sprintf("0a1b2c3d-0000-4000-8000-%012d", i)
		at := h.csi(kubelet, uid, "pv", "Persistent")
		h.mount(fmt.Sprintf("259:%d", i), "/", at, "ext4", "rw", "rw")
		h.mkdir(filepath.Join(kubelet, "pods", uid, "volumes/kubernetes.io~projected/kube-api-access"))
		h.mount("0:99", "/", filepath.Join(kubelet, "pods", uid, "volumes/kubernetes.io~projected/kube-api-access"), "tmpfs", "rw", "rw")
		h.mkdir(sysBlock + fmt.Sprintf("/259:%d", i))
		h.running(uid, "app", plain+line(8, fmt.Sprintf("259:%d", i), "/", "/data", "ext4", "rw", "rw"))
	}
	for i := range pods / 2 {
		h.mount("0:77", "/", fmt.Sprintf("/run/containerd/io.containerd.runtime.v2.task/k8s.io/%d/rootfs", i), "overlay", "rw", "rw")
	}
	info := []byte(strings.Join(h.mounted, "\n") + "\n")
	h.write("/proc/1/mountinfo", string(info))
	root, err := host.Open(h.dir)
	if err != nil {
		b.Fatal(err)
	}
	defer root.Close()
	rules := []drift.Bound[Rule]{{Operation: "a", Rule: Rule{Find: unmounted}}, {Operation: "b", Rule: Rule{Find: detached}}, {Operation: "c", Rule: Rule{Find: foreign}}, {Operation: "d", Rule: Rule{Find: shared}}}
	check := New(root, rules, nil, nil)
	var ours, theirs time.Duration
	for b.Loop() {
		start := time.Now()
		if o := check.Observe(b.Context(), nil); len(o.Findings)+len(o.Gaps) > 0 {
			b.Fatal(said(o)[:1])
		}
		ours += time.Since(start)
		start = time.Now()
		if _, err := mountinfo.GetMountsFromReader(bytes.NewReader(info), nil); err != nil {
			b.Fatal(err)
		}
		theirs += time.Since(start)
	}
	b.ReportMetric(ours.Seconds()*1000/float64(b.N), "ms/look")
	b.ReportMetric(theirs.Seconds()*1000/float64(b.N), "ms/parse")
}
