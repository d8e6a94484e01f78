#!/usr/bin/env bash
# Builds etcd and kube-apiserver from Go modules, for tests, and prints the folder that holds them. They are cached in
# ${XDG_CACHE_HOME:-~/.cache}/nodeguard-e2e by version: minutes the first time, nothing after that.
set -euo pipefail
cd "$(dirname "$0")/.."

version() { awk -v module="$1" '$1 == module && $2 ~ /^v/ { print $2; exit }' test/apiserver/binaries/go.mod; }
kubernetes=$(version k8s.io/kubernetes)
etcd=$(version go.etcd.io/etcd/server/v3)
exec hack/binaries.sh test/apiserver/binaries "apiserver-$kubernetes-etcd-$etcd-$(go env GOARCH)"
