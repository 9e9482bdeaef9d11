package accesstoken_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/boomgate/boomgate/authhook/accesstoken"
)

func TestJ5_EveryFaultOfARemoteSetsConfigurationIsNamedAtOnce(t *testing.T) {
	t.Parallel()
	_, err := accesstoken.NewRemoteKeys(accesstoken.RemoteConfig{
		URL: "ftp://x", MinInterval: -1, MaxAge: -2, MaxStale: -3, Timeout: -1, MaxSize: -1, MaxKeys: -1,
	})
	if err == nil {
		t.Fatal("a configuration full of faults is accepted")
	}
	for _, fault := range []string{"URL", "interval is negative", "maximal age", "staleness", "timeout", "size", "number of keys"} {
		if !strings.Contains(err.Error(), fault) {
			t.Errorf("%v does not name %s", err, fault)
		}
	}
	for what, cfg := range map[string]accesstoken.RemoteConfig{
		"an interval longer than the default age": {URL: setURL, MinInterval: time.Hour},
		"an age longer than the default stale":    {URL: setURL, MaxAge: 25 * time.Hour},
		"a size of 1 GiB":                         {URL: setURL, MaxSize: 1 << 30},
	} {
		if _, err := accesstoken.NewRemoteKeys(cfg); err == nil {
			t.Errorf("%s is accepted", what)
		}
	}
}

func TestJ2_ASetIsFetchedOverHTTPSOrFromThisMachineAlone(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"https://issuer.example/jwks", "https://issuer.example:8443/jwks?p=x", "http://127.0.0.1:8080/jwks", "http://127.1.2.3/", "http://[::1]:1/x",
		"http://localhost/jwks",
	} {
		if _, err := accesstoken.NewRemoteKeys(accesstoken.RemoteConfig{URL: good}); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "issuer.example", "/jwks", "file:///etc/passwd", "http://issuer.example/jwks", "http://10.0.0.1/", "http://localhost.evil.example/",
		"http://127.0.0.1.evil.example/", "http://0.0.0.0/", "http://2130706433/", "https:///jwks", "https://:443/", "https://canary:canary@issuer.example/",
		"https://issuer.example/#x", "https://issuer.example/\x00", "ftp://localhost/", "HTTP://issuer.example/",
	} {
		_, err := accesstoken.NewRemoteKeys(accesstoken.RemoteConfig{URL: bad})
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v, want a refusal that does not repeat it", bad, err)
		}
	}
}

func TestJ2_AnAnswerThatIsNoSetChangesNothing(t *testing.T) {
	t.Parallel()
	good := edSet(t, edKeyID)
	for what, answer := range map[string]*http.Response{
		"500 with a set":      reply(http.StatusInternalServerError, bytes.NewReader(good)),
		"404":                 reply(http.StatusNotFound, strings.NewReader("not found")),
		"204":                 reply(http.StatusNoContent, strings.NewReader("")),
		"206 with a set":      reply(http.StatusPartialContent, bytes.NewReader(good)),
		"304":                 reply(http.StatusNotModified, strings.NewReader("")),
		"HTML":                reply(http.StatusOK, strings.NewReader("<!DOCTYPE html><title>Sign in</title>")),
		"nothing":             reply(http.StatusOK, strings.NewReader("")),
		"no keys":             reply(http.StatusOK, strings.NewReader("{}")),
		"an empty set":        reply(http.StatusOK, strings.NewReader(`{"keys":[]}`)),
		"an error":            reply(http.StatusOK, strings.NewReader(`{"error":"server_error"}`)),
		"a truncated set":     reply(http.StatusOK, bytes.NewReader(good[:len(good)-1])),
		"two sets":            reply(http.StatusOK, bytes.NewReader(append(bytes.Clone(good), good...))),
		"keys twice":          reply(http.StatusOK, strings.NewReader(strings.TrimSuffix(string(good), "}")+`,"keys":[]}`)),
		"deep":                reply(http.StatusOK, strings.NewReader(strings.Repeat(`{"keys":[`, 1000))),
		"not UTF-8":           reply(http.StatusOK, strings.NewReader(`{"x":"`+"\xff"+`",`+string(good[1:]))),
		"huge":                reply(http.StatusOK, strings.NewReader(string(good)+strings.Repeat(" ", 256<<10))),
		"endless":             reply(http.StatusOK, endless{}),
		"too many keys":       reply(http.StatusOK, bytes.NewReader(edSet(t, manyIDs(101)...))),
		"unusable keys alone": reply(http.StatusOK, strings.NewReader(`{"keys":[{"kty":"oct","kid":"ed-1","k":"AAAA"}]}`)),
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, keys := newSite(t)
				expect(t, keys, edKeyID, nil)
				s.play(func(*http.Request) (*http.Response, error) { return answer, nil })
				pass(minInterval)
				expect(t, keys, "unknown", accesstoken.ErrKeysUnavailable)
				expect(t, keys, edKeyID, nil)
				expectFetches(t, s, 2)
			})
		})
	}
}

