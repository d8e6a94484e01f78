package paths_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"os"
	"testing"
	"time"
)

// authority issues certificates for the tests.
type authority struct {
	private *ecdsa.PrivateKey
	cert    *x509.Certificate
	issued  *int
	shift   time.Duration
}

func newAuthority(t *testing.T, name string) authority {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: began.AddDate(-1, 0, 0), NotAfter: began.AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{key, cert, new(int), 0}
}

var began = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// at is the authority with its clock put forward.
func (a authority) at(shift time.Duration) authority {
	a.shift = shift
	return a
}

// issue makes a certificate with its key; each begins an hour after the one before.
func (a authority) issue(t *testing.T, subject pkix.Name) (certificate, key string) {
	t.Helper()
	*a.issued++
	private := newKey(t)
	from := began.Add(a.shift + time.Duration(*a.issued)*time.Minute)
	template := &x509.Certificate{SerialNumber: big.NewInt(int64(100 + *a.issued)), Subject: subject, NotBefore: from, NotAfter: from.AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.private)
	if err != nil {
		t.Fatal(err)
	}
	return encoded("CERTIFICATE", der), keyPEM(t, private)
}

func keyPEM(t *testing.T, private *ecdsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return encoded("EC PRIVATE KEY", der)
}

func encoded(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func inBase64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func (a authority) pem() string { return encoded("CERTIFICATE", a.cert.Raw) }

// key is one that no certificate of the authority has.
func (a authority) key(t *testing.T) string { return keyPEM(t, newKey(t)) }

// write writes the authority's own certificate, or one that it issues.
func (a authority) write(t *testing.T, file, subject string) {
	t.Helper()
	data := a.pem()
	if subject != "" {
		data, _ = a.issue(t, pkix.Name{CommonName: subject})
	}
	if err := os.WriteFile(file, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}
