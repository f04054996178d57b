// Api is the platform's REST interface. Every call throws an ApiError where the
// answer is not a 2xx.

export class ApiError extends Error {
  // status is 0 where no answer came; code is the problem's stable code.
  constructor(status, code, detail, retryAfter = 0) {
    super(detail);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter; // seconds
  }

  // passing tells whether the same request may work later.
  get passing() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

export class Api {
  #session;

  constructor(session) {
    this.#session = session;
  }

  channels(scope, cursor) { return this.#get('/v1/channels', { scope, cursor, limit: 100 }); }

  createChannel(channel) { return this.#call('POST', '/v1/channels', channel); }

  join(id) { return this.#call('PUT', `${channelPath(id)}/members/me`); }

  leave(id) { return this.#call('DELETE', `${channelPath(id)}/members/me`); }

  send(id, message) { return this.#call('POST', `${channelPath(id)}/messages`, message); }

  // history takes one of before, after, around, or none for the latest.
  history(id, query) { return this.#get(`${channelPath(id)}/messages`, query); }

  search(q, channel, cursor) { return this.#get('/v1/search', { q, channel, cursor, limit: 25 }); }

  #get(path, query) {
    const params = new URLSearchParams();
    for (const [k, v] of Object.entries(query)) if (v !== undefined && v !== null && v !== '') params.set(k, v);
    return this.#call('GET', `${path}?${params}`);
  }

  async #call(method, path, body, again = true) {
    const headers = { authorization: `Bearer ${await this.#token()}` };
    if (body !== undefined) headers['content-type'] = 'application/json';
    let response;
    try {
      response = await fetch(path, { method, headers, body: body && JSON.stringify(body), cache: 'no-store', signal: AbortSignal.timeout(15_000) });
    } catch {
      throw new ApiError(0, 'no_answer', 'The server cannot be reached.');
    }
    if (response.status === 401 && again) {
      await this.#session.refresh();
      return this.#call(method, path, body, false);
    }
    const answer = await response.json().catch(() => ({}));
    if (response.ok) return answer;
    throw new ApiError(response.status, answer.code, answer.detail || answer.title || `The server answered ${response.status}.`,
      Number(response.headers.get('retry-after')) || 0);
  }

  async #token() {
    try {
      return await this.#session.token();
    } catch (err) {
      throw this.#session.active ? new ApiError(0, 'no_answer', 'The login server cannot be reached.') : err;
    }
  }
}

function channelPath(id) {
  return `/v1/channels/${encodeURIComponent(id)}`;
}
