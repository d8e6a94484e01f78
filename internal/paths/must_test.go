package paths_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/hosttest"
	"github.com/nodeguard/nodeguard/internal/paths"
)

// look lets a check of these rules look at the tree.
func look(t *testing.T, dir string, rules []drift.Bound[paths.Rule], recorded baseline.Scope) drift.Observation {
	t.Helper()
	root, err := host.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	check := paths.New(root, rules, recorded, nil)
	first := check.Observe(t.Context(), nil)
	if again := check.Observe(t.Context(), []string{}); !cmp.Equal(found(first), found(again)) {
		t.Errorf("a second look sees something else: %v, %v", found(first), found(again))
	}
	return first
}

func bound(operation string, r paths.Rule) drift.Bound[paths.Rule] {
	return drift.Bound[paths.Rule]{Operation: operation, Rule: r}
}

const mountLine = "%d 1 8:%d / %s rw - ext4 %s rw\n"

func mountTable(lines ...[3]any) string {
	table := fmt.Sprintf(mountLine, 20, 1, "/", "/dev/vda1")
	for i, l := range lines {
		table += fmt.Sprintf(mountLine, 21+i, l[0], l[1], l[2])
	}
	return table
}

func TestDemands(t *testing.T) {
	must := func(m paths.Must, names ...string) paths.Rule { return paths.Rule{Paths: names, Must: &m} }
	for _, c := range []struct {
		name   string
		rule   paths.Rule
		script string
		want   []string
	}{
		{"enough permissions", must(paths.Must{Grant: "0555"}, "/"), "chmod 755 .", []string{}},
		{"too few", must(paths.Must{Grant: "0555"}, "/"), "chmod 750 .", []string{"op /: mode 0750, supported mode 0555"}},
		{"the link", must(paths.Must{LinkTo: []string{"/mnt/k"}}, "/k"), "ln -s /mnt/k k", []string{}},
		{"another link", must(paths.Must{LinkTo: []string{"/mnt/k"}}, "/k"), "ln -s /mnt/l k", []string{"op /k: link to /mnt/l, supported link to /mnt/k"}},
		{"no link", must(paths.Must{LinkTo: []string{"/mnt/k"}}, "/k"), "", []string{"op /k: missing, supported link to /mnt/k"}},
		{"a directory instead", must(paths.Must{LinkTo: []string{"/mnt/k"}}, "/k"), "mkdir k", []string{"op /k: dir, supported link to /mnt/k"}},
		{"a directory will do", must(paths.Must{LinkTo: []string{"/mnt/k"}, OrDirectory: true}, "/k", "/none"), "mkdir k", []string{}},
		{"not mounted", must(paths.Must{Unmounted: true}, "/var", "/var/lib"), "", []string{}},
		{"mounted", must(paths.Must{Unmounted: true}, "/var", "/var/lib"),
			"printf '" + mountTable([3]any{2, "/var/lib", "/dev/vdb"}) + "' > proc/1/mountinfo", []string{"op /var/lib: mounted (ext4 of /dev/vdb), supported not mounted"}},
		{"few enough", must(paths.Must{AtMost: 2, Of: "s-*.pem"}, "/pki"), "mkdir pki; touch pki/s-1.pem pki/s-2.pem pki/c-3.pem", []string{}},
		{"too many", must(paths.Must{AtMost: 2, Of: "s-*.pem"}, "/pki"), "mkdir pki; touch pki/s-1.pem pki/s-2.pem pki/s-3.pem", []string{"op /pki: 3 files s-*.pem, supported at most 2"}},
		{"the root directory by default", must(paths.Must{RootDir: "/k"}, "/env"), `printf '# --root-dir=/x\nA="--v=2 --root-dir=/k"\n' > env`, []string{}},
		{"another root directory", must(paths.Must{RootDir: "/k"}, "/env"), `printf 'A="--root-dir=/data/k --v=2"\n' > env`, []string{"op kubelet --root-dir: /data/k (/env), supported /k"}},
		{"as two words", must(paths.Must{RootDir: "/k"}, "/env"), `printf 'ExecStart=/usr/bin/kubelet --root-dir /data/k\n' > env`, []string{"op kubelet --root-dir: /data/k (/env), supported /k"}},
		{"as the first in a variable", must(paths.Must{RootDir: "/k"}, "/env"), "printf 'A=--root-dir=/data/k\n' > env", []string{"op kubelet --root-dir: /data/k (/env), supported /k"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			hosttest.Write(t, dir, "proc/1/mountinfo", mountTable())
			sh(t, dir, c.script)
			o := look(t, dir, []drift.Bound[paths.Rule]{bound("op", c.rule)}, nil)
			if diff := cmp.Diff(c.want, found(o)); diff != "" || len(o.Gaps) > 0 {
				t.Errorf("%s gaps %v", diff, o.Gaps)
			}
		})
	}
}

