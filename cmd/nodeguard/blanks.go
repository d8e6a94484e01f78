package main

import (
	"cmp"
	"regexp"
)

// blank is what a finding fills in of a command.
var blank = regexp.MustCompile(`\{[a-z]+\}`)

// blanks shows a command of the catalogue to somebody who has no finding: what is
// filled in is a word in angle brackets.
func blanks(command string) string {
	words := map[string]string{
		"{subject}": "<parameter>", "{supported}": "<supported value>", "{assignment}": "<parameter>=<value>", "{edit}": "<sed script>",
		"{label}": "<key>=<value>", "{installer}": "<package manager>", "{ufw}": "ufw",
	}
	return blank.ReplaceAllStringFunc(command, func(name string) string {
		return cmp.Or(words[name], "<"+name[1:len(name)-1]+">")
	})
}
