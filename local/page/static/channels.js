// Channels is what this person is in: names, and how much is unread. What was
// read is remembered in this browser.
//
// Events: "change" (detail: channel id, or undefined for all).

const MANY = 100; // unread counts end there
const COUNTED = 30; // channels whose unread messages are counted after a load
const REMEMBERED = 1000;

export class Channels extends EventTarget {
  #api;
  #byId = new Map();
  #read; // channel id → last sequence read
  #key;
  #cursor = null; // of the next page; null: there is none
  newest = 0; // highest sequence seen anywhere

  constructor(api, user) {
    super();
    this.#api = api;
    this.#key = `chat.read.${user}`;
    this.#read = new Map(JSON.parse(localStorage.getItem(this.#key) ?? '[]'));
  }

  get hasMore() { return this.#cursor !== null; }

  get(id) { return this.#byId.get(id); }

  // all is every channel by name.
  all() {
    return [...this.#byId.values()].sort((a, b) => a.name.localeCompare(b.name) || a.id.localeCompare(b.id));
  }

  // load reads the list anew. Channels that it names keep what is known of them.
  async load() {
    const page = await this.#api.channels('mine');
    const before = this.#byId;
    this.#byId = new Map();
    this.#take(page, before);
    this.#changed();
    this.#count(this.all().slice(0, COUNTED));
  }

  async more() {
    this.#take(await this.#api.channels('mine', this.#cursor), new Map());
    this.#changed();
  }

  #take(page, before) {
    this.#cursor = page.has_more ? page.cursor : null;
    for (const c of page.channels) this.#put(c, before.get(c.id));
  }

  #put(channel, known) {
    this.#byId.set(channel.id, { unread: 0, ...known, ...channel, name: channel.name || known?.name || channel.id, last: undefined });
  }

  // add is for a channel just created or joined.
  add(channel) {
    if (this.#byId.has(channel.id)) return;
    this.#put(channel);
    this.#changed(channel.id);
  }

  // find gives a channel of mine, reading on through the list if need be.
  async find(id) {
    while (!this.#byId.has(id) && this.hasMore) await this.more();
    return this.#byId.get(id);
  }

  remove(id) {
    if (this.#byId.delete(id)) this.#changed(id);
  }

  // heard notes a live message and tells whether messages before it are missing.
  heard(message, prev, mine) {
    this.newest = Math.max(this.newest, message.seq);
    const c = this.#byId.get(message.channel_id);
    if (!c) return false;
    if (c.last !== undefined && message.seq <= c.last) return false;
    const gap = c.last !== undefined && prev !== undefined && prev > c.last;
    c.last = message.seq;
    if (!this.#read.has(c.id)) this.#remember(c.id, prev ?? 0);
    if (mine) this.#remember(c.id, message.seq, c.unread === 0);
    else if (message.seq > this.#read.get(c.id)) c.unread++;
    this.#changed(c.id);
    if (gap) this.#count([c]);
    return gap;
  }

  // read notes that everything up to a sequence was seen.
  read(id, seq) {
    const c = this.#byId.get(id);
    this.newest = Math.max(this.newest, seq);
    this.#remember(id, seq);
    if (c && c.unread > 0) {
      c.unread = 0;
      this.#changed(id);
    }
  }

  // recount asks how much is unread in channels of which events were left out.
  recount(ids) {
    return this.#count(ids.map((id) => this.#byId.get(id)).filter(Boolean));
  }

  #remember(id, seq, really = true) {
    if (!really || seq <= (this.#read.get(id) ?? -1)) return;
    this.#read.delete(id);
    this.#read.set(id, seq);
    const kept = [...this.#read].slice(-REMEMBERED);
    localStorage.setItem(this.#key, JSON.stringify(kept));
  }

  async #count(channels) {
    for (const c of channels) {
      const from = this.#read.get(c.id);
      if (from === undefined) continue;
      try {
        const page = await this.#api.history(c.id, { after: from, limit: MANY });
        if (this.#read.get(c.id) !== from) continue; // read meanwhile
        c.unread = Math.max(c.unread, page.messages.length);
        this.#changed(c.id);
      } catch {
        return; // a count is a courtesy
      }
    }
  }

  #changed(id) {
    this.dispatchEvent(new CustomEvent('change', { detail: id }));
  }
}

// badge is an unread count as it is shown.
export function badge(n) {
  return n >= MANY ? `${MANY - 1}+` : String(n);
}
