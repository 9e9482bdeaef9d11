package topicacl

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Errors of templates. Their texts may name a placeholder, never a value.
var (
	// ErrTemplate says that a template is malformed, whatever the values.
	ErrTemplate = errors.New("malformed scope template")
	// ErrNoValue says that a placeholder without a default has no value.
	ErrNoValue = errors.New("placeholder has no value")
	// ErrValue says that a value may not be inserted.
	ErrValue = errors.New("placeholder value not allowed")
)

const (
	// maxValueLength bounds a placeholder's value, in bytes.
	maxValueLength = 256
	// maxNameLength bounds a placeholder's name, in bytes.
	maxNameLength = 128
	// sampleValue stands for any good value when a template is checked.
	sampleValue = "x"
)

// CheckTemplate reports what is wrong with a scope template: the error of ParseTemplate.
func CheckTemplate(template string) error {
	_, err := ParseTemplate(template)
	return err
}

// Expand returns the scope that a template stands for: ParseTemplate and Template.Expand in one.
func Expand(template string, value func(name string) (string, bool)) (string, error) {
	t, err := ParseTemplate(template)
	if err != nil {
		return "", err
	}
	return t.Expand(value)
}

// A Template is a scope with places for values. Only ParseTemplate makes ones that can be expanded. It may be used concurrently.
type Template struct {
	parts []part
	topic bool // it is a topic scope, in all its expansions
}

// A part is literal text, or a placeholder if it has a name.
type part struct {
	text        string // the literal text, or the default
	name        string
	hasDefault  bool
	opensFilter bool // nothing stands before it in the filter
}

// ParseTemplate reads a scope template; its error wraps ErrTemplate.
//
// A template is a scope in which {name} stands for a value and {name|default} for a value or, when there is none, for text that the
// template's author wrote. Literal braces are reserved for that. A name consists of letters, digits, "_", "-" and ".". In a topic
// scope a placeholder may stand anywhere in the filter, but neither in the action nor in the limits; the template must be a valid
// scope with any good values and with any of the defaults. Other scopes hold characters of RFC 6749 §3.3.
func ParseTemplate(text string) (Template, error) {
	if len(text) > maxScopeLength {
		return Template{}, malformedTemplate("too long")
	}
	t := Template{topic: IsTopicScope(text)}
	for at := 0; text != ""; {
		p, rest, err := nextPart(text)
		if err != nil {
			return Template{}, err
		}
		p.opensFilter = t.topic && at == len("pub:")
		at += len(text) - len(rest)
		text = rest
		t.parts = append(t.parts, p)
	}
	if err := t.check(); err != nil {
		return Template{}, err
	}
	return t, nil
}

// Expand returns the scope that the template stands for, a topic scope in canonical form. Value returns the value of a name and
// whether there is one; a default is used only if there is none. A value is percent-encoded as scope text needs it, inserted once,
// and never read as a placeholder, a wildcard or a limit: a value that is empty, longer than 256 bytes, not UTF-8, or holds '+',
// '#', '/' or a control character is an error that wraps ErrValue, and so is one whose '$' would begin the filter. A missing value
// is an error that wraps ErrNoValue.
func (t Template) Expand(value func(name string) (string, bool)) (string, error) {
	text, err := t.insert(value)
	if err != nil {
		return "", err
	}
	if !t.topic {
		if checkNamed(text) != nil {
			return "", fmt.Errorf("%w: the scope would be another kind of scope, or too long", ErrValue)
		}
		return text, nil
	}
	scope, err := ParseScope(text)
	if err != nil {
		return "", fmt.Errorf("expanding template: %w", err)
	}
	if len(text) == len("pub:")+len(scope.Filter) {
		return text, nil // it has no limits and nothing in it is encoded, so there is no other way to write it
	}
	return scope.String(), nil
}

func malformedTemplate(what string) error { return fmt.Errorf("%w: %s", ErrTemplate, what) }

