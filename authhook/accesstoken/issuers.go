package accesstoken

import (
	"context"
	"errors"
	"fmt"
)

// Issuers verifies the tokens of several issuers, each by a Verifier of its own. Its methods may be called concurrently.
type Issuers struct {
	verifiers map[string]*Verifier // by issuer
}

// NewIssuers returns the verifiers as one, or an error that names every fault: none given, one that is nil, two for one issuer.
func NewIssuers(verifiers ...*Verifier) (*Issuers, error) {
	i := &Issuers{verifiers: make(map[string]*Verifier, len(verifiers))}
	var faults []error
	if len(verifiers) == 0 {
		faults = append(faults, errors.New("there is none"))
	}
	for n, v := range verifiers {
		if v == nil {
			faults = append(faults, fmt.Errorf("verifier %d is nil", n+1))
			continue
		}
		if _, twice := i.verifiers[v.issuer]; twice {
			faults = append(faults, fmt.Errorf("two verifiers are for the issuer %q", v.issuer))
		}
		i.verifiers[v.issuer] = v
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("configuring issuers: %w", errors.Join(faults...))
	}
	return i, nil
}

// Verify chooses the Verifier by the claim iss and leaves everything to that one: its keys, audience, algorithms and types, none of
// another issuer's. Until the signature is checked, iss is only what the sender says; the Verifier reads it again after that. The
// errors are those of Verifier.Verify, ErrIssuer for an issuer that is not configured.
func (i *Issuers) Verify(ctx context.Context, token string) (*Token, error) {
	parts, err := split(token)
	if err != nil {
		return nil, err
	}
	claims, err := parseObject(parts.payload)
	if err != nil {
		return nil, refuse(ErrMalformed, "payload: "+err.Error())
	}
	issuer, _ := claims["iss"].(string)
	v, known := i.verifiers[issuer]
	if !known {
		return nil, ErrIssuer
	}
	return v.verify(ctx, parts)
}
