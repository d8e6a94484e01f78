package attribute

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/nodeguard/nodeguard/internal/host"
)

const (
	maxStat   = 4 << 10
	maxStatus = 4 << 10 // what is asked of it comes before the groups, which may be many
	maxArgs   = 4 << 10
	maxCgroup = 64 << 10
)

// noLogin is the login uid of who never logged in.
const noLogin = 1<<32 - 1

// process is what is known of one.
type process struct {
	pid      int
	comm     string
	args     arguments
	exe      string
	uid      uint32
	loginUID uint32
	started  time.Duration // since boot
	parents  []parent      // the nearest first
	cgroups  []string      // its paths, as deep as they are known
}

type parent struct {
	pid  int
	comm string
}

// same tells whether two are one process: /proc rounds the time of its start, and
// an id may be used twice within that.
func same(living, dead process) bool {
	return living.pid == dead.pid && living.started == dead.started.Truncate(tick) && living.comm == dead.comm
}

// readProcess asks /proc about a living process or thread. All comes from one
// directory, which fails when the process has ended, though its id be used again.
func readProcess(root *host.Root, pid int) (process, error) {
	dir, err := root.OpenDir(procDir(pid))
	if err != nil {
		return process{}, err
	}
	defer dir.Close()
	status, err := head(dir, "status", maxStatus)
	if err != nil {
		return process{}, err
	}
	if leader, err := strconv.Atoi(field(status, "Tgid")); err == nil && leader != pid {
		return readProcess(root, leader)
	}
	s, err := readStat(dir)
	if err != nil {
		return process{}, err
	}
	p := process{pid: pid, comm: s.comm, started: s.started, loginUID: noLogin, parents: readParents(root, s.parent)}
	if p.uid, err = effectiveUID(status); err != nil {
		return process{}, err
	}
	if text, err := head(dir, "loginuid", maxStat); err == nil {
		p.loginUID = number(string(text), noLogin)
	}
	if text, err := head(dir, "cgroup", maxCgroup); err == nil {
		p.cgroups = cgroupPaths(string(text))
	}
	if text, err := head(dir, "cmdline", maxArgs); err == nil {
		p.args = arguments{text: text, cut: len(text) == maxArgs}
	}
	p.exe, _ = dir.Readlink("exe")
	return p, nil
}

func procDir(pid int) string { return "/proc/" + strconv.Itoa(pid) }

// head reads the first bytes of a file.
func head(dir *host.Dir, name string, limit int64) ([]byte, error) {
	f, err := dir.OpenFile(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(host.Content(f), limit))
}

func readParents(root *host.Root, pid int) []parent {
	var out []parent
	for pid > 0 && len(out) < ancestors {
		s, err := readStatOf(root, pid)
		if err != nil {
			return out
		}
		out = append(out, parent{pid, s.comm})
		pid = s.parent
	}
	return out
}

func readStatOf(root *host.Root, pid int) (stat, error) {
	dir, err := root.OpenDir(procDir(pid))
	if err != nil {
		return stat{}, err
	}
	defer dir.Close()
	return readStat(dir)
}

func readStat(dir *host.Dir) (stat, error) {
	text, err := head(dir, "stat", maxStat)
	if err != nil {
		return stat{}, err
	}
	return parseStat(text)
}

// stat is what matters of /proc/PID/stat.
type stat struct {
	comm    string
	parent  int
	started time.Duration
}

var errStat = errors.New("parse stat: it is not that of a process")

// The places of proc_pid_stat(5) after the command, which may hold anything.
const (
	statParent  = 1
	statStarted = 19
)

func parseStat(text []byte) (stat, error) {
	from, to := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if from < 0 || to < from {
		return stat{}, errStat
	}
	fields := strings.Fields(string(text[to+1:]))
	if len(fields) <= statStarted {
		return stat{}, errStat
	}
	above, err := strconv.Atoi(fields[statParent])
	if err != nil {
		return stat{}, fmt.Errorf("parse stat: %w", err)
	}
	ticks, err := strconv.ParseInt(fields[statStarted], 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("parse stat: %w", err)
	}
	return stat{comm: string(text[from+1 : to]), parent: above, started: time.Duration(ticks) * tick}, nil
}

// field is a line of a status file.
func field(status []byte, name string) string {
	for line := range bytes.Lines(status) {
		if key, value, found := bytes.Cut(line, []byte(":")); found && string(key) == name {
			return string(bytes.TrimSpace(value))
		}
	}
	return ""
}

func effectiveUID(status []byte) (uint32, error) {
	ids := strings.Fields(field(status, "Uid")) // real, effective, saved, file system
	if len(ids) < 2 {
		return 0, errors.New("parse status: there is no uid")
	}
	n, err := strconv.ParseUint(ids[1], 10, 32)
	if err != nil {
		return 0, fmt.Errorf("parse status: %w", err)
	}
	return uint32(n), nil
}

func number(text string, otherwise uint32) uint32 {
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 32)
	if err != nil {
		return otherwise
	}
	return uint32(n)
}