// A narrowed operation has its aspect of a path for itself; the rest is the others'.
func TestNarrowed(t *testing.T) {
	rules := []drift.Bound[paths.Rule]{
		bound("all", paths.Rule{Paths: []string{"/etc/kubernetes", "/var/lib/kubelet"}, Content: []string{"**"}}),
		bound("there", paths.Rule{Paths: []string{"/etc/kubernetes", "/etc/kubernetes/manifests", "/data"}, Only: "presence"}),
		bound("modes", paths.Rule{Paths: []string{"/etc/kubernetes", "/var/lib/kubelet", "/etc/rc.local"}, Only: "permissions", Tier: "light"}),
	}
	for _, c := range []struct {
		name, script string
		want         []string
	}{
		{"nothing", "", []string{}},
		{"all gone", "rm -r etc/kubernetes data", []string{
			"there /data: missing, supported present", "there /etc/kubernetes: missing, supported present"}},
		{"a directory within gone", "rm -r etc/kubernetes/manifests", []string{"there /etc/kubernetes/manifests: missing, supported present"}},
		{"what nobody has for itself", "rm -r var/lib/kubelet", []string{"all /var/lib/kubelet: missing, supported present"}},
		{"a mode", "chmod 777 etc/kubernetes; chmod 600 etc/rc.local", []string{
			"modes /etc/kubernetes: mode 0777, supported mode 0755 (light)", "modes /etc/rc.local: mode 0600, supported mode 0644 (light)"}},
		{"a mode within", "chmod 777 etc/kubernetes/manifests", []string{"all /etc/kubernetes/manifests: mode 0777, supported mode 0755"}},
		{"another type", "rm -r data; touch data", []string{"there /data: file, supported dir"}},
		{"content", "echo b > etc/kubernetes/manifests/a; echo b >> etc/rc.local", []string{
			"all /etc/kubernetes/manifests/a: content sha256:0263829989b6, supported content sha256:87428fc52280"}},
		{"directories that were put back", "for d in etc/kubernetes etc/kubernetes/manifests data; do cp -a $d new; rm -r $d; mkdir other; mv new $d; rmdir other; done", []string{
			"all /etc/kubernetes (mount): another directory under the same name, supported the directory that was recorded",
			"there /data (mount): another directory under the same name, supported the directory that was recorded"}},
		{"another file system", "sed -i s/old/new/ run/udev/data/b8:2", []string{"there /data (mount): on a file system with UUID new, supported on the file system with UUID old"}},
		{"an upgrade of udev says it first", "printf 'E:ID_FS_TYPE=ext4\n' > run/udev/data/b8:2", []string{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			hosttest.Write(t, dir, "etc/kubernetes/manifests/a", "a\n")
			hosttest.Write(t, dir, "var/lib/kubelet/config.yaml", "a")
			hosttest.Write(t, dir, "etc/rc.local", "a")
			hosttest.Write(t, dir, "data/x", "a")
			hosttest.Write(t, dir, "proc/1/mountinfo", mountTable([3]any{2, "/data", "/dev/vdb"}))
			hosttest.Write(t, dir, "run/udev/data/b8:2", "S:disk/by-id/x\nE:ID_FS_UUID=old\n")
			before := look(t, dir, rules, nil)
			recorded := baseline.ScopeOf(before.Facts, before.Gaps)
			sh(t, dir, c.script)
			o := look(t, dir, rules, recorded)
			if diff := cmp.Diff(c.want, found(o)); diff != "" || len(o.Gaps) > 0 {
				t.Errorf("%s gaps %v", diff, o.Gaps)
			}
		})
	}
}

