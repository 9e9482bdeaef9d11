package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	devicesim "github.com/boomgate/boomgate/device-sim"
	"github.com/boomgate/boomgate/provisioning"
)

// simulatorLabel marks the devices that simulate made, and so may give new secrets.
const simulatorLabel = "simulated"

type simulateOptions struct {
	conn     connection
	sensors  int
	site     string
	speed    float64
	seed     uint64
	duration time.Duration
	broker   string
}

// newSimulateCommand plays a parking lot against a running server.
func newSimulateCommand(a *app) *cobra.Command {
	var opts simulateOptions
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Play a parking lot full of sensors against a running server",
		Long: `Play sensors against a running server, each with its own credential, token and connection.

The devices are made with an operator's credential (role parking-sensor, label simulated=true) and
named after the site and their space: sim-north-b1-001. A device of that name that an earlier run
made is given a new secret; one without the label is left alone, and the command fails.`,
		Example: `  boomgate simulate
  boomgate simulate --sensors 200 --site south --speed 60 --for 10m`,
		Args:              cobra.NoArgs,
		RunE:              func(cmd *cobra.Command, _ []string) error { return runSimulate(cmd.Context(), a, opts) },
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := cmd.Flags()
	opts.conn.addFlags(flags)
	flags.IntVar(&opts.sensors, "sensors", 20, "number of parking spaces")
	flags.StringVar(&opts.site, "site", "north", "name of the lot, in topics and as the label site")
	flags.Float64Var(&opts.speed, "speed", 1, "how much faster than real time the lot lives: 60 is an hour a minute")
	flags.Uint64Var(&opts.seed, "seed", 1, "number that decides everything that happens on the lot")
	flags.DurationVar(&opts.duration, "for", 0, "end after this time (0: at SIGINT)")
	flags.StringVar(&opts.broker, "broker", "", "URL of the broker, if it is not the one that the server names")
	return cmd
}

func runSimulate(ctx context.Context, a *app, opts simulateOptions) error {
	if opts.sensors < 1 || opts.sensors > 100_000 {
		return usagef("boomgate simulate", "--sensors is %d: use 1 to 100000", opts.sensors)
	}
	api, err := newAPIClient(ctx, a, opts.conn)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(a.stdout, "Preparing %d sensors of the lot %q at %s\n", opts.sensors, opts.site, api.base)
	sensors, brokerURL, err := simulatedSensors(ctx, api, opts)
	if err != nil {
		return err
	}
	fleet, err := devicesim.New(devicesim.Config{
		TokenURL: api.base + tokenPath, BrokerURL: firstOf(opts.broker, brokerURL), Site: opts.site, Sensors: sensors,
		Seed: opts.seed, Speed: opts.speed, Logger: slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return fmt.Errorf("prepare the sensors: %w", err)
	}
	if opts.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, opts.duration)
		defer cancel()
	}
	return playFleet(ctx, a, fleet)
}

// playFleet runs the sensors and prints a line of counts now and then.
func playFleet(ctx context.Context, a *app, fleet *devicesim.Fleet) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var group errgroup.Group
	group.Go(func() error {
		defer cancel()
		return fleet.Run(ctx)
	})
	group.Go(func() error {
		tick := time.NewTicker(5 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
				printStats(a, fleet.Stats())
			}
		}
	})
	err := group.Wait()
	printStats(a, fleet.Stats())
	return err
}

func printStats(a *app, s devicesim.Stats) {
	_, _ = fmt.Fprintf(a.stdout, "connected %d/%d  occupied %d  published %d  arrivals %d  departures %d  renewals %d  refused %d  lost %d\n",
		s.Connected, s.Sensors, s.Occupied, s.Published, s.Arrivals, s.Departures, s.Renewals, s.TokensRefused+s.ConnectsRefused, s.Losses)
}

// simulatedSensors makes the devices, a few at a time, and gives their credentials and the broker's URL.
func simulatedSensors(ctx context.Context, api *apiClient, opts simulateOptions) ([]devicesim.Sensor, string, error) {
	sensors := make([]devicesim.Sensor, opts.sensors)
	brokers := make([]string, opts.sensors)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i := range sensors {
		group.Go(func() error {
			spot := devicesim.SpotName(i)
			cred, err := simulatedDevice(ctx, api, "sim-"+opts.site+"-"+spot, opts.site)
			if err != nil {
				return err
			}
			sensors[i] = devicesim.Sensor{Spot: spot, Credential: devicesim.Credential{ClientID: cred.ClientID, ClientSecret: cred.ClientSecret}}
			brokers[i] = cred.MQTTURL
			return nil
		})
	}
	err := group.Wait()
	return sensors, brokers[0], err
}

// simulatedDevice creates a device, or gives the one that an earlier run made a new secret.
func simulatedDevice(ctx context.Context, api *apiClient, id, site string) (Credential, error) {
	answer, err := api.do(ctx, apiCall{method: http.MethodPost, path: devices.path(), body: map[string]any{
		"id": id, "roles": []string{provisioning.RoleParkingSensor},
		"labels": map[string]string{"site": site, simulatorLabel: "true"},
	}})
	if refusal, ok := errors.AsType[*apiError](err); ok && refusal.Status == http.StatusConflict {
		answer, err = renewSimulated(ctx, api, id)
	}
	if err != nil {
		return Credential{}, err
	}
	return decode[Credential](answer)
}

func renewSimulated(ctx context.Context, api *apiClient, id string) (apiAnswer, error) {
	path := devices.path() + "/" + url.PathEscape(id)
	answer, err := api.do(ctx, apiCall{method: http.MethodGet, path: path})
	if err != nil {
		return apiAnswer{}, err
	}
	device, err := decode[provisioning.Client](answer)
	if err != nil {
		return apiAnswer{}, err
	}
	if device.Labels[simulatorLabel] != "true" {
		return apiAnswer{}, withHint(fmt.Errorf("device %s exists and was not made by simulate", id), "choose another --site")
	}
	return api.do(ctx, apiCall{method: http.MethodPost, path: path + "/rotate", ifMatch: answer.etag})
}
