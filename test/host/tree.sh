#!/usr/bin/env bash
# Prints the path of a Debian tree with systemd and the common firewalls, building it first where it is not cached.
# It comes from the mirror that this machine's apt uses and is left as the packages' own scripts leave it.
set -euo pipefail

# libpam-systemd: polkitd, which firewalld needs, is only configured where there is a logind provider.
packages=(
  systemd systemd-sysv dbus libpam-systemd
  ufw firewalld nftables iptables
  procps iproute2 kmod util-linux
)

# shellcheck source=/dev/null
suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")

mirror() {
  # shellcheck disable=SC2016 # apt's own placeholder
  apt-get indextargets --format '$(SITE)' 'Identifier: Packages' 'Origin: Debian' "Codename: $suite" | awk 'NR == 1'
}

build() { # DIRECTORY, in namespaces of its own: an interrupted build leaves no mount
  local from include
  from=$(mirror)
  [[ -n $from ]] || { apt-get update -qq >&2 && from=$(mirror); }
  if [[ -z $from ]]; then
    echo "e2e: apt knows no mirror of Debian '$suite'; the tree is built on Debian" >&2
    return 1
  fi
  include=$(IFS=,; echo "${packages[*]}")
  unshare --mount --pid --fork --kill-child --mount-proc \
    debootstrap --variant=minbase --include="$include" "$suite" "$1" "$from" >"$1.log" 2>&1 || {
    tail -n 20 "$1.log" >&2
    return 1
  }
  rm -rf "$1"/var/cache/apt/archives/*.deb "$1"/var/lib/apt/lists/*
  : >"$1/etc/machine-id"
}

cache=${XDG_CACHE_HOME:-$HOME/.cache}/nodeguard-e2e
tree=$cache/$suite-$(sha256sum <"${BASH_SOURCE[0]}" | cut -c 1-12)

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
if [[ ! -d $tree ]]; then
  echo "e2e: building the Debian tree $tree (once, one to two minutes)" >&2
  trap 'rm -rf "$tree.part"' EXIT
  rm -rf "$tree.part"
  build "$tree.part"
  mv "$tree.part" "$tree"
fi
echo "$tree"
