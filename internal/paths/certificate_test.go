package paths_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/baseline"
)

// issue writes a certificate with its key, as the kubelet stores them.
func issue(t *testing.T, file, node, issuer string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour),
		Subject: pkix.Name{Organization: []string{"system:nodes"}, CommonName: "system:node:" + node},
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: issuer}}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	data := append(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCertificateRotation(t *testing.T) {
	const current = "/var/lib/kubelet/pki/kubelet-client-current.pem"
	point := func(t *testing.T, dir, target string) {
		t.Helper()
		sh(t, dir, "ln -sfn "+target+" var/lib/kubelet/pki/kubelet-client-current.pem")
	}
	setup := func(t *testing.T) (string, baseline.Scope) {
		t.Helper()
		dir := node(t)
		issue(t, dir+"/var/lib/kubelet/pki/kubelet-client-2026-01-01-00-00-00.pem", "n1", "kubernetes", 2)
		point(t, dir, "/var/lib/kubelet/pki/kubelet-client-2026-01-01-00-00-00.pem")
		return dir, record(t, dir)
	}
	for _, c := range []struct {
		name   string
		rotate func(t *testing.T, dir string)
		want   []string
	}{
		{"to a newer certificate of the same name", func(t *testing.T, dir string) {
			issue(t, dir+"/var/lib/kubelet/pki/kubelet-client-2026-02-01-00-00-00.pem", "n1", "kubernetes", 3)
			point(t, dir, "/var/lib/kubelet/pki/kubelet-client-2026-02-01-00-00-00.pem")
		}, []string{}},
		{"with a relative link", func(t *testing.T, dir string) { point(t, dir, "kubelet-client-2026-01-01-00-00-00.pem") }, []string{}},
		{"to another node's certificate", func(t *testing.T, dir string) {
			issue(t, dir+"/var/lib/kubelet/pki/kubelet-client-2026-02-01-00-00-00.pem", "n2", "kubernetes", 3)
			point(t, dir, "/var/lib/kubelet/pki/kubelet-client-2026-02-01-00-00-00.pem")
		}, []string{"kubelet " + current + ": subject CN=system:node:n2,O=system:nodes, supported subject CN=system:node:n1,O=system:nodes"}},
		{"to another issuer's", func(t *testing.T, dir string) {
			issue(t, dir+"/var/lib/kubelet/pki/kubelet-client-2026-02-01-00-00-00.pem", "n1", "evil", 3)
			point(t, dir, "/var/lib/kubelet/pki/kubelet-client-2026-02-01-00-00-00.pem")
		}, []string{"kubelet " + current + ": issuer CN=evil, supported issuer CN=kubernetes"}},
		{"to a file elsewhere", func(t *testing.T, dir string) {
			issue(t, dir+"/elsewhere/kubelet-client-2026-02-01-00-00-00.pem", "n1", "kubernetes", 3)
			point(t, dir, "/elsewhere/kubelet-client-2026-02-01-00-00-00.pem")
		}, []string{"kubelet " + current + ": link to /elsewhere/kubelet-client-2026-02-01-00-00-00.pem"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, recorded := setup(t)
			c.rotate(t, dir)
			o := observe(t, dir, recorded)
			got := found(o)
			for i := range got {
				if i < len(c.want) && strings.HasPrefix(got[i], c.want[i]+",") {
					got[i] = c.want[i]
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" || len(o.Gaps) > 0 {
				t.Errorf("%s gaps %v", diff, o.Gaps)
			}
		})
	}
	t.Run("to what is no certificate", func(t *testing.T) {
		dir, recorded := setup(t)
		sh(t, dir, "echo junk > var/lib/kubelet/pki/kubelet-client-2026-02-01-00-00-00.pem")
		point(t, dir, "kubelet-client-2026-02-01-00-00-00.pem")
		o := observe(t, dir, recorded)
		if len(o.Findings) > 0 || len(o.Gaps) != 1 || o.Gaps[0].Subject != current {
			t.Errorf("found %v, gaps %v", found(o), o.Gaps)
		}
	})
}
