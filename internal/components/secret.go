package components

import (
	"regexp"
	"strings"
)

// redacted is all that is kept of a secret: that there is one.
const redacted = "set"

// secretWords in a name make its value a secret, unless the name says that the
// value only leads to one, or speaks about it.
var secretWords = []string{"token", "password", "passwd", "passphrase", "secret", "auth", "credential", "key", "cookie"}

// plainEndings end the names of paths, durations, modes and plug-ins: of what is
// said about a secret, not of the secret.
var plainEndings = []string{
	"file", "files", "path", "paths", "dir", "dirs", "ttl", "mode", "model", "policy", "plugin", "plugins", "provider", "providers",
	"timeout", "interval", "enabled",
}

// plainNames hold paths although they end like a secret.
var plainNames = []string{"tlskey", "image-credential-provider-config"}

// secretParents make everything below them a secret; the kubelet's
// "authentication" and "authorization" do not.
var secretParents = []string{"auth", "auths", "token", "tokens", "password", "passwords", "secret", "secrets", "credential", "credentials", "header", "headers"}

// secretName tells whether what stands under the name must not be shown.
func secretName(name string) bool {
	name = strings.TrimLeft(strings.ToLower(name), "-")
	if !containsAny(name, secretWords) {
		return false
	}
	for _, plain := range plainNames {
		if name == plain {
			return false
		}
	}
	for _, ending := range plainEndings {
		if strings.HasSuffix(name, ending) {
			return false
		}
	}
	return true
}

func secretPath(names []string) bool {
	for i, name := range names {
		if i == len(names)-1 {
			return secretName(name)
		}
		for _, parent := range secretParents {
			if strings.EqualFold(name, parent) {
				return true
			}
		}
	}
	return false
}

func containsAny(s string, words []string) bool {
	for _, word := range words {
		if strings.Contains(s, word) {
			return true
		}
	}
	return false
}

var (
	assignedSecret = regexp.MustCompile(`(?i)(token|password|passwd|passphrase|secret|credential|api_?key|access_?key|private_?key)[a-z0-9_-]*["']?(\s*[=:]\s*|\s+)["']?[^\s"']`)
	bearerSecret   = regexp.MustCompile(`(?i)\b(bearer|basic)\s+[a-z0-9+/=._~-]{8,}`)
	jsonWebToken   = regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.`)
)

// public returns what may be shown and kept of a value: all of it, what is left
// of it without the user of its URLs, or only that it is set.
func public(names []string, text string) string {
	switch {
	case text == "true" || text == "false" || text == "":
		return text
	case secretPath(names), secretValue(text):
		return redacted
	case len(names) > 0 && strings.Contains(strings.ToLower(names[len(names)-1]), "proxy") && !strings.Contains(text, "://"):
		return text[strings.LastIndexByte(text, '@')+1:]
	default:
		return withoutUsers(text)
	}
}

func secretValue(text string) bool {
	return assignedSecret.MatchString(text) || bearerSecret.MatchString(text) || jsonWebToken.MatchString(text) || strings.Contains(text, "PRIVATE KEY-----")
}

// withoutUsers takes user and password out of every URL in s.
func withoutUsers(s string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, "://")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteString("://")
		s = after[userEnd(after):]
	}
}

// userEnd is where the host begins in what follows "://". A password may hold a
// slash although a URL does not allow it; a port may not.
func userEnd(s string) int {
	word := s
	if i := strings.IndexAny(word, " \t\n\"'"); i >= 0 {
		word = word[:i]
	}
	authority := word
	if i := strings.IndexAny(word, "/?#"); i >= 0 {
		authority = word[:i]
	}
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		return i + 1
	}
	_, port, found := strings.Cut(authority, ":")
	if found && strings.Trim(port, "0123456789,") != "" && !strings.Contains(authority, "[") {
		return strings.LastIndexByte(word, '@') + 1
	}
	return 0
}
