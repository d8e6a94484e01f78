#!/usr/bin/env bash
# Measures what nodeguard promises to cost and writes docs/benchmarks.md: bench.sh [--scale]. BENCH=name runs one.
set -euo pipefail
cd "$(dirname "$0")/.."

benchmarks=(Latency Idle Startup Verification Storm)
[[ ${1:-} != --scale ]] || benchmarks=(Cold Fleet)
chosen=()
for name in "${benchmarks[@]}"; do
  if [[ ${BENCH:-} == "" || ${BENCH,,} == "${name,,}" ]]; then
    chosen+=("$name")
  fi
done
if [[ ${#chosen[@]} -eq 0 ]]; then
  echo "BENCH=$BENCH is none of ${benchmarks[*],,}" >&2
  exit 2
fi

hack/packages.sh prometheus-node-exporter aide nftables iproute2 util-linux procps curl
NODEGUARD_APISERVER=$(hack/apiserver.sh)
NODEGUARD_BINARY=$PWD/bin/nodeguard
NODEGUARD_BENCHMARKS=$PWD/docs/benchmarks.md
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
NODEGUARD_BENCH_TREE=$dir/tree
export NODEGUARD_APISERVER NODEGUARD_BINARY NODEGUARD_BENCHMARKS NODEGUARD_BENCH_TREE

go test -C test -c -o "$dir/bench" ./bench
cd test/bench
for name in "${chosen[@]}"; do # one process each: what one leaves behind is not measured by the next
  "$dir/bench" -test.run '^$' -test.bench "^Benchmark$name\$" -test.benchtime 1x -test.timeout 1h
done
