package provisioning

import (
	"context"
	"crypto/x509"
	"slices"
)

// AuthenticateCertificate returns the client whose certificate that is, and the
// ID of the credential, by RFC 8705 §2. The caller has had the proof that the peer
// has the key (the TLS handshake). Trusted says that the certificate's chain leads
// to a CA that vouches for clients; if not, it counts by its thumbprint alone.
//
// Errors are those of Authenticate, and so is the work: a client that is unknown
// takes as many reads as one that is there.
func (r *Registry) AuthenticateCertificate(ctx context.Context, clientID string, cert *x509.Certificate, trusted bool,
) (*Client, string, error) {
	p := present(cert, trusted)
	return r.authenticate(ctx, clientID, func(c *Client) (string, error) {
		switch {
		case !slices.ContainsFunc(c.Certificates, func(entry Certificate) bool { return entry.matches(p) }):
			return "", &AuthenticationError{ReasonWrongCertificate}
		case c.Status != StatusActive:
			return "", &AuthenticationError{ReasonClientDisabled}
		case !validNow(cert, r.now()):
			return "", &AuthenticationError{ReasonCertificateExpired}
		}
		return CertificateCredential + p.Thumbprint, nil
	})
}

// revokeCertificates makes the revocations of the tokens that were got with the
// certificates that a client loses. Which certificate a name stood for is not
// known: with a name, all tokens of the client end that were issued until now.
func (s *Service) revokeCertificates(before, after *Client) ([]Revocation, error) {
	var thumbprints []string
	byName := false
	for _, old := range before.Certificates {
		switch {
		case slices.Contains(after.Certificates, old):
		case old.Thumbprint != "":
			thumbprints = append(thumbprints, CertificateCredential+old.Thumbprint)
		default:
			byName = true
		}
	}
	if len(thumbprints) == 0 && !byName {
		return nil, nil
	}
	list := s.revokeCredentials(before.ID, CauseRetired, thumbprints...)
	if byName {
		list = append(list, s.revokeClient(before.ID, CauseRetired))
	}
	return list, s.revocations.requireRoom()
}
