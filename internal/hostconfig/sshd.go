package hostconfig

import (
	"path"
	"strings"

	"github.com/nodeguard/nodeguard/internal/drift"
)

const (
	maxIncludes = 256
	maxDepth    = 16

	// rootLogin is what the directives come to.
	rootLogin = "password login of root"
)

// sshd is the effective configuration of the OpenSSH server: in each scope the
// first value of a directive counts. Without a server there is nothing to say.
func (l *look) sshd(_ Rule, name string) *table {
	data, at, err := l.read(name)
	if gone(err) || err == nil && !l.programThere("sshd") {
		return skipped()
	}
	if err != nil {
		return faulty("sshd", faultOf(name, err))
	}
	p := sshdParser{dir: path.Dir(name), include: l.sshdInclude, config: sshdConfig{global: directives{}}}
	p.parse(data, 0)
	if p.err != nil {
		return faulty("sshd", faultOf(name, p.err))
	}
	t := newTable("sshd")
	args := map[string]string{"file": name}
	for keyword, value := range p.config.global {
		t.entries[drift.Printable(keyword)] = entry{value: shownDirective(value), changed: at, args: args}
	}
	t.entries[rootLogin] = entry{value: p.config.rootLogin(), changed: at, args: args}
	return t
}

func shownDirective(value string) string {
	if len(value) > 200 {
		value = value[:200] + "..."
	}
	return drift.Printable(value)
}

func (l *look) sshdInclude(glob string) ([][]byte, error) {
	names, err := l.expand(glob)
	if err != nil {
		return nil, err
	}
	var out [][]byte
	for _, name := range names {
		data, _, err := l.read(name)
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, &fileError{name, err}
		}
		out = append(out, data)
	}
	return out, nil
}

// directives are values by keyword, in lower case.
type directives map[string]string

func (d directives) first(keyword, value string) {
	if _, set := d[keyword]; !set {
		d[keyword] = value
	}
}

type sshdConfig struct {
	global  directives
	matches []match
}

// match is a Match block.
type match struct {
	criteria string
	directives
}

// sshdParser reads sshd_config(5) with what it includes.
type sshdParser struct {
	dir     string
	include func(glob string) ([][]byte, error)
	config  sshdConfig
	current directives // of the open Match block; nil outside of any
	files   int
	err     error
}

// parse reads one file; a Match block ends with it.
func (p *sshdParser) parse(data []byte, depth int) {
	for line := range strings.SplitSeq(string(data), "\n") {
		keyword, value := splitDirective(line)
		switch keyword {
		case "":
		case "match":
			p.match(value)
		case "include":
			outer := p.current
			p.included(value, depth)
			p.current = outer
		default:
			p.scope().first(keyword, value)
		}
	}
}

func (p *sshdParser) scope() directives {
	if p.current != nil {
		return p.current
	}
	return p.config.global
}

func (p *sshdParser) match(criteria string) {
	if strings.EqualFold(criteria, "all") {
		p.current = nil
		return
	}
	p.current = directives{}
	p.config.matches = append(p.config.matches, match{criteria, p.current})
}

func (p *sshdParser) included(globs string, depth int) {
	for _, glob := range strings.Fields(globs) {
		glob = strings.Trim(glob, `"`)
		if !path.IsAbs(glob) {
			glob = path.Join(p.dir, glob)
		}
		files, err := p.include(glob)
		if err != nil && p.err == nil {
			p.err = err
		}
		for _, data := range files {
			if p.files++; depth < maxDepth && p.files <= maxIncludes {
				p.parse(data, depth+1)
			}
		}
	}
}

// splitDirective splits a line as sshd does: white space or one "=" after the
// keyword, a comment from "#" on, quotes around arguments.
func splitDirective(line string) (keyword, value string) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return "", ""
	}
	end := strings.IndexAny(line, " \t=")
	if end < 0 {
		return strings.ToLower(line), ""
	}
	rest := strings.TrimLeft(line[end:], " \t")
	rest = strings.TrimLeft(strings.TrimPrefix(rest, "="), " \t")
	if i := strings.Index(rest, " #"); i >= 0 {
		rest = rest[:i]
	}
	rest = strings.TrimSpace(rest)
	if unquoted := strings.Trim(rest, `"`); len(unquoted)+2 == len(rest) && !strings.Contains(unquoted, `"`) {
		rest = unquoted
	}
	return strings.ToLower(line[:end]), rest
}

// rootLogin tells whether root can log in with a password: by everybody, in a
// Match block, or not.
func (c sshdConfig) rootLogin() string {
	if c.global.rootPassword() {
		return "allowed"
	}
	for _, m := range c.matches {
		if m.mayBeRoot() && m.over(c.global).rootPassword() {
			return "allowed in a Match block"
		}
	}
	return "refused"
}

// mayBeRoot tells whether the criteria can hold for root.
func (m match) mayBeRoot() bool {
	words := strings.Fields(m.criteria)
	for i := 0; i+1 < len(words); i += 2 {
		if strings.EqualFold(words[i], "user") && !names(words[i+1], "root") {
			return false
		}
	}
	return true
}

// over are the directives of the block with those around it.
func (m match) over(global directives) directives {
	out := directives{}
	for keyword, value := range m.directives {
		out[keyword] = value
	}
	for keyword, value := range global {
		out.first(keyword, value)
	}
	return out
}

func (d directives) rootPassword() bool {
	return d.get("permitrootlogin", "prohibit-password") == "yes" && d.byPassword() && d.admitsRoot()
}

func (d directives) get(keyword, usual string) string {
	if value := strings.ToLower(d[keyword]); value != "" {
		return value
	}
	return usual
}

// byPassword tells whether a password alone is enough: PAM asks for it too, over
// keyboard-interactive.
func (d directives) byPassword() bool {
	interactive := d.get("kbdinteractiveauthentication", d.get("challengeresponseauthentication", "yes"))
	ways := map[string]bool{
		"password":             d.get("passwordauthentication", "yes") == "yes",
		"keyboard-interactive": interactive == "yes" && d.get("usepam", "no") == "yes",
	}
	methods := d.get("authenticationmethods", "any")
	if methods == "any" {
		return ways["password"] || ways["keyboard-interactive"]
	}
	for list := range strings.FieldsSeq(methods) {
		enough := true
		for method := range strings.SplitSeq(list, ",") {
			name, _, _ := strings.Cut(method, ":")
			enough = enough && ways[name]
		}
		if enough {
			return true
		}
	}
	return false
}

// admitsRoot tells whether the lists of users and groups let root in; of groups
// only root's own is known.
func (d directives) admitsRoot() bool {
	for _, list := range []string{"denyusers", "denygroups"} {
		if names(d[list], "root") {
			return false
		}
	}
	for _, list := range []string{"allowusers", "allowgroups"} {
		if d[list] != "" && !names(d[list], "root") {
			return false
		}
	}
	return true
}

// names tells whether a list of patterns, USER or USER@HOST, names the user; "!"
// takes out again.
func names(list, user string) bool {
	found := false
	for pattern := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' }) {
		pattern, denied := strings.CutPrefix(strings.Trim(pattern, `"`), "!")
		pattern, _, _ = strings.Cut(pattern, "@")
		if drift.Glob(pattern, user) {
			if denied {
				return false
			}
			found = true
		}
	}
	return found
}
