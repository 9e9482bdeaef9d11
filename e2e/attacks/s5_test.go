package attacks_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/boomgate/boomgate/e2e/harness"
)

// Attacks on the clock, S5: when a token begins to be good, and when it ends.

func TestS5_ATokensTimesAreJudgedToTheSecond(t *testing.T) {
	t.Parallel()
	s, f := harness.StartForging(t, "--leeway", "10s")
	genuine := s.Token(s.Service("meter", "pub:a"))
	now := time.Now().Unix()
	good := "" // no rule refuses it
	for what, test := range map[string]struct {
		change harness.Claims
		rule   string
	}{
		"as it is":                       {nil, good},
		"no nbf":                         {harness.Claims{"nbf": nil}, good},
		"no iat":                         {harness.Claims{"iat": nil}, good},
		"exp with a fraction":            {harness.Claims{"exp": float64(now) + 300.5}, good},
		"expired within the leeway":      {harness.Claims{"iat": now - 100, "nbf": nil, "exp": now - 1}, good},
		"issued within the leeway":       {harness.Claims{"iat": now + 5, "nbf": now + 5}, good},
		"a day":                          {harness.Claims{"iat": now, "exp": now + 24*3600}, good},
		"expired beyond the leeway":      {harness.Claims{"iat": now - 100, "nbf": nil, "exp": now - 11}, "token-expired"},
		"expired long ago":               {harness.Claims{"iat": 1, "nbf": 1, "exp": 2}, "token-expired"},
		"nbf beyond the leeway":          {harness.Claims{"nbf": now + 60}, "token-not-yet-valid"},
		"iat beyond the leeway":          {harness.Claims{"iat": now + 60}, "token-not-yet-valid"},
		"exp missing":                    {harness.Claims{"exp": nil}, "token-claims"},
		"exp null":                       {harness.Claims{"exp": harness.Null}, "token-claims"},
		"exp zero":                       {harness.Claims{"exp": 0}, "token-claims"},
		"exp negative":                   {harness.Claims{"exp": -now}, "token-claims"},
		"exp a string":                   {harness.Claims{"exp": fmt.Sprint(now + 300)}, "token-claims"},
		"exp a date":                     {harness.Claims{"exp": "2099-01-01T00:00:00Z"}, "token-claims"},
		"exp true":                       {harness.Claims{"exp": true}, "token-claims"},
		"exp an array":                   {harness.Claims{"exp": []int64{now + 300}}, "token-claims"},
		"exp beyond the year 9999":       {harness.Claims{"exp": int64(1) << 62}, "token-claims"},
		"exp beyond every number":        {harness.Claims{"exp": 1e300}, "token-claims"},
		"exp in milliseconds":            {harness.Claims{"exp": (now + 300) * 1000}, "token-claims"},
		"exp in the far future":          {harness.Claims{"exp": now + 10*365*24*3600}, "token-lifetime"},
		"exp before iat":                 {harness.Claims{"iat": now + 9, "nbf": nil, "exp": now + 8}, "token-lifetime"},
		"exp before nbf":                 {harness.Claims{"nbf": now + 9, "exp": now + 8}, "token-lifetime"},
		"nbf a string":                   {harness.Claims{"nbf": fmt.Sprint(now)}, "token-claims"},
		"nbf negative":                   {harness.Claims{"nbf": -1}, "token-claims"},
		"iat zero":                       {harness.Claims{"iat": 0}, "token-claims"},
		"iat null, lifetime not bounded": {harness.Claims{"iat": harness.Null, "exp": now + 10*365*24*3600}, "token-claims"},
		"no iat, exp in the far future":  {harness.Claims{"iat": nil, "exp": now + 10*365*24*3600}, "token-lifetime"},
	} {
		t.Run(what, func(t *testing.T) {
			for _, version := range harness.Versions {
				h := harness.Hello{ID: "meter", Password: f.In(t).Alter(genuine, test.change)}
				if test.rule == good {
					harness.Enter(t, s, version, h).Leave()
				} else {
					harness.ExpectRefused(t, s.In(t), version, h, harness.BadToken, test.rule)
				}
			}
		})
	}
	huge := f.Append(f.Alter(genuine, harness.Claims{"exp": nil}), `"exp":`+strings.Repeat("9", 400))
	harness.ExpectRefused(t, s, 5, harness.Hello{ID: "meter", Password: huge}, harness.BadToken, "token-claims")
}

func TestS5_ATokenIsGoodUntilItsExpiryAndNotAfter(t *testing.T) {
	t.Parallel()
	s, f := harness.StartForging(t, "--leeway", "0s")
	genuine := s.Token(s.Service("meter", "pub:a"))
	harness.EachVersion(t, func(t *testing.T, version byte) {
		expires := time.Now().Add(1200 * time.Millisecond).Truncate(time.Millisecond)
		token := f.In(t).Alter(genuine, harness.Claims{"exp": float64(expires.UnixMilli()) / 1000})
		w := harness.Enter(t, s, version, harness.Hello{ID: "meter", Password: token})
		second := harness.Enter(t, s, version, harness.Hello{ID: "meter:2", Password: token}) // it is a token, not a ticket
		w.ExpectDisconnect(0xa0)
		if now := time.Now(); now.Before(expires) {
			t.Errorf("the session ended %v before its token", expires.Sub(now))
		}
		second.ExpectDisconnect(0xa0)
		harness.ExpectRefused(t, s.In(t), version, harness.Hello{ID: "meter", Password: token}, harness.BadToken, "token-expired")
	})
}

func TestS5_SessionsThatExpireTogetherEndOneAfterTheOther(t *testing.T) {
	t.Parallel()
	const count, leeway = 40, 2 * time.Second
	s, f := harness.StartForging(t, "--leeway", leeway.String())
	genuine := s.Token(s.Service("meter", "pub:a"))
	expires := time.Now().Add(2 * time.Second).Truncate(time.Second)
	token := f.Alter(genuine, harness.Claims{"exp": expires.Unix()})
	open := make([]*harness.Wire, 0, count)
	for i := range count {
		open = append(open, harness.Enter(t, s, harness.Versions[i%2], harness.Hello{ID: fmt.Sprint("meter:", i), Password: token}))
	}
	first, last := time.Time{}, time.Time{}
	for _, w := range open {
		w.ExpectDisconnect(0xa0)
		line := s.Log.Wait(t, "event=expire", "rule=token-expired ", "remote="+w.Remote()+" ")
		stamp, _, _ := strings.Cut(strings.TrimPrefix(line, "time="), " ")
		at, err := time.Parse(time.RFC3339, stamp)
		harness.Must(t, err)
		if at.Before(expires) {
			t.Errorf("a session ended %v before its token", expires.Sub(at))
		}
		if first.IsZero() || at.Before(first) {
			first = at
		}
		if at.After(last) {
			last = at
		}
	}
	// Each ends at a moment of its own within the leeway; at once would be one crowd of reconnects.
	if spread := last.Sub(first); spread < leeway/8 {
		t.Errorf("all %d sessions ended within %v, with a leeway of %v", count, spread, leeway)
	}
}
