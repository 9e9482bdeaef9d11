package accesstoken

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

const (
	// maxIdentifierLength bounds iss, sub, client_id, jti and each audience, in bytes.
	maxIdentifierLength = 1024
	// maxNumericDate is the last second of the year 9999: later times cannot be written in RFC 3339.
	maxNumericDate = 253402300799
)

// registered are the claims that this package reads. A member whose name differs from one of them in letter case alone is refused:
// other parsers would take it for the claim.
var registered = [...]string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "scp"}

// judge turns the payload of a correctly signed token into a Token, if it is acceptable now.
func (v *Verifier) judge(claims map[string]any, keyID string) (*Token, error) {
	if err := checkNames(claims); err != nil {
		return nil, err
	}
	t := &Token{KeyID: keyID, Claims: claims}
	if err := v.judgeOrigin(t); err != nil {
		return nil, err
	}
	if err := v.judgeTimes(t); err != nil {
		return nil, err
	}
	if err := readPrincipal(t); err != nil {
		return nil, err
	}
	var err error
	t.Scopes, err = readScopes(claims)
	if err != nil {
		return nil, err
	}
	return t, nil
}

func checkNames(claims map[string]any) error {
	for name := range claims {
		for _, claim := range registered {
			if name != claim && strings.EqualFold(name, claim) {
				return refuse(ErrClaims, "the name of "+claim+" in another letter case")
			}
		}
	}
	return nil
}

// judgeOrigin reads iss and aud (RFC 7519 §4.1.1, §4.1.3).
func (v *Verifier) judgeOrigin(t *Token) error {
	issuer, ok := t.Claims["iss"].(string)
	if !ok || issuer != v.issuer {
		return ErrIssuer
	}
	t.Issuer = issuer
	switch audience := t.Claims["aud"].(type) {
	case string:
		t.Audience = []string{audience}
	case []any:
		for _, element := range audience {
			text, ok := element.(string)
			if !ok {
				return refuse(ErrAudience, "aud holds something that is no string")
			}
			t.Audience = append(t.Audience, text)
		}
	}
	if !slices.Contains(t.Audience, v.audience) {
		return ErrAudience
	}
	return nil
}

// judgeTimes reads exp, nbf and iat (RFC 7519 §4.1.4 to §4.1.6).
func (v *Verifier) judgeTimes(t *Token) error {
	for _, claim := range []struct {
		name string
		into *time.Time
	}{{"exp", &t.ExpiresAt}, {"nbf", &t.NotBefore}, {"iat", &t.IssuedAt}} {
		value, present := t.Claims[claim.name]
		if !present {
			continue
		}
		at, err := numericDate(value)
		if err != nil {
			return refuse(ErrClaims, claim.name+" "+err.Error())
		}
		*claim.into = at
	}
	if t.ExpiresAt.IsZero() {
		return refuse(ErrClaims, "exp is missing")
	}
	now := v.now()
	begin := t.IssuedAt
	if begin.IsZero() {
		begin = now
	}
	switch {
	case !now.Before(t.ExpiresAt.Add(v.leeway)):
		return ErrExpired
	case now.Add(v.leeway).Before(t.NotBefore):
		return ErrNotYetValid
	case now.Add(v.leeway).Before(t.IssuedAt):
		return refuse(ErrNotYetValid, "issued in the future")
	case t.ExpiresAt.Sub(begin) > v.maxLifetime:
		return ErrLifetime
	case !t.ExpiresAt.After(t.IssuedAt) || !t.ExpiresAt.After(t.NotBefore):
		return ErrLifetime
	}
	return nil
}

// numericDate reads seconds since 1970, whole or not (RFC 7519 §2), in the years up to 9999.
func numericDate(value any) (time.Time, error) {
	number, ok := value.(json.Number)
	if !ok {
		return time.Time{}, errors.New("is no number")
	}
	seconds, err := strconv.ParseFloat(number.String(), 64)
	if err != nil || seconds <= 0 || seconds > maxNumericDate {
		return time.Time{}, errors.New("is out of range")
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*float64(time.Second))), nil
}

// readPrincipal reads client_id, sub and jti. They are what logs, topics and revocation lists are made of, so they are plain text.
func readPrincipal(t *Token) error {
	for _, claim := range []struct {
		name     string
		into     *string
		required bool
	}{{"client_id", &t.ClientID, true}, {"sub", &t.Subject, false}, {"jti", &t.ID, false}} {
		value, present := t.Claims[claim.name]
		if !present && !claim.required {
			continue
		}
		text, ok := value.(string)
		if !ok || !isIdentifier(text, maxIdentifierLength) {
			return refuse(ErrClaims, claim.name+" is missing or malformed")
		}
		*claim.into = text
	}
	if t.Subject != "" && t.Subject != t.ClientID {
		return refuse(ErrClaims, "sub and client_id disagree")
	}
	return nil
}

// isIdentifier reports whether text is not empty, not longer than limit bytes, and free of control characters and spaces.
func isIdentifier(text string, limit int) bool {
	return text != "" && len(text) <= limit &&
		!strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) })
}
