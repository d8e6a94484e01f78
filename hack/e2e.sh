#!/usr/bin/env bash
# Boots a Debian tree with systemd-nspawn and runs the end-to-end tests in it. The tree is cached in
# ${XDG_CACHE_HOME:-~/.cache}/nodeguard-e2e. RUN selects tests, as in go test -run.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ $EUID -ne 0 ]]; then
  echo "make e2e boots a systemd in namespaces of its own and needs root: sudo make e2e" >&2
  exit 2
fi
hack/packages.sh debootstrap systemd-container util-linux
NODEGUARD_E2E_TREE=$(test/host/tree.sh)
NODEGUARD_E2E_BINARY=$PWD/bin/nodeguard
NODEGUARD_E2E_NAME=nodeguard-e2e-$$
export NODEGUARD_E2E_TREE NODEGUARD_E2E_BINARY NODEGUARD_E2E_NAME

tests=
stop() {
  [[ -z $tests ]] || kill -TERM -- "-$tests" 2>/dev/null || true # the machines die with the tests that booted them
  test/host/cgroups.sh "$NODEGUARD_E2E_NAME-" 10
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

test/host/cgroups.sh nodeguard-e2e- # of runs that were killed
setsid go -C test test -tags e2e -count 1 -timeout 15m -run "${RUN:-.}" ./host/... &
tests=$!
wait "$tests"
