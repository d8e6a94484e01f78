package paths

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

// Must is what paths have to be, whatever was recorded. A path that is not there is
// nothing, but for one that has to be a link. Of these keys there is one.
type Must struct {
	Grant string `yaml:"grant"` // octal permission bits that every path has, and may have more
	// LinkTo are globs of where every path has to link to.
	LinkTo      []string `yaml:"linkTo"`
	OrDirectory bool     `yaml:"orDirectory"` // a directory will do as well, or nothing at all
	Unmounted   bool     `yaml:"unmounted"`   // nothing may be mounted at exactly these paths
	// AtMost is how many entries named like the glob Of the directories may have.
	AtMost int    `yaml:"atMost"`
	Of     string `yaml:"of"`
	// RootDir is what the kubelet's --root-dir has to be: of the one that runs, and in
	// the paths, which are files that flags come from.
	RootDir string `yaml:"rootDir"`
}

func (m Must) validate() error {
	kinds := 0
	for _, there := range []bool{m.Grant != "", m.LinkTo != nil, m.Unmounted, m.AtMost > 0, m.RootDir != ""} {
		if there {
			kinds++
		}
	}
	_, err := strconv.ParseUint(m.Grant, 8, 12)
	switch {
	case kinds != 1:
		return errors.New("must is one of grant, linkTo, unmounted, atMost and rootDir")
	case m.Grant != "" && err != nil:
		return fmt.Errorf("must.grant is %q: want octal permission bits", m.Grant)
	case (m.AtMost > 0) != (m.Of != ""):
		return errors.New("must.atMost and must.of go together")
	case m.OrDirectory && m.LinkTo == nil:
		return errors.New("must.orDirectory goes with linkTo")
	}
	return nil
}

// demanded is what paths must be and are not, rule by rule.
type demanded []drift.Observation

// must looks at what the paths must be: every time, but for rules that nothing was said
// of since before.
func (l *look) must(rules []drift.Bound[Rule], before demanded) demanded {
	out := make(demanded, len(rules))
	for i, r := range rules {
		switch {
		case r.Rule.Must == nil:
		case before != nil && len(l.only) > 0 && !l.saidOf(r.Rule.Paths):
			out[i] = before[i]
		default:
			out[i] = demand(l.root, l.mounts, r)
		}
	}
	return out
}

func (l *look) saidOf(paths []string) bool {
	return slices.ContainsFunc(paths, func(p string) bool {
		return slices.ContainsFunc(l.only, func(subject string) bool { return touches(subject, drift.Printable(p)) })
	})
}

// with adds what was seen.
func (d demanded) with(seen drift.Observation) drift.Observation {
	out := drift.Observation{Findings: slices.Clone(seen.Findings), Gaps: slices.Clone(seen.Gaps), Facts: seen.Facts}
	added := false
	for _, o := range d {
		out.Findings, out.Gaps = append(out.Findings, o.Findings...), append(out.Gaps, o.Gaps...)
		added = added || len(o.Findings)+len(o.Gaps) > 0
	}
	if !added {
		return seen
	}
	return out.Sorted()
}

func demand(root *host.Root, mounts []*mountinfo.Info, r drift.Bound[Rule]) drift.Observation {
	j := demands{root: root, mounts: mounts, operation: r.Operation}
	for _, p := range r.Rule.Paths {
		j.path = p
		j.judge(*r.Rule.Must)
	}
	if r.Rule.Must.RootDir != "" {
		j.runningRootDir(r.Rule.Must.RootDir)
	}
	return j.out
}

// demands judges one path after the other.
type demands struct {
	root            *host.Root
	mounts          []*mountinfo.Info // as the look has seen them
	operation, path string
	out             drift.Observation
}

func (j *demands) judge(m Must) {
	var err error
	switch {
	case m.Grant != "":
		err = j.grant(m.Grant)
	case m.LinkTo != nil:
		err = j.link(m)
	case m.Unmounted:
		err = j.unmounted()
	case m.AtMost > 0:
		err = j.atMost(m)
	case m.RootDir != "":
		err = j.rootDir(m.RootDir)
	}
	if err != nil && !gone(err) {
		j.gap(j.path, err)
	}
}

