// Socket keeps one WebSocket to the platform: identifies, beats, comes back
// after a drop with back-off and jitter, and resumes where it was by the cursor.
//
// Events: "state" (detail: {state, retryAt?, reason?}; state is connecting, live,
// waiting or stopped), "ready" (a fresh session: read everything anew),
// "resumed" (detail: the op; what was missed has been given as events, but for
// what it lists as limited), "event" (detail: the op).

import { backoff } from './backoff.js';
import { SessionEnded } from './session.js';

const PATIENCE = 10_000; // to be live after dialling, ms
const PROBE = 3_000; // for an answer when the network may have gone, ms

export class Socket extends EventTarget {
  #session;
  #url;
  #ws = null;
  #cursor = null;
  #attempt = 0;
  #refused = 0;
  #beat = { interval: 25_000, timeout: 10_000 };
  #timers = {};
  state = 'stopped';

  constructor(session, path) {
    super();
    this.#session = session;
    this.#url = Object.assign(new URL(path, location.href), { protocol: location.protocol === 'https:' ? 'wss:' : 'ws:' });
  }

  start() {
    addEventListener('online', () => this.#wake());
    addEventListener('offline', () => this.#probe());
    document.addEventListener('visibilitychange', () => document.hidden || this.#wake());
    this.#session.addEventListener('token', () => this.#reauthenticate());
    this.#dial();
  }

  stop(reason) {
    this.#drop();
    this.#set('stopped', { reason });
  }

  // retry dials at once instead of waiting on.
  retry() {
    if (this.state === 'waiting') this.#dial();
  }

  #set(state, more = {}) {
    this.state = state;
    this.dispatchEvent(new CustomEvent('state', { detail: { state, ...more } }));
  }

  #dial() {
    this.#drop();
    this.#set('connecting');
    const ws = new WebSocket(this.#url);
    this.#ws = ws;
    this.#after('patience', PATIENCE, () => this.#lost());
    ws.onmessage = (message) => {
      if (ws === this.#ws) this.#receive(ws, JSON.parse(message.data));
    };
    ws.onclose = (close) => {
      if (ws === this.#ws) this.#closed(close);
    };
  }

  async #receive(ws, op) {
    if (op.cursor) this.#cursor = op.cursor;
    switch (op.op) {
      case 'hello':
        this.#beat = { interval: op.heartbeat_interval_ms, timeout: op.heartbeat_timeout_ms };
        return this.#identify(ws);
      case 'ready':
        this.#live();
        return this.dispatchEvent(new CustomEvent('ready', { detail: op }));
      case 'resumed':
        this.#live();
        return this.dispatchEvent(new CustomEvent('resumed', { detail: op }));
      case 'invalid_session':
        this.#cursor = null;
        return this.#identify(ws);
      case 'event':
        return this.dispatchEvent(new CustomEvent('event', { detail: op }));
      case 'heartbeat_ack':
        return this.#cancel('ack');
      case 'reconnect':
        this.#drop();
        return this.#wait(Math.random() * 500);
      default: // an op of a later version
    }
  }

  async #identify(ws) {
    let token;
    try {
      token = await this.#session.token();
    } catch (err) {
      if (err instanceof SessionEnded) return this.stop(err.message);
      return this.#lost();
    }
    if (ws !== this.#ws) return;
    this.#send(this.#cursor ? { op: 'resume', token, cursor: this.#cursor } : { op: 'identify', token });
  }

  async #reauthenticate() {
    if (this.state === 'live') this.#send({ op: 'reauthenticate', token: await this.#session.token() });
  }

  #send(op) {
    if (this.#ws?.readyState === WebSocket.OPEN) this.#ws.send(JSON.stringify(op));
  }

  #live() {
    this.#cancel('patience');
    this.#attempt = 0;
    this.#refused = 0;
    this.#set('live');
    this.#after('beat', Math.random() * this.#beat.interval, () => this.#heartbeat());
  }

  #heartbeat() {
    this.#check(this.#beat.timeout);
    this.#after('beat', this.#beat.interval, () => this.#heartbeat());
  }

  // #check asks for an answer in time.
  #check(timeout) {
    this.#send({ op: 'heartbeat' });
    if (!this.#timers.ack || timeout < this.#beat.timeout) this.#after('ack', timeout, () => this.#lost());
  }

  // #probe finds out whether the connection is still there.
  #probe() {
    if (this.state === 'live') this.#check(PROBE);
  }

  #wake() {
    this.#probe();
    this.retry();
  }

  #lost() {
    this.#drop();
    this.#wait(backoff(this.#attempt++));
  }

  async #closed({ code, reason }) {
    // 4502: signed out; the issuer says whether a new token is to be had after all.
    // One that is as young as what revoked the last one may be refused still.
    if ((code === 4501 || code === 4502) && this.#refused < 3) {
      const pause = 1000 * this.#refused++;
      this.#drop();
      this.#set('connecting');
      try {
        await this.#session.refresh();
      } catch (err) {
        if (err instanceof SessionEnded) return this.stop(err.message);
      }
      return this.#wait(pause);
    }
    if (code >= 4500 && code <= 4999) return this.stop(reason || 'The server has closed the connection.');
    this.#lost();
  }

  #wait(ms) {
    this.#set('waiting', { retryAt: Date.now() + ms });
    this.#after('retry', ms, () => this.#dial());
  }

  // #drop lets go of the connection without waiting for a goodbye, which may
  // never come.
  #drop() {
    for (const name of Object.keys(this.#timers)) this.#cancel(name);
    const ws = this.#ws;
    this.#ws = null;
    if (ws) ws.close();
  }

  #after(name, ms, f) {
    this.#cancel(name);
    this.#timers[name] = setTimeout(() => {
      delete this.#timers[name];
      f();
    }, ms);
  }

  #cancel(name) {
    clearTimeout(this.#timers[name]);
    delete this.#timers[name];
  }
}
