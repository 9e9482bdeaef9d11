package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// releaseVersion is set by the linker in builds that know no version control: -X main.releaseVersion=v1.2.3.
var releaseVersion string

// version names the build: the release, the module's version, or the commit that it was made from.
func version() string {
	if releaseVersion != "" {
		return releaseVersion
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}

func newVersionCommand(a *app) *cobra.Command {
	var format outputFormat
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Example: `  boomgate version
  boomgate version -o json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return runVersion(a, format) },
	}
	format.addFlag(cmd)
	return cmd
}

func runVersion(a *app, format outputFormat) error {
	build := struct {
		Version string `json:"version"`
		Go      string `json:"go"`
		OS      string `json:"os"`
		Arch    string `json:"arch"`
	}{version(), runtime.Version(), runtime.GOOS, runtime.GOARCH}
	if format.machine() {
		return format.one(a.stdout, build)
	}
	_, err := fmt.Fprintf(a.stdout, "boomgate %s (%s, %s/%s)\n", build.Version, build.Go, build.OS, build.Arch)
	return err
}
