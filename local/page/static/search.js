// Search finds messages by their words, as one types, and shows them beside the
// channel.

import { byId, el, marked } from './dom.js';

const when = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });

export class Search {
  #api;
  #channels;
  #box = byId('search-text');
  #panel = byId('results');
  #list = byId('results-list');
  #note = byId('results-note');
  #more = byId('results-more');
  #here = byId('results-here');
  #turn = 0;
  #timer;
  #cursor;
  #channel = null;

  constructor(api, channels) {
    this.#api = api;
    this.#channels = channels;
    byId('search').onsubmit = (e) => {
      e.preventDefault();
      this.#run().then(() => this.#list.querySelector('a')?.focus());
    };
    this.#box.oninput = () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#run(), 250);
    };
    this.#here.onchange = () => this.#run();
    this.#more.onclick = () => this.#page();
    byId('results-close').onclick = () => this.close();
    for (const node of [this.#box, this.#panel]) {
      node.addEventListener('keydown', (e) => e.key === 'Escape' && this.close());
    }
  }

  // open tells which channel "only in this channel" means.
  open(channel) {
    this.#channel = channel;
    this.#here.disabled = !channel;
    if (this.#here.checked && !this.#panel.hidden) this.#run();
  }

  focus() {
    this.#box.focus();
    this.#box.select();
  }

  close() {
    this.#turn++;
    this.#panel.hidden = true;
    this.#box.value = '';
    this.#box.focus();
  }

  // #giveWay closes the panel where it covers the channel.
  #giveWay() {
    if (matchMedia('(max-width: 68rem)').matches) this.#panel.hidden = true;
  }

  async #run() {
    clearTimeout(this.#timer);
    this.#turn++;
    if (!this.#box.value.trim()) {
      this.#panel.hidden = true;
      return;
    }
    this.#panel.hidden = false;
    this.#cursor = undefined;
    this.#note.textContent = 'Searching…';
    await this.#page();
  }

  async #page() {
    const turn = this.#turn;
    const query = this.#box.value.trim();
    const first = this.#cursor === undefined;
    let page;
    try {
      page = await this.#api.search(query, this.#here.checked ? this.#channel : undefined, this.#cursor);
    } catch (err) {
      if (turn === this.#turn) this.#note.textContent = err.message;
      return;
    }
    if (turn !== this.#turn) return;
    if (first) this.#list.replaceChildren();
    this.#list.append(...page.hits.map((hit) => this.#item(hit, query)));
    this.#cursor = page.cursor;
    this.#more.hidden = !page.has_more;
    const n = this.#list.children.length;
    const count = n === 0 ? 'Nothing found.' : `${n}${page.has_more ? ' or more' : ''} ${n === 1 ? 'message' : 'messages'}, newest first.`;
    const behind = page.indexed_through < this.#channels.newest;
    this.#note.textContent = behind ? `${count} The newest messages are still being indexed.` : count;
  }

  #item({ message, snippet }, query) {
    const channel = this.#channels.get(message.channel_id);
    return el('li', {},
      el('a', { href: `#/c/${message.channel_id}/${message.seq}`, 'data-testid': 'hit', onclick: () => this.#giveWay() },
        el('span', { className: 'hit-head' },
          el('strong', {}, message.author_id), ` in ${channel?.name ?? message.channel_id}, `,
          el('time', { dateTime: message.sent_at }, when.format(new Date(message.sent_at)))),
        el('span', { className: 'hit-text' }, ...marked(snippet || message.text.slice(0, 200), query))));
  }
}
