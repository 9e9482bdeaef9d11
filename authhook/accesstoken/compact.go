package accesstoken

import (
	"encoding/base64"
	"strings"
)

const (
	// maxHeaderSize bounds the header's JSON, in bytes.
	maxHeaderSize = 1 << 10
	// maxKeyIDLength bounds the header's kid, in bytes.
	maxKeyIDLength = 256
)

// A compact is a token taken apart (RFC 7515 §7.1).
type compact struct {
	header, payload, signature []byte
	signed                     string // the text that the signature covers
}

// split takes a token apart. It accepts only what an encoder writes: three parts, none empty, base64url without padding, line
// breaks or stray bits.
func split(token string) (compact, error) {
	if len(token) > MaxTokenSize {
		return compact{}, ErrTooLarge
	}
	if strings.Count(token, ".") != 2 {
		return compact{}, refuse(ErrMalformed, "not three parts")
	}
	last := strings.LastIndexByte(token, '.')
	head, payload, _ := strings.Cut(token[:last], ".")
	c := compact{signed: token[:last]}
	for _, part := range []struct {
		text string
		into *[]byte
	}{{head, &c.header}, {payload, &c.payload}, {token[last+1:], &c.signature}} {
		decoded, ok := decodePart(part.text)
		if !ok {
			return compact{}, refuse(ErrMalformed, "not base64url")
		}
		*part.into = decoded
	}
	return c, nil
}

// decodePart decodes canonical base64url that is not empty. The decoder skips line breaks, so these are refused here.
func decodePart(text string) ([]byte, bool) {
	if text == "" || strings.ContainsAny(text, "\r\n") {
		return nil, false
	}
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return decoded, err == nil
}

// A header holds the parameters of a JOSE header that are allowed.
type header struct {
	algorithm, typ, keyID string
}

// parseHeader reads the JOSE header. Parameters beside alg, kid and typ are refused, crit, jwk, jku, x5u and zip among them:
// all of them ask the verifier to trust or do something.
func parseHeader(data []byte) (header, error) {
	if len(data) > maxHeaderSize {
		return header{}, refuse(ErrTooLarge, "header")
	}
	object, err := parseObject(data)
	if err != nil {
		return header{}, refuse(ErrMalformed, "header: "+err.Error())
	}
	var h header
	for name, value := range object {
		text, ok := value.(string)
		if !ok {
			return header{}, refuse(ErrMalformed, "header parameter that is not allowed or no string")
		}
		switch name {
		case "alg":
			h.algorithm = text
		case "typ":
			h.typ = text
		case "kid":
			h.keyID = text
		default:
			return header{}, refuse(ErrMalformed, "header parameter that is not allowed")
		}
	}
	return h, nil
}
