package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// Keys of log attributes.
const (
	keyClientID      = "client_id"
	keyTokenEndpoint = "token_endpoint"
)

// defaultURL is where a server listens that was given no other address.
const defaultURL = "http://127.0.0.1:8080"

// tokenPath is the path of the token endpoint below a server's URL.
const tokenPath = "/oauth/token"

// maxCredentialSize bounds what is read as a credential, in bytes; the record of the client may be in it.
const maxCredentialSize = 1 << 20

// Credential is what a client needs to get tokens and connect: the answer to its creation, as the fleet API gives it,
// `devices create -o json` prints it and <data-dir>/root.json holds it. It masks its secret in logs and texts, not in JSON.
type Credential struct {
	ClientID              string          `json:"client_id"`
	ClientSecret          string          `json:"client_secret"`
	ClientSecretExpiresAt *time.Time      `json:"client_secret_expires_at"`
	TokenEndpoint         string          `json:"token_endpoint"`
	MQTTURL               string          `json:"mqtt_url"`
	Client                json.RawMessage `json:"client,omitempty"`
}

// String names the client, without its secret.
func (c Credential) String() string { return "credential of " + c.ClientID }

// GoString is String: %#v shows no secret either.
func (c Credential) GoString() string { return c.String() }

// LogValue masks the secret.
func (c Credential) LogValue() slog.Value {
	return slog.GroupValue(slog.String(keyClientID, c.ClientID), slog.String(keyTokenEndpoint, c.TokenEndpoint))
}

// baseURL is the server's URL: that of the token endpoint without its path.
func (c Credential) baseURL() string { return strings.TrimSuffix(c.TokenEndpoint, tokenPath) }

// connection is how a command finds the server and the credential; empty fields are filled from the environment.
type connection struct {
	url        string
	credential string
}

func (c *connection) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&c.url, "url", "", "`URL` of the server (BOOMGATE_URL; otherwise the one in the credential)")
	flags.StringVar(&c.credential, "credential", "",
		"`file` with the credential, as create writes it; - reads standard input (BOOMGATE_CREDENTIAL; otherwise root.json of the server on this machine)")
}

// open reads the credential and settles where the server is.
func (c connection) open(a *app) (Credential, error) {
	cred, err := c.readCredential(a)
	if err != nil {
		return Credential{}, err
	}
	base := firstOf(c.url, a.getenv("BOOMGATE_URL"), cred.baseURL(), defaultURL)
	parsed, err := url.Parse(base)
	if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
		return Credential{}, withHint(usagef("", "%q is no URL of a server", base), "give --url or BOOMGATE_URL as http(s)://host[:port]")
	}
	if parsed.Scheme == "http" && !isLoopback(parsed.Hostname()) {
		fmt.Fprintf(a.stderr, "warning: %s is not encrypted: the secret can be read on the way\n", base)
	}
	cred.TokenEndpoint = strings.TrimSuffix(base, "/") + tokenPath
	return cred, nil
}

// readCredential takes the credential from the flag, the environment (a file, or the JSON itself) or the data folder of the
// server on this machine.
func (c connection) readCredential(a *app) (Credential, error) {
	source := firstOf(c.credential, a.getenv("BOOMGATE_CREDENTIAL"))
	switch {
	case source == "-":
		return decodeCredential("standard input", a.stdin)
	case strings.HasPrefix(source, "{") && c.credential == "":
		return decodeCredential("BOOMGATE_CREDENTIAL", strings.NewReader(source))
	case source != "":
		return readCredentialFile(a, source)
	}
	folder := firstOf(a.getenv("BOOMGATE_DATA_DIR"), defaultConfig().DataDir)
	file := filepath.Join(folder, rootFileName)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return Credential{}, withHint(fmt.Errorf("no credential: there is no %s here", file),
			"run this where the server was started, or name a file with --credential or BOOMGATE_CREDENTIAL")
	}
	return readCredentialFile(a, file)
}

func readCredentialFile(a *app, file string) (Credential, error) {
	f, err := os.Open(file)
	if err != nil {
		hint := "--credential or BOOMGATE_CREDENTIAL names the file"
		if errors.Is(err, fs.ErrPermission) {
			hint = "run this as the user who owns the file, or name another with --credential"
		}
		return Credential{}, withHint(fmt.Errorf("open the credential: %w", err), hint)
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o007 != 0 {
		fmt.Fprintf(a.stderr, "warning: every user of this machine can read the secret in %s: chmod 600 %s\n", file, file)
	}
	return decodeCredential(file, f)
}

func decodeCredential(source string, r io.Reader) (Credential, error) {
	var cred Credential
	text, err := io.ReadAll(io.LimitReader(r, maxCredentialSize))
	if err != nil {
		return cred, fmt.Errorf("read the credential from %s: %w", source, err)
	}
	const hint = `it is the JSON that "boomgate devices create --output-file FILE" writes`
	if err := json.Unmarshal(text, &cred); err != nil {
		// The error's text could quote the file, and so the secret.
		return Credential{}, withHint(fmt.Errorf("%s holds no credential: it is not JSON of that shape", source), hint)
	}
	if cred.ClientID == "" || cred.ClientSecret == "" {
		return Credential{}, withHint(fmt.Errorf("%s holds no credential: client_id or client_secret is missing", source), hint)
	}
	return cred, nil
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// credentialFile is a new file for a credential that is about to be made. It is opened before the secret exists, because a secret
// that is shown once must not be lost to a folder that cannot be written.
type credentialFile struct {
	file *os.File
}

// createCredentialFile makes the file, readable by its owner only; an existing file is never overwritten.
func createCredentialFile(name string) (*credentialFile, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, withHint(fmt.Errorf("%s exists already", name), "a credential is never overwritten: name another file, or move it away")
	} else if err != nil {
		return nil, fmt.Errorf("make the file for the credential: %w", err)
	}
	return &credentialFile{file: f}, nil
}

// keep writes the credential and closes the file.
func (c *credentialFile) keep(answer json.RawMessage) error {
	_, err := c.file.Write(indentJSON(answer))
	if err := errors.Join(err, c.file.Sync(), c.file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", c.file.Name(), err)
	}
	return nil
}

// discard removes the file: there is no credential to keep.
func (c *credentialFile) discard() {
	_ = c.file.Close()
	_ = os.Remove(c.file.Name())
}
