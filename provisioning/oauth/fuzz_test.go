package oauth_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/boomgate/boomgate/authhook/topicacl"
	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/oauth"
)

// onlySensor is a registry of one client, with the secret "right", and a minter that keeps what it was asked for.
type onlySensor struct{ minted *provisioning.AccessToken }

func (*onlySensor) Authenticate(_ context.Context, id, secret string) (*provisioning.Client, string, error) {
	if id != "sensor" || secret != "right" {
		return nil, "", provisioning.ErrUnauthenticated
	}
	return &provisioning.Client{ID: id}, "s1", nil
}

func (*onlySensor) Scopes(_ context.Context, _ *provisioning.Client, audience string) ([]string, error) {
	if audience != provisioning.AudienceMQTT {
		return nil, nil
	}
	return []string{"pub:a/+/state", "sub:a/#"}, nil
}

func (*onlySensor) Audiences(context.Context, *provisioning.Client) ([]string, error) {
	return []string{provisioning.AudienceMQTT}, nil
}

func (o *onlySensor) Mint(_ context.Context, t provisioning.AccessToken) (string, time.Time, error) {
	o.minted = &t
	return "token", time.Unix(3600, 0), nil
}

func serveInProcess(h *oauth.Handler, r *http.Request) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	newMux(h).ServeHTTP(recorder, r)
	return recorder
}

// FuzzTokenRequest sends arbitrary bodies, headers and queries: whatever they are, the answer is well-formed, and a token
// is for the one client, the one audience and nothing that the client does not hold.
func FuzzTokenRequest(f *testing.F) {
	const form, object = "grant_type=client_credentials&client_id=sensor&client_secret=right",
		`"grant_type":"client_credentials","client_id":"sensor","client_secret":"right"`
	for _, seed := range [][4]string{
		{formType, "", "", form},
		{formType + "; charset=utf-8", "", "", form + "&scope=pub%3Aa%2F%2B%2Fstate+sub%3Aa%2Fb&audience=boomgate%3Amqtt"},
		{formType, "", "", form + "&scope=sub:a/+/b"},
		{formType, "", "", form + "&scope=sub:%23&audience=boomgate:fleet"},
		{formType, "", "", form + "&client_id=sensor&%zz;"},
		{formType, "", "client_secret=right", form},
		{formType, "Basic c2Vuc29yOnJpZ2h0", "", "grant_type=client_credentials"},
		{formType, "Basic c2Vuc29yOnJpZ2h0", "", form},
		{formType, "Bearer x", "a=b", "grant_type=password"},
		{jsonType, "", "", "{" + object + "}"},
		{jsonType, "", "", "{" + object + `,"scope":["sub:a/b","pub:a/x/state?qos=0"],"audience":["boomgate:mqtt"]}`},
		{jsonType, "", "", "{" + object + `,"scope":"sub:a/b sub:#","audience":"boomgate:mqtt"}`},
		{jsonType, "", "", "{" + object + `,"client\u005fid":"sensor"}`},
		{jsonType, "Basic c2Vuc29yOnJpZ2h0", "", `{"grant_type":"client_credentials","scope":null,"x":[[{}]]}`},
		{jsonType, "", "", `[{"scope":{}}]` + "\xff"},
		{"text/plain", "", "", "x"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	held := []string{"pub:a/+/state", "sub:a/#"}
	f.Fuzz(func(t *testing.T, contentType, authorization, query, body string) {
		sensor := new(onlySensor)
		handler, err := oauth.New(oauth.Config{
			Issuer: issuerURL, Registry: sensor, Minter: sensor, Covers: topicacl.Covers, JWKS: func() []byte { return nil },
			Now: func() time.Time { return time.Unix(0, 0) }, Rand: strings.NewReader("123456789012"), Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		r := newRequest(t, http.MethodPost, "/oauth/token", contentType, body)
		r.URL.RawQuery = query
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		recorder := serveInProcess(handler, r)
		a := answer{status: recorder.Code, header: recorder.Header(), body: recorder.Body.String()}
		if err := json.Unmarshal(recorder.Body.Bytes(), &a); err != nil {
			t.Fatalf("the answer is not JSON: %q", a.body)
		}
		checkAnswer(t, a)
		if a.status >= http.StatusInternalServerError {
			t.Errorf("the server failed: %d %s", a.status, a.body)
		}
		if (a.status == http.StatusOK) != (sensor.minted != nil) {
			t.Fatalf("answer is %d, minted %+v", a.status, sensor.minted)
		}
		if sensor.minted == nil {
			return
		}
		if sensor.minted.ClientID != "sensor" || !slices.Equal(sensor.minted.Audience, []string{provisioning.AudienceMQTT}) ||
			len(sensor.minted.Scopes) == 0 {
			t.Errorf("minted %+v", sensor.minted)
		}
		for _, scope := range sensor.minted.Scopes {
			if !slices.ContainsFunc(held, func(granted string) bool { return topicacl.Covers(granted, scope) }) {
				t.Errorf("minted the scope %q, which is not held", scope)
			}
		}
	})
}
