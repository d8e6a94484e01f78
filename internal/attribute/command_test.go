package attribute

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/nodeguard/nodeguard/internal/drift"
)

func args(words ...string) arguments {
	return arguments{text: []byte(strings.Join(words, "\x00") + "\x00")}
}

func TestCommandShowsNoSecret(t *testing.T) {
	const jwt, github = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl", "ghp_0123456789abcdefghijABCDEFGHIJ012345"
	for _, tt := range []struct {
		words []string
		want  string
	}{
		{[]string{"sysctl", "-w", "net.ipv4.ip_forward=0"}, "sysctl -w net.ipv4.ip_forward=0"},
		{[]string{"sed", "-i", "s/--anonymous-auth=false/--anonymous-auth=true/", "/etc/kubernetes/kubelet.env"}, "sed -i s/--anonymous-auth=*** /etc/kubernetes/kubelet.env"},
		{[]string{"kubelet", "--tls-private-key-file=/etc/k.key", "--authorization-mode=Webhook", "--kubeconfig=/etc/k.conf"}, "kubelet --tls-private-key-file=/etc/k.key --authorization-mode=Webhook --kubeconfig=/etc/k.conf"},
		{[]string{"kubelet", "--anonymous-auth=false", "--authentication-token-webhook", "true"}, "kubelet --anonymous-auth=false --authentication-token-webhook true"},
		{[]string{"cp", "-p", "a", "b"}, "cp -p a b"},
		{[]string{"mkdir", "-p", "/etc/kubernetes/pki"}, "mkdir -p /etc/kubernetes/pki"},
		{[]string{"docker", "run", "--pull", "always", "r.io/pause@sha256:abc"}, "docker run --pull always r.io/pause@sha256:abc"},

		{[]string{"kubeadm", "join", "10.0.0.1:6443", "--token", "abcdef.0123456789abcdef"}, "kubeadm join 10.0.0.1:6443 --token ***"},
		{[]string{"kubeadm", "join", "--token=abcdef.0123456789abcdef"}, "kubeadm join --token=***"},
		{[]string{"echo", "abcdef.0123456789abcdef"}, "echo ***"},
		{[]string{"app", "--password", "hunter2", "x"}, "app --password *** x"},
		{[]string{"app", "--password=my long phrase", "x"}, "app --password=*** x"},
		{[]string{"app", "-password", "hunter2"}, "app -password ***"},
		{[]string{"app", "--api-key=a", "--client-secret", "b", "--credential=c", "--passphrase:", "d"}, "app --api-key=*** --client-secret *** --credential=*** --passphrase: ***"},
		{[]string{"env", "X_TOKEN=abc", "AWS_SECRET_ACCESS_KEY=d/e+f", "PGPASSWORD=g", "MYSQL_PWD=h", "LANG=C"}, "env X_TOKEN=*** AWS_SECRET_ACCESS_KEY=*** PGPASSWORD=*** MYSQL_PWD=*** LANG=C"},
		{[]string{"sh", "-c", "X_TOKEN=abc DB_PASS='d e' run --secret f; ls /etc"}, "sh -c X_TOKEN=*** DB_PASS=*** run --secret *** ls /etc"},
		{[]string{"sh", "-c", `curl -d '{"token":"abc","user":"x"}' h`}, `sh -c curl -d '{"token":***,"user":"x"}' h`},
		{[]string{"sh", "-c", `run --password-file /x,token=abc`}, `sh -c run --password-file /x,token=***`},
		{[]string{"sh", "-c", `run token-file=/x;token=abc`}, `sh -c run token-file=/x;token=***`},
		{[]string{"curl", "https://user:pass@h/x", "https://tok@h"}, "curl https://***@h/x https://***@h"},
		{[]string{"curl", "https://user:p/a@ss@h/x"}, "curl https://***@h/x"},
		{[]string{"curl", "-H", "Authorization: Bearer abcdefgh", "h"}, "curl -H Authorization: *** *** h"},
		{[]string{"curl", "-H", "X-Auth-Token: abc", "h"}, "curl -H X-Auth-Token: *** h"},
		{[]string{"x", "Authorization:", "Bearer", "abc"}, "x Authorization: *** ***"},
		{[]string{"x", "say bearer abcd now"}, "x say bearer *** now"},
		{[]string{"curl", "-u", "me:hunter2", "h"}, "curl -u *** h"},
		{[]string{"curl", "-ume:hunter2", "h"}, "curl -u*** h"},
		{[]string{"etcdctl", "--user", "root:pw", "get", "x"}, "etcdctl --user root:*** get x"},
		{[]string{"mysql", "-uroot", "-phunter2", "db"}, "mysql -uroot -p*** db"},
		{[]string{"/usr/bin/sshpass", "-p", "hunter2", "ssh", "h"}, "/usr/bin/sshpass -p *** ssh h"},
		{[]string{"docker", "login", "-u", "me", "-p", "hunter2", "r.io"}, "docker login -u me -p *** r.io"},
		{[]string{"redis-cli", "-a", "hunter2"}, "redis-cli -a ***"},
		{[]string{"snmpget", "-c", "public", "h"}, "snmpget -c *** h"},
		{[]string{"htpasswd", "-b", "file", "me", "hunter2"}, "htpasswd -b *** me ***"},
		{[]string{"openssl", "rsa", "-passin", "pass:hunter2"}, "openssl rsa -passin ***"},
		{[]string{"openssl", "enc", "pass:hunter2"}, "openssl enc pass:***"},
		{[]string{"kubectl", "create", "secret", "generic", "x", "--from-literal=foo=bar"}, "kubectl create secret generic x --from-literal=***"},
		{[]string{"x", jwt}, "x ***"},
		{[]string{"git", "clone", github}, "git clone ***"},
		{[]string{"x", "-----BEGIN RSA PRIVATE KEY-----\nMIIE"}, "x ***"},
	} {
		if got := command(args(tt.words...)); got != tt.want {
			t.Errorf("command(%q)\n got %q\nwant %q", tt.words, got, tt.want)
		}
	}
}

