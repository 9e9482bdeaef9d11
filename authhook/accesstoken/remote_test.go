package accesstoken_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/boomgate/boomgate/authhook/accesstoken"
)

const (
	setURL      = "https://issuer.example/jwks"
	minInterval = 30 * time.Second
	maxAge      = 10 * time.Minute
	maxStale    = time.Hour
	timeout     = 3 * time.Second
)

// A site is an issuer's server, played by a function: it answers every request, counts them, and may be changed at any time.
type site struct {
	answer  atomic.Pointer[func(*http.Request) (*http.Response, error)]
	fetches atomic.Int64
}

func (s *site) RoundTrip(request *http.Request) (*http.Response, error) {
	s.fetches.Add(1)
	return (*s.answer.Load())(request)
}

func (s *site) play(answer func(*http.Request) (*http.Response, error)) { s.answer.Store(&answer) }

// serve answers every request from now on with 200 and body.
func (s *site) serve(body []byte) {
	s.play(func(*http.Request) (*http.Response, error) { return reply(http.StatusOK, bytes.NewReader(body)), nil })
}

// fail answers every request from now on with 500.
func (s *site) fail() {
	s.play(func(*http.Request) (*http.Response, error) {
		return reply(http.StatusInternalServerError, strings.NewReader("no")), nil
	})
}

// hang answers no request from now on.
func (s *site) hang() {
	s.play(func(request *http.Request) (*http.Response, error) {
		<-request.Context().Done()
		return nil, request.Context().Err()
	})
}

func reply(status int, body io.Reader) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(body)}
}

// newSite returns a site that serves a set with the key edKeyID alone, and the RemoteKeys of it.
func newSite(tb testing.TB) (*site, *accesstoken.RemoteKeys) {
	tb.Helper()
	s := &site{}
	s.serve(edSet(tb, edKeyID))
	return s, remoteKeys(tb, accesstoken.RemoteConfig{
		URL: setURL, Client: &http.Client{Transport: s}, MinInterval: minInterval, MaxAge: maxAge, MaxStale: maxStale, Timeout: timeout,
	})
}

func remoteKeys(tb testing.TB, cfg accesstoken.RemoteConfig) *accesstoken.RemoteKeys {
	tb.Helper()
	keys, err := accesstoken.NewRemoteKeys(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return keys
}

// edSet writes a set with one key under several IDs.
func edSet(tb testing.TB, kids ...string) []byte {
	tb.Helper()
	set := make([]jose.JSONWebKey, 0, len(kids))
	for _, kid := range kids {
		set = append(set, jose.JSONWebKey{Key: keys().ed.Public(), KeyID: kid, Algorithm: "EdDSA", Use: "sig"})
	}
	return jwks(tb, set...)
}

// expect asks for a key and fails unless the answer is as wanted: nil for a key, a sentinel for none.
func expect(t *testing.T, keys *accesstoken.RemoteKeys, kid string, want error) {
	t.Helper()
	key, err := keys.Key(t.Context(), kid, "EdDSA")
	if !errors.Is(err, want) || (err == nil) != (key != nil) {
		t.Errorf("key %q: %v, %v; want the error %v", kid, key, err, want)
	}
}

func expectFetches(t *testing.T, s *site, want int64) {
	t.Helper()
	if got := s.fetches.Load(); got != want {
		t.Errorf("the set was fetched %d times, want %d", got, want)
	}
}

// pass lets time go by, in a bubble, in which nothing takes time itself.
func pass(d time.Duration) { <-time.After(d) }

func TestASetIsFetchedWhenTheFirstKeyIsAskedForAndNotBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, keys := newSite(t)
		expectFetches(t, s, 0)
		for range 3 {
			expect(t, keys, edKeyID, nil)
			pass(maxAge / 3)
		}
		expectFetches(t, s, 1)
		if _, err := keys.Key(t.Context(), edKeyID, "RS256"); !errors.Is(err, accesstoken.ErrAlgorithm) {
			t.Errorf("for another algorithm: %v", err)
		}
	})
}

