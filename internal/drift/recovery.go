package drift

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// of fills the recovery in for a finding. Values become single words of a shell
// in commands, whatever the host's file names are made of.
func (r Recovery) of(f Finding) RecoveryReport {
	commands := r.Commands
	if f.State == Pending && r.PendingCommands != nil {
		commands = r.PendingCommands
	}
	values := map[string]string{"subject": f.Subject, "observed": f.Observed, "supported": f.Supported}
	maps.Copy(values, f.Args)
	text, command := replacer(values, func(s string) string { return s }), replacer(values, ShellQuote)
	filled := make([]string, 0, len(commands))
	for _, c := range commands {
		if known(c, values) {
			filled = append(filled, command.Replace(c))
		}
	}
	return RecoveryReport{Text: text.Replace(r.Text), Commands: filled, Class: r.Class}
}

var placeholder = regexp.MustCompile(`\{([a-z]+)\}`)

// known tells whether every placeholder of the command has a value; half a
// command helps nobody.
func known(command string, values map[string]string) bool {
	for _, m := range placeholder.FindAllStringSubmatch(command, -1) {
		if _, ok := values[m[1]]; !ok {
			return false
		}
	}
	return true
}

func replacer(values map[string]string, show func(string) string) *strings.Replacer {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		pairs = append(pairs, "{"+name+"}", show(values[name]))
	}
	return strings.NewReplacer(pairs...)
}
