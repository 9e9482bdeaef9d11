package bench_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/boomgate/boomgate/e2e/harness"
)

// liveSessions is how many devices are connected while something is measured.
var liveSessions = flag.Int("sessions", 10_000, "devices that are connected while something is measured")

// atOnce is how many requests are under way while a fleet is set up.
const atOnce = 16

// role is the one that every device of the fleet has.
const role = "meter"

// roleGrants is what the role grants; with wide, one topic more.
func roleGrants(wide bool) []map[string]any {
	scopes := []string{"pub:meter/{client_id}/power", "sub:meter/{client_id}/cmd/+"}
	if wide {
		scopes = append(scopes, "sub:meter/all/#")
	}
	return []map[string]any{{"audience": "boomgate:mqtt", "scopes": scopes}}
}

// fleet is a server with devices that are connected to it, each with its own credential, half of them over MQTT 5.0.
type fleet struct {
	server *harness.Server
	http   *http.Client
	bearer string
	made   int
	live   []*device
	closed percentiles // of those that were live
}

// device is one of them.
type device struct {
	harness.Credential

	token string
	wire  *harness.Wire
}

// startFleet starts a server and connects n devices.
func startFleet(b *testing.B, n int) *fleet {
	b.Helper()
	s := harness.StartServer(b, "--client-max-connects-per-minute", "0", "--log-level", "error", "--token-ttl", "6h")
	f := &fleet{
		server: s, bearer: s.OperatorToken(),
		http: &http.Client{Timeout: harness.Patience, Transport: &http.Transport{MaxIdleConnsPerHost: 2 * atOnce}},
	}
	_, err := f.call(http.MethodPost, "/v1/roles", map[string]any{"id": role, "grants": roleGrants(true)})
	harness.Must(b, err)
	f.live = f.connect(b, n)
	return f
}

// connect makes n devices and connects them.
func (f *fleet) connect(b *testing.B, n int) []*device {
	b.Helper()
	devices := make([]*device, n)
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i := range devices {
		id := fmt.Sprintf("meter-%06d", f.made+i)
		group.Go(func() (err error) {
			devices[i], err = f.provision(id)
			return err
		})
	}
	harness.Must(b, group.Wait())
	f.made += n
	for i, d := range devices {
		version := harness.Versions[i%len(harness.Versions)]
		d.wire = harness.Enter(b, f.server, version, harness.Hello{ID: d.ClientID, Password: d.token})
		d.wire.MustSubscribe(1, "meter/"+d.ClientID+"/cmd/+", "meter/all/news")
	}
	return devices
}

// provision makes a device and fetches its token.
func (f *fleet) provision(id string) (*device, error) {
	d := &device{}
	answer, err := f.call(http.MethodPost, "/v1/devices", map[string]any{"id": id, "roles": []string{role}})
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(answer, d); err != nil {
		return nil, err
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {d.ClientID}, "client_secret": {d.ClientSecret}}
	answer, err = f.send(http.MethodPost, "/oauth/token", "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	var token struct {
		Text string `json:"access_token"`
	}
	err = json.Unmarshal(answer, &token)
	d.token = token.Text
	return d, err
}

// call asks the fleet API as the operator root.
func (f *fleet) call(method, path string, body any) ([]byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return f.send(method, path, "application/json", bytes.NewReader(text))
}

func (f *fleet) send(method, path, media string, body io.Reader) ([]byte, error) {
	request, err := http.NewRequest(method, f.server.HTTP+path, body)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(path, "/v1/") {
		request.Header.Set("Authorization", "Bearer "+f.bearer)
	}
	request.Header.Set("Content-Type", media)
	response, err := f.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %d %s", method, path, response.StatusCode, answer)
	}
	return answer, err
}

// ended tells when a device sees the end of its connection.
func (d *device) ended() <-chan time.Time {
	seen := make(chan time.Time, 1)
	go func() {
		defer close(seen)
		if _, closed := d.wire.End(); closed {
			seen <- time.Now()
		}
	}()
	return seen
}

// percentiles are of the times that were measured.
type percentiles struct{ p50, p99, max time.Duration }

func measured(times []time.Duration) percentiles {
	slices.Sort(times)
	at := func(share float64) time.Duration { return times[min(len(times)-1, int(share*float64(len(times))))] }
	return percentiles{at(0.5), at(0.99), times[len(times)-1]}
}

// report adds the percentiles to the benchmark's line, and how often the median holds the baseline's.
func (p percentiles) report(b *testing.B, baseline percentiles) {
	b.Helper()
	for unit, value := range map[string]time.Duration{"p50-ms": p.p50, "p99-ms": p.p99, "max-ms": p.max} {
		b.ReportMetric(float64(value)/float64(time.Millisecond), unit)
	}
	b.ReportMetric(float64(p.p50)/float64(baseline.p50), "x-baseline")
	b.ReportMetric(0, "ns/op")
}
