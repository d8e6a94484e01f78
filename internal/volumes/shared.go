package volumes

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// diskOf names a disk as volumes are mounted from it.
type diskOf struct {
	device uint64
	root   string
}

// shared finds disks that several pods of this node write to. While a pod takes
// over from another, both may run.
func (j *judge) shared(now time.Time) {
	users := map[diskOf][]*volume{}
	var order []diskOf
	for _, v := range j.lasting() {
		m := v.top()
		if m == nil || v.kind == local || !disk(m) || readOnly(m) {
			continue
		}
		at := diskOf{device(m), m.Root}
		if users[at] == nil {
			order = append(order, at)
		}
		users[at] = append(users[at], v)
	}
	for _, at := range order {
		j.sharedBy(users[at], now)
	}
}

func (j *judge) sharedBy(users []*volume, now time.Time) {
	pods := map[string]bool{}
	var youngest time.Time
	for _, v := range users {
		pods[v.pod.title()] = true
		if t := j.since(v.pod); t.After(youngest) {
			youngest = t
		}
	}
	if len(pods) < 2 || !youngest.IsZero() && now.Sub(youngest) < j.rule.After {
		return
	}
	names := strings.Join(slices.Sorted(maps.Keys(pods)), ", ")
	j.add("", drift.Printable(users[0].name), "used by "+drift.Printable(names), "one pod", users[0].target())
}

func readOnly(m *mountinfo.Info) bool { return slices.Contains(strings.Split(m.Options, ","), "ro") }
