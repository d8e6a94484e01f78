#!/usr/bin/env bash
# Writes the image for all architectures to bin/image, without Docker: an OCI layout, a bill of materials for each, and
# archives for `ctr images import`, tagged as the manifests in deploy name it. ARCHITECTURES selects fewer, PUSH names a
# repository and tag to push to.
set -euo pipefail
cd "$(dirname "$0")/.."

args=()
for arch in ${ARCHITECTURES:-amd64 arm64}; do
  CGO_ENABLED=0 GOOS=linux GOARCH=$arch go build -trimpath -ldflags "-s -w -buildid= -X main.version=${VERSION:=dev}" -o "bin/linux-$arch/nodeguard" ./cmd/nodeguard
  args+=("$arch=../bin/linux-$arch/nodeguard")
done
cd tools
go run ./image -o ../bin/image -version "$VERSION" -archive localhost/nodeguard:dev -push "${PUSH:-}" "${args[@]}"
