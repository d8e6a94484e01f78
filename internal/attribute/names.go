package attribute

import (
	"regexp"
	"strings"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

const (
	podLogs       = "/var/log/pods"
	containerLogs = "/var/log/containers"
	// maxLogs is more than a node has pods and containers; with more names there,
	// none of them is believed.
	maxLogs = 4096
	shortID = 12
)

// names are those that the kubelet gives to the directories of logs.
type names struct{ root *host.Root }

// of are the pod and the container of a process, as well as they are known: both
// names, else the pod's uid and the start of the container's id. Of nested ones it
// is the one that this host's kubelet has logs of, else the outermost pod.
func (n names) of(cgroups []string) (pod, container string) {
	var all []place
	for _, path := range cgroups {
		all = append(all, places(path)...)
	}
	if len(all) == 0 {
		return "", ""
	}
	pods, containers := n.list(podLogs), n.list(containerLogs)
	for _, p := range all {
		logged, name := nameOf(containers, "-"+p.container+".log", containerLog)
		named, _ := nameOf(pods, "_"+p.pod, podLog)
		switch {
		case p.container != "" && logged != "" && (logged == named || p.pod == ""):
			return logged, name
		case p.pod != "" && named != "":
			return named, short(p.container)
		}
	}
	for _, p := range all {
		if p.pod != "" {
			return p.pod, short(p.container)
		}
	}
	return "", short(all[0].container)
}

func (n names) list(dir string) []string {
	found, err := n.root.ReadDir(dir, maxLogs)
	if err != nil {
		return nil
	}
	return found
}

// The kubelet's names: NAMESPACE_POD_UID and POD_NAMESPACE_CONTAINER-ID.log.
var (
	podLog       = regexp.MustCompile(`^(?P<namespace>[a-z0-9-]{1,63})_(?P<pod>[a-z0-9.-]{1,253})_$`)
	containerLog = regexp.MustCompile(`^(?P<pod>[a-z0-9.-]{1,253})_(?P<namespace>[a-z0-9-]{1,63})_(?P<container>[a-z0-9-]{1,63})-$`)
)

// nameOf finds the one log with that ending and says whose it is. Anybody who can
// write there can make another one: then neither is believed.
func nameOf(logs []string, ending string, form *regexp.Regexp) (pod, container string) {
	var found string
	for _, log := range logs {
		if !strings.HasSuffix(log, ending) {
			continue
		}
		if found != "" {
			return "", ""
		}
		found = log
	}
	parts := form.FindStringSubmatch(strings.TrimSuffix(found, ending) + ending[:1])
	if parts == nil {
		return "", ""
	}
	if i := form.SubexpIndex("container"); i > 0 {
		container = parts[i]
	}
	pod = parts[form.SubexpIndex("namespace")] + "/" + parts[form.SubexpIndex("pod")]
	return drift.Printable(pod), drift.Printable(container)
}

func short(id string) string { return id[:min(len(id), shortID)] }
