package authhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/boomgate/boomgate/authhook/accesstoken"
	"github.com/boomgate/boomgate/authhook/topicacl"
)

// Placeholders of the templates in Issuer.Scopes.
const (
	placeholderClientID = "client_id"
	placeholderClaims   = "claims."
	placeholderLabels   = "labels."
)

// topicScopes returns the topic scopes that a token of the issuer stands for, and what of it grants nothing.
//
// The gate's own issuer speaks topic scopes and AIF (RFC 9431 §2.3), which count as they are, beside the named scopes of Scopes. Of
// another issuer they count only if it has no Scopes: where the operator has said what its scopes mean, nothing else means anything.
func (i Issuer) topicScopes(token *accesstoken.Token, labels map[string]string) ([]string, []topicacl.Ignored) {
	var scopes []string
	var ignored []topicacl.Ignored
	if i.Name == "" || len(i.Scopes) == 0 {
		scopes, ignored = literalScopes(token)
	}
	value := func(name string) (string, bool) { return placeholderValue(name, token, labels) }
	for _, named := range token.Scopes {
		for _, template := range i.Scopes[named] {
			scope, err := topicacl.Expand(template, value)
			if err != nil {
				ignored = append(ignored, topicacl.Ignored{Scope: template, Err: err})
				continue
			}
			scopes = append(scopes, scope)
		}
	}
	return scopes, ignored
}

// literalScopes returns the topic scopes that stand in a token.
func literalScopes(token *accesstoken.Token) ([]string, []topicacl.Ignored) {
	if token.AIF != nil {
		scopes, err := topicacl.ParseAIF(token.AIF)
		if err != nil {
			return nil, []topicacl.Ignored{{Err: err}}
		}
		return scopes, nil
	}
	return slices.DeleteFunc(slices.Clone(token.Scopes), func(s string) bool { return !topicacl.IsTopicScope(s) }), nil
}

// placeholderValue returns what a placeholder stands for, and whether there is anything. A claim that is there but has no plain text
// is an empty value, which no template takes, not even one with a default.
func placeholderValue(name string, token *accesstoken.Token, labels map[string]string) (string, bool) {
	if name == placeholderClientID {
		return token.ClientID, true
	}
	if label, ok := strings.CutPrefix(name, placeholderLabels); ok {
		value, ok := labels[label]
		return value, ok
	}
	if claim, ok := strings.CutPrefix(name, placeholderClaims); ok {
		value, ok := token.Claims[claim]
		return plainClaim(value), ok
	}
	return "", false
}

// plainClaim returns the text of a claim that is a string, a number or a boolean.
func plainClaim(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	default:
		return ""
	}
}

// scopeFaults names what is wrong with the templates of the issuers, each named by its iss.
func scopeFaults(issuers map[string]Issuer) []error {
	var found []error
	for _, iss := range slices.Sorted(maps.Keys(issuers)) {
		issuer := issuers[iss]
		templates := 0
		for _, named := range slices.Sorted(maps.Keys(issuer.Scopes)) {
			for _, template := range issuer.Scopes[named] {
				templates++
				if err := issuer.checkTemplate(template); err != nil {
					found = append(found, fmt.Errorf("config: issuer %q: scope %q: %q: %w", iss, named, template, err))
				}
			}
		}
		if templates > topicacl.MaxScopes {
			found = append(found, fmt.Errorf("config: issuer %q: %w", iss, topicacl.ErrTooManyScopes))
		}
	}
	return found
}

var (
	errNoSuchPlaceholder = errors.New("a placeholder is none of {client_id}, {claims.<name>}, {labels.<name>}")
	errForeignLabels     = errors.New("clients of another issuer have no labels")
)

// checkTemplate reports what is wrong with a template of the issuer, whatever the token.
func (i Issuer) checkTemplate(template string) error {
	if !topicacl.IsTopicScope(template) {
		return topicacl.ErrNotTopicScope
	}
	if err := topicacl.CheckTemplate(template); err != nil {
		return err
	}
	var fault error
	_, err := topicacl.Expand(template, func(name string) (string, bool) {
		claim, isClaim := strings.CutPrefix(name, placeholderClaims)
		label, isLabel := strings.CutPrefix(name, placeholderLabels)
		switch {
		case isLabel && i.Name != "":
			fault = errForeignLabels
		case name != placeholderClientID && !isClaim && !isLabel, isClaim && claim == "", isLabel && label == "":
			fault = errNoSuchPlaceholder
		}
		return "x", true
	})
	return errors.Join(fault, err)
}
