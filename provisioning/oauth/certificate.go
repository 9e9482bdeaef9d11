package oauth

import (
	"crypto/x509"
	"net/http"
	"time"
)

// maxIntermediates bounds the chains that are searched for an authority.
const maxIntermediates = 8

// shownCertificates returns the certificates of which the TLS handshake has proven that the client holds the first; none
// where clients may not use them.
func (h *Handler) shownCertificates(r *http.Request) []*x509.Certificate {
	if !h.cfg.MutualTLS || r.TLS == nil {
		return nil
	}
	return r.TLS.PeerCertificates
}

// trusted tells whether the chain leads to one of the authorities for clients at that time (RFC 8705 §2.1).
func (h *Handler) trusted(chain []*x509.Certificate, now time.Time) bool {
	if h.cfg.ClientCAs == nil || len(chain) > 1+maxIntermediates {
		return false
	}
	intermediates := x509.NewCertPool()
	for _, certificate := range chain[1:] {
		intermediates.AddCert(certificate)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: h.cfg.ClientCAs, Intermediates: intermediates, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err == nil
}

// lapsed tells whether the certificate is not valid at that time, which a chain's verification also finds, but a registered
// thumbprint does not.
func lapsed(certificate *x509.Certificate, now time.Time) bool {
	return now.Before(certificate.NotBefore) || now.After(certificate.NotAfter)
}
