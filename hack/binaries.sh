#!/usr/bin/env bash
# Builds the tools of a Go module, for tests, and prints the folder that holds them: binaries.sh MODULE NAME
# They are cached as ${XDG_CACHE_HOME:-~/.cache}/nodeguard-e2e/NAME: minutes the first time, nothing after that.
set -euo pipefail
cd "$(dirname "$0")/../$1"

dir=${XDG_CACHE_HOME:-$HOME/.cache}/nodeguard-e2e/$2
kubernetes=$(awk '$1 == "k8s.io/kubernetes" { print $2; exit }' go.mod)

mkdir -p "$(dirname "$dir")"
exec 9>"$dir.lock"
flock 9
if [[ ! -d $dir ]]; then
  part=$dir.part
  rm -rf "$part"
  mkdir "$part"
  mapfile -t tools < <(go list tool)
  echo "building $2: some six minutes on two cores" >&2
  for tool in "${tools[@]}"; do
    name=${tool##*/}
    [[ $tool != go.etcd.io/etcd/server/v3 ]] || name=etcd
    if ! nice -n 10 go build -trimpath -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$kubernetes" -o "$part/$name" "$tool" >&2; then
      echo "hack/binaries.sh: $tool does not build; its modules must be reachable, see GOPROXY" >&2
      exit 1
    fi
  done
  mv "$part" "$dir"
fi
echo "$dir"