// nextPart splits the first part off text, which is not empty.
func nextPart(text string) (part, string, error) {
	brace := strings.IndexAny(text, "{}")
	switch {
	case brace < 0:
		return part{text: text}, "", nil
	case text[brace] == '}':
		return part{}, "", malformedTemplate("'}' without '{'")
	case brace > 0:
		return part{text: text[:brace]}, text[brace:], nil
	}
	inside, rest, closed := strings.Cut(text[1:], "}")
	if !closed {
		return part{}, "", malformedTemplate("'{' without '}'")
	}
	var p part
	p.name, p.text, p.hasDefault = strings.Cut(inside, "|")
	if !validName(p.name) {
		return part{}, "", malformedTemplate("bad placeholder name")
	}
	if p.hasDefault && (p.text == "" || strings.ContainsAny(p.text, "{|?")) {
		return part{}, "", malformedTemplate("bad placeholder default")
	}
	return p, rest, nil
}

func validName(name string) bool {
	if name == "" || len(name) > maxNameLength {
		return false
	}
	for i := range len(name) {
		if !isAlphanumeric(name[i]) && strings.IndexByte("_-.", name[i]) < 0 {
			return false
		}
	}
	return true
}

// check tries the template with good values alone, with all defaults, and with each default among good values.
func (t Template) check() error {
	if err := t.checkPlaces(); err != nil {
		return err
	}
	if err := t.try(func(int) bool { return false }); err != nil {
		return err
	}
	if err := t.try(func(int) bool { return true }); err != nil {
		return err
	}
	for i, p := range t.parts {
		if !p.hasDefault {
			continue
		}
		if err := t.try(func(j int) bool { return i == j }); err != nil {
			return err
		}
	}
	return nil
}

// checkPlaces refuses placeholders in the limits of a topic scope.
func (t Template) checkPlaces() error {
	limits := false
	for _, p := range t.parts {
		if p.name == "" {
			limits = limits || strings.Contains(p.text, "?")
		} else if t.topic && limits {
			return malformedTemplate("placeholder in the limits")
		}
	}
	return nil
}

// try checks one expansion: parts of which useDefault is true take their default if they have one.
func (t Template) try(useDefault func(part int) bool) error {
	var b strings.Builder
	for i, p := range t.parts {
		if p.name == "" || (p.hasDefault && useDefault(i)) {
			b.WriteString(p.text)
		} else {
			b.WriteString(sampleValue)
		}
	}
	if !t.topic {
		return checkNamed(b.String())
	}
	if _, err := ParseScope(b.String()); err != nil {
		return fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	return nil
}

// insert writes the parts one after the other.
func (t Template) insert(value func(name string) (string, bool)) (string, error) {
	const usualValue = 16 // bytes
	room := 0
	for _, p := range t.parts {
		if room += len(p.text); p.name != "" {
			room += usualValue
		}
	}
	var b strings.Builder
	b.Grow(room)
	for _, p := range t.parts {
		if p.name == "" {
			b.WriteString(p.text)
			continue
		}
		v, ok := value(p.name)
		switch {
		case !ok && p.hasDefault:
			b.WriteString(p.text)
		case !ok:
			return "", fmt.Errorf("%w: {%s}", ErrNoValue, p.name)
		case !insertable(v) || (p.opensFilter && v[0] == '$'):
			return "", fmt.Errorf("%w: {%s}", ErrValue, p.name)
		default:
			writeEncoded(&b, v)
		}
	}
	return b.String(), nil
}

// insertable reports whether a value is one piece of a topic level and nothing else.
func insertable(value string) bool {
	if value == "" || len(value) > maxValueLength {
		return false
	}
	for i := range len(value) {
		switch c := value[i]; {
		case c >= utf8.RuneSelf:
			return utf8.ValidString(value[i:]) && !strings.ContainsFunc(value[i:], notInsertable)
		case notInsertable(rune(c)):
			return false
		}
	}
	return true
}

func notInsertable(r rune) bool { return r == '+' || r == '#' || r == '/' || unicode.IsControl(r) }

// checkNamed checks a scope that is no topic scope: RFC 6749 §3.3, and it must not look like a topic scope.
func checkNamed(scope string) error {
	if scope == "" || len(scope) > maxScopeLength || IsTopicScope(scope) {
		return malformedTemplate("not a scope")
	}
	for i := range len(scope) {
		if c := scope[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return malformedTemplate("character that no scope may hold")
		}
	}
	return nil
}
