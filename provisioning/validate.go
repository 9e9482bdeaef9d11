package provisioning

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of a record. Lengths are in bytes.
const (
	MaxIDLength            = 64
	MaxNameLength          = 256
	MaxDescriptionLength   = 1024
	MaxLabels              = 64
	MaxLabelKeyLength      = 63
	MaxLabelValueLength    = 256
	MaxRoles               = 64
	MaxGrantScopes         = 256 // over all grants of a record
	MaxScopeLength         = 1024
	MaxAudienceLength      = 256
	MaxAttributes          = 32
	MaxAttributeKeyLength  = 128
	MaxAttributeLength     = 1024
	MaxMQTTClientIDs       = 16
	MaxMQTTClientIDLength  = 256
	MaxSecrets             = 16
	MaxSecretCommentLength = 256
	MaxCertificates        = 8
	MaxCertificateLength   = 1024 // of one entry

	MinTokenTTL = time.Minute
	MaxTokenTTL = 24 * time.Hour
	// DefaultTokenTTL is the lifetime of tokens of a client that names none.
	DefaultTokenTTL = time.Hour
	// MaxRotateOverlap is how long old secrets may outlive a rotation at most.
	MaxRotateOverlap = 90 * 24 * time.Hour
)

const idRule = "must be 1 to 64 of a-z, 0-9 and '-', and not begin with '-'"

// reservedAttributes are claim names that belong to the issuer, in lower case:
// a verifier that folds letters must not be misled either.
var reservedAttributes = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "scp", "gty", "azp", "cnf", "act", "may_act",
	"typ", "alg", "kid", "crit", "nonce", "sid", "acr", "amr", "auth_time", "token_use", "permissions", "roles", "groups",
	"entitlements", "events", "active", "token_type", "credential_id",
}

// faults collects what is wrong with a record, so that all of it is named at once.
type faults []FieldError

func (f *faults) add(field, message string) {
	*f = append(*f, FieldError{field, message})
}

func (f *faults) addf(field, format string, args ...any) {
	f.add(field, fmt.Sprintf(format, args...))
}

func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return &InvalidError{Fields: f}
}

// checkClient validates every field by itself; whether the roles exist is not
// its business.
func checkClient(c *Client, scopes ScopeLanguage) faults {
	var f faults
	f.id("id", c.ID)
	if !c.Kind.Valid() {
		f.add("kind", "must be device, service or operator")
	}
	if !c.Status.Valid() {
		f.add("status", "must be active or disabled")
	}
	f.text("name", c.Name, MaxNameLength)
	f.labels(c.Labels)
	f.roles(c.Roles)
	f.grants(c.Grants, scopes)
	f.attributes(c.Attributes)
	f.tokenTTL(c.TokenTTL)
	f.mqttClientIDs(c.MQTTClientIDs)
	f.secrets(c.Secrets)
	f.certificates(c.Certificates)
	return f
}

func checkRole(r *Role, scopes ScopeLanguage) faults {
	var f faults
	f.id("id", r.ID)
	f.text("description", r.Description, MaxDescriptionLength)
	f.grants(r.Grants, scopes)
	f.limits(r.Limits)
	return f
}

