package accesstoken

import (
	"cmp"
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
	// maxIdentifierLength bounds the client ID, sub, jti and credential_id, in bytes.
	maxIdentifierLength = 1024
	// maxNumericDate is the last second of the year 9999: later times cannot be written in RFC 3339.
	maxNumericDate = 253402300799
)

// registered are the claims that this package reads. A member whose name differs from one of them in letter case alone is refused:
// other parsers would take it for the claim. The same holds for claims that the configuration names.
var registered = [...]string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "scp", "cnf", "credential_id"}

// judge turns the payload of a correctly signed token into a Token, if it is acceptable now.
func (v *Verifier) judge(claims map[string]any, keyID string) (*Token, error) {
	if err := v.checkNames(claims); err != nil {
		return nil, err
	}
	t := &Token{KeyID: keyID, Claims: claims}
	if err := v.judgeOrigin(t); err != nil {
		return nil, err
	}
	if err := v.judgeTimes(t); err != nil {
		return nil, err
	}
	if err := v.judgeRequired(t); err != nil {
		return nil, err
	}
	if err := v.judgePrincipal(t); err != nil {
		return nil, err
	}
	var err error
	if t.Thumbprint, err = readThumbprint(claims); err != nil {
		return nil, err
	}
	if t.Scopes, t.AIF, err = readScopes(claims); err != nil {
		return nil, err
	}
	return t, nil
}

func (v *Verifier) checkNames(claims map[string]any) error {
	for name := range claims {
		for _, claim := range v.names {
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

// judgeRequired compares the claims that the configuration requires.
func (v *Verifier) judgeRequired(t *Token) error {
	for name, want := range v.required {
		if !says(t.Claims[name], want) {
			return refuse(ErrClaims, name+" is missing or not as required")
		}
	}
	return nil
}

// says reports whether a claim is the string want, or a number that want writes: issuers write 1 as 1.0 as well.
func says(claim any, want string) bool {
	switch value := claim.(type) {
	case string:
		return value == want
	case json.Number:
		got, err := value.Float64()
		number, malformed := strconv.ParseFloat(want, 64)
		return err == nil && malformed == nil && got == number
	default:
		return false
	}
}

// judgePrincipal reads the client ID, sub, jti and credential_id. They are what logs, topics and revocation lists are made of, so they
// are plain text.
func (v *Verifier) judgePrincipal(t *Token) error {
	for _, claim := range []struct {
		name     string
		into     *string
		required bool
	}{
		{cmp.Or(v.clientIDClaim, "client_id"), &t.ClientID, true},
		{"sub", &t.Subject, false},
		{"jti", &t.ID, v.requireTokenID},
		{"credential_id", &t.CredentialID, false},
	} {
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
	other, present := t.Claims["client_id"]
	switch {
	case v.clientIDClaim == "" && t.Subject != "" && t.Subject != t.ClientID:
		return refuse(ErrClaims, "sub and client_id disagree")
	case v.clientIDClaim != "" && v.clientIDClaim != "sub" && present && other != t.ClientID:
		return refuse(ErrClaims, "client_id and the claim that holds the client ID disagree")
	}
	return nil
}

// isIdentifier reports whether text is not empty, not longer than limit bytes, and free of control characters and spaces.
func isIdentifier(text string, limit int) bool {
	return text != "" && len(text) <= limit &&
		!strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) })
}
