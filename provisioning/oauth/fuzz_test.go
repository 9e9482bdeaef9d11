package oauth_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
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

func (*onlySensor) AuthenticateCertificate(
	_ context.Context, id string, _ *x509.Certificate, trusted bool,
) (*provisioning.Client, string, error) {
	if id != "sensor" || trusted {
		return nil, "", provisioning.ErrUnauthenticated
	}
	return &provisioning.Client{ID: id}, "x5t:1", nil
}

func (*onlySensor) Scopes(_ context.Context, _ *provisioning.Client, audience string) ([]string, error) {
	if audience != provisioning.AudienceMQTT {
		return nil, nil
	}
	return held(), nil
}

func (*onlySensor) Audiences(context.Context, *provisioning.Client) ([]string, error) {
	return []string{provisioning.AudienceMQTT}, nil
}

func (o *onlySensor) Mint(_ context.Context, t provisioning.AccessToken) (string, time.Time, error) {
	o.minted = &t
	return "token", time.Unix(3600, 0), nil
}

func serveInProcess(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, r)
	return recorder
}

// held is what the sensor holds for the broker.
func held() []string { return []string{"pub:a/+/state", "sub:a/#"} }

// ask has a server that knows only the sensor answer the request, and checks what holds for every answer.
func (o *onlySensor) ask(tb testing.TB, r *http.Request) answer {
	tb.Helper()
	handler, err := oauth.New(oauth.Config{
		Issuer: issuerURL, Registry: o, Minter: o, Covers: topicacl.Covers, AIF: aif{}, JWKS: func() []byte { return nil }, MutualTLS: true,
		Now: func() time.Time { return time.Unix(0, 0) }, Rand: strings.NewReader("123456789012"), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		tb.Fatal(err)
	}
	recorder := serveInProcess(newMux(handler), r)
	a := answer{status: recorder.Code, header: recorder.Header(), body: recorder.Body.String()}
	if err := json.Unmarshal(recorder.Body.Bytes(), &a); err != nil {
		tb.Fatalf("the answer is not JSON: %q", a.body)
	}
	checkAnswer(tb, a)
	if a.status >= http.StatusInternalServerError {
		tb.Errorf("the server failed: %d %s", a.status, a.body)
	}
	if (a.status == http.StatusOK) != (o.minted != nil) {
		tb.Fatalf("answer is %d, minted %+v", a.status, o.minted)
	}
	if o.minted != nil {
		o.checkMinted(tb)
	}
	return a
}

// checkMinted fails the test unless the token is for the one client, the one audience and nothing that the client does not hold.
func (o *onlySensor) checkMinted(tb testing.TB) {
	tb.Helper()
	if o.minted.ClientID != "sensor" || !slices.Equal(o.minted.Audience, []string{provisioning.AudienceMQTT}) || len(o.minted.Scopes) == 0 {
		tb.Errorf("minted %+v", o.minted)
	}
	for _, scope := range o.minted.Scopes {
		if !slices.ContainsFunc(held(), func(granted string) bool { return topicacl.Covers(granted, scope) }) {
			tb.Errorf("minted the scope %q, which is not held", scope)
		}
	}
}

// FuzzTokenRequest sends arbitrary bodies, headers and queries, with and without a certificate: whatever they are, the answer
// is well-formed, and a token is bound to the certificate if and only if it was got by it.
func FuzzTokenRequest(f *testing.F) {
	const form, object = "grant_type=client_credentials&client_id=sensor&client_secret=right",
		`"grant_type":"client_credentials","client_id":"sensor","client_secret":"right"`
	for _, seed := range [][4]string{
		{formType, "", "", form},
		{formType + "; charset=utf-8", "", "", form + "&scope=pub%3Aa%2F%2B%2Fstate+sub%3Aa%2Fb&audience=boomgate%3Amqtt"},
		{formType, "", "", form + "&scope=sub:a/+/b"},
		{formType, "", "", form + "&scope=sub:%23&audience=boomgate:fleet"},
		{formType, "", "", form + "&client_id=sensor&%zz;"},
		{formType, "", "", "grant_type=client_credentials&client_id=sensor&client_secret="},
		{formType, "", "", form + "&scope=%5B%5B%22a/b%22,%5B%22sub%22%5D%5D%5D"},
		{formType, "", "client_secret=right", form},
		{formType, "Basic c2Vuc29yOnJpZ2h0", "", "grant_type=client_credentials"},
		{formType, "Basic c2Vuc29yOnJpZ2h0", "", form},
		{formType, "Bearer x", "a=b", "grant_type=password"},
		{jsonType, "", "", "{" + object + "}"},
		{jsonType, "", "", "{" + object + `,"scope":["sub:a/b","pub:a/x/state?qos=0"],"audience":["boomgate:mqtt"]}`},
		{jsonType, "", "", "{" + object + `,"scope":"sub:a/b sub:#","audience":"boomgate:mqtt"}`},
		{jsonType, "", "", "{" + object + `,"scope":[["a/b",["sub"]],["a/x/state",["pub"]]]}`},
		{jsonType, "", "", "{" + object + `,"client\u005fid":"sensor"}`},
		{jsonType, "", "", `{"grant_type":"client_credentials","client_id":"sensor"}`},
		{jsonType, "Basic c2Vuc29yOnJpZ2h0", "", `{"grant_type":"client_credentials","scope":null,"x":[[{}]]}`},
		{jsonType, "", "", `[{"scope":{}}]` + "\xff"},
		{"text/plain", "", "", "x"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3], false)
		f.Add(seed[0], seed[1], seed[2], seed[3], true)
	}
	shown := &x509.Certificate{Raw: []byte("certificate"), NotAfter: time.Unix(1, 0)}
	f.Fuzz(func(t *testing.T, contentType, authorization, query, body string, certificate bool) {
		r := newRequest(t, http.MethodPost, "/oauth/token", contentType, body)
		r.URL.RawQuery = query
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		if certificate {
			r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{shown}}
		}
		sensor := new(onlySensor)
		sensor.ask(t, r)
		if sensor.minted == nil {
			return
		}
		bySecret := sensor.minted.CredentialID == "s1"
		if bySecret != (sensor.minted.Thumbprint == "") || !bySecret && (!certificate || authorization != "") {
			t.Errorf("certificate shown: %v; minted %+v", certificate, sensor.minted)
		}
	})
}

