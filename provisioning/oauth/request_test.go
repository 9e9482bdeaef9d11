package oauth_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestARequestThatIsNotATokenRequestIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.sensor(t, "lot1-b2-017")
	form := c.form().Encode()
	without := func(name string) string {
		short := c.form()
		short.Del(name)
		return short.Encode()
	}
	for name, test := range map[string]struct {
		contentType, body string
		status            int
		code, part        string
	}{
		"no content type":        {"", form, 400, "invalid_request", "Content-Type: application/x-www-form-urlencoded"},
		"text":                   {"text/plain", form, 400, "invalid_request", "application/json"},
		"multipart":              {"multipart/form-data; boundary=x", form, 400, "invalid_request", "application/json"},
		"malformed type":         {"application/", form, 400, "invalid_request", "application/json"},
		"JSON sent as a form":    {formType, `{"grant_type":"client_credentials"}`, 400, "invalid_request", "grant_type is missing"},
		"a form sent as JSON":    {jsonType, form, 400, "invalid_request", "JSON object"},
		"empty form":             {formType, "", 400, "invalid_request", "grant_type is missing"},
		"no grant type":          {formType, without("grant_type"), 400, "invalid_request", "grant_type is missing"},
		"other grant type":       {formType, c.form("grant_type", "password").Encode(), 400, "unsupported_grant_type", "client_credentials"},
		"grant type in capitals": {formType, c.form("grant_type", "Client_Credentials").Encode(), 400, "unsupported_grant_type", ""},
		"no client ID":           {formType, without("client_id"), 401, "invalid_client", "client_id and client_secret"},
		"no secret":              {formType, without("client_secret"), 401, "invalid_client", "client_id and client_secret"},
		"broken escape":          {formType, form + "&scope=%zz", 400, "invalid_request", "form"},
		"semicolons":             {formType, strings.ReplaceAll(form, "&", ";"), 400, "invalid_request", "form"},
		"blank scope":            {formType, form + "&scope=+", 400, "invalid_scope", "names nothing"},
		"scope with a tab":       {formType, form + "&scope=a%09b", 400, "invalid_scope", "percent-encoded"},
		"scope with a quote":     {formType, form + "&scope=%22a", 400, "invalid_scope", "percent-encoded"},
		"scope not ASCII":        {formType, form + "&scope=%C3%A9", 400, "invalid_scope", "percent-encoded"},
		"scope not UTF-8":        {formType, form + "&scope=%FF", 400, "invalid_scope", "percent-encoded"},
		"scope with NUL":         {formType, form + "&scope=a%00", 400, "invalid_scope", "percent-encoded"},
		"overlong scope":         {formType, form + "&scope=" + strings.Repeat("a", 4097), 400, "invalid_scope", "too long"},
		"2049 scopes":            {formType, form + "&scope=" + strings.Repeat("a+", 2049), 400, "invalid_scope", "2048"},
		"overlong audience":      {formType, form + "&audience=" + strings.Repeat("a", 257), 400, "invalid_target", "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w.post(t, test.contentType, test.body).refused(t, test.status, test.code, test.part)
		})
	}
}

func TestABodyInACodingOrOfTwoTypesIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := newRequest(t, http.MethodPost, w.url+"/oauth/token", formType, "x=y")
	r.Header.Set("Content-Encoding", "gzip")
	send(t, r).refused(t, http.StatusBadRequest, "invalid_request", "encoding")
	r = newRequest(t, http.MethodPost, w.url+"/oauth/token", formType, "x=y")
	r.Header.Add("Content-Type", jsonType)
	send(t, r).refused(t, http.StatusBadRequest, "invalid_request", "one content type")
}

func TestO2_UnknownClientAndWrongSecretCannotBeToldApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.sensor(t, "lot1-b2-017")
	w.token(t, w.postForm(t, c.form()), "boomgate:mqtt")
	wrong := func(c credential) (answer, work) {
		before := w.registry.work()
		a := w.postForm(t, c.form())
		return a, w.registry.work().since(before)
	}
	secret := w.sensor(t, "lot1-b2-018").secret
	want, work := wrong(credential{c.id, secret})
	want.refused(t, http.StatusUnauthorized, "invalid_client", "unknown or its secret is wrong")
	for name, other := range map[string]credential{
		"unknown":             {"lot1-b2-999", secret},
		"not an ID":           {"../../lot1", secret},
		"longer than an ID":   {strings.Repeat("a", 65), secret},
		"very long":           {strings.Repeat("a", 30_000), secret},
		"capital letters":     {strings.ToUpper(c.id), c.secret},
		"a space":             {c.id + " ", c.secret},
		"not UTF-8":           {"\xff\xfe", secret},
		"its secret with NUL": {c.id, c.secret + "\x00"},
		"a part of it":        {c.id, c.secret[:len(c.secret)-1]},
		"a long secret":       {c.id, strings.Repeat("x", 30_000)},
	} {
		got, gotWork := wrong(other)
		if got.status != want.status || got.body != want.body {
			t.Errorf("%s: answer is %d %s, want %d %s", name, got.status, got.body, want.status, want.body)
		}
		for _, header := range []http.Header{got.header, want.header} {
			header.Del("X-Request-Id")
			header.Del("Date")
		}
		if len(got.header) != len(want.header) {
			t.Errorf("%s: headers are %v, want %v", name, got.header, want.header)
		}
		if gotWork != work {
			t.Errorf("%s: the registry was asked %v times, want %v", name, gotWork, work)
		}
	}
}

