#!/usr/bin/env bash
# Vets and tests the module and the test module; the end-to-end tests are hack/e2e.sh.
set -euo pipefail
cd "$(dirname "$0")/.."

hack/packages.sh systemd dbus prometheus prometheus-alertmanager prometheus-node-exporter iproute2 nftables iptables procps kmod rpm util-linux e2fsprogs xfsprogs ca-certificates gcc libc6-dev

go vet ./...
go test -race -timeout 30m ./...
NODEGUARD_APISERVER=$(hack/apiserver.sh)
export NODEGUARD_APISERVER
(
  cd test
  go vet ./...
  go vet -tags e2e ./...
  go test -race -count=1 ./... # its cache knows nothing of deploy/ and docs/, which these tests read
)
(
  cd test/consumers # a large one: vetted as it is built
  go test -race -vet=all -count=1 ./... # its cache knows nothing of the agent, which takes part as a binary
)
[[ ${FUZZTIME:=5s} == 0 ]] || FUZZTIME=$FUZZTIME hack/fuzz.sh
(
  cd tools
  go vet ./image
  go test -race ./image
)
