package topicacl

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Errors of AIF-MQTT values. Their texts never repeat the value.
var (
	// ErrMalformedAIF says that a text is no AIF-MQTT value, or one beyond the bounds of this package.
	ErrMalformedAIF = errors.New("malformed AIF-MQTT value")
	// ErrAIFLimits says that a scope has limits, which AIF-MQTT cannot express.
	ErrAIFLimits = errors.New("AIF-MQTT has no limits on QoS or retaining")
)

// maxAIFLength bounds the JSON of an AIF-MQTT value in bytes: more than the token in an MQTT password can carry.
const maxAIFLength = 64 << 10

// ParseAIF returns the canonical topic scopes of an AIF-MQTT value in JSON (RFC 9431 §2.3, RFC 9237 §2), an array of topic filters
// with their permissions: [["a/#",["pub","sub"]],["b",["pub"]]]. The empty array permits nothing; scopes that are said twice count
// once. A value with any fault at all yields an error that wraps ErrMalformedAIF, and no scope: another shape, no or an unknown
// permission, a filter that ParseScope would refuse, more than MaxScopes scopes (ErrTooManyScopes as well), more than 64 KiB.
func ParseAIF(data []byte) ([]string, error) {
	if len(data) > maxAIFLength {
		return nil, malformedAIF("too long")
	}
	var entries [][]any
	if json.Unmarshal(data, &entries) != nil || entries == nil {
		return nil, malformedAIF("not an array of arrays")
	}
	scopes := make([]string, 0, len(entries))
	seen := make(map[Scope]struct{}, len(entries))
	for _, entry := range entries {
		permitted, err := parseAIFEntry(entry)
		if err != nil {
			return nil, err
		}
		for _, scope := range permitted {
			if _, twice := seen[scope]; twice {
				continue
			}
			if len(scopes) == MaxScopes {
				return nil, fmt.Errorf("%w: %w", ErrMalformedAIF, ErrTooManyScopes)
			}
			seen[scope] = struct{}{}
			scopes = append(scopes, scope.String())
		}
	}
	return scopes, nil
}

func malformedAIF(what string) error { return fmt.Errorf("%w: %s", ErrMalformedAIF, what) }

// parseAIFEntry reads ["a/#",["pub","sub"]].
func parseAIFEntry(entry []any) ([]Scope, error) {
	if len(entry) != 2 {
		return nil, malformedAIF("an entry is not a filter and its permissions")
	}
	filter, isText := entry[0].(string)
	permissions, isArray := entry[1].([]any)
	if !isText || !isArray || len(permissions) == 0 {
		return nil, malformedAIF("an entry is not a filter and its permissions")
	}
	scopes := make([]Scope, 0, len(permissions))
	for _, permission := range permissions {
		scope := Scope{Filter: filter, MaxQoS: maxQoS, Retain: true}
		switch permission {
		case "pub":
			scope.Action = ActionPublish
		case "sub":
			scope.Action = ActionSubscribe
		default:
			return nil, malformedAIF("unknown permission")
		}
		if r := checkAIFFilter(scope); r != "" {
			return nil, malformedAIF(string(r))
		}
		scopes = append(scopes, scope)
	}
	return scopes, nil
}

// checkAIFFilter refuses, beside what no scope may hold, the replacement character: the JSON decoder writes it for what is not UTF-8
// and for half a surrogate pair, so it may stand for another text.
func checkAIFFilter(scope Scope) Reason {
	if strings.ContainsRune(scope.Filter, utf8.RuneError) {
		return ReasonFilter
	}
	return checkGrantFilter(scope.Action, scope.Filter)
}

// FormatAIF returns the AIF-MQTT value in JSON that means these topic scopes, with the permissions of one filter together, in the
// order in which the filters are first given. ParseAIF reads all that it writes. The error wraps ErrNotTopicScope,
// ErrMalformedScope, ErrAIFLimits, ErrTooManyScopes, or ErrMalformedAIF for scopes that ParseAIF would not read.
func FormatAIF(scopes []string) ([]byte, error) {
	if len(scopes) > MaxScopes {
		return nil, ErrTooManyScopes
	}
	var filters []string
	permissions := make(map[string][]string, len(scopes))
	for _, text := range scopes {
		scope, err := ParseScope(text)
		if err != nil {
			return nil, err
		}
		if scope.MaxQoS < maxQoS || !scope.Retain {
			return nil, ErrAIFLimits
		}
		if r := checkAIFFilter(scope); r != "" {
			return nil, malformedAIF(string(r))
		}
		permitted := permissions[scope.Filter]
		if permitted == nil {
			filters = append(filters, scope.Filter)
		}
		if action := scope.Action.String(); !slices.Contains(permitted, action) {
			permissions[scope.Filter] = append(permitted, action)
		}
	}
	entries := make([][2]any, len(filters))
	for i, filter := range filters {
		entries[i] = [2]any{filter, permissions[filter]}
	}
	data, err := json.Marshal(entries)
	if err != nil {
		return nil, fmt.Errorf("writing AIF-MQTT: %w", err)
	}
	if len(data) > maxAIFLength {
		return nil, malformedAIF("too long")
	}
	return data, nil
}
