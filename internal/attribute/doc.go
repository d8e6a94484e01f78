// Package attribute tells who it was: pid and time become a process with its
// user, its parents, its container and its pod. It is best effort and never
// needed for what is found: who cannot be told for sure is not told at all.
//
// There are two modes, each said when it is known:
//
//	procfs    A process that lives is asked in the host's /proc: command name and
//	          command line, executable, effective and login uid, three parents,
//	          container and pod. It is off, and with it everything, where the
//	          agent's process ids are not those of the host's /proc.
//	exit-map  A BPF program keeps what the last 8192 processes were when they
//	          ended, so that who wrote and was gone before anybody looked (cp,
//	          sed -i, sysctl -w) has a name, too. Nothing is told to anybody and
//	          nobody wakes up: the map is read when there is a finding. It knows
//	          everything but the executable; the first 128 bytes of the command
//	          line only on Linux 6.16 and newer, where the program still finds
//	          the process's memory. It needs BTF, Linux 5.8 and the capability
//	          SYS_ADMIN, or BPF with PERFMON, and takes about 3 MB of the kernel.
//
// Without the exit map a process is looked at when its event arrives and kept for
// a while; one that is gone by then stays unknown.
//
// A process id says who it was only together with a time: a process that started
// after the event is another one. Both are compared on the clock that runs from
// boot, which nobody sets. Where two processes had the same id shortly before the
// event was read neither is named.
//
// The pod comes from the control groups: of cgroupfs and systemd, version 1,
// hybrid and version 2, as containerd, CRI-O, docker and podman name them. The
// names come from /var/log/pods and /var/log/containers; where they do not tell,
// the pod is its uid and the container the start of its id.
package attribute
