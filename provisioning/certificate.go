package provisioning

import (
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Certificate says by what a client's TLS certificate is known. Exactly one
// member is set: Thumbprint for a certificate that may be self-signed (RFC 8705
// §2.2), one of the others for what a trusted CA has certified (§2.1.2).
type Certificate struct {
	// Thumbprint is base64url of the SHA-256 of the certificate (RFC 8705 §3.1).
	Thumbprint string `json:"x5t#S256,omitempty"`
	// SubjectDN is the whole subject as RFC 4514 writes it, the last part first and
	// without spaces between them: CN=sensor-1,O=Example. Letter case counts.
	SubjectDN string `json:"subject_dn,omitempty"`
	// DNS, URI, IP and Email are one subject alternative name each.
	DNS   string `json:"san_dns,omitempty"`
	URI   string `json:"san_uri,omitempty"`
	IP    string `json:"san_ip,omitempty"`
	Email string `json:"san_email,omitempty"`
}

// CertificateCredential is what the credential ID of a certificate begins with;
// its thumbprint follows.
const CertificateCredential = "x5t:"

// Thumbprint returns base64url of the SHA-256 of a certificate (RFC 8705 §3.1).
func Thumbprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// presented is what a certificate says of its holder, in the forms that entries
// have it in.
type presented struct {
	Certificate
	dns, uris, ips, emails []string
}

// present reads a certificate. What only its CA vouches for is left out unless
// that is trusted.
func present(cert *x509.Certificate, trusted bool) presented {
	p := presented{Certificate: Certificate{Thumbprint: Thumbprint(cert)}}
	if !trusted {
		return p
	}
	p.SubjectDN = distinguishedName(cert.RawSubject)
	p.emails = cert.EmailAddresses
	for _, name := range cert.DNSNames {
		p.dns = append(p.dns, strings.ToLower(name))
	}
	for _, uri := range cert.URIs {
		p.uris = append(p.uris, uri.String())
	}
	for _, ip := range cert.IPAddresses {
		if addr, ok := netip.AddrFromSlice(ip); ok {
			p.ips = append(p.ips, addr.Unmap().String())
		}
	}
	return p
}

// distinguishedName writes a subject as RFC 4514 does; "" if it cannot be read.
func distinguishedName(raw []byte) string {
	var name pkix.RDNSequence
	if rest, err := asn1.Unmarshal(raw, &name); err != nil || len(rest) > 0 {
		return ""
	}
	return name.String()
}

// matches reports whether an entry is of what was presented. An empty entry
// matches nothing.
func (c Certificate) matches(p presented) bool {
	switch {
	case c.Thumbprint != "":
		return c.Thumbprint == p.Thumbprint
	case c.SubjectDN != "":
		return c.SubjectDN == p.SubjectDN
	case c.DNS != "":
		return slices.Contains(p.dns, strings.ToLower(c.DNS))
	case c.URI != "":
		return slices.Contains(p.uris, c.URI)
	case c.IP != "":
		addr, err := netip.ParseAddr(c.IP)
		return err == nil && slices.Contains(p.ips, addr.Unmap().String())
	case c.Email != "":
		return slices.Contains(p.emails, c.Email)
	}
	return false
}

func validNow(cert *x509.Certificate, now time.Time) bool {
	return !now.Before(cert.NotBefore) && !now.After(cert.NotAfter)
}

// certificates checks a client's entries, each by the form of its one member: an
// entry that no certificate could ever match is a fault.
func (f *faults) certificates(list []Certificate) {
	if len(list) > MaxCertificates {
		f.addf("certificates", "must be %d at most", MaxCertificates)
		return
	}
	for i, c := range list {
		field := indexPath("certificates", i)
		members := c.members()
		switch {
		case len(members) != 1:
			f.add(field, "must have exactly one of x5t#S256, subject_dn, san_dns, san_uri, san_ip and san_email")
		case len(members[0].value) > MaxCertificateLength:
			f.addf(field+"."+members[0].name, "is longer than %d bytes", MaxCertificateLength)
		case !members[0].valid(members[0].value):
			f.add(field+"."+members[0].name, members[0].rule)
		case slices.Contains(list[:i], c):
			f.add(field, "is listed twice")
		}
	}
}

// certificateMember is a member that an entry has, and what is asked of it.
type certificateMember struct {
	name, value, rule string
	valid             func(string) bool
}

func (c Certificate) members() []certificateMember {
	all := []certificateMember{
		{"x5t#S256", c.Thumbprint, "must be the SHA-256 of the certificate's DER in base64url without padding, 43 characters", isThumbprint},
		{"subject_dn", c.SubjectDN, "must be a distinguished name as in CN=sensor-1,O=Example, without spaces around ',' and '='", isDistinguishedName},
		{"san_dns", c.DNS, "must be a host name", isHostName},
		{"san_uri", c.URI, "must be an absolute URI", isAbsoluteURI},
		{"san_ip", c.IP, "must be an IP address", isIPAddress},
		{"san_email", c.Email, "must be an e-mail address", isEmailAddress},
	}
	return slices.DeleteFunc(all, func(m certificateMember) bool { return m.value == "" })
}

func isThumbprint(s string) bool {
	sum, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(sum) == sha256.Size && !strings.ContainsAny(s, "\r\n")
}

// isDistinguishedName looks at the form alone: parts of a type, '=' and a value,
// with ',' or '+' between them, and none of the spaces that RFC 4514 does not write.
func isDistinguishedName(s string) bool {
	for rest, more := s, true; more; {
		var part string
		part, rest, more = cutPart(rest)
		kind, value, _ := strings.Cut(part, "=")
		if !validName(kind, MaxLabelKeyLength, ".-") || value == "" || value[0] == ' ' || strings.ContainsAny(value, "\x00\r\n") {
			return false
		}
	}
	return true
}

// cutPart cuts a distinguished name at the first separator that is not escaped.
func cutPart(s string) (part, rest string, more bool) {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case ',', '+':
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

func isHostName(s string) bool { return isGraphic(s) && !strings.ContainsAny(s, "/:@") }

func isAbsoluteURI(s string) bool {
	uri, err := url.Parse(s)
	return err == nil && uri.IsAbs() && uri.String() == s
}

func isIPAddress(s string) bool {
	addr, err := netip.ParseAddr(s)
	return err == nil && addr.Zone() == ""
}

func isEmailAddress(s string) bool {
	user, host, ok := strings.Cut(s, "@")
	return ok && user != "" && isGraphic(user) && host != "" && isHostName(host)
}