func TestO2_CredentialsInTheURLAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.sensor(t, "lot1-b2-017")
	for _, query := range []string{
		c.form().Encode(), "client_secret=" + c.secret, "client_id=" + c.id, "scope=pub:a", "audience=boomgate:mqtt",
		"grant_type=client_credentials", "client_assertion=x", "client_secret", "a=%zz", "a;client_secret=x",
	} {
		before := w.registry.work()
		send(t, newRequest(t, http.MethodPost, w.url+"/oauth/token?"+query, formType, c.form().Encode())).
			refused(t, http.StatusBadRequest, "invalid_request", "body")
		if w.registry.work() != before {
			t.Errorf("%s: the credentials were looked at", query)
		}
	}
}

func TestO2_TwoWaysOfAuthenticationAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.sensor(t, "lot1-b2-017")
	request := func(body url.Values) *http.Request {
		return newRequest(t, http.MethodPost, w.url+"/oauth/token", formType, body.Encode())
	}
	other := c.form("client_id", "lot1-b2-018")
	other.Del("client_secret")
	twice := basic(request(url.Values{"grant_type": {"client_credentials"}}), c)
	twice.Header.Add("Authorization", twice.Header.Get("Authorization"))
	bearer := request(c.form())
	bearer.Header.Set("Authorization", "Bearer x")
	for name, r := range map[string]*http.Request{
		"Basic and the body":                basic(request(c.form()), c),
		"Basic and another client_id":       basic(request(other), c),
		"Basic and an assertion":            basic(request(url.Values{"grant_type": {"client_credentials"}, "client_assertion": {"x"}}), c),
		"the body and an assertion":         request(c.form("client_assertion", "x")),
		"the body and an assertion's type":  request(c.form("client_assertion_type", "x")),
		"two headers":                       twice,
		"the body and a bearer token":       bearer,
		"Basic and a secret of a wrong one": basic(request(url.Values{"grant_type": {"client_credentials"}, "client_secret": {"x"}}), c),
	} {
		a := send(t, r)
		if a.status != http.StatusBadRequest || a.Error != "invalid_request" {
			t.Errorf("%s: answer is %d %s, want invalid_request", name, a.status, a.body)
		}
	}
}

func TestO2_ARepeatedParameterIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.sensor(t, "lot1-b2-017")
	for _, extra := range []string{
		"&client_id=" + c.id, "&client_secret=x", "&grant_type=client_credentials", "&scope=a&scope=a", "&audience=a&audience=b",
		"&scope=&scope=", "&whatever=1&whatever=1", "&client%5Fsecret=x",
	} {
		w.post(t, formType, c.form().Encode()+extra).refused(t, http.StatusBadRequest, "invalid_request", "repeated")
	}
}

func TestO2_BasicValuesAreFormDecoded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.sensor(t, "lot1-b2-017")
	with := func(authorization string) answer {
		r := newRequest(t, http.MethodPost, w.url+"/oauth/token", formType, "grant_type=client_credentials")
		r.Header.Set("Authorization", authorization)
		return send(t, r)
	}
	encode := func(pair string) string { return base64.StdEncoding.EncodeToString([]byte(pair)) }
	w.token(t, with("Basic "+encode("lot1%2Db2%2D017:"+strings.Replace(c.secret, "_", "%5F", 1))), "boomgate:mqtt")
	w.token(t, with("bAsIc "+encode(c.id+":"+c.secret)), "boomgate:mqtt")
	for _, authorization := range []string{
		"Basic", "Basic ", "Basic !", "Basic " + encode("no colon"), "Basic " + encode("lot1%zz:"+c.secret),
		"Basic " + encode(c.id+":%"), "Bearer abc", "Digest x", "", "Basic " + encode(c.id+":"+c.secret) + "=",
		"Basic " + encode(c.id+":"), "Basic " + encode(":"+c.secret), "Basic " + encode(c.id+":"+c.secret+":"),
	} {
		a := with(authorization)
		a.refused(t, http.StatusUnauthorized, "invalid_client", "")
		if got := a.header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Basic realm=") {
			t.Errorf("%q: WWW-Authenticate is %q, want a Basic challenge", authorization, got)
		}
	}
}

func TestO2_OnlyPOSTIsTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.sensor(t, "lot1-b2-017")
	for _, method := range []string{
		http.MethodGet, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, "PROPFIND",
	} {
		a := send(t, newRequest(t, method, w.url+"/oauth/token?"+c.form().Encode(), formType, c.form().Encode()))
		a.refused(t, http.StatusMethodNotAllowed, "invalid_request", "POST")
		if a.header.Get("Allow") != http.MethodPost {
			t.Errorf("%s: Allow is %q, want POST", method, a.header.Get("Allow"))
		}
	}
}

