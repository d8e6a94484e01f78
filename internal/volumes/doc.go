// Package volumes finds volumes of running pods that were unmounted, covered,
// detached, deleted on their server or do not answer, and data of pods on the
// system disk. What should be mounted comes from the kubelet's own directories, who
// runs from the cgroups of processes, and what is mounted from mountinfo. A file
// system with a server behind it is only touched by a child process.
package volumes
