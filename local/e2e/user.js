// User is somebody who talks through the REST API, without a browser.

export class User {
  static async login(url, name) {
    const config = await (await fetch(`${url}/v1/config`)).json();
    const discovery = await (await fetch(`${config.issuer}/.well-known/openid-configuration`)).json();
    const response = await fetch(discovery.token_endpoint, {
      method: 'POST', body: new URLSearchParams({ grant_type: 'password', client_id: 'chat-e2e', username: name }),
    });
    const token = await response.json();
    if (!response.ok) throw new Error(`login of ${name}: ${token.error_description}`);
    return new User(url, name, token.access_token);
  }

  constructor(url, name, token) {
    this.url = url;
    this.name = name;
    this.token = token;
  }

  async call(method, path, body) {
    const response = await fetch(this.url + path, {
      method, body: body && JSON.stringify(body),
      headers: { authorization: `Bearer ${this.token}`, ...(body && { 'content-type': 'application/json' }) },
    });
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${JSON.stringify(answer)}`);
    return answer;
  }

  async createChannel(name, topic = '') {
    return (await this.call('POST', '/v1/channels', { name, topic, visibility: 'public' })).channel.id;
  }

  join(channel) { return this.call('PUT', `/v1/channels/${channel}/members/me`); }

  say(channel, text) { return this.call('POST', `/v1/channels/${channel}/messages`, { text, client_id: crypto.randomUUID() }); }

  history(channel, query = 'limit=100') { return this.call('GET', `/v1/channels/${channel}/messages?${query}`); }
}
