#!/usr/bin/env bash
# Removes the cgroups of machines that have ended: cgroups.sh NAME-PREFIX [SECONDS]
# Those still in use are waited for as long, and then kept.
set -euo pipefail

deadline=$((SECONDS + ${2:-0}))

left() { find /sys/fs/cgroup -maxdepth 2 -type d -name "$1*"; }

while true; do
  left "$1" | while read -r cgroup; do
    find "$cgroup" -depth -type d -exec rmdir {} \; 2>/dev/null || true
  done
  [[ -n $(left "$1") && $SECONDS -lt $deadline ]] || break
  sleep 0.1
done
