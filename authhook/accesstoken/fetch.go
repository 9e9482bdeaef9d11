package accesstoken

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
)

const (
	// maxRedirects bounds how often an issuer's server may send the client on.
	maxRedirects = 3
	// maxAnswerHeader bounds the header of an answer, in bytes.
	maxAnswerHeader = 64 << 10
)

// fetchedKeys are what a fetch brings.
type fetchedKeys struct {
	keys       *StaticKeys
	digest     [32]byte // of the text that holds them
	passedOver []string // what is wrong with the others
}

// checkURL accepts an address at which nobody between can change a JWK set.
func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "":
		return errors.New("URL is missing or malformed, or holds a user or a fragment")
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	default:
		return errors.New("URL is neither https nor http on a loopback address")
	}
}

// isLoopback reports whether a host is this machine by its name alone (RFC 6761 §6.3).
func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

// confined returns a client that goes where it is sent and stays there.
func confined(given *http.Client) *http.Client {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: maxAnswerHeader}}
	if given != nil {
		changed := *given
		client = &changed
	}
	client.CheckRedirect = stayOnHost
	return client
}

// stayOnHost follows redirects on the same scheme, host and port alone: another host is not the one whose keys the operator trusts.
func stayOnHost(next *http.Request, before []*http.Request) error {
	first := before[0].URL
	switch {
	case len(before) > maxRedirects:
		return errors.New("too many redirects")
	case next.URL.Scheme != first.Scheme || next.URL.Host != first.Host:
		return errors.New("redirect to another host or scheme")
	default:
		return nil
	}
}

// fetch gets and reads the set, within Timeout whatever becomes of the caller that was the first to want it.
func (r *RemoteKeys) fetch(ctx context.Context) (fetchedKeys, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.cfg.Timeout)
	defer cancel()
	body, err := r.get(ctx)
	if err != nil {
		return fetchedKeys{}, fmt.Errorf("fetching JWK set: %w", err)
	}
	list, err := parseJWKList(body)
	if err != nil {
		return fetchedKeys{}, err
	}
	if len(list) > r.cfg.MaxKeys {
		return fetchedKeys{}, fmt.Errorf("reading JWK set: more than %d keys", r.cfg.MaxKeys)
	}
	keys, faults := usableKeys(list)
	if len(keys.keys) == 0 {
		return fetchedKeys{}, fmt.Errorf("reading JWK set: no usable key: %w", errors.Join(faults...))
	}
	fetched := fetchedKeys{keys: keys, digest: sha256.Sum256(body)}
	for _, fault := range faults {
		fetched.passedOver = append(fetched.passedOver, fault.Error())
	}
	return fetched, nil
}

// get returns the body of the answer.
func (r *RemoteKeys) get(ctx context.Context) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.cfg.URL, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	answer, err := r.cfg.Client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("answer %d", answer.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, r.cfg.MaxSize+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > r.cfg.MaxSize {
		return nil, fmt.Errorf("answer of more than %d bytes", r.cfg.MaxSize)
	}
	return body, nil
}