func TestJ2_AFloodOfUnknownKeyIDsCausesOneFetchPerInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, keys := newSite(t)
		expect(t, keys, edKeyID, nil)
		for round := range int64(5) {
			var flood sync.WaitGroup
			for i := range 200 {
				flood.Go(func() { expect(t, keys, fmt.Sprintf("unknown-%d-%d", round, i), accesstoken.ErrUnknownKey) })
			}
			flood.Wait()
			expect(t, keys, edKeyID, nil)
			expectFetches(t, s, 1+round)
			pass(minInterval - time.Nanosecond)
			expect(t, keys, "unknown", accesstoken.ErrUnknownKey)
			expectFetches(t, s, 1+round)
			pass(time.Nanosecond)
		}
	})
}

func TestJ2_NoKeyIDReachesTheIssuer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, keys := newSite(t)
		set := edSet(t, edKeyID)
		s.play(func(request *http.Request) (*http.Response, error) {
			if request.URL.String() != setURL || request.Method != http.MethodGet || request.ContentLength != 0 {
				t.Errorf("the issuer is asked for %s %s", request.Method, request.URL)
			}
			return reply(http.StatusOK, bytes.NewReader(set)), nil
		})
		for _, kid := range []string{"../../etc/passwd", "https://evil.example/jwks", "x' OR 1=1 --", "x?y=z", "\r\nHost: evil.example"} {
			expect(t, keys, kid, accesstoken.ErrUnknownKey)
			pass(minInterval)
		}
		expectFetches(t, s, 5)
	})
}

func TestAKeyThatIsNewAtTheIssuerIsFoundAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, keys := newSite(t)
		expect(t, keys, edKeyID, nil)
		s.serve(edSet(t, edKeyID, "new"))
		pass(minInterval)
		expect(t, keys, "new", nil)
		expect(t, keys, edKeyID, nil)
		expectFetches(t, s, 2)
	})
}

func TestAKeyThatTheIssuerWithdrawsIsRefusedAfterTheMaximalAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, keys := newSite(t)
		expect(t, keys, edKeyID, nil)
		s.serve(edSet(t, "new"))
		pass(maxAge)
		expect(t, keys, edKeyID, nil)
		pass(time.Nanosecond)
		expect(t, keys, edKeyID, accesstoken.ErrUnknownKey)
		expect(t, keys, "new", nil)
		expectFetches(t, s, 2)
	})
}

func TestOlderKeysServeWhileFetchingFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, keys := newSite(t)
		expect(t, keys, edKeyID, nil)
		s.fail()
		pass(maxAge + time.Nanosecond)
		for age := maxAge; age < maxStale; age += minInterval {
			expect(t, keys, edKeyID, nil)
			expect(t, keys, "unknown", accesstoken.ErrKeysUnavailable)
			pass(minInterval)
		}
		expect(t, keys, edKeyID, accesstoken.ErrKeysUnavailable)
		synctest.Wait()
		if most := int64(2 + (maxStale-maxAge)/minInterval); s.fetches.Load() > most {
			t.Errorf("the set was fetched %d times, want at most %d", s.fetches.Load(), most)
		}

		s.serve(edSet(t, edKeyID))
		pass(minInterval)
		expect(t, keys, edKeyID, nil)
		expect(t, keys, "unknown", accesstoken.ErrUnknownKey)
	})
}

func TestOnceAFetchHasFailedNobodyWaitsForTheNextOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, keys := newSite(t)
		expect(t, keys, edKeyID, nil)
		s.hang()
		pass(maxAge + time.Nanosecond)
		waited := func() time.Duration {
			begin := time.Now()
			expect(t, keys, edKeyID, nil)
			return time.Since(begin)
		}
		if d := waited(); d != timeout {
			t.Errorf("the first caller waited %v, want the timeout of a fetch", d)
		}
		for range 5 {
			pass(minInterval)
			if d := waited(); d != 0 {
				t.Errorf("a later caller waited %v", d)
			}
		}
		synctest.Wait()
		expectFetches(t, s, 7)

		s.serve(edSet(t, "new"))
		pass(minInterval)
		expect(t, keys, edKeyID, nil) // the last time: its fetch in the background brings a set without the key
		synctest.Wait()
		expect(t, keys, edKeyID, accesstoken.ErrUnknownKey)
	})
}

