package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/hosttest"
	"github.com/nodeguard/nodeguard/internal/journal"
	"github.com/nodeguard/nodeguard/internal/paths"
)

// The kubelet rotates its certificate under a running agent: nothing is raised, one line
// is journalled, and an agent that starts anew compares with the new one.
func TestAgentAbsorbsARotation(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	dir := t.TempDir()
	rotate := func(day int, node string) {
		t.Helper()
		store := filepath.Join(dir, "var/lib/kubelet/pki")
		name := time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC).Format("kubelet-client-2006-01-02-15-04-05.pem")
		if err := errors.Join(
			os.MkdirAll(store, 0o755), os.WriteFile(filepath.Join(store, name), clientCertificate(t, node, day), 0o600),
			os.Symlink("/var/lib/kubelet/pki/"+name, filepath.Join(store, "kubelet-client-updated.pem")),
			os.Rename(filepath.Join(store, "kubelet-client-updated.pem"), filepath.Join(store, "kubelet-client-current.pem")),
		); err != nil {
			t.Fatal(err)
		}
	}
	rotate(1, "n1")
	a := startAgent(t, "--root", dir)
	a.wait(`"msg":"baseline recorded"`, "the first baseline")
	for day := 2; day < 5; day++ {
		rotate(day, "n1")
		a.wait(`"event":"absorb"`, "certificate /var/lib/kubelet/pki/kubelet-client-current.pem: serial")
	}
	a.stop()
	a = startAgent(t, "--root", dir)
	rotate(3, "n1") // an older one than it knows
	if got := a.wait(`"msg":"raised"`); got["subject"] != "/var/lib/kubelet/pki/kubelet-client-current.pem" {
		t.Errorf("%v", got)
	}
	a.stop()
	raised, absorbed := raisedAndAbsorbed(t, dir)
	if len(raised) != 1 || len(absorbed) != 3 {
		t.Fatalf("raised %q, absorbed %q", raised, absorbed)
	}
	form := regexp.MustCompile(`^certificate /var/lib/kubelet/pki/kubelet-client-current\.pem: serial 3 \(valid until 2027-01-03T00:00:00Z\) -> serial 4 \(valid until 2027-01-04T00:00:00Z\)$`)
	if !form.MatchString(absorbed[2]) {
		t.Errorf("%q", absorbed[2])
	}
}

// While dpkg is at work nobody knows whose a changed file is. When it has ended the
// upgrade is known, absorbed where the profile allows it, and nothing else was raised.
func TestAgentFollowsDpkg(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	d, install := testDebian(t)
	install("kubelet", "1.30.1", kubeletPackage("1.30.1"))
	a := startAgent(t, "--root", d.root, "--profile", "upstream")
	a.wait(`"msg":"baseline recorded"`, "the first baseline")

	files := kubeletPackage("1.30.2")
	ready := filepath.Join(t.TempDir(), "ready")
	files["/DEBIAN/postinst"] = "#!/bin/sh\nwhile [ ! -e " + ready + " ]; do sleep 0.05; done\n"
	deb, err := d.build("kubelet", "1.30.2", files)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- d.install(deb) }()
	a.wait(`"msg":"cannot tell"`, "KubernetesPathDrift", "the package manager is at work")
	if err := os.WriteFile(ready, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	a.wait(`"event":"absorb"`, "installed package kubelet 1.30.1 -> 1.30.2, with 3 subjects")
	a.stop()
	raised, absorbed := raisedAndAbsorbed(t, d.root)
	if len(absorbed) != 1 {
		t.Errorf("absorbed %q", absorbed)
	}
	for _, subject := range raised {
		if subject != "installed package kubelet" {
			t.Errorf("raised %q", raised)
		}
	}
}

// Nothing is accepted by itself as long as a file is not as its package brought it, or
// nobody knows while the package manager is at work.
func TestUnclearUpgradeIsNotAbsorbed(t *testing.T) {
	for name, unclear := range map[string]drift.Observation{
		"tampered with": {Findings: []drift.Finding{{Operation: "x.path", Subject: "/b", Observed: "3", Supported: "1", State: drift.Active, Baseline: true, Altered: true}}},
		"at work":       {Gaps: []drift.Gap{{Operation: "x.path", Subject: "/b", Reason: paths.AtWork}}},
	} {
		t.Run(name, func(t *testing.T) {
			d, look := upgraded(t, 0, true)
			now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			for i := range 3 {
				seen := look("v2", "/a")
				l := seen["paths"]
				l.Findings, l.Gaps = append(l.Findings, unclear.Findings...), unclear.Gaps
				seen["paths"] = l
				d.pass(now.Add(time.Duration(i)*time.Minute), seen)
			}
			if got := d.events(t, journal.Absorbed); len(got) > 0 {
				t.Fatalf("absorbed %q", got)
			}
			d.pass(now.Add(3*time.Minute), look("v2", "/a"))
			d.pass(now.Add(4*time.Minute), look("v2", "/a"))
			if got := d.events(t, journal.Absorbed); len(got) != 1 {
				t.Errorf("absorbed %q", got)
			}
		})
	}
}

// raisedAndAbsorbed are the subjects that were raised, and what was absorbed.
func raisedAndAbsorbed(t *testing.T, dir string) (raised, absorbed []string) {
	t.Helper()
	root, err := host.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	entries, _, err := journal.Read(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		switch {
		case e.Event == journal.Raised && !strings.HasSuffix(e.Finding.Operation, ".support-window"):
			raised = append(raised, e.Finding.Subject)
		case e.Event == journal.Absorbed:
			absorbed = append(absorbed, e.Detail)
		}
	}
	return raised, absorbed
}

// clientCertificate is a node's, with its key, as of the day in January 2026.
func clientCertificate(t *testing.T, node string, day int) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	from := time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(day)), Subject: pkix.Name{Organization: []string{"system:nodes"}, CommonName: "system:node:" + node},
		NotBefore: from, NotAfter: from.AddDate(1, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, &x509.Certificate{Subject: pkix.Name{CommonName: "kubernetes"}}, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private})...)
}
