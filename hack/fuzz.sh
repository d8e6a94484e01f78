#!/usr/bin/env bash
# Runs each fuzz target of the module for FUZZTIME; go test takes one target of one package at a time.
set -euo pipefail
cd "$(dirname "$0")/.."

found=0
for package in $(go list ./...); do
  targets=$(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true)
  for target in $targets; do
    found=$((found + 1))
    echo "== $package $target (${FUZZTIME:=60s})"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$FUZZTIME" "$package"
  done
done
echo "$found fuzz targets run"
