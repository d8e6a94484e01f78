package components

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

// tree is a host that does not run: files by path; "" takes one away.
type tree map[string]string

const op = "ack.worker.core-params"

var compareAll = []drift.Bound[Rule]{{Operation: op, Rule: Rule{Compare: parameters}}}

func plant(t *testing.T, files tree) (string, *host.Root) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "proc"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, dir, files)
	root, err := host.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return dir, root
}

func write(t *testing.T, dir string, files tree) {
	t.Helper()
	for name, content := range files {
		at := filepath.Join(dir, name)
		if content == "" {
			if err := os.Remove(at); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func observe(root *host.Root, rules []drift.Bound[Rule], recorded baseline.Scope) drift.Observation {
	return New(root, rules, recorded).Observe(nil, nil) //nolint:staticcheck // Observe waits for nothing
}

// said are the findings, one line each.
func said(o drift.Observation) []string {
	var out []string
	for _, f := range o.Findings {
		line := f.Subject + ": " + f.Observed + ", was " + f.Supported
		if f.State == drift.Pending {
			line += " (pending)"
		}
		out = append(out, line)
	}
	return out
}

func values(o drift.Observation) map[string]string {
	out := map[string]string{}
	for subject, f := range o.Facts {
		out[subject] = f.Value
	}
	return out
}

const kubeletYAML = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
# a comment
maxPods: 110
syncFrequency: 1m0s
evictionHard: {memory.available: 100Mi, nodefs.available: 10%}
clusterDNS: [10.0.0.10]
`

const kubeadmEnv = `KUBELET_KUBEADM_ARGS="--container-runtime-endpoint=unix:///run/containerd/containerd.sock --pod-infra-container-image=pause:3.9"` + "\n"

const containerdTOML = `version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "pause:3.9"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
    SystemdCgroup = true
  [plugins."io.containerd.grpc.v1.cri".registry.configs."r.io".auth]
    password = "hunter2"
`

func worker() tree {
	return tree{
		kubeletConfig: kubeletYAML, kubeadmFlags: kubeadmEnv, containerdConfig: containerdTOML,
	}
}

func TestFactsOfATree(t *testing.T) {
	_, root := plant(t, worker())
	o := observe(root, compareAll, nil)
	want := map[string]string{
		"kubelet config":                                               "present",
		"kubelet config apiVersion":                                    "kubelet.config.k8s.io/v1beta1",
		"kubelet config kind":                                          "KubeletConfiguration",
		"kubelet config maxPods":                                       "110",
		"kubelet config syncFrequency":                                 "1m",
		"kubelet config clusterDNS[0]":                                 "10.0.0.10",
		"kubelet config evictionHard.memory.available":                 "100Mi",
		"kubelet config evictionHard.nodefs.available":                 "10%",
		"kubelet kubeadm-flags.env":                                    "present",
		"kubelet kubeadm-flags.env --container-runtime-endpoint":       "unix:///run/containerd/containerd.sock",
		"kubelet kubeadm-flags.env --pod-infra-container-image":        "pause:3.9",
		"containerd config.toml":                                       "present",
		"containerd version":                                           "2",
		`containerd plugins."io.containerd.grpc.v1.cri".sandbox_image`: "pause:3.9",
		`containerd plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options.SystemdCgroup`: "true",
		`containerd plugins."io.containerd.grpc.v1.cri".registry.configs."r.io".auth.password`:          "set",
	}
	if diff := cmp.Diff(want, values(o)); diff != "" {
		t.Error(diff)
	}
	if len(o.Findings)+len(o.Gaps) > 0 {
		t.Errorf("nothing is recorded, but %v %v", o.Findings, o.Gaps)
	}
	for subject, f := range o.Facts {
		if !f.Fresh {
			t.Errorf("%s is not fresh", subject)
		}
	}
}

func TestDifferencesFromTheBaseline(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change tree
		rules  []drift.Bound[Rule]
		want   []string
	}{
		{name: "nothing"},
		{name: "spelled otherwise", change: tree{kubeletConfig: `{"kind":"KubeletConfiguration","apiVersion":"kubelet.config.k8s.io/v1beta1",
			"evictionHard":{"nodefs.available":"10%","memory.available":"102400Ki"},"clusterDNS":["10.0.0.10"],"maxPods":110,"syncFrequency":"60s"}`}},
		{
			name:   "changed, added and taken away",
			change: tree{kubeletConfig: strings.NewReplacer("110", "200", "syncFrequency: 1m0s\n", "madeUp: x\n").Replace(kubeletYAML)},
			want:   []string{"kubelet config madeUp: x, was unset", "kubelet config maxPods: 200, was 110", "kubelet config syncFrequency: unset, was 1m"},
		},
		{
			name:   "allowed",
			change: tree{kubeletConfig: strings.NewReplacer("110", "200", "1m0s", "2m").Replace(kubeletYAML)},
			rules:  []drift.Bound[Rule]{{Operation: op, Rule: Rule{Component: Kubelet, Compare: parameters, Allow: []string{"maxPods"}}}},
			want:   []string{"kubelet config syncFrequency: 2m, was 1m"},
		},
		{
			name:   "of another component",
			change: tree{kubeletConfig: strings.Replace(kubeletYAML, "110", "200", 1)},
			rules:  []drift.Bound[Rule]{{Operation: op, Rule: Rule{Component: Containerd, Compare: parameters}}},
		},
		{
			name:   "flag allowed by its key and without dashes",
			change: tree{kubeadmFlags: strings.Replace(kubeadmEnv, "3.9", "3.10", 1)},
			rules:  []drift.Bound[Rule]{{Operation: op, Rule: Rule{Compare: parameters, Allow: []string{"pod-infra-*"}}}},
		},
		{
			name:   "environment file",
			change: tree{kubeadmFlags: strings.Replace(kubeadmEnv, "3.9", "3.10", 1)},
			want:   []string{"kubelet kubeadm-flags.env --pod-infra-container-image: pause:3.10, was pause:3.9"},
		},
		{name: "file gone", change: tree{kubeletConfig: ""}, want: []string{"kubelet config: absent, was present"}},
		{name: "what was not there is added", change: tree{"/etc/default/kubelet": "A=--x", dockerConfig: "{}"}},
		{
			name:   "containerd",
			change: tree{containerdConfig: strings.NewReplacer("true", "false", "hunter2", "hunter3").Replace(containerdTOML)},
			want:   []string{`containerd plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options.SystemdCgroup: false, was true`},
		},
		{
			name:   "secret taken away",
			change: tree{containerdConfig: strings.Replace(containerdTOML, `password = "hunter2"`, "", 1)},
			want: []string{
				`containerd plugins."io.containerd.grpc.v1.cri".registry.configs."r.io".auth: {}, was unset`,
				`containerd plugins."io.containerd.grpc.v1.cri".registry.configs."r.io".auth.password: unset, was set`,
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, root := plant(t, worker())
			recorded := baseline.ScopeOf(observe(root, compareAll, nil).Facts, nil)
			write(t, dir, tt.change)
			rules := tt.rules
			if rules == nil {
				rules = compareAll
			}
			o := observe(root, rules, recorded)
			if diff := cmp.Diff(tt.want, said(o)); diff != "" {
				t.Error(diff)
			}
			for _, f := range o.Findings {
				if !f.Baseline || f.Operation != op || f.State != drift.Active {
					t.Errorf("finding %+v", f)
				}
			}
			if len(o.Gaps) > 0 {
				t.Errorf("gaps %v", o.Gaps)
			}
		})
	}
}

func TestAddedAreaIsComparedOnceItIsRecorded(t *testing.T) {
	dir, root := plant(t, tree{kubeletConfig: kubeletYAML})
	recorded := baseline.ScopeOf(observe(root, compareAll, nil).Facts, nil)
	write(t, dir, tree{containerdConfig: containerdTOML})
	o := observe(root, compareAll, recorded)
	if added := recorded.AddFresh(o.Facts); added == 0 || len(o.Findings) > 0 {
		t.Fatalf("%d facts added, findings %v", added, o.Findings)
	}
	write(t, dir, tree{containerdConfig: strings.Replace(containerdTOML, "3.9", "3.10", 1)})
	want := []string{`containerd plugins."io.containerd.grpc.v1.cri".sandbox_image: pause:3.10, was pause:3.9`}
	if diff := cmp.Diff(want, said(observe(root, compareAll, recorded))); diff != "" {
		t.Error(diff)
	}
}

func TestDropIns(t *testing.T) {
	env := tree{"/etc/default/kubelet": "A=--config-dir=/etc/kubelet.d"}
	for _, tt := range []struct {
		name  string
		files tree
		want  map[string]string // of the keys that the drop-ins touch
	}{
		{"maps are joined", tree{"/etc/kubelet.d/10.conf": "evictionHard: {nodefs.available: 5%}"},
			map[string]string{"evictionHard.memory.available": "100Mi", "evictionHard.nodefs.available": "5%"}},
		{"lists are replaced", tree{"/etc/kubelet.d/10.conf": "clusterDNS: [a, b]", "/etc/kubelet.d/20.conf": "clusterDNS: [c]"},
			map[string]string{"clusterDNS[0]": "c"}},
		{"in lexical order", tree{"/etc/kubelet.d/20.conf": "maxPods: 20", "/etc/kubelet.d/10.conf": "maxPods: 10"}, map[string]string{"maxPods": "20"}},
		{"below as well", tree{"/etc/kubelet.d/a/10.conf": "maxPods: 10"}, map[string]string{"maxPods": "10"}},
		{"null takes away", tree{"/etc/kubelet.d/10.conf": "maxPods: null"}, map[string]string{}},
		{"other names do not count", tree{"/etc/kubelet.d/10.yaml": "maxPods: 10"}, map[string]string{"maxPods": "110"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files := worker()
			maps.Copy(files, env)
			maps.Copy(files, tt.files)
			_, root := plant(t, files)
			got := values(observe(root, compareAll, nil))
			for _, key := range []string{"maxPods", "clusterDNS[0]", "clusterDNS[1]", "evictionHard.memory.available", "evictionHard.nodefs.available"} {
				base := map[string]string{"maxPods": "110", "clusterDNS[0]": "10.0.0.10", "evictionHard.memory.available": "100Mi", "evictionHard.nodefs.available": "10%"}[key]
				want, touched := tt.want[key]
				if !touched && tt.name != "null takes away" {
					want = base
				} else if key != "maxPods" && !touched {
					want = base
				}
				if got["kubelet config "+key] != want {
					t.Errorf("%s = %q, want %q", key, got["kubelet config "+key], want)
				}
			}
		})
	}
}

func TestContainerdImports(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files tree
		key   string
		want  string
	}{
		{"glob, later wins", tree{containerdConfig: "imports = [\"/etc/containerd/conf.d/*.toml\"]\nroot = \"/a\"",
			"/etc/containerd/conf.d/1.toml": `root = "/b"`, "/etc/containerd/conf.d/2.toml": `root = "/c"`, "/etc/containerd/conf.d/x": `root = "/d"`}, "root", "/c"},
		{"relative to the importing file", tree{containerdConfig: `imports = ["more/a.toml"]`,
			"/etc/containerd/more/a.toml": `imports = ["b.toml"]`, "/etc/containerd/more/b.toml": `root = "/b"`}, "root", "/b"},
		{"in a circle", tree{containerdConfig: "imports = [\"a.toml\"]\nroot = \"/0\"",
			"/etc/containerd/a.toml": "imports = [\"config.toml\", \"a.toml\"]\nroot = \"/a\""}, "root", "/a"},
		{"deeply merged", tree{containerdConfig: "imports = [\"a.toml\"]\n" + containerdTOML,
			"/etc/containerd/a.toml": "[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"x\""},
			`plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options.SystemdCgroup`, "true"},
		{"lists are joined", tree{containerdConfig: "imports = [\"a.toml\"]\ndisabled_plugins = [\"x\"]",
			"/etc/containerd/a.toml": `disabled_plugins = ["x", "y"]`}, "disabled_plugins[1]", "y"},
		{"glob within the path", tree{containerdConfig: `imports = ["/etc/containerd/*/x.toml"]`, "/etc/containerd/d/x.toml": `root = "/d"`}, "root", "/d"},
		{"missing", tree{containerdConfig: "imports = [\"nowhere.toml\"]\nroot = \"/a\""}, "root", "/a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, root := plant(t, tt.files)
			o := observe(root, compareAll, nil)
			if got := values(o)["containerd "+tt.key]; got != tt.want || len(o.Gaps) > 0 {
				t.Errorf("%s = %q, want %q; gaps %v", tt.key, got, tt.want, o.Gaps)
			}
		})
	}
}

func TestAreaUnreadWhenRecordedIsAddedLater(t *testing.T) {
	dir, root := plant(t, tree{kubeletConfig: "a: [", containerdConfig: containerdTOML})
	first := observe(root, compareAll, nil)
	recorded := baseline.ScopeOf(first.Facts, first.Gaps)
	write(t, dir, tree{kubeletConfig: kubeletYAML})
	o := observe(root, compareAll, recorded)
	if recorded.AddFresh(o.Facts); len(o.Findings) > 0 || recorded["kubelet config"] != "present" || recorded["kubelet config maxPods"] != "110" {
		t.Errorf("findings %v, recorded %v", said(o), recorded)
	}
}

func TestWhatCannotBeLookedAtIsAGapAndHoldsItsFindings(t *testing.T) {
	const secret = "hunter2"
	drifted := worker()
	drifted[kubeletConfig] = strings.Replace(kubeletYAML, "110", "200", 1)
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, at string)
		want  string
	}{
		{"not YAML", func(t *testing.T, at string) { writeFile(t, at, "a: b\n  "+secret+": [\n") }, "not valid YAML at line "},
		{"a list", func(t *testing.T, at string) { writeFile(t, at, "- "+secret+"\n") }, "not valid YAML"},
		{"too large", func(t *testing.T, at string) { writeFile(t, at, strings.Repeat("#\n", maxYAML)) }, "too large"},
		{"too many keys", func(t *testing.T, at string) { writeFile(t, at, bomb) }, "more keys than"},
		{"too deep", func(t *testing.T, at string) { writeFile(t, at, "a: "+strings.Repeat("[", 30_000)) }, "nested more deeply"},
		{"a FIFO", func(t *testing.T, at string) { remove(t, at); must(t, unix.Mkfifo(at, 0o644)) }, "not a regular file"},
		{"a directory", func(t *testing.T, at string) { remove(t, at); must(t, os.Mkdir(at, 0o755)) }, "not a regular file"},
		{"a link to itself", func(t *testing.T, at string) { remove(t, at); must(t, os.Symlink("config.yaml", at)) }, "too many levels"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, root := plant(t, worker())
			recorded := baseline.ScopeOf(observe(root, compareAll, nil).Facts, nil)
			write(t, dir, drifted)
			before := observe(root, compareAll, recorded)
			tt.spoil(t, filepath.Join(dir, kubeletConfig))
			o := observe(root, compareAll, recorded)

			if len(o.Gaps) != 1 || o.Gaps[0].Operation != op || o.Gaps[0].Subject != "kubelet config" ||
				!strings.HasPrefix(o.Gaps[0].Reason, kubeletConfig+": ") || !strings.Contains(o.Gaps[0].Reason, tt.want) || strings.Contains(o.Gaps[0].Reason, secret) {
				t.Errorf("gaps %+v, want one about %q", o.Gaps, tt.want)
			}
			if len(o.Findings) > 0 {
				t.Errorf("findings %v: nothing vanished, it cannot be seen", said(o))
			}
			if diff := cmp.Diff(map[string]string(recorded), values(o)); diff != "" {
				t.Errorf("accepting this look would forget what was recorded: %s", diff)
			}
			p := drift.Policy{Checks: []drift.CheckPolicy{{Name: "components", Condition: "ComponentConfigDrift"}}}
			first := drift.Judge(p, drift.Report{}, map[string]drift.Look{"components": {Observation: before}}, at)
			second := drift.Judge(p, first, map[string]drift.Look{"components": {Observation: o}}, at)
			if len(first.Findings) != 1 || len(second.Findings) != 1 {
				t.Errorf("%d findings before, %d held", len(first.Findings), len(second.Findings))
			}
		})
	}
}

func TestMalformedRuntimeConfigurationQuotesNothing(t *testing.T) {
	_, root := plant(t, tree{containerdConfig: "a = 1\npassword = hunter2\n", dockerConfig: "{\"a\": 1,\n \"password\": hunter2}"})
	var reasons []string
	for _, g := range observe(root, compareAll, nil).Gaps {
		reasons = append(reasons, g.Subject+": "+g.Reason)
	}
	want := []string{
		"containerd: /etc/containerd/config.toml: not valid TOML at line 2, column 12",
		"docker daemon.json: /etc/docker/daemon.json: not valid JSON at line 2, column 15",
	}
	if diff := cmp.Diff(want, reasons); diff != "" {
		t.Error(diff)
	}
}

func TestNameOfAFileIsPrintable(t *testing.T) {
	_, root := plant(t, tree{containerdConfig: `imports = ["a\u001b.toml"]`, "/etc/containerd/a\x1b.toml": "a ="})
	o := observe(root, compareAll, nil)
	if len(o.Gaps) != 1 || !strings.HasPrefix(o.Gaps[0].Reason, `/etc/containerd/a\x1b.toml: not valid TOML`) {
		t.Errorf("%+v", o.Gaps)
	}
}

func TestLocalFacts(t *testing.T) {
	_, root := plant(t, tree{
		"/etc/hostname": "node-1\n", "/var/lib/cloud/data/instance-id": "i-abc\n",
		kubeletConfig:          "providerID: x://i-1\nmaxPods: 1\nhome: /data/node-1/x\nother: /data/node-10\nmine: my-node-1",
		"/etc/default/kubelet": "A='--hostname-override=a --node-ip=1.2.3.4 --provider-id=x --node-labels=k/hostname=node-1,zone=b,instance=i-abc'",
	})
	var local []string
	for subject, f := range observe(root, compareAll, nil).Facts {
		if f.Local {
			local = append(local, strings.TrimPrefix(subject, "kubelet "))
		}
	}
	slices.Sort(local)
	want := []string{
		"/etc/default/kubelet --hostname-override", "/etc/default/kubelet --node-ip", "/etc/default/kubelet --node-labels.instance",
		"/etc/default/kubelet --node-labels.k/hostname", "/etc/default/kubelet --provider-id", "config home", "config providerID",
	}
	if diff := cmp.Diff(want, local); diff != "" {
		t.Error(diff)
	}
}

func TestNothingHereIsNothingToSay(t *testing.T) {
	_, root := plant(t, tree{"/etc/hostname": "x"})
	rules := append([]drift.Bound[Rule]{
		{Operation: "drivers", Rule: Rule{CgroupDrivers: agree}}, {Operation: "binary", Rule: Rule{Binary: unreplaced}},
	}, compareAll...)
	o := observe(root, rules, nil)
	if len(o.Findings)+len(o.Gaps)+len(o.Facts) > 0 {
		t.Errorf("%+v", o)
	}
}

func TestRuntimeThatTheKubeletDoesNotUse(t *testing.T) {
	files := worker()
	files[dockerConfig] = `{"debug": true}`
	_, root := plant(t, files)
	for subject := range observe(root, compareAll, nil).Facts {
		if strings.HasPrefix(subject, "docker") {
			t.Errorf("%s: the kubelet uses containerd", subject)
		}
	}
	recorded := baseline.Scope{"docker daemon.json": "present", "docker daemon.json debug": "false"}
	o := observe(root, compareAll, recorded)
	if got := values(o)["docker daemon.json debug"]; got != "false" || len(o.Findings) > 0 {
		t.Errorf("recorded as false, kept as %q; %v", got, said(o))
	}
}

// An update of the other runtime replaces its binary and nothing else.
func TestBinaryOfARuntimeThatTheKubeletDoesNotUse(t *testing.T) {
	for name, c := range map[string]struct {
		endpoint, told string
		want           []Component
	}{
		"containerd":               {endpoint: "unix:///run/containerd/containerd.sock", want: []Component{Containerd}},
		"docker":                   {endpoint: "unix:///run/cri-dockerd.sock", want: []Component{Docker}},
		"containerd, of the Node":  {told: "containerd://1.7.22", want: []Component{Containerd}},
		"docker, of the Node":      {told: "docker://19.3.15", want: []Component{Docker}},
		"which one nobody can say": {want: []Component{Containerd, Docker}},
	} {
		t.Run(name, func(t *testing.T) {
			_, root := plant(t, tree{kubeadmFlags: fmt.Sprintf(`KUBELET_KUBEADM_ARGS="--container-runtime-endpoint=%s"`, c.endpoint)})
			s := look(root, nil)
			s.own.ContainerRuntimeVersion = c.told
			var got []Component
			for _, component := range []Component{Containerd, Docker} {
				s.processes[component] = &host.Process{PID: 7, Exe: "/usr/bin/x (deleted)", Args: []string{"x"}}
				if f, gaps := s.binary("op", component); len(f)+len(gaps) > 0 {
					got = append(got, component)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

func TestKubeletThatIsDownKeepsItsPlace(t *testing.T) {
	_, root := plant(t, tree{"/etc/k.yaml": "maxPods: 2", kubeletConfig: "maxPods: 3"})
	recorded := baseline.Scope{"kubelet": "running", "kubelet --config": "/etc/k.yaml", "kubelet config": "present", "kubelet config maxPods": "1"}
	o := observe(root, compareAll, recorded)
	if diff := cmp.Diff([]string{"kubelet config maxPods: 2, was 1"}, said(o)); diff != "" || o.Findings[0].Args["file"] != "/etc/k.yaml" {
		t.Error(diff, o.Findings)
	}
}

func TestArgumentsOfSecretFlagsInLists(t *testing.T) {
	_, root := plant(t, tree{containerdConfig: `[stream_processors.x]
args = ["--token", "hunter2", "--level", "3"]
`})
	got := values(observe(root, compareAll, nil))
	for key, want := range map[string]string{"args[0]": "--token", "args[1]": "set", "args[3]": "3"} {
		if got["containerd stream_processors.x."+key] != want {
			t.Errorf("%s = %q, want %q", key, got["containerd stream_processors.x."+key], want)
		}
	}
}
