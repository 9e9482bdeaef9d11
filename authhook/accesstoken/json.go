package accesstoken

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds how deep objects and arrays may be nested, the outermost object included.
const maxDepth = 8

// Faults of JSON text.
var (
	errJSON      = errors.New("not one JSON value in UTF-8, or not of the kind wanted")
	errDuplicate = errors.New("two members of one name")
	errDepth     = errors.New("nested too deep")
	errEscape    = errors.New("escape that stands for no character")
)

// parseObject decodes one JSON object as parseValue does.
func parseObject(data []byte) (map[string]any, error) {
	value, err := parseValue(data)
	if err != nil {
		return nil, err
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, errJSON
	}
	return object, nil
}

// parseValue decodes one JSON value and nothing after it. It refuses what encoding/json lets pass: two members of one name at any
// depth, depth beyond maxDepth, text that is not UTF-8, and escapes that stand for no character, which would make different names
// equal. Numbers are of type json.Number.
func parseValue(data []byte) (any, error) {
	members, depth := measure(data)
	if depth > maxDepth {
		return nil, errDepth
	}
	if !utf8.Valid(data) {
		return nil, errJSON
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, errJSON
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errJSON
	}
	kept, err := census(value)
	if err != nil {
		return nil, err
	}
	if kept != members {
		return nil, errDuplicate // of two members of one name the decoder keeps the last
	}
	return value, nil
}

// measure counts the members of all objects in JSON text, one colon each, and finds the greatest depth. Text that is not JSON
// yields numbers that mean nothing.
func measure(data []byte) (members, depth int) {
	open, quoted := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
			if c == '\\' {
				i++
			}
		case c == '{' || c == '[':
			open++
			depth = max(depth, open)
		case c == '}' || c == ']':
			open--
		case c == ':':
			members++
		}
	}
	return members, depth
}

// census counts the members of all objects within a decoded value. It refuses strings in which the decoder put U+FFFD for a lone
// surrogate.
func census(value any) (members int, err error) {
	switch v := value.(type) {
	case string:
		return 0, faithful(v)
	case []any:
		for _, element := range v {
			n, err := census(element)
			if err != nil {
				return 0, err
			}
			members += n
		}
	case map[string]any:
		for name, element := range v {
			if err := faithful(name); err != nil {
				return 0, err
			}
			n, err := census(element)
			if err != nil {
				return 0, err
			}
			members += 1 + n
		}
	}
	return members, nil
}

func faithful(s string) error {
	if strings.ContainsRune(s, utf8.RuneError) {
		return errEscape
	}
	return nil
}
