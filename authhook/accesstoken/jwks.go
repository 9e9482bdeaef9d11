package accesstoken

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

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
	object, err := parseObject(data)
	if err != nil {
		return nil, fmt.Errorf("reading JWK set: %w", err)
	}
	keys, ok := object["keys"].([]any)
	if !ok || len(keys) == 0 {
		return nil, errors.New("reading JWK set: it holds no keys")
	}
	set := &StaticKeys{keys: make(map[string]staticKey, len(keys))}
	var faults []error
	for i, key := range keys {
		if err := set.addJWK(key); err != nil {
			faults = append(faults, fmt.Errorf("key %d: %w", i+1, err))
		}
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("reading JWK set: %w", errors.Join(faults...))
	}
	return set, nil
}

// addJWK adds one member of a set, as parseObject decoded it.
func (s *StaticKeys) addJWK(value any) error {
	members, ok := value.(map[string]any)
	if !ok {
		return errors.New("not an object")
	}
	if err := checkJWK(members); err != nil {
		return err
	}
	text, err := json.Marshal(members)
	if err != nil {
		return errors.New("malformed")
	}
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(text); err != nil || !key.Valid() {
		return errors.New("malformed, or of a kind that is not supported")
	}
	if key.Algorithm != "" {
		fits, err := algorithmOf(key.Key)
		if err == nil && fits != key.Algorithm {
			return errors.New("its alg is not one that the key can be used with")
		}
	}
	return s.add(key.KeyID, key.Key)
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
