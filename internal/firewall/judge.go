package firewall

import (
	"maps"
	"slices"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// facts are all that was found out about the host.
type facts struct {
	traces  map[string]trace // by service, of those that leave any
	units   map[string]unit  // by service; nil where systemd was not asked
	tables  []table          // of both backends, in the host's network namespace
	tunnels []tunnel         // where a rule asks for them
	blind   bool             // the kernel's tables could not all be looked at
	gaps    []gap

	changing bool // those of nf_tables did all the time while they were read
}

// gap is what could not be looked at, for whichever operation.
type gap struct{ subject, reason, hint string }

// unit is what systemd says of a service's unit; an alias or a unit that it does
// not find is none.
type unit struct {
	loaded  bool // and not masked
	active  bool
	enabled bool
	sysv    bool // made from an init script, which says itself whether it starts
}

// judge says what the facts mean to one operation.
func judge(operation string, r Rule, f facts) drift.Observation {
	j := judgement{facts: f, operation: operation, rule: r, tables: map[string]table{}}
	switch {
	case r.Tunnels:
		j.tunnelled()
	case len(r.Redirects) > 0:
		j.redirected()
	default:
		j.firewalls()
	}
	j.missing()
	return j.out
}

func (j *judgement) firewalls() {
	j.attribute()
	for _, s := range services {
		if slices.Contains(j.rule.Services, s.name) {
			j.service(s)
		}
	}
}

type judgement struct {
	facts
	operation string
	rule      Rule
	tables    map[string]table // the first that each service enforces
	out       drift.Observation
}

// attribute finds whose the tables are that drop packets; those of nobody are
// findings themselves.
func (j *judgement) attribute() {
	for _, t := range j.facts.tables {
		where, drops := j.rule.drop(t)
		owner, owned := j.owner(t)
		switch {
		case owned && (drops || owner.name == "firewalld" && t.hooked()):
			if _, known := j.tables[owner.name]; !known {
				j.tables[owner.name] = t
			}
		case drops && !owned && j.rule.RuleSets:
			j.add(Enforcing, drift.Finding{
				Subject: t.String(), Observed: "enforcing (" + where + ")", Supported: "no foreign rules", Args: j.deletion(t),
			})
		}
	}
}

// owner is the service among the rule's that explains the table.
func (j *judgement) owner(t table) (service, bool) {
	for _, s := range services {
		if slices.Contains(j.rule.Services, s.name) && (s.owns(t) || j.loaded(s, t)) {
			return s, true
		}
	}
	return service{}, false
}

// loaded tells whether the service, which gives its chains no names of their
// own, is running or starts with the host and loads tables like this one.
func (j *judgement) loaded(s service, t table) bool {
	if !j.units[s.name].active && !j.boots(s) {
		return false
	}
	if s.name == "nftables" {
		return t.backend == nfTables && j.traces[s.name].config.declares[t.family+" "+t.name]
	}
	return slices.Contains(s.restores, t.family) && slices.Contains(xtables[:], t.name)
}

// xtables are the tables of iptables.
var xtables = [...]string{"filter", "mangle", "raw", "security", "nat"}

// service adds the highest tier of one service.
func (j *judgement) service(s service) {
	finding := drift.Finding{Subject: s.name, Supported: j.rule.supported(), Args: j.args(s)}
	t, enforcing := j.tables[s.name]
	switch {
	case enforcing:
		finding.Observed = "enforcing (" + t.short() + ")"
		if !j.units[s.name].active && s.daemon {
			maps.Copy(finding.Args, j.deletion(t))
		}
		j.add(Enforcing, finding)
	case j.blind && s.daemon && j.units[s.name].active:
		finding.Observed = "enforcing (unit active)"
		j.add(Enforcing, finding)
	case j.installed(s) && j.boots(s) && j.armed(s):
		finding.Observed, finding.State = "enabled at boot", drift.Pending
		j.add(Enabled, finding)
	case j.installed(s) && !j.blind:
		finding.Observed = "installed"
		j.add(Installed, finding)
	}
}

func (j *judgement) add(tier string, f drift.Finding) {
	if !j.rule.counts(tier) {
		return
	}
	f.Operation, f.Tier = j.operation, tier
	if f.State == "" {
		f.State = drift.Active
	}
	j.out.Findings = append(j.out.Findings, f)
}

func (j *judgement) installed(s service) bool {
	return j.traces[s.name].present || j.units[s.name].loaded
}

// boots tells whether the service starts with the host.
func (j *judgement) boots(s service) bool {
	t, u := j.traces[s.name], j.units[s.name]
	if j.units == nil {
		return t.boots()
	}
	return u.enabled || t.sysv && (u.sysv || !t.unit && !t.masked)
}

// armed tells whether it would enforce anything once started.
func (j *judgement) armed(s service) bool {
	c := j.traces[s.name].config
	return c.armed || slices.ContainsFunc(c.saved, func(t table) bool {
		_, drops := j.rule.drop(t)
		return drops
	})
}

// args are the values of the recovery's commands.
func (j *judgement) args(s service) map[string]string {
	args := map[string]string{}
	if j.units[s.name].loaded || j.traces[s.name].unit {
		args["unit"] = s.unit()
	}
	if s.name == "ufw" {
		args["ufw"] = "ufw"
	}
	return args
}

// deletion names a table that can go as a whole: not one in which Kubernetes or
// a container runtime has chains too.
func (j *judgement) deletion(t table) map[string]string {
	shared := slices.ContainsFunc(t.chains, func(c chain) bool {
		return j.rule.ignores(c.name) || matches(j.rule.ForwardDrop, c.name)
	})
	if t.backend != nfTables || shared {
		return nil
	}
	return map[string]string{"family": t.family, "table": drift.Printable(t.name)}
}

// missing adds the gaps that matter to the operation.
func (j *judgement) missing() {
	for _, g := range j.gaps {
		if j.rule.Tunnels != (g.subject == tunnelSubject) {
			continue
		}
		if isService(g.subject) && !slices.Contains(j.rule.Services, g.subject) {
			continue
		}
		j.out.Gaps = append(j.out.Gaps, drift.Gap{Operation: j.operation, Subject: g.subject, Reason: g.reason, Hint: g.hint})
	}
}
