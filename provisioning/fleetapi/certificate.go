package fleetapi

import (
	"slices"

	"github.com/boomgate/boomgate/provisioning"
)

// thumbprintMember is the one name of a member that is not in lower case: that of
// RFC 8705 §3.1.
const thumbprintMember = "x5t#S256"

// Certificate says which TLS client certificate a client may authenticate with:
// exactly one member is given. All but the thumbprint ask for a certificate of an
// authority that the server trusts (RFC 8705 §2.1.2); the thumbprint names one
// certificate, self-signed or not (§2.2).
type Certificate struct {
	Thumbprint string `json:"x5t#S256,omitempty" maxLength:"43" example:"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2" doc:"The base64url SHA-256 thumbprint of the one certificate (x5t#S256)."`
	SubjectDN  string `json:"subject_dn,omitempty" maxLength:"1024" example:"CN=sensor-b2-017,O=Example" doc:"The subject's distinguished name (RFC 4514)."`
	DNS        string `json:"san_dns,omitempty" maxLength:"253" example:"sensor-b2-017.example" doc:"A DNS name among the subject's alternative names."`
	URI        string `json:"san_uri,omitempty" maxLength:"1024" example:"urn:example:sensor-b2-017" doc:"A URI among them."`
	IP         string `json:"san_ip,omitempty" maxLength:"45" example:"192.0.2.17" doc:"An IP address among them."`
	Email      string `json:"san_email,omitempty" maxLength:"254" example:"sensor-b2-017@example.com" doc:"An e-mail address among them."`
}

func certificatesOf(certificates []provisioning.Certificate) []Certificate {
	out := make([]Certificate, len(certificates))
	for i, c := range certificates {
		out[i] = Certificate(c)
	}
	return out
}

func (s Settings) certificates() []provisioning.Certificate {
	var out []provisioning.Certificate
	for _, c := range s.Certificates {
		out = append(out, provisioning.Certificate(c))
	}
	return out
}

// addsCertificate reports whether a certificate is new.
func addsCertificate(before, after []provisioning.Certificate) bool {
	return slices.ContainsFunc(after, func(c provisioning.Certificate) bool { return !slices.Contains(before, c) })
}
