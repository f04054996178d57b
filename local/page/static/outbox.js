// Outbox holds what was written until the platform has it: one at a time in each
// channel, so that the order stays, each under a client_id of its own, so that a
// retry is never a second message. It outlives a reload.
//
// Events: "change" (detail: channel id), "sent" (detail: {channel, message}).

import { backoff } from './backoff.js';
import { uuidv7 } from './uuid.js';

export class Outbox extends EventTarget {
  #api;
  #author;
  #key;
  #entries;
  #busy = new Set(); // channels with a request on its way
  #timers = new Map(); // channel → wait before the next attempt

  constructor(api, author) {
    super();
    this.#api = api;
    this.#author = author;
    this.#key = `chat.outbox.${author}`;
    this.#entries = JSON.parse(sessionStorage.getItem(this.#key) ?? '[]');
  }

  // of is what waits in a channel, oldest first: {client_id, text, fault?}.
  of(channel) {
    return this.#entries.filter((e) => e.channel === channel);
  }

  add(channel, text, replyTo) {
    this.#entries.push({ channel, text, reply_to: replyTo, client_id: uuidv7(), at: new Date().toISOString(), tries: 0 });
    this.#changed(channel);
    this.#next(channel);
  }

  // retry sends a refused message again, under its old client_id.
  retry(id) {
    const e = this.#entries.find((x) => x.client_id === id);
    if (!e) return;
    delete e.fault;
    this.#changed(e.channel);
    this.#next(e.channel);
  }

  discard(id) {
    const e = this.#entries.find((x) => x.client_id === id);
    if (e) this.#done(e);
  }

  // flush tries everything that waits at once.
  flush() {
    for (const channel of new Set(this.#entries.map((e) => e.channel))) {
      clearTimeout(this.#timers.get(channel));
      this.#timers.delete(channel);
      this.#next(channel);
    }
  }

  // heard is for a live message of mine: it has arrived, whatever became of the
  // answer.
  heard(clientID) {
    const e = this.#entries.find((x) => x.client_id === clientID);
    if (e) this.#done(e);
  }

  async #next(channel) {
    if (this.#busy.has(channel) || this.#timers.has(channel)) return;
    const e = this.#entries.find((x) => x.channel === channel && !x.fault);
    if (!e) return;
    this.#busy.add(channel);
    let wait = 0;
    try {
      const { text, client_id: clientID, reply_to: replyTo } = e;
      const sent = await this.#api.send(channel, { text, client_id: clientID, reply_to: replyTo });
      const message = { ...sent, author_id: this.#author, text, reply_to: replyTo };
      this.dispatchEvent(new CustomEvent('sent', { detail: { channel, message } }));
      this.#done(e);
    } catch (err) {
      e.tries++;
      if (err.passing) wait = Math.max(err.retryAfter * 1000, backoff(e.tries - 1));
      else e.fault = err.message;
      this.#changed(channel);
    } finally {
      this.#busy.delete(channel);
    }
    if (wait === 0) return this.#next(channel);
    this.#timers.set(channel, setTimeout(() => {
      this.#timers.delete(channel);
      this.#next(channel);
    }, wait));
  }

  #done(e) {
    this.#entries = this.#entries.filter((x) => x !== e);
    this.#changed(e.channel);
  }

  #changed(channel) {
    if (this.#entries.length > 0) sessionStorage.setItem(this.#key, JSON.stringify(this.#entries));
    else sessionStorage.removeItem(this.#key);
    this.dispatchEvent(new CustomEvent('change', { detail: channel }));
  }
}
