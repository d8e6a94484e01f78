// Command image writes static binaries as an OCI image layout, one platform each,
// on an empty base, with a bill of materials attached to each. It needs no Docker,
// and equal binaries are an equal image.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// options are what to write, and where.
type options struct {
	dir     string
	version string
	archive string // tag of the archives; "" writes none
	push    string // where to push to; "" pushes nowhere
	maxSize int64  // of what a node pulls
}

func main() {
	var o options
	flag.StringVar(&o.dir, "o", "", "directory of the image layout, which is made anew")
	flag.StringVar(&o.version, "version", "dev", "version of label and bill of materials")
	flag.StringVar(&o.archive, "archive", "", "also write DIR/nodeguard-ARCHITECTURE.tar with this tag, as docker save would, for ctr images import")
	flag.StringVar(&o.push, "push", "", "also push to this repository and tag, with the credentials of docker login")
	flag.Int64Var(&o.maxSize, "max-size", 12_000_000, "fail if the layers of an architecture are larger, compressed, in bytes")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: image -o DIR [flags] ARCHITECTURE=BINARY...")
		flag.PrintDefaults()
	}
	flag.Parse()
	if o.dir == "" || flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := write(o, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// write makes the directory anew: an image layout, and beside it the bills of
// materials and archives as plain files. It pushes last.
func write(o options, binaries []string) error {
	if err := os.RemoveAll(o.dir); err != nil {
		return err
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil { //nolint:gosec // an image is not secret
		return err
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	var bills []v1.Image
	for _, b := range binaries {
		architecture, file, ok := strings.Cut(b, "=")
		if !ok {
			return fmt.Errorf("%q is not ARCHITECTURE=BINARY", b)
		}
		img, bill, err := o.platform(architecture, file)
		if err != nil {
			return fmt.Errorf("image for %s: %w", architecture, err)
		}
		bills = append(bills, bill)
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        img,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architecture}},
		})
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	if err := o.layout(index, bills); err != nil {
		return err
	}
	fmt.Printf("%s: %s\n", o.dir, digest)
	if o.push == "" {
		return nil
	}
	return push(o.push, index, bills)
}

// layout names the image by its version, and has the bills of materials beside it,
// where tools look for what refers to an image.
func (o options) layout(index v1.ImageIndex, bills []v1.Image) error {
	top := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), mutate.IndexAddendum{
		Add:        index,
		Descriptor: v1.Descriptor{Annotations: map[string]string{"org.opencontainers.image.ref.name": o.version}},
	})
	for _, bill := range bills {
		top = mutate.AppendManifests(top, mutate.IndexAddendum{Add: bill, Descriptor: v1.Descriptor{ArtifactType: billType}})
	}
	if _, err := layout.Write(o.dir, top); err != nil {
		return fmt.Errorf("write %s: %w", o.dir, err)
	}
	return nil
}

// platform makes the image of one architecture and its bill of materials.
func (o options) platform(architecture, file string) (img, bill v1.Image, err error) {
	b, err := readBinary(file)
	if err != nil {
		return nil, nil, err
	}
	if img, err = b.image(architecture, o.version); err != nil {
		return nil, nil, err
	}
	if err := o.fits(img, architecture); err != nil {
		return nil, nil, err
	}
	document, err := b.document(architecture, o.version)
	if err != nil {
		return nil, nil, err
	}
	if err := os.WriteFile(o.beside(architecture, ".spdx.json"), document, 0o644); err != nil { //nolint:gosec // not secret
		return nil, nil, err
	}
	subject, err := partial.Descriptor(img)
	if err != nil {
		return nil, nil, err
	}
	if bill, err = referrer(*subject, document, b.created()); err != nil {
		return nil, nil, err
	}
	return img, bill, o.writeArchive(img, architecture)
}

func (o options) beside(architecture, suffix string) string {
	return filepath.Join(o.dir, "nodeguard-"+architecture+suffix)
}

func (o options) writeArchive(img v1.Image, architecture string) error {
	if o.archive == "" {
		return nil
	}
	tag, err := name.NewTag(o.archive)
	if err != nil {
		return err
	}
	return tarball.WriteToFile(o.beside(architecture, ".tar"), tag, img)
}

// fits holds the image to its budget.
func (o options) fits(img v1.Image, architecture string) error {
	size, err := compressed(img)
	if err != nil {
		return err
	}
	fmt.Printf("linux/%s: %.1f MB compressed\n", architecture, float64(size)/1e6)
	if size > o.maxSize {
		return fmt.Errorf("%d bytes compressed are more than %d", size, o.maxSize)
	}
	return nil
}

func compressed(img v1.Image) (int64, error) {
	layers, err := img.Layers()
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, l := range layers {
		size, err := l.Size()
		if err != nil {
			return 0, err
		}
		sum += size
	}
	return sum, nil
}
