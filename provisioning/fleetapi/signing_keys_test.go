package fleetapi_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/fleetapi"
)

func TestARevokedSigningKeyEndsWithItsTokensAndSessions(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	made := f.clock.Now().Add(-time.Hour)
	f.keys.keys = []fleetapi.SigningKey{{ID: "old", Alg: "EdDSA", CreatedAt: made}, {ID: "new", Alg: "EdDSA", CreatedAt: made, Current: true}}
	list := decode[fleetapi.Page[fleetapi.SigningKey]](f.do(http.MethodGet, "/v1/signing-keys", nil).is(http.StatusOK))
	if !slices.Equal(list.Items, f.keys.keys) || list.NextCursor != "" {
		t.Errorf("the list is %+v", list)
	}
	f.sessions.open(fleetapi.Session{ID: "d", ClientID: "d", Subscriptions: 1}, fleetapi.Session{ID: "e", ClientID: "e"})
	f.sessions.keys = map[string]string{"d": "old", "e": "new"}

	removal := decode[fleetapi.Removal](f.do(http.MethodDelete, "/v1/signing-keys/old", nil).is(http.StatusOK))
	if removal.Receipt != (fleetapi.Receipt{Sessions: 1, Subscriptions: 1}) {
		t.Errorf("the receipt is %+v", removal.Receipt)
	}
	if keys := f.keys.Keys(); len(keys) != 1 || keys[0].ID != "new" {
		t.Errorf("the keys are %+v", keys)
	}
	if !f.revoked.Revoked(provisioning.TokenFacts{ClientID: "x", KeyID: "old", IssuedAt: f.clock.Now().Add(time.Hour)}) {
		t.Error("a token of the revoked key is good")
	}
	f.do(http.MethodDelete, "/v1/signing-keys/old", nil).isProblem(http.StatusNotFound, "not-found")
	f.do(http.MethodDelete, "/v1/signing-keys/never", nil).isProblem(http.StatusNotFound, "not-found")
}

func TestASigningKeyThatCannotBeReplacedKeepsItsTokens(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.keys.keys = []fleetapi.SigningKey{{ID: "only", Current: true}}
	f.keys.broken = errors.New("no randomness left")
	a := f.do(http.MethodDelete, "/v1/signing-keys/only", nil)
	a.isProblem(http.StatusInternalServerError, "internal")
	if f.revoked.Revoked(provisioning.TokenFacts{ClientID: "x", KeyID: "only", IssuedAt: f.clock.Now()}) {
		t.Error("the tokens of a key that is in use are revoked: nobody can get in")
	}
	if !strings.Contains(f.log.String(), "no randomness left") || strings.Contains(a.text, "randomness") {
		t.Errorf("answer %s, log %s", a.text, f.log)
	}
	f.keys.broken = provisioning.ErrNotFound // gone since it was looked for
	f.do(http.MethodDelete, "/v1/signing-keys/only", nil).isProblem(http.StatusNotFound, "not-found")
	f.keys.broken = provisioning.ErrTooManyRevocations
	f.do(http.MethodDelete, "/v1/signing-keys/only", nil).isProblem(http.StatusConflict, "too-many-revocations")
	f.do(http.MethodDelete, "/v1/signing-keys/only?force=true", nil).isProblem(http.StatusUnprocessableEntity, "invalid")
}