// A target in another one is judged by its own rule alone.
func TestTargetInATarget(t *testing.T) {
	rules := []drift.Bound[paths.Rule]{
		bound("all", paths.Rule{Paths: []string{"/etc/kubernetes"}, Content: []string{"**"}}),
		bound("audit", paths.Rule{Paths: []string{"/etc/kubernetes/audit/policy.yaml", "/etc/kubernetes/ssl"}, Content: []string{"*"}}),
	}
	dir := t.TempDir()
	hosttest.Write(t, dir, "etc/kubernetes/audit/policy.yaml", "a")
	hosttest.Write(t, dir, "etc/kubernetes/ssl/ca.pem", "a")
	hosttest.Write(t, dir, "etc/kubernetes/kubelet.conf", "a")
	before := look(t, dir, rules, nil)
	recorded := baseline.ScopeOf(before.Facts, before.Gaps)
	sh(t, dir, "for f in audit/policy.yaml ssl/ca.pem kubelet.conf; do rm etc/kubernetes/$f; done")
	want := []string{"all /etc/kubernetes/kubelet.conf: missing, supported present",
		"audit /etc/kubernetes/audit/policy.yaml: missing, supported present", "audit /etc/kubernetes/ssl/ca.pem: missing, supported present"}
	if diff := cmp.Diff(want, found(look(t, dir, rules, recorded))); diff != "" {
		t.Error(diff)
	}
}

func TestMountsOfBlockDevices(t *testing.T) {
	rules := []drift.Bound[paths.Rule]{bound("disk", paths.Rule{Paths: []string{"/var/lib/kubelet", "/etc"}, Mounts: []string{"/var/lib/kubelet/pods/**"}})}
	runtime := [3]any{2, "/var/lib/kubelet", "/dev/vdb"}
	for _, c := range []struct {
		name  string
		table string
		want  []string
	}{
		{"what was there", mountTable(runtime), []string{}},
		{"one that is gone", mountTable(), []string{}},
		{"a volume of a pod", mountTable(runtime, [3]any{3, "/var/lib/kubelet/pods/x/volumes/y", "/dev/vdc"}), []string{}},
		{"no block device", mountTable(runtime, [3]any{3, "/etc/x", "tmpfs"}), []string{}},
		{"elsewhere", mountTable(runtime, [3]any{3, "/etcetera", "/dev/vdc"}), []string{}},
		{"a disk", mountTable(runtime, [3]any{3, "/var/lib/kubelet/data", "/dev/vdc"}, [3]any{4, "/etc", "/dev/vdd"}),
			[]string{"disk mount /etc: a file system of a block device (ext4), supported absent", "disk mount /var/lib/kubelet/data: a file system of a block device (ext4), supported absent"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			hosttest.Write(t, dir, "proc/1/mountinfo", mountTable(runtime))
			before := look(t, dir, rules, nil)
			recorded := baseline.ScopeOf(before.Facts, before.Gaps)
			hosttest.Write(t, dir, "proc/1/mountinfo", c.table)
			o := look(t, dir, rules, recorded)
			if diff := cmp.Diff(c.want, found(o)); diff != "" {
				t.Error(diff)
			}
			if o := look(t, dir, rules, baseline.Scope{}); len(o.Findings) > 0 || !o.Facts["mounts"].Fresh {
				t.Errorf("a baseline that never covered mounts: %v %v", found(o), o.Facts)
			}
		})
	}
}

