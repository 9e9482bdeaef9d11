package accesstoken

import (
	"encoding/json"
	"slices"
)

// readAIF returns the JSON text of a claim scope that is of the Authorization Information Format, and nil for any other: a JSON array
// of arrays, as such, as text, or as base64url of the text (RFC 9431 §2.3). What the inner arrays hold is for those who know the
// format's model to judge.
func readAIF(claims map[string]any) []byte {
	switch scope := claims["scope"].(type) {
	case []any:
		if text, err := json.Marshal(scope); err == nil && isAIF(scope) {
			return text
		}
	case string:
		text, encoded := decodePart(scope)
		if !encoded {
			text = []byte(scope)
		}
		if value, err := parseValue(text); err == nil && isAIF(value) {
			return text
		}
	}
	return nil
}

// isAIF reports whether a JSON value is an array of arrays, or an empty one.
func isAIF(value any) bool {
	list, ok := value.([]any)
	return ok && !slices.ContainsFunc(list, func(element any) bool {
		_, nested := element.([]any)
		return !nested
	})
}
