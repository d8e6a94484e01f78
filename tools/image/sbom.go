package main

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // SPDX 2.3 wants it of every file, beside a good one
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"runtime/debug"
	"strings"
	"time"
)

// The part of SPDX 2.3 that describes one Go program.
type (
	document struct {
		SPDXVersion       string         `json:"spdxVersion"`
		DataLicense       string         `json:"dataLicense"`
		SPDXID            string         `json:"SPDXID"`
		Name              string         `json:"name"`
		DocumentNamespace string         `json:"documentNamespace"`
		CreationInfo      creation       `json:"creationInfo"`
		Packages          []pkg          `json:"packages"`
		Files             []file         `json:"files"`
		Relationships     []relationship `json:"relationships"`
	}
	creation struct {
		Created  string   `json:"created"`
		Creators []string `json:"creators"`
	}
	pkg struct {
		SPDXID           string        `json:"SPDXID"`
		Name             string        `json:"name"`
		VersionInfo      string        `json:"versionInfo"`
		Supplier         string        `json:"supplier"`
		DownloadLocation string        `json:"downloadLocation"`
		FilesAnalyzed    bool          `json:"filesAnalyzed"`
		SourceInfo       string        `json:"sourceInfo,omitempty"`
		LicenseConcluded string        `json:"licenseConcluded"`
		LicenseDeclared  string        `json:"licenseDeclared"`
		CopyrightText    string        `json:"copyrightText"`
		Purpose          string        `json:"primaryPackagePurpose"`
		ExternalRefs     []externalRef `json:"externalRefs"`
	}
	externalRef struct {
		Category string `json:"referenceCategory"`
		Type     string `json:"referenceType"`
		Locator  string `json:"referenceLocator"`
	}
	file struct {
		SPDXID           string     `json:"SPDXID"`
		FileName         string     `json:"fileName"`
		FileTypes        []string   `json:"fileTypes"`
		Checksums        []checksum `json:"checksums"`
		LicenseConcluded string     `json:"licenseConcluded"`
		CopyrightText    string     `json:"copyrightText"`
	}
	checksum struct {
		Algorithm string `json:"algorithm"`
		Value     string `json:"checksumValue"`
	}
	relationship struct {
		Element string `json:"spdxElementId"`
		Type    string `json:"relationshipType"`
		Related string `json:"relatedSpdxElement"`
	}
)

const (
	unknown    = "NOASSERTION"
	documentID = "SPDXRef-DOCUMENT"
	mainID     = "SPDXRef-Package-nodeguard"
	fileID     = "SPDXRef-File-nodeguard"
)

// document lists what the binary was linked from, by its own account.
func (b *binary) document(architecture, version string) ([]byte, error) {
	sum := sha256.Sum256(b.content)
	hash := hex.EncodeToString(sum[:])
	d := document{
		SPDXVersion: "SPDX-2.3", DataLicense: "CC0-1.0", SPDXID: documentID,
		Name:              "nodeguard-" + version + "-linux-" + architecture,
		DocumentNamespace: source + "/spdx/" + url.PathEscape(version) + "/linux-" + architecture + "/" + hash,
		CreationInfo:      creation{Created: b.created().Format(time.RFC3339), Creators: []string{"Organization: nodeguard", "Tool: nodeguard-image"}},
		Packages:          []pkg{b.mainPackage(version), goPackage(b.GoVersion)},
		Files:             []file{b.file(hash)},
		Relationships: []relationship{
			{documentID, "DESCRIBES", mainID},
			{mainID, "CONTAINS", fileID},
			{mainID, "DEPENDS_ON", idOf(0, "stdlib")},
		},
	}
	for i, m := range b.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		id := idOf(i+1, m.Path)
		d.Packages = append(d.Packages, modulePackage(id, m))
		d.Relationships = append(d.Relationships, relationship{mainID, "DEPENDS_ON", id})
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(d)
	return out.Bytes(), err
}

func (b *binary) mainPackage(version string) pkg {
	p := packageOf(mainID, b.Main.Path, version)
	p.Supplier, p.LicenseConcluded, p.LicenseDeclared = "Organization: nodeguard", "Apache-2.0", "Apache-2.0"
	p.Purpose, p.DownloadLocation = "APPLICATION", "git+"+source
	if revision := b.setting("vcs.revision"); revision != "" {
		p.DownloadLocation += "@" + revision
	}
	return p
}

func goPackage(version string) pkg {
	version, _, _ = strings.Cut(strings.TrimPrefix(version, "go"), " ") // "go1.26.1 X:experiment"
	p := packageOf(idOf(0, "stdlib"), "stdlib", version)
	p.LicenseDeclared = "BSD-3-Clause"
	return p
}

func modulePackage(id string, m *debug.Module) pkg {
	p := packageOf(id, m.Path, m.Version)
	if m.Sum != "" {
		p.SourceInfo = "go.sum " + m.Sum
	}
	return p
}

func packageOf(id, path, version string) pkg {
	return pkg{
		SPDXID: id, Name: path, VersionInfo: version,
		Supplier: unknown, DownloadLocation: unknown, LicenseConcluded: unknown, LicenseDeclared: unknown, CopyrightText: unknown,
		Purpose: "LIBRARY",
		ExternalRefs: []externalRef{{
			Category: "PACKAGE-MANAGER", Type: "purl", Locator: "pkg:golang/" + strings.ToLower(path) + "@" + url.QueryEscape(version),
		}},
	}
}

func (b *binary) file(hash string) file {
	old := sha1.Sum(b.content) //nolint:gosec // see above
	return file{
		SPDXID: fileID, FileName: "./nodeguard", FileTypes: []string{"BINARY"},
		Checksums:        []checksum{{"SHA1", hex.EncodeToString(old[:])}, {"SHA256", hash}},
		LicenseConcluded: unknown, CopyrightText: unknown,
	}
}

// idOf makes an identifier that no other package has. Letters, digits, "." and "-" are
// all that SPDX takes.
func idOf(n int, path string) string {
	return fmt.Sprintf("SPDXRef-Package-%d-", n) + strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-':
			return r
		}
		return '-'
	}, path)
}
