package components

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/nodeguard/nodeguard/internal/host"
)

// fit fails where a key or value could not be shown.
func fit(t *testing.T, texts map[string]string) {
	t.Helper()
	for key, text := range texts {
		for _, s := range []string{key, text} {
			if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("not printable: %q", s)
			}
		}
		if len(key) > 2*maxKey {
			t.Errorf("a key of %d bytes", len(key))
		}
	}
}

func FuzzFlags(f *testing.F) {
	f.Add("--a=b\x00--c\x00d\x00-v2\x00--node-labels=a=b,c")
	f.Add("-H\x00fd://\x00-D\x00--\x00x")
	f.Add("kubelet\x00-=\x00--=\x00---\x00-")
	f.Fuzz(func(t *testing.T, line string) {
		for _, c := range components {
			fit(t, dialectOf(c).parse(strings.Split(line, "\x00")).texts())
		}
	})
}

func FuzzEnvironment(f *testing.F) {
	f.Add([]byte(kubeadmEnv))
	f.Add([]byte("A='--x\n --y=\"z\"'\n#c\nB=\\\n--q"))
	f.Fuzz(func(t *testing.T, data []byte) {
		env := dialectOf(Kubelet).environment(data)
		fit(t, env.flags.texts())
		fit(t, env.variables)
	})
}

func FuzzKubeletConfig(f *testing.F) {
	f.Add([]byte(kubeletYAML))
	f.Add([]byte(`{"a":{"b":[1,2.5,null,"x"]}}`))
	f.Add([]byte("a: &a [*a]\nb: {<<: *a}\n? [c]\n: d"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4<<10 {
			return
		}
		if tree, err := parseKubelet(data); err == nil {
			if texts, err := flatten(tree, plainKeys); err == nil {
				fit(t, texts)
				merge(tree, tree, replaced)
			}
		}
	})
}

func FuzzDaemonJSON(f *testing.F) {
	f.Add([]byte(`{"exec-opts":["native.cgroupdriver=systemd"],"log-opts":{"max-size":"10m"},"a":1e400}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if tree, err := parseJSON(data); err == nil {
			if texts, err := flatten(tree, quotedKeys); err == nil {
				fit(t, texts)
			}
		}
	})
}

// FuzzContainerdConfig reads a configuration that may import itself and others.
func FuzzContainerdConfig(f *testing.F) {
	f.Add([]byte(containerdTOML), []byte(`imports = ["*.toml", "../containerd/config.toml"]`))
	f.Add([]byte(`imports = ["/etc/*/*.toml", "[", "x/../*"]`), []byte("a = 1979-05-27\nb = [[1], {c = nan}]"))
	dir := f.TempDir()
	at := filepath.Join(dir, "etc/containerd")
	if err := os.MkdirAll(at, 0o755); err != nil {
		f.Fatal(err)
	}
	root, err := host.Open(dir)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { root.Close() })
	f.Fuzz(func(t *testing.T, config, imported []byte) {
		for name, data := range map[string][]byte{"config.toml": config, "a.toml": imported} {
			must(t, os.WriteFile(filepath.Join(at, name), data, 0o644))
		}
		s := look(root, nil)
		for _, a := range s.areas {
			for key, v := range a.values {
				fit(t, map[string]string{a.subject(key): v.text})
			}
			if a.fault != nil && strings.ContainsFunc(a.fault.reason, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("reason %q", a.fault.reason)
			}
		}
		s.cgroupDrivers("x")
	})
}
