package volumes

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// What a rule can look for.
const (
	unmounted  = "unmounted"   // a volume's mount is not there, or leads to the node's own disk
	detached   = "detached"    // the device behind it is gone or fails
	foreign    = "foreign"     // its device is used beside the kubelet
	shared     = "shared"      // one disk, several pods
	deleted    = "deleted"     // its directory was deleted on the server
	denied     = "denied"      // its server does not let this node in
	hung       = "hung"        // its server does not answer
	systemDisk = "system-disk" // data of pods is on the disk of the operating system
	unmounting = "unmounting"  // a container that runs the host's init, and all mounts gone
	helpers    = "helpers"     // the programs that mount(8) needs are gone
)

var kinds = [...]string{unmounted, detached, foreign, shared, deleted, denied, hung, systemDisk, unmounting, helpers}

// Rule says one thing to look for.
type Rule struct {
	// Find is what to look for.
	Find string `yaml:"find"`
	// Drivers are globs of the CSI drivers, flexvolume drivers (vendor/driver) and
	// volume plugins (kubernetes.io/nfs) whose volumes count; none: all of them.
	Drivers []string `yaml:"drivers"`
	// Types are globs of file system types that count; none: all of them.
	Types []string `yaml:"types"`
	// Disks are globs of drivers whose volumes never lie on the system disk.
	Disks []string `yaml:"disks"`
	// Except are globs of the host's paths that do not count.
	Except []string `yaml:"except"`
	// ExceptNamespaces are globs of namespaces whose pods do not count.
	ExceptNamespaces []string `yaml:"exceptNamespaces"`
	// After is how long it has to last.
	After time.Duration `yaml:"after"`
	// Everywhere: mounts of the host count too, not only those of volumes.
	Everywhere bool `yaml:"everywhere"`
	// Directories of the node that belong on a data disk where there is one.
	Directories []string `yaml:"directories"`
	// Programs are mount helpers, by path.
	Programs []string `yaml:"programs"`
}

// keys are which kinds take which key.
var keys = map[string][]string{
	"drivers":          {unmounted, detached, foreign, shared, deleted, denied, hung},
	"types":            {deleted, denied, hung},
	"disks":            {unmounted},
	"except":           {foreign, hung, systemDisk},
	"exceptNamespaces": {systemDisk},
	"after":            {shared, hung},
	"everywhere":       {hung},
	"directories":      {systemDisk},
	"programs":         {helpers},
}

// Validate tells what is wrong with the rule.
func (r Rule) Validate() error {
	if !slices.Contains(kinds[:], r.Find) {
		return fmt.Errorf("find: %q is none of %v", r.Find, kinds)
	}
	for _, key := range r.said() {
		if !slices.Contains(keys[key], r.Find) {
			return fmt.Errorf("%s: find %s does not take it", key, r.Find)
		}
	}
	if r.After < 0 || r.Find == hung && (r.After < time.Second || r.After > maxSilence) {
		return fmt.Errorf("after: %v is not from 1s to %v", r.After, maxSilence)
	}
	if r.Find == helpers && len(r.Programs) == 0 {
		return errors.New("programs: helpers needs the ones to look for")
	}
	for _, name := range slices.Concat(r.Programs, r.Directories) {
		if !strings.HasPrefix(name, "/") || path.Clean(name) != name {
			return fmt.Errorf("path %q is not absolute and clean", name)
		}
	}
	return nil
}

// maxSilence is how long a mount is asked at most; the child is killed then.
const maxSilence = 30 * time.Second

// said are the keys that the rule has.
func (r Rule) said() []string {
	var out []string
	for key, there := range map[string]bool{
		"drivers": r.Drivers != nil, "types": r.Types != nil, "disks": r.Disks != nil, "except": r.Except != nil,
		"exceptNamespaces": r.ExceptNamespaces != nil, "after": r.After != 0, "everywhere": r.Everywhere,
		"directories": r.Directories != nil, "programs": r.Programs != nil,
	} {
		if there {
			out = append(out, key)
		}
	}
	slices.Sort(out)
	return out
}

// counts tells whether volumes of the driver do.
func (r Rule) counts(driver string) bool { return len(r.Drivers) == 0 || matches(r.Drivers, driver) }

func (r Rule) countsType(fstype string) bool { return len(r.Types) == 0 || matches(r.Types, fstype) }

func matches(globs []string, s string) bool {
	return slices.ContainsFunc(globs, func(glob string) bool { return drift.Glob(glob, s) })
}
