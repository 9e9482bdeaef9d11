package devicesim

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"time"

	"github.com/boomgate/boomgate/device-sim/parking"
)

// Credential is what a sensor identifies itself with at the token endpoint. Its ClientID is also its MQTT client ID, its MQTT
// user name and its name in topics.
type Credential struct {
	ClientID     string
	ClientSecret string
}

// LogValue leaves the secret out.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.ClientID) }

// Sensor is one sensor: who it is and where it sits.
type Sensor struct {
	Credential
	Spot string // name of its parking space, such as b2-017; empty means SpotName of its place in Config.Sensors
}

// SpotName names the i-th space of a lot, counted from 0: a hundred on each floor, from b1-001 on.
func SpotName(i int) string { return fmt.Sprintf("b%d-%03d", i/100+1, i%100+1) }

// Config says which sensors to play, against which server, and how.
type Config struct {
	TokenURL  string // the token endpoint, http or https
	BrokerURL string // mqtt://host:1883, mqtts://host:8883, ws://host/mqtt, wss://host/mqtt (or tcp, ssl, tls)
	Audience  string // of the tokens; empty means boomgate:mqtt
	Site      string // of the lot, in topics
	Sensors   []Sensor

	Seed      uint64          // of the lot and of every jitter
	Start     time.Time       // when virtual time begins, by the lot's wall; zero means at Run
	Speed     float64         // of virtual time: 1 is real time, 600 ten minutes a second; 0 means 1
	Heartbeat time.Duration   // virtual; 0 means parking.DefaultHeartbeat
	Faults    *parking.Faults // of the sensors; nil means parking.DefaultFaults

	ConnectRate float64       // attempts to connect, a second, of all sensors together; 0 means 50
	Concurrency int           // attempts at once; 0 means 16
	KeepAlive   time.Duration // of MQTT, whole seconds; 0 means a minute
	Retry       Retry
	StopTimeout time.Duration // for an orderly end of Run; 0 means 5 s
	Backlog     int           // messages that a sensor keeps while it cannot send; 0 means 64

	TLS        *tls.Config  // for both the token endpoint and the broker; nil means the system's roots
	HTTPClient *http.Client // for the token endpoint; nil means one with timeouts, shared by all sensors
	// Dial opens the transport connection to the broker; nil means net.Dialer. TLS and WebSocket go on top.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Observe is told what happens, from many goroutines at once. It must not block: the sensors wait for it.
	Observe func(Event)
	Logger  *slog.Logger     // nil means silence
	Now     func() time.Time // nil means time.Now
}

// Retry says how long a sensor waits after a failure, in real time. Each wait is drawn from [0, limit), and the limit doubles with
// every failure in a row (full jitter).
type Retry struct {
	First time.Duration // limit after the first failure; 0 means 1 s
	Most  time.Duration // highest limit; 0 means a minute
	// Refused is the least wait after the token endpoint has refused the credential: nothing will change until an operator
	// acts. The wait is drawn from [Refused, 2·Refused), doubling up to 10·Refused. 0 means a minute.
	Refused time.Duration
}

// Bounds of a Config.
const (
	maxSensors = 100_000
	maxSpeed   = 100_000

	maxKeepAlive = 65_535 * time.Second // MQTT 3.1.1 §3.1.2.10
)

// What a name in a topic, and a client ID, may be.
var (
	topicName = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)
	clientID  = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)
)

// check names everything that is wrong with the Config.
func (c *Config) check() error {
	var faults []error
	blame := func(wrong bool, format string, args ...any) {
		if wrong {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	blame(!isURL(c.TokenURL, "http", "https"), "TokenURL %q is no http or https URL", c.TokenURL)
	blame(!isURL(c.BrokerURL, "mqtt", "tcp", "mqtts", "ssl", "tls", "ws", "wss"), "BrokerURL %q is no mqtt, mqtts, ws or wss URL", c.BrokerURL)
	blame(!topicName.MatchString(c.Site), "Site %q is not made of a-z, 0-9 and -", c.Site)
	blame(len(c.Sensors) == 0, "Sensors is empty")
	blame(len(c.Sensors) > maxSensors, "%d Sensors are more than %d", len(c.Sensors), maxSensors)
	blame(!(c.Speed >= 0 && c.Speed <= maxSpeed), "Speed %v is not in 0 to %d", c.Speed, maxSpeed)
	blame(!(c.ConnectRate >= 0), "ConnectRate %v is negative", c.ConnectRate)
	blame(c.Concurrency < 0, "Concurrency %d is negative", c.Concurrency)
	blame(c.KeepAlive != 0 && (c.KeepAlive < time.Second || c.KeepAlive > maxKeepAlive), "KeepAlive %v is not in 1s to %v", c.KeepAlive, maxKeepAlive)
	blame(c.Backlog < 0, "Backlog %d is negative", c.Backlog)
	for name, d := range map[string]time.Duration{
		"Heartbeat": c.Heartbeat, "StopTimeout": c.StopTimeout,
		"Retry.First": c.Retry.First, "Retry.Most": c.Retry.Most, "Retry.Refused": c.Retry.Refused,
	} {
		blame(d < 0, "%s %v is negative", name, d)
	}
	return errors.Join(append(faults, checkSensors(c.Sensors)...)...)
}

func checkSensors(sensors []Sensor) []error {
	var faults []error
	ids, spots := map[string]bool{}, map[string]bool{}
	for i, s := range sensors {
		switch {
		case !clientID.MatchString(s.ClientID):
			faults = append(faults, fmt.Errorf("sensor %d: client ID %q is not made of a-z, 0-9 and -", i, s.ClientID))
		case ids[s.ClientID]:
			faults = append(faults, fmt.Errorf("sensor %d: client ID %q is used twice", i, s.ClientID))
		case s.ClientSecret == "":
			faults = append(faults, fmt.Errorf("sensor %d (%s) has no client secret", i, s.ClientID))
		}
		if s.Spot != "" && (!topicName.MatchString(s.Spot) || spots[s.Spot]) {
			faults = append(faults, fmt.Errorf("sensor %d (%s): spot %q is used twice or not made of a-z, 0-9 and -", i, s.ClientID, s.Spot))
		}
		ids[s.ClientID], spots[s.Spot] = true, true
	}
	return faults
}

func isURL(text string, schemes ...string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return false
	}
	return slices.Contains(schemes, u.Scheme)
}

// setDefaults fills in what the zero values mean.
func (c *Config) setDefaults() {
	c.Sensors = append([]Sensor(nil), c.Sensors...)
	for i := range c.Sensors {
		orDefault(&c.Sensors[i].Spot, SpotName(i))
	}
	orDefault(&c.Audience, "boomgate:mqtt")
	orDefault(&c.Speed, 1)
	orDefault(&c.ConnectRate, 50)
	orDefault(&c.Concurrency, 16)
	orDefault(&c.KeepAlive, time.Minute)
	orDefault(&c.Retry.First, time.Second)
	orDefault(&c.Retry.Most, time.Minute)
	orDefault(&c.Retry.Refused, time.Minute)
	orDefault(&c.StopTimeout, 5*time.Second)
	orDefault(&c.Backlog, 64)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Observe == nil {
		c.Observe = func(Event) {}
	}
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
