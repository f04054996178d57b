// How one message looks.

import { avatar, el, textWithLinks } from './dom.js';

const LONG = 3000; // characters after which a message is folded
const TOGETHER = 5 * 60_000; // messages of one author within that time share a head

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });
const dayName = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });

// item makes a message's list item. quote gives what is known of the message
// that it answers; onReply is left out where one cannot reply.
export function item(message, { me, quote, onReply, onQuote }) {
  const at = new Date(message.sent_at);
  const text = el('div', { className: 'text' }, ...textWithLinks(message.text));
  const node = el('li', {
    className: message.author_id === me ? 'message mine' : 'message',
    'data-id': message.id, 'data-seq': message.seq, 'data-testid': 'message',
  },
  avatar(el('span', { className: 'avatar', 'aria-hidden': 'true' }), message.author_id),
  el('div', { className: 'body' },
    el('div', { className: 'head' },
      el('span', { className: 'author' }, message.author_id),
      el('time', { dateTime: message.sent_at, title: full.format(at) }, clock.format(at))),
    message.reply_to && quoteOf(message, quote, onQuote),
    text,
    message.text.length > LONG && unfold(text)),
  onReply && el('button', {
    className: 'reply', type: 'button', 'aria-label': `Reply to ${message.author_id}`, onclick: () => onReply(message),
  }, 'Reply'));
  node.message = message;
  return node;
}

function quoteOf(message, quote, onQuote) {
  if (!quote) return el('p', { className: 'quote', 'data-quote': message.reply_to }, 'Reply to an earlier message');
  const words = quote.text.length > 140 ? `${quote.text.slice(0, 140)}…` : quote.text;
  return el('button', { className: 'quote', type: 'button', onclick: () => onQuote(quote), title: 'Go to that message' },
    el('strong', {}, quote.author_id), ' ', words.replace(/\s+/g, ' '));
}

function unfold(text) {
  text.classList.add('folded');
  const button = el('button', { className: 'plain', type: 'button', 'aria-expanded': 'false' }, 'Show all');
  button.onclick = () => {
    const folded = text.classList.toggle('folded');
    button.textContent = folded ? 'Show all' : 'Show less';
    button.setAttribute('aria-expanded', String(!folded));
  };
  return button;
}

// group decides, from the item before it, whether an item begins a day and
// whether it shows its author.
export function group(node) {
  const before = node.previousElementSibling;
  const { message } = node;
  const at = new Date(message.sent_at);
  const then = before && new Date(before.message.sent_at);
  const newDay = !then || then.toDateString() !== at.toDateString();
  const first = newDay || before.message.author_id !== message.author_id || Math.abs(at - then) > TOGETHER || Boolean(message.reply_to);
  node.classList.toggle('first', first);
  const shown = node.querySelector(':scope > .day');
  if (newDay && !shown) node.prepend(el('div', { className: 'day' }, el('span', {}, dayName.format(at))));
  if (!newDay && shown) shown.remove();
}

// pendingItem is a message that is being sent.
export function pendingItem(entry, me, outbox) {
  return el('li', { className: entry.fault ? 'message first mine refused' : 'message first mine', 'data-client-id': entry.client_id },
    avatar(el('span', { className: 'avatar', 'aria-hidden': 'true' }), me),
    el('div', { className: 'body' },
      el('div', { className: 'head' },
        el('span', { className: 'author' }, me),
        el('span', { className: 'sending' }, entry.fault ? 'not sent' : entry.tries > 0 ? 'waiting to be sent' : 'sending…')),
      el('div', { className: 'text' }, entry.text),
      entry.fault && el('p', { className: 'fault' }, entry.fault, ' ',
        el('button', { type: 'button', className: 'plain', onclick: () => outbox.retry(entry.client_id) }, 'Try again'), ' ',
        el('button', { type: 'button', className: 'plain', onclick: () => outbox.discard(entry.client_id) }, 'Discard'))));
}