// A renewal under the same authority is in the ordinary course of things; another
// authority is not, though it bears the same name.
func TestRenewed(t *testing.T) {
	rules := []drift.Bound[paths.Rule]{bound("certs", paths.Rule{Paths: []string{"/pki"}, Content: []string{"*"}, Exclude: []string{"*.key"}, Renewed: []string{"*.crt", "*.conf"}, LightTier: "light"})}
	kubeconfig := func(certificate, server string) string {
		return "clusters:\n- server: " + server + "\nusers:\n- user:\n    client-certificate-data: " + certificate + "\n    client-key-data: " + certificate + "\n"
	}
	old, other := newAuthority(t, "kubernetes"), newAuthority(t, "kubernetes")
	for _, c := range []struct {
		name   string
		change func(dir string)
		want   int
	}{
		{"a new one is light", func(dir string) { old.write(t, filepath.Join(dir, "more.crt"), "x") }, -1},
		{"another mode is light", func(dir string) { _ = os.Chmod(filepath.Join(dir, "ca.crt"), 0o666) }, -1},
		{"the leaf is renewed", func(dir string) { old.write(t, filepath.Join(dir, "apiserver.crt"), "kube-apiserver") }, 0},
		{"kubeconfig is renewed", func(dir string) { hosttest.Write(t, dir, "admin.conf", kubeconfig("BBBB", "a")) }, 0},
		{"the authority is another", func(dir string) { other.write(t, filepath.Join(dir, "ca.crt"), "") }, 1},
		{"the leaf is another authority's", func(dir string) { other.write(t, filepath.Join(dir, "apiserver.crt"), "kube-apiserver") }, 1},
		{"an older leaf", func(dir string) { old.at(-time.Hour).write(t, filepath.Join(dir, "apiserver.crt"), "kube-apiserver") }, 1},
		{"the leaf has another's key beside it", func(dir string) {
			old.write(t, filepath.Join(dir, "apiserver.crt"), "kube-apiserver")
			hosttest.Write(t, dir, "apiserver.key", old.key(t))
		}, 1},
		{"a second authority joins the first", func(dir string) {
			hosttest.Write(t, dir, "ca.crt", old.pem()+other.pem())
		}, 1},
		{"the leaf is another's", func(dir string) { old.write(t, filepath.Join(dir, "apiserver.crt"), "me") }, 1},
		{"no certificate any more", func(dir string) { hosttest.Write(t, dir, "ca.crt", "x") }, 1},
		{"gone", func(dir string) { _ = os.Remove(filepath.Join(dir, "ca.crt")) }, 1},
		{"kubeconfig is of another cluster", func(dir string) { hosttest.Write(t, dir, "admin.conf", kubeconfig("AAAA", "b")) }, 1},
		{"another mode and another's", func(dir string) {
			other.write(t, filepath.Join(dir, "ca.crt"), "")
			_ = os.Chmod(filepath.Join(dir, "ca.crt"), 0o666)
		}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			hosttest.Write(t, dir, "pki/admin.conf", kubeconfig("AAAA", "a"))
			old.write(t, filepath.Join(dir, "pki/ca.crt"), "")
			old.write(t, filepath.Join(dir, "pki/apiserver.crt"), "kube-apiserver")
			before := look(t, dir, rules, nil)
			recorded := baseline.ScopeOf(before.Facts, before.Gaps)
			c.change(filepath.Join(dir, "pki"))
			o, weight := look(t, dir, rules, recorded), 0
			for _, f := range o.Findings {
				if weight = 1; f.Tier == "light" {
					weight = -1
				}
			}
			if weight != c.want || len(o.Findings) > 1 || len(o.Gaps) > 0 {
				t.Errorf("%v %v", found(o), o.Gaps)
			}
		})
	}
}