func TestO3_AJSONBodyThatIsNotAPlainObjectIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.sensor(t, "lot1-b2-017")
	start := `{"grant_type":"client_credentials","client_id":"` + c.id + `","client_secret":"` + c.secret + `"`
	for name, test := range map[string]struct{ body, code, part string }{
		"empty":                      {``, "invalid_request", "JSON object"},
		"null":                       {`null`, "invalid_request", "JSON object"},
		"array":                      {`[` + start + `}]`, "invalid_request", "JSON object"},
		"string":                     {`"x"`, "invalid_request", "JSON object"},
		"unfinished":                 {start, "invalid_request", "JSON object"},
		"trailing text":              {start + `}x`, "invalid_request", "JSON object"},
		"two objects":                {start + `}{}`, "invalid_request", "JSON object"},
		"trailing comma":             {start + `,}`, "invalid_request", "JSON object"},
		"comment":                    {start + `/**/}`, "invalid_request", "JSON object"},
		"byte order mark":            {"\ufeff" + start + `}`, "invalid_request", "JSON object"},
		"not UTF-8":                  {start + ",\"x\":\"\xff\"}", "invalid_request", "UTF-8"},
		"deep":                       {start + `,"x":` + strings.Repeat("[", 30_000) + `}`, "invalid_request", "JSON object"},
		"deep and closed":            {start + `,"x":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`, "invalid_request", "JSON object"},
		"duplicate secret":           {start + `,"client_secret":"x"}`, "invalid_request", "twice"},
		"duplicate in other letters": {start + `,"client\u005fsecret":"x"}`, "invalid_request", "twice"},
		"duplicate unknown":          {start + `,"x":1,"x":1}`, "invalid_request", "twice"},
		"duplicate null":             {`{"scope":null,"scope":null}`, "invalid_request", "twice"},
		"null secret":                {`{"client_secret":null}`, "invalid_request", "client_secret must be a string"},
		"number as ID":               {`{"client_id":17}`, "invalid_request", "client_id must be a string"},
		"array as ID":                {`{"client_id":["a"]}`, "invalid_request", "client_id must be a string"},
		"object as secret":           {`{"client_secret":{"a":1}}`, "invalid_request", "client_secret must be a string"},
		"true as grant type":         {`{"grant_type":true}`, "invalid_request", "grant_type must be a string"},
		"null scope":                 {start + `,"scope":null}`, "invalid_request", "scope must be a string or an array"},
		"number as scope":            {start + `,"scope":1}`, "invalid_request", "scope must be a string or an array"},
		"object as scope":            {start + `,"scope":{"a":"b"}}`, "invalid_request", "scope must be a string or an array"},
		"nested scope":               {start + `,"scope":[["a"]]}`, "invalid_scope", "pub and sub"},
		"scope nested too late":      {start + `,"scope":["a",["b"]]}`, "invalid_request", "scope must be a string or an array"},
		"null in scope":              {start + `,"scope":["a",null]}`, "invalid_request", "scope must be a string or an array"},
		"numbers in audience":        {start + `,"audience":[1]}`, "invalid_request", "audience must be a string or an array"},
		"nothing as scope":           {start + `,"scope":[]}`, "invalid_scope", "names nothing"},
		"blank scope":                {start + `,"scope":" "}`, "invalid_scope", "names nothing"},
		"empty scope in an array":    {start + `,"scope":[""]}`, "invalid_scope", "empty"},
		"two scopes in one element":  {start + `,"scope":["a b"]}`, "invalid_scope", "space"},
		"no audience":                {start + `,"audience":[]}`, "invalid_target", "1 to 8"},
		"nine audiences":             {start + `,"audience":["1","2","3","4","5","6","7","8","9"]}`, "invalid_target", "1 to 8"},
		"empty audience":             {start + `,"audience":[""]}`, "invalid_target", "empty"},
		"ID in other letter case":    {strings.Replace(start, "client_id", "Client_ID", 1) + `}`, "invalid_client", "client_id"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := w.post(t, jsonType, test.body)
			if a.Error != test.code || !strings.Contains(a.Description, test.part) {
				t.Errorf("answer is %d %s, want %s with %q", a.status, a.body, test.code, test.part)
			}
		})
	}
}

func TestO3_ABodyOfMegabytesIsNotRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.sensor(t, "lot1-b2-017")
	const limit = 64 << 10
	form := c.form().Encode() + "&x="
	fits := form + strings.Repeat("a", limit-len(form))
	w.token(t, w.post(t, formType, fits), "boomgate:mqtt")
	w.post(t, formType, fits+"a").refused(t, http.StatusRequestEntityTooLarge, "invalid_request", "64 KiB")
	w.post(t, jsonType, `{"x":"`+strings.Repeat("a", 8<<20)+`"}`).
		refused(t, http.StatusRequestEntityTooLarge, "invalid_request", "64 KiB")
	if reason := w.journal.last(t).Reason; reason != "body-too-large" {
		t.Errorf("the operator's reason is %q", reason)
	}
}
