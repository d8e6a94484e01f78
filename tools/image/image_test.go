package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "nodeguard-image-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "program")
	if out, err := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -buildid=", "-o", program, "./testdata/program").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build a program: %v\n%s", err, out)
		return 1
	}
	common = filepath.Join(dir, "image")
	if err := write(optionsOf(common), arguments()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

var (
	program string // a small Go binary with a module in it
	common  string // the image of it, which tests read
)

func optionsOf(dir string) options {
	return options{dir: dir, version: "v1.2.3", archive: "localhost/nodeguard:dev", maxSize: 1 << 40}
}

// arguments are two architectures of the same binary.
func arguments() []string { return []string{"amd64=" + program, "arm64=" + program} }

// images are those of the layout, by architecture, and the bills of materials by the
// image that they are of.
func images(t *testing.T, dir string) (images map[string]v1.Image, bills map[v1.Hash]v1.Image) {
	t.Helper()
	top, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(top, validate.Fast); err != nil {
		t.Fatal(err)
	}
	manifest, err := top.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	images, bills = map[string]v1.Image{}, map[v1.Hash]v1.Image{}
	for _, d := range manifest.Manifests {
		if d.MediaType.IsIndex() {
			if d.Annotations["org.opencontainers.image.ref.name"] != "v1.2.3" {
				t.Errorf("the image is named %v", d.Annotations)
			}
			index, err := top.ImageIndex(d.Digest)
			if err != nil {
				t.Fatal(err)
			}
			images = platforms(t, index)
			continue
		}
		bill, err := top.Image(d.Digest)
		if err != nil {
			t.Fatal(err)
		}
		m, err := bill.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		if d.ArtifactType != "application/spdx+json" || m.ArtifactType != d.ArtifactType {
			t.Errorf("artifact type %q in the index, %q in the manifest", d.ArtifactType, m.ArtifactType)
		}
		bills[m.Subject.Digest] = bill
	}
	return images, bills
}

func platforms(t *testing.T, index v1.ImageIndex) map[string]v1.Image {
	t.Helper()
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]v1.Image{}
	for _, d := range manifest.Manifests {
		img, err := index.Image(d.Digest)
		if err != nil {
			t.Fatal(err)
		}
		out[d.Platform.String()] = img
	}
	return out
}

func TestImageHoldsTheBinaryAlone(t *testing.T) {
	images, _ := images(t, common)
	for _, platform := range []string{"linux/amd64", "linux/arm64"} {
		img := images[platform]
		if img == nil {
			t.Fatalf("no image for %s", platform)
		}
		config, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if got := config.OS + "/" + config.Architecture; got != platform {
			t.Errorf("%s says it is %s", platform, got)
		}
		if !reflect.DeepEqual(config.Config.Entrypoint, []string{"/nodeguard"}) || config.Config.User != "" || config.Config.Env != nil {
			t.Errorf("configuration %+v", config.Config)
		}
		for label, want := range map[string]string{"version": "v1.2.3", "licenses": "Apache-2.0", "source": source, "title": "nodeguard"} {
			if got := config.Config.Labels["org.opencontainers.image."+label]; got != want {
				t.Errorf("label %s is %q, want %q", label, got, want)
			}
		}
		checkFiles(t, img)
	}
}

// checkFiles looks at the file system of the image.
func checkFiles(t *testing.T, img v1.Image) {
	t.Helper()
	layers, err := img.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	files := tar.NewReader(content)
	h, err := files.Next()
	if err != nil {
		t.Fatal(err)
	}
	if h.Name != "nodeguard" || h.Mode != 0o755 || h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.ModTime.Unix() != 0 {
		t.Errorf("file %+v", h)
	}
	got, err := io.ReadAll(files)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("the file is not the binary")
	}
	if _, err := files.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("there are other files: %v", err)
	}
}

// TestSameBinarySameImage writes twice, and compares every byte.
func TestSameBinarySameImage(t *testing.T) {
	again := filepath.Join(t.TempDir(), "again")
	if err := write(optionsOf(again), arguments()); err != nil {
		t.Fatal(err)
	}
	first, second := tree(t, common), tree(t, again)
	if !reflect.DeepEqual(first, second) {
		t.Errorf("two images of one binary:\n%v\n%v", first, second)
	}
	for _, file := range []string{"index.json", "oci-layout", "nodeguard-amd64.tar", "nodeguard-arm64.spdx.json"} {
		if first[file] == "" {
			t.Errorf("no %s", file)
		}
	}
}

// tree is the digest of every file.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(filepath.Join(dir, path))
		sum := sha256.Sum256(content)
		out[path] = hex.EncodeToString(sum[:])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestArchiveIsTheImage(t *testing.T) {
	images, _ := images(t, common)
	tag, err := name.NewTag("localhost/nodeguard:dev")
	if err != nil {
		t.Fatal(err)
	}
	img, err := tarball.ImageFromPath(filepath.Join(common, "nodeguard-arm64.tar"), &tag)
	if err != nil {
		t.Fatal(err)
	}
	got, err := img.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	if want, _ := images["linux/arm64"].ConfigName(); got != want {
		t.Errorf("archive %s, image %s", got, want)
	}
}

