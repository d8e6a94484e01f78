package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/nodeguard/nodeguard/internal/export/text"
)

// version is stamped by the linker; without it the build's own record is used.
var version string

// versionString is the version of this build.
func versionString() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

// versionInfo is `version -o json`.
type versionInfo struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func newVersion(o *options) *cobra.Command {
	cmd := &cobra.Command{Use: "version", Short: "Print the version", Args: noArgs}
	outputFlag(cmd, o, "table", "json", "yaml")
	cmd.RunE = func(*cobra.Command, []string) error {
		info := versionInfo{Version: versionString(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
		switch o.output {
		case "json":
			return text.JSON(o.stdout, info)
		case "yaml":
			return text.YAML(o.stdout, info)
		}
		_, err := fmt.Fprintf(o.stdout, "nodeguard %s (%s, %s)\n", info.Version, info.Go, info.Platform)
		return err
	}
	return cmd
}
