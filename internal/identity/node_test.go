package identity

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/hosttest"
	"github.com/nodeguard/nodeguard/internal/node"
)

// tree is a host as files, given as name and content in turn.
func tree(t testing.TB, files ...string) *host.Root {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		name := filepath.Join(dir, files[i])
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(files[i+1]+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return open(t, dir)
}

func source(n node.Node) *node.Source {
	s := &node.Source{}
	s.Set(n)
	return s
}

func tiers(o drift.Observation) (out []string) {
	for _, f := range o.Findings {
		out = append(out, f.Tier)
	}
	return out
}

func aksNode() node.Node {
	return node.Node{
		Name: "n1", UID: "u1", ProviderID: "azure:///subscriptions/s/vm/0",
		Labels:              map[string]string{"kubernetes.azure.com/cluster": "c", "kubernetes.io/hostname": "n1", "kubernetes.azure.com/node-image-version": "AKSUbuntu-2204-1", "team": "a"},
		ProviderAnnotations: map[string]string{"kubernetes.azure.com/x": "1"},
		Managers:            map[string]string{"label kubernetes.azure.com/cluster": "kubelet", "label kubernetes.io/hostname": "kubelet"},
		InternalIPs:         []string{"192.0.2.10", "2001:db8::10"},
	}
}

var system = Rule{Metadata: &Metadata{
	Labels: []string{"kubernetes.azure.com/*", "kubernetes.io/hostname"}, Annotations: []string{"kubernetes.azure.com/*"},
	Except:      []string{"kubernetes.azure.com/node-image-version"},
	Controllers: []string{"kubelet", "cloud-*"}, People: []string{"kubectl*"}, UnknownTier: "unattributed", RemovedTier: "removed",
}}

// Who owns a key now is who changed it, not that its value is another one.
func TestMetadata(t *testing.T) {
	const cluster = "kubernetes.azure.com/cluster"
	for _, c := range []struct {
		name        string
		rule        Rule
		change      func(*node.Node)
		want, tiers []string
	}{
		{name: "untouched", rule: system, change: func(*node.Node) {}},
		{name: "a label of one's own", rule: system, change: func(n *node.Node) { n.Labels["team"] = "b"; n.Labels["pool"] = "x" }},
		{name: "the provider's image label", rule: system, change: func(n *node.Node) { n.Labels["kubernetes.azure.com/node-image-version"] = "AKSUbuntu-2204-2" }},
		{name: "changed by a controller of the provider", rule: system, change: func(n *node.Node) { n.Labels[cluster] = "d"; n.Managers["label "+cluster] = "cloud-node-manager" }},
		{name: "changed by a person", rule: system, change: func(n *node.Node) { n.Labels[cluster] = "d"; n.Managers["label "+cluster] = "kubectl-label" },
			want: []string{"label " + cluster + " is d, set by kubectl-label, supported c"}, tiers: []string{""}},
		{name: "emptied by a person", rule: system, change: func(n *node.Node) { n.Labels[cluster] = ""; n.Managers["label "+cluster] = "kubectl-edit" },
			want: []string{"label " + cluster + ` is "", set by kubectl-edit, supported c`}, tiers: []string{""}},
		{name: "changed by nobody who is known", rule: system, change: func(n *node.Node) { n.Labels[cluster] = "d"; n.Managers["label "+cluster] = "mystery" },
			want: []string{"label " + cluster + " is d, set by mystery, supported c"}, tiers: []string{"unattributed"}},
		{name: "changed, and no managed fields", rule: system, change: func(n *node.Node) { n.Labels[cluster] = "d"; n.Managers = nil },
			want: []string{"label " + cluster + " is d, supported c"}, tiers: []string{"unattributed"}},
		{name: "taken away", rule: system, change: func(n *node.Node) { delete(n.Labels, cluster) },
			want: []string{"label " + cluster + " is absent, supported c"}, tiers: []string{"removed"}},
		{name: "an annotation changed", rule: system, change: func(n *node.Node) {
			n.ProviderAnnotations["kubernetes.azure.com/x"] = "2"
			n.Managers["annotation kubernetes.azure.com/x"] = "kubectl-annotate"
		},
			want: []string{"annotation kubernetes.azure.com/x is sha256:d4735e3a265e, set by kubectl-annotate, supported sha256:6b86b273ff34"}, tiers: []string{""}},
		{name: "added by a person, of which nothing is said", rule: system, change: func(n *node.Node) {
			n.Labels["kubernetes.azure.com/mine"] = "1"
			n.Managers["label kubernetes.azure.com/mine"] = "kubectl-label"
		}},

		{name: "added by a person", rule: added(), change: func(n *node.Node) {
			n.Labels["kubernetes.azure.com/mine"] = "1"
			n.Managers["label kubernetes.azure.com/mine"] = "kubectl-label"
		},
			want: []string{"label kubernetes.azure.com/mine is 1, set by kubectl-label, supported absent"}, tiers: []string{""}},
		{name: "added by a controller", rule: added(), change: func(n *node.Node) {
			n.Labels["kubernetes.azure.com/new"] = "1"
			n.Managers["label kubernetes.azure.com/new"] = "cloud-node-manager"
		}},
		{name: "added by nobody who is known", rule: added(), change: func(n *node.Node) {
			n.Labels["kubernetes.azure.com/new"] = "1"
			n.Managers["label kubernetes.azure.com/new"] = "mystery"
		}},
		{name: "changed, where only what came counts", rule: added(), change: func(n *node.Node) {
			n.Labels[cluster] = "d"
			n.Managers["label "+cluster] = "kubectl-label"
			delete(n.Labels, "kubernetes.io/hostname")
		}},

		{name: "changed by anybody, where nobody is named", rule: Rule{Metadata: &Metadata{Labels: []string{"team", "kubernetes.io/hostname"}}}, change: func(n *node.Node) { n.Labels["team"] = "b" },
			want: []string{"label team is b, supported a"}, tiers: []string{""}},
		{name: "on a Node that it is not about", rule: Rule{Metadata: &Metadata{Labels: []string{"team"}, NotOn: []string{"azure:///*/*/*/*"}}}, change: func(n *node.Node) { n.Labels["team"] = "b" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			nodes := source(aksNode())
			check := recorded(t, tree(t), nodes, c.rule)
			n := aksNode()
			c.change(&n)
			nodes.Set(n)
			o := check.Observe(t.Context(), nil)
			if diff := cmp.Diff(c.want, said(o)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if diff := cmp.Diff(c.tiers, tiers(o)); diff != "" {
				t.Errorf("tiers: %s", diff)
			}
		})
	}
}

func added() Rule {
	m := *system.Metadata
	m.Added = addedOnly
	return Rule{Metadata: &m}
}

func TestMetadataNamesTheWayBack(t *testing.T) {
	nodes := source(aksNode())
	check := recorded(t, tree(t), nodes, added(), Rule{Metadata: &Metadata{Labels: []string{"team"}}})
	n := aksNode()
	n.Labels["team"], n.Labels["kubernetes.azure.com/mine"] = "b", "1"
	n.Managers["label kubernetes.azure.com/mine"] = "kubectl-label"
	nodes.Set(n)
	var got []map[string]string
	o := check.Observe(t.Context(), nil)
	for _, f := range o.Findings {
		got = append(got, f.Args)
	}
	if o.Facts["label kubernetes.azure.com/mine"].Fresh {
		t.Error("what came since would be recorded without a word")
	}
	want := []map[string]string{{"node": "n1", "label": "kubernetes.azure.com/mine-"}, {"node": "n1", "label": "team=a"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

var ofTheNode = []Rule{{Same: []Aspect{Address, ProviderID, NodeObject}}, system, {Required: &Required{Label: "x"}}, {System: &System{Supported: []string{"none"}}}, {Instance: "i-"}}

// Without a Node what it would tell is not judged, is no gap, and stays as recorded.
func TestWithoutANode(t *testing.T) {
	seen := recorded(t, tree(t), source(aksNode()), ofTheNode...)
	for name, nodes := range map[string]*node.Source{"no cluster": nil, "not seen yet": {}} {
		t.Run(name, func(t *testing.T) {
			c := New(tree(t, "etc/os-release", "ID=debian"), bound(ofTheNode...), nodes, seen.recorded)
			o := c.Observe(t.Context(), nil)
			if len(o.Findings)+len(o.Gaps) > 0 {
				t.Errorf("%v %v", said(o), o.Gaps)
			}
			if diff := cmp.Diff(seen.recorded, baseline.ScopeOf(o.Facts, nil)); diff != "" {
				t.Errorf("facts: %s", diff)
			}
		})
	}
}

// A baseline that was recorded without a Node takes the Node's part in as soon as it
// is seen: it is no drift.
func TestANodeThatIsSeenLater(t *testing.T) {
	alone := recorded(t, tree(t), nil, ofTheNode[0], system)
	o := New(tree(t), bound(ofTheNode[0], system), source(aksNode()), alone.recorded).Observe(t.Context(), nil)
	if len(o.Findings) > 0 {
		t.Errorf("raised: %v", said(o))
	}
	scope := maps.Clone(alone.recorded)
	scope.AddFresh(o.Facts)
	for _, subject := range []string{"InternalIP ipv4", "InternalIP ipv6", "providerID", nodeObject, metadataArea, "label kubernetes.azure.com/cluster"} {
		if scope[subject] == "" {
			t.Errorf("%s was not recorded: %v", subject, scope)
		}
	}
}

func TestInternalIP(t *testing.T) {
	for _, c := range []struct {
		name string
		ips  []string
		want []string
	}{
		{"the other order", []string{"2001:db8::10", "192.0.2.10"}, nil},
		{"a further one", []string{"192.0.2.99", "192.0.2.10", "2001:db8::10"}, nil},
		{"not said", nil, nil},
		{"another one", []string{"192.0.2.20", "2001:db8::10"}, []string{"InternalIP ipv4 is 192.0.2.20, supported 192.0.2.10"}},
		{"a family less", []string{"192.0.2.10"}, []string{"InternalIP ipv6 is absent, supported 2001:db8::10"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			nodes := source(aksNode())
			check := recorded(t, tree(t), nodes, Rule{Same: []Aspect{Address}})
			n := aksNode()
			n.InternalIPs = c.ips
			nodes.Set(n)
			if diff := cmp.Diff(c.want, said(check.Observe(t.Context(), nil))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The kubelet registers a changed address by itself: the Node and the host agree
// again, and both differ from what was recorded.
func TestAnAddressThatTheKubeletRegisteredAnew(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	aNode(t)
	nodes := source(node.Node{InternalIPs: []string{"192.0.2.10"}})
	c := recorded(t, open(t, "/"), nodes, Rule{Same: []Aspect{Address}})
	ip(t, "address del 192.0.2.10/24 dev eth0", "address add 192.0.2.20/24 dev eth0")
	nodes.Set(node.Node{InternalIPs: []string{"192.0.2.20"}})
	want := []string{"InternalIP ipv4 is 192.0.2.20, supported 192.0.2.10", "address ipv4 is 192.0.2.20/24 dev eth0, supported 192.0.2.10/24 dev eth0"}
	o := c.Observe(t.Context(), nil)
	if diff := cmp.Diff(want, said(o)); diff != "" {
		t.Error(diff)
	}
	if got := o.Findings[1].Args; got["address"] != "192.0.2.10/24" || got["interface"] != "eth0" {
		t.Errorf("the way back: %v", got)
	}
}

// The kubelet's own address counts, not the one that the default route would give.
func TestTheRegisteredAddressCounts(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	aNode(t)
	ip(t, "link add eth1 type veth", "address add 198.51.100.7/24 dev eth1")
	c := recorded(t, open(t, "/"), source(node.Node{InternalIPs: []string{"198.51.100.7"}}), Rule{Same: []Aspect{Address}})
	if got := c.recorded["address ipv4"]; got != "198.51.100.7/24 dev eth1" {
		t.Errorf("recorded %q", got)
	}
	ip(t, "address del 192.0.2.10/24 dev eth0")
	if got := said(c.Observe(t.Context(), nil)); got != nil {
		t.Errorf("another address went: %v", got)
	}
}

func TestNodeIPs(t *testing.T) {
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"kubelet", "--v=2"}, nil},
		{[]string{"kubelet", "--node-ip=192.0.2.1,2001:db8::1"}, []string{"192.0.2.1", "2001:db8::1"}},
		{[]string{"kubelet", "--node-ip", "192.0.2.1", "--v=2"}, []string{"192.0.2.1"}},
		{[]string{"kubelet", "-node-ip=192.0.2.1", "--node-ip=192.0.2.2"}, []string{"192.0.2.2"}},
		{[]string{"kubelet", "--node-ip"}, nil},
	} {
		got := nodeIPs(c.args)
		if len(got) == 0 {
			got = nil
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%v: %s", c.args, diff)
		}
	}
}

// aKubelet runs a process of that name until the test ends.
func aKubelet(t *testing.T) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "kubelet")
	sleep, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, sleep, 0o755); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	p, err := os.StartProcess(name, []string{"kubelet", "3600"}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Kill()
		_, _ = p.Wait()
	})
}

// A Node that was deleted counts once it has been away for long while its kubelet
// runs: nodes that are scaled down lose their machine meanwhile.
func TestADeletedNode(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	nodes := source(aksNode())
	c := recorded(t, open(t, "/"), nodes, Rule{Same: []Aspect{NodeObject}})
	at := time.Unix(0, 0)
	c.now = func() time.Time { return at }
	nodes.Gone()
	look := func(when string, want ...string) {
		t.Helper()
		o := c.Observe(t.Context(), nil)
		if diff := cmp.Diff(want, said(o)); diff != "" {
			t.Errorf("%s: %s", when, diff)
		}
		if o.Facts[nodeObject].Value != "u1" {
			t.Errorf("%s: recorded %+v", when, o.Facts)
		}
	}
	look("just now")
	if c.ResyncEvery() != resyncAlone {
		t.Errorf("the next look is in %s", c.ResyncEvery())
	}
	at = at.Add(absence)
	look("for long, and no kubelet runs")
	aKubelet(t)
	look("for long", nodeObject+" is absent, supported u1")
	nodes.Set(aksNode())
	look("it is back")
	nodes.Gone()
	look("away again")
	at = at.Add(absence - time.Second)
	look("away for minutes")
}

// A Node that was deleted before the agent started counts where one was recorded, once
// its kubelet had time to register. A machine that never had one is no finding.
func TestANodeThatWasDeletedBefore(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	rule := Rule{Same: []Aspect{NodeObject}}
	before := recorded(t, open(t, "/"), source(aksNode()), rule).recorded
	nodes := &node.Source{}
	at := time.Now()
	begin := func(scope baseline.Scope) *Check {
		c := New(open(t, "/"), bound(rule), nodes, scope)
		c.now = func() time.Time { return at }
		c.listening.Store(true)
		return c
	}
	known, fresh := begin(before), begin(nil)
	look := func(when string, want ...string) {
		t.Helper()
		o := known.Observe(t.Context(), nil)
		if diff := cmp.Diff(want, said(o)); diff != "" {
			t.Errorf("%s: %s", when, diff)
		}
		if o.Facts[nodeObject].Value != "u1" {
			t.Errorf("%s: recorded %+v", when, o.Facts)
		}
		if got := said(fresh.Observe(t.Context(), nil)); got != nil {
			t.Errorf("%s, on a machine that never had one: %v", when, got)
		}
	}
	aKubelet(t)
	at = at.Add(time.Hour)
	look("the API server is away")
	nodes.Gone()
	look("it has just been missed")
	if known.ResyncEvery() != resyncAlone || fresh.ResyncEvery() == resyncAlone {
		t.Errorf("the next looks are in %s and %s", known.ResyncEvery(), fresh.ResyncEvery())
	}
	at = at.Add(registers)
	look("missed for a while", nodeObject+" is absent, supported u1")
	nodes.Set(aksNode())
	look("it is back")
}

// A kubelet that has just started is given the time to register.
func TestAMissingNodeOfAKubeletThatJustStarted(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	rule := Rule{Same: []Aspect{NodeObject}}
	before := recorded(t, open(t, "/"), source(aksNode()), rule).recorded
	nodes := &node.Source{}
	nodes.Gone()
	c := New(open(t, "/"), bound(rule), nodes, before)
	at := time.Now().Add(-registers)
	c.now = func() time.Time { return at }
	aKubelet(t)
	c.Observe(t.Context(), nil)
	for at = at.Add(registers); at.Before(time.Now().Add(registers / 2)); at = at.Add(registers / 4) {
		if got := said(c.Observe(t.Context(), nil)); got != nil {
			t.Errorf("%s after the start: %v", time.Until(at), got)
		}
	}
	at = time.Now().Add(registers)
	if got := said(c.Observe(t.Context(), nil)); len(got) != 1 {
		t.Errorf("it never registered: %v", got)
	}
}

func TestARecreatedNode(t *testing.T) {
	nodes := source(aksNode())
	c := recorded(t, tree(t), nodes, Rule{Same: []Aspect{NodeObject}})
	n := aksNode()
	n.UID = "u2"
	nodes.Set(n)
	o := c.Observe(t.Context(), nil)
	if diff := cmp.Diff([]string{nodeObject + " is u2, supported u1"}, said(o)); diff != "" || o.Findings[0].Tier != Recreated {
		t.Errorf("%s %+v", diff, o.Findings)
	}
}

// The Node still carries the identity of the installation before, until a baseline
// of this one is recorded.
func TestAReinstalledSystem(t *testing.T) {
	root := tree(t, "etc/machine-id", "22222222222222222222222222222222")
	of := func(id string) node.Node {
		n := aksNode()
		n.Annotations = map[string]string{identityAnnotation: baseline.Machine{ID: id}.Digest()}
		return n
	}
	rules := bound(Rule{Same: []Aspect{Installation}})
	before := of("11111111111111111111111111111111")
	o := New(root, rules, source(before), nil).Observe(t.Context(), nil)
	if len(o.Findings) != 1 {
		t.Fatalf("found %v", said(o))
	}
	if f := o.Findings[0]; f.Subject != machineID || f.Baseline || len(f.Observed) != shownDigest || len(f.Supported) != shownDigest || f.Observed == f.Supported {
		t.Errorf("%+v", f)
	}
	for name, c := range map[string]*Check{
		"recorded":          New(root, rules, source(before), baseline.Scope{}),
		"the same":          New(root, rules, source(of("22222222222222222222222222222222")), nil),
		"never recorded":    New(root, rules, source(aksNode()), nil),
		"no Node":           New(root, rules, nil, nil),
		"no machine-id yet": New(tree(t), rules, source(before), nil),
	} {
		if got := said(c.Observe(t.Context(), nil)); got != nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestRequiredLabel(t *testing.T) {
	rule := Rule{Required: &Required{Label: "alibabacloud.com/nodepool-id", ProviderID: []string{"*.i-*"}, Unless: []string{"type=virtual-kubelet", "node-role.kubernetes.io/master"}}}
	for name, c := range map[string]struct {
		n    node.Node
		want []string
	}{
		"of a pool":          {node.Node{ProviderID: "cn.i-1", Labels: map[string]string{"alibabacloud.com/nodepool-id": "np1"}}, nil},
		"of none":            {node.Node{ProviderID: "cn.i-1", Labels: map[string]string{"a": "b"}}, []string{"label alibabacloud.com/nodepool-id is absent, supported set"}},
		"a virtual node":     {node.Node{ProviderID: "cn.i-1", Labels: map[string]string{"type": "virtual-kubelet"}}, nil},
		"a master":           {node.Node{ProviderID: "cn.i-1", Labels: map[string]string{"node-role.kubernetes.io/master": ""}}, nil},
		"a registered node":  {node.Node{ProviderID: "kubeadm://x"}, nil},
		"a node without any": {node.Node{}, nil},
	} {
		if diff := cmp.Diff(c.want, said(New(tree(t), bound(rule), source(c.n), nil).Observe(t.Context(), nil))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestSystem(t *testing.T) {
	eol := System{From: "1.30", Unsupported: []string{"centos-*", "alinux-2*"}}
	image := System{Label: "image", Value: "AKSUbuntu-2204*", Supported: []string{"ubuntu-22.04"}}
	old := System{Before: "1.14", Supported: []string{"ubuntu-18.04"}}
	for _, c := range []struct {
		name, release, kubelet, image string
		rule                          System
		found                         bool
	}{
		{"CentOS with a new Kubernetes", "ID=\"centos\"\nVERSION_ID=\"7\"", "v1.30.1-aliyun.1", "", eol, true},
		{"CentOS with the first one", "ID=\"centos\"\nVERSION_ID=\"7\"", "v1.30.0-aliyun.1", "", eol, true},
		{"Alibaba Cloud Linux 2 with a new Kubernetes", "ID=\"alinux\"\nVERSION_ID=\"2.1903\"", "v1.32.1-aliyun.1", "", eol, true},
		{"CentOS with an old Kubernetes", "ID=\"centos\"\nVERSION_ID=\"7\"", "v1.28.9-aliyun.1", "", eol, false},
		{"Alibaba Cloud Linux 3", "ID=\"alinux\"\nVERSION_ID=\"3\"", "v1.32.1-aliyun.1", "", eol, false},
		{"a version that nobody said", "ID=centos\nVERSION_ID=7", "", "", eol, false},
		{"no os-release", "", "v1.32.1", "", eol, false},
		{"the image's own system", "ID=ubuntu\nVERSION_ID=\"22.04\"", "v1.31.2", "AKSUbuntu-2204gen2containerd-202601.01.0", image, false},
		{"another system than the image's", "ID=debian\nVERSION_ID=\"12\"", "v1.31.2", "AKSUbuntu-2204gen2containerd-202601.01.0", image, true},
		{"another image", "ID=debian\nVERSION_ID=\"12\"", "v1.31.2", "AKSAzureLinux-V3", image, false},
		{"QKE's first image", "ID=ubuntu\nVERSION_ID=\"18.04\"", "v1.13.5", "", old, false},
		{"another one with it", "ID=ubuntu\nVERSION_ID=\"20.04\"", "v1.13.5", "", old, true},
		{"another one with a later QKE", "ID=ubuntu\nVERSION_ID=\"20.04\"", "v1.21.5", "", old, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := node.Node{KubeletVersion: c.kubelet, Labels: map[string]string{"image": c.image}}
			o := New(tree(t, "etc/os-release", c.release), bound(Rule{System: &c.rule}), source(n), nil).Observe(t.Context(), nil)
			if (len(o.Findings) > 0) != c.found {
				t.Errorf("%v", said(o))
			}
		})
	}
}

func TestInstance(t *testing.T) {
	const file = "var/lib/cloud/data/instance-id"
	for _, c := range []struct {
		says, is string
		want     []string
	}{
		{"qcloud:///100003/ins-1", "ins-1", nil},
		{"qcloud:///100003/ins-1", "ins-2", []string{"instance is ins-2, supported ins-1"}},
		{"qcloud:///100003/ins-1", "", nil},             // no cloud-init
		{"qcloud:///100003/ins-1", "nocloud", nil},      // an id of another kind
		{"tencentcloud:///node/np-1-abc", "ins-2", nil}, // so is this
		{"", "ins-2", nil}, // not said yet
	} {
		o := New(tree(t, file, c.is), bound(Rule{Instance: "ins-"}), source(node.Node{ProviderID: c.says}), nil).Observe(t.Context(), nil)
		if diff := cmp.Diff(c.want, said(o)); diff != "" {
			t.Errorf("%+v: %s", c, diff)
		}
	}
}

// The Node's providerID decides which of two files is right.
func TestAgreeWithTheNode(t *testing.T) {
	rule := Rule{Agree: []string{"/var/lib/cloud/data/instance-id", "/var/paas/conf/server.conf"}}
	root := tree(t, "var/lib/cloud/data/instance-id", "old", "var/paas/conf/server.conf", "new")
	o := New(root, bound(rule), source(node.Node{ProviderID: "new"}), nil).Observe(t.Context(), nil)
	if diff := cmp.Diff([]string{"/var/lib/cloud/data/instance-id is old, supported new"}, said(o)); diff != "" || o.Findings[0].Args["instance"] != "new" {
		t.Errorf("%s %+v", diff, o.Findings)
	}
}
