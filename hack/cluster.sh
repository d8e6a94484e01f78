#!/usr/bin/env bash
# Builds what a cluster with nodes needs beside etcd and kube-apiserver, and prints the folder that holds it.
set -euo pipefail
cd "$(dirname "$0")/.."

kubernetes=$(awk '$1 == "k8s.io/kubernetes" { print $2; exit }' test/cluster/binaries/go.mod)
exec hack/binaries.sh test/cluster/binaries "cluster-$kubernetes-$(go env GOARCH)"
