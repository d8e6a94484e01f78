#!/usr/bin/env bash
# Runs the end-to-end tests: agents with a real Prometheus and Alertmanager (test/monitoring), under a real systemd with
# real firewalls (test/host), in a real browser (test/page), and in a real Kubernetes cluster (test/cluster). What they need
# is built once and cached in ${XDG_CACHE_HOME:-~/.cache}/nodeguard-e2e. PACKAGES and RUN select tests, the latter as in
# go test -run; NODEGUARD_E2E_OUTAGE is how long the API server is away (2m), and NODEGUARD_E2E_LOGS a folder for the logs of
# the cluster.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ $EUID -ne 0 ]]; then
  echo "make e2e boots machines in namespaces of its own and needs root: sudo make e2e" >&2
  exit 2
fi
hack/packages.sh debootstrap systemd-container util-linux containerd runc containernetworking-plugins \
  iproute2 iptables nftables procps kmod prometheus prometheus-alertmanager
packages=${PACKAGES:-monitoring host page cluster}
if [[ $packages == *host* ]]; then
  NODEGUARD_E2E_TREE=$(test/host/tree.sh)
  export NODEGUARD_E2E_TREE
fi
if [[ $packages == *page* ]]; then
  hack/packages.sh chromium fonts-dejavu-core fonts-droid-fallback
  NODEGUARD_E2E_AXE=$(hack/axe.sh)
  export NODEGUARD_E2E_AXE
fi
NODEGUARD_APISERVER=$(hack/apiserver.sh)
NODEGUARD_E2E_CLUSTER=$(hack/cluster.sh)
NODEGUARD_E2E_BINARY=$PWD/bin/nodeguard
NODEGUARD_E2E_IMAGE=$PWD/bin/e2e-image/nodeguard-$(go env GOARCH).tar
NODEGUARD_E2E_NAME=nodeguard-e2e-$$
export NODEGUARD_APISERVER NODEGUARD_E2E_CLUSTER NODEGUARD_E2E_BINARY NODEGUARD_E2E_IMAGE NODEGUARD_E2E_NAME
go -C tools run ./image -o ../bin/e2e-image -archive localhost/nodeguard:dev "$(go env GOARCH)=$NODEGUARD_E2E_BINARY"

tests=
stop() {
  [[ -z $tests ]] || kill -TERM -- "-$tests" 2>/dev/null || true # the machines die with the tests that booted them
  test/host/cgroups.sh "$NODEGUARD_E2E_NAME-" 10
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

test/host/cgroups.sh nodeguard-e2e- # of runs that were killed
for package in $packages; do # one after the other, for the times that they tell; in its own folder go test says more than ok
  setsid go -C "test/$package" test -tags e2e -count 1 -timeout "${TIMEOUT:-20m}" -run "${RUN:-.}" &
  tests=$!
  wait "$tests"
done
