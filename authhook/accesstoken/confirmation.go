package accesstoken

import "crypto/sha256"

// readThumbprint reads the claim cnf (RFC 7800 §3.1), "" if there is none. Of all ways to bind a token it knows one, the thumbprint of
// a TLS client certificate (RFC 8705 §3.1), and refuses a token that is bound in another way or to nothing: to pass over a binding
// would make it a bearer token again.
func readThumbprint(claims map[string]any) (string, error) {
	value, present := claims["cnf"]
	if !present {
		return "", nil
	}
	members, ok := value.(map[string]any)
	if !ok {
		return "", refuse(ErrConfirmation, "cnf is no object")
	}
	thumbprint, ok := members["x5t#S256"].(string)
	if !ok || len(members) != 1 {
		return "", refuse(ErrConfirmation, "cnf has not x5t#S256 as its only member")
	}
	if digest, ok := decodePart(thumbprint); !ok || len(digest) != sha256.Size {
		return "", refuse(ErrConfirmation, "x5t#S256 is no SHA-256 in base64url")
	}
	return thumbprint, nil
}
