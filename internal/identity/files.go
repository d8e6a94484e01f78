package identity

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/nodeguard/nodeguard/internal/drift"
)

func ownUTS() (string, error) { return os.Readlink("/proc/thread-self/ns/uts") }

const (
	modulesArea = "kernel modules"
	module      = "kernel module "
	maxModules  = 4 << 20
)

// moduleItems are the kernel modules that were built elsewhere than the kernel.
func (s *scene) moduleItems() []item {
	if !slices.ContainsFunc(s.rules, func(r drift.Bound[Rule]) bool { return r.Rule.Modules != nil }) {
		return nil
	}
	out := []item{{subject: modulesArea, value: "read", common: true}}
	for line := range strings.Lines(text(s.root, "/proc/modules")) {
		if f := strings.Fields(line); len(f) > 6 && strings.ContainsAny(f[6], "OE") {
			out = append(out, item{subject: module + drift.Printable(f[0]), value: "loaded " + drift.Printable(f[6]), common: true})
		}
	}
	return out
}

// area is what tells that items of its kind were recorded; "" for one of a kind.
func (i item) area() string {
	switch {
	case strings.HasPrefix(i.subject, module):
		return modulesArea
	case strings.HasPrefix(i.subject, label), strings.HasPrefix(i.subject, annotation):
		return metadataArea
	default:
		return ""
	}
}

// modules finds those that came since.
func (s *scene) modules(r drift.Bound[Rule], items []item) {
	if _, covered := s.before(modulesArea); !covered {
		return
	}
	for _, i := range items {
		name, ok := strings.CutPrefix(i.subject, module)
		if _, was := s.before(i.subject); !ok || was || matchAny(r.Rule.Modules.Except, name) {
			continue
		}
		s.find(r, drift.Finding{Subject: i.subject, Observed: i.value, Supported: absent, Baseline: true})
	}
}

// agree judges files that name the machine: equal to each other, and to what the
// Node's providerID ends with. While cloud-init is at work they need not be.
func (s *scene) agree(r drift.Bound[Rule]) {
	if !s.root.CloudInitDone() {
		return
	}
	want := ""
	if s.hasNode && !s.known.Deleted && s.known.ProviderID != "" {
		want = path.Base(s.known.ProviderID)
	}
	var there []string
	for _, name := range r.Rule.Agree {
		if s.root.Exists(name) || s.root.Exists(path.Dir(name)) {
			there = append(there, name)
		}
	}
	if len(there) < len(r.Rule.Agree) {
		return // a node of another kind
	}
	first := firstLine(s.root, there[0])
	for _, name := range there {
		is, supported := firstLine(s.root, name), want
		if want == "" {
			supported = first
		}
		if is != supported {
			f := drift.Finding{Subject: name, Observed: drift.Printable(is), Supported: drift.Printable(supported), Args: map[string]string{"file": name}}
			if want != "" {
				f.Args["instance"] = drift.Printable(want)
			} else {
				f.Supported = fmt.Sprintf("%s, as %s says", f.Supported, there[0])
			}
			s.find(r, f)
		}
	}
}

// instance compares the Node's providerID with the id that cloud-init found.
func (s *scene) instance(r drift.Bound[Rule]) {
	if !s.hasNode || s.known.Deleted {
		return
	}
	says, is := path.Base(s.known.ProviderID), s.root.InstanceID()
	if strings.HasPrefix(says, r.Rule.Instance) && strings.HasPrefix(is, r.Rule.Instance) && says != is {
		s.find(r, drift.Finding{Subject: "instance", Observed: drift.Printable(is), Supported: drift.Printable(says)})
	}
}

// dmiFiles say who made the machine.
var dmiFiles = [...]string{"sys_vendor", "product_name", "chassis_asset_tag", "chassis_vendor", "bios_vendor"}

// platform judges who made the machine.
func (s *scene) platform(r drift.Bound[Rule]) {
	var says []string
	if s.hasNode && s.known.ProviderID != "" {
		says = append(says, s.known.ProviderID)
	}
	for _, name := range dmiFiles {
		if line := firstLine(s.root, "/sys/class/dmi/id/"+name); line != "" {
			says = append(says, line)
		}
	}
	is := func(globs []string) func(string) bool {
		return func(line string) bool { return matchAny(globs, strings.ToLower(line)) }
	}
	if slices.ContainsFunc(says, is(r.Rule.Platform.Supported)) {
		return
	}
	if i := slices.IndexFunc(says, is(r.Rule.Platform.Other)); i >= 0 {
		s.find(r, drift.Finding{Subject: "machine", Observed: drift.Printable(says[i]), Supported: strings.Join(r.Rule.Platform.Supported, " or ")})
	}
}
