package fleetapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
)

// maxDepth is how deep the values of a body may be nested: a grant's scopes need
// four.
const maxDepth = 8

// openObjects are the members of a body whose own members are named freely.
var openObjects = []string{"labels", "attributes"}

// jsonFormat reads bodies strictly and writes answers.
func jsonFormat() huma.Format {
	return huma.Format{
		Marshal: func(w io.Writer, v any) error {
			enc := json.NewEncoder(w)
			enc.SetEscapeHTML(false)
			return enc.Encode(v)
		},
		Unmarshal: unmarshal,
	}
}

// unmarshal reads a body. It refuses what RFC 8259 leaves to the receiver and
// receivers understand differently: members that occur twice, also in another
// letter case, and text that is not UTF-8. Its errors say where, not what.
func unmarshal(data []byte, into any) error {
	if !utf8.Valid(data) {
		return errors.New("is not UTF-8")
	}
	if err := json.Unmarshal(data, into); err != nil {
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			return fmt.Errorf("is not JSON, at byte %d", syntax.Offset)
		}
		return errors.New("holds a value of the wrong type")
	}
	s := &scanner{json.NewDecoder(bytes.NewReader(data))}
	return s.value(0, false)
}

// scanner walks over a document that is known to be JSON.
type scanner struct{ *json.Decoder }

// value reads one value; open says that its members are named freely.
func (s *scanner) value(depth int, open bool) error {
	token, err := s.Token()
	if err != nil {
		return errors.New("is not JSON")
	}
	delim, nested := token.(json.Delim)
	if !nested {
		return nil
	}
	if depth == maxDepth {
		return fmt.Errorf("is nested deeper than %d levels, at byte %d", maxDepth, s.InputOffset())
	}
	seen := map[string]bool{}
	for s.More() {
		name := ""
		if delim == '{' {
			if name, err = s.member(seen, open); err != nil {
				return err
			}
		}
		if err := s.value(depth+1, depth == 0 && slices.Contains(openObjects, name)); err != nil {
			return err
		}
	}
	_, err = s.Token()
	return err
}

// member reads the name of a member.
func (s *scanner) member(seen map[string]bool, open bool) (string, error) {
	token, err := s.Token()
	if err != nil {
		return "", errors.New("is not JSON")
	}
	name, _ := token.(string)
	switch {
	case seen[name]:
		return "", fmt.Errorf("names a member twice in one object, at byte %d", s.InputOffset())
	case !open && name != proper(name):
		// encoding/json would take "Labels", and even "labelſ", for "labels".
		return "", fmt.Errorf("names a member in other letters than those of the documentation, at byte %d", s.InputOffset())
	}
	seen[name] = true
	return name, nil
}

// proper is the one way to write a member's name among those that encoding/json
// takes for the same: in lower case, but for the name that RFC 8705 §3.1 gives.
func proper(name string) string {
	folded := strings.ToLower(strings.ToUpper(name))
	if folded == strings.ToLower(thumbprintMember) {
		return thumbprintMember
	}
	return folded
}
