#!/usr/bin/env bash
# Starts a cluster of two nodes with Prometheus and Alertmanager, deploys nodeguard, breaks a node, and says where to look;
# on Enter it repairs the node, and takes everything down. Without a terminal, or with DEMO=auto, it does not wait. It fails
# unless the alert came with its recovery and was resolved.
set -euo pipefail
cd "$(dirname "$0")/.."

NODEGUARD_DEMO=auto
[[ ${DEMO:-} == auto ]] || NODEGUARD_DEMO=$(tty) || NODEGUARD_DEMO=auto
export NODEGUARD_DEMO
PACKAGES=cluster RUN='^TestDemo$' TIMEOUT=12h exec hack/e2e.sh
