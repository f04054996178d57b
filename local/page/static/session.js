// Session is who is logged in: authorization code with PKCE against any OpenID
// Connect issuer, tokens kept in this tab (sessionStorage), refreshed before
// they expire. A refresh token is good once, so a tab that the browser has made
// as a copy of another one, tokens and all, logs in for itself.
//
// Events: "token" (a new access token), "ended" (detail: why, for people).

import { backoff } from './backoff.js';

const KEY = 'chat.session';
const LOGIN = 'chat.login';

export class SessionEnded extends Error {}

export class Session extends EventTarget {
  #config;
  #issuer; // promise of the discovery document
  #tokens = null;
  #refreshing = null;
  #timer;
  #failures = 0;
  #asked = false; // whether these tokens are a copy of another tab's
  #tabs = new BroadcastChannel('chat.session'); // all tabs of this browser

  constructor(config) {
    super();
    this.#config = config;
    this.#tokens = JSON.parse(sessionStorage.getItem(KEY) ?? 'null');
    this.#tabs.onmessage = ({ data }) => this.#hear(data);
    if (!this.#tokens) return;
    this.#schedule();
    this.#asked = true;
    this.#tabs.postMessage({ ask: this.#tokens.login });
  }

  // #hear answers a tab that asks who else has its tokens, and takes an answer.
  #hear({ ask, answer }) {
    if (!this.#tokens) return;
    if (ask === this.#tokens.login) {
      this.#asked = false; // whoever comes later is the copy
      this.#tabs.postMessage({ answer: ask });
    }
    if (answer !== this.#tokens.login || !this.#asked) return;
    this.#forget();
    this.login().catch((err) => this.dispatchEvent(new CustomEvent('ended', { detail: err.message })));
  }

  get active() { return this.#tokens !== null; }

  get user() { return this.#tokens.user; }

  get name() { return this.#tokens.name; }

  // login leaves the page for the issuer's.
  async login() {
    if (!crypto.subtle) throw new Error('Logging in needs https, or http on localhost.');
    const issuer = await this.#discover();
    const login = { state: random(), nonce: random(), verifier: random(), hash: location.hash };
    sessionStorage.setItem(LOGIN, JSON.stringify(login));
    const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(login.verifier));
    const url = new URL(issuer.authorization_endpoint);
    for (const [k, v] of Object.entries({
      response_type: 'code', client_id: this.#config.client_id, redirect_uri: here(), scope: 'openid profile',
      state: login.state, nonce: login.nonce, code_challenge: base64url(new Uint8Array(digest)), code_challenge_method: 'S256',
    })) url.searchParams.set(k, v);
    location.assign(url);
  }

  // finishLogin takes what the issuer sent the browser back with, if it did, and
  // removes it from the address. It throws what is to be shown.
  async finishLogin() {
    const answer = new URLSearchParams(location.search);
    if (!answer.has('state') || !(answer.has('code') || answer.has('error'))) return;
    const login = JSON.parse(sessionStorage.getItem(LOGIN) ?? 'null');
    sessionStorage.removeItem(LOGIN);
    history.replaceState(null, '', here() + (login?.hash ?? ''));
    if (!login || login.state !== answer.get('state')) throw new Error('That login was begun elsewhere. Please log in again.');
    const issuer = await this.#discover();
    if (answer.has('iss') && answer.get('iss') !== issuer.issuer) throw new Error('Another login server has answered. Please log in again.');
    if (answer.has('error')) throw new Error(refusal(answer.get('error'), answer.get('error_description')));
    const tokens = await this.#ask({
      grant_type: 'authorization_code', code: answer.get('code'), redirect_uri: here(), code_verifier: login.verifier,
    });
    const id = claims(tokens.id_token);
    if (id?.nonce !== login.nonce || id.iss !== issuer.issuer || ![id.aud].flat().includes(this.#config.client_id)) {
      throw new Error('The login belongs to another request. Please log in again.');
    }
    this.#keep(tokens);
  }

  // token is an access token that is good for a while yet.
  async token() {
    if (!this.#tokens) throw new SessionEnded('not logged in');
    if (this.#tokens.expires - Date.now() < Math.min(15_000, this.#tokens.lifetime / 5)) await this.refresh();
    return this.#tokens.access;
  }

  // refresh gets a new token now; callers at the same time share one request.
  refresh() {
    this.#refreshing ??= this.#refresh().finally(() => { this.#refreshing = null; });
    return this.#refreshing;
  }

  // logout forgets the tokens and leaves for the issuer, which ends its session.
  async logout() {
    const hint = this.#tokens?.id;
    this.#forget();
    const issuer = await this.#discover().catch(() => null);
    if (!issuer?.end_session_endpoint) return location.assign(here());
    const url = new URL(issuer.end_session_endpoint);
    url.searchParams.set('client_id', this.#config.client_id);
    url.searchParams.set('post_logout_redirect_uri', here());
    if (hint) url.searchParams.set('id_token_hint', hint);
    location.assign(url);
  }

  async #refresh() {
    if (!this.#tokens?.refresh) return this.#end('Your session has ended. Please log in again.');
    let tokens;
    try {
      tokens = await this.#ask({ grant_type: 'refresh_token', refresh_token: this.#tokens.refresh });
    } catch (err) {
      if (err.code === 'invalid_grant') return this.#end('Your session has ended. Please log in again.');
      this.#failures++;
      this.#schedule();
      throw err;
    }
    this.#keep({ refresh_token: this.#tokens.refresh, id_token: this.#tokens.id, ...tokens });
    this.dispatchEvent(new Event('token'));
  }

  #end(why) {
    this.#forget();
    this.dispatchEvent(new CustomEvent('ended', { detail: why }));
    throw new SessionEnded(why);
  }

  #forget() {
    clearTimeout(this.#timer);
    this.#tokens = null;
    sessionStorage.removeItem(KEY);
  }

  #keep(t) {
    const who = claims(t.access_token) ?? claims(t.id_token) ?? {};
    this.#failures = 0;
    this.#tokens = {
      access: t.access_token, refresh: t.refresh_token, id: t.id_token,
      login: this.#tokens?.login ?? random(), lifetime: t.expires_in * 1000, expires: Date.now() + t.expires_in * 1000,
      user: who.sub, name: who.name || who.preferred_username || who.sub,
    };
    sessionStorage.setItem(KEY, JSON.stringify(this.#tokens));
    this.#schedule();
  }

  // #schedule plans the next refresh: at three quarters of the token's life.
  #schedule() {
    clearTimeout(this.#timer);
    const { expires, lifetime } = this.#tokens;
    const wait = this.#failures > 0 ? backoff(this.#failures) : Math.max(0, expires - Date.now() - lifetime / 4);
    this.#timer = setTimeout(() => this.refresh().catch(() => {}), wait);
  }

  async #ask(form) {
    const issuer = await this.#discover();
    const response = await call(issuer.token_endpoint, {
      method: 'POST', body: new URLSearchParams({ client_id: this.#config.client_id, ...form }),
    });
    const answer = await response.json().catch(() => ({}));
    if (response.ok) return answer;
    const err = new Error(answer.error ? refusal(answer.error, answer.error_description) : `The login server answered ${response.status}.`);
    err.code = answer.error;
    throw err;
  }

  #discover() {
    this.#issuer ??= (async () => {
      const url = `${this.#config.issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
      const response = await call(url);
      if (!response.ok) throw new Error(`The login server answered ${response.status}.`);
      return response.json();
    })().catch((err) => {
      this.#issuer = undefined;
      throw err;
    });
    return this.#issuer;
  }
}

async function call(url, options = {}) {
  try {
    return await fetch(url, { ...options, signal: AbortSignal.timeout(15_000) });
  } catch {
    throw new Error('The login server cannot be reached.');
  }
}

// refusal says in words what an issuer answers instead of a code or tokens.
function refusal(error, description) {
  if (error === 'access_denied') return 'The login was cancelled.';
  if (description === 'authentication_expired') return 'The login took too long. Please log in again.';
  return `The login server refuses: ${description || error}.`.replace(/\.\.$/, '.');
}

// here is where the issuer sends the browser back to.
function here() {
  return location.origin + location.pathname;
}

function random() {
  return base64url(crypto.getRandomValues(new Uint8Array(32)));
}

function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
}

// claims reads a token's claims, for display only: whoever serves the API
// verifies them.
function claims(token) {
  try {
    const body = token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/');
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(body), (c) => c.charCodeAt(0))));
  } catch {
    return null;
  }
}
