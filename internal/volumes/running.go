package volumes

import (
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"

	"github.com/nodeguard/nodeguard/internal/host"
)

const (
	maxProcesses = 1 << 18
	maxCgroup    = 64 << 10
	maxStatus    = 64 << 10
)

// container is a container of a pod, known by the first of its processes.
type container struct {
	id     string
	pid    int
	mounts []*mountinfo.Info // as its processes see them; nil: not read
	plain  bool              // none of them comes from the kubelet's directories of volumes
}

// inPod is where a process runs.
type inPod struct {
	pid            int
	pod, container string
}

// lookAtProcesses finds which containers run, by pod. It comes before the mounts:
// what a process needs was mounted before it was started.
func (s *scene) lookAtProcesses() error {
	proc, err := s.root.OpenDir("/proc")
	if gone(err) && !s.root.Live() {
		return nil
	}
	if err != nil {
		return err
	}
	defer proc.Close()
	names, err := proc.Names(maxProcesses)
	if err != nil {
		return err
	}
	if s.root.Live() && !slices.Contains(names, "1") {
		return fs.ErrPermission
	}
	first := map[[2]string]int{}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if uid, id, ok := podOf(proc, pid); ok {
			if at := [2]string{uid, id}; first[at] == 0 || pid < first[at] {
				first[at] = pid
			}
		}
	}
	for at, pid := range first {
		s.running = append(s.running, inPod{pid, at[0], at[1]})
	}
	slices.SortFunc(s.running, func(a, b inPod) int { return a.pid - b.pid })
	return nil
}

// podOf reads where a process runs; one that has ended runs nowhere.
func podOf(proc *host.Dir, pid int) (uid, container string, ok bool) {
	data, err := proc.ReadFile(strconv.Itoa(pid)+"/cgroup", maxCgroup)
	if err != nil {
		return "", "", false
	}
	for line := range strings.Lines(string(data)) {
		if parts := strings.SplitN(line, ":", 3); len(parts) == 3 {
			if uid, container, ok = parseCgroup(strings.TrimSpace(parts[2])); ok {
				return uid, container, true
			}
		}
	}
	return "", "", false
}

// parseCgroup finds pod and container in a cgroup path, as the kubelet's cgroupfs
// driver names them (kubepods/burstable/podUID/ID) or the systemd driver does
// (kubepods-burstable-podUID.slice/RUNTIME-ID.scope), wherever its root is.
func parseCgroup(name string) (uid, container string, ok bool) {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		if uid, ok = podUID(part); ok && i+1 < len(parts) {
			return uid, containerID(parts[i+1]), true
		}
	}
	return "", "", false
}

func podUID(part string) (string, bool) {
	if slice, ok := strings.CutSuffix(part, ".slice"); ok {
		i := strings.LastIndex(slice, "-pod")
		if i < 0 {
			return "", false
		}
		part = strings.ReplaceAll(slice[i+1:], "_", "-")
	}
	uid, ok := strings.CutPrefix(part, "pod")
	if !ok || len(uid) < 32 || strings.Trim(uid, "0123456789abcdef-") != "" {
		return "", false
	}
	return uid, true
}

// containerID is the id without the runtime's name before it.
func containerID(part string) string {
	part = strings.TrimSuffix(part, ".scope")
	return part[strings.LastIndex(part, "-")+1:]
}

// Programs that keep a pod's sandbox, which is there while the pod starts and ends
// and no container of it runs.
var keepers = []string{"pause", "conmon", "containerd-shim"}

// settle gives the pods that the kubelet knows their running containers.
func (s *scene) settle() {
	for _, r := range s.running {
		p := s.pods[r.pod]
		if p == nil {
			continue
		}
		comm, err := s.root.ReadFile(fmt.Sprintf("/proc/%d/comm", r.pid), maxStatus)
		if err == nil && slices.Contains(keepers, strings.TrimSpace(string(comm))) {
			continue
		}
		p.containers = append(p.containers, &container{id: r.container, pid: r.pid})
	}
}

// runs tells whether any container of the pod runs.
func (p *pod) runs() bool { return len(p.containers) > 0 }

// stillRuns tells whether one of the containers that were seen before the mounts
// is there after them: then it was in between, and so should be its mounts.
func (s *scene) stillRuns(p *pod) bool {
	return slices.ContainsFunc(p.containers, func(c *container) bool { return s.stillIn(p, c) })
}

func (s *scene) stillIn(p *pod, c *container) bool {
	proc, err := s.root.OpenDir("/proc")
	if err != nil {
		return false
	}
	defer proc.Close()
	uid, id, ok := podOf(proc, c.pid)
	return ok && uid == p.uid && id == c.id
}

// since is when the youngest of the pod's containers was started; zero where that
// is not known.
func (s *scene) since(p *pod) (youngest time.Time) {
	for _, c := range p.containers {
		if t := s.started(c.pid); t.After(youngest) {
			youngest = t
		}
	}
	return youngest
}

// startField is that of the start time in /proc/PID/stat, counted after the name.
const startField = 19

// ticks is the kernel's unit of times in /proc, the same on all architectures that
// Kubernetes runs on.
const ticks = 100

func (s *scene) started(pid int) time.Time {
	data, err := s.root.ReadFile(fmt.Sprintf("/proc/%d/stat", pid), maxStatus)
	if err != nil {
		return time.Time{}
	}
	_, after, _ := strings.Cut(string(data[strings.LastIndexByte(string(data), ')')+1:]), " ")
	fields := strings.Fields(after)
	up, err := s.root.ReadFile("/proc/uptime", maxStatus)
	if err != nil || len(fields) <= startField {
		return time.Time{}
	}
	now, _, _ := strings.Cut(string(up), " ")
	uptime, err := strconv.ParseFloat(now, 64)
	start, err2 := strconv.ParseFloat(fields[startField], 64)
	if err != nil || err2 != nil {
		return time.Time{}
	}
	return time.Now().Add(-time.Duration((uptime - start/ticks) * float64(time.Second)))
}
