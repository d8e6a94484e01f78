#!/usr/bin/env bash
# Runs every fuzz target of the modules for FUZZTIME, JOBS at a time, each with one worker: a target spends its time in the
# parser, not in waiting, and a machine with two processors runs two targets as fast as one.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${FUZZTIME:=60s}" "${JOBS:=$(nproc)}"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# one PACKAGE TARGET: with the program of the package, which is built once and finds its corpus in the package's folder.
one() {
  local folder program log=$work/$2-$$-$RANDOM.log
  folder=$(go list -f '{{.Dir}}' "$1")
  program=$work/$(echo "$1" | tr / _).test
  if (cd "$folder" && "$program" -test.run '^$' -test.fuzz "^$2\$" -test.fuzztime "$FUZZTIME" -test.parallel 1 \
    -test.fuzzcachedir "$(go env GOCACHE)/fuzz/$1") >"$log" 2>&1; then
    echo "ok   $1 $2: $(grep -o 'execs: [0-9]*' "$log" | tail -1)"
  elif grep -q 'context deadline exceeded' "$log" && ! grep -q 'Failing input' "$log"; then
    echo "ok   $1 $2: $(grep -o 'execs: [0-9]*' "$log" | tail -1), an input was under way at the end" # go.dev/issue/75804, fixed in Go 1.27
  else
    echo "FAIL $1 $2" && cat "$log"
    return 1
  fi
}
export -f one
export work FUZZTIME

mapfile -t packages < <(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u | grep -v '^./test')
for package in "${packages[@]}"; do
  import=$(go list "$package")
  go test -fuzz . -c -o "$work/$(echo "$import" | tr / _).test" "$package" # -fuzz: with the coverage that guides it
  grep -h --include='*_test.go' -o '^func Fuzz[A-Za-z0-9]*' "$package"/*_test.go | sed "s|^func |$import |"
done >"$work/targets"
echo "== $(wc -l <"$work/targets") fuzz targets, $FUZZTIME each, $JOBS at a time"
xargs -P "$JOBS" -L 1 bash -c 'one "$@"' one <"$work/targets"
