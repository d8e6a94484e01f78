#!/usr/bin/env bash
# Builds etcd and kube-apiserver from Go modules, for tests, and prints the folder that holds them. They are cached in
# ${XDG_CACHE_HOME:-~/.cache}/nodeguard-e2e by version: minutes the first time, nothing after that.
set -euo pipefail
cd "$(dirname "$0")/../test/apiserver/binaries"

version() { awk -v module="$1" '$1 == module && $2 ~ /^v/ { print $2; exit }' go.mod; }
etcd=$(version go.etcd.io/etcd/server/v3)
kubernetes=$(version k8s.io/kubernetes)
dir=${XDG_CACHE_HOME:-$HOME/.cache}/nodeguard-e2e/apiserver-$kubernetes-etcd-$etcd-$(go env GOARCH)

mkdir -p "$(dirname "$dir")"
exec 9>"$dir.lock"
flock 9
if [[ ! -d $dir ]]; then
  echo "building etcd $etcd and kube-apiserver $kubernetes: about six minutes on two cores" >&2
  part=$dir.part
  rm -rf "$part"
  mkdir "$part"
  if ! {
    nice -n 10 go build -trimpath -ldflags '-s -w' -o "$part/etcd" go.etcd.io/etcd/server/v3 &&
      nice -n 10 go build -trimpath -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$kubernetes" \
        -o "$part/kube-apiserver" k8s.io/kubernetes/cmd/kube-apiserver
  } >&2; then
    echo "hack/apiserver.sh: etcd or kube-apiserver does not build; their modules must be reachable, see GOPROXY" >&2
    exit 1
  fi
  mv "$part" "$dir"
fi
echo "$dir"
