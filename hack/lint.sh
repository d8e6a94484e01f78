#!/usr/bin/env bash
# Lints both modules and looks for known vulnerabilities. Only an unreachable vulnerability database is forgiven.
set -euo pipefail
cd "$(dirname "$0")/.."

config=$PWD/.golangci.yml
tools=$PWD/tools/go.mod

run() { go tool -modfile="$tools" "$@"; }

run golangci-lint run --config "$config" ./...
(cd test && run golangci-lint run --config "$config" --build-tags e2e ./...)
(cd test/consumers && run golangci-lint run --config "$config" ./...)
(cd tools && run golangci-lint run --config "$config" ./image/...)

log=$(mktemp)
trap 'rm -f "$log"' EXIT
if run govulncheck ./... >"$log" 2>&1; then
  cat "$log"
elif grep -q '^govulncheck: fetching vulnerabilities:' "$log" && ! grep -q '^Vulnerability #' "$log"; then
  echo "govulncheck: skipped, the vulnerability database cannot be reached"
else
  cat "$log"
  exit 1
fi
