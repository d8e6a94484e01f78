#!/usr/bin/env bash
# Boots TREE, unchanged, under an overlay in memory: boot.sh TREE BINARY CGROUP [COMMAND...]
# Each COMMAND runs in the tree before the boot. Runs as the first process of its own pid and mount namespaces:
# what is mounted or started here goes when it goes.
set -euo pipefail

tree=$1 binary=$2 cgroup=$3
shift 3

mount --make-rprivate /
mount -t proc proc /proc

for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
  if [[ -e $hierarchy/cgroup.procs ]]; then
    mkdir "$hierarchy/$cgroup"
    echo 0 >"$hierarchy/$cgroup/cgroup.procs"
  fi
done

mount -t tmpfs -o mode=755 tmpfs /run # systemd-nspawn keeps its locks there
mkdir /run/upper /run/work /run/machine
mount -t overlay overlay -o "lowerdir=$tree,upperdir=/run/upper,workdir=/run/work" /run/machine
install -m 755 "$binary" /run/machine/usr/local/bin/nodeguard
for command in "$@"; do
  chroot /run/machine sh -ec "$command"
done

exec systemd-nspawn --quiet --directory=/run/machine --machine="$cgroup" --register=no --keep-unit \
  --private-network --resolv-conf=off --console=read-only --notify-ready=yes --boot
