package oauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"
)

// parseJSON reads a JSON body: one object, whose `scope` and `audience` may be a string or an array of strings. A member
// that appears twice is refused, as parsers differ on which one counts; names are compared in their exact letter case.
func parseJSON(body []byte) (*tokenRequest, error) {
	if !utf8.Valid(body) {
		return nil, refuse(invalidRequest, ReasonBodyMalformed, "the body is not UTF-8")
	}
	members, err := readObject(body)
	if err != nil {
		return nil, err
	}
	req := new(tokenRequest)
	var assertion, assertionType string
	for _, member := range []struct {
		name string
		into *string
	}{
		{paramGrantType, &req.grantType},
		{paramClientID, &req.clientID},
		{paramClientSecret, &req.clientSecret},
		{paramAssertion, &assertion},
		{paramAssertionType, &assertionType},
	} {
		if *member.into, err = stringMember(members, member.name); err != nil {
			return nil, err
		}
	}
	req.assertion = assertion != "" || assertionType != ""
	if aif, ok := aifOfMember(members[paramScope]); ok {
		req.aif = aif
	} else if req.scopes, err = listMember(members, paramScope, splitScope, checkScopes); err != nil {
		return nil, err
	}
	one := func(audience string) ([]string, error) { return checkAudiences([]string{audience}) }
	if req.audiences, err = listMember(members, paramAudience, one, checkAudiences); err != nil {
		return nil, err
	}
	return req, nil
}

// readObject returns the known members of the only JSON value in body, which must be an object.
func readObject(body []byte) (map[string]json.RawMessage, error) {
	malformed := refuse(invalidRequest, ReasonBodyMalformed, "the body is not one well-formed JSON object")
	decoder := json.NewDecoder(bytes.NewReader(body))
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return nil, malformed
	}
	seen := make(map[string]struct{})
	members := make(map[string]json.RawMessage)
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return nil, malformed
		}
		name, isName := token.(string)
		if !isName {
			return nil, malformed
		}
		if _, twice := seen[name]; twice {
			return nil, refuse(invalidRequest, ReasonParameterRepeated, "a member of the JSON object appears twice")
		}
		seen[name] = struct{}{}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, malformed
		}
		if known(name) {
			members[name] = value
		}
	}
	if _, err := decoder.Token(); err != nil { // the closing brace
		return nil, malformed
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, malformed
	}
	return members, nil
}

// stringMember returns the named string, "" if it is left out.
func stringMember(members map[string]json.RawMessage, name string) (string, error) {
	value, given := members[name]
	if !given {
		return "", nil
	}
	text, ok := decodeString(value)
	if !ok {
		return "", refuse(invalidRequest, ReasonParameterType, name+" must be a string")
	}
	return text, nil
}

// listMember returns what the named string or array says, nil if it is left out or the empty string. It must not say
// null, or hold anything but strings: what a client may have meant by that is not guessed.
func listMember(
	members map[string]json.RawMessage, name string,
	fromString func(string) ([]string, error), fromArray func([]string) ([]string, error),
) ([]string, error) {
	value, given := members[name]
	if !given {
		return nil, nil
	}
	wrongType := refuse(invalidRequest, ReasonParameterType, name+" must be a string or an array of strings")
	if value[0] != '[' {
		text, ok := decodeString(value)
		if !ok {
			return nil, wrongType
		}
		if text == "" {
			return nil, nil
		}
		return fromString(text)
	}
	var elements []json.RawMessage
	if err := json.Unmarshal(value, &elements); err != nil {
		return nil, wrongType
	}
	list := make([]string, 0, len(elements))
	for _, element := range elements {
		text, ok := decodeString(element)
		if !ok {
			return nil, wrongType
		}
		list = append(list, text)
	}
	return fromArray(list)
}

// decodeString returns the JSON string's text; it tells false for any other value, null among them.
func decodeString(value json.RawMessage) (string, bool) {
	var text string
	if len(value) == 0 || value[0] != '"' || json.Unmarshal(value, &text) != nil {
		return "", false
	}
	return text, true
}