func validID(id string) bool {
	if id == "" || len(id) > MaxIDLength || id[0] == '-' {
		return false
	}
	for i := range len(id) {
		if c := id[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

func (f *faults) id(field, id string) {
	if !validID(id) {
		f.add(field, idRule)
	}
}

// text checks a string that is shown to people.
func (f *faults) text(field, s string, limit int) {
	switch {
	case len(s) > limit:
		f.addf(field, "is longer than %d bytes", limit)
	case !utf8.ValidString(s):
		f.add(field, "is not UTF-8")
	case strings.ContainsFunc(s, unicode.IsControl):
		f.add(field, "holds a control character")
	}
}

func (f *faults) labels(labels map[string]string) {
	if len(labels) > MaxLabels {
		f.addf("labels", "must be %d at most", MaxLabels)
		return
	}
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		field := memberPath("labels", key)
		if !validName(key, MaxLabelKeyLength, "_.-") {
			f.addf(field, "a label's key must be 1 to %d letters, digits, '_', '.' and '-', and begin with a letter or digit",
				MaxLabelKeyLength)
		}
		f.text(field, labels[key], MaxLabelValueLength)
	}
}

func (f *faults) roles(roles []string) {
	if len(roles) > MaxRoles {
		f.addf("roles", "must be %d at most", MaxRoles)
		return
	}
	for i, role := range roles {
		field := indexPath("roles", i)
		f.id(field, role)
		if slices.Contains(roles[:i], role) {
			f.add(field, "is listed twice")
		}
	}
}

func (f *faults) grants(grants []Grant, scopes ScopeLanguage) {
	total := 0
	for _, g := range grants {
		total += len(g.Scopes)
	}
	if total > MaxGrantScopes || len(grants) > MaxGrantScopes {
		f.addf("grants", "must hold %d scopes at most", MaxGrantScopes)
		return
	}
	for i, g := range grants {
		field := indexPath("grants", i)
		f.audience(field+".audience", g.Audience)
		if len(g.Scopes) == 0 {
			f.add(field+".scopes", "must hold at least one scope")
		}
		for j, scope := range g.Scopes {
			f.scope(indexPath(field+".scopes", j), g.Audience, scope, scopes)
		}
	}
}

func (f *faults) audience(field, audience string) {
	switch {
	case audience == "":
		f.add(field, "is missing")
	case len(audience) > MaxAudienceLength:
		f.addf(field, "is longer than %d bytes", MaxAudienceLength)
	case !isGraphic(audience):
		f.add(field, "must be printable ASCII without spaces")
	}
}

// scope checks one scope by the rules of its audience: templates of topic scopes
// for the broker, a fixed list for the operators' API, and RFC 6749 §3.3 for
// every other.
func (f *faults) scope(field, audience, scope string, language ScopeLanguage) {
	switch {
	case scope == "":
		f.add(field, "is empty")
	case len(scope) > MaxScopeLength:
		f.addf(field, "is longer than %d bytes", MaxScopeLength)
	case audience == AudienceMQTT:
		f.template(field, scope, language)
	case audience == AudienceFleet:
		if !slices.Contains(FleetScopes(), scope) {
			f.add(field, "is none of: "+strings.Join(FleetScopes(), ", "))
		}
	case !isGraphic(scope) || strings.ContainsAny(scope, `"\`):
		f.add(field, `must be printable ASCII without spaces, '"' and '\'`)
	}
}

// template checks a scope with placeholders. A name that no client has a value
// for is a fault: the scope would grant nothing, and nobody would know why.
func (f *faults) template(field, scope string, language ScopeLanguage) {
	template, err := language.ParseTemplate(scope)
	if err != nil {
		f.add(field, err.Error())
		return
	}
	var unknown []string
	_, err = template.Expand(func(name string) (string, bool) {
		if !isPlaceholder(name) {
			unknown = append(unknown, "{"+name+"}")
		}
		return "x", true
	})
	switch {
	case len(unknown) > 0:
		f.add(field, "knows no "+strings.Join(unknown, ", ")+": there are {client_id}, {kind}, {labels.x} and {attributes.x}")
	case err != nil:
		f.add(field, err.Error())
	}
}

func (f *faults) attributes(attributes map[string]string) {
	if len(attributes) > MaxAttributes {
		f.addf("attributes", "must be %d at most", MaxAttributes)
		return
	}
	for _, key := range slices.Sorted(maps.Keys(attributes)) {
		field := memberPath("attributes", key)
		switch {
		case !validName(key, MaxAttributeKeyLength, "_.-:/"):
			f.addf(field, "a claim's name must be 1 to %d letters, digits, '_', '.', '-', ':' and '/', and begin with a letter or digit",
				MaxAttributeKeyLength)
		case slices.Contains(reservedAttributes, strings.ToLower(key)):
			f.add(field, "is a claim of the issuer")
		}
		f.text(field, attributes[key], MaxAttributeLength)
	}
}

func (f *faults) tokenTTL(ttl time.Duration) {
	switch {
	case ttl == 0:
	case ttl < MinTokenTTL || ttl > MaxTokenTTL:
		f.addf("token_ttl", "must be %d to %d seconds", MinTokenTTL/time.Second, MaxTokenTTL/time.Second)
	case ttl%time.Second != 0:
		f.add("token_ttl", "must be whole seconds")
	}
}

func (f *faults) mqttClientIDs(patterns []string) {
	if len(patterns) > MaxMQTTClientIDs {
		f.addf("mqtt_client_ids", "must be %d at most", MaxMQTTClientIDs)
		return
	}
	for i, pattern := range patterns {
		field := indexPath("mqtt_client_ids", i)
		if pattern == "" {
			f.add(field, "is empty")
		}
		f.text(field, pattern, MaxMQTTClientIDLength)
	}
}

func (f *faults) secrets(secrets []Secret) {
	if len(secrets) > MaxSecrets {
		f.addf("secrets", "must be %d at most: rotate without overlap, or wait until old ones have expired", MaxSecrets)
		return
	}
	for i, s := range secrets {
		field := indexPath("secrets", i)
		f.text(field+".comment", s.Comment, MaxSecretCommentLength)
		if !s.ExpiresAt.IsZero() && !s.ExpiresAt.After(s.NotBefore) {
			f.add(field+".expires_at", "must be later than not_before")
		}
	}
}

// validName reports whether s begins with an ASCII letter or digit and holds
// nothing but those and the characters of more.
func validName(s string, limit int, more string) bool {
	if s == "" || len(s) > limit || strings.IndexByte(more, s[0]) >= 0 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		alphanumeric := '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !alphanumeric && strings.IndexByte(more, c) < 0 {
			return false
		}
	}
	return true
}

// isGraphic reports whether s is printable ASCII without spaces.
func isGraphic(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func indexPath(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }

// memberPath names a member of a map; a key that is not a plain name is quoted
// and cut.
func memberPath(field, key string) string {
	if validName(key, MaxLabelKeyLength, "_-") {
		return field + "." + key
	}
	const cut = 64
	if len(key) > cut {
		key = key[:cut]
	}
	return field + "[" + strconv.QuoteToASCII(key) + "]"
}
