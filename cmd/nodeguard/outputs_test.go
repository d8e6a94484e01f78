package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/nodeguard/nodeguard/internal/catalog"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/export/text"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/hosttest"
)

// ownEtc is a host of the test's own, with an /etc of its own.
func ownEtc(t *testing.T) {
	t.Helper()
	agentHost(t)
	hosttest.Mount(t, "/etc", "-t", "tmpfs", "-o", "mode=755", "tmpfs")
	hosttest.Write(t, "/", "/etc/hostname", "n1\n")
}

// everyOutput is all that nodeguard says and keeps of this host, by where; further
// profiles look at other things.
func everyOutput(t *testing.T, log []string, further ...string) map[string]string {
	t.Helper()
	out := map[string]string{"the log": strings.Join(log, "\n")}
	var (
		mu   sync.Mutex
		says sync.WaitGroup
	)
	say := func(args ...string) {
		says.Go(func() {
			var stdout, stderr bytes.Buffer
			run(t.Context(), args, &stdout, &stderr)
			mu.Lock()
			defer mu.Unlock()
			out[strings.Join(args, " ")] = stdout.String() + stderr.String()
		})
	}
	for _, format := range append(text.Formats[:], "line", "openmetrics") {
		say("check", "--profile", "ack", "-o", format)
	}
	for _, profile := range further {
		say("check", "--profile", profile, "--lang", "zh")
	}
	for _, format := range []string{"table", "wide", "json", "yaml"} {
		say("history", "-o", format)
	}
	for _, format := range []string{"table", "json", "yaml"} {
		say("baseline", "show", "-o", format)
		say("baseline", "diff", "-o", format)
	}
	says.Wait()
	for _, path := range []string{"/metrics", "/api/v1/report", "/"} {
		out[path] = string(get(t, path))
	}
	err := filepath.WalkDir(host.StateDir, func(name string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(name)
		out[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func profiles(t *testing.T) []string {
	t.Helper()
	c, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	return c.Names()
}

const canary = "c4n4ry"

// secrets are files of a node with secrets in them, %s stands for.
var secrets = map[string]string{
	"/etc/kubernetes/kubelet.conf":                  "apiVersion: v1\nkind: Config\nusers:\n- name: u\n  user: {token: %s, password: %s, client-key-data: %b}\nclusters:\n- name: c\n  cluster: {server: 'https://u:%s@192.0.2.1:6443'}\n",
	"/etc/kubernetes/bootstrap-kubelet.conf":        "users:\n- name: u\n  user: {token: abcdef.%s}\n",
	"/etc/kubernetes/pki/ca.key":                    "-----BEGIN EC PRIVATE KEY-----\n%b\n-----END EC PRIVATE KEY-----\n",
	"/etc/kubernetes/manifests/app.yaml":            "apiVersion: v1\nkind: Pod\nmetadata: {name: app}\nspec:\n  containers:\n  - name: kube-apiserver\n    command: [kube-apiserver, --token=%s, --service-node-port-range=30000-32767]\n    env: [{name: PASSWORD, value: %s}]\n",
	"/var/lib/kubelet/config.yaml":                  "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nmaxPods: 110\nstaticPodURLHeader: {Authorization: ['Bearer %s']}\ntoken: %s\n",
	"/var/lib/kubelet/config.json":                  `{"auths":{"r.example":{"auth":"%b","password":"%s"}}}`,
	"/var/lib/kubelet/kubeadm-flags.env":            "KUBELET_KUBEADM_ARGS=\"--max-pods=110 --bootstrap-token=%s\"\nHTTPS_PROXY=http://u:%s@proxy:3128\nAPI_TOKEN=%s\n",
	"/var/lib/kubelet/pki/kubelet-client.pem":       "-----BEGIN EC PRIVATE KEY-----\n%b\n-----END EC PRIVATE KEY-----\n%s\n",
	"/etc/containerd/config.toml":                   "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry.configs.\"r.example\".auth]\n  username = \"robot\"\n  password = \"%s\"\n  auth = \"%b\"\n[plugins.\"io.containerd.grpc.v1.cri\".registry.headers]\n  Authorization = [\"Basic %s\"]\n",
	"/etc/containerd/certs.d/r.example/hosts.toml":  "server = \"https://u:%s@r.example\"\n[host.\"https://r.example\".header]\n  x-auth = [\"%s\"]\n",
	"/etc/docker/daemon.json":                       `{"log-driver":"splunk","log-opts":{"splunk-token":"%s"},"http-proxy":"http://u:%s@proxy"}`,
	"/etc/systemd/system/kubelet.service":           "[Service]\nExecStart=/usr/bin/kubelet --token=%s\nEnvironment=HTTPS_PROXY=http://u:%s@proxy TOKEN=%s\n",
	"/etc/systemd/system/kubelet.service.d/10.conf": "[Service]\nEnvironment=\"KUBELET_EXTRA_ARGS=--bootstrap-token=%s --node-labels=a=b\"\n",
	"/etc/shadow":                         "root:$6$%s$%b:19000:0:99999:7:::\n",
	"/etc/resolv.conf":                    "# %s\nnameserver 192.0.2.53\n",
	"/etc/cni/net.d/10-net.conf":          `{"name":"net","type":"net","token":"%s","kubernetes":{"k8s_auth_token":"%s"}}`,
	"/var/lib/kube-proxy/kubeconfig.conf": "users: [{name: u, user: {token: %s}}]\n",
}

// plant writes the secrets, after it changed the text around them.
func plant(t *testing.T, secret string, change func(string) string) {
	t.Helper()
	values := strings.NewReplacer("%s", secret, "%b", base64.StdEncoding.EncodeToString([]byte(secret)))
	for name, content := range secrets {
		hosttest.Write(t, "/", name, values.Replace(change(content)))
	}
}

func same(s string) string { return s }

// broken is what a parser stops at, where the secret is.
func broken(s string) string {
	return strings.NewReplacer(`"%s"`, "%s", "{token: %s", "{token: [%s", "token: %s\n", "token: 'x' %s: {\n\t- %s", `"%b"`, "%b").Replace(s)
}

// No secret is ever in what nodeguard says or keeps: not of what was recorded, not when it
// changes, not of a file that cannot be parsed, and not of a process that did something.
func TestNoSecretInAnyOutput(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	ownEtc(t)
	plant(t, canary+"1", same)
	flags := []string{"--config=/var/lib/kubelet/config.yaml", "--kubeconfig=/etc/kubernetes/kubelet.conf", "--max-pods=110"}
	stop := fakeKubelet(t, append(flags, "--token="+canary+"1", "--bootstrap-token", canary+"1")...)
	a := startAgent(t, served...)
	said := a.upTo(recorded)
	look := func(when string, further ...string) {
		t.Helper()
		hosttest.Run(t, "sh", "-c", "echo 0 >/proc/sys/net/ipv4/ip_forward", "sh", "--token="+canary, "--password", canary, "https://u:"+canary+"@proxy")
		said = append(said, a.upTo(`"msg":"raised"`, `"net.ipv4.ip_forward"`)...)
		encoded := base64.StdEncoding.EncodeToString([]byte(canary))[:7] // of what begins with it
		for where, output := range everyOutput(t, said, further...) {
			if len(output) == 0 && where != "baseline diff -o table" && !strings.HasPrefix(where, "/") {
				t.Errorf("%s: %s says nothing", when, where)
			}
			for _, secret := range []string{canary, encoded} {
				if at := strings.Index(output, secret); at >= 0 {
					t.Errorf("%s: %s says %q", when, where, output[max(0, at-100):min(len(output), at+50)])
				}
			}
		}
		hosttest.Sysctl(t, "net/ipv4/ip_forward", "1")
		said = append(said, a.upTo(`"msg":"cleared"`, `"net.ipv4.ip_forward"`)...)
	}

	stop()
	plant(t, canary+"2", same)
	stop = fakeKubelet(t, append(flags, "--token="+canary+"2", "--bootstrap-token", canary+"2", "--max-pods=250")...)
	said = append(said, a.upTo(`"msg":"raised"`, "/etc/kubernetes/kubelet.conf")...)
	look("changed")

	plant(t, canary+"3", broken)
	awaitReport(t, func(r drift.Report) bool {
		return slices.ContainsFunc(r.Unknown, func(g drift.UnknownReport) bool { return strings.Contains(g.Reason+g.Subject, "config.toml") })
	})
	look("broken", profiles(t)...)
	stop()
	a.stop()
	for line := range a.lines {
		if strings.Contains(line, canary) {
			t.Errorf("the log's end says %s", line)
		}
	}
}

// hostile begins to paint a terminal, ends its line, turns direction and is no UTF-8.
const hostile = "h\x1b[31mo\x1b]0;s\x07t\r\ni\u202e\u200b\x9b\x7f\xff"

// Names are the host's: no byte of them reaches a terminal, a log or a scraper as it is.
func TestHostileNamesInEveryOutput(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	ownEtc(t)
	hosttest.Write(t, "/", "/etc/kubernetes/kubelet.conf", "x")
	hosttest.Write(t, "/", "/etc/containerd/config.toml", "version = 2\n")
	hosttest.Write(t, "/", "/var/lib/kubelet/config.yaml", "maxPods: 110\n")
	stop := fakeKubelet(t, "--config=/var/lib/kubelet/config.yaml")
	a := startAgent(t, served...)
	said := a.upTo(recorded)

	hosttest.Write(t, "/", "/etc/sysctl.d/99-"+hostile+".conf", "net.ipv4.ip_forward = 0\n")
	hosttest.Write(t, "/", "/etc/kubernetes/"+hostile, "x")
	hosttest.Write(t, "/", "/etc/kubernetes/manifests/"+hostile+".yaml", "kind: \"\x1b[1m\"")
	hosttest.Write(t, "/", "/etc/cni/net.d/"+hostile+".conf", "{\x1b")
	hosttest.Write(t, "/", "/etc/containerd/certs.d/"+hostile+"/hosts.toml", "server = \"\x1b[1m\"")
	hosttest.Write(t, "/", "/var/lib/kubelet/config.yaml", "maxPods: 111\nclusterDomain: \"\\e[31m\\u202e\"\n\"k\\e[1m\": 1\n")
	hosttest.Write(t, "/", "/etc/containerd/config.toml", "version = 2\n[plugins.\"\\u001b[1m\"]\nx = \"\\u001b[1m\\u0007\"\n")
	hosttest.Run(t, "ip", "link", "add", "a\x1b[1mb\x7f\xff", "type", "veth")
	hosttest.Sysctl(t, "net/ipv4/conf/all/rp_filter", "1")
	stop()
	defer fakeKubelet(t, "--config=/var/lib/kubelet/config.yaml", "--hostname-override=\x1b[31m\r\n\xff", "--"+hostile)()
	hosttest.Run(t, "install", "-D", "/bin/sh", "/var/lib/programs/"+hostile)
	hosttest.Run(t, "/var/lib/programs/"+hostile, "-c", "echo 0 >/proc/sys/net/ipv4/ip_forward", hostile)
	missing := []string{"net.ipv4.ip_forward", "/etc/kubernetes/h", "/etc/sysctl.d/99-h", "clusterDomain", "hostname-override", "rp_filter"}
	for len(missing) > 0 {
		said = append(said, a.upTo(`"msg":"raised"`)...)
		missing = slices.DeleteFunc(missing, func(part string) bool { return strings.Contains(said[len(said)-1], part) })
	}
	for where, output := range everyOutput(t, said) {
		for line := range strings.Lines(output) {
			line = strings.TrimSuffix(line, "\n")
			if at := unprintable(line); at >= 0 {
				t.Errorf("%s: %q in %q", where, line[at], line[max(0, at-100):min(len(line), at+50)])
			}
			var decoded any
			if json.Unmarshal([]byte(line), &decoded) == nil {
				printableValues(t, where, decoded)
			}
		}
		var decoded any
		if json.Unmarshal([]byte(output), &decoded) == nil {
			printableValues(t, where, decoded)
		}
		if strings.HasPrefix(where, "check --profile ack") && !strings.HasSuffix(where, "line") && !strings.Contains(output, `\x1b[31mo`) {
			t.Errorf("%s does not name the file: %s", where, output)
		}
	}
	a.stop()
}

// unprintable is where a terminal might do something, or the bytes are no text; -1: nowhere.
func unprintable(s string) int {
	if at := strings.IndexFunc(s, func(r rune) bool { return unicode.Is(unicode.C, r) && r != '\t' }); at >= 0 {
		return at
	}
	if !utf8.ValidString(s) {
		return 0
	}
	return -1
}

// printableValues checks what a reader of JSON would print.
func printableValues(t *testing.T, where string, v any) {
	t.Helper()
	switch v := v.(type) {
	case string:
		for line := range strings.Lines(v) {
			if unprintable(strings.TrimSuffix(line, "\n")) >= 0 {
				t.Errorf("%s: the value %q", where, v)
			}
		}
	case []any:
		for _, e := range v {
			printableValues(t, where, e)
		}
	case map[string]any:
		for k, e := range v {
			printableValues(t, where, k)
			printableValues(t, where, e)
		}
	}
}