func TestCommandFitsAnywhere(t *testing.T) {
	for _, tt := range []struct {
		name string
		args arguments
		want string
	}{
		{"none", arguments{}, ""},
		{"control characters", args("a\x1b[2J", "b\nc", "\xff\u202e"), `a\x1b[2J b\x0ac \xff\xe2\x80\xae`},
		{"a title", arguments{text: []byte("nginx: worker process\x00\x00\x00\x00")}, "nginx: worker process"},
		{"200 bytes", args(strings.Repeat("x", 200)), strings.Repeat("x", 200)},
		{"201 bytes", args(strings.Repeat("x", 201)), strings.Repeat("x", 197) + "…"},
		{"runes", args(strings.Repeat("é", 101)), strings.Repeat("é", 98) + "…"},
		{"escapes", args("xyz" + strings.Repeat("\x1b", 100)), "xyz" + strings.Repeat(`\x1b`, 48) + "…"},
		{"backslashes", args(strings.Repeat(`\`, 101)), strings.Repeat(`\\`, 98) + "…"},
		{"a last word that is not whole", arguments{text: []byte("app\x00--flag\x00hunt"), cut: true}, "app --flag …"},
		{"a script that is not whole", arguments{text: []byte("sh\x00-c\x00rm -rf /etc/kubern"), cut: true}, "sh -c rm -rf …"},
		{"one word that is not whole", arguments{text: []byte("hunt"), cut: true}, ""},
		{"a secret that is not whole", arguments{text: []byte("app\x00--password=one two"), cut: true}, "app --password=*** …"},
	} {
		if got := command(tt.args); got != tt.want {
			t.Errorf("%s:\n got %q\nwant %q", tt.name, got, tt.want)
		}
	}
}

func FuzzCommand(f *testing.F) {
	f.Add("sh\x00-c\x00X_TOKEN=abc", true)
	f.Add("a\xff\\\x1b", false)
	f.Fuzz(func(t *testing.T, text string, cut bool) {
		got := command(arguments{[]byte(text), cut})
		if len(got) > maxCommand || !utf8.ValidString(got) || strings.ContainsAny(got, "\x00\x1b\n") {
			t.Errorf("command(%q) = %q", text, got)
		}
		if whole := command(args("x", "--password", "S3cr3t"+text)); strings.Contains(whole, "S3cr3t") && drift.Printable(text) == text {
			t.Errorf("shows %q", whole)
		}
	})
}

func FuzzStat(f *testing.F) {
	f.Add([]byte("1 (a) b) S 0 1 1 0 -1 4194560 1 1 1 1 1 1 1 1 20 0 1 0 22 1 1 1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if s, err := parseStat(text); err == nil && len(s.comm) > len(text) {
			t.Errorf("parseStat(%q) = %+v", text, s)
		}
	})
}