// FuzzAIFScope asks for arbitrary scopes: a token says them as authorization information if and only if they were asked for
// so, and then says what they mean, no more and no less.
func FuzzAIFScope(f *testing.F) {
	for _, seed := range []string{
		`[["a/b",["sub"]]]`, `[["a/x/state",["pub","sub"]],["a/#",["sub"]]]`, ` [ [ "a/b" , [ "sub" ] ] ]`, `[["a/ /b",["sub"]]]`, `[["#",["sub"]]]`,
		base64url(`[["a/b",["sub"]]]`), base64url(`[["a/b",["sub"]]]`) + "==", base64url(`["a"]`), `["a"]`, `[["a/b",["sub"]]`, `[]`, "W10",
		`[["a/b",["sub"]],["a/b",["sub"]]]`, `[["a/b",["own"]]]`, `[["a/\u002b/c",["sub"]]]`, "sub:a/b", "sub:a/b pub:a/x/state", `[["a/b ",["sub"]]]`,
	} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, scope string, inJSON bool) {
		contentType, body := formType, credential{"sensor", "right"}.form("scope", scope).Encode()
		if inJSON {
			object, err := json.Marshal(credential{"sensor", "right"}.object("scope", scope))
			if err != nil {
				t.Fatal(err)
			}
			contentType, body = jsonType, string(object)
		}
		sensor := new(onlySensor)
		a := sensor.ask(t, newRequest(t, http.MethodPost, "/oauth/token", contentType, body))
		if sensor.minted == nil {
			return
		}
		asked, err := topicacl.ParseAIF([]byte(scope))
		if decoded, notBase64 := base64.RawURLEncoding.DecodeString(strings.TrimRight(scope, "=")); err != nil && notBase64 == nil {
			asked, err = topicacl.ParseAIF(decoded)
		}
		if sensor.minted.AIF != (err == nil) || sensor.minted.AIF && !slices.Equal(sensor.minted.Scopes, asked) {
			t.Errorf("asked for %q, minted %+v", scope, sensor.minted)
		}
		if told, err := base64.RawURLEncoding.DecodeString(a.Scope); sensor.minted.AIF {
			if again, malformed := topicacl.ParseAIF(told); err != nil || malformed != nil || len(again) != len(asked) {
				t.Errorf("asked for %q, the answer says %q", scope, told)
			}
		}
	})
}
