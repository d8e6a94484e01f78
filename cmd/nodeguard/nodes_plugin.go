package main

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// pluginName is the binary's as a plug-in of kubectl.
const pluginName = "kubectl-nodeguard"

// arguments are those of the command line. `kubectl nodeguard` with nothing but flags
// lists the Nodes.
func arguments(argv []string) []string {
	args := argv[1:]
	asked := len(args) > 0 && (!strings.HasPrefix(args[0], "-") || slices.Contains([]string{"-h", "--help"}, args[0]))
	if !plugin(argv[0]) || asked {
		return args
	}
	return append([]string{"nodes"}, args...)
}

func plugin(program string) bool { return filepath.Base(program) == pluginName }

// displayed is how help and hints call the program.
func displayed(cmd *cobra.Command, program string) {
	if plugin(program) {
		cmd.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl nodeguard"}
	}
}
