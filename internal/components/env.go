package components

import (
	"bytes"
	"strings"
	"unicode"
)

// variable is one assignment of an environment file.
type variable struct{ name, text string }

// parseEnv reads an environment file as systemd does: the last assignment of a
// name counts, and lines that assign nothing are passed over.
func parseEnv(data []byte) []variable {
	var out []variable
	p := envParser{rest: string(bytes.TrimPrefix(data, utf8Mark))}
	for p.rest != "" {
		name, ok := p.name()
		if !ok {
			continue
		}
		text := p.text()
		for i, v := range out {
			if v.name == name {
				out = append(out[:i], out[i+1:]...)
				break
			}
		}
		out = append(out, variable{name, text})
		if len(out) > maxVariables {
			out = out[1:]
		}
	}
	return out
}

// maxVariables keeps a file of nothing but assignments from costing its square.
const maxVariables = 1000

type envParser struct{ rest string }

// name takes the line up to its "="; a comment or a line without one is taken whole.
func (p *envParser) name() (string, bool) {
	line, _, _ := strings.Cut(p.rest, "\n")
	name, _, found := strings.Cut(line, "=")
	start := strings.TrimSpace(line)
	if !found || start == "" || start[0] == '#' || start[0] == ';' {
		p.skip(len(line) + 1)
		return "", false
	}
	p.skip(len(name) + 1)
	name = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(name), "export "))
	return name, name != ""
}

func (p *envParser) skip(n int) { p.rest = p.rest[min(n, len(p.rest)):] }

// text takes the value: quotes may span lines, a backslash joins them.
func (p *envParser) text() string {
	var b strings.Builder
	var quote byte
	kept := 0 // what trailing blanks do not count against
	for i := 0; i < len(p.rest); i++ {
		c := p.rest[i]
		switch {
		case quote == 0 && c == '\n':
			p.skip(i + 1)
			return strings.TrimSpace(b.String()[:kept])
		case quote == 0 && (c == '"' || c == '\'') || quote != 0 && c == quote:
			quote ^= c
			kept = b.Len()
			continue
		case quote != '\'' && c == '\\' && i+1 < len(p.rest):
			if i++; p.rest[i] != '\n' {
				b.WriteString(unescaped(quote, p.rest[i]))
			}
		default:
			b.WriteByte(c)
		}
		if quote != 0 || !unicode.IsSpace(rune(c)) {
			kept = b.Len()
		}
	}
	p.rest = ""
	return strings.TrimSpace(b.String()[:kept])
}

// unescaped is what a backslash and c stand for: within double quotes it only
// takes away the meaning of what has one.
func unescaped(quote, c byte) string {
	if quote == '"' && !strings.ContainsRune("\"\\`$", rune(c)) {
		return string([]byte{0x5c, c})
	}
	return string([]byte{c})
}

// words splits a variable's value into arguments, as systemd does where a command
// line names the variable.
func words(s string) []string {
	var out []string
	var b strings.Builder
	var quote rune
	open := false
	for _, c := range s {
		switch {
		case quote == 0 && (c == '"' || c == '\''):
			quote, open = c, true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && unicode.IsSpace(c):
			if open {
				out = append(out, b.String())
				b.Reset()
			}
			open = false
		default:
			b.WriteRune(c)
			open = true
		}
	}
	if open {
		out = append(out, b.String())
	}
	return out
}

// environment is what an environment file sets: flags, in the variables that hold
// them, and other variables.
type environment struct {
	flags     flags
	variables map[string]string // as they are shown
}

func (d dialect) environment(data []byte) environment {
	env := environment{variables: map[string]string{}}
	var args []string
	for _, v := range parseEnv(data) {
		split := words(v.text)
		switch {
		case len(split) == 0:
		case strings.HasPrefix(split[0], "-"):
			args = append(args, split...)
		default:
			env.variables[cut(bounded(v.name), maxKey)] = shown([]string{v.name}, v.text)
		}
	}
	env.flags = d.parse(args)
	return env
}
