// Banner says when the connection is gone, until it is back.

import { byId } from './dom.js';

export class Banner {
  #socket;
  #banner = byId('banner');
  #text = byId('banner-text');
  #retry = byId('banner-retry');
  #state = byId('me-state');
  #lost = false;
  #timer;

  constructor(socket) {
    this.#socket = socket;
    this.#retry.onclick = () => socket.retry();
    socket.addEventListener('state', (e) => this.#show(e.detail));
  }

  // say shows a sentence for a few seconds.
  say(text) {
    this.#open(text, 'note');
    this.#timer = setTimeout(() => this.#close(), 6000);
  }

  #show({ state, retryAt, reason }) {
    this.#state.textContent = { live: 'connected', stopped: 'offline' }[state] ?? 'connecting…';
    document.body.dataset.connection = state;
    if (state === 'live') {
      if (this.#lost) this.say('Connected again.');
      this.#lost = false;
    } else if (state === 'waiting') {
      this.#lost = true;
      this.#count(retryAt);
    } else if (state === 'connecting' && this.#lost) this.#open('Connection lost. Reconnecting…', 'lost');
    else if (state === 'stopped') this.#open(reason ?? 'The connection was closed.', 'lost');
  }

  #count(retryAt) {
    const left = Math.ceil((retryAt - Date.now()) / 1000);
    this.#open(left > 1 ? `Connection lost. Trying again in ${left} s.` : 'Connection lost. Reconnecting…', 'lost');
    this.#retry.hidden = left <= 1;
    if (this.#socket.state === 'waiting' && left > 1) this.#timer = setTimeout(() => this.#count(retryAt), 1000);
  }

  #open(text, kind) {
    clearTimeout(this.#timer);
    this.#retry.hidden = true;
    if (this.#text.textContent !== text) this.#text.textContent = text;
    this.#banner.dataset.kind = kind;
    this.#banner.hidden = false;
  }

  #close() {
    this.#banner.hidden = true;
    this.#text.textContent = '';
  }
}
