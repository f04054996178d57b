// Timeline shows a History and what the Outbox holds for it: keeps the place
// while older messages load above, follows the end while one is there, and asks
// for more near the edges.
//
// Events: "read" (detail: {channel, seq}: everything up to there was on the
// screen), "reply" (detail: message), "jump" (detail: message).

import { byId, el } from './dom.js';
import { group, item, pendingItem } from './message.js';

const NEAR = 600; // pixels from an edge at which more is asked for
const AT_END = 40; // pixels from the end that count as the end

export class Timeline extends EventTarget {
  #history;
  #outbox;
  #me;
  #scroller = byId('scroller');
  #log = byId('log');
  #pending = byId('pending');
  #edge = byId('edge');
  #toLatest = byId('to-latest');
  #seen = new Map(); // id → message, for quotes
  #follow = true;
  #unseen = 0;

  constructor(history, outbox, me) {
    super();
    this.#history = history;
    this.#outbox = outbox;
    this.#me = me;
    const on = (name, f) => history.addEventListener(name, (e) => f(e.detail));
    on('reset', () => this.#reset());
    on('prepend', (messages) => this.#prepend(messages));
    on('append', (messages) => this.#append(messages));
    on('insert', (message) => this.#insert(message));
    on('trim', (trim) => this.#trim(trim));
    on('change', () => this.#change());
    on('fault', (error) => { this.#edge.textContent = `The messages cannot be read: ${error.message}`; });
    outbox.addEventListener('change', (e) => e.detail === history.channel && this.#showPending());
    this.#scroller.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.#settle()).observe(this.#scroller);
    this.#toLatest.onclick = () => this.toEnd();
    document.addEventListener('visibilitychange', () => this.#settle());
  }

  // open shows a channel's end, or the message with a sequence.
  async open(channel, seq) {
    this.#follow = !seq;
    this.#unseen = 0;
    const found = this.#history.channel === channel && this.#node(seq);
    if (!found) await this.#history.open(channel, seq);
    if (seq) this.#point(this.#node(seq));
    else this.#settle();
  }

  async toEnd() {
    this.#follow = true;
    if (this.#history.moreAfter) await this.#history.latest();
    this.#settle();
    this.#scroller.focus({ preventScroll: true });
  }

  #node(seq) {
    return seq ? this.#log.querySelector(`[data-seq="${Number(seq)}"]`) : null;
  }

  #point(node) {
    if (!node) return;
    node.scrollIntoView({ block: 'center' });
    node.tabIndex = -1;
    node.focus({ preventScroll: true });
    node.classList.add('pointed');
    node.addEventListener('animationend', () => node.classList.remove('pointed'), { once: true });
  }

  #item(message) {
    this.#seen.set(message.id, message);
    return item(message, {
      me: this.#me,
      quote: this.#seen.get(message.reply_to),
      onReply: (m) => this.dispatchEvent(new CustomEvent('reply', { detail: m })),
      onQuote: (m) => this.dispatchEvent(new CustomEvent('jump', { detail: m })),
    });
  }

  #items(messages) {
    for (const m of messages) this.#seen.set(m.id, m);
    return messages.map((m) => this.#item(m));
  }

  #reset() {
    this.#quietly(() => {
      this.#log.replaceChildren(...this.#items(this.#history.messages));
      for (const node of this.#log.children) group(node);
    });
    if (this.#seen.size > 20_000) this.#seen.clear();
    this.#showPending();
    this.#change();
    this.#settle();
  }

  #prepend(messages) {
    const { scrollHeight, scrollTop } = this.#scroller;
    this.#quietly(() => {
      const next = this.#log.firstElementChild;
      const nodes = this.#items(messages);
      this.#log.prepend(...nodes);
      for (const node of nodes) group(node);
      if (next) group(next);
      this.#fillQuotes(messages);
    });
    this.#scroller.scrollTop = scrollTop + this.#scroller.scrollHeight - scrollHeight;
  }

  #append(messages) {
    const nodes = this.#items(messages);
    this.#log.append(...nodes);
    for (const node of nodes) group(node);
    if (this.#follow && !this.#history.moreAfter) this.#history.forget();
    else this.#unseen += messages.filter((m) => m.author_id !== this.#me).length;
    this.#change();
    this.#settle();
  }

  #insert(message) {
    const next = [...this.#log.children].find((n) => n.message.seq > message.seq) ?? null;
    const node = this.#item(message);
    this.#log.insertBefore(node, next);
    group(node);
    if (next) group(next);
    this.#settle();
  }

  #trim({ end, count }) {
    const { scrollHeight, scrollTop } = this.#scroller;
    const gone = [...this.#log.children];
    for (const node of end === 'start' ? gone.slice(0, count) : gone.slice(-count)) node.remove();
    const first = this.#log.firstElementChild;
    if (first) group(first);
    if (end === 'start') this.#scroller.scrollTop = scrollTop + this.#scroller.scrollHeight - scrollHeight;
  }

  // #fillQuotes completes replies whose original has just been loaded.
  #fillQuotes(messages) {
    for (const m of messages) {
      for (const quote of this.#log.querySelectorAll(`p.quote[data-quote="${CSS.escape(m.id)}"]`)) {
        const old = quote.closest('.message');
        const node = this.#item(old.message);
        old.replaceWith(node);
        group(node);
      }
    }
  }

  // #quietly changes the log without a screen reader reading all of it out.
  #quietly(change) {
    const region = this.#log.parentElement;
    region.setAttribute('aria-busy', 'true');
    change();
    requestAnimationFrame(() => requestAnimationFrame(() => region.removeAttribute('aria-busy')));
  }

  #showPending() {
    const entries = this.#history.channel ? this.#outbox.of(this.#history.channel) : [];
    if (entries.length > this.#pending.children.length) this.#follow = true; // I have just written
    this.#pending.replaceChildren(...entries.map((e) => pendingItem(e, this.#me, this.#outbox)));
    this.#settle();
  }

  #change() {
    const h = this.#history;
    if (h.loading && (h.moreBefore || h.messages.length === 0)) this.#edge.textContent = 'Loading…';
    else if (h.moreBefore) this.#edge.replaceChildren(el('button', { type: 'button', className: 'plain', onclick: () => h.older() }, 'Earlier messages'));
    else this.#edge.textContent = h.messages.length ? 'This is where the channel begins.' : 'Nothing has been said here yet.';
    this.#button();
  }

  #button() {
    const show = this.#history.moreAfter || !this.#follow;
    this.#toLatest.hidden = !show;
    this.#toLatest.textContent = this.#unseen > 0 ? `${this.#unseen} new` : 'Latest messages';
  }

  // #settle stays at the end where one follows it, and tells what was read.
  #settle() {
    const s = this.#scroller;
    if (s.hidden) return;
    if (this.#follow && !this.#history.moreAfter) {
      s.scrollTop = s.scrollHeight;
      this.#unseen = 0;
      const { last, channel } = this.#history;
      if (last && !document.hidden) this.dispatchEvent(new CustomEvent('read', { detail: { channel, seq: last.seq } }));
    }
    this.#button();
    this.#more();
  }

  #scrolled() {
    const s = this.#scroller;
    const atEnd = s.scrollHeight - s.scrollTop - s.clientHeight < AT_END;
    if (atEnd !== this.#follow) {
      this.#follow = atEnd;
      if (atEnd) this.#settle();
      else this.#button();
    }
    this.#more();
  }

  #more() {
    const s = this.#scroller;
    if (s.hidden || this.#history.loading) return;
    if (s.scrollTop < NEAR && this.#history.moreBefore) this.#history.older();
    else if (s.scrollHeight - s.scrollTop - s.clientHeight < NEAR && this.#history.moreAfter) this.#history.newer();
  }
}
