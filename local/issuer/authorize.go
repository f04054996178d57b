package issuer

import (
	_ "embed"
	"html/template"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/chat-platform/chat/events"
)

//go:embed form.html
var formHTML string

//go:embed issuer.css
var css []byte

var (
	formTemplate = template.Must(template.New("form").Parse(formHTML))
	challengeRE  = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`) // base64url of a SHA-256
)

// page is what the form shows; Params go back with it.
type page struct {
	Title, Client, Fault, Username string
	Params                         map[string]string
	Form                           bool
}

var kept = []string{"client_id", "redirect_uri", "response_type", "scope", "state", "nonce", "code_challenge", "code_challenge_method"}

// authorize shows the form, or refuses the request.
func (i *Issuer) authorize(w http.ResponseWriter, r *http.Request) {
	params, ok := i.request(w, r, r.URL.Query())
	if ok {
		i.ask(w, http.StatusOK, params, params.Get("login_hint"), "")
	}
}

// login takes the form's answer and sends the browser back with a code.
func (i *Issuer) login(w http.ResponseWriter, r *http.Request) {
	form, oerr := readForm(w, r)
	if oerr != nil {
		i.show(w, oerr.status, "", page{Title: "This does not work", Fault: oerr.Description})
		return
	}
	params, ok := i.request(w, r, form)
	if !ok {
		return
	}
	name := strings.TrimSpace(form.Get("username"))
	user, err := events.ParseUserID(name)
	if err != nil {
		fault := err.Error()
		if name == "" {
			fault = "Please give a name."
		}
		i.ask(w, http.StatusBadRequest, params, name, fault)
		return
	}
	code := i.codes.issue(grant{
		client: params.Get("client_id"), redirectURI: params.Get("redirect_uri"),
		challenge: params.Get("code_challenge"), user: string(user),
		nonce: params.Get("nonce"), scope: scopes(params.Get("scope")), authTime: i.now(),
	})
	i.back(w, r, params, url.Values{"code": {code}})
}

// request checks an authorization request. Where the place to go back to is
// bad, or the client is not named, the fault is shown; other faults go back.
func (i *Issuer) request(w http.ResponseWriter, r *http.Request, params url.Values) (url.Values, bool) {
	if _, oerr := checkParams(params); oerr != nil {
		i.show(w, oerr.status, "", page{Title: "This does not work", Fault: oerr.Description})
		return nil, false
	}
	target, err := url.Parse(params.Get("redirect_uri"))
	if err != nil || target.Scheme != "http" && target.Scheme != "https" || target.Fragment != "" || target.User != nil || !i.local(target.Host) {
		i.show(w, http.StatusBadRequest, "", page{Title: "This does not work", Fault: "redirect_uri must be an http or https URL on this machine."})
		return nil, false
	}
	if params.Get("client_id") == "" {
		i.show(w, http.StatusBadRequest, "", page{Title: "This does not work", Fault: "client_id is missing."})
		return nil, false
	}
	var fault *oauthError
	switch {
	case params.Get("response_type") != "code":
		fault = refuse("unsupported_response_type", "response_type must be code")
	case params.Get("code_challenge_method") != "S256":
		fault = refuse("invalid_request", "code_challenge_method must be S256")
	case !challengeRE.MatchString(params.Get("code_challenge")):
		fault = refuse("invalid_request", "code_challenge must be the base64url of a SHA-256")
	case params.Get("prompt") == "none":
		fault = refuse("login_required", "the issuer keeps no browser session")
	}
	if fault != nil {
		i.back(w, r, params, url.Values{"error": {fault.Code}, "error_description": {fault.Description}})
		return nil, false
	}
	return params, true
}

// back sends the browser to the client with an answer, the state and who we are.
func (i *Issuer) back(w http.ResponseWriter, r *http.Request, params, answer url.Values) {
	target, err := url.Parse(params.Get("redirect_uri"))
	if err != nil { // request has parsed it before
		http.Error(w, "redirect_uri", http.StatusBadRequest)
		return
	}
	q := target.Query()
	for k, v := range answer {
		q[k] = v
	}
	if state := params.Get("state"); state != "" {
		q.Set("state", state)
	}
	q.Set("iss", i.url)
	target.RawQuery = q.Encode()
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, target.String(), http.StatusSeeOther) //nolint:gosec // a URL of this machine, see local
}

func (i *Issuer) ask(w http.ResponseWriter, status int, params url.Values, name, fault string) {
	p := page{Title: "Who are you?", Client: params.Get("client_id"), Username: name, Fault: fault, Form: true, Params: map[string]string{}}
	for _, k := range kept {
		if params.Has(k) {
			p.Params[k] = params.Get(k)
		}
	}
	target := ""
	if u, err := url.Parse(params.Get("redirect_uri")); err == nil {
		target = u.Scheme + "://" + u.Host
	}
	i.show(w, status, target, p)
}

// show writes a page. Browsers hold a form's redirects against form-action too,
// so the client's origin is in it.
func (i *Issuer) show(w http.ResponseWriter, status int, target string, p page) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src data:; form-action 'self' "+target+"; frame-ancestors 'none'; base-uri 'none'")
	w.WriteHeader(status)
	_ = formTemplate.Execute(w, p) // or the asker is gone
}

// logout ends the session that id_token_hint (an ID token of ours, expired or
// not) belongs to, and goes to post_logout_redirect_uri.
func (i *Issuer) logout(w http.ResponseWriter, r *http.Request) {
	params := r.URL.Query()
	if r.Method == http.MethodPost {
		form, oerr := readForm(w, r)
		if oerr != nil {
			i.show(w, oerr.status, "", page{Title: "This does not work", Fault: oerr.Description})
			return
		}
		params = form
	}
	var hint struct {
		Subject string `json:"sub"`
		Session string `json:"sid"`
	}
	if raw := params.Get("id_token_hint"); raw != "" && i.signer.open(raw, &hint) == nil && hint.Session != "" {
		i.sessions.end(hint.Session)
		if i.told != nil {
			i.told(r.Context(), hint.Subject, hint.Session)
		}
	}
	target, err := url.Parse(params.Get("post_logout_redirect_uri"))
	if err != nil || target.Host == "" || target.Scheme != "http" && target.Scheme != "https" || !i.local(target.Host) {
		i.show(w, http.StatusOK, "", page{Title: "You are logged out"})
		return
	}
	if state := params.Get("state"); state != "" {
		q := target.Query()
		q.Set("state", state)
		target.RawQuery = q.Encode()
	}
	http.Redirect(w, r, target.String(), http.StatusSeeOther) //nolint:gosec // a URL of this machine, see local
}

func stylesheet(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(css) // or the asker is gone
}
