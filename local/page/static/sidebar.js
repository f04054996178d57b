// Sidebar lists the channels with what is unread in them.

import { badge } from './channels.js';
import { byId, el } from './dom.js';

export class Sidebar {
  #channels;
  #list = byId('channels');
  #open = null;

  constructor(channels) {
    this.#channels = channels;
    channels.addEventListener('change', () => this.#show());
    byId('more-channels').onclick = () => channels.more().catch(() => {});
  }

  // open marks the channel that is on the screen.
  open(id) {
    this.#open = id;
    this.#show();
  }

  // step is the channel so many places after the open one.
  step(by) {
    const all = this.#channels.all();
    const at = all.findIndex((c) => c.id === this.#open);
    return all[(at + by + all.length) % all.length]?.id;
  }

  #show() {
    const focused = document.activeElement?.closest?.('#channels li')?.dataset.id;
    const all = this.#channels.all();
    this.#list.replaceChildren(...all.map((c) => this.#item(c)));
    if (focused) this.#list.querySelector(`li[data-id="${CSS.escape(focused)}"] a`)?.focus();
    byId('no-channels').hidden = all.length > 0;
    byId('more-channels').hidden = !this.#channels.hasMore;
    const unread = all.reduce((n, c) => n + c.unread, 0);
    const name = this.#channels.get(this.#open)?.name;
    document.title = `${unread > 0 ? `(${badge(unread)}) ` : ''}${name ? `${name} – ` : ''}Chat`;
  }

  #item(c) {
    return el('li', { 'data-id': c.id },
      el('a', { href: `#/c/${c.id}`, className: c.unread ? 'unread' : '', 'aria-current': c.id === this.#open && 'page' },
        el('span', { className: 'mark', 'aria-hidden': 'true' }, c.visibility === 'private' ? '◦' : '#'),
        el('span', { className: 'name' }, c.name),
        c.unread > 0 && el('span', { className: 'badge', 'aria-label': `${badge(c.unread)} unread`, role: 'img' }, badge(c.unread))));
  }
}
