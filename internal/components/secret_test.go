package components

import "testing"

func TestShownHidesSecretsAndNothingElse(t *testing.T) {
	for _, tt := range []struct {
		names []string
		value any
		want  string
	}{
		{[]string{"tlsPrivateKeyFile"}, "/var/lib/kubelet/pki/kubelet.key", "/var/lib/kubelet/pki/kubelet.key"},
		{[]string{"--tls-private-key-file"}, "/etc/k.key", "/etc/k.key"},
		{[]string{"--bootstrap-kubeconfig"}, "/etc/b.conf", "/etc/b.conf"},
		{[]string{"--image-credential-provider-config"}, "/etc/c.yaml", "/etc/c.yaml"},
		{[]string{"--image-credential-provider-bin-dir"}, "/opt/bin", "/opt/bin"},
		{[]string{"tlskey"}, "/etc/docker/key.pem", "/etc/docker/key.pem"},
		{[]string{"authentication", "anonymous", "enabled"}, false, "false"},
		{[]string{"authentication", "webhook", "cacheTTL"}, "2m0s", "2m"},
		{[]string{"authentication", "x509", "clientCAFile"}, "/etc/ca.crt", "/etc/ca.crt"},
		{[]string{"authorization", "mode"}, "Webhook", "Webhook"},
		{[]string{"authorization", "webhook", "cacheAuthorizedTTL"}, "5m", "5m"},
		{[]string{"--authorization-mode"}, "AlwaysAllow", "AlwaysAllow"},
		{[]string{"--anonymous-auth"}, "false", "false"},
		{[]string{"--authentication-token-webhook"}, "true", "true"},
		{[]string{"authorization-plugins"}, "opa", "opa"},
		{[]string{"plugins", "io.containerd.grpc.v1.cri", "image_decryption", "key_model"}, "node", "node"},
		{[]string{"imagePullCredentialsVerificationPolicy"}, "NeverVerify", "NeverVerify"},

		{[]string{"--bootstrap-token"}, "abcdef.0123456789abcdef", "set"},
		{[]string{"registry", "configs", "r.io", "auth", "username"}, "robot", "set"},
		{[]string{"registry", "configs", "r.io", "auth", "password"}, "hunter2", "set"},
		{[]string{"registry", "configs", "r.io", "auth", "identitytoken"}, "x", "set"},
		{[]string{"registry", "configs", "r.io", "auth", "auth"}, "cm9ib3Q6eA==", "set"},
		{[]string{"header", "X-Meta"}, "whatever", "set"},
		{[]string{"log-opts", "splunk-token"}, "176FCEBF", "set"},
		{[]string{"password"}, int64(12345), "set"},
		{[]string{"AWS_SECRET_ACCESS_KEY"}, "wJalr", "set"},
		{[]string{"apiKey"}, "wJalr", "set"},
		{[]string{"args"}, "--token=abc", "set"},
		{[]string{"args"}, "run --password hunter2", "set"},
		{[]string{"env"}, "REGISTRY_TOKEN=abc", "set"},
		{[]string{"x"}, "Authorization: Bearer abcdefghijkl", "set"},
		{[]string{"x"}, "eyJhbGciOiJI.eyJzdWIiOiIx.abc", "set"},
		{[]string{"x"}, "-----BEGIN RSA PRIVATE KEY-----\nMIIE", "set"},

		{[]string{"proxies", "http-proxy"}, "http://user:pass@proxy:3128", "http://proxy:3128"},
		{[]string{"https_proxy"}, "user:pass@proxy:3128", "proxy:3128"},
		{[]string{"x"}, "http://user:p@ss@proxy:3128/a", "http://proxy:3128/a"},
		{[]string{"x"}, "http://user:p/ss@proxy:3128", "http://proxy:3128"},
		{[]string{"x"}, "http://u:p@a,https://v:q@b/x", "http://a,https://b/x"},
		{[]string{"x"}, "https://r.io:5000/pause@sha256:abc", "https://r.io:5000/pause@sha256:abc"},
		{[]string{"x"}, "", `""`},
		{[]string{"x"}, "a\x1b[2Jb", `a\x1b[2Jb`},
	} {
		if got := shown(tt.names, tt.value); got != tt.want {
			t.Errorf("shown(%q, %q) = %q, want %q", tt.names, tt.value, got, tt.want)
		}
	}
}

func TestLongValueIsCutAndStillTold(t *testing.T) {
	long := make([]byte, 300)
	for i := range long {
		long[i] = 'x'
	}
	a, b := shown([]string{"v"}, string(long)), shown([]string{"v"}, string(long)+"y")
	if a == b || len(a) != maxShown+len("... sha256:")+64 {
		t.Errorf("shown = %q (%d bytes) and %q", a, len(a), b)
	}
	if secret := shown([]string{"token"}, string(long)); secret != redacted {
		t.Errorf("a long secret shows %q", secret)
	}
}
