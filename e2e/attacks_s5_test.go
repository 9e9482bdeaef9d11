package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Attacks on the clock, S5: when a token begins to be good, and when it ends.

func TestS5_ATokensTimesAreJudgedToTheSecond(t *testing.T) {
	t.Parallel()
	s, f := startForging(t, "--leeway", "10s")
	genuine := s.token(s.service("meter", "pub:a"))
	now := time.Now().Unix()
	good := "" // no rule refuses it
	for what, test := range map[string]struct {
		change claims
		rule   string
	}{
		"as it is":                       {nil, good},
		"no nbf":                         {claims{"nbf": nil}, good},
		"no iat":                         {claims{"iat": nil}, good},
		"exp with a fraction":            {claims{"exp": float64(now) + 300.5}, good},
		"expired within the leeway":      {claims{"iat": now - 100, "nbf": nil, "exp": now - 1}, good},
		"issued within the leeway":       {claims{"iat": now + 5, "nbf": now + 5}, good},
		"a day":                          {claims{"iat": now, "exp": now + 24*3600}, good},
		"expired beyond the leeway":      {claims{"iat": now - 100, "nbf": nil, "exp": now - 11}, "token-expired"},
		"expired long ago":               {claims{"iat": 1, "nbf": 1, "exp": 2}, "token-expired"},
		"nbf beyond the leeway":          {claims{"nbf": now + 60}, "token-not-yet-valid"},
		"iat beyond the leeway":          {claims{"iat": now + 60}, "token-not-yet-valid"},
		"exp missing":                    {claims{"exp": nil}, "token-claims"},
		"exp null":                       {claims{"exp": null}, "token-claims"},
		"exp zero":                       {claims{"exp": 0}, "token-claims"},
		"exp negative":                   {claims{"exp": -now}, "token-claims"},
		"exp a string":                   {claims{"exp": fmt.Sprint(now + 300)}, "token-claims"},
		"exp a date":                     {claims{"exp": "2099-01-01T00:00:00Z"}, "token-claims"},
		"exp true":                       {claims{"exp": true}, "token-claims"},
		"exp an array":                   {claims{"exp": []int64{now + 300}}, "token-claims"},
		"exp beyond the year 9999":       {claims{"exp": int64(1) << 62}, "token-claims"},
		"exp beyond every number":        {claims{"exp": 1e300}, "token-claims"},
		"exp in milliseconds":            {claims{"exp": (now + 300) * 1000}, "token-claims"},
		"exp in the far future":          {claims{"exp": now + 10*365*24*3600}, "token-lifetime"},
		"exp before iat":                 {claims{"iat": now + 9, "nbf": nil, "exp": now + 8}, "token-lifetime"},
		"exp before nbf":                 {claims{"nbf": now + 9, "exp": now + 8}, "token-lifetime"},
		"nbf a string":                   {claims{"nbf": fmt.Sprint(now)}, "token-claims"},
		"nbf negative":                   {claims{"nbf": -1}, "token-claims"},
		"iat zero":                       {claims{"iat": 0}, "token-claims"},
		"iat null, lifetime not bounded": {claims{"iat": null, "exp": now + 10*365*24*3600}, "token-claims"},
		"no iat, exp in the far future":  {claims{"iat": nil, "exp": now + 10*365*24*3600}, "token-lifetime"},
	} {
		t.Run(what, func(t *testing.T) {
			for _, version := range versions {
				h := hello{id: "meter", password: f.in(t).alter(genuine, test.change)}
				if test.rule == good {
					enter(t, s, version, h).leave()
				} else {
					expectRefused(t, s.in(t), version, h, badToken, test.rule)
				}
			}
		})
	}
	huge := f.append(f.alter(genuine, claims{"exp": nil}), `"exp":`+strings.Repeat("9", 400))
	expectRefused(t, s, 5, hello{id: "meter", password: huge}, badToken, "token-claims")
}

func TestS5_ATokenIsGoodUntilItsExpiryAndNotAfter(t *testing.T) {
	t.Parallel()
	s, f := startForging(t, "--leeway", "0s")
	genuine := s.token(s.service("meter", "pub:a"))
	eachVersion(t, func(t *testing.T, version byte) {
		expires := time.Now().Add(1200 * time.Millisecond).Truncate(time.Millisecond)
		token := f.in(t).alter(genuine, claims{"exp": float64(expires.UnixMilli()) / 1000})
		w := enter(t, s, version, hello{id: "meter", password: token})
		second := enter(t, s, version, hello{id: "meter:2", password: token}) // it is a token, not a ticket
		w.expectDisconnect(0xa0)
		if now := time.Now(); now.Before(expires) {
			t.Errorf("the session ended %v before its token", expires.Sub(now))
		}
		second.expectDisconnect(0xa0)
		expectRefused(t, s.in(t), version, hello{id: "meter", password: token}, badToken, "token-expired")
	})
}

func TestS5_SessionsThatExpireTogetherEndOneAfterTheOther(t *testing.T) {
	t.Parallel()
	const count, leeway = 40, 2 * time.Second
	s, f := startForging(t, "--leeway", leeway.String())
	genuine := s.token(s.service("meter", "pub:a"))
	expires := time.Now().Add(2 * time.Second).Truncate(time.Second)
	token := f.alter(genuine, claims{"exp": expires.Unix()})
	open := make([]*wire, 0, count)
	for i := range count {
		open = append(open, enter(t, s, versions[i%2], hello{id: fmt.Sprint("meter:", i), password: token}))
	}
	first, last := time.Time{}, time.Time{}
	for _, w := range open {
		w.expectDisconnect(0xa0)
		line := s.log.wait(t, "event=expire", "rule=token-expired ", "remote="+w.remote()+" ")
		stamp, _, _ := strings.Cut(strings.TrimPrefix(line, "time="), " ")
		at, err := time.Parse(time.RFC3339, stamp)
		must(t, err)
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
