package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/boomgate/boomgate/e2e/harness"
)

// TestEveryAcknowledgedDeviceSurvivesKill9 kills the server in the middle of 1,000 creations.
func TestEveryAcknowledgedDeviceSurvivesKill9(t *testing.T) {
	t.Parallel()
	const devices, workers, killAfter = 1000, 8, 400
	s := harness.StartServer(t)
	bearer := s.OperatorToken()

	var (
		mu           sync.Mutex
		acknowledged []harness.Credential
		count        atomic.Int64
		next         atomic.Int64
		kill         = make(chan struct{})
		group        sync.WaitGroup
	)
	for range workers {
		group.Go(func() {
			for n := next.Add(1); n <= devices; n = next.Add(1) {
				c, err := createDevice(s.HTTP, bearer, fmt.Sprintf("dev-%04d", n))
				if err != nil {
					return // the server is gone
				}
				mu.Lock()
				acknowledged = append(acknowledged, c)
				mu.Unlock()
				if count.Add(1) == killAfter {
					close(kill)
				}
			}
		})
	}
	<-kill
	s.Kill()
	group.Wait()
	if len(acknowledged) < killAfter || len(acknowledged) == devices {
		t.Fatalf("%d devices were acknowledged; the kill came at the wrong moment", len(acknowledged))
	}

	s.Restart()
	for _, c := range acknowledged {
		s.Token(c)
	}
	known := map[string]bool{}
	for _, c := range acknowledged {
		known[c.ClientID] = true
	}
	// A device whose creation was not acknowledged is either absent or whole.
	for _, d := range listDevices(t, s) {
		if d.ID == "" || d.Status != "active" || len(d.Secrets) != 1 || d.Version == 0 {
			t.Errorf("half-made device after the restart: %+v", d)
		}
		delete(known, d.ID)
	}
	if len(known) != 0 {
		t.Errorf("%d acknowledged devices are not in the list", len(known))
	}
}

type deviceRecord struct {
	ID      string            `json:"id"`
	Status  string            `json:"status"`
	Version int               `json:"version"`
	Secrets []json.RawMessage `json:"secrets"`
}

func listDevices(tb testing.TB, s *harness.Server) []deviceRecord {
	tb.Helper()
	bearer := s.OperatorToken()
	var all []deviceRecord
	for cursor := ""; ; {
		req, err := http.NewRequest(http.MethodGet, s.HTTP+"/v1/devices?limit=500&cursor="+cursor, nil)
		harness.Must(tb, err)
		req.Header.Set("Authorization", "Bearer "+bearer)
		resp, err := http.DefaultClient.Do(req)
		harness.Must(tb, err)
		var page struct {
			Items []deviceRecord `json:"items"`
			Next  string         `json:"next_cursor"`
		}
		err = json.NewDecoder(resp.Body).Decode(&page)
		_ = resp.Body.Close()
		harness.Must(tb, err)
		all = append(all, page.Items...)
		if page.Next == "" {
			return all
		}
		cursor = page.Next
	}
}

func createDevice(base, bearer, id string) (harness.Credential, error) {
	body, err := json.Marshal(map[string]any{"id": id, "labels": map[string]string{"site": "north"}, "roles": []string{"parking-sensor"}})
	if err != nil {
		return harness.Credential{}, err
	}
	req, err := http.NewRequest(http.MethodPost, base+"/v1/devices", bytes.NewReader(body))
	if err != nil {
		return harness.Credential{}, err
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return harness.Credential{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return harness.Credential{}, err
	}
	if resp.StatusCode != http.StatusCreated {
		return harness.Credential{}, fmt.Errorf("create %s: %d %s", id, resp.StatusCode, text)
	}
	var c harness.Credential
	return c, json.Unmarshal(text, &c)
}
