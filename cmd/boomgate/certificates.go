package main

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"slices"
	"strings"
)

// certificateMembers say by what a client's certificate is known (RFC 8705 §2.1.2 and §2.2).
var certificateMembers = []string{"x5t#S256", "subject_dn", "san_dns", "san_uri", "san_ip", "san_email"}

// certificateBodies turns --certificate and --certificate-file into what the fleet API takes.
func certificateBodies(texts, files []string) ([]map[string]string, error) {
	bodies := []map[string]string{}
	for _, text := range orNone(texts) {
		name, value, found := strings.Cut(text, "=")
		if !found || value == "" || !slices.Contains(certificateMembers, name) {
			return nil, fmt.Errorf("--certificate %q: use one of %s, as san_dns=b2-017.example", text, strings.Join(certificateMembers, ", "))
		}
		bodies = append(bodies, map[string]string{name: value})
	}
	for _, file := range files {
		thumbprint, err := certificateThumbprint(file)
		if err != nil {
			return nil, fmt.Errorf("--certificate-file: %w", err)
		}
		bodies = append(bodies, map[string]string{certificateMembers[0]: thumbprint})
	}
	return bodies, nil
}

// certificateThumbprint is the x5t#S256 (RFC 7515 §4.1.8) of the first certificate of a PEM file.
func certificateThumbprint(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the certificate: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return "", fmt.Errorf("%s holds no certificate in PEM", file)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	sum := sha256.Sum256(certificate.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}
