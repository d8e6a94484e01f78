//go:build e2e

package cluster

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// pki is the cluster's certificate authority, with its files in dir.
type pki struct {
	dir    string
	key    *ecdsa.PrivateKey
	cert   *x509.Certificate
	serial int64
}

func (p *pki) path(name string) string { return filepath.Join(p.dir, name) }

func newPKI(dir string) (*pki, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	p := &pki{dir: dir, key: key}
	p.cert = &x509.Certificate{
		Subject: pkix.Name{CommonName: "cluster"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	cert, err := p.sign(p.cert, &key.PublicKey)
	if err != nil {
		return nil, err
	}
	if p.cert, err = x509.ParseCertificate(cert); err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	private, err := keyPEM(key)
	if err != nil {
		return nil, err
	}
	// The authority's key signs the tokens of service accounts as well.
	for name, content := range map[string][]byte{
		"ca.crt": encode("CERTIFICATE", cert), "sa.key": private, "sa.pub": encode("PUBLIC KEY", public),
	} {
		if err := os.WriteFile(p.path(name), content, 0o600); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *pki) sign(c *x509.Certificate, key crypto.PublicKey) ([]byte, error) {
	p.serial++
	c.SerialNumber = big.NewInt(p.serial)
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	return x509.CreateCertificate(rand.Reader, c, p.cert, key, p.key)
}

// issue signs a certificate for a user of groups, or for a server at addresses.
func (p *pki) issue(user string, groups []string, addresses ...string) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	c := &x509.Certificate{
		Subject: pkix.Name{CommonName: user, Organization: groups}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	for _, a := range addresses {
		if ip := net.ParseIP(a); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, a)
		}
	}
	der, err := p.sign(c, &private.PublicKey)
	if err != nil {
		return nil, nil, err
	}
	key, err = keyPEM(private)
	return encode("CERTIFICATE", der), key, err
}

// issueFiles writes name.crt and name.key.
func (p *pki) issueFiles(name, user string, groups []string, addresses ...string) error {
	cert, key, err := p.issue(user, groups, addresses...)
	if err != nil {
		return err
	}
	if err := os.WriteFile(p.path(name+".crt"), cert, 0o600); err != nil {
		return err
	}
	return os.WriteFile(p.path(name+".key"), key, 0o600)
}

// kubeconfig is one for a user of groups.
func (p *pki) kubeconfig(user string, groups ...string) (string, error) {
	cert, key, err := p.issue(user, groups)
	if err != nil {
		return "", err
	}
	return kubeconfig(fmt.Sprintf("{client-certificate-data: %s, client-key-data: %s}", base64.StdEncoding.EncodeToString(cert), base64.StdEncoding.EncodeToString(key)), p.ca()), nil
}

func (p *pki) ca() []byte { return encode("CERTIFICATE", p.cert.Raw) }

func kubeconfig(user string, ca []byte) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://%s:6443", certificate-authority-data: %s}}]
users: [{name: u, user: %s}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
`, machineIP, base64.StdEncoding.EncodeToString(ca), user)
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func keyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	return encode("EC PRIVATE KEY", der), err
}