// endless is a body of spaces without end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestJ2_ASlowSetIsGivenUpAfterTheTimeout(t *testing.T) {
	t.Parallel()
	for what, play := range map[string]func(*http.Request) (*http.Response, error){
		"no answer": func(request *http.Request) (*http.Response, error) {
			<-request.Context().Done()
			return nil, request.Context().Err()
		},
		"a byte a second": func(request *http.Request) (*http.Response, error) {
			return reply(http.StatusOK, drip{request.Context()}), nil
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, keys := newSite(t)
				s.play(play)
				begin := time.Now()
				expect(t, keys, edKeyID, accesstoken.ErrKeysUnavailable)
				if d := time.Since(begin); d != timeout {
					t.Errorf("the caller waited %v, want %v", d, timeout)
				}
			})
		})
	}
}

// drip is a body of one space a second that never ends before its context.
type drip struct{ ctx context.Context }

func (d drip) Read(p []byte) (int, error) {
	select {
	case <-time.After(time.Second):
		p[0] = ' '
		return 1, nil
	case <-d.ctx.Done():
		return 0, d.ctx.Err()
	}
}

func manyIDs(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprint("k", i)
	}
	return ids
}

func TestASetMayHoldAsManyKeysAsAllowed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, keys := newSite(t)
		s.serve(edSet(t, manyIDs(100)...))
		expect(t, keys, "k99", nil)
	})
}

