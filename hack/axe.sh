#!/usr/bin/env bash
# Fetches axe-core, which judges the accessibility of the status page, and prints where it is: needs npm. Its version and
# digest are in test/page/axe; it is cached as ${XDG_CACHE_HOME:-~/.cache}/nodeguard-e2e/axe-VERSION.
set -euo pipefail
cd "$(dirname "$0")/../test/page/axe"

version=$(sed -n 's/.*"axe-core": "\([^"]*\)".*/\1/p' package.json)
dir=${XDG_CACHE_HOME:-$HOME/.cache}/nodeguard-e2e/axe-$version
mkdir -p "$(dirname "$dir")"
exec 9>"$dir.lock"
flock 9
if [[ ! -d $dir ]]; then
  command -v npm >/dev/null || ../../../hack/packages.sh npm
  rm -rf "$dir.part"
  cp -r . "$dir.part"
  npm ci --prefix "$dir.part" --ignore-scripts --no-audit --no-fund --loglevel error >&2
  mv "$dir.part" "$dir"
fi
echo "$dir/node_modules/axe-core/axe.min.js"
