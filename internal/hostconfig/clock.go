package hostconfig

import (
	"fmt"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// timeDaemons keep the clock; of some the unit has two names.
var timeDaemons = [...]struct{ comm, unit string }{
	{"chronyd", "chronyd.service"}, {"chronyd", "chrony.service"},
	{"ntpd", "ntpd.service"}, {"ntpd", "ntp.service"}, {"ntpd", "ntpsec.service"},
	{"systemd-timesyn", "systemd-timesyncd.service"},
	{"openntpd", "openntpd.service"}, {"ptp4l", "ptp4l.service"}, {"phc2sys", "phc2sys.service"},
}

const (
	// settling is how long a clock may take to be synchronised: after the boot, after
	// a step, after a restart of the daemon.
	settling = 10 * time.Minute
	// maxOffset is how far a synchronised clock may be off, in microseconds.
	maxOffset = 500_000

	synchronised   = "synchronised"
	unsynchronised = "not synchronised"
)

// kernelClock is what adjtimex(2) tells; nothing is changed.
type kernelClock struct {
	synced bool
	offset int64 // microseconds
}

func readClock() (kernelClock, error) {
	var t unix.Timex
	if _, err := unix.Adjtimex(&t); err != nil {
		return kernelClock{}, fmt.Errorf("ask the kernel's clock: %w", err)
	}
	offset := t.Offset
	if t.Status&unix.STA_NANO != 0 {
		offset /= 1000
	}
	return kernelClock{synced: t.Status&unix.STA_UNSYNC == 0, offset: offset}, nil
}

// clock is whether the kernel's clock is kept: what it says of itself, which a step
// by hand takes back. chronyd says nothing to the kernel unless it has rtcsync, so where a
// daemon runs an earlier look must have seen the clock synchronised.
func (l *look) clock(_ Rule, _ string) *table {
	if !l.root.Live() {
		return skipped()
	}
	now, err := readClock()
	if err != nil {
		return faulty("clock", &fault{drift.Printable(err.Error()), ""})
	}
	running, err := l.runningTimeDaemon()
	if err != nil {
		return faulty("clock", &fault{"the host's processes could not be listed", "run as root in the host's pid namespace (hostPID: true in a pod)"})
	}
	t := newTable("")
	t.area, t.owns = "clock", func(subject string) bool { return subject == "clock" }
	if state := clockState(now, running, l.memory.clockSeen(now.synced, l.now), l.uptime()); state != "" {
		t.entries["clock"] = entry{value: state, want: synchronised}
	}
	return t
}

// clockState judges only what has lasted; "" is too early to say, or nothing that
// the kernel knows.
func clockState(now kernelClock, daemon string, before clockMemory, uptime time.Duration) string {
	switch {
	case now.synced && (now.offset >= maxOffset || now.offset <= -maxOffset):
		return fmt.Sprintf("off by %v", (time.Duration(now.offset) * time.Microsecond).Round(time.Millisecond))
	case now.synced:
		return synchronised
	case uptime < settling:
		return ""
	case daemon != "" && (!before.synced || before.unsynced < settling):
		return ""
	case daemon == "":
		return unsynchronised
	default:
		return unsynchronised + ", though " + daemon + " runs"
	}
}

func (l *look) uptime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// keeper is the time daemon that runs; "" none.
type keeper struct {
	comm string
	err  error
}

func (l *look) runningTimeDaemon() (string, error) {
	if l.keeper == nil {
		l.keeper = &keeper{}
		var comms []string
		for _, d := range timeDaemons {
			comms = append(comms, d.comm)
		}
		found, err := l.root.Processes(comms...)
		if l.keeper.err = err; len(found) > 0 {
			l.keeper.comm = found[0].Comm
		}
	}
	return l.keeper.comm, l.keeper.err
}

// timeDaemon tells whether one of the installed time daemons runs or, where only
// files tell, starts with the host. A host without any keeps its time otherwise.
func (l *look) timeDaemon(_ Rule, _ string) *table {
	installed, enabled := l.timeDaemonUnits()
	if len(installed) == 0 {
		return skipped()
	}
	t := newTable("")
	t.area, t.owns = "time daemon", func(subject string) bool { return subject == "time daemon" }
	args := map[string]string{"unit": installed[0]}
	if !l.root.Live() {
		if enabled == "" {
			t.entries["time daemon"] = entry{value: "not enabled at boot", want: installed[0] + " enabled", pending: true, args: args}
		}
		return t
	}
	running, err := l.runningTimeDaemon()
	switch {
	case err != nil:
		return faulty("time daemon", &fault{"the host's processes could not be listed", "run as root in the host's pid namespace (hostPID: true in a pod)"})
	case running != "":
		t.entries["time daemon"] = entry{value: running + " runs", args: args}
	default:
		t.entries["time daemon"] = entry{value: "none runs", want: installed[0] + " running", args: args}
	}
	return t
}

// timeDaemonUnits are the installed ones, and the first that a target wants.
func (l *look) timeDaemonUnits() (installed []string, enabled string) {
	wanted := map[string]bool{}
	for key := range l.enabledUnits(Rule{}, "").entries {
		wanted[key] = true
	}
	for _, d := range timeDaemons {
		there, masked := l.unitFile(d.unit)
		if !there {
			continue
		}
		installed = append(installed, d.unit)
		if enabled == "" && !masked && (wanted[d.unit] || l.presetLink(d.unit)) {
			enabled = d.unit
		}
	}
	return installed, enabled
}

// presetLink tells of a unit that the distribution itself links into a target.
func (l *look) presetLink(unit string) bool {
	for _, dir := range unitDirs[1:] {
		for _, target := range []string{"multi-user.target.wants", "sysinit.target.wants"} {
			if _, err := l.root.Lstat(path.Join(dir, target, unit)); err == nil {
				return true
			}
		}
	}
	// An alias of another name: dbus-org.freedesktop.timesync1.service.
	names, err := l.list(adminDir)
	if err != nil {
		return false
	}
	for _, n := range names {
		if to, err := l.root.Readlink(path.Join(adminDir, n)); err == nil && strings.HasSuffix(to, "/"+unit) {
			return true
		}
	}
	return false
}
