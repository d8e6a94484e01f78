package components

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseFlags(t *testing.T) {
	for _, tt := range []struct {
		name string
		of   Component
		args []string
		want map[string]string
	}{
		{"equals and space", Kubelet, []string{"--a=b", "--c", "d"}, map[string]string{"--a": "b", "--c": "d"}},
		{"switches", Kubelet, []string{"--x", "--y"}, map[string]string{"--x": "true", "--y": "true"}},
		{"switch spelled out", Kubelet, []string{"--x=True"}, map[string]string{"--x": "true"}},
		{"one dash", Kubelet, []string{"-v=2"}, map[string]string{"--v": "2"}},
		{"one dash and space", Kubelet, []string{"-v", "2", "--x"}, map[string]string{"--v": "2", "--x": "true"}},
		{"one dash joined", Kubelet, []string{"-v2"}, map[string]string{"--v": "2"}},
		{"negative number", Kubelet, []string{"--oom-score-adj", "-999"}, map[string]string{"--oom-score-adj": "-999"}},
		{"underscores", Kubelet, []string{"--max_pods=110"}, map[string]string{"--max-pods": "110"}},
		{"repeated", Kubelet, []string{"--a=1", "--a=2"}, map[string]string{"--a": "1,2"}},
		{"repeated the same", Kubelet, []string{"--a=1", "--a=1"}, map[string]string{"--a": "1"}},
		{"empty", Kubelet, []string{"--node-ip="}, map[string]string{"--node-ip": `""`}},
		{"maps in any order", Kubelet, []string{"--feature-gates=B=true,A=False", "--node-labels", "b=1.0,a="}, map[string]string{
			"--feature-gates.A": "false", "--feature-gates.B": "true", "--node-labels.a": `""`, "--node-labels.b": "1.0",
		}},
		{"eviction", Kubelet, []string{"--eviction-hard=memory.available<1024Mi,nodefs.available<10%"}, map[string]string{
			"--eviction-hard.memory.available": "1Gi", "--eviction-hard.nodefs.available": "10%",
		}},
		{"hyperkube", Kubelet, []string{"kubelet", "--a=b"}, map[string]string{"--a": "b"}},
		{"end of flags", Kubelet, []string{"--a", "--", "--b"}, map[string]string{"--a": "true"}},
		{"secret", Kubelet, []string{"--bootstrap-token=abc.def", "--x"}, map[string]string{"--bootstrap-token": "set", "--x": "true"}},
		{"stray words are not kept", Kubelet, []string{"--a=b", "hunter2"}, map[string]string{"--a": "b"}},
		{"containerd", Containerd, []string{"-c", "/x.toml", "-log-level", "debug"}, map[string]string{"--config": "/x.toml", "--log-level": "debug"}},
		{"dockerd", Docker, []string{"-D", "-H", "fd://", "-Hunix:///x", "--exec-opt", "native.cgroupdriver=systemd"}, map[string]string{
			"--debug": "true", "--host": "fd://,unix:///x", "--exec-opt.native.cgroupdriver": "systemd",
		}},
		{"proxy", Docker, []string{"--http-proxy=http://u:p@proxy:1"}, map[string]string{"--http-proxy": "http://proxy:1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, dialectOf(tt.of).parse(tt.args).texts()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		want       map[string]string
	}{
		{"kubeadm", `KUBELET_KUBEADM_ARGS="--container-runtime-endpoint=unix:///run/c.sock --node-labels=a=b"`,
			map[string]string{"--container-runtime-endpoint": "unix:///run/c.sock", "--node-labels.a": "b"}},
		{"comments and blanks", "# --a=b\n; X=1\n\nnonsense\nKUBELET_EXTRA_ARGS=--a=b  \n", map[string]string{"--a": "b"}},
		{"last assignment", "A=--x=1\nA=--x=2\n", map[string]string{"--x": "2"}},
		{"two variables", "A=--x=1\nB='--y=2 --z'", map[string]string{"--x": "1", "--y": "2", "--z": "true"}},
		{"continued", "A=\"--x=1 \\\n --y=2\"\n", map[string]string{"--x": "1", "--y": "2"}},
		{"quotes within", `A="--x='a b' --y"`, map[string]string{"--x": "a b", "--y": "true"}},
		{"other variables", "http_proxy=http://u:p@h:1\nTOKEN=abc\nMODE=fast # no comment\n",
			map[string]string{"http_proxy": "http://h:1", "TOKEN": "set", "MODE": "fast # no comment"}},
		{"empty variable", "KUBELET_EXTRA_ARGS=\n", map[string]string{}},
		{"exported", "export A=--x\n", map[string]string{"--x": "true"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := dialectOf(Kubelet).environment([]byte(tt.file))
			got := env.flags.texts()
			for name, text := range env.variables {
				got[name] = text
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
