package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/boomgate/boomgate/provisioning"
)

const (
	// requestTimeout bounds one request with its answer.
	requestTimeout = 30 * time.Second
	// maxAnswerSize bounds an answer of the fleet API, in bytes: a page of 1,000 records at most.
	maxAnswerSize = 64 << 20

	mediaJSON       = "application/json"
	mediaMergePatch = "application/merge-patch+json"
	mediaProblem    = "application/problem+json"
)

// apiClient speaks to the fleet API in the name of a credential. It fetches a token at the first call and keeps it.
type apiClient struct {
	base   string
	http   *http.Client
	tokens func() (*oauth2.Token, error)
}

// apiCall is one request to the fleet API.
type apiCall struct {
	method  string
	path    string // below the server's URL, escaped
	query   url.Values
	body    any    // encoded as JSON; nil sends none
	media   string // of the body; mediaJSON when empty
	ifMatch string // ETag that the record must still have; "" does not care
}

// apiAnswer is what the fleet API said.
type apiAnswer struct {
	body json.RawMessage
	etag string
}

// apiError is a refusal of the fleet API, as problem details (RFC 9457).
type apiError struct {
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Errors []struct {
		Location string `json:"location"`
		Message  string `json:"message"`
	} `json:"errors"`
}

// Error tells what happened or, where fields are wrong, the kind of problem and the fields, a line each.
func (e *apiError) Error() string {
	if len(e.Errors) == 0 {
		return firstOf(e.Detail, e.Title, http.StatusText(e.Status), "status "+strconv.Itoa(e.Status))
	}
	text := firstOf(e.Title, e.Detail)
	for _, fault := range e.Errors {
		text += "\n  - "
		if fault.Location != "" {
			text += strings.TrimPrefix(fault.Location, "body.") + ": "
		}
		text += fault.Message
	}
	return text
}

func newHTTPClient() *http.Client { return &http.Client{Timeout: requestTimeout} }

// newAPIClient settles where the server is and who asks; it sends nothing yet.
func newAPIClient(ctx context.Context, a *app, conn connection) (*apiClient, error) {
	cred, err := conn.open(a)
	if err != nil {
		return nil, err
	}
	source := tokenSource(ctx, cred, provisioning.AudienceFleet, nil)
	return &apiClient{base: cred.baseURL(), http: newHTTPClient(), tokens: func() (*oauth2.Token, error) {
		token, err := source.Token()
		return token, explainTokenError(cred, err)
	}}, nil
}

// tokenSource gets tokens for a credential and renews them before they expire.
func tokenSource(ctx context.Context, cred Credential, audience string, scopes []string) oauth2.TokenSource {
	config := clientcredentials.Config{
		ClientID: cred.ClientID, ClientSecret: cred.ClientSecret, TokenURL: cred.TokenEndpoint,
		Scopes: scopes, EndpointParams: url.Values{"audience": {audience}}, AuthStyle: oauth2.AuthStyleInHeader,
	}
	return config.TokenSource(context.WithValue(ctx, oauth2.HTTPClient, newHTTPClient()))
}

// explainTokenError says who was refused, why, and what to do about it. What the server said beside its error code is kept out
// when it is no OAuth answer.
func explainTokenError(cred Credential, err error) error {
	answer, ok := errors.AsType[*oauth2.RetrieveError](err)
	switch {
	case err == nil:
		return nil
	case !ok:
		return explainTransport(cred.baseURL(), err)
	case answer.ErrorCode == "":
		return withHint(fmt.Errorf("%s answered %s", cred.TokenEndpoint, answer.Response.Status), "is this the URL of a boomgate server? --url names another")
	}
	text := answer.ErrorCode
	if answer.ErrorDescription != "" {
		text += ": " + answer.ErrorDescription
	}
	hint := "boomgate devices show (or services, operators) tells what the client may ask for"
	if answer.ErrorCode == "invalid_client" {
		hint = "its secret is wrong or was rotated, or it was disabled or deleted"
	}
	return withHint(shortError{text: fmt.Sprintf("no token for %s: %s", cred.ClientID, text), error: err}, hint)
}

// shortError replaces the text of an error whose own says too much.
type shortError struct {
	error
	text string
}

func (e shortError) Error() string { return e.text }
func (e shortError) Unwrap() error { return e.error }

