package main

import (
	"github.com/boomgate/boomgate/authhook/topicacl"
	"github.com/boomgate/boomgate/provisioning"
)

// scopeLanguage gives the registry the scope language of the gate, so that what
// an operator writes into a role is what the broker will read.
type scopeLanguage struct{}

var _ provisioning.ScopeLanguage = scopeLanguage{}

func (scopeLanguage) ParseTemplate(text string) (provisioning.ScopeTemplate, error) {
	return topicacl.ParseTemplate(text)
}

func (scopeLanguage) Covers(granted, requested string) bool {
	return topicacl.Covers(granted, requested)
}

// ParseAIF reads scopes in the authorization information format of MQTT (RFC 9431 §2.3).
func (scopeLanguage) ParseAIF(data []byte) ([]string, error) { return topicacl.ParseAIF(data) }

// FormatAIF writes scopes in that format.
func (scopeLanguage) FormatAIF(scopes []string) ([]byte, error) { return topicacl.FormatAIF(scopes) }
