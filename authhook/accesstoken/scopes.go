package accesstoken

import (
	"slices"
	"strings"
)

// readScopes reads the claims scp (an array or a string) and scope (a string, or AIF). Where both are present they must be the same
// set; AIF is never the same as scopes.
func readScopes(claims map[string]any) (scopes []string, aif []byte, err error) {
	scp, hasSCP, err := readSCP(claims)
	if err != nil {
		return nil, nil, err
	}
	if aif := readAIF(claims); aif != nil {
		if len(scp) > 0 {
			return nil, nil, refuse(ErrClaims, "scp beside a scope in AIF")
		}
		return nil, aif, nil
	}
	scope, hasScope, err := readScope(claims, "scope")
	if err != nil {
		return nil, nil, err
	}
	if !hasSCP {
		return scope, nil, nil
	}
	if hasScope && !sameSet(scp, scope) {
		return nil, nil, refuse(ErrClaims, "scp and scope disagree")
	}
	return scp, nil, nil
}

func readSCP(claims map[string]any) (scopes []string, present bool, err error) {
	list, isList := claims["scp"].([]any)
	if !isList {
		return readScope(claims, "scp")
	}
	for _, element := range list {
		text, ok := element.(string)
		if !ok || !isScopeToken(text) {
			return nil, true, refuse(ErrClaims, "scp holds something that is no scope")
		}
		scopes = append(scopes, text)
	}
	return unique(scopes), true, nil
}

// readScope reads a string of scopes separated by single spaces (RFC 6749 §3.3). The empty string holds none.
func readScope(claims map[string]any, name string) (scopes []string, present bool, err error) {
	value, present := claims[name]
	if !present {
		return nil, false, nil
	}
	text, ok := value.(string)
	if !ok {
		return nil, true, refuse(ErrClaims, name+" is of the wrong type")
	}
	if text == "" {
		return nil, true, nil
	}
	scopes = strings.Split(text, " ")
	if slices.ContainsFunc(scopes, func(s string) bool { return !isScopeToken(s) }) {
		return nil, true, refuse(ErrClaims, name+" holds something that is no scope")
	}
	return unique(scopes), true, nil
}

// isScopeToken reports whether text is a scope-token of RFC 6749 §3.3.
func isScopeToken(text string) bool {
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return text != ""
}

// unique drops repetitions and keeps the order.
func unique(scopes []string) []string {
	seen := make(map[string]struct{}, len(scopes))
	return slices.DeleteFunc(scopes, func(scope string) bool {
		_, twice := seen[scope]
		seen[scope] = struct{}{}
		return twice
	})
}

// sameSet compares two lists without repetitions.
func sameSet(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}
