package paths_test

import (
	"crypto/x509/pkix"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/hosttest"
	"github.com/nodeguard/nodeguard/internal/paths"
)

const (
	pki     = "/var/lib/kubelet/pki"
	current = pki + "/kubelet-client-current.pem"
	signers = "/etc/kubernetes/pki/ca.crt"
)

// fileStore keeps the kubelet's client certificate as k8s.io/client-go's FileStore does.
type fileStore struct{ dir string }

// update writes certificate and key into a new file, and renames a link to it over the
// one that is read.
func (s fileStore) update(t *testing.T, at time.Time, data string) {
	t.Helper()
	name := "kubelet-client-" + at.Format("2006-01-02-15-04-05") + ".pem"
	updated := filepath.Join(s.dir, pki, "kubelet-client-updated.pem")
	if err := errors.Join(
		os.MkdirAll(filepath.Join(s.dir, pki), 0o755),
		os.WriteFile(filepath.Join(s.dir, pki, name), []byte(data), 0o600),
		os.Symlink(pki+"/"+name, updated),
		os.Rename(updated, filepath.Join(s.dir, current)),
	); err != nil {
		t.Fatal(err)
	}
}

func nodeName(name string) pkix.Name {
	return pkix.Name{Organization: []string{"system:nodes"}, CommonName: "system:node:" + name}
}

var kubeletRules = []drift.Bound[paths.Rule]{{Operation: "kubelet", Rule: paths.Rule{
	Paths: []string{"/var/lib/kubelet"}, Content: []string{"pki/*"}, Exclude: []string{"pki/kubelet-client-[0-9]*.pem", "pki/kubelet-*-updated.pem"},
	Rotating: []string{"pki/kubelet-client-current.pem"}, Authorities: []string{signers},
}}}

