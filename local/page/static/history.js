// History is a window on one channel's messages: always without a hole, in order
// of sequence, extended at both ends, and bounded. While it does not reach the
// channel's end, live messages are only noted.
//
// Events: "reset" (all is new), "prepend" and "append" (detail: the messages),
// "insert" (detail: one message, not at an end), "trim" (detail: {end, count}),
// "change" (an end was reached, or loading began or ended), "fault" (detail: error).

const PAGE = 50;
const ROOM = 600; // messages kept when extending
const SLACK = 1000; // messages kept when people talk while one reads further up

export class History extends EventTarget {
  #api;
  #ids = new Set();
  #late = null; // live messages that arrive while a page is on its way
  #turn = 0; // of the window; an answer for an older one is dropped
  #newest = 0; // of live messages not in the window
  channel = null;
  messages = [];
  moreBefore = false;
  moreAfter = false;
  loading = false;

  constructor(api) {
    super();
    this.#api = api;
  }

  get first() { return this.messages[0]; }

  get last() { return this.messages.at(-1); }

  has(id) { return this.#ids.has(id); }

  find(id) { return this.messages.find((m) => m.id === id); }

  close() {
    this.#turn++;
    this.#reset(null, [], false, false);
  }

  // open shows the end of a channel, or what is around a sequence.
  open(channel, around) {
    this.#turn++;
    this.loading = false;
    this.#reset(channel, [], false, false);
    return this.#load({ around }, (page) => {
      this.#reset(channel, page.messages, page.has_more_before, page.has_more_after);
    });
  }

  // latest goes to the channel's end.
  latest() { return this.open(this.channel); }

  older() {
    if (!this.moreBefore || this.loading) return undefined;
    return this.#load({ before: this.first.seq }, (page) => {
      const fresh = this.#fresh(page.messages);
      this.messages.unshift(...fresh);
      this.moreBefore = page.has_more_before;
      this.#tell('prepend', fresh);
      this.#trim('end', ROOM);
    });
  }

  newer() {
    if (!this.moreAfter || this.loading) return undefined;
    return this.#load({ after: this.last?.seq ?? 0 }, (page) => {
      this.#append(page);
      this.#trim('start', ROOM);
    });
  }

  // catchUp reads what came after the window's end, where events are missing.
  async catchUp() {
    if (!this.channel || this.moreAfter) return;
    if (this.loading || !this.last) return this.latest();
    this.moreAfter = true;
    for (let pages = 0; this.moreAfter && pages < 5; pages++) {
      if (!(await this.newer())) return;
    }
    if (this.moreAfter) await this.latest();
  }

  // add takes a live message of this channel.
  add(message) {
    if (this.#ids.has(message.id)) return;
    if (this.#late) this.#late.push(message);
    else if (this.moreAfter || this.messages.length >= SLACK) {
      this.moreAfter = true;
      this.#newest = Math.max(this.#newest, message.seq);
      this.#tell('change');
    } else this.#place(message);
  }

  // forget gives up what is far above, where nobody reads.
  forget() { this.#trim('start', ROOM); }

  #place(message) {
    const last = this.last;
    this.#ids.add(message.id);
    if (!last || message.seq > last.seq) {
      this.messages.push(message);
      return this.#tell('append', [message]);
    }
    if (message.seq < this.first.seq && this.moreBefore) return this.#ids.delete(message.id);
    const at = this.messages.findIndex((m) => m.seq > message.seq);
    this.messages.splice(at, 0, message);
    this.#tell('insert', message);
  }

  #append(page) {
    const fresh = this.#fresh(page.messages);
    this.messages.push(...fresh);
    this.moreAfter = page.has_more_after;
    this.#tell('append', fresh);
  }

  #fresh(messages) {
    const fresh = messages.filter((m) => !this.#ids.has(m.id));
    for (const m of fresh) this.#ids.add(m.id);
    return fresh;
  }

  #trim(end, room) {
    const count = this.messages.length - room;
    if (count <= 0) return;
    const gone = end === 'start' ? this.messages.splice(0, count) : this.messages.splice(room);
    for (const m of gone) this.#ids.delete(m.id);
    if (end === 'start') this.moreBefore = true;
    else this.moreAfter = true;
    this.#tell('trim', { end, count });
  }

  #reset(channel, messages, before, after) {
    this.channel = channel;
    this.messages = [...messages];
    this.#ids = new Set(messages.map((m) => m.id));
    this.moreBefore = before;
    this.moreAfter = after;
    this.#newest = 0;
    this.#tell('reset');
  }

  // #load asks for a page and applies it, unless the window has moved on. It
  // tells whether it did.
  async #load(query, apply) {
    const turn = this.#turn;
    const channel = this.channel;
    this.loading = true;
    this.#late = [];
    this.#tell('change');
    try {
      const page = await this.#api.history(channel, { ...query, limit: PAGE });
      if (turn !== this.#turn) return false;
      apply(page);
    } catch (error) {
      if (turn === this.#turn) this.#tell('fault', error);
      return false;
    } finally {
      if (turn === this.#turn) {
        const late = this.#late;
        this.loading = false;
        this.#late = null;
        if (this.last && this.#newest > this.last.seq) this.moreAfter = true;
        for (const m of late) this.add(m);
        this.#tell('change');
      }
    }
    return true;
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
