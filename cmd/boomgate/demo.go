package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"golang.org/x/term"

	devicesim "github.com/boomgate/boomgate/device-sim"
	"github.com/boomgate/boomgate/provisioning"
)

const (
	demoSite = "north"
	// demoHeartbeat is virtual: at the usual 600-fold speed every sensor reports each 3 seconds.
	demoHeartbeat = 30 * time.Minute
	// demoMorning begins the demo before the lot fills up.
	demoMorning = 7 * time.Hour
	frameEvery  = 200 * time.Millisecond
	// demoGrace is how long the stop may take after the demo's time is over.
	demoGrace = 10 * time.Second
)

type demoOptions struct {
	sensors  int
	duration time.Duration
	speed    float64
	seed     uint64
	plain    bool
	dataDir  string
}

// newDemoCommand shows the whole idea in one process.
func newDemoCommand(a *app) *cobra.Command {
	var opts demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show everything in one process: a parking lot goes through the gate, an intruder does not",
		Long: `Start a server on free ports of this machine, provision a parking lot, let its sensors through the
gate over real TCP and HTTP, and draw the lot as a backend service sees it. Meanwhile an intruder
tries a foreign topic, a stolen token, an expired token and a wider subscription than was granted;
each refusal is shown with the reason that operators see.

It ends by itself, with exit code 0 if every intrusion was refused and every message that the gate
let through arrived, and leaves nothing behind unless --data-dir is given.`,
		Example: `  boomgate demo
  boomgate demo --sensors 200 --for 1m
  boomgate demo --plain --for 20s | tee demo.txt`,
		Args:              cobra.NoArgs,
		RunE:              func(cmd *cobra.Command, _ []string) error { return runDemo(cmd.Context(), a, opts) },
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := cmd.Flags()
	flags.IntVar(&opts.sensors, "sensors", 60, "number of parking spaces")
	flags.DurationVar(&opts.duration, "for", 30*time.Second, "how long the lot is shown, at least 5s")
	flags.Float64Var(&opts.speed, "speed", 600, "how much faster than real time the lot lives")
	flags.Uint64Var(&opts.seed, "seed", 1, "number that decides everything that happens on the lot")
	flags.BoolVar(&opts.plain, "plain", false, "print a line a second instead of drawing (the default in a pipe)")
	flags.StringVar(&opts.dataDir, "data-dir", "", "keep the data in this new folder (default: a temporary one that is removed)")
	return cmd
}

func (o demoOptions) check() error {
	switch {
	case o.sensors < 2 || o.sensors > 10_000:
		return usagef("boomgate demo", "--sensors is %d: use 2 to 10000", o.sensors)
	case o.duration < 5*time.Second || o.duration > 24*time.Hour:
		return usagef("boomgate demo", "--for is %v: use 5s to 24h", o.duration)
	case !(o.speed >= 1 && o.speed <= 10_000):
		return usagef("boomgate demo", "--speed is %v: use 1 to 10000", o.speed)
	}
	return nil
}

// demo is one run of the demo.
type demo struct {
	opts     demoOptions
	view     demoView
	program  *Program
	lot      *lot
	fleet    *devicesim.Fleet
	reader   *demoReader
	intruder *intruder
	started  time.Time
}

