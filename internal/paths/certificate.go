package paths

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"path"
	"strings"

	"github.com/nodeguard/nodeguard/internal/host"
)

const maxCertificate = 1 << 20

var errNoCertificate = errors.New("no certificate in it")

// rotating is the value of a link that kubelet moves from certificate to
// certificate: as long as it stays in its directory only the identity of the
// certificate counts, not the name, the serial or the key.
func rotating(dir *host.Dir, target string) (value, error) {
	v := value{kind: "link"}
	if sibling(target) == "" {
		v.add("to", target)
		return v, nil
	}
	issuer, subject, err := certificate(dir, sibling(target))
	if err != nil {
		return v, err
	}
	v.add("to", "a certificate beside it")
	v.add("issuer", issuer)
	v.add("subject", subject)
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

func certificate(dir *host.Dir, name string) (issuer, subject string, err error) {
	data, err := dir.ReadFile(name, maxCertificate)
	if err != nil {
		return "", "", err
	}
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return "", "", errNoCertificate
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return "", "", errNoCertificate
		}
		return cert.Issuer.String(), cert.Subject.String(), nil
	}
}
