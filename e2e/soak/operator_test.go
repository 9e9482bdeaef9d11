package soak_test

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/boomgate/boomgate/e2e/harness"
)

// An operator takes rights away and gives them back, one after the other.
type operator struct {
	world  *world
	random *rand.Rand
	pace   time.Duration
}

func (o *operator) work(ctx context.Context) {
	tick := time.NewTicker(o.pace)
	defer tick.Stop()
	for ctx.Err() == nil {
		<-tick.C
		c := o.world.clients[o.random.IntN(len(o.world.clients))]
		switch o.random.IntN(8) {
		case 0:
			o.disable(ctx, c)
		case 1:
			o.revokeToken(ctx, c)
		case 2:
			o.rotate(ctx, c)
		case 3, 4:
			o.closeSession(ctx, c)
		default:
			o.changeRole(ctx, c.role)
		}
	}
}

// change asks the fleet API for a change that has to succeed.
func (o *operator) change(ctx context.Context, method, path string, body any) []byte {
	text := ""
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			o.world.faultf("%s %s: %v", method, path, err)
		}
		text = string(encoded)
	}
	status, answer, err := o.world.ask(ctx, method, path, "application/json", text)
	if err != nil || status/100 != 2 {
		o.world.faultf("%s %s: %d %s %v", method, path, status, answer, err)
	}
	return answer
}

// kill notes a revocation that is asked for, and from the call of what it returns on is certain.
func (c *client) kill(k kill) (certain func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k.asked, k.certain = time.Now(), always.to
	at := len(c.kills)
	c.kills = append(c.kills, k)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.kills[at].certain = time.Now()
	}
}

// disable disables a client, sees that it is gone, and enables it again.
func (o *operator) disable(ctx context.Context, c *client) {
	gone, dead := c.active.ask(false), c.kill(kill{})
	o.change(ctx, http.MethodPost, "/v1/services/"+c.id+"/disable", nil)
	gone()
	dead()
	if left := o.sessions(ctx, c); len(left) > 0 {
		o.world.faultf("%s was disabled and has sessions: %v", c.id, left)
	}
	back, dead := c.active.ask(true), c.kill(kill{maybe: true}) // of what was asked for before and got after the disabling
	o.change(ctx, http.MethodPost, "/v1/services/"+c.id+"/enable", nil)
	back()
	dead()
	o.world.saw("client disabled and enabled")
}

func (o *operator) revokeToken(ctx context.Context, c *client) {
	c.mu.Lock()
	id := ""
	for known := range c.known { // any of them
		id = known
		break
	}
	clear(c.known)
	c.mu.Unlock()
	if id == "" {
		return
	}
	dead := c.kill(kill{tokenID: id})
	o.change(ctx, http.MethodPost, "/v1/revocations", map[string]any{"token_id": id})
	dead()
	o.world.saw("token revoked")
}

// rotate gives a client another secret; what was got with the old one ends.
func (o *operator) rotate(ctx context.Context, c *client) {
	c.mu.Lock()
	number := c.secretNumber
	c.mu.Unlock()
	dead := c.kill(kill{secret: number})
	var fresh harness.Credential
	if err := json.Unmarshal(o.change(ctx, http.MethodPost, "/v1/services/"+c.id+"/rotate", nil), &fresh); err != nil {
		o.world.faultf("rotating the secret of %s: %v", c.id, err)
	}
	dead()
	c.mu.Lock()
	c.secret, c.secretNumber = fresh.ClientSecret, number+1
	c.mu.Unlock()
	o.world.saw("secret rotated")
}

func (o *operator) closeSession(ctx context.Context, c *client) {
	live := o.sessions(ctx, c)
	if len(live) == 0 {
		return
	}
	begun := time.Now()
	at := c.disturb(span{begun, always.to})
	path := "/v1/sessions/" + strings.ReplaceAll(live[o.random.IntN(len(live))], ":", "%3A")
	status, answer, err := o.world.ask(ctx, http.MethodDelete, path, "application/json", "")
	if err != nil || status/100 != 2 && status != http.StatusNotFound {
		o.world.faultf("closing a session: %d %s %v", status, answer, err)
	}
	c.mu.Lock()
	c.disturbed[at].to = time.Now()
	c.mu.Unlock()
	o.world.saw("session closed by an operator")
}

func (c *client) disturb(s span) (at int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.disturbed = append(c.disturbed, s)
	return len(c.disturbed) - 1
}

// sessions are the MQTT client IDs under which a client is connected.
func (o *operator) sessions(ctx context.Context, c *client) []string {
	var page struct {
		Items []harness.LiveSession `json:"items"`
	}
	if err := json.Unmarshal(o.change(ctx, http.MethodGet, "/v1/sessions?client_id="+c.id, nil), &page); err != nil {
		o.world.faultf("the sessions of %s: %v", c.id, err)
	}
	var ids []string
	for _, s := range page.Items {
		ids = append(ids, s.ID)
	}
	return ids
}

func (o *operator) changeRole(ctx context.Context, r *role) {
	next := someGrants(o.random)
	certain := r.held.ask(next)
	o.change(ctx, http.MethodPatch, "/v1/roles/"+r.id, harness.Rights(next...))
	certain()
	o.world.saw("role changed")
}
