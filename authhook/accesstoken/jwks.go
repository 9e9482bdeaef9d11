package accesstoken

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// maxJWKSSize bounds the text of a JWK set, in bytes.
const maxJWKSSize = 256 << 10

// ParseJWKS returns the keys of a JWK set (RFC 7517 §5). Every key must have a key ID of its own, be public, and be of use for
// checking signatures: a symmetric or private key, one for encryption, or one of an algorithm that this package does not know makes
// the whole set an error that names each fault, for a key that is silently left out is found missing too late. An empty set is an
// error.
func ParseJWKS(data []byte) (*StaticKeys, error) {
	if len(data) > maxJWKSSize {
		return nil, fmt.Errorf("reading JWK set: more than %d bytes", maxJWKSSize)
	}
	list, err := parseJWKList(data)
	if err != nil {
		return nil, err
	}
	set, faults := usableKeys(list)
	if len(faults) > 0 {
		return nil, fmt.Errorf("reading JWK set: %w", errors.Join(faults...))
	}
	return set, nil
}

// parseJWKList returns the members of a JWK set, one or more, as parseObject decodes them.
func parseJWKList(data []byte) ([]any, error) {
	object, err := parseObject(data)
	if err != nil {
		return nil, fmt.Errorf("reading JWK set: %w", err)
	}
	list, ok := object["keys"].([]any)
	if !ok || len(list) == 0 {
		return nil, errors.New("reading JWK set: it holds no keys")
	}
	return list, nil
}

// usableKeys returns the keys with which this package can check signatures, and what is wrong with each of the others. Of two usable
// keys with one ID neither is in the set, for which of them is meant is a guess.
func usableKeys(list []any) (*StaticKeys, []error) {
	set := &StaticKeys{keys: make(map[string]staticKey, len(list))}
	var faults []error
	var ambiguous []string
	for i, value := range list {
		key, err := parseJWK(value)
		if err == nil {
			err = set.add(key.KeyID, key.Key)
		}
		if errors.Is(err, errKeyIDTwice) {
			ambiguous = append(ambiguous, key.KeyID)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("key %d: %w", i+1, err))
		}
	}
	for _, kid := range ambiguous {
		delete(set.keys, kid)
	}
	return set, faults
}

// parseJWK reads one member of a set.
func parseJWK(value any) (jose.JSONWebKey, error) {
	var key jose.JSONWebKey
	members, ok := value.(map[string]any)
	if !ok {
		return key, errors.New("not an object")
	}
	if err := checkJWK(members); err != nil {
		return key, err
	}
	text, err := json.Marshal(keyMembers(members))
	if err != nil {
		return key, errors.New("malformed")
	}
	if err := key.UnmarshalJSON(text); err != nil || !key.Valid() {
		return key, errors.New("malformed, or of a kind that is not supported")
	}
	if key.Algorithm != "" {
		fits, err := algorithmOf(key.Key)
		if err == nil && fits != key.Algorithm {
			return key, errors.New("its alg is not one that the key can be used with")
		}
	}
	return key, nil
}

// keyMembers returns those members of a JWK that make a public key (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2). The others are not read:
// a certificate in x5c is no proof of anything here. Some issuers pad base64url, so numbers lose their padding.
func keyMembers(members map[string]any) map[string]any {
	picked := make(map[string]any, len(members))
	for _, name := range [...]string{"kty", "kid", "alg", "crv"} {
		if value, ok := members[name]; ok {
			picked[name] = value
		}
	}
	for _, name := range [...]string{"n", "e", "x", "y"} {
		if text, ok := members[name].(string); ok {
			picked[name] = strings.TrimRight(text, "=")
		}
	}
	return picked
}

// checkJWK refuses keys that are secret or not meant for checking signatures, before they are decoded.
func checkJWK(members map[string]any) error {
	if members["kty"] == "oct" {
		return errors.New("symmetric: whoever checks signatures with it can make them")
	}
	for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} {
		if _, ok := members[private]; ok {
			return errors.New("private: only the public half belongs here")
		}
	}
	if use, ok := members["use"]; ok && use != "sig" {
		return errors.New("its use is not sig")
	}
	if operations, ok := members["key_ops"]; ok {
		list, _ := operations.([]any)
		if !slices.Contains(list, any("verify")) {
			return errors.New("its key_ops do not allow verify")
		}
	}
	return nil
}
