package main

import (
	"github.com/boomgate/boomgate/authhook/topicacl"
	"github.com/boomgate/boomgate/provisioning"
)

// scopeLanguage gives the registry the scope language of the gate, so that what
// an operator writes into a role is what the broker will read.
type scopeLanguage struct{}

var _ provisioning.ScopeLanguage = scopeLanguage{}

func (scopeLanguage) CheckTemplate(template string) error { return topicacl.CheckTemplate(template) }

func (scopeLanguage) Expand(template string, value func(name string) (string, bool)) (string, error) {
	return topicacl.Expand(template, value)
}