func (j *demands) gap(subject string, err error) {
	j.out.Gaps = append(j.out.Gaps, drift.Gap{Operation: j.operation, Subject: drift.Printable(subject), Reason: reason(err)})
}

func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) }

func (j *demands) find(state drift.State, subject, observed, supported string) {
	j.out.Findings = append(j.out.Findings, drift.Finding{
		Operation: j.operation, Subject: drift.Printable(subject), Observed: observed, Supported: supported,
		State: state, Args: map[string]string{"path": drift.Printable(j.path)},
	})
}

func (j *demands) grant(bits string) error {
	want, _ := strconv.ParseUint(bits, 8, 12) // validated
	e, err := j.root.Stat(j.path)
	if err == nil && e.Mode&uint16(want) != uint16(want) {
		j.find(drift.Active, j.path, fmt.Sprintf("mode %04o", e.Mode), fmt.Sprintf("mode %04o", want))
	}
	return err
}

func (j *demands) link(m Must) error {
	want := "link to " + strings.Join(m.LinkTo, " or ")
	e, err := j.root.Lstat(j.path)
	switch {
	case gone(err) && !m.OrDirectory:
		j.find(drift.Active, j.path, "missing", want)
		return nil
	case err != nil:
		return err
	case e.Type != host.Link && !(m.OrDirectory && e.Type == host.Directory):
		j.find(drift.Active, j.path, string(e.Type), want)
	case e.Type == host.Link:
		to, err := j.root.Readlink(j.path)
		if err == nil && !matchAny(m.LinkTo, to) {
			j.find(drift.Active, j.path, "link to "+drift.Printable(to), want)
		}
		return err
	}
	return nil
}

func (j *demands) unmounted() error {
	if j.mounts == nil {
		_, err := j.root.Mounts() // it could not be read just before, either
		return err
	}
	var over *mountinfo.Info
	for _, m := range j.mounts {
		if m.Mountpoint == j.path {
			over = m
		}
	}
	if over != nil {
		j.find(drift.Active, j.path, "mounted ("+over.FSType+" of "+drift.Printable(over.Source)+")", "not mounted")
	}
	return nil
}

func (j *demands) atMost(m Must) error {
	names, err := j.root.ReadDir(j.path, maxEntries)
	if err != nil {
		return err
	}
	count := 0
	for _, name := range names {
		if match(m.Of, name) {
			count++
		}
	}
	if count > m.AtMost {
		j.find(drift.Active, j.path, fmt.Sprintf("%d files %s", count, m.Of), fmt.Sprintf("at most %d", m.AtMost))
	}
	return nil
}

const rootDirFlag = "--root-dir"

// rootDir reads the flag in a file of settings or a unit: it holds from the next
// start on.
func (j *demands) rootDir(want string) error {
	data, err := j.root.ReadFile(j.path, maxCertificate)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		words := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t\r\n\"'\\", r) })
		if got, there := flag(words, rootDirFlag); there && got != want {
			j.find(drift.Pending, "kubelet "+rootDirFlag, drift.Printable(got)+" ("+drift.Printable(j.path)+")", want)
		}
	}
	return nil
}

// runningRootDir asks the kubelet that runs.
func (j *demands) runningRootDir(want string) {
	j.path = want
	kubelets, err := j.root.Processes("kubelet")
	if err != nil {
		j.gap("kubelet "+rootDirFlag, err)
	}
	for _, k := range kubelets {
		if got, there := flag(k.Args, rootDirFlag); there && got != want {
			j.find(drift.Active, "kubelet "+rootDirFlag, drift.Printable(got), want)
		}
	}
}

// flag finds a flag's value, given as one word or two; of several the last counts.
func flag(words []string, name string) (value string, there bool) {
	for i, w := range words {
		if _, v, ok := strings.Cut(w, name+"="); ok { // an assignment can stand before it
			value, there = v, true
		}
		if w == name && i+1 < len(words) {
			value, there = words[i+1], true
		}
	}
	return value, there
}
