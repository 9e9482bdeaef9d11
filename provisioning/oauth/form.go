package oauth

import (
	"net/url"
	"strings"
)

// parseForm reads a form-encoded body (RFC 6749, appendix B).
func parseForm(body []byte) (*tokenRequest, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, refuse(invalidRequest, ReasonBodyMalformed, "the body is not a form: a part of it cannot be decoded")
	}
	for _, values := range form {
		if len(values) > 1 { // RFC 6749 §3.2: parameters MUST NOT be included more than once
			return nil, refuse(invalidRequest, ReasonParameterRepeated, "a parameter is repeated; in a form, scopes are one value with spaces between them")
		}
	}
	req := &tokenRequest{
		grantType:    form.Get(paramGrantType),
		clientID:     form.Get(paramClientID),
		clientSecret: form.Get(paramClientSecret),
		assertion:    form.Get(paramAssertion) != "" || form.Get(paramAssertionType) != "",
	}
	if scope := form.Get(paramScope); scope != "" {
		if req.scopes, req.aif, err = formScope(scope); err != nil {
			return nil, err
		}
	}
	if audience := form.Get(paramAudience); audience != "" {
		if req.audiences, err = checkAudiences([]string{audience}); err != nil {
			return nil, err
		}
	}
	return req, nil
}

// formScope returns the scopes that a form names, or the JSON that does.
func formScope(scope string) (scopes []string, aif []byte, err error) {
	aif, isAIF := aifOfText(scope)
	if isAIF && aifTornAtPlus(scope) || !isAIF && tornAtPlus(scope) {
		return nil, nil, refuse(invalidScope, ReasonScopeTorn,
			"the scope was torn apart: in a form, + means a space; send it as %2B (curl: --data-urlencode)")
	}
	if isAIF {
		return nil, aif, nil
	}
	scopes, err = splitScope(scope)
	return scopes, nil, err
}

// tornAtPlus tells whether a decoded scope shows the gap that a single-level wildcard has left: `sub:a/+/b`, sent as it
// is, arrives as `sub:a/ /b`. No scope begins with a slash or a question mark, and a topic scope that ends in an open
// level is not followed by nothing.
func tornAtPlus(scope string) bool {
	fragments := strings.Split(scope, " ")
	for i, fragment := range fragments[1:] {
		before := fragments[i]
		if strings.HasPrefix(fragment, "/") || strings.HasPrefix(fragment, "?") {
			return true
		}
		if fragment == "" && endsOpen(before) {
			return true
		}
	}
	return false
}

// endsOpen tells whether the scope is a topic scope whose last level is empty.
func endsOpen(scope string) bool {
	filter, isPublish := strings.CutPrefix(scope, "pub:")
	if !isPublish {
		var isSubscribe bool
		if filter, isSubscribe = strings.CutPrefix(scope, "sub:"); !isSubscribe {
			return false
		}
	}
	return filter == "" || strings.HasSuffix(filter, "/")
}
