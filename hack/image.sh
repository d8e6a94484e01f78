#!/usr/bin/env bash
# Writes the image for all architectures to bin/image, without Docker.
set -euo pipefail
cd "$(dirname "$0")/.."

args=()
for arch in amd64 arm64; do
  CGO_ENABLED=0 GOOS=linux GOARCH=$arch go build -trimpath -ldflags "-s -w -buildid= -X main.version=$VERSION" -o "bin/linux-$arch/nodeguard" ./cmd/nodeguard
  args+=("$arch=../bin/linux-$arch/nodeguard")
done
cd tools
go run ./image -o ../bin/image -version "$VERSION" "${args[@]}"
