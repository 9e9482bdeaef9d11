package oauth

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
)

// aifOfText returns the JSON of a scope parameter that is authorization information (RFC 9431 §2.3), given as it is or in
// base64url.
func aifOfText(scope string) ([]byte, bool) {
	if isAIF(scope) {
		return []byte(scope), true
	}
	decoded, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(scope, "="))
	if err != nil || !isAIF(string(decoded)) || !json.Valid(decoded) {
		return nil, false
	}
	return decoded, true
}

// isAIF tells whether the text begins an array with a string in it. No list of scope names does: RFC 6749 §3.3 keeps
// quotation marks out of them.
func isAIF(text string) bool {
	return strings.HasPrefix(strings.TrimLeft(text, jsonSpace), "[") && strings.Contains(text, `"`)
}

const jsonSpace = " \t\r\n"

// aifOfMember does the same for the `scope` of a JSON body, where authorization information may also be an array of arrays.
func aifOfMember(value json.RawMessage) ([]byte, bool) {
	if text, ok := decodeString(value); ok {
		return aifOfText(text)
	}
	inside, isArray := bytes.CutPrefix(value, []byte("["))
	if !isArray || !bytes.HasPrefix(bytes.TrimLeft(inside, jsonSpace), []byte("[")) {
		return nil, false
	}
	return value, true
}

// aifTornAtPlus tells whether a level of a topic filter is one space, which a single-level wildcard has left in a form: see
// [tornAtPlus]. Outside of strings, JSON has no space beside a slash or between quotation marks.
func aifTornAtPlus(scope string) bool {
	for _, gap := range []string{"/ /", `" /`, `/ "`, `" "`} {
		if strings.Contains(scope, gap) {
			return true
		}
	}
	return false
}

// readAIF returns the scopes that the authorization information of a request names.
func (h *Handler) readAIF(data []byte) ([]string, error) {
	if h.cfg.AIF == nil {
		return nil, refuse(invalidScope, ReasonScopeMalformed, "a scope that is authorization information (RFC 9237) is not supported here")
	}
	scopes, err := h.cfg.AIF.ParseAIF(data)
	if err != nil {
		return nil, refuse(invalidScope, ReasonScopeMalformed,
			"the scope is not well-formed authorization information for MQTT (RFC 9431 section 2.3): an array of topic filters with their permissions, pub and sub")
	}
	return checkScopes(scopes)
}

// scopeText returns the scopes in the form in which they were asked for.
func (h *Handler) scopeText(may entitlement) (string, error) {
	if !may.aif {
		return strings.Join(may.scopes, " "), nil
	}
	data, err := h.cfg.AIF.FormatAIF(may.scopes)
	return base64.RawURLEncoding.EncodeToString(data), err
}