func TestWithoutAnyKeysTheFaultIsTheCallersAndTheNextFetchIsAnIntervalAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, keys := newSite(t)
		s.fail()
		for range 3 {
			_, err := keys.Key(t.Context(), edKeyID, "EdDSA")
			if !errors.Is(err, accesstoken.ErrKeysUnavailable) || !strings.Contains(err.Error(), "500") {
				t.Errorf("%v does not name the cause", err)
			}
		}
		expectFetches(t, s, 1)
		s.serve(edSet(t, edKeyID))
		pass(minInterval)
		expect(t, keys, edKeyID, nil)
	})
}

func TestManyCallersShareOneFetch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, keys := newSite(t)
		set, release := edSet(t, edKeyID), make(chan struct{})
		s.play(func(*http.Request) (*http.Response, error) {
			<-release
			return reply(http.StatusOK, bytes.NewReader(set)), nil
		})
		var callers sync.WaitGroup
		for range 100 {
			callers.Go(func() { expect(t, keys, edKeyID, nil) })
		}
		synctest.Wait()
		expectFetches(t, s, 1)
		close(release)
		callers.Wait()
		expectFetches(t, s, 1)
	})
}

func TestJ2_ACallerThatComesJustTooLateForAFetchBeginsNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, late := &site{}, make(chan struct{})
		s.serve(edSet(t, edKeyID))
		var holdNext atomic.Bool // the next caller that asks the time
		keys := remoteKeys(t, accesstoken.RemoteConfig{URL: setURL, Client: &http.Client{Transport: s}, MinInterval: minInterval, Now: func() time.Time {
			now := time.Now()
			if holdNext.CompareAndSwap(true, false) {
				<-late
			}
			return now
		}})
		expect(t, keys, edKeyID, nil)
		pass(minInterval)
		holdNext.Store(true)
		var caller sync.WaitGroup
		caller.Go(func() { expect(t, keys, "unknown", accesstoken.ErrUnknownKey) })
		synctest.Wait() // it knows that a fetch is due, and has not begun one
		expect(t, keys, "unknown", accesstoken.ErrUnknownKey)
		close(late)
		caller.Wait()
		expectFetches(t, s, 2)
	})
}

func TestACallerWhoseTimeIsOverDoesNotWaitAndTheFetchGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, keys := newSite(t)
		set, release := edSet(t, edKeyID), make(chan struct{})
		s.play(func(request *http.Request) (*http.Response, error) {
			select {
			case <-release:
				return reply(http.StatusOK, bytes.NewReader(set)), nil
			case <-request.Context().Done():
				return nil, request.Context().Err()
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		_, err := keys.Key(ctx, edKeyID, "EdDSA")
		if !errors.Is(err, accesstoken.ErrKeysUnavailable) || !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Second {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
		close(release)
		synctest.Wait()
		expect(t, keys, edKeyID, nil)
		expectFetches(t, s, 1)

		// With older keys at hand they serve a caller who cannot wait.
		s.hang()
		pass(maxAge + time.Nanosecond)
		over, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := keys.Key(over, edKeyID, "EdDSA"); err != nil {
			t.Errorf("older keys: %v", err)
		}
		pass(timeout) // the bubble does not end before the fetch has
	})
}

func TestTheLoggerHearsOfWhatNoCallerSees(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := &site{}
		keys := remoteKeys(t, accesstoken.RemoteConfig{
			URL: setURL, Client: &http.Client{Transport: s}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		said := func(want string) {
			t.Helper()
			if text := log.String(); (want == "") != (text == "") || !strings.Contains(text, want) || strings.Contains(text, "canary") {
				t.Errorf("the log says %q, want %q", text, want)
			}
			log.Reset()
		}
		s.fail()
		expect(t, keys, edKeyID, accesstoken.ErrKeysUnavailable)
		said("")
		s.serve([]byte(`{"keys":[{"kty":"oct","kid":"a","k":"canary"},` + strings.TrimPrefix(string(edSet(t, edKeyID)), `{"keys":[`)))
		pass(time.Minute)
		expect(t, keys, edKeyID, nil)
		said("symmetric")
		pass(time.Hour)
		expect(t, keys, edKeyID, nil)
		said("") // the same set
		s.fail()
		pass(time.Hour)
		expect(t, keys, edKeyID, nil)
		said("answer 500")
	})
}
