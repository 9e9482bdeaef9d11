package oauth

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

const (
	metadataMaxAge = "public, max-age=3600"
	// jwksMaxAge bounds how long a verifier that follows it goes without a new key.
	jwksMaxAge = "public, max-age=300"
)

// metadata is the server's description (RFC 8414 §2). It names only what is there.
type metadata struct {
	Issuer        string   `json:"issuer"`
	TokenEndpoint string   `json:"token_endpoint"`
	JWKS          string   `json:"jwks_uri"`
	ResponseTypes []string `json:"response_types_supported"` // required; none, as there is no authorization endpoint
	GrantTypes    []string `json:"grant_types_supported"`
	AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
	BoundTokens   bool     `json:"tls_client_certificate_bound_access_tokens,omitempty"` // RFC 8705 §3.3
}

func encodeMetadata(cfg Config) ([]byte, error) {
	methods := []string{"client_secret_basic", "client_secret_post"}
	if cfg.ClientCAs != nil {
		methods = append(methods, "tls_client_auth")
	}
	if cfg.MutualTLS {
		methods = append(methods, "self_signed_tls_client_auth")
	}
	document, err := json.Marshal(metadata{
		Issuer:        cfg.Issuer,
		TokenEndpoint: endpoint(cfg.Issuer, tokenPath),
		JWKS:          endpoint(cfg.Issuer, jwksPath),
		ResponseTypes: []string{},
		GrantTypes:    []string{grantClientCredentials},
		AuthMethods:   methods,
		BoundTokens:   cfg.MutualTLS,
	})
	if err != nil {
		return nil, fmt.Errorf("encoding the server metadata: %w", err)
	}
	return document, nil
}

// serveMetadata answers GET /.well-known/oauth-authorization-server, and the OpenID Connect path where many libraries
// look first.
func (h *Handler) serveMetadata(w http.ResponseWriter, r *http.Request) {
	serveDocument(w, r, h.metadata, metadataMaxAge)
}

// serveJWKS answers GET /.well-known/jwks.json.
func (h *Handler) serveJWKS(w http.ResponseWriter, r *http.Request) {
	serveDocument(w, r, h.cfg.JWKS(), jwksMaxAge)
}

// serveDocument answers GET and HEAD with a public JSON document that caches may keep and revalidate.
func serveDocument(w http.ResponseWriter, r *http.Request, document []byte, maxAge string) {
	header := w.Header()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		return
	}
	sum := sha256.Sum256(document)
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", maxAge)
	header.Set("ETag", `"`+base64.RawURLEncoding.EncodeToString(sum[:12])+`"`)
	header.Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(document))
}
