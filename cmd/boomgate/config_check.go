package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// newConfigCommand groups what can be done with settings without starting anything.
func newConfigCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "config",
		Short:   "Check the settings of a server",
		Example: "  boomgate config check --config boomgate.yaml",
		Args:    cobra.NoArgs,
	}
	cmd.AddCommand(newConfigCheckCommand(a))
	return cmd
}

func newConfigCheckCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Name every fault of a configuration, and start nothing",
		Long: `Read the settings as "serve" would, from defaults, file, environment and flags, and
name every fault with what to do about it. Exit code 0 means that "serve" would accept them.`,
		Example: `  boomgate config check --config boomgate.yaml
  boomgate config check --http :8080 --insecure --public-url http://gate.example:8080`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd.Flags(), a.environ())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.stdout, "The configuration is good: http %s, mqtt %s, mqtts %s, data in %s\n",
				cfg.HTTP, orOff(cfg.MQTT), orOff(cfg.MQTTS), cfg.DataDir)
			return err
		},
	}
	addConfigFlags(cmd.Flags())
	return cmd
}

func orOff(addr string) string {
	if addr == "" {
		return "off"
	}
	return addr
}