// TestBillListsEveryModule compares the bill of materials with what the binary says,
// and each image with the bill that refers to it.
func TestBillListsEveryModule(t *testing.T) {
	images, bills := images(t, common)
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	for _, architecture := range []string{"amd64", "arm64"} {
		digest, err := images["linux/"+architecture].Digest()
		if err != nil {
			t.Fatal(err)
		}
		attached := attachedTo(t, bills, digest)
		beside, err := os.ReadFile(filepath.Join(common, "nodeguard-"+architecture+".spdx.json"))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(attached, beside) {
			t.Errorf("%s: the attached bill is not the one beside the image", architecture)
		}
		var d document
		if err := json.Unmarshal(attached, &d); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(d.Name, architecture) {
			t.Errorf("%s: the bill is of %s", architecture, d.Name)
		}
		checkModules(t, d, info)
		checkReferences(t, d)
	}
}

func attachedTo(t *testing.T, bills map[v1.Hash]v1.Image, image v1.Hash) []byte {
	t.Helper()
	bill := bills[image]
	if bill == nil {
		t.Fatalf("nothing refers to %s", image)
	}
	layers, err := bill.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	out, err := io.ReadAll(content)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func checkModules(t *testing.T, d document, info *buildinfo.BuildInfo) {
	t.Helper()
	want := map[string]string{info.Main.Path: "v1.2.3", "stdlib": strings.TrimPrefix(info.GoVersion, "go")}
	for _, m := range info.Deps {
		want[m.Path] = m.Version
	}
	got := map[string]string{}
	for _, p := range d.Packages {
		got[p.Name] = p.VersionInfo
		if !strings.HasPrefix(p.ExternalRefs[0].Locator, "pkg:golang/") {
			t.Errorf("%s: purl %q", p.Name, p.ExternalRefs[0].Locator)
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("modules %v, want %v", got, want)
	}
	if len(info.Deps) == 0 {
		t.Error("the binary of the test has no modules")
	}
}

// checkReferences holds that identifiers are unique, and that nothing refers to none.
func checkReferences(t *testing.T, d document) {
	t.Helper()
	known := map[string]bool{d.SPDXID: true}
	for _, p := range d.Packages {
		if known[p.SPDXID] {
			t.Errorf("%s is there twice", p.SPDXID)
		}
		known[p.SPDXID] = true
	}
	for _, f := range d.Files {
		known[f.SPDXID] = true
	}
	related := map[string]bool{d.SPDXID: true}
	for _, r := range d.Relationships {
		if !known[r.Element] || !known[r.Related] {
			t.Errorf("%+v refers to nothing", r)
		}
		related[r.Related] = true
	}
	for id := range known {
		if !related[id] {
			t.Errorf("%s belongs to nothing", id)
		}
	}
}

func TestLargeImageIsRefused(t *testing.T) {
	o := optionsOf(filepath.Join(t.TempDir(), "image"))
	o.maxSize = 1000
	err := write(o, arguments())
	if err == nil || !strings.Contains(err.Error(), "are more than 1000") {
		t.Errorf("error %v", err)
	}
}

func TestWhatIsNoBinaryIsRefused(t *testing.T) {
	text := filepath.Join(t.TempDir(), "nodeguard")
	if err := os.WriteFile(text, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, argument := range []string{"amd64", "amd64=" + text, "amd64=" + text + ".not"} {
		if err := write(options{dir: filepath.Join(t.TempDir(), "image"), maxSize: 1 << 40}, []string{argument}); err == nil {
			t.Errorf("%s: no error", argument)
		}
	}
}

// TestPushTakesTheBillsAlong asks a registry what refers to the image.
func TestPushTakesTheBillsAlong(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	repository := strings.TrimPrefix(server.URL, "http://") + "/nodeguard"
	o := optionsOf(filepath.Join(t.TempDir(), "image"))
	o.push = repository + ":v1.2.3"
	if err := write(o, arguments()); err != nil {
		t.Fatal(err)
	}

	tag, err := name.NewTag(repository + ":v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(tag)
	if err != nil {
		t.Fatal(err)
	}
	for platform, img := range platforms(t, index) {
		digest, err := img.Digest()
		if err != nil {
			t.Fatal(err)
		}
		referrers, err := remote.Referrers(tag.Context().Digest(digest.String()))
		if err != nil {
			t.Fatal(err)
		}
		manifest, err := referrers.IndexManifest()
		if err != nil {
			t.Fatal(err)
		}
		if len(manifest.Manifests) != 1 {
			t.Fatalf("%s: referrers %+v", platform, manifest.Manifests)
		}
		bill, err := remote.Image(tag.Context().Digest(manifest.Manifests[0].Digest.String()))
		if err != nil {
			t.Fatal(err)
		}
		if m, err := bill.Manifest(); err != nil || m.ArtifactType != billType || m.Subject.Digest != digest {
			t.Errorf("%s: referrer %+v, %v", platform, m, err)
		}
	}
}
