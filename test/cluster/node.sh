#!/bin/bash
# Runs as a child of the first process of a node, in the node's namespaces: makes $DIR/upper over the machine's root
# the node's root, gives it its own /proc, /sys and /run, and puts it on the network.
set -euo pipefail

mount --make-rprivate /
root=$DIR/root upper=$DIR/upper
mkdir -p "$root" "$DIR"/{work,containerd,sysctl}
mount -t overlay overlay -o "lowerdir=/,upperdir=$upper,workdir=$DIR/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mkdir -p "$root/run/lock"

# The kubelet sets these; they are the machine's, so it finds them set.
while read -r name value; do
  file=$DIR/sysctl/${name//\//.}
  echo "$value" >"$file"
  mount --bind "$file" "$root/proc/sys/$name"
done <<'SYSCTLS'
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
SYSCTLS

# A boot of its own.
cat /proc/sys/kernel/random/uuid >"$DIR/sysctl/boot_id"
mount --bind "$DIR/sysctl/boot_id" "$root/proc/sys/kernel/random/boot_id"

# An overlay cannot hold the upper directories of others.
mount --bind "$DIR/containerd" "$root/var/lib/containerd"

# A cgroup of the node's own: two kubelets on one root end each other's pods.
for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*/; do
  [[ -e $hierarchy/cgroup.procs ]] || continue
  mkdir -p "$hierarchy/$CGROUP"
  for file in cpuset.cpus cpuset.mems; do
    [[ ! -e $hierarchy/$file ]] || cat "$hierarchy/$file" >"$hierarchy/$CGROUP/$file"
  done
done

cd "$root"
mkdir -p .machine
pivot_root . .machine
umount -l .machine
rmdir .machine
mount --make-rshared / # as systemd does

hostname "$NODE"
ip link set lo up
ip address add "$IP/24" dev eth0
ip link set eth0 up
ip route add default via "$GATEWAY"
sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0
