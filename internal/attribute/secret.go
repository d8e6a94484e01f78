package attribute

import (
	"regexp"
	"slices"
	"strings"
)

// masked stands for a secret.
const masked = "***"

// secretWords in a name make its value a secret, unless the name says that the
// value only leads to one, or speaks about it.
var secretWords = []string{"token", "pass", "pwd", "secret", "auth", "cred", "key", "cookie", "signature", "literal"}

// plainEndings end the names of what is said about a secret.
var plainEndings = []string{
	"file", "files", "path", "paths", "dir", "dirs", "ttl", "mode", "model", "policy", "plugin", "plugins", "provider", "providers",
	"timeout", "interval", "enabled", "stdin",
}

// secretFlags are short flags with a secret, by program.
var secretFlags = map[string][]string{
	"sshpass": {"-p"}, "mysql": {"-p"}, "mariadb": {"-p"}, "mongo": {"-p"}, "login": {"-p"},
	"useradd": {"-p"}, "usermod": {"-p"}, "groupadd": {"-p"}, "redis-cli": {"-a"}, "ldap": {"-w"}, "ipmitool": {"-P"},
	"snmp": {"-A", "-X", "-c"}, "curl": {"-b", "-u", "-U", "-E"}, "smbclient": {"-U"}, "htpasswd": {"-b", "-bc", "-cb", "-nb", "-bn"},
}

// userFlags have a user and a password.
var userFlags = []string{"-u", "-U", "--user", "--proxy-user"}

// mask takes the secrets out of a command's words. It rather takes too much.
func mask(words []string) []string {
	out := make([]string, 0, len(words))
	var flags []string // of the programs so far: one starts another
	for i, word := range words {
		before := ""
		if i > 0 {
			before = words[i-1]
		}
		out = append(out, maskWord(word, before, flags))
		flags = append(flags, flagsOf(word)...)
	}
	if len(words) > 1 && slices.ContainsFunc(words, func(w string) bool { return program(w) == "htpasswd" }) {
		out[len(out)-1] = masked
	}
	return out
}

func flagsOf(word string) []string {
	var out []string
	for name, flags := range secretFlags {
		if strings.HasPrefix(program(word), name) {
			out = append(out, flags...)
		}
	}
	return out
}

func maskWord(word, before string, flags []string) string {
	flag := strings.HasPrefix(word, "-")
	name, value, named := strings.Cut(word, "=")
	switch {
	case announces(before, flags) && !flag && !plain(word):
		return masked
	case before == "-c": // a script
		return scrub(word)
	case slices.Contains(userFlags, before) && strings.Contains(word, ":"):
		return word[:strings.Index(word, ":")+1] + masked
	case named && nameOnly.MatchString(name) && secretName(name) && !plain(value):
		return name + "=" + masked
	}
	for _, f := range flags {
		if len(word) > len(f) && strings.HasPrefix(word, f) {
			return f + masked
		}
	}
	return scrub(word)
}

// announces tells whether a word says that the next one is a secret.
func announces(word string, flags []string) bool {
	switch {
	case slices.Contains(flags, word):
		return true
	case strings.HasSuffix(word, "="), strings.HasSuffix(word, ":"), strings.HasPrefix(word, "-") && !strings.Contains(word, "="):
		return secretName(strings.TrimRight(word, "=:"))
	default:
		return strings.EqualFold(word, "bearer") || strings.EqualFold(word, "basic")
	}
}

// plain values say yes or no.
func plain(value string) bool { return value == "" || value == "true" || value == "false" }

// secretName tells whether the value of what is called so must not be shown.
func secretName(name string) bool {
	name = strings.ToLower(name)
	if !slices.ContainsFunc(secretWords, func(word string) bool { return strings.Contains(name, word) }) {
		return false
	}
	return !slices.ContainsFunc(plainEndings, func(ending string) bool { return strings.HasSuffix(name, ending) })
}

// following is what follows a name, whole where it is in quotes.
const following = `("(?:[^"\\]|\\.)*"?|'[^']*'?|\S+)`

var (
	secretNames = `[\w.-]*(?i:` + strings.Join(secretWords, "|") + `)[\w.-]*`

	nameOnly = regexp.MustCompile(`^[\w./-]+$`)
	assigned = regexp.MustCompile(`(` + secretNames + `)(\\?["']?\s*[=:]\s*)` + following)
	flagged  = regexp.MustCompile(`(\B--?` + secretNames + `)(\s+)` + following)
	bearer   = regexp.MustCompile(`(?i:\b(bearer|basic))(\s+)` + following)
	userURL  = regexp.MustCompile(`://[^\s"']*@`)
	shapes   = regexp.MustCompile(`\beyJ[\w-]{8,}\.[\w.-]+|\b[a-z0-9]{6}\.[a-z0-9]{16}\b|\bgh[a-z]_\w{16,}|\bgithub_pat_\w{16,}|\bglpat-[\w-]{16,}|\bxox[a-z]-[\w-]{10,}`)
)

// scrub takes what looks like a secret out of any text.
func scrub(s string) string {
	if strings.Contains(s, "PRIVATE KEY-----") {
		return masked
	}
	s = userURL.ReplaceAllString(s, "://"+masked+"@")
	s = shapes.ReplaceAllString(s, masked)
	s = bearer.ReplaceAllString(s, "$1$2"+masked)
	s = scrubNamed(assigned, s)
	return scrubNamed(flagged, s)
}

// scrubNamed masks the values of secret names, and what is secret in the others.
func scrubNamed(form *regexp.Regexp, s string) string {
	return form.ReplaceAllStringFunc(s, func(found string) string {
		parts := form.FindStringSubmatch(found)
		if parts == nil {
			return masked // it was only in its place what it looks like
		}
		name, between, value := parts[1], parts[2], parts[3]
		switch {
		case plain(value):
			return found
		case secretName(name):
			return name + between + masked
		default:
			return name + between + scrub(value)
		}
	})
}