func TestJ2_KeysThatCheckNoSignatureArePassedOver(t *testing.T) {
	t.Parallel()
	k := keys()
	secret := []byte("0123456789abcdef0123456789abcdef")
	set := jwks(t,
		jose.JSONWebKey{Key: k.ed.Public(), KeyID: edKeyID, Use: "sig"},
		jose.JSONWebKey{Key: secret, KeyID: "oct", Algorithm: "HS256", Use: "sig"},
		jose.JSONWebKey{Key: k.rsa.Public(), KeyID: "enc", Algorithm: "RSA-OAEP", Use: "enc"},
		jose.JSONWebKey{Key: k.rsa, KeyID: "private"},
		jose.JSONWebKey{Key: k.ec384.Public(), KeyID: "curve"},
		jose.JSONWebKey{Key: k.rsa.Public(), KeyID: "pss", Algorithm: "PS256"},
		jose.JSONWebKey{Key: k.otherEd.Public()},
		jose.JSONWebKey{Key: k.ed.Public(), KeyID: "twice"},
		jose.JSONWebKey{Key: k.otherEd.Public(), KeyID: "twice"},
		jose.JSONWebKey{Key: k.ed.Public(), KeyID: "twice"},
		jose.JSONWebKey{Key: k.rsa.Public(), KeyID: "both", Use: "enc"},
		jose.JSONWebKey{Key: k.ed.Public(), KeyID: "both"},
	)
	synctest.Test(t, func(t *testing.T) {
		s, remote := newSite(t)
		s.serve(set)
		v := verifier(t, func(c *accesstoken.Config) { c.Keys = remote })
		payload := goodClaims().json(t)
		header := func(alg, kid string) string { return fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"at+jwt"}`, alg, kid) }
		if _, err := v.Verify(t.Context(), signEd(t, edHeader, payload)); err != nil {
			t.Errorf("the usable key: %v", err)
		}
		checkRefusals(t, v, map[string]refusal{
			"signed with the shared secret":   {sign(t, jwt.SigningMethodHS256, secret, header("HS256", "oct"), payload), accesstoken.ErrAlgorithm},
			"the shared secret for EdDSA":     {signEd(t, header("EdDSA", "oct"), payload), accesstoken.ErrUnknownKey},
			"the key for encryption":          {sign(t, jwt.SigningMethodRS256, k.rsa, header("RS256", "enc"), payload), accesstoken.ErrUnknownKey},
			"the published private key":       {sign(t, jwt.SigningMethodRS256, k.rsa, header("RS256", "private"), payload), accesstoken.ErrUnknownKey},
			"the key for PSS":                 {sign(t, jwt.SigningMethodRS256, k.rsa, header("RS256", "pss"), payload), accesstoken.ErrUnknownKey},
			"the wrong curve":                 {sign(t, jwt.SigningMethodES384, k.ec384, header("ES256", "curve"), payload), accesstoken.ErrUnknownKey},
			"no key ID":                       {sign(t, jwt.SigningMethodEdDSA, k.otherEd, header("EdDSA", ""), payload), accesstoken.ErrUnknownKey},
			"the first of three with one ID":  {signEd(t, header("EdDSA", "twice"), payload), accesstoken.ErrUnknownKey},
			"the second of three with one ID": {sign(t, jwt.SigningMethodEdDSA, k.otherEd, header("EdDSA", "twice"), payload), accesstoken.ErrUnknownKey},
			"another key under a good ID":     {sign(t, jwt.SigningMethodEdDSA, k.otherEd, edHeader, payload), accesstoken.ErrSignature},
		})
		if _, err := v.Verify(t.Context(), signEd(t, header("EdDSA", "both"), payload)); err != nil {
			t.Errorf("a key ID that an unusable key has as well: %v", err)
		}
	})
}

func TestWhatSurroundsAPublicKeyIsNotRead(t *testing.T) {
	t.Parallel()
	plain, err := json.Marshal(jose.JSONWebKey{Key: keys().rsa.Public(), KeyID: rsaKeyID, Algorithm: "RS256", Use: "sig"})
	if err != nil {
		t.Fatal(err)
	}
	for what, member := range map[string]string{
		"a broken certificate": `"x5c":["AAAA"]`, "a thumbprint of another": `"x5t":"AAAA"`, "an address": `"x5u":"https://evil.example/"`, "their own": `"x":1`,
	} {
		set, err := accesstoken.ParseJWKS([]byte(`{"keys":[` + strings.TrimSuffix(string(plain), "}") + "," + member + `}]}`))
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if _, err := set.Key(t.Context(), rsaKeyID, "RS256"); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestJ2_ARedirectIsFollowedOnTheSameHostAlone(t *testing.T) {
	t.Parallel()
	set := edSet(t, edKeyID)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("another host is asked for %s", r.URL)
		_, _ = w.Write(set)
	}))
	t.Cleanup(elsewhere.Close)
	mux := http.NewServeMux()
	mux.HandleFunc("/jwks", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(set) })
	for path, target := range map[string]string{
		"/here": "/jwks", "/host": elsewhere.URL + "/jwks", "/loop": "/loop", "/file": "file:///etc/passwd", "/name": "http://localhost:1/jwks",
		"/downgrade": "http://{host}/jwks", "/upgrade": "https://{host}/jwks",
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, strings.ReplaceAll(target, "{host}", r.Host), http.StatusFound)
		})
	}
	plain, secure := httptest.NewServer(mux), httptest.NewUnstartedServer(mux)
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	secure.StartTLS()
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)

	for address, want := range map[string]error{
		plain.URL + "/jwks": nil, plain.URL + "/here": nil, secure.URL + "/jwks": nil, secure.URL + "/here": nil,
		plain.URL + "/host": accesstoken.ErrKeysUnavailable, plain.URL + "/loop": accesstoken.ErrKeysUnavailable,
		plain.URL + "/file": accesstoken.ErrKeysUnavailable, plain.URL + "/name": accesstoken.ErrKeysUnavailable,
		plain.URL + "/upgrade": accesstoken.ErrKeysUnavailable, secure.URL + "/downgrade": accesstoken.ErrKeysUnavailable,
		secure.URL + "/host": accesstoken.ErrKeysUnavailable,
	} {
		cfg := accesstoken.RemoteConfig{URL: address}
		if strings.HasPrefix(address, "https") {
			cfg.Client = secure.Client()
		}
		expect(t, remoteKeys(t, cfg), edKeyID, want)
	}
	if secure.Client().CheckRedirect != nil {
		t.Error("the given client has been changed")
	}
	expect(t, remoteKeys(t, accesstoken.RemoteConfig{URL: secure.URL + "/jwks"}), edKeyID, accesstoken.ErrKeysUnavailable) // a certificate of nobody
}

func TestJ2_ARedirectStaysOnItsSchemeAndEnds(t *testing.T) {
	t.Parallel()
	for target, fetches := range map[string]int64{"http://issuer.example/jwks": 1, "https://issuer.example:8443/jwks": 1, setURL: 4} {
		s, keys := &site{}, edSet(t, edKeyID)
		s.play(func(request *http.Request) (*http.Response, error) {
			if request.URL.String() != setURL {
				return reply(http.StatusOK, bytes.NewReader(keys)), nil
			}
			answer := reply(http.StatusFound, strings.NewReader(""))
			answer.Header.Set("Location", target)
			return answer, nil
		})
		expect(t, remoteKeys(t, accesstoken.RemoteConfig{URL: setURL, Client: &http.Client{Transport: s}}), edKeyID, accesstoken.ErrKeysUnavailable)
		expectFetches(t, s, fetches)
	}
}
