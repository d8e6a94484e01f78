package paths

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io/fs"

	"github.com/nodeguard/nodeguard/internal/host"
)

// renewed sets the fact of a file that is renewed now and then.
func (l *look) renewed(t *target, d *host.Dir, e host.Entry, n entryName) {
	data, err := d.ReadFile(n.name, maxCertificate)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return
	case err != nil:
		l.gap(t, n.subject, err, "")
		return
	}
	v := describe(e)
	if cert := firstCertificate(data); cert != nil {
		v.add("issuer", cert.Issuer.String())
		v.add("subject", cert.Subject.String())
		v.add("authority", authority(cert))
	} else {
		v.add("sha256", digestWithoutCertificate(data))
	}
	l.set(t, n.subject, fact(v, matchAny(t.rule.PerNode, n.rel)))
}

func firstCertificate(data []byte) *x509.Certificate {
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return nil
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			return cert
		}
	}
}

// authority names the key that vouches: an authority's own, else its issuer's.
func authority(cert *x509.Certificate) string {
	key := cert.AuthorityKeyId
	if cert.IsCA {
		sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
		key = sum[:]
	}
	return hex.EncodeToString(key)
}

// digestWithoutCertificate is that of a kubeconfig file without the client
// certificate and key that it carries.
func digestWithoutCertificate(data []byte) string {
	h := sha256.New()
	for line := range bytes.Lines(data) {
		key := bytes.TrimSpace(line)
		if !bytes.HasPrefix(key, []byte("client-certificate-data:")) && !bytes.HasPrefix(key, []byte("client-key-data:")) {
			_, _ = h.Write(line)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
