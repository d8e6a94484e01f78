package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// source is where the project lives.
const source = "https://github.com/nodeguard/nodeguard"

// binary is a Go program and what it says of its own build. All of the image comes
// from here, so that no clock and no machine leaves a trace.
type binary struct {
	*buildinfo.BuildInfo
	content []byte
}

func readBinary(file string) (*binary, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	info, err := buildinfo.Read(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &binary{info, content}, nil
}

// setting is what the binary was built with, or "".
func (b *binary) setting(key string) string {
	for _, s := range b.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}

// created is when the commit was made, or the epoch where that is not known.
func (b *binary) created() time.Time {
	if t, err := time.Parse(time.RFC3339, b.setting("vcs.time")); err == nil {
		return t.UTC()
	}
	return time.Unix(0, 0).UTC()
}

func (b *binary) labels(version string) map[string]string {
	labels := map[string]string{
		"org.opencontainers.image.title":         "nodeguard",
		"org.opencontainers.image.description":   "Detects operations on a Kubernetes node that its provider does not support",
		"org.opencontainers.image.version":       version,
		"org.opencontainers.image.created":       b.created().Format(time.RFC3339),
		"org.opencontainers.image.licenses":      "Apache-2.0",
		"org.opencontainers.image.vendor":        "nodeguard",
		"org.opencontainers.image.url":           source,
		"org.opencontainers.image.source":        source,
		"org.opencontainers.image.documentation": source + "/tree/main/docs",
	}
	if revision := b.setting("vcs.revision"); revision != "" {
		labels["org.opencontainers.image.revision"] = revision
	}
	return labels
}

// image has the binary as its only file.
func (b *binary) image(architecture, version string) (v1.Image, error) {
	layer, err := layerOf(b.content)
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if img, err = mutate.AppendLayers(img, layer); err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", architecture
	config.Created = v1.Time{Time: b.created()}
	config.Config.Entrypoint = []string{"/nodeguard"}
	config.Config.Labels = b.labels(version)
	if img, err = mutate.ConfigFile(img, config); err != nil {
		return nil, err
	}
	return mutate.Annotations(img, b.labels(version)).(v1.Image), nil
}

// layerOf holds one file, which belongs to root and to no time.
func layerOf(binary []byte) (v1.Layer, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	header := &tar.Header{Name: "nodeguard", Mode: 0o755, Size: int64(len(binary)), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
	if err := w.WriteHeader(header); err != nil {
		return nil, err
	}
	_, err := w.Write(binary)
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil }
	return tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.BestCompression), tarball.WithCompressedCaching)
}
