package volumes

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// initContainer is the tier of a container that may do it.
const initContainer = "init"

// manyMounts is when the loss of most of them is no single one's.
const manyMounts = 3

// unmounting finds privileged containers that run the host's init, which unmounts
// what it thinks is its own, and what is left when one has done so.
func (j *judge) unmounting() {
	for _, p := range j.sortedPods() {
		for _, c := range p.containers {
			if name, ok := j.runsInit(c); ok {
				j.add(initContainer, drift.Printable(p.title()), "a privileged container runs "+drift.Printable(name)+" as its first process", "none does", "")
			}
		}
	}
	all := j.volumes(func(v *volume) bool { return v.kind != other })
	missing := slices.DeleteFunc(slices.Clone(all), func(v *volume) bool {
		return v.top() != nil || !j.stillThere(v) || !j.stillRuns(v.pod)
	})
	if len(all) >= manyMounts && 2*len(missing) > len(all) {
		j.add("", allMounts, fmt.Sprintf("%d of %d are gone", len(missing), len(all)), "all are there", missing[0].target())
	}
}

// inits are the names of programs that manage a whole host.
var inits = []string{"systemd", "init"}

// runsInit tells whether the container's first process is an init that may unmount:
// with the right to, and not in a user namespace of its own.
func (j *judge) runsInit(c *container) (string, bool) {
	data, err := j.root.ReadFile(fmt.Sprintf("/proc/%d/status", c.pid), maxStatus)
	if err != nil {
		return "", false
	}
	status := map[string]string{}
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(line, ":")
		status[name] = strings.TrimSpace(value)
	}
	caps, err := strconv.ParseUint(status["CapEff"], 16, 64)
	first := strings.HasSuffix(status["NSpid"], "\t1")
	if err != nil || !first || caps&(1<<unix.CAP_SYS_ADMIN) == 0 || !slices.Contains(inits, status["Name"]) || j.ownUsers(c.pid) {
		return "", false
	}
	return status["Name"], true
}

// ownUsers tells whether the process is in a user namespace of its own.
func (s *scene) ownUsers(pid int) bool {
	data, err := s.root.ReadFile(fmt.Sprintf("/proc/%d/uid_map", pid), maxStatus)
	if err != nil {
		return false
	}
	return !slices.Equal(strings.Fields(string(data)), []string{"0", "0", "4294967295"})
}
