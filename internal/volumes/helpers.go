package volumes

import (
	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
)

const (
	present = "present"
	absent  = "absent"
)

// installers are package managers with the package of the NFS helpers as they name it.
var installers = [...]struct{ program, nfs string }{
	{"apt-get", "nfs-common"}, {"dnf", "nfs-utils"}, {"yum", "nfs-utils"}, {"zypper", "nfs-client"},
}

// helpers compares which mount helpers there are with what was recorded: only what
// was there can go missing.
func (j *judge) helpers() {
	if j.facts == nil {
		j.facts = map[string]drift.Fact{}
	}
	for _, name := range j.rule.Programs {
		now := absent
		if j.root.Exists(name) {
			now = present
		}
		was, known := j.recorded[name]
		known = known && was != baseline.Unread
		j.facts[name] = drift.Fact{Value: now, Fresh: j.recorded != nil && !known}
		if known && was == present && now == absent {
			j.findings = append(j.findings, drift.Finding{
				Operation: j.operation, Subject: name, Observed: "missing", Supported: present, State: drift.Active, Baseline: true,
				Args: j.installer(),
			})
		}
	}
}

// installer is how this host gets the helpers back; nothing where that is not known.
func (j *judge) installer() map[string]string {
	for _, i := range installers {
		if j.root.Exists("/usr/bin/" + i.program) {
			return map[string]string{"installer": i.program, "package": i.nfs}
		}
	}
	return nil
}
