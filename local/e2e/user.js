// User is somebody who talks through the REST API, without a browser.

import { token } from './issuer.js';

export class User {
  static async login(url, name) {
    return new User(url, name, await token(url, name));
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
