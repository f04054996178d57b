// Composer is the box that messages are written in. It keeps a draft for each
// channel.
//
// Events: "send" (detail: {text, replyTo}).

import { byId } from './dom.js';

const MAX = 50_000; // characters

export class Composer extends EventTarget {
  #form = byId('compose');
  #text = byId('compose-text');
  #hint = byId('compose-hint');
  #hintText = this.#hint.textContent;
  #replying = byId('replying');
  #replyTo = null;
  #drafts = new Map();
  #channel = null;

  constructor() {
    super();
    this.#form.onsubmit = (e) => {
      e.preventDefault();
      this.#send();
    };
    this.#text.onkeydown = (e) => {
      if (e.key === 'Enter' && !e.shiftKey && !e.isComposing && matchMedia('(hover: hover)').matches) {
        e.preventDefault();
        this.#send();
      } else if (e.key === 'Escape' && this.#replyTo) this.reply(null);
    };
    this.#text.oninput = () => this.#fit();
    byId('replying-cancel').onclick = () => this.reply(null);
  }

  open(channel) {
    if (channel === this.#channel) return;
    if (this.#channel) this.#drafts.set(this.#channel, this.#text.value);
    this.#channel = channel;
    this.#text.value = this.#drafts.get(channel) ?? '';
    this.#form.hidden = !channel;
    this.reply(null, false);
    this.#fit();
  }

  focus() {
    if (matchMedia('(hover: hover)').matches) this.#text.focus();
  }

  // reply makes the next message an answer to message, or no answer to any.
  reply(message, focus = true) {
    this.#replyTo = message;
    this.#replying.hidden = !message;
    byId('replying-to').textContent = message ? `Replying to ${message.author_id}: ${message.text.slice(0, 100)}` : '';
    if (focus) this.#text.focus();
  }

  #send() {
    const text = this.#text.value.replace(/^(\s*\n)+|\s+$/g, '');
    if (!text || this.#length() > MAX) return;
    this.#text.value = '';
    this.dispatchEvent(new CustomEvent('send', { detail: { text, replyTo: this.#replyTo?.id } }));
    this.reply(null);
    this.#fit();
  }

  #length() {
    const { value } = this.#text;
    return value.length < MAX ? value.length : [...value.trim()].length;
  }

  #fit() {
    this.#text.style.height = 'auto';
    this.#text.style.height = `${Math.min(this.#text.scrollHeight + 2, innerHeight * 0.4)}px`;
    const over = this.#length() - MAX;
    this.#hint.textContent = over > 0 ? `${over} characters too many` : this.#hintText;
    this.#hint.classList.toggle('fault', over > 0);
  }
}
