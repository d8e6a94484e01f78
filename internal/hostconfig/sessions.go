package hostconfig

import (
	"bytes"
	"encoding/binary"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/nodeguard/nodeguard/internal/drift"
)

const (
	sessionDir = "/run/systemd/sessions"
	wtmp       = "/var/log/wtmp"
	maxWtmp    = 16 << 20

	debuggerPrefix = "node-debugger-" // of the pods of kubectl debug node/NAME
)

// sessions are the logins from elsewhere that are open now, by user, as logind
// keeps them.
func (l *look) sessions(_ Rule, _ string) *table {
	open, err := l.openLogins()
	if err != nil {
		return faulty("remote login", faultOf(sessionDir, err))
	}
	t := newTable("remote login")
	for _, s := range open {
		t.entries[drift.Printable(s.user)] = entry{value: "logged in", want: "nobody", changed: s.from}
	}
	return t
}

// login is the time in which somebody was logged in from elsewhere.
type login struct {
	user     string
	from, to int64 // Unix seconds; to 0: still
}

// openLogins reads logind's own files, which need no bus.
func (l *look) openLogins() ([]login, error) {
	names, err := l.list(sessionDir)
	if err != nil {
		return nil, err
	}
	var out []login
	for _, name := range names {
		if strings.Contains(name, ".") { // "4.ref"
			continue
		}
		data, err := l.root.ReadFile(path.Join(sessionDir, name), maxFile)
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, &fileError{path.Join(sessionDir, name), err}
		}
		if s, ok := parseSession(data); ok {
			out = append(out, s)
		}
	}
	return out, nil
}

// parseSession takes what people are logged in by: not cron, not the user manager,
// not the console.
func parseSession(data []byte) (login, bool) {
	set := parseSettings(data)
	class := set["CLASS"]
	if set["REMOTE"] != "1" && set["IS_REMOTE"] != "1" || class != "" && class != "user" && class != "user-early" || set["STATE"] == "closing" {
		return login{}, false
	}
	started, _ := strconv.ParseInt(set["REALTIME"], 10, 64)
	user := set["USER"]
	if user == "" {
		user = "uid " + set["UID"]
	}
	return login{user: user, from: started / 1_000_000}, true
}

// debuggers are the pods that kubectl debug has on the node now: a shell with the
// host's files below /host, which is a login by another way.
func (l *look) debuggers() []login {
	all, _ := l.containers()
	var out []login
	for _, c := range all {
		if !strings.HasPrefix(c.pod, debuggerPrefix) || !slices.Contains(c.traits, hostPath+" /") {
			continue
		}
		if e, err := l.root.Stat(c.bundle); err == nil {
			out = append(out, login{user: c.pod, from: e.Changed.Unix()})
		}
	}
	return out
}

// duringLogin tells whether something changed while somebody was logged in from
// elsewhere, now or since the log of logins began, or debugged the node.
func (l *look) duringLogin(changed int64) bool {
	if changed == 0 {
		return false
	}
	if !l.asked {
		l.asked = true
		l.logins, _ = l.openLogins()
		if data, err := l.root.ReadFile(wtmp, maxWtmp); err == nil {
			l.logins = append(l.logins, parseWtmp(data)...)
		}
		l.logins = append(l.logins, l.debuggers()...)
	}
	for _, s := range l.logins {
		if changed >= s.from && (s.to == 0 || changed <= s.to) {
			return true
		}
	}
	return false
}

// A record of utmp(5) with 32-bit times, as glibc has it on all 64-bit machines but
// those that came after the year 2038 was thought of, which keep no such file.
const (
	utmpSize   = 384
	utmpLine   = 8
	utmpUser   = 44
	utmpHost   = 76
	utmpTime   = 340
	utmpBoot   = 2
	utmpIn     = 7
	utmpOut    = 8
	lineLength = 32
	hostLength = 256
)

// parseWtmp are the finished logins from elsewhere. One that neither ended nor saw
// a boot is left to logind.
func parseWtmp(data []byte) []login {
	var out []login
	open := map[string]login{}
	for ; len(data) >= utmpSize; data = data[utmpSize:] {
		r := data[:utmpSize]
		kind := binary.NativeEndian.Uint16(r)
		line, at := word(r[utmpLine:utmpLine+lineLength]), int64(binary.NativeEndian.Uint32(r[utmpTime:]))
		switch kind {
		case utmpIn:
			if host := word(r[utmpHost : utmpHost+hostLength]); host != "" && host[0] != ':' {
				open[line] = login{user: word(r[utmpUser : utmpUser+lineLength]), from: at}
			}
		case utmpOut:
			if s, ok := open[line]; ok {
				s.to = at
				out = append(out, s)
				delete(open, line)
			}
		case utmpBoot:
			clear(open)
		}
	}
	return out
}

func word(field []byte) string {
	text, _, _ := bytes.Cut(field, []byte{0})
	return string(text)
}