func TestCertificateRotation(t *testing.T) {
	ca, namesake := newAuthority(t, "kubernetes"), newAuthority(t, "kubernetes")
	namesake.cert.SubjectKeyId = ca.cert.SubjectKeyId // which it claims in what it issues
	other := newAuthority(t, "evil")
	later := began.AddDate(0, 1, 0)
	for _, c := range []struct {
		name    string
		without bool // the host has not got the authority's certificate
		rotate  func(t *testing.T, s fileStore)
		want    string // "" none: absorbed; the beginning of the one finding
	}{
		{name: "to a newer certificate", rotate: func(t *testing.T, s fileStore) {
			cert, key := ca.issue(t, nodeName("n1"))
			s.update(t, later, cert+key)
		}},
		{name: "the host does not know the authority", without: true, rotate: func(t *testing.T, s fileStore) {
			cert, key := ca.issue(t, nodeName("n1"))
			s.update(t, later, cert+key)
		}},
		{name: "to one that is bounded by the authority's end", rotate: func(t *testing.T, s fileStore) {
			cert, key := ca.at(time.Hour).issue(t, nodeName("n1"))
			s.update(t, later, key+cert) // in another order, too
		}},
		{name: "to another node's", want: "subject CN=system:node:n2,O=system:nodes, supported subject CN=system:node:n1,O=system:nodes", rotate: func(t *testing.T, s fileStore) {
			cert, key := ca.issue(t, nodeName("n2"))
			s.update(t, later, cert+key)
		}},
		{name: "to another issuer's", want: "issuer CN=evil, authority key ", rotate: func(t *testing.T, s fileStore) {
			cert, key := other.issue(t, nodeName("n1"))
			s.update(t, later, cert+key)
		}},
		{name: "to one of another authority of that name", want: "signer unknown, supported signer key ", rotate: func(t *testing.T, s fileStore) {
			cert, key := namesake.at(time.Hour).issue(t, nodeName("n1"))
			s.update(t, later, cert+key)
		}},
		{name: "to one of another authority of that name and nobody has the right one", without: true, want: "authority key ", rotate: func(t *testing.T, s fileStore) {
			cert, key := newAuthority(t, "kubernetes").at(time.Hour).issue(t, nodeName("n1"))
			s.update(t, later, cert+key)
		}},
		{name: "to an older one", want: "valid from 2025-", rotate: func(t *testing.T, s fileStore) {
			cert, key := ca.at(-30*24*time.Hour).issue(t, nodeName("n1"))
			s.update(t, later, cert+key)
		}},
		{name: "to one with another's key", want: "key of another certificate, supported key matches the certificate", rotate: func(t *testing.T, s fileStore) {
			cert, _ := ca.issue(t, nodeName("n1"))
			s.update(t, later, cert+ca.key(t))
		}},
		{name: "to one without a key", want: "key missing, supported key matches the certificate", rotate: func(t *testing.T, s fileStore) {
			cert, _ := ca.issue(t, nodeName("n1"))
			s.update(t, later, cert)
		}},
		{name: "another key comes to the same certificate", want: "key of another certificate", rotate: func(t *testing.T, s fileStore) {
			data, err := os.ReadFile(filepath.Join(s.dir, pki, "kubelet-client-2026-01-01-00-00-00.pem"))
			if err != nil {
				t.Fatal(err)
			}
			cert, _, _ := strings.Cut(string(data), "-----BEGIN EC")
			s.update(t, later, cert+ca.key(t))
		}},
		{name: "to a file elsewhere", want: "link to /elsewhere/client.pem, no issuer, no subject", rotate: func(t *testing.T, s fileStore) {
			cert, key := ca.issue(t, nodeName("n1"))
			hosttest.Write(t, s.dir, "elsewhere/client.pem", cert+key)
			sh(t, s.dir, "ln -sfn /elsewhere/client.pem ."+current)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := fileStore{node(t)}
			if !c.without {
				hosttest.Write(t, s.dir, signers, ca.pem())
			}
			cert, key := ca.issue(t, nodeName("n1"))
			s.update(t, began, cert+key)
			before := look(t, s.dir, kubeletRules, nil)
			recorded := baseline.ScopeOf(before.Facts, before.Gaps)
			c.rotate(t, s)
			o := look(t, s.dir, kubeletRules, recorded)
			if len(o.Gaps) > 0 {
				t.Fatal(o.Gaps)
			}
			after, told := recorded.Renew(o.Facts)
			if c.want != "" {
				got := found(o)
				if len(got) != 1 || !strings.HasPrefix(got[0], "kubelet "+current+": "+c.want) || len(told) > 0 {
					t.Errorf("%q, absorbed %q", got, told)
				}
				return
			}
			if len(o.Findings) > 0 || len(told) != 1 || !strings.HasPrefix(told[0], "certificate "+current+": serial ") {
				t.Fatalf("%v, absorbed %q", found(o), told)
			}
			if o := look(t, s.dir, kubeletRules, after); len(o.Findings) > 0 || o.Facts[current].Renewal != nil {
				t.Errorf("%v, absorbed again %+v", found(o), o.Facts[current].Renewal)
			}
			s.update(t, began, cert+key) // back to the one before
			if got := found(look(t, s.dir, kubeletRules, after)); len(got) != 1 || !strings.Contains(got[0], ": valid from ") {
				t.Errorf("rolled back: %q", got)
			}
		})
	}
}

// What is said of a renewal names the file and both certificates, and nothing of a key.
func TestRenewalIsTold(t *testing.T) {
	ca := newAuthority(t, "kubernetes")
	s := fileStore{node(t)}
	cert, key := ca.issue(t, nodeName("n1"))
	s.update(t, began, cert+key)
	before := look(t, s.dir, kubeletRules, nil)
	cert, key = ca.issue(t, nodeName("n1"))
	s.update(t, began.AddDate(0, 1, 0), cert+key)
	o := look(t, s.dir, kubeletRules, baseline.ScopeOf(before.Facts, before.Gaps))
	want := "certificate " + current + ": serial 65 (valid until 2027-01-01T00:01:00Z) -> serial 66 (valid until 2027-01-01T00:02:00Z)"
	if diff := cmp.Diff(want, o.Facts[current].Renewal.Told); diff != "" {
		t.Error(diff)
	}
}