func runDemo(ctx context.Context, a *app, opts demoOptions) error {
	if err := opts.check(); err != nil {
		return err
	}
	dir, remove, err := demoDataDir(opts.dataDir)
	if err != nil {
		return err
	}
	defer remove()
	cfg := defaultConfig()
	cfg.DataDir, cfg.HTTP, cfg.MQTT = dir, "127.0.0.1:0", "127.0.0.1:0"
	cfg.Leeway = time.Second // so that an expired token is refused while the audience watches
	cfg.ShutdownTimeout = demoGrace
	program, err := openProgram(ctx, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	d := &demo{opts: opts, view: newDemoView(a.stdout, opts.plain), program: program, lot: newLot()}
	return d.run(ctx, a.stdout)
}

// demoDataDir gives the folder to use and what removes it afterwards.
func demoDataDir(dir string) (string, func(), error) {
	if dir != "" {
		if _, err := os.Stat(filepath.Join(dir, rootFileName)); err == nil {
			return "", nil, withHint(fmt.Errorf("%s already holds a server's data", dir), "name a new folder with --data-dir")
		}
		return dir, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "boomgate-demo-")
	if err != nil {
		return "", nil, fmt.Errorf("make a temporary folder: %w", err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil
}

func newDemoView(w io.Writer, plain bool) demoView {
	f, ok := w.(*os.File)
	if plain || !ok || !term.IsTerminal(int(f.Fd())) {
		return &plainView{w: w}
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		width = 80
	}
	return &terminalView{w: w, width: width}
}

// run lives as long as the demo: server, reader, sensors, intruder and picture, and then the summary.
func (d *demo) run(ctx context.Context, w io.Writer) error {
	serverCtx, stopServer := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	go func() { served <- d.program.Run(serverCtx) }()

	err := d.show(ctx)
	stopServer()
	err = errors.Join(err, <-served)
	if err != nil {
		return err
	}
	return d.summary(ctx, w)
}

// show provisions the lot and plays it until the time is over; the server runs meanwhile.
func (d *demo) show(ctx context.Context) error {
	if err := d.prepare(ctx); err != nil {
		return err
	}
	defer d.reader.close()
	d.started = time.Now()
	ctx, cancel := context.WithTimeout(ctx, d.opts.duration)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return d.fleet.Run(ctx) })
	group.Go(func() error { return d.intruder.run(ctx) })
	group.Go(func() error { d.draw(ctx); return nil })
	err := group.Wait()
	d.hearTheRest(context.WithoutCancel(ctx))
	return err
}

// hearTheRest gives the board a moment for what the sensors said last.
func (d *demo) hearTheRest(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for d.lot.counts(time.Now()).messages < d.fleet.Stats().Published && pause(ctx, frameEvery/4) {
	}
}

// prepare provisions a device for every space and a service that reads along.
func (d *demo) prepare(ctx context.Context) error {
	service := d.program.service
	d.view.note(fmt.Sprintf("Server at %s and %s; provisioning %d sensors, each with its own ID and secret", d.program.URL(), d.program.BrokerURL(), d.opts.sensors))
	sensors := make([]devicesim.Sensor, d.opts.sensors)
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for i := range sensors {
		group.Go(func() error {
			spot := devicesim.SpotName(i)
			device, secret, err := service.Create(groupCtx, provisioning.NewClient{
				ID: "sensor-" + spot, Kind: provisioning.KindDevice,
				Labels: map[string]string{"site": demoSite}, Roles: []string{provisioning.RoleParkingSensor},
			})
			if err != nil {
				return fmt.Errorf("provision a sensor: %w", err)
			}
			sensors[i] = devicesim.Sensor{Spot: spot, Credential: devicesim.Credential{ClientID: device.ID, ClientSecret: secret.Reveal()}}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	board, secret, err := service.Create(ctx, provisioning.NewClient{
		ID: "board", Kind: provisioning.KindService, Name: "The board at the entrance", Roles: []string{provisioning.RoleTelemetryReader},
	})
	if err != nil {
		return fmt.Errorf("provision the reader: %w", err)
	}
	d.reader, err = openDemoReader(ctx, d.program, Credential{ClientID: board.ID, ClientSecret: secret.Reveal()}, d.lot)
	if err != nil {
		return err
	}
	d.intruder = newIntruder(d.program, sensors[0].Credential, sensors[1].Credential, d.reader, d.view, d.opts.duration/10)
	return d.newFleet(sensors)
}

func (d *demo) newFleet(sensors []devicesim.Sensor) error {
	today := time.Now().UTC().Truncate(24 * time.Hour)
	var err error
	d.fleet, err = devicesim.New(devicesim.Config{
		TokenURL: d.program.tokenEndpoint(), BrokerURL: d.program.BrokerURL(), Site: demoSite, Sensors: sensors,
		Seed: d.opts.seed, Speed: d.opts.speed, Start: today.Add(demoMorning), Heartbeat: demoHeartbeat,
		ConnectRate: float64(max(50, d.opts.sensors/4)), StopTimeout: demoGrace / 2,
	})
	if err != nil {
		return fmt.Errorf("prepare the sensors: %w", err)
	}
	return nil
}

// draw shows a frame a few times a second until ctx ends, and then the last one.
func (d *demo) draw(ctx context.Context) {
	tick := time.NewTicker(frameEvery)
	defer tick.Stop()
	for {
		d.view.frame(d.frame())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (d *demo) frame() demoFrame {
	return demoFrame{
		elapsed: time.Since(d.started), total: d.opts.duration, url: d.program.URL(),
		sensors: d.opts.sensors, connected: d.fleet.Stats().Connected,
		lot: d.lot.counts(time.Now()), refusals: d.intruder.attempts(),
	}
}

// summary tells how it went. When the audience has not left before the end, an intrusion that was not refused is an error.
func (d *demo) summary(ctx context.Context, w io.Writer) error {
	stats, heard := d.fleet.Stats(), d.lot.counts(time.Now())
	_, _ = fmt.Fprintf(w, "\n%d sensors got %d tokens, connected %d times and published %d messages; the board heard %d.\n",
		stats.Sensors, stats.TokenRequests, stats.Connects, stats.Published, heard.messages)
	_, _ = fmt.Fprintf(w, "%d cars came and %d left; the board saw %d come and %d leave.\n", stats.Arrivals, stats.Departures, heard.arrivals, heard.departures)
	attempts := d.intruder.attempts()
	refused := 0
	for _, attempt := range attempts {
		if attempt.refused {
			refused++
		}
	}
	_, _ = fmt.Fprintf(w, "The intruder tried %d ways, %d were refused.\n", len(attempts), refused)
	whole := ctx.Err() == nil
	switch {
	case refused < len(attempts):
		return errors.New("an intrusion was not refused")
	case whole && len(attempts) < intruderAttempts:
		return fmt.Errorf("only %d of %d intrusions could be tried in %v: give it more time with --for", len(attempts), intruderAttempts, d.opts.duration)
	case whole && heard.messages == 0:
		return errors.New("the board heard nothing")
	}
	_, _ = fmt.Fprintln(w, "\nNext: boomgate serve, and the walk-through in README.md.")
	return nil
}
