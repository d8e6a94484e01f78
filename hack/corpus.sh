#!/usr/bin/env bash
# Copies up to KEEP of the inputs that fuzzing found worth to keep, and Go caches, into testdata/fuzz: what every go test runs.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${KEEP:=8}" "${LARGEST:=4k}"

module=$(go list -m)
cache=$(go env GOCACHE)/fuzz/$module
for folder in $(cd "$cache" && find . -type d -name 'Fuzz*' | sort); do
  package=$(dirname "$folder") target=$(basename "$folder")
  grep -qs "^func $target(" "$package"/*_test.go || continue # it was renamed
  mapfile -t inputs < <(find "$cache/$folder" -type f -size "-$LARGEST" | sort)
  [[ ${#inputs[@]} -gt 0 ]] || continue
  mkdir -p "$package/testdata/fuzz/$target"
  [[ $(find "$package/testdata/fuzz/$target" -type f | wc -l) -lt $KEEP ]] || continue
  step=$(((${#inputs[@]} + KEEP - 1) / KEEP)) # their names are hashes: any of them is as good
  for ((i = 0; i < ${#inputs[@]}; i += step)); do
    cp "${inputs[i]}" "$package/testdata/fuzz/$target/"
  done
done