// A baseline of before knows issuer and subject only.
func TestRotationSinceAnOlderBaseline(t *testing.T) {
	ca := newAuthority(t, "kubernetes")
	s := fileStore{node(t)}
	before := look(t, s.dir, kubeletRules, nil)
	recorded := baseline.ScopeOf(before.Facts, nil)
	recorded[pki] = "dir mode=0755 owner=0:0"
	recorded[current] = `link to="a certificate beside it" issuer="CN=kubernetes" subject="CN=system:node:n1,O=system:nodes"`
	cert, key := ca.issue(t, nodeName("n1"))
	s.update(t, began, cert+key)
	if o := look(t, s.dir, kubeletRules, recorded); len(o.Findings) > 0 || !strings.HasSuffix(o.Facts[current].Renewal.Told, "of the recorded issuer and subject") {
		t.Errorf("%v, %+v", found(o), o.Facts[current])
	}
	cert, _ = ca.issue(t, nodeName("n1"))
	s.update(t, began.Add(time.Hour), cert+ca.key(t))
	if got := found(look(t, s.dir, kubeletRules, recorded)); len(got) != 1 || !strings.Contains(got[0], "key of another certificate") {
		t.Errorf("%q", got)
	}
}

func TestRotationToWhatIsNoCertificate(t *testing.T) {
	s := fileStore{node(t)}
	cert, key := newAuthority(t, "kubernetes").issue(t, nodeName("n1"))
	s.update(t, began, cert+key)
	before := look(t, s.dir, kubeletRules, nil)
	s.update(t, began.Add(time.Hour), "junk")
	o := look(t, s.dir, kubeletRules, baseline.ScopeOf(before.Facts, nil))
	if len(o.Findings) > 0 || len(o.Gaps) != 1 || o.Gaps[0].Subject != current {
		t.Errorf("found %v, gaps %v", found(o), o.Gaps)
	}
}

// A kubeconfig file carries its certificate along.
func TestRenewedKubeconfig(t *testing.T) {
	ca := newAuthority(t, "kubernetes")
	rules := []drift.Bound[paths.Rule]{bound("conf", paths.Rule{Paths: []string{"/etc/kubernetes"}, Content: []string{"*"}, Renewed: []string{"*.conf"}})}
	for name, c := range map[string]struct {
		subject pkix.Name
		key     string
		want    int
	}{
		"renewed":          {subject: nodeName("n1")},
		"of another":       {subject: nodeName("n2"), want: 1},
		"with another key": {subject: nodeName("n1"), key: ca.key(t), want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			dir := node(t)
			write := func(cert, key string) {
				hosttest.Write(t, dir, "etc/kubernetes/kubelet.conf", "users:\n- user:\n    client-certificate-data: "+inBase64(cert)+"\n    client-key-data: "+inBase64(key)+"\n")
			}
			write(ca.issue(t, nodeName("n1")))
			before := look(t, dir, rules, nil)
			cert, key := ca.issue(t, c.subject)
			if c.key != "" {
				key = c.key
			}
			write(cert, key)
			o := look(t, dir, rules, baseline.ScopeOf(before.Facts, nil))
			if _, told := baseline.ScopeOf(before.Facts, nil).Renew(o.Facts); len(o.Findings) != c.want || len(told) != 1-c.want {
				t.Errorf("%v, absorbed %q", found(o), told)
			}
		})
	}
}

// A certificate that copies all that is told of another one is another one.
func TestForgedTwin(t *testing.T) {
	ca := newAuthority(t, "kubernetes")
	s := fileStore{node(t)}
	cert, key := ca.issue(t, nodeName("n1"))
	s.update(t, began, cert+key)
	before := look(t, s.dir, kubeletRules, nil)
	parent := *ca.cert
	parent.PublicKey = nil
	cert, key = authority{newKey(t), &parent, new(int), 0}.issue(t, nodeName("n1"))
	s.update(t, began.Add(time.Hour), cert+key)
	if got := found(look(t, s.dir, kubeletRules, baseline.ScopeOf(before.Facts, before.Gaps))); len(got) != 1 {
		t.Errorf("%q", got)
	}
}
