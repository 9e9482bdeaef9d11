package accesstoken

import (
	"errors"
	"fmt"
)

// Why a token is refused. Errors of Verify wrap exactly one of these (ErrLifetime wraps ErrClaims in turn).
var (
	// ErrMalformed says that the text is no JWS in compact serialisation, or its JSON is not what this package accepts.
	ErrMalformed = errors.New("malformed token")
	// ErrTooLarge says that the text is longer than MaxTokenSize.
	ErrTooLarge = errors.New("token too large")
	// ErrAlgorithm says that the algorithm is not on the allow-list, or the key does not fit it.
	ErrAlgorithm = errors.New("algorithm not allowed")
	// ErrType says that the header's typ is not on the allow-list.
	ErrType = errors.New("token type not allowed")
	// ErrUnknownKey says that the header names no key, or none that the KeySet has.
	ErrUnknownKey = errors.New("unknown key")
	// ErrKeysUnavailable says that the KeySet could not answer; the token may be good.
	ErrKeysUnavailable = errors.New("keys unavailable")
	// ErrSignature says that the signature is wrong.
	ErrSignature = errors.New("wrong signature")
	// ErrIssuer says that the token is another issuer's.
	ErrIssuer = errors.New("wrong issuer")
	// ErrAudience says that the token is for another audience.
	ErrAudience = errors.New("wrong audience")
	// ErrExpired says that the token's time is over.
	ErrExpired = errors.New("token expired")
	// ErrNotYetValid says that the token's time has not begun, or that it was issued in the future.
	ErrNotYetValid = errors.New("token not yet valid")
	// ErrClaims says that a claim is missing, of the wrong type, or contradicts another.
	ErrClaims = errors.New("unacceptable claims")
	// ErrConfirmation says that the claim cnf binds the token to something that this package does not know.
	ErrConfirmation = errors.New("unknown confirmation")
	// ErrLifetime says that the token lives longer than the configuration allows, or no time at all. It is an ErrClaims.
	ErrLifetime = fmt.Errorf("%w: lifetime", ErrClaims)
)

// Rule returns a stable short name of the rule by which Verify refused a token, such as "token-expired", for logs and metric labels:
// "" for nil and "token-refused" for an error that is not one of this package's.
func Rule(err error) string {
	if err == nil {
		return ""
	}
	rules := [...]struct {
		err  error
		name string
	}{
		{ErrMalformed, "token-malformed"},
		{ErrTooLarge, "token-too-large"},
		{ErrAlgorithm, "token-algorithm"},
		{ErrType, "token-type"},
		{ErrUnknownKey, "token-unknown-key"},
		{ErrKeysUnavailable, "token-keys-unavailable"},
		{ErrSignature, "token-signature"},
		{ErrIssuer, "token-issuer"},
		{ErrAudience, "token-audience"},
		{ErrExpired, "token-expired"},
		{ErrNotYetValid, "token-not-yet-valid"},
		{ErrLifetime, "token-lifetime"},
		{ErrConfirmation, "token-confirmation"},
		{ErrClaims, "token-claims"},
	}
	for _, r := range rules {
		if errors.Is(err, r.err) {
			return r.name
		}
	}
	return "token-refused"
}

// refuse wraps a sentinel with what is wrong, in words of this package alone.
func refuse(sentinel error, what string) error { return fmt.Errorf("%w: %s", sentinel, what) }
