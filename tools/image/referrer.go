package main

import (
	"encoding/json"
	"fmt"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// billType is the kind of artifact that a bill of materials is.
const billType = "application/spdx+json"

// nothing is the configuration of what is no program, as OCI 1.1 has it.
const (
	nothing     = "{}"
	nothingType = "application/vnd.oci.empty.v1+json"
)

// artifact is a document that refers to an image.
type artifact struct {
	manifest []byte
	content  v1.Layer
}

// referrer attaches a document to an image the OCI 1.1 way: the document's manifest
// names its subject, and the image does not change.
func referrer(subject v1.Descriptor, document []byte, created time.Time) (v1.Image, error) {
	content := static.NewLayer(document, billType)
	layer, err := partial.Descriptor(content)
	if err != nil {
		return nil, err
	}
	config, err := partial.Descriptor(static.NewLayer([]byte(nothing), nothingType))
	if err != nil {
		return nil, err
	}
	manifest, err := json.Marshal(v1.Manifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		ArtifactType:  billType,
		Config:        *config,
		Layers:        []v1.Descriptor{*layer},
		Subject:       &v1.Descriptor{MediaType: subject.MediaType, Size: subject.Size, Digest: subject.Digest},
		Annotations:   map[string]string{"org.opencontainers.image.created": created.Format(time.RFC3339)},
	})
	if err != nil {
		return nil, err
	}
	return partial.CompressedToImage(artifact{manifest, content})
}

func (a artifact) RawConfigFile() ([]byte, error)      { return []byte(nothing), nil }
func (a artifact) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }
func (a artifact) RawManifest() ([]byte, error)        { return a.manifest, nil }

// LayerByDigest implements partial.CompressedImageCore.
func (a artifact) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	if digest, err := a.content.Digest(); err != nil || digest != h {
		return nil, fmt.Errorf("no layer %s", h)
	}
	return a.content, nil
}
