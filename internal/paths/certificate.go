package paths

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/nodeguard/nodeguard/internal/host"
)

const maxCertificate = 1 << 20

var errNoCertificate = errors.New("no certificate in it")

// What is said of the private key of a certificate.
const (
	keyMatches = "matches the certificate"
	keyOther   = "of another certificate"
	keyMissing = "missing"
)

// notSigned is the signer of a certificate that the authority of its issuer's name
// did not sign.
const notSigned = "none"

// rotating is the value of a link that kubelet moves from certificate to
// certificate: as long as it stays in its directory the certificate counts, not the
// name of its file.
func (l *look) rotating(t *target, dir *host.Dir, target string) (value, error) {
	v := value{kind: "link"}
	name := sibling(target)
	if name == "" {
		v.add("to", target)
		return v, nil
	}
	data, err := dir.ReadFile(name, maxCertificate)
	if err != nil {
		return v, err
	}
	certs := certificates(data)
	if len(certs) == 0 {
		return v, errNoCertificate
	}
	v.add("to", "a certificate beside it")
	l.identify(t, &v, certs)
	v.add("key", keyOf(data, data))
	return v, nil
}

// sibling is the name of a target in the link's own directory, "" elsewhere.
// kubelet writes absolute targets, others relative ones.
func sibling(target string) string {
	base := path.Base(target)
	if target == base && base != "." && base != ".." {
		return base
	}
	return ""
}

// relativeTo makes an absolute target in dir relative to it.
func relativeTo(dir, target string) string {
	if rest, ok := strings.CutPrefix(target, dir+"/"); ok {
		return rest
	}
	return target
}

// renewed sets the fact of a file that is renewed now and then: a certificate, or a
// kubeconfig file that carries one.
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
	if certs := certificates(data); len(certs) > 0 {
		l.identify(t, &v, certs)
		if key := keyOf(data, data, keyBeside(d, n.name)); key != keyMissing {
			v.add("key", key)
		}
	} else {
		rest, cert, key := withoutCertificate(data)
		v.add("sha256", rest)
		if certs := certificates(cert); len(certs) > 0 {
			l.identify(t, &v, certs)
			v.add("key", keyOf(cert, key))
		}
	}
	l.set(t, n.subject, fact(v, matchAny(t.rule.PerNode, n.rel)))
}

// identify adds whose the certificate is, who vouches for it, and which one it is.
func (l *look) identify(t *target, v *value, certs []*x509.Certificate) {
	cert := certs[0]
	v.add("issuer", cert.Issuer.String())
	v.add("subject", cert.Subject.String())
	if a := authority(certs); a != "" {
		v.add("authority", a)
	}
	if s := l.signer(t.rule.Authorities, cert); s != "" {
		v.add("signer", s)
	}
	v.add("serial", cert.SerialNumber.Text(16))
	v.add("from", cert.NotBefore.UTC().Format(time.RFC3339))
	v.add("until", cert.NotAfter.UTC().Format(time.RFC3339))
	sum := sha256.Sum256(cert.Raw)
	v.add("certificate", hex.EncodeToString(sum[:]))
}

// certificates are those of a PEM file, in their order.
func certificates(data []byte) (out []*x509.Certificate) {
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return out
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			out = append(out, cert)
		}
	}
}

// authority names the keys that vouch: those of a bundle of authorities, else the one
// that the certificate says its issuer has.
func authority(certs []*x509.Certificate) string {
	if !certs[0].IsCA {
		return hex.EncodeToString(certs[0].AuthorityKeyId)
	}
	var keys []string
	for _, cert := range certs {
		keys = append(keys, publicKey(cert))
	}
	slices.Sort(keys)
	return strings.Join(slices.Compact(keys), "+")
}

func publicKey(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// signer is the key of the host's authority that signed the certificate; "" where the
// host has none of the issuer's name.
func (l *look) signer(authorities []string, cert *x509.Certificate) string {
	known := ""
	for _, name := range authorities {
		data, err := l.root.ReadFile(name, maxCertificate)
		if err != nil {
			continue
		}
		for _, ca := range certificates(data) {
			if !bytes.Equal(ca.RawSubject, cert.RawIssuer) {
				continue
			}
			if cert.CheckSignatureFrom(ca) == nil {
				return publicKey(ca)
			}
			known = notSigned
		}
	}
	return known
}

// keyOf tells of the first private key whether it is the certificate's.
func keyOf(certificate []byte, keys ...[]byte) string {
	for _, key := range keys {
		if !bytes.Contains(key, []byte("PRIVATE KEY-----")) {
			continue
		}
		if _, err := tls.X509KeyPair(certificate, key); err != nil {
			return keyOther
		}
		return keyMatches
	}
	return keyMissing
}

// keyBeside is what stands in the key file of a certificate's file, as kubeadm
// (apiserver.crt, apiserver.key) and etcd's tools (server.pem, server-key.pem) name it.
func keyBeside(d *host.Dir, name string) []byte {
	stem := strings.TrimSuffix(name, path.Ext(name))
	for _, key := range []string{stem + ".key", stem + "-key.pem"} {
		if data, err := d.ReadFile(key, maxCertificate); err == nil && key != name {
			return data
		}
	}
	return nil
}

// withoutCertificate is the digest of a kubeconfig file without the client certificate
// and key that it carries, and those two.
func withoutCertificate(data []byte) (digest string, certificate, key []byte) {
	h := sha256.New()
	for line := range bytes.Lines(data) {
		name, text, _ := bytes.Cut(bytes.TrimSpace(line), []byte(":"))
		switch string(name) {
		case "client-certificate-data":
			certificate = decoded(text)
		case "client-key-data":
			key = decoded(text)
		default:
			_, _ = h.Write(line)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), certificate, key
}

func decoded(text []byte) []byte {
	out, err := base64.StdEncoding.DecodeString(string(bytes.Trim(bytes.TrimSpace(text), `"'`)))
	if err != nil {
		return nil
	}
	return out
}
