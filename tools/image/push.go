package main

import (
	"fmt"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// push writes the image and what refers to it to a registry.
func push(to string, index v1.ImageIndex, bills []v1.Image) error {
	tag, err := name.NewTag(to, name.StrictValidation)
	if err != nil {
		return err
	}
	login := remote.WithAuthFromKeychain(authn.DefaultKeychain)
	if err := remote.WriteIndex(tag, index, login); err != nil {
		return fmt.Errorf("push %s: %w", tag, err)
	}
	for _, bill := range bills {
		digest, err := bill.Digest()
		if err != nil {
			return err
		}
		if err := remote.Write(tag.Context().Digest(digest.String()), bill, login); err != nil {
			return fmt.Errorf("push the bill of materials: %w", err)
		}
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	fmt.Println(tag.Context().Digest(digest.String()))
	return nil
}
