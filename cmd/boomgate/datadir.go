package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/boomgate/boomgate/provisioning"
)

// rootFileName is the root operator's credential inside the data folder.
const rootFileName = "root.json"

// clockTolerance is how far the clock may lie behind what the store remembers.
const clockTolerance = 5 * time.Minute

func makeDataDir(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case err == nil && !info.IsDir():
		return fmt.Errorf("data_dir %s is a file: name a folder", dir)
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("data_dir: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("data_dir cannot be made: %w; name a folder that this user may write, with --data-dir", err)
	}
	return nil
}

// checkClock refuses a clock that lies before the store's own keys: tokens
// minted now would be refused everywhere, and valid ones would never expire.
func checkClock(ctx context.Context, keys provisioning.KeyReader, now time.Time) error {
	for _, use := range []string{provisioning.UseSignature, provisioning.UseSecretHMAC} {
		list, err := keys.Keys(ctx, use)
		if err != nil {
			return fmt.Errorf("read the keys: %w", err)
		}
		for _, key := range list {
			if now.Before(key.CreatedAt.Add(-clockTolerance)) {
				return fmt.Errorf("this machine's clock says %s, but the registry was made at %s: set the clock (timedatectl status), then start again",
					now.UTC().Format(time.RFC3339), key.CreatedAt.UTC().Format(time.RFC3339))
			}
		}
	}
	return nil
}

// portHint says what to do about an HTTP address that cannot be bound.
func portHint(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "; another program listens there: stop it, or choose another address with --http"
	case errors.Is(err, syscall.EACCES):
		return "; this user may not open that port: choose one above 1023 with --http"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "; this machine has no such address: choose another with --http"
	}
	return ""
}

// ensureRoot creates the operator root at the first start, and keeps the
// addresses in root.json true at every other.
func (p *Program) ensureRoot(ctx context.Context) error {
	keep := func(root *provisioning.Client, secret provisioning.ClearSecret) error {
		return writeJSONFile(p.RootFile(), Credential{
			ClientID: root.ID, ClientSecret: secret.Reveal(),
			TokenEndpoint: p.tokenEndpoint(), MQTTURL: p.BrokerURL(),
		})
	}
	_, _, created, err := p.service.EnsureRoot(ctx, keep)
	if err != nil {
		return fmt.Errorf("create the operator root: %w", err)
	}
	p.rootCreated = created
	if created {
		return nil
	}
	return p.refreshRootFile()
}

// refreshRootFile updates the addresses in an existing root.json; an operator
// may have taken the file away, and then it stays away.
func (p *Program) refreshRootFile() error {
	text, err := os.ReadFile(p.RootFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("read %s: %w", p.RootFile(), err)
	}
	var c Credential
	if err := json.Unmarshal(text, &c); err != nil {
		return fmt.Errorf("%s is damaged (%w): move it away; the operator root can be given a new secret with the credential of another operator", p.RootFile(), err)
	}
	if c.TokenEndpoint == p.tokenEndpoint() && c.MQTTURL == p.BrokerURL() {
		return nil
	}
	c.TokenEndpoint, c.MQTTURL = p.tokenEndpoint(), p.BrokerURL()
	return writeJSONFile(p.RootFile(), c)
}

// writeJSONFile replaces a file whole or not at all, readable by its owner only.
func writeJSONFile(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // after the rename there is nothing to remove
	_, err = f.Write(append(text, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
