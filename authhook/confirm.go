package authhook

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"net"

	"github.com/boomgate/boomgate/authhook/accesstoken"
)

// maxLayers bounds how many connections are looked for one inside the other.
const maxLayers = 8

// unwrap returns the outermost of a connection and those beneath it that can do what T asks for.
func unwrap[T any](conn net.Conn) (T, bool) {
	for range maxLayers {
		if found, ok := conn.(T); ok {
			return found, true
		}
		outer, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = outer.NetConn()
	}
	var none T
	return none, false
}

// thumbprint returns the SHA-256 of the certificate that a client has presented on its TLS connection, as x5t#S256 writes it (RFC 8705
// §3.1); empty if there is none. The handshake has shown that the client has its key; nobody need have signed it.
func thumbprint(conn net.Conn) string {
	secured, ok := unwrap[interface{ ConnectionState() tls.ConnectionState }](conn)
	if !ok {
		return ""
	}
	certificates := secured.ConnectionState().PeerCertificates
	if len(certificates) == 0 {
		return ""
	}
	sum := sha256.Sum256(certificates[0].Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// checkConfirmation checks that a token which is bound to a certificate comes from whoever presented it (RFC 8705 §3).
func checkConfirmation(token *accesstoken.Token, presented string) *refusal {
	switch {
	case token.Thumbprint == "" || token.Thumbprint == presented:
		return nil
	case presented == "":
		return &refusal{connackNotAuthorized, RuleConfirmation, "no certificate was presented"}
	default:
		return &refusal{connackNotAuthorized, RuleConfirmation, "another certificate was presented"}
	}
}
