#!/usr/bin/env bash
# Runs the benchmarks: those that compare with another tool or with a bare PATCH in the same run print the ratio.
set -euo pipefail
cd "$(dirname "$0")/.."

go test -run '^$' -bench . -benchmem ./...
NODEGUARD_APISERVER=$(hack/apiserver.sh)
export NODEGUARD_APISERVER
cd test
go test -run '^$' -bench Detection -benchtime 1x ./agent
go test -run '^$' -bench Visible -benchtime 100x ./apiserver
