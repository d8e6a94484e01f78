package volumes

import (
	"context"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/probe"
)

const (
	// answerAge is how long a mount's answer counts.
	answerAge = time.Minute
	// shortly is how long a look waits for answers while somebody will look again.
	shortly = 250 * time.Millisecond
)

// deletedRoot is how mountinfo marks a bind mount whose directory is gone.
const deletedRoot = "//deleted"

// asking is a mount with what it is to people.
type asking struct {
	subject string
	mount   *mountinfo.Info
	pod     *pod // nil: of the host
}

// ask has the mounts asked that may not answer, and waits for them: for all of it
// where nobody looks again, else shortly.
func (c *Check) ask(ctx context.Context, s *scene, all bool) func(probe.Mount) probe.Answer {
	if !s.root.Live() || c.mounts == nil {
		return func(probe.Mount) probe.Answer { return probe.Answer{} }
	}
	var mounts []probe.Mount
	silent := time.Second
	for _, bound := range c.rules {
		j := &judge{scene: s, rule: bound.Rule}
		for _, a := range j.toAsk() {
			mounts = append(mounts, probeOf(a.mount))
		}
		silent = max(silent, bound.Rule.After)
	}
	age := answerAge
	if all {
		age = 0
	}
	c.mounts.Ask(mounts, age)
	c.await(ctx, mounts, min(silent, maxSilence))
	return c.mounts.Answer
}

func (c *Check) await(ctx context.Context, mounts []probe.Mount, silent time.Duration) {
	alone, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-c.watched:
			cancel()
		case <-alone.Done():
		}
	}()
	c.mounts.Wait(alone, mounts, silent)
	hurry, done := context.WithTimeout(ctx, shortly)
	defer done()
	c.mounts.Wait(hurry, mounts, silent)
}

func probeOf(m *mountinfo.Info) probe.Mount {
	return probe.Mount{Path: m.Mountpoint, Device: device(m)}
}

// toAsk are the mounts that a rule wants an answer of.
func (j *judge) toAsk() []asking {
	switch j.rule.Find {
	case hung:
		return j.remote()
	case deleted, denied:
		return j.remoteVolumes()
	case detached:
		var out []asking
		for _, v := range j.lasting() {
			if m := v.top(); m != nil && disk(m) && m.FSType == "xfs" {
				out = append(out, asking{v.subject(), m, v.pod})
			}
		}
		return out
	default:
		return nil
	}
}

// remoteVolumes are volumes with a server behind them. A directory of it that is
// mounted several times is asked once.
func (j *judge) remoteVolumes() []asking {
	var out []asking
	seen := map[diskOf]bool{}
	for _, v := range j.volumes(func(v *volume) bool { return v.kind != memory && j.rule.counts(v.driver) }) {
		if m := v.top(); m != nil && j.countsRemote(m) && !seen[diskOf{device(m), m.Root}] {
			seen[diskOf{device(m), m.Root}] = true
			out = append(out, asking{v.subject(), m, v.pod})
		}
	}
	return out
}

// remote are also mounts of the host with a server behind them, where the rule
// wants them.
func (j *judge) remote() []asking {
	out := j.remoteVolumes()
	if !j.rule.Everywhere {
		return out
	}
	seen := map[diskOf]bool{}
	for _, a := range out {
		seen[diskOf{device(a.mount), a.mount.Root}] = true
	}
	for _, m := range j.mounts {
		at := diskOf{device(m), m.Root}
		if seen[at] || !j.countsRemote(m) || matches(j.rule.Except, m.Mountpoint) || !j.visible(m) {
			continue
		}
		seen[at] = true
		out = append(out, asking{drift.Printable(m.Mountpoint), m, nil})
	}
	return out
}

func (j *judge) countsRemote(m *mountinfo.Info) bool {
	return host.Remote(m.FSType) && j.rule.countsType(m.FSType)
}

// visible tells whether a path leads to the mount: nothing was mounted over it or
// over a directory above it.
func (s *scene) visible(m *mountinfo.Info) bool {
	of := s.byPoint[m.Mountpoint]
	if m != of[len(of)-1] {
		return false
	}
	above := s.mountOf(path.Dir(of[0].Mountpoint))
	return m.Mountpoint == "/" || above == nil || of[0].Parent == above.ID
}

// asked is what a mount said last. Where it has not said anything, or what it said
// tells nothing, it is a gap.
func (j *judge) asked(subject string, m *mountinfo.Info) (unix.Errno, bool) {
	switch a := j.answers(probeOf(m)); {
	case a.Failed != "":
		j.blind(subject, "it could not be asked: "+a.Failed, "")
	case a.Hidden:
		j.blind(subject, "nodeguard does not see this mount of the host", "mount the host's root with mountPropagation: HostToContainer")
	case a.At.IsZero():
		j.blind(subject, "it has not answered yet", "")
	default:
		return a.Errno, true
	}
	return 0, false
}

// deleted finds volumes whose directory is gone on the server, or on the disk
// that it was mounted from.
func (j *judge) deleted() {
	for _, v := range j.lasting() {
		if m := v.top(); m != nil && j.rule.countsType(m.FSType) && strings.HasSuffix(m.Root, deletedRoot) {
			j.add("", v.subject(), "its directory was deleted", "there", v.target())
		}
	}
	j.answering([]unix.Errno{unix.ESTALE, unix.ENOENT}, "there")
}

// answering finds volumes whose server answers with one of these errors.
func (j *judge) answering(errors []unix.Errno, supported string) {
	if !j.live {
		return
	}
	for _, a := range j.remoteVolumes() {
		answer := j.answers(probeOf(a.mount))
		if strings.HasSuffix(a.mount.Root, deletedRoot) || !answer.Open.IsZero() && !answer.At.IsZero() {
			continue // said already, or no answer this time
		}
		errno, ok := j.asked(a.subject, a.mount)
		if ok && slices.Contains(errors, errno) && j.stillRuns(a.pod) {
			j.add("", a.subject, errno.Error(), supported, a.mount.Mountpoint)
		}
	}
}

// broken is what a mount answers whose server is gone for good, or whose mount
// options make it give up.
var broken = []unix.Errno{
	unix.EIO, unix.ETIMEDOUT, unix.ENOTCONN, unix.ECONNABORTED, unix.ECONNRESET, unix.ECONNREFUSED,
	unix.EHOSTDOWN, unix.EHOSTUNREACH, unix.ENETDOWN, unix.ENETUNREACH, unix.ESHUTDOWN, unix.EREMOTEIO,
}

// hung finds mounts whose server does not answer for so long.
func (j *judge) hung(now time.Time) {
	if !j.live {
		return
	}
	for _, a := range j.remote() {
		answer := j.answers(probeOf(a.mount))
		if !answer.Open.IsZero() {
			if now.Sub(answer.Open) >= j.rule.After {
				j.add("", a.subject, "does not answer", "answers", a.mount.Mountpoint)
			} else if answer.At.IsZero() {
				j.blind(a.subject, "it has not answered yet", "")
			}
			continue
		}
		if errno, ok := j.asked(a.subject, a.mount); ok && slices.Contains(broken, errno) {
			j.add("", a.subject, errno.Error(), "answers", a.mount.Mountpoint)
		}
	}
}
