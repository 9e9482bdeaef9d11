package main

import (
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/knadh/koanf/v2"

	"github.com/boomgate/boomgate/authhook/topicacl"
)

// keyIssuers is the only key with parts of its own, so it can be set in the file alone.
const keyIssuers = "issuers"

// IssuerConfig is another issuer whose access tokens let clients in.
type IssuerConfig struct {
	// Name stands before its client IDs, as in auth0/abc, wherever they are shown: two issuers' clients are never the same.
	Name     string `koanf:"name"`
	Issuer   string `koanf:"issuer"`
	Audience string `koanf:"audience"`
	// JWKSURL and JWKSFile are where its keys are; one of the two.
	JWKSURL       string   `koanf:"jwks_url"`
	JWKSFile      string   `koanf:"jwks_file"`
	Algorithms    []string `koanf:"algorithms"`
	Types         []string `koanf:"types"`
	ClientIDClaim string   `koanf:"client_id_claim"`
	// RequiredClaims must be there with these values: by them the tokens of machines are told from those of people.
	RequiredClaims map[string]string `koanf:"required_claims"`
	// MQTTClientIDs are patterns in which {client_id} stands for the client's ID.
	MQTTClientIDs []string `koanf:"mqtt_client_ids"`
	// Scopes says which topic scopes a named scope stands for.
	Scopes map[string][]string `koanf:"scopes"`
}

// unknownIssuerKeys finds what no issuer has.
func unknownIssuerKeys(k *koanf.Koanf, file string) []error {
	entries, ok := k.Get(keyIssuers).([]any)
	if !ok && k.Exists(keyIssuers) {
		return []error{fmt.Errorf("%s: issuers is no list", file)}
	}
	var known []string
	for field := range reflect.TypeFor[IssuerConfig]().Fields() {
		known = append(known, field.Tag.Get("koanf"))
	}
	var faults []error
	for i, entry := range entries {
		members, ok := entry.(map[string]any)
		if !ok {
			faults = append(faults, fmt.Errorf("%s: issuers[%d] has no members such as name and issuer", file, i))
		}
		for key := range members {
			if !slices.Contains(known, key) {
				faults = append(faults, fmt.Errorf("%s: unknown key %q in issuers[%d]: use %s", file, key, i, strings.Join(known, ", ")))
			}
		}
	}
	return faults
}

// signatureAlgorithms are what another issuer may sign with.
var signatureAlgorithms = []string{"RS256", "ES256", "EdDSA"}

func (c Config) issuerFaults() []error {
	var faults []error
	names, issuers := map[string]bool{}, map[string]bool{c.PublicURL: c.PublicURL != ""}
	for i, issuer := range c.Issuers {
		add := func(format string, args ...any) {
			faults = append(faults, fmt.Errorf("issuers[%d]: %s", i, fmt.Sprintf(format, args...)))
		}
		for _, text := range issuer.faults() {
			add("%s", text)
		}
		if names[issuer.Name] {
			add("name %q is taken by another issuer", issuer.Name)
		}
		if issuers[issuer.Issuer] {
			add("issuer %q is there twice, or is this server itself", issuer.Issuer)
		}
		names[issuer.Name], issuers[issuer.Issuer] = true, true
	}
	return faults
}

func (c IssuerConfig) faults() []string {
	var faults []string
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			faults = append(faults, fmt.Sprintf(format, args...))
		}
	}
	add(!validIssuerName(c.Name), "name is %q: use lower-case letters, digits and hyphens", c.Name)
	add(c.Issuer == "", "issuer is missing: the iss of its tokens, letter for letter")
	add(c.Audience == "", "audience is missing: the aud that its tokens must have")
	add((c.JWKSURL == "") == (c.JWKSFile == ""), "give one of jwks_url and jwks_file")
	add(c.JWKSURL != "" && !secureURL(c.JWKSURL), "jwks_url is %q: use https (http on loopback only)", c.JWKSURL)
	if c.JWKSFile != "" {
		_, err := os.Stat(c.JWKSFile)
		add(err != nil, "jwks_file: %v", err)
	}
	for _, alg := range c.Algorithms {
		add(!slices.Contains(signatureAlgorithms, alg), "algorithms holds %q: use %s", alg, strings.Join(signatureAlgorithms, ", "))
	}
	for scope, templates := range c.Scopes {
		add(len(templates) == 0, "scope %q stands for nothing", scope)
		for _, template := range templates {
			err := topicacl.CheckTemplate(template)
			add(err != nil || !topicacl.IsTopicScope(template), "scope %q: %q is no topic scope such as pub:a/{client_id}/#%s", scope, template, because(err))
		}
	}
	return faults
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

func validIssuerName(name string) bool {
	return name != "" && len(name) <= 64 && !strings.HasPrefix(name, "-") &&
		strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// secureURL tells whether nobody on the way can change what is fetched there.
func secureURL(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return false
	}
	if u.Scheme == "http" {
		ip, err := netip.ParseAddr(u.Hostname())
		return u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
	}
	return u.Scheme == "https"
}
