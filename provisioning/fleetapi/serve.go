package fleetapi

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
)

const logStack = "stack"

// serveAPI is the outermost handler of /v1/: what it does holds for every answer.
func (a *API) serveAPI(w http.ResponseWriter, r *http.Request) {
	setHeaders(w)
	defer func() { a.endPanic(r, recover()) }()
	if _, err := url.ParseQuery(r.URL.RawQuery); err != nil {
		badRequest.problem("The query of the URL is malformed: percent-encode names and values.").write(w)
		return
	}
	a.mux.ServeHTTP(w, r)
}

// setHeaders keeps answers out of caches, since some hold credentials, and
// browsers from guessing what they are.
func setHeaders(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
}

// endPanic logs a panic and breaks the connection, so that nobody takes half an
// answer for a whole one.
func (a *API) endPanic(r *http.Request, cause any) {
	if cause == nil {
		return
	}
	if !clientGone(r, cause) {
		a.log.ErrorContext(r.Context(), "a request ended in a panic",
			logOperation, r.Pattern, logError, cause, logStack, string(debug.Stack()))
	}
	panic(http.ErrAbortHandler)
}

// clientGone reports whether the cause of a panic is that nobody reads the
// answer: huma panics if it cannot be written.
func clientGone(r *http.Request, cause any) bool {
	err, _ := cause.(error)
	_, broken := errors.AsType[*net.OpError](err)
	return broken || errors.Is(err, http.ErrAbortHandler) || r.Context().Err() != nil
}

// serveUnknown answers what no operation matches: 405 where the path exists
// with other methods (RFC 9110 §15.5.6), else 404.
func (a *API) serveUnknown(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete} {
		probe := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := a.mux.Handler(probe); pattern != "/v1/" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		notFound.problem("There is nothing at this path. /openapi.json and /docs describe what there is.").write(w)
		return
	}
	list := strings.Join(allowed, ", ")
	methodNotAllowed.problem("This path takes "+list+".").with("Allow", list).write(w)
}

// serveDocument serves a page that was rendered at the start.
func (a *API) serveDocument(contentType string, content []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		setHeaders(w)
		w.Header().Set("Content-Security-Policy", a.docsPolicy)
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(content)
	}
}