// explainTransport adds what to do about a server that was not reached.
func explainTransport(base string, err error) error {
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return withHint(fmt.Errorf("%s: %w", base, unknown), "name the file of the authority that signed the server's certificate in SSL_CERT_FILE")
	}
	if isUnreachable(err) {
		return withHint(fmt.Errorf("%s cannot be reached: %w", base, innermost(err)), "is the server running (boomgate serve)? --url or BOOMGATE_URL names another")
	}
	return fmt.Errorf("%s: %w", base, err)
}

// innermost drops the method and URL that package net/http puts before the cause.
func innermost(err error) error {
	if request, ok := errors.AsType[*url.Error](err); ok {
		return request.Err
	}
	return err
}

// do sends a request and gives the answer, or an *apiError where the server refused.
func (c *apiClient) do(ctx context.Context, call apiCall) (apiAnswer, error) {
	token, err := c.tokens()
	if err != nil {
		return apiAnswer{}, err
	}
	request, err := c.request(ctx, call)
	if err != nil {
		return apiAnswer{}, err
	}
	token.SetAuthHeader(request)
	response, err := c.http.Do(request)
	if err != nil {
		return apiAnswer{}, explainTransport(c.base, err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerSize))
	if err != nil {
		return apiAnswer{}, fmt.Errorf("read the answer of %s: %w", c.base, err)
	}
	if response.StatusCode >= http.StatusBadRequest {
		return apiAnswer{}, explainRefusal(response, body)
	}
	return apiAnswer{body: body, etag: response.Header.Get("ETag")}, nil
}

func (c *apiClient) request(ctx context.Context, call apiCall) (*http.Request, error) {
	var body io.Reader
	if call.body != nil {
		text, err := json.Marshal(call.body)
		if err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	address := c.base + call.path
	if len(call.query) > 0 {
		address += "?" + call.query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, call.method, address, body)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	if call.body != nil {
		request.Header.Set("Content-Type", firstOf(call.media, mediaJSON))
	}
	if call.ifMatch != "" {
		request.Header.Set("If-Match", call.ifMatch)
	}
	request.Header.Set("Accept", mediaJSON)
	return request, nil
}

// refusalHints say what to do about a refusal, by its status.
var refusalHints = map[int]string{
	http.StatusUnauthorized:       "get a fresh credential from another operator: boomgate operators rotate ID",
	http.StatusForbidden:          "an operator with the role fleet-admin may; --credential names another credential",
	http.StatusPreconditionFailed: "somebody changed it in the meantime: look at it again, then repeat",
	http.StatusTooManyRequests:    "wait a moment, then repeat",
}

func explainRefusal(response *http.Response, body []byte) error {
	problem := &apiError{}
	media, _, _ := strings.Cut(response.Header.Get("Content-Type"), ";")
	if media != mediaProblem || json.Unmarshal(body, problem) != nil {
		return withHint(&apiError{Status: response.StatusCode, Detail: "the server answered " + response.Status},
			"is this the URL of a boomgate server? --url names another")
	}
	problem.Status = response.StatusCode
	if hint, ok := refusalHints[problem.Status]; ok {
		return withHint(problem, hint)
	}
	return problem
}

// decode reads an answer of the fleet API.
func decode[T any](answer apiAnswer) (T, error) {
	var value T
	if err := json.Unmarshal(answer.body, &value); err != nil {
		return value, fmt.Errorf("read the answer of the server: %w", err)
	}
	return value, nil
}

// page is one page of a list.
type page struct {
	Items      []json.RawMessage `json:"items"`
	NextCursor string            `json:"next_cursor"`
}

// maxPage is the largest page that the fleet API gives.
const maxPage = 1000

// listing is a list of the fleet API that is to be read.
type listing struct {
	path  string
	query url.Values
	size  int // of a page; 0 leaves it to the server
	limit int // of items in all; 0 is all of them
}

// each calls visit for every page of a list, in order.
func (c *apiClient) each(ctx context.Context, list listing, visit func(items []json.RawMessage) error) error {
	query := url.Values{}
	maps.Copy(query, list.query)
	for left := list.limit; ; {
		if list.size > 0 {
			query.Set("limit", strconv.Itoa(pageSize(list, left)))
		}
		answer, err := c.do(ctx, apiCall{method: http.MethodGet, path: list.path, query: query})
		if err != nil {
			return err
		}
		got, err := decode[page](answer)
		if err != nil {
			return err
		}
		if err := visit(got.Items); err != nil {
			return err
		}
		left -= len(got.Items)
		if got.NextCursor == "" || list.limit > 0 && left <= 0 {
			return nil
		}
		query.Set("cursor", got.NextCursor)
	}
}

func pageSize(list listing, left int) int {
	if list.limit == 0 {
		return list.size
	}
	return min(list.size, left)
}
